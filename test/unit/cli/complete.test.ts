import { describe, expect, test } from 'vitest';
import { coat, FakeAgent, json, listing, migration, version } from './support.ts';

const moves = json({ migrations: [migration], silent: [] });
const routes = { 'GET /v1/migrations?state=running': moves, 'GET /v1/migrations?limit=20': moves, 'GET /v1/endpoints': json(listing), 'GET /v1/version': json(version) };

/** What the shell is offered, without descriptions. */
async function offered(words: string[], env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { code, stdout } = await coat(['__completeNoDesc', 'coat', ...words], { env });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.pop()).toBe(':4');
  return lines;
}

describe('completion', () => {
  test.each([
    [[''], ['migrate', 'drain', 'cancel', 'history', 'inspect', 'ls', 'network', 'status', 'doctor', 'setup', 'init', 'token', 'join', 'leave', 'rm', 'promote', 'demote', 'api', 'version', 'help']],
    [['mi'], ['migrate']],
    [['x'], []],
    [['help', ''], ['migrate', 'drain', 'cancel', 'history', 'inspect', 'ls', 'network', 'status', 'doctor', 'setup', 'init', 'token', 'join', 'leave', 'rm', 'promote', 'demote', 'api', 'version']],
    [['help', 'ls', ''], []],
    [['-'], ['--help']],
    [['ls', '--'], ['--json', '--format', '--help']],
    [['network', ''], ['ls', 'create', 'rm', 'inspect']],
    [['network', 'i'], ['inspect']],
    [['network', 'nope', ''], []],
    [['network', 'ls', '--j'], ['--json']],
    [['ls', ''], []],
    [['migrate', '-'], ['--from', '--all-on-network', '--parallel', '--json', '--quiet', '--keep', '--strategy', '--volumes', '--max-blackout', '--timeout', '--ignore-cpu', '--format', '--help']],
    [['migrate', '-q', '--keep', '--'], ['--from', '--all-on-network', '--parallel', '--json', '--strategy', '--volumes', '--max-blackout', '--timeout', '--ignore-cpu', '--format', '--help']],
    [['nope', ''], []],
  ])('%j offers %j', async (words, values) => {
    expect(await offered(words)).toEqual(values);
  });

  test('containers of all hosts, then the hosts they are not on', async () => {
    await using agent = await FakeAgent.listen(routes);
    expect(await offered(['migrate', ''], agent.env)).toEqual(['web', 'worker', 'db']);
    expect(await offered(['migrate', 'we'], agent.env)).toEqual(['web']);
    expect(await offered(['migrate', '--keep', 'web', ''], agent.env)).toEqual(['beta', 'worker', 'db']);
    expect(await offered(['migrate', 'web', 'beta', ''], agent.env)).toEqual([]);
    expect(await offered(['migrate', '--format', '{{.To}}', 'web', ''], agent.env)).toEqual(['beta', 'worker', 'db']);
    expect(await offered(['migrate', 'web', 'db', ''], agent.env)).toEqual(['alpha', 'beta', 'worker']);
    expect(await offered(['network', 'inspect', ''], agent.env)).toEqual(['n1', '10.43.0.0/24']);
    expect(await offered(['network', 'inspect', 'n1', ''], agent.env)).toEqual(['10.43.0.0/24']);
    expect(await offered(['network', 'rm', 'n1', ''], agent.env)).toEqual(['10.43.0.0/24']);
    expect(await offered(['migrate', '--all-on-network', ''], agent.env)).toEqual(['n1', '10.43.0.0/24']);
    expect(await offered(['migrate', '--all-on-network', 'n1', ''], agent.env)).toEqual(['alpha', 'beta']);
    expect(await offered(['migrate', '--from', ''], agent.env)).toEqual(['alpha', 'beta']);
    expect(await offered(['drain', ''], agent.env)).toEqual(['beta']);
    expect(await offered(['cancel', ''], agent.env)).toEqual(['web']);
    expect(await offered(['inspect', ''], agent.env)).toEqual(['m1']);
    expect(await offered(['rm', ''], agent.env)).toEqual(['beta']);
    expect(await offered(['rm', 'beta', ''], agent.env)).toEqual([]);
  });

  test('with descriptions', async () => {
    await using agent = await FakeAgent.listen(routes);
    const { stdout } = await coat(['__complete', 'coat', 'migrate', 'web', 'b'], agent);
    expect(stdout).toBe('beta\t192.0.2.2\n:4\n');
  });

  test('an agent that is away or on another machine offers nothing', async () => {
    await using agent = await FakeAgent.listen(routes);
    expect(await offered(['migrate', ''], { COAT_SOCKET: '/nonexistent/agent.sock' })).toEqual([]);
    expect(await offered(['migrate', ''], { ...agent.env, DOCKER_HOST: 'ssh://u@h' })).toEqual([]);
  });

  test('an agent that does not answer keeps nobody waiting', async () => {
    await using agent = await FakeAgent.listen({ 'GET /v1/endpoints': () => undefined, 'GET /v1/version': json(version) });
    const began = performance.now();
    expect(await offered(['migrate', ''], agent.env)).toEqual([]);
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});
