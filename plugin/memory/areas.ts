import { readFileSync } from 'node:fs';
import type { PageRange } from '../criu/pagemap.ts';
import { PAGE } from './page.ts';

/**
 * The private anonymous memory of a process: what a lazy dump leaves where it is (proc_pid_maps(5); criu/mem.c, vma_entry_can_be_lazy).
 * That some of it is left out there, such as what is locked, does not matter: it is carried as well.
 */
export function anonymousAreas(maps: string): PageRange[] {
  return maps.split('\n').flatMap((line) => {
    const [, from, to, , mode, inode, name] = /^(\w+)-(\w+) (..)(..) \w+ \w+:\w+ (\d+)\s*(.*)$/.exec(line) ?? [];
    if (from === undefined || to === undefined || !mode?.endsWith('p') || inode !== '0') return [];
    // the kernel's own: [vdso], [vvar], [vvar_vclock], [vsyscall], [uprobes]
    if (/^\[(v|uprobes)/.test(name ?? '')) return [];
    const address = parseInt(from, 16);
    return [{ address, pages: (parseInt(to, 16) - address) / PAGE }];
  });
}

/** @param proc the process, as `/proc` of the host has it */
export const areasOf = (proc: string): PageRange[] => anonymousAreas(readFileSync(`${proc}/maps`, 'utf8'));
