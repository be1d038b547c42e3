import { expect, test } from 'vitest';
import { expectMoved, h1, h2, migrate, where } from '../support/hosts.ts';
import { Memory } from '../support/memory.ts';
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
    console.log(moved.report.blackout, steps.filter((s) => s.ms > 10).map((s) => `${s.host} ${s.name} ${Math.round(s.start)} ${Math.round(s.ms)} ${s.blackout}`).join('\n'), JSON.stringify(bytes));
  }
  await peer.unharmed();
}));
