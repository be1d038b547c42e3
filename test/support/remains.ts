import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { belongings } from './engine.ts';
import { lab } from './hosts.ts';
import { asked } from './moves.ts';

/** What lies about on a host, by kind; see test/fixtures/remains.sh. */
export type Remains = Record<string, string[]>;

/** How long cleaning up may take after a move or a removal has been reported, ms. */
const TIDY_MS = 20_000;

async function onHost(host: LabHost): Promise<Remains> {
  const [{ stdout }, belonging] = await Promise.all([host.exec(['sh', '/share/fixtures/remains.sh']), belongings(host)]);
  const sections = stdout.split(/^## /m).slice(1).map((section) => section.trimEnd().split('\n'));
  return { ...belonging, ...Object.fromEntries(sections.map(([title, ...lines]): [string, string[]] => [title!, lines])) };
}

/** Of every host that runs; and what the cluster's records say, which is the same on all. */
export async function remains(): Promise<Record<string, Remains>> {
  const running = lab.hosts.filter((host) => host.running);
  const listing = running[0] === undefined ? {} : await asked<object>(running[0], 'GET', '/v1/endpoints');
  const records = JSON.stringify(listing, undefined, 2).split('\n');
  return { records: { records }, ...Object.fromEntries(await Promise.all(running.map(async (host) => [host.name, await onHost(host)] as const))) };
}

/** Everything is as it was, or soon will be. */
export async function expectRemains(before: Record<string, Remains>): Promise<void> {
  let last = await remains();
  if (!isDeepStrictEqual(last, before)) await until('all hosts to be tidy', async () => isDeepStrictEqual((last = await remains()), before), { timeout: TIDY_MS, every: 100 }).catch(() => undefined);
  expect(last).toEqual(before);
}

/** There is no more of anything than there was, or soon will be; under other names, as what is started anew has others, and has no hold any more. */
export async function expectNoMore(before: Record<string, Remains>, hosts: readonly LabHost[]): Promise<void> {
  const more = (now: Record<string, Remains>): string[] => hosts.flatMap(({ name }) => Object.entries(now[name]!).filter(([kind, lines]) => lines.length > before[name]![kind]!.length).map(([kind]) => `${kind} of ${name}`));
  let last = await remains();
  await until('all hosts to be tidy', async () => more((last = await remains())).length === 0, { timeout: TIDY_MS, every: 100 }).catch(() => undefined);
  if (more(last).length > 0) expect(last).toEqual(before);
}
