import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { MigrationEvent, Problem } from '../../../plugin/agent/api.ts';
import { coat, events, FakeAgent, json, report, start } from './support.ts';

const POST = 'POST /v1/migrations';
const started: MigrationEvent = { type: 'started', id: 'm1', container: 'web', from: 'alpha', to: 'beta' };
const course: MigrationEvent[] = [
  started,
  { type: 'phase', phase: 'planned' },
  { type: 'phase', phase: 'copying' },
  { type: 'progress', what: 'memory', bytes: 5, total: 10 },
  { type: 'warning', message: 'slow link' },
];
const problem: Problem = { code: 'no-space', message: 'beta has too little space.', hint: 'Make room.' };
const success = events(...course, { type: 'done', report });
const failure = events(...course, { type: 'failed', problem, report: { ...report, outcome: 'rolled-back' } });

describe('a move that succeeds', () => {
  test('progress and warnings on stderr, the breakdown on stdout', async () => {
    await using agent = await FakeAgent.listen({ [POST]: success });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect(code).toBe(0);
    expect(stderr.replace(/^ *[\d.]+ m?s/gm, 'TIME')).toBe(`web: alpha to beta, migration m1
TIME  planned
TIME  copying
warning: slow link
warning: the image had to be sent
`);
    expect(stdout).toMatch(/^web moved from alpha to beta in 4\.21 s, and stood still for 312 ms of it\.\n\nPHASE +MS\n/);
    expect(agent.asked).toEqual([{ method: 'POST', url: '/v1/migrations', body: { container: 'web', to: 'beta' } }]);
  });

  test('--keep is passed on, the other flags are not', async () => {
    await using agent = await FakeAgent.listen({ [POST]: success });
    await coat(['coat', 'migrate', '--keep', '--json', '-q', 'web', 'beta'], agent);
    expect(agent.asked[0]!.body).toEqual({ container: 'web', to: 'beta', keep: true });
  });

  test('--quiet prints nothing', async () => {
    await using agent = await FakeAgent.listen({ [POST]: success });
    expect(await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  test('--json prints the report and nothing else', async () => {
    await using agent = await FakeAgent.listen({ [POST]: success });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(report);
  });

  test('events of a newer agent are passed over', async () => {
    const unknown = { type: 'weather', sky: 'blue' } as unknown as MigrationEvent;
    await using agent = await FakeAgent.listen({ [POST]: events(started, unknown, { type: 'done', report }) });
    expect(await coat(['coat', 'migrate', 'web', 'beta'], agent)).toMatchObject({ code: 0 });
  });

  test('events may arrive in pieces, cut anywhere', async () => {
    const bytes = Buffer.from(`${[...course, { type: 'done', report: { ...report, container: 'wéb→' } }].map((event) => JSON.stringify(event)).join('\n')}\n`);
    await using agent = await FakeAgent.listen({
      [POST]: async (_request, response) => {
        for (let at = 0; at < bytes.length; at += 7) {
          response.write(bytes.subarray(at, at + 7));
          await new Promise(setImmediate);
        }
        response.end();
      },
    });
    const { code, stdout } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, head: stdout.slice(0, 10) }).toEqual({ code: 0, head: 'wéb→ moved' });
  });
});

describe('a move that does not succeed', () => {
  test('says why and where the container is', async () => {
    await using agent = await FakeAgent.listen({ [POST]: failure });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/beta has too little space\.\nMake room\.\nEverything was undone: web is on alpha, and stood still for 312 ms\.\n$/);
  });

  test('--quiet still says so', async () => {
    await using agent = await FakeAgent.listen({ [POST]: failure });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^beta has too little space\.\n/);
  });

  test('--json adds the problem to the report', async () => {
    await using agent = await FakeAgent.listen({ [POST]: failure });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ ...report, outcome: 'rolled-back', problem });
  });

  test('done with another outcome is no success', async () => {
    await using agent = await FakeAgent.listen({ [POST]: events(started, { type: 'done', report: { ...report, outcome: 'in-doubt' } }) });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('web stays frozen on alpha');
  });

  test('refused before it began', async () => {
    await using agent = await FakeAgent.listen({ [POST]: json({ code: 'unknown-host', message: 'There is no host gamma.' }, 404) });
    expect(await coat(['coat', 'migrate', 'web', 'gamma'], agent)).toMatchObject({ code: 1, stdout: '', stderr: 'There is no host gamma.\n' });
    const { stdout } = await coat(['coat', 'migrate', '--json', 'web', 'gamma'], agent);
    expect(JSON.parse(stdout)).toEqual({ problem: { code: 'unknown-host', message: 'There is no host gamma.' } });
  });
});

describe('an agent that dies in the middle', () => {
  const begin = (response: ServerResponse): void => {
    response.writeHead(200);
    for (const event of course) response.write(`${JSON.stringify(event)}\n`);
  };
  const deaths: [string, (response: ServerResponse) => void][] = [
    ['the stream ends', (response) => response.end()],
    ['the stream ends within a line', (response) => response.end('{"type":"do')],
    ['the connection breaks', (response) => void setTimeout(() => response.destroy(), 50)],
  ];
  test.each(deaths)('%s', async (_name, die) => {
    await using agent = await FakeAgent.listen({ [POST]: (_request, response) => { begin(response); die(response); } });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/The coat agent went away before it said how the migration ended\.\nIt finishes or undoes .* see 'docker coat status'\.\n$/);
  });

  test('an event that is not JSON', async () => {
    await using agent = await FakeAgent.listen({ [POST]: (_request, response) => { begin(response); response.end('oops\n'); } });
    expect(await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent)).toMatchObject({ code: 1, stderr: 'The coat agent sent an event that is not JSON.\n' });
  });
});

describe('cancelling', () => {
  /** An agent that begins, and never ends by itself. */
  async function endless(): Promise<{ agent: FakeAgent; began: Promise<unknown>; closed: Promise<unknown> }> {
    const seen = new EventEmitter();
    const [began, closed] = [once(seen, 'began'), once(seen, 'closed')];
    const agent = await FakeAgent.listen({
      [POST]: (_request, response) => {
        response.on('close', () => seen.emit('closed'));
        response.writeHead(200);
        response.write(`${JSON.stringify(started)}\n`, () => seen.emit('began'));
      },
    });
    return { agent, began, closed };
  }

  test.each([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const)('%s closes the request and exits with %d', async (signal, code) => {
    const { agent, began, closed } = await endless();
    await using _undo = agent;
    const { child, ended } = await start(['coat', 'migrate', 'web', 'beta'], agent);
    await Promise.all([began, once(child.stderr!, 'data')]);
    child.kill(signal);
    expect(await ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/\ncancelling… web stays on this host, unless .*\nSee 'docker coat status' .*\n$/) as string });
    await closed;
  });

  test('--json says so in its document', async () => {
    const { agent, began } = await endless();
    await using _undo = agent;
    const { child, ended } = await start(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    await began;
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ problem: { code: 'cancelled' } });
  });

  test('docker closing its socket is a wish to stop', async () => {
    const { agent, began, closed } = await endless();
    await using _undo = agent;
    const name = `coat_test_${process.pid}`;
    const docker = createServer().listen(`\0${name}`);
    await once(docker, 'listening');
    const { ended } = await start(['coat', 'migrate', 'web', 'beta'], { env: { ...agent.env, DOCKER_CLI_PLUGIN_SOCKET: `@${name}` } });
    await began;
    docker.close();
    expect(await ended).toMatchObject({ code: 130 });
    await closed;
  });
});
