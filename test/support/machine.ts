import { readFile } from 'node:fs/promises';
import type { LabHost } from '../../lab/host.ts';

/** CAP_SYS_RESOURCE, linux/capability.h. */
const CAP_SYS_RESOURCE = 1n << 24n;

/** Whether root of a host may read the limits of other users' processes, which CRIU does; some virtual machines' root may not. */
export async function mayReadLimits(host: LabHost): Promise<boolean> {
  const bounds = /^CapBnd:\s+(\w+)/m.exec(await readFile(`/proc/${host.pid}/status`, 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${bounds}`) & CAP_SYS_RESOURCE) !== 0n;
}
