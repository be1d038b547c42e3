import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../driver/host/errors.ts';
import { createNetwork } from '../lab/demo/stage.ts';
import { Lab } from '../lab/lab.ts';

const PROGRAMS = join(import.meta.dirname, '../lab/workload');
/** What COAT is compared with, and how the paper's scripts talked to hosts; only the hosts of Docker 26.1 have it. */
const PACKAGES = { 26: ['podman', 'openssh-server', 'openssh-client', 'iputils-arping'] };

/** The lab of a whole run, with coat's network: the one that is up, or a new one. */
export async function openBenchLab(name: string, log: (line: string) => void, signal: AbortSignal): Promise<Lab> {
  const lab = await Lab.up({ name, log, signal, packages: PACKAGES }).catch((error: unknown) => {
    if (codeOf(error) !== 'lab-exists') throw error;
    log(`lab ${name} is up already`);
    return Lab.open(name);
  });
  const names = (await readdir(PROGRAMS)).filter((program) => program.endsWith('.py'));
  await Promise.all(names.map((program) => copyFile(join(PROGRAMS, program), join(lab.shared, program))));
  await createNetwork(lab, signal);
  return lab;
}
