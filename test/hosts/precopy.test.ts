import { expect, test } from 'vitest';
import { agentAnswers, killAgent } from '../support/agent.ts';
import { expectMoved, h1, h2, migrate, where } from '../support/hosts.ts';
import { journalSays, Memory } from '../support/memory.ts';
import { scene } from '../support/scene.ts';

const PRECOPY = ['--strategy', 'precopy'];

test('256 MiB go ahead of a container there and back, between both engines, and every byte of them is right', scene(async (scene) => {
  const memory = await Memory.make(scene, h1);
  const { server } = memory;
  const peer = await scene.peer(server);
  for (const to of [h2, h1, h2]) {
    const moved = await migrate(server.host, server.name, to.name, ...PRECOPY);
    server.host = to;
    expectMoved(moved);
    expect(await where(server.name)).toEqual({ [to.name]: 'running' });
    await memory.intact();
    const { strategy, bytes, steps } = moved.report;
    expect(strategy).toBe('precopy');
    expect(bytes.memory).toBeGreaterThan(256 << 20);
    expect(steps.find(({ name }) => name === 'send memory')!.blackout).toBe(false);
    expect(steps.map(({ name }) => name)).not.toContain('fetch pages');
    await peer.goesOn();
  }
  await peer.unharmed();
}));

test('it forks when it has just arrived, and its child has all of its memory', scene(async (scene) => {
  const memory = await Memory.make(scene, h1);
  expectMoved(await migrate(h1, memory.server.name, 'h2', ...PRECOPY));
  memory.server.host = h2;
  await memory.intactInChild();
  await memory.intact();
}));

test('the agent of the destination dies when the container has just arrived: its memory is put in its place all the same', scene(async (scene) => {
  const memory = await Memory.make(scene, h1);
  const peer = await scene.peer(memory.server);
  const move = migrate(h1, memory.server.name, 'h2', ...PRECOPY);
  await journalSays(h2, '"pages":"here"');
  await killAgent(h2);
  memory.server.host = h2;
  await memory.intact();
  await agentAnswers(h2);
  expect((await move).report.outcome).toBe('migrated');
  await memory.intact();
  await peer.goesOn();
  expect(await where(memory.server.name)).toEqual({ h2: 'running' });
}), 120_000);
