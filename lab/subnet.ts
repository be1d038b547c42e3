import { createHash } from 'node:crypto';

/**
 * The third byte of a lab's 10.213.k.0/24: the name's own number where it is free, else the next one.
 * Labs share no wires; distinct subnets only keep logs and captures of several labs apart.
 *
 * @param used the subnets of the other labs
 */
export function pickSubnet(name: string, used: ReadonlySet<number>): number {
  const first = createHash('sha256').update(name).digest()[0]!;
  for (let i = 0; i < 256; i += 1) {
    const candidate = (first + i) % 256;
    if (!used.has(candidate)) return candidate;
  }
  return first;
}
