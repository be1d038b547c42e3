import { readFile } from 'node:fs/promises';
import type { HostSide } from '../criu/host.ts';

/**
 * Features that a program asks the processor for at its start and uses from then on (arch/x86/include/asm/cpufeatures.h); the others
 * are the kernel's own business. Of an ARM processor all that are listed are the programs'.
 */
const USED =
  /^(mmx|sse\d?|sse4_[12]|sse4a|ssse3|pni|avx|avx2|avx512\w*|avx_\w+|avx10\w*|fma|fma4|f16c|bmi[12]|abm|popcnt|movbe|aes|pclmulqdq|vaes|vpclmulqdq|gfni|sha_ni|sha512|sm[34]|rdrand|rdseed|adx|rdtscp|rdpid|fsgsbase|cx16|cx8|cmov|clflush|clflushopt|clwb|clzero|cldemote|xsave|xsaveopt|xsavec|xgetbv1|erms|fsrm|fzrm|fsrs|fsrc|amx_\w+|movdiri|movdir64b|enqcmd|waitpkg|serialize|rtm|hle|pku|ospke|tbm|xop|lwp|prefetchi|3dnow\w*|mwaitx|cmpccxadd|user_shstk|lahf_lm)$/;

/** What this host's processors have in common that programs use. */
export async function cpuFeatures(host: HostSide): Promise<string[]> {
  return featuresIn(await readFile(host.path('/proc/cpuinfo'), 'utf8'));
}

/** @param text /proc/cpuinfo */
export function featuresIn(text: string): string[] {
  const lists = [...text.matchAll(/^(flags|Features)\s*:(.*)$/gm)].map(([, kind, list]) => list!.split(' ').filter((name) => name !== '' && (kind === 'Features' || USED.test(name))));
  return (lists[0] ?? []).filter((name) => lists.every((list) => list.includes(name)));
}
