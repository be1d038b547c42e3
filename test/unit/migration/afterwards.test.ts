import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import { until } from '../../../driver/host/until.ts';
import { type Claim, claimPath } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { Afterwards } from '../../../plugin/migration/afterwards.ts';
import type { Arrival } from '../../../plugin/migration/arrival.ts';
import type { PagesOutcome } from '../../../plugin/migration/fetch.ts';
import { type DestinationEntry, Journal } from '../../../plugin/migration/journal.ts';
import { Ledger } from '../../../plugin/migration/ledger.ts';
import { restoreDirectory } from '../../../plugin/migration/places.ts';
import type { MoverDependencies } from '../../../plugin/migration/ports.ts';

const claim: Claim = { network: '10.42.0.0-24', ip: '10.42.0.2', host: 'h1', epoch: 1, movingTo: 'h2', redirect: 'h2' };
const entry: DestinationEntry = {
  role: 'destination', id: 'm1', container: 'web', containerId: 'c'.repeat(64), peer: 'h1', endpoints: [{ network: claim.network, ip: claim.ip }], volumes: [], state: 'running', pages: 'here',
};

let directory: string;
let store: MemoryStore;
let journal: Journal;
let ledger: Ledger;
let afterwards: Afterwards;
let unmounted: string[];
let deps: MoverDependencies;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-afterwards-'));
  store = new MemoryStore();
  await store.put(claimPath(claim.network, claim.ip), claim, 'absent');
  journal = new Journal(join(directory, 'journals'));
  ledger = new Ledger(journal);
  unmounted = [];
  deps = {
    self: 'h2',
    store,
    host: {
      path: (place: string) => join(directory, place),
      async run(argv: string[]) {
        if (argv[0] === 'umount') unmounted.push(argv.at(-1)!);
        return { code: 0, stdout: '', stderr: '' };
      },
    },
    overlay: { settled: async () => undefined, giveBack: async () => undefined },
    containers: { inspect: async () => ({ State: { Status: 'running', Running: true } }) },
    log: { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() },
  } as unknown as MoverDependencies;
  afterwards = new Afterwards(deps, ledger);
  await ledger.begin(entry);
});

afterEach(() => rm(directory, { recursive: true }));

/** An arrival the engine has come to the end of. */
const arrived = (fetched?: Promise<PagesOutcome>): Arrival => ({ settle: async () => undefined, fetched }) as unknown as Arrival;
const forgotten = (): Promise<unknown> => until('the move to be forgotten', async () => (await journal.all()).length === 0);

test.each(Array.from({ length: 40 }, (_, ticks) => ticks))('the source ends the move %i ticks after its memory is in its place: nothing is kept', async (ticks) => {
  afterwards.begin(entry, arrived(Promise.resolve('whole')), () => undefined);
  for (let tick = 0; tick < ticks; tick++) await new Promise(setImmediate);
  await afterwards.finish('m1');
  await forgotten();
  expect(ledger.all()).toEqual([]);
});

test('the directory of the restore goes when the journal says what became of the memory, and not before', async () => {
  let said: unknown;
  const write = journal.write.bind(journal);
  journal.write = async (written) => {
    said = unmounted.length;
    await write(written);
  };
  const settled = vi.fn();
  afterwards.begin(entry, arrived(Promise.resolve('whole')), settled);
  await until('it to settle', () => settled.mock.calls.length > 0);
  expect(said).toBe(0);
  expect(unmounted).toEqual([restoreDirectory(entry.containerId!)]);
  expect(await journal.read('m1')).toMatchObject({ pages: 'whole' });
});

test('a journal that cannot be written is written when it can, and the agent lives', async () => {
  const write = journal.write.bind(journal);
  let full = 1;
  journal.write = async (written) => {
    if (full-- > 0) throw new CoatError('no-space', 'the disk is full');
    await write(written);
  };
  afterwards.begin(entry, arrived(Promise.resolve('whole')), () => undefined);
  await until('the journal to say so', async () => ((await journal.read('m1')) as DestinationEntry).pages === 'whole');
  await afterwards.finish('m1');
  await forgotten();
});

test('a move is kept until the store knows whose its addresses are, however soon the source ends it', async () => {
  store.away = true;
  afterwards.begin({ ...entry, pages: undefined }, arrived(), () => undefined);
  await afterwards.finish('m1');
  expect(await journal.read('m1')).toMatchObject({ finished: true });
  store.away = false;
  await forgotten();
  expect((await store.get(claimPath(claim.network, claim.ip)))?.value).toMatchObject({ host: 'h2' });
});

test('what an earlier life of the agent took in is tidied up, though the container has all of its memory', async () => {
  await ledger.change('m1', { pages: 'whole', finished: true });
  await mkdir(join(directory, restoreDirectory(entry.containerId!)), { recursive: true });
  await writeFile(join(directory, restoreDirectory(entry.containerId!), 'events'), '');
  afterwards.resume((await ledger.find('m1'))!);
  await forgotten();
  expect(unmounted).toEqual([restoreDirectory(entry.containerId!)]);
});

test('a source that ends a move before this life of the agent has looked at it does not have it forgotten', async () => {
  await ledger.change('m1', { pages: 'whole' });
  await afterwards.finish('m1');
  expect(await journal.read('m1')).toMatchObject({ finished: true });
  afterwards.resume((await ledger.find('m1'))!);
  await forgotten();
  expect(unmounted).toEqual([restoreDirectory(entry.containerId!)]);
});

test('of a host that has been started again nothing is killed that has the name of a container which is lost', async () => {
  // its own process would be found in the place of the container's, had anybody looked for it
  const kill = vi.spyOn(process, 'kill');
  await ledger.change('m1', { finished: true });
  afterwards.resume((await ledger.find('m1'))!);
  await forgotten();
  expect(kill).not.toHaveBeenCalled();
  expect(vi.mocked(deps.log.error).mock.calls[0]![0]).toMatchObject({ why: 'lost its host was started again before it was there' });
  kill.mockRestore();
});
