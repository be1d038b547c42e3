import { writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readIfThere, removeIfThere } from '../driver/host/files.ts';
import { boot } from './boot.ts';
import type { LabHost } from './host.ts';
import { engineRoot } from './images/all.ts';
import { buildIn, type Tell } from './images/build.ts';
import { killGroup, makeHostCgroups, removeContainers } from './kernel/cgroups.ts';
import { limit, plugIn, unplug } from './kernel/underlay.ts';
import { FileLock } from './lock.ts';
import { labPlaces } from './places.ts';
import { readRecord, writeRecord } from './record.ts';
import type { LabSpec } from './spec.ts';

/** As a power cut: processes and network are gone, the disk stays. */
export async function switchOff(lab: string, host: string): Promise<void> {
  await killGroup(lab, host);
  await removeContainers(lab, host);
  await unplug(lab, host);
}

/** Boots a host again, with its disk and its link's rate as they were. Fine when it runs. */
export async function switchOn(spec: LabSpec, host: LabHost, tell: Tell): Promise<void> {
  const disk = labPlaces(spec.name).host(host.name);
  await using _lock = await FileLock.take(join(disk, 'start.lock'), 'exclusive', {
    what: `"start" of ${host.name}`,
    waiting: (holder) => tell(`waiting for ${holder} to end`),
  });
  if (host.running) return;
  await switchOff(spec.name, host.name);
  await plugIn(spec.name, spec.hosts.find((each) => each.name === host.name)!);
  const rate = await readIfThere(rateFile(spec.name, host.name));
  if (rate !== undefined) await limit(spec.name, host.name, rate);
  await boot(spec, host.name, await rootOf(spec, host, tell));
}

/** The rate of a host's link; kept for its next boot, and applied now when it runs. */
export async function setRate(lab: string, host: LabHost, rate: string | null): Promise<void> {
  if (host.running) await limit(lab, host.name, rate);
  if (rate === null) await removeIfThere(rateFile(lab, host.name));
  else await writeFile(rateFile(lab, host.name), rate);
}

const rateFile = (lab: string, host: string): string => join(labPlaces(lab).host(host), 'rate');

/** What the host stood on before; built anew when the cache was deleted meanwhile. */
async function rootOf(spec: LabSpec, host: LabHost, tell: Tell): Promise<string> {
  const record = await readRecord(spec.name);
  const before = record?.roots[host.engine];
  if (before !== undefined && existsSync(before)) return before;
  const root = await engineRoot(host.engine, buildIn(await makeHostCgroups(spec.name, host.name), tell));
  if (record !== undefined) await writeRecord({ ...record, roots: { ...record.roots, [host.engine]: root } });
  return root;
}
