import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import type { MigrationDetails, MigrationEvent, NumberedEvent, Report } from '../../../plugin/agent/api.ts';
import { locate } from '../../../plugin/agent/migrations/locate.ts';
import { EventLog } from '../../../plugin/migration/events.ts';
import { History, merged } from '../../../plugin/migration/history.ts';
import { judge } from '../../../plugin/migration/meddling.ts';
import { Moves } from '../../../plugin/migration/moves.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-moves-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const report = (outcome: Report['outcome'] = 'migrated'): Report => ({ id: 'm1', container: 'web', from: 'h1', to: 'h2', outcome, blackout: 5, total: 9, phases: [], steps: [], bytes: { memory: 1, state: 1, files: 1, image: 0 }, warnings: [] });
const details = (id: string, started: number, more: Partial<MigrationDetails> = {}): MigrationDetails => ({ id, container: 'web', from: 'h1', to: 'h2', asked: 'h3', started, phase: 'planned', request: { container: 'web', to: 'h2' }, ...more });
const never = new AbortController().signal;

async function all(events: AsyncGenerator<NumberedEvent, void>): Promise<NumberedEvent[]> {
  const heard: NumberedEvent[] = [];
  for await (const event of events) heard.push(event);
  return heard;
}

describe('the events of a move', () => {
  const done: MigrationEvent = { type: 'done', report: report() };

  test('are heard by all, whenever they come, in order and once', async () => {
    const log = new EventLog();
    const early = all(log.after(0, never));
    log.append({ type: 'phase', phase: 'planned' });
    await new Promise(setImmediate);
    log.append({ type: 'phase', phase: 'prepared' });
    log.append(done);
    log.append({ type: 'phase', phase: 'copying' });
    const late = await all(log.after(0, never));
    expect(await early).toEqual(late);
    expect(late.map(({ event }) => event.type)).toEqual(['phase', 'phase', 'done']);
    expect(await all(log.after(late[1]!.seq, never))).toEqual(late.slice(2));
    expect(await all(log.after(late[2]!.seq, never))).toEqual([]);
  });

  test('of progress only the last of each kind is kept', async () => {
    const log = new EventLog();
    for (let bytes = 0; bytes < 1_000; bytes++) log.append({ type: 'progress', what: bytes % 2 === 0 ? 'files' : 'image', bytes });
    log.append(done);
    expect((await all(log.after(0, never))).map(({ event }) => (event.type === 'progress' ? event.bytes : event.type))).toEqual([998, 999, 'done']);
  });

  test('nobody who has gone is waited for', async () => {
    const stop = new AbortController();
    const heard = all(new EventLog().after(0, stop.signal));
    stop.abort();
    expect(await heard).toEqual([]);
  });
});

describe('the history', () => {
  test('is read newest first, filtered and limited, through a restart', async () => {
    const history = new History(directory);
    for (const [id, started] of [['a', 1_000], ['c', 3_000], ['b', 2_000]] as const) await history.write(details(id, started, id === 'b' ? { ended: 1, outcome: 'migrated', to: 'h9' } : {}));
    await history.write(details('a', 1_000, { phase: 'frozen' }));
    const again = new History(directory);
    expect((await again.list()).map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    expect((await again.list({ limit: 1, state: 'running' })).map(({ id }) => id)).toEqual(['c']);
    expect((await again.list({ host: 'h9' })).map(({ id }) => id)).toEqual(['b']);
    expect(await again.read('a')).toEqual(details('a', 1_000, { phase: 'frozen' }));
    expect(await again.read('z')).toBeUndefined();
  });

  test('forgets the oldest, and passes over what cannot be read', async () => {
    for (let i = 0; i < 1_000; i++) await writeFile(join(directory, `${String(1_000 + i).padStart(13, '0')}.id${i}.json`), '{');
    const history = new History(directory);
    await history.write(details('new', 9_000));
    const names = await readdir(directory);
    expect(names).toHaveLength(1_000);
    expect(names).not.toContain('0000000001000.id0.json');
    expect((await history.list()).map(({ id }) => id)).toEqual(['new']);
  });

  test('of several hosts has each move once; who knows its end knows more', () => {
    const [open, ended] = [details('a', 1), details('a', 1, { ended: 5 })];
    expect(merged([[open], [ended, details('b', 2)]], 10)).toEqual([details('b', 2), ended]);
    expect(merged([[ended], [open]], 10)).toEqual([ended]);
    expect(merged([[details('a', 1)], [details('b', 2)]], 1).map(({ id }) => id)).toEqual(['b']);
  });
});

describe('a move as others see it', () => {
  const moves = (): Moves => new Moves({ self: 'h1', log: silent }, new History(directory));
  const request = { container: 'web', to: 'h2' };

  test('can be cancelled as long as the destination has not everything', async () => {
    const open = moves();
    let emit: (event: MigrationEvent) => void = () => undefined;
    let signal: AbortSignal = never;
    let end: (report: Report) => void = () => undefined;
    open.begin('m1', { id: 'c1', name: 'web' }, request, 'h3', (going) => {
      ({ emit, signal } = going);
      return new Promise((resolve) => (end = resolve));
    });
    await expect.poll(() => signal).not.toBe(never);
    expect(open.ofContainer('c1')).toMatchObject({ id: 'm1' });
    emit({ type: 'phase', phase: 'restoring' });
    await expect(open.cancel('m1')).rejects.toMatchObject({ code: 'too-late' });
    emit({ type: 'phase', phase: 'frozen' });
    await open.cancel('m1');
    expect(signal.reason).toMatchObject({ code: 'cancelled' });
    emit({ type: 'failed', problem: { code: 'cancelled', message: 'it was' }, report: report('rolled-back') });
    end(report('rolled-back'));
    expect(open.ofContainer('c1')).toBeUndefined();
    expect(await open.get('m1')).toMatchObject({ outcome: 'rolled-back', problem: { code: 'cancelled' } });
    await expect(open.cancel('m1')).rejects.toMatchObject({ code: 'too-late' });
    await expect(open.cancel('m9')).rejects.toMatchObject({ code: 'no-migration' });
  });

  test.each([['running', 'done'], ['aborted', 'failed']] as const)('of which a restarted agent learns that it is %s', async (state, last) => {
    await new History(directory).write(details('m1', 1_000));
    const later = moves();
    expect(await later.interrupted()).toMatchObject([{ id: 'm1' }]);
    const heard = all(later.follow('m1', 17, never));
    await new Promise(setImmediate);
    await later.concluded('m1', state);
    expect((await heard).map(({ event }) => event.type)).toEqual([last]);
    await expect.poll(() => later.interrupted()).toEqual([]);
    // and one that is restarted again tells it from the file
    await expect.poll(async () => (await new History(directory).read('m1'))?.ended).toBeDefined();
    expect((await all(moves().follow('m1', 0, never))).map(({ event }) => event.type)).toEqual([last]);
  });
});

describe('where a container is', () => {
  const has = (host: string, more: { running?: boolean; moving?: boolean } = {}): { host: string; found: NonNullable<Parameters<typeof locate>[0]['answers'][number]['found']> } => ({
    host, found: { id: 'c', name: 'web', running: more.running ?? true, ...(more.moving ? { moving: details('m1', 1) } : {}) },
  });
  const ask = (more: Partial<Parameters<typeof locate>[0]>): string => locate({ ref: 'web', answers: [], silent: [], claimed: [], ...more });

  test.each<[string, Partial<Parameters<typeof locate>[0]>, string]>([
    ['on the one that has it', { answers: [{ host: 'h1' }, has('h2')] }, 'h2'],
    ['where it runs, if another has a stopped one', { answers: [has('h1', { running: false }), has('h2')] }, 'h2'],
    ['where it is stopped, for that one to say so', { answers: [has('h1', { running: false }), { host: 'h2' }] }, 'h1'],
    ['on the one that has it, though another is silent', { answers: [has('h1')], silent: ['h3'] }, 'h1'],
  ])('%s', (_, traces, host) => expect(ask(traces)).toBe(host));

  test.each<[string, Partial<Parameters<typeof locate>[0]>, RegExp]>([
    ['no-container', { answers: [{ host: 'h1' }] }, /on any host$/],
    ['no-container', { answers: [{ host: 'h1' }], silent: ['h3'] }, /and h3 does not answer/],
    ['host-silent', { answers: [{ host: 'h1' }], silent: ['h3'], claimed: ['h3'] }, /is on h3, which does not answer/],
    ['ambiguous', { answers: [has('h1'), has('h2'), has('h3')] }, /^h1, h2 and h3 have/],
    ['ambiguous', { answers: [has('h1')], silent: ['h3'], claimed: ['h1', 'h3'] }, /^h1 and h3 have/],
    ['moving-already', { answers: [has('h1', { moving: true }), has('h2')] }, /being moved to h2 already/],
  ])('%s', (code, traces, message) => {
    expect(() => ask(traces)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string, hint: expect.stringMatching(/\S/) as string }) as Error);
  });
});

test.each([
  ['copying', { action: 'die' }, 'stopped-meanwhile'],
  ['copying', { action: 'kill', signal: '15' }, 'stopped-meanwhile'],
  ['copying', { action: 'kill', signal: '10' }, undefined],
  ['copying', { action: 'pause' }, 'paused'],
  ['frozen', { action: 'kill', signal: '10' }, 'signalled'],
  ['frozen', { action: 'kill', signal: '9' }, 'stopped-meanwhile'],
  ['restoring', { action: 'kill', signal: '15' }, 'along 15'],
  ['restoring', { action: 'die' }, undefined],
  ['cleaned', { action: 'kill', signal: '9' }, undefined],
] as const)('while %s, %j: %s', (phase, event, wanted) => {
  const answer = judge(event, phase, 'web');
  expect(answer?.take === 'back' ? answer.why.code : answer && `along ${answer.signal}`).toBe(wanted);
});
