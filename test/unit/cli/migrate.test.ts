import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { MigrationEvent, Problem } from '../../../plugin/agent/api.ts';
import { coat, EVENTS, FakeAgent, json, migration, moving, POST, report, sse, start } from './support.ts';

const started: MigrationEvent = { type: 'started', id: 'm1', container: 'web', from: 'alpha', to: 'beta' };
const course: MigrationEvent[] = [
  started,
  { type: 'phase', phase: 'planned' },
  { type: 'phase', phase: 'copying' },
  { type: 'progress', what: 'memory', bytes: 5, total: 10 },
  { type: 'warning', message: 'slow link' },
];
const problem: Problem = { code: 'no-space', message: 'beta has too little space.', hint: 'Make room.' };
const success = moving(...course, { type: 'done', report });
const failure = moving(...course, { type: 'failed', problem, report: { ...report, outcome: 'rolled-back' } });

describe('a move that succeeds', () => {
  test('progress and warnings on stderr, the breakdown on stdout', async () => {
    await using agent = await FakeAgent.listen(success);
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect(code).toBe(0);
    expect(stderr.replace(/^ *[\d.]+ m?s/gm, 'TIME')).toBe(`web: alpha to beta, migration m1
TIME  planned
TIME  copying
warning: slow link
warning: the image had to be sent
`);
    expect(stdout).toMatch(/^web moved from alpha to beta in 4\.21 s, and stood still for 312 ms of it\.\n\nPHASE +MS\n/);
    expect(agent.asked).toEqual([{ method: 'POST', url: '/v1/migrations', body: { container: 'web', to: 'beta' } }, { method: 'GET', url: '/v1/migrations/m1/events', body: undefined }]);
  });

  test('--keep is passed on, the other flags are not', async () => {
    await using agent = await FakeAgent.listen(success);
    await coat(['coat', 'migrate', '--keep', '--from', 'alpha', '--json', '-q', 'web', 'beta'], agent);
    expect(agent.asked[0]!.body).toEqual({ container: 'web', to: 'beta', keep: true, from: 'alpha' });
  });

  test('--quiet prints nothing', async () => {
    await using agent = await FakeAgent.listen(success);
    expect(await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  test('--json prints the report and nothing else', async () => {
    await using agent = await FakeAgent.listen(success);
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(report);
  });

  test('events of a newer agent are passed over', async () => {
    const unknown = { type: 'weather', sky: 'blue' } as unknown as MigrationEvent;
    await using agent = await FakeAgent.listen(moving(started, unknown, { type: 'done', report }));
    expect(await coat(['coat', 'migrate', 'web', 'beta'], agent)).toMatchObject({ code: 0 });
  });

  test('events may arrive in pieces, cut anywhere', async () => {
    const bytes = Buffer.from([...course, { type: 'done', report: { ...report, container: 'wéb→' } } satisfies MigrationEvent].map(sse).join(''));
    await using agent = await FakeAgent.listen({
      [POST]: json(migration, 201),
      [EVENTS]: async (_request, response) => {
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
    await using agent = await FakeAgent.listen(failure);
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/beta has too little space\.\nMake room\.\nEverything was undone: web is on alpha, and stood still for 312 ms\.\n$/);
  });

  test('--quiet still says so', async () => {
    await using agent = await FakeAgent.listen(failure);
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^beta has too little space\.\n/);
  });

  test('--json adds the problem to the report', async () => {
    await using agent = await FakeAgent.listen(failure);
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ ...report, outcome: 'rolled-back', problem });
  });

  test('done with another outcome is no success', async () => {
    await using agent = await FakeAgent.listen(moving(started, { type: 'done', report: { ...report, outcome: 'in-doubt' } }));
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('web stays frozen on alpha');
  });

  test('refused before it began', async () => {
    await using agent = await FakeAgent.listen({ [POST]: json({ code: 'unknown-host', message: 'There is no host gamma.' }, 404) });
    expect(await coat(['coat', 'migrate', 'web', 'gamma'], agent)).toMatchObject({ code: 1, stdout: '', stderr: 'There is no host gamma.\n' });
    const { stdout } = await coat(['coat', 'migrate', '--json', 'web', 'gamma'], agent);
    expect(JSON.parse(stdout)).toEqual({ container: 'web', to: 'gamma', outcome: 'refused', problem: { code: 'unknown-host', message: 'There is no host gamma.' } });
  });
});

describe('an agent that goes away in the middle', () => {
  const begin = (response: ServerResponse): void => {
    response.writeHead(200);
    course.forEach((event, index) => response.write(sse(event, index)));
  };
  const breaks: [string, (response: ServerResponse) => void][] = [
    ['the stream ends', (response) => response.end()],
    ['the stream ends within a line', (response) => response.end('data: {"type":"do')],
    ['the connection breaks', (response) => void setTimeout(() => response.destroy(), 50)],
  ];
  test.each(breaks)('%s, and it stays away', async (_name, end) => {
    let times = 0;
    await using agent = await FakeAgent.listen({
      [POST]: json(migration, 201),
      [EVENTS]: (request, response) => {
        if ((times += 1) > 1) return void response.destroy();
        begin(response);
        end(response);
      },
    });
    const { code, stdout, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], { env: { ...agent.env, COAT_PATIENCE: '0.2' } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/The coat agent went away before it said how the migration ended\.\nIt finishes or undoes .* see 'docker coat history'\.\n$/);
  });

  test.each(breaks)('%s, and it is back: each event is heard once', async (_name, end) => {
    const heard: (string | undefined)[] = [];
    await using agent = await FakeAgent.listen({
      [POST]: json(migration, 201),
      [EVENTS]: (request, response) => {
        heard.push(request.headers['last-event-id'] as string | undefined);
        if (heard.length > 1) return void response.end(sse({ type: 'done', report }, 9));
        begin(response);
        end(response);
      },
    });
    const { code, stderr } = await coat(['coat', 'migrate', 'web', 'beta'], agent);
    expect(code).toBe(0);
    expect(heard).toEqual([undefined, String(course.length)]);
    expect(stderr.match(/copying/g)).toHaveLength(1);
  });

  test('an event that is not JSON', async () => {
    await using agent = await FakeAgent.listen({ [POST]: json(migration, 201), [EVENTS]: (_request, response) => { begin(response); response.end('data: oops\n\n'); } });
    expect(await coat(['coat', 'migrate', '-q', 'web', 'beta'], agent)).toMatchObject({ code: 1, stderr: 'The coat agent sent an event that is not JSON.\n' });
  });
});

describe('cancelling', () => {
  const cancelled: Problem = { code: 'cancelled', message: 'the move was cancelled', hint: 'web goes on where it was' };

  /** An agent whose move ends only when it is cancelled, if it can be. */
  async function endless(late?: Problem): Promise<{ agent: FakeAgent; began: Promise<unknown> }> {
    const seen = new EventEmitter();
    const began = once(seen, 'began');
    let open: ServerResponse | undefined;
    const agent = await FakeAgent.listen({
      [POST]: json(migration, 201),
      [EVENTS]: (_request, response) => {
        open = response;
        response.writeHead(200);
        response.write(sse(started, 0), () => seen.emit('began'));
      },
      'POST /v1/migrations/m1/cancel': (request, response) => {
        json(late ?? migration, late === undefined ? 202 : 409)(request, response);
        const last: MigrationEvent = late === undefined ? { type: 'failed', problem: cancelled, report: { ...report, outcome: 'rolled-back' } } : { type: 'done', report };
        setTimeout(() => open!.end(sse(last, 1)), 100);
      },
    });
    return { agent, began };
  }

  test.each([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const)('%s cancels, waits for the end and exits with %d', async (signal, code) => {
    const { agent, began } = await endless();
    await using _undo = agent;
    const { child, ended } = await start(['coat', 'migrate', 'web', 'beta'], agent);
    await Promise.all([began, once(child.stderr!, 'data')]);
    child.kill(signal);
    const end = await ended;
    expect(end).toMatchObject({ code, stdout: '' });
    expect(end.stderr).toMatch(/\ncancelling… web stays on alpha\n.*the move was cancelled\nweb goes on where it was\nEverything was undone: web is on alpha/s);
  });

  test('after the commit it is too late, and said so', async () => {
    const { agent, began } = await endless({ code: 'too-late', message: 'it is too late to cancel the move of web' });
    await using _undo = agent;
    const { child, ended } = await start(['coat', 'migrate', 'web', 'beta'], agent);
    await Promise.all([began, once(child.stderr!, 'data')]);
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect({ code, head: stdout.slice(0, 30) }).toEqual({ code: 0, head: 'web moved from alpha to beta i' });
    expect(stderr).toContain('it is too late to cancel the move of web');
  });

  test('--json says so in its document', async () => {
    const { agent, began } = await endless();
    await using _undo = agent;
    const { child, ended } = await start(['coat', 'migrate', '--json', 'web', 'beta'], agent);
    await began;
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'rolled-back', problem: { code: 'cancelled' } });
  });

  test('docker closing its socket is a wish to stop', async () => {
    const { agent, began } = await endless();
    await using _undo = agent;
    const name = `coat_test_${process.pid}`;
    const docker = createServer().listen(`\0${name}`);
    await once(docker, 'listening');
    const { ended } = await start(['coat', 'migrate', 'web', 'beta'], { env: { ...agent.env, DOCKER_CLI_PLUGIN_SOCKET: `@${name}` } });
    await began;
    docker.close();
    expect(await ended).toMatchObject({ code: 130 });
  });
});
