import { describe, expect, test } from 'vitest';
import type { HostLoad, Migration, MigrationEvent, Problem, Report } from '../../../plugin/agent/api.ts';
import { chooseDestinations } from '../../../plugin/cli/drain.ts';
import { coat, FakeAgent, json, listing, migration, POST, report, sse } from './support.ts';

const GIB = 2 ** 30;
const load = (name: string, available: number, containers: [name: string, memory: number][] = []): HostLoad => ({
  name, address: '192.0.2.9', reachable: true, memory: { total: 10 * GIB, available: available * GIB }, containers: containers.map(([each, memory]) => ({ id: each, name: each, networks: ['n1'], memory: memory * GIB })),
});
const away: HostLoad = { name: 'gamma', address: '192.0.2.8', reachable: false, problem: 'host gamma cannot be reached' };

describe('where to', () => {
  const chosen = (leaving: [string, number][], ...to: HostLoad[]): string[] => chooseDestinations(load('x', 1, leaving).containers!, to).map(({ request, instead }) => `${request.container}>${[request.to, ...instead!].join()}`);

  test('the host with more memory left; the smallest goes first', () => {
    expect(chosen([['small', 0.1], ['large', 2]], load('a', 5), load('b', 9))).toEqual(['small>b,a', 'large>b,a']);
  });

  test('of hosts alike the one with fewer containers, which fill up in turn', () => {
    expect(chosen([['one', 0.1], ['two', 0.1], ['three', 0.1]], load('a', 5, [['other', 0.1]]), load('b', 5))).toEqual(['two>b,a', 'three>a,b', 'one>b,a']);
  });

  test('one that has room for it goes before one that has not', () => {
    expect(chosen([['large', 3]], { ...load('a', 5), memory: { total: 5.1 * GIB, available: 5 * GIB } }, load('b', 6.5))).toEqual(['large>b,a']);
  });
});

/** An agent whose moves end as `outcome` says. */
function moved(outcome: (request: { container: string; to: string }) => Problem | undefined): Promise<FakeAgent> & { at: () => number } {
  let most = 0;
  let now = 0;
  const routes: Parameters<typeof FakeAgent.listen>[0] = {
    'GET /v1/hosts': json([load('alpha', 5, [['web', 1], ['db', 2]]), load('beta', 5), load('delta', 4), away]),
    'GET /v1/endpoints': json(listing),
  };
  const agent = FakeAgent.listen(routes).then((listening) => {
    routes[POST] = (request, response) => {
      const wanted = listening.asked.at(-1)!.body as { container: string; to: string };
      const id = `m-${wanted.container}-${wanted.to}`;
      most = Math.max(most, (now += 1));
      routes[`GET /v1/migrations/${id}/events`] = (_request, stream) => {
        const problem = outcome(wanted);
        const ended: Report = { ...report, id, container: wanted.container, to: wanted.to, warnings: [], outcome: problem === undefined ? 'migrated' : 'refused' };
        const last: MigrationEvent = problem === undefined ? { type: 'done', report: ended } : { type: 'failed', problem, report: ended };
        setTimeout(() => {
          now -= 1;
          stream.end(sse(last, 0));
        }, 50);
      };
      json({ ...migration, id } satisfies Migration, 201)(request, response);
    };
    return listening;
  });
  return Object.assign(agent, { at: () => most });
}

const asked = (agent: FakeAgent): unknown[] => agent.asked.filter(({ method }) => method === 'POST').map(({ body }) => body);

describe('several at once', () => {
  test('one after the other, with a table at the end', async () => {
    const agents = moved(({ container }) => (container === 'db' ? { code: 'volume', message: 'db has a volume', hint: 'use a bind mount' } : undefined));
    await using agent = await agents;
    const { code, stdout } = await coat(['coat', 'migrate', 'web', 'db', 'worker', 'beta'], agent);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^CONTAINER +FROM +TO +OUTCOME +BLACKOUT +TOTAL\nweb +alpha +beta +moved .*\ndb +alpha +beta +refused .*\nworker +alpha +beta +moved .*\n\ndb: db has a volume\n {2}use a bind mount\n2 of 3 moved, 1 not\.\n$/);
    expect(asked(agent)).toEqual(['web', 'db', 'worker'].map((container) => ({ container, to: 'beta' })));
    expect(agents.at()).toBe(1);
  });

  test('some at a time, as many as are wanted', async () => {
    const agents = moved(() => undefined);
    await using agent = await agents;
    const { code, stdout, stderr } = await coat(['coat', 'migrate', '--parallel', '2', '--format', '{{.Container}} {{.Outcome}}', 'a', 'b', 'c', 'd', 'beta'], agent);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'a migrated\nb migrated\nc migrated\nd migrated\n', stderr: '' });
    expect(agents.at()).toBe(2);
  });

  test('all of a network that are not there yet, each from where it is', async () => {
    await using agent = await moved(() => undefined);
    const { code, stdout } = await coat(['coat', 'migrate', '--json', '--all-on-network', 'n1', 'beta'], agent);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ container: 'web' }, { container: 'worker' }]);
    expect(asked(agent)).toEqual([{ container: 'web', to: 'beta', from: 'alpha' }, { container: 'worker', to: 'beta', from: 'alpha' }]);
    expect(await coat(['coat', 'migrate', '--all-on-network', 'n9', 'beta'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^There is no coat network "n9"/) as string });
  });
});

describe('drain', () => {
  test('each container to a host that has room, and to another where that one refuses it', async () => {
    await using agent = await moved(({ container, to }) => (container === 'db' && to === 'beta' ? { code: 'name-taken', message: 'beta has a db' } : undefined));
    const { code, stdout, stderr } = await coat(['coat', 'drain', 'alpha'], agent);
    expect(code).toBe(0);
    expect(stdout).toContain('2 of 2 moved.');
    expect(stderr).toContain('2 of 2: db runs on delta');
    expect(asked(agent)).toEqual([{ container: 'web', to: 'delta', from: 'alpha' }, { container: 'db', to: 'beta', from: 'alpha' }, { container: 'db', to: 'delta', from: 'alpha' }]);
  });

  test('what no other host would take either is not tried again', async () => {
    await using agent = await moved(() => ({ code: 'privileged', message: 'it is privileged' }));
    expect((await coat(['coat', 'drain', '-q', 'alpha', '--to', 'beta', 'delta'], agent))).toMatchObject({ code: 1, stdout: '', stderr: 'web: it is privileged\ndb: it is privileged\n' });
    expect(asked(agent)).toHaveLength(2);
  });

  test.each([
    ['omega', 'There is no host omega.'],
    ['gamma', 'gamma cannot be drained: host gamma cannot be reached.'],
    ['alpha --to gamma', 'There is no host that could take what is on alpha.'],
  ])('drain %s', async (line, message) => {
    await using agent = await moved(() => undefined);
    const { code, stderr } = await coat(['coat', 'drain', ...line.split(' ')], agent);
    expect({ code, first: stderr.split('\n')[0] }).toEqual({ code: 1, first: message });
    expect(asked(agent)).toEqual([]);
  });

  test('an empty host', async () => {
    await using agent = await moved(() => undefined);
    expect(await coat(['coat', 'drain', 'beta', '--to', 'alpha'], agent)).toMatchObject({ code: 0, stdout: 'There is nothing to move.\n' });
  });
});

describe('moves that have been', () => {
  const ended: Migration = { ...migration, id: 'abcd1234-1', phase: 'cleaned', ended: 1_700_000_002_000, outcome: 'migrated', blackout: 312, total: 2000, bytes: report.bytes };
  const running: Migration = { ...migration, id: 'abcd9999-2', container: 'db', phase: 'copying' };
  const routes = (silent: string[] = []): Parameters<typeof FakeAgent.listen>[0] => ({
    'GET /v1/migrations': json({ migrations: [running, ended], silent }),
    'GET /v1/migrations?state=running': json({ migrations: [running], silent }),
    'GET /v1/migrations?host=beta&limit=2': json({ migrations: [ended], silent }),
    [`GET /v1/migrations/${ended.id}`]: json({ ...ended, request: { container: 'web', to: 'beta' }, report }),
    [`POST /v1/migrations/${running.id}/cancel`]: json(running, 202),
  });

  test('history', async () => {
    await using agent = await FakeAgent.listen(routes(['gamma']));
    const { code, stdout, stderr } = await coat(['coat', 'history'], agent);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'warning: gamma did not answer, and may remember more\n' });
    expect(stdout).toMatch(/^MIGRATION .*\nabcd9999 +db +alpha +beta +copying +- +- +- +\d+ days ago\nabcd1234 +web +alpha +beta +migrated +312 ms +2\.00 s +1\.05 GB +\d+ days ago\n$/);
    expect((await coat(['coat', 'history', '--host', 'beta', '-n', '2', '--format', '{{.Container}} {{.Outcome}} {{.Problem.Code}}'], agent)).stdout).toBe('web migrated \n');
  });

  test('inspect, by a beginning or by the container', async () => {
    await using agent = await FakeAgent.listen(routes());
    const { code, stdout } = await coat(['coat', 'inspect', 'abcd12'], agent);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Migration: +abcd1234-1\nContainer: +web\n/);
    expect(stdout).toMatch(/\nSTEP +HOST +AT +MS +BLACKOUT\npreflight +beta/);
    expect(JSON.parse((await coat(['coat', 'inspect', '--json', 'web'], agent)).stdout)).toMatchObject({ id: ended.id, report: { steps: [{}, {}] } });
    expect(await coat(['coat', 'inspect', 'abcd'], agent)).toMatchObject({ code: 1, stderr: '"abcd" is the beginning of 2 migrations.\nSay more of it: abcd9999-2, abcd1234-1.\n' });
    expect(await coat(['coat', 'inspect', 'nope'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^There is no migration "nope"\./) as string });
  });

  test('cancel', async () => {
    await using agent = await FakeAgent.listen(routes());
    expect(await coat(['coat', 'cancel', 'db'], agent)).toMatchObject({ code: 0, stdout: 'db stays on alpha; its move to beta is being taken back.\n' });
    expect(await coat(['coat', 'cancel', 'web'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Nothing of the name "web" is being moved\./) as string });
  });
});
