import { expect, test } from 'vitest';
import type { Problem, Report } from '../../plugin/agent/api.ts';
import { agents, expectNoGrowth } from '../support/agent.ts';
import { docker, h1, h2, h3, h4, IMAGE, where } from '../support/hosts.ts';
import { type Container, scene } from '../support/scene.ts';

/** How many small containers a host is drained of, there and back. More, by hand: COAT_DRAIN=100. */
const MANY = Number(process.env['COAT_DRAIN'] ?? 8);

type Result = Pick<Report, 'container' | 'from' | 'to' | 'outcome'> & { problem?: Problem };

test('several at once from one host to another, and all of a network back, from a third', scene(async (scene) => {
  const servers = [await scene.echo(h1), await scene.echo(h1)];
  const peers = [await scene.peer(servers[0]!, { hz: 100 }), await scene.peer(servers[1]!, { hz: 100 })];
  const { stdout } = await h3.exec(['docker', 'coat', 'migrate', '--parallel', '2', ...servers.map(({ name }) => name), 'h4'], { timeout: 90_000 });
  expect(stdout).toMatch(/^CONTAINER +FROM +TO +OUTCOME .*\n(\S+ +h1 +h4 +moved .*\n){2}\n2 of 2 moved\.\n$/);
  for (const { name } of servers) expect(await where(name)).toEqual({ h4: 'running' });
  for (const peer of peers) await peer.goesOn();
  await h3.exec(['docker', 'coat', 'migrate', '-q', '--all-on-network', 'shop', 'h3'], { timeout: 90_000 });
  for (const { name } of [...servers, ...peers]) expect(await where(name)).toEqual({ h3: 'running' });
  for (const peer of peers) await peer.unharmed();
}));

test('a host is drained: what can move goes where there is room, the rest is named', scene(async (scene) => {
  const servers: Container[] = [];
  for (let i = 0; i < 3; i++) servers.push(await scene.echo(h4));
  const [peer] = [await scene.peer(servers[0]!, { hz: 100 })];
  const stubborn = await scene.run(h4, 'stubborn', ['sleep', 'infinity'], ['--ipc', 'host']);
  const { code, stdout } = await h1.exec(['docker', 'coat', 'drain', 'h4', '--to', 'h1', 'h2', '--json'], { okCodes: [0, 1], timeout: 120_000 });
  const results = JSON.parse(stdout) as Result[];
  expect(code).toBe(1);
  const stayed = results.filter(({ problem }) => problem !== undefined);
  expect(stayed).toMatchObject([{ container: stubborn.name, outcome: 'refused', problem: { code: 'ipc-mode' } }]);
  for (const { name } of servers) {
    const { to } = results.find(({ container }) => container === name)!;
    expect(['h1', 'h2']).toContain(to);
    expect(await where(name)).toEqual({ [to]: 'running' });
  }
  // spread over both, which have the same memory
  expect(new Set(results.filter(({ problem }) => problem === undefined).map(({ to }) => to)).size).toBe(2);
  expect(await where(stubborn.name)).toEqual({ h4: 'running' });
  await docker(h4, 'rm', '--force', stubborn.name);
  expect((await h1.exec(['docker', 'coat', 'drain', 'h4'])).stdout).toBe('There is nothing to move.\n');
  await peer.unharmed();
}));

test(`a host is drained of ${MANY} small containers, four at a time, and gets them back; nothing grows`, scene(async (scene) => {
  const names = Array.from({ length: MANY }, () => scene.name('small'));
  const script = `printf '%s\\n' ${names.join(' ')} | xargs -P 4 -I {} docker run --detach --name {} --network shop ${IMAGE} sleep infinity`;
  await h2.exec(['sh', '-c', script], { timeout: 60_000 + MANY * 5_000 });
  const server = await scene.echo(h2);
  const peer = await scene.peer(server, { hz: 100 });
  const drained = async (from: string, to: string): Promise<void> => {
    const { stdout } = await h1.exec(['docker', 'coat', 'drain', from, '--to', to, '--parallel', '4', '--json'], { timeout: 60_000 + MANY * 10_000 });
    const results = JSON.parse(stdout) as Result[];
    expect(results.filter(({ problem }) => problem !== undefined)).toEqual([]);
    expect(results.map(({ container }) => container).sort()).toEqual([...names, server.name].sort());
    for (const { name } of [{ name: names[0]! }, server]) expect(await where(name)).toEqual({ [to]: 'running' });
  };
  const before = await agents();
  await drained('h2', 'h4');
  await drained('h4', 'h2');
  await expectNoGrowth(before);
  server.host = h2;
  await peer.unharmed();
}), 120_000 + MANY * 30_000);
