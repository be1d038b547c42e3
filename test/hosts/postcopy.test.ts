import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { agentAnswers, agentOf, engineAnswers, killAgent } from '../support/agent.ts';
import { docker, expectMoved, expectNotMoved, h1, h2, lab, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { journalSays, Memory } from '../support/memory.ts';
import { expectRemains, remains } from '../support/remains.ts';
import { scene, type Scene } from '../support/scene.ts';

const POSTCOPY = ['--strategy', 'postcopy'];

test('256 MiB follow a container there and back, between both engines, and every byte of them is right', scene(async (scene) => {
  const memory = await Memory.make(scene, h1);
  const { server } = memory;
  const peer = await scene.peer(server);
  for (const to of [h2, h1]) {
    const moved = await migrate(server.host, server.name, to.name, ...POSTCOPY);
    server.host = to;
    expectMoved(moved);
    expect(await where(server.name)).toEqual({ [to.name]: 'running' });
    await memory.intact();
    const { strategy, bytes, steps, blackout } = moved.report;
    expect(strategy).toBe('postcopy');
    expect(bytes.memory).toBeGreaterThan(256 << 20);
    const fetched = steps.find(({ name }) => name === 'fetch pages')!;
    expect(fetched.blackout).toBe(false);
    expect(fetched.start).toBeGreaterThan(blackout!);
    await peer.goesOn();
  }
  // it is whole, and may go as any other
  await server.moveTo(h2);
  await memory.intact();
  await peer.unharmed();
}));

test('auto: much memory goes ahead, little is carried, but by a slow line', scene(async (scene) => {
  const [large, small] = [await Memory.make(scene, h1, 256), await scene.echo(h1, { program: ['--mb=8'] })];
  expect((await migrate(h1, large.server.name, 'h2')).report.strategy).toBe('precopy');
  expect((await migrate(h1, small.name, 'h2')).report.strategy).toBe('cold');
  await large.intact();
  scene.finally(() => lab.limit('h1', null));
  await lab.limit('h1', '100mbit');
  expect((await migrate(h2, small.name, 'h1')).report.strategy).toBe('precopy');
}));

test('the link breaks before the commit: taken back, and nothing is left', scene(async (scene) => {
  const memory = await Memory.make(scene, h1, 32);
  const peer = await scene.peer(memory.server);
  await memory.server.exec('sh', '-c', 'head -c 30000000 /dev/urandom > /srv/ballast');
  const before = await remains();
  scene.finally(() => lab.heal());
  scene.finally(() => lab.limit('h2', null));
  await lab.limit('h2', '20mbit');
  const move = migrate(h1, memory.server.name, 'h2', ...POSTCOPY);
  await journalSays(h2, '"arriving"');
  await lab.cut('h1', 'h2');
  expectNotMoved(await move, { outcome: 'rolled-back', code: /./ });
  expect((await where(memory.server.name))['h1']).toBe('running');
  await memory.intact();
  await peer.goesOn();
  await lab.heal();
  await lab.limit('h2', null);
  await expectRemains(before);
  expectMoved(await migrate(h1, memory.server.name, 'h2', ...POSTCOPY));
  memory.server.host = h2;
  await memory.intact();
  await peer.unharmed();
}), 120_000);

/** A container that runs on h2 already, while its memory comes slowly, until the limit is lifted. */
async function halfThere(scene: Scene): Promise<{ memory: Memory; move: ReturnType<typeof migrate> }> {
  const memory = await Memory.make(scene, h1);
  scene.finally(() => lab.limit('h2', null));
  await lab.limit('h2', '100mbit');
  const move = migrate(h1, memory.server.name, 'h2', ...POSTCOPY);
  move.catch(() => undefined);
  await journalSays(h1, '"lending"');
  memory.server.host = h2;
  return { memory, move };
}

test('a container that is half there goes nowhere else', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  expectNotMoved(await migrate(h2, memory.server.name, 'h3'), { outcome: 'refused', code: 'memory-missing' });
  await lab.limit('h2', null);
  expectMoved(await move);
  expect(await where(memory.server.name)).toEqual({ h2: 'running' });
  await memory.intact();
}));

test('it forks while it is half there, and its child has all of its memory', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  const child = memory.intactInChild();
  await lab.limit('h2', '500mbit');
  await child;
  await lab.limit('h2', null);
  expectMoved(await move);
  await memory.intact();
}));

test('the agent of the source dies while it lends memory: the next goes on', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  const peer = await scene.peer(memory.server);
  await killAgent(h1);
  await lab.limit('h2', null);
  await until('the source to end its part', async () => (await where(memory.server.name))['h1'] === undefined, { timeout: 2 * PATIENCE_MS });
  await move.catch(() => undefined);
  expect(await where(memory.server.name)).toEqual({ h2: 'running' });
  await memory.intact();
  await peer.unharmed();
  await memory.server.moveTo(h1);
}), 120_000);

test('the agent of the destination dies while memory is missing: the next goes on', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  const peer = await scene.peer(memory.server);
  await killAgent(h2);
  await lab.limit('h2', null);
  expectMoved(await move);
  expect(await where(memory.server.name)).toEqual({ h2: 'running' });
  await memory.intact();
  await peer.unharmed();
  await memory.server.moveTo(h1);
}), 120_000);

test('somebody removes a container that is half there', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  await memory.server.docker('rm', '--force');
  await move;
  await until('both hosts to have none', async () => Object.keys(await where(memory.server.name)).length === 0, { timeout: PATIENCE_MS });
}));

test('what feeds a container with memory is killed: the container is ended, and both hosts are told', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  await h2.exec(['sh', '-c', 'kill -KILL $(cat /run/coat/restore/*/pager.pid)']);
  expectNotMoved(await move, { outcome: 'lost', code: 'container-lost' });
  expect(await where(memory.server.name)).toEqual({ h2: 'exited' });
}));

/** A kernel that goes takes its cgroups with it; in a lab it stays, and empty ones with it. */
function cutPower(scene: Scene): void {
  scene.finallyEverywhere((host) => host.exec(['sh', '-c', 'find /sys/fs/cgroup -depth -type d -path "*docker/*" -exec rmdir {} + 2>/dev/null'], { okCodes: [0, 1] }));
}

test('the host of the source loses its power while it lends memory: the container is ended where it ran, and can start anew', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  cutPower(scene);
  await lab.kill('h1');
  await move.catch(() => undefined);
  await lab.start('h1');
  await engineAnswers(h1);
  await until('it to be ended', async () => (await where(memory.server.name))['h2'] === 'exited', { timeout: 2 * PATIENCE_MS });
  await until('the source to have none', async () => (await where(memory.server.name))['h1'] === undefined, { timeout: 2 * PATIENCE_MS });
  await lab.limit('h2', null);
  await docker(h2, 'start', memory.server.name);
  // the first time was at the source
  await until('it to be ready', async () => (await memory.server.logs()).split('\n').filter((line) => line === 'ready').length === 2, { timeout: PATIENCE_MS });
}), 240_000);

test('the host of the destination loses its power while memory is missing: no copy is left that could run', scene(async (scene) => {
  const { memory, move } = await halfThere(scene);
  cutPower(scene);
  await lab.kill('h2');
  await lab.start('h2');
  await engineAnswers(h2);
  expectNotMoved(await move, { outcome: 'lost', code: 'container-lost' });
  // an engine that loses its power may not have written down yet that it had started it
  expect(await where(memory.server.name)).toEqual({ h2: expect.stringMatching(/^(exited|created)$/) as string });
  await agentAnswers(h1);
  expect(await agentOf(h1)).toMatch(/^\d+$/);
}), 240_000);
