import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import { until } from '../../../driver/host/until.ts';
import { type Claim, claimPath } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { Journal, type SourceEntry } from '../../../plugin/migration/journal.ts';
import type { MoverDependencies } from '../../../plugin/migration/ports.ts';
import { recoverSource } from '../../../plugin/migration/recover.ts';

const claim: Claim = { network: '10.42.0.0-24', ip: '10.42.0.2', host: 'h1', epoch: 1 };
const path = claimPath(claim.network, claim.ip);
const entry: SourceEntry = {
  role: 'source', id: 'm1', container: 'web', containerId: 'c1', peer: 'h2', endpoints: [{ network: claim.network, ip: claim.ip }],
  state: 'moving', keep: false, strategy: 'cold', volumes: [], restartPolicy: { Name: 'always' },
};

let directory: string;
let store: MemoryStore;
let journal: Journal;
let deps: MoverDependencies;
/** What was asked of the other host and of the engine, in order. */
let asked: string[];
/** Whether the other host answers, and what it knows. */
let there: { away: boolean; state: 'running' | 'aborted' };
let engine: { policy: string; running: boolean };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-recover-'));
  await mkdir(join(directory, 'run/docker'), { recursive: true });
  store = new MemoryStore();
  journal = new Journal(directory);
  await journal.write(entry);
  await store.put(path, { ...claim, movingTo: 'h2', redirect: 'h2' }, 'absent');
  asked = [];
  there = { away: false, state: 'aborted' };
  engine = { policy: 'no', running: true };
  deps = {
    self: 'h1',
    store,
    journal,
    host: { path: (place: string) => join(directory, place), run: async () => ({ code: 0, stdout: '', stderr: '' }) },
    peers: {
      get: () => ({
        async call(what: string) {
          if (there.away) throw new CoatError('peer-away', 'h2 is away');
          asked.push(what);
          return { state: there.state };
        },
      }),
    },
    overlay: { giveBack: async () => undefined },
    containers: {
      inspect: async () => ({ HostConfig: { RestartPolicy: { Name: engine.policy } }, State: { Running: engine.running } }),
      async setRestartPolicy(_id: string, { Name }: { Name: string }) {
        engine.policy = Name;
      },
      async start() {
        engine.running = true;
      },
      async remove() {
        asked.push('remove');
      },
    },
    volumes: {},
    log: { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() },
  } as unknown as MoverDependencies;
});

afterEach(() => rm(directory, { recursive: true }));

const stateIs = (state: string | undefined): Promise<unknown> => until(`the journal to say ${state}`, async () => (await journal.read('m1') as SourceEntry | undefined)?.state === state);
const claimNow = async (): Promise<unknown> => (await store.get(path))?.value;

test('a move that was taken back while the store was away is taken back in the records when it is there again', async () => {
  store.away = true;
  const states: string[] = [];
  const ended = recoverSource(deps, entry, async (state) => states.push(state));
  await stateIs('withdrawing');
  await until('it to be known', () => states.length > 0);
  expect({ states, asked }).toEqual({ states: ['aborted'], asked: [] });
  store.away = false;
  await ended;
  expect(await claimNow()).toEqual(claim);
  expect(engine.policy).toBe('always');
  expect(asked).toEqual(['/v1/moves/outcome', '/v1/moves/finish']);
  expect(await journal.all()).toEqual([]);
});

test('a destination that hears late that a move was taken back has nothing undone that came after it', async () => {
  there.away = true;
  const ended = recoverSource(deps, entry);
  await stateIs('withdrawn');
  // the next move of the same container
  const next = { ...claim, movingTo: 'h3', redirect: 'h3' };
  await store.put(path, next, 'any');
  engine.policy = 'no';
  there.away = false;
  await ended;
  expect(await claimNow()).toEqual(next);
  expect(engine.policy).toBe('no');
});

test.each([
  ['always', true],
  ['unless-stopped', true],
  ['on-failure', false],
])('with the restart policy %s a container that the engine has ended meanwhile is started anew: %s', async (name, anew) => {
  engine.running = false;
  await recoverSource(deps, { ...entry, restartPolicy: { Name: name } });
  expect(engine).toEqual({ policy: name, running: anew });
});

test('one whose policy was not set aside yet is the engine\'s affair', async () => {
  engine = { policy: 'always', running: false };
  await recoverSource(deps, entry);
  expect(engine).toEqual({ policy: 'always', running: false });
});

test('in doubt nothing is done until the destination answers, and then what it says', async () => {
  there = { away: true, state: 'running' };
  const ended = recoverSource(deps, { ...entry, state: 'doubt' });
  await expect(until('anything', () => asked.length > 0, { timeout: 700 })).rejects.toThrow(/gave up/);
  expect(engine.policy).toBe('no');
  there.away = false;
  await ended;
  expect(asked).toEqual(['/v1/moves/outcome', 'remove', '/v1/moves/finish']);
  expect(await claimNow()).toMatchObject({ redirect: 'h2' });
});

test('an address that is nobody\'s any more stops nothing', async () => {
  await store.delete(path, 'any');
  await recoverSource(deps, entry);
  expect(await journal.all()).toEqual([]);
});
