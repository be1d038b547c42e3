import colors from 'picocolors';
import { describe, expect, test } from 'vitest';
import { listingText } from '../../../plugin/cli/render/listing.ts';
import { advance, liveLine, plainLine, type Progress } from '../../../plugin/cli/render/progress.ts';
import { reportText, whereabouts } from '../../../plugin/cli/render/report.ts';
import { setupText } from '../../../plugin/cli/render/setup.ts';
import { statusText } from '../../../plugin/cli/render/status.ts';
import { bytes, duration, millis } from '../../../plugin/cli/render/units.ts';
import type { MigrationEvent } from '../../../plugin/agent/api.ts';
import { listing, report, status } from './support.ts';

const plain = colors.createColors(false);
const coloured = colors.createColors(true);

describe('units', () => {
  test.each([
    [0, '0 B'], [999, '999 B'], [1000, '1 kB'], [1234, '1.23 kB'], [12_345, '12.3 kB'], [123_456, '123 kB'],
    [999_499, '999 kB'], [999_500, '1 MB'], [52_428_800, '52.4 MB'], [1e9, '1 GB'], [5e15, '5000 TB'],
  ])('%d bytes is %s', (count, text) => expect(bytes(count)).toBe(text));

  test.each([
    [0, '0 ms'], [312.4, '312 ms'], [999.4, '999 ms'], [999.6, '1.00 s'], [4213, '4.21 s'], [59_994, '59.99 s'],
    [59_996, '1 min 0 s'], [125_000, '2 min 5 s'],
  ])('%d ms is %s', (ms, text) => expect(duration(ms)).toBe(text));

  test.each([[0, '0.0'], [4.25, '4.3'], [9.94, '9.9'], [9.96, '10'], [312.4, '312']])('%d in a column is %s', (ms, text) => expect(millis(ms)).toBe(text));
});

test('ls', () => {
  expect(listingText(listing)).toBe(`HOST    ADDRESS     STORE
alpha   192.0.2.1   member
beta    192.0.2.2   -

NETWORK   SUBNET         GATEWAY     VNI    MTU
n1        10.42.0.0/24   10.42.0.1   4242   1450
-         10.43.0.0/24   10.43.0.1   4243   1450

CONTAINER   NETWORK   IP          MAC                 HOST                     PORTS
web         n1        10.42.0.2   02:42:0a:2a:00:02   alpha                    -
worker      n1        10.42.0.3   02:42:0a:2a:00:03   alpha (moving to beta)   -
-           n1        10.42.0.4   -                   beta                     -
db          n1        10.42.0.5   -                   beta                     alpha:8080->80/tcp, beta 127.0.0.1:53->5353/udp
`);
});

test('ls of nothing shows the heads', () => {
  expect(listingText({ hosts: [], networks: [], endpoints: [] })).toBe('HOST   ADDRESS   STORE\n\nNETWORK   SUBNET   GATEWAY   VNI   MTU\n\nCONTAINER   NETWORK   IP   MAC   HOST   PORTS\n');
});

test('status', () => {
  expect(statusText(status, plain)).toBe(`Host:     alpha (192.0.2.1)
Agent:    9.8.7 (API 1)
Store:    ok, http://192.0.2.1:2379, revision 17
Engine:   Docker 28.2.2 (API 1.50)
Runtime:  registered
CRIU:     not found

HOST    ADDRESS     VERSION   STORE   CARRIES   STATE
alpha   192.0.2.1   9.8.7     -       -         this host
beta    192.0.2.2   -         -       1400 B    unreachable

PROBLEM  MTU  the path to beta carries 1400 bytes
              → raise it

MIGRATION   CONTAINER   FROM    TO     PHASE
m1          web         alpha   beta   copying
`);
});

test('status marks what is wrong, and only that', () => {
  const text = statusText({ ...status, store: { ...status.store, state: 'away' }, runtime: 'missing' }, coloured);
  const red = [...text.matchAll(/\x1b\[31m(.*?)\x1b\[39m/g)].map(([, word]) => word);
  expect(red).toEqual(['away', 'missing', 'not found', 'unreachable', 'PROBLEM']);
});

test('report', () => {
  expect(reportText(report, plain)).toBe(`web moved from alpha to beta in 4.21 s, and stood still for 312 ms of it.

PHASE        MS
planned     120
copying    3500
frozen      4.3
total      4213
blackout    312

DURING THE BLACKOUT   HOST      AT    MS
dump                  alpha   3700   180

Carried: memory 52.4 MB, state 1.2 kB, files 0 B, image 1 GB
`);
});

test.each([
  ['refused', 'Nothing was changed.'],
  ['rolled-back', 'Everything was undone: web is on alpha, and stood still for 312 ms.'],
  ['in-doubt', "web stays frozen on alpha until beta can say whether it runs there: see 'docker coat status'."],
] as const)('after %s', (outcome, sentence) => {
  expect(whereabouts({ ...report, outcome })).toBe(sentence);
});

describe('progress', () => {
  const after = (...all: [now: number, event: MigrationEvent][]): Progress =>
    all.reduce<Progress>((progress, [now, event]) => advance(progress, event, now), { phase: 'asking' });
  const load = (what: string, count: number, total?: number): MigrationEvent => ({ type: 'progress', what, bytes: count, ...(total === undefined ? {} : { total }) });

  test('phase, bytes, share, rate', () => {
    const progress = after([0, { type: 'phase', phase: 'copying' }], [100, load('memory', 10e6, 100e6)], [1100, load('memory', 60e6, 100e6)]);
    expect(liveLine(progress, 1200, 80)).toBe('  1.20 s  copying     memory 60 MB of 100 MB (60 %), 50 MB/s');
  });

  test('without a total, and a first sample has no rate', () => {
    expect(liveLine(after([0, load('files', 5e6)]), 10, 80)).toBe('   10 ms  asking      files 5 MB');
  });

  test('the rate begins anew with other bytes, a smaller count or another phase', () => {
    const first: [number, MigrationEvent][] = [[0, load('memory', 0)], [1000, load('memory', 9e6)]];
    expect(liveLine(after(...first), 1000, 80)).toContain('9 MB/s');
    expect(liveLine(after(...first, [1100, load('files', 1e6)]), 1100, 80)).not.toContain('/s');
    expect(liveLine(after(...first, [1100, load('memory', 1e6)]), 1100, 80)).not.toContain('/s');
    expect(liveLine(after(...first, [1100, { type: 'phase', phase: 'frozen' }]), 1100, 80)).toBe('  1.10 s  frozen    ');
  });

  test('it never wraps, and cannot move the cursor', () => {
    const progress = after([0, load('\x1b[2J\nmemory of something with a long name', 1)]);
    expect(liveLine(progress, 0, 40)).toHaveLength(39);
    expect(liveLine(progress, 0, 200)).not.toMatch(/\p{Cc}/u);
  });

  test('in a log only phases matter', () => {
    expect(plainLine({ type: 'phase', phase: 'frozen' }, 1500)).toBe('  1.50 s  frozen');
    expect(plainLine(load('memory', 1), 0)).toBeUndefined();
  });
});

test('setup shows the lines that change, among the others', () => {
  const file = '/etc/docker/daemon.json';
  expect(setupText({ file, before: '{\n  "a": 1\n}\n', after: '{\n  "a": 1,\n  "b": 2\n}\n' }, {}, plain)).toBe(`${file} changes:
  {
-   "a": 1
+   "a": 1,
+   "b": 2
  }
The engine has read it anew. No container was touched.
`);
  expect(setupText({ file, after: '{}\n' }, { dryRun: true }, plain)).toBe(`${file} is new:\n+ {}\nNothing was changed: this was a dry run.\n`);
  expect(setupText({ file, before: '{}\n' }, { undo: true }, plain)).toMatch(/ is removed:\n- \{\}\n/);
  expect(setupText({ file, before: '{}', after: '{}' }, {}, plain)).toBe(`${file} has the runtime coat, and the engine knows it.\n`);
  expect(setupText({ file, before: '{}', after: '{}' }, { undo: true }, plain)).toBe(`${file} has nothing of coat's.\n`);
});
