import { expect, test } from 'vitest';
import { agents, expectNoGrowth } from '../support/agent.ts';
import { h1, h2, h4, lab } from '../support/hosts.ts';
import { remains } from '../support/remains.ts';
import { scene } from '../support/scene.ts';

/** Rounds of three moves each. For hours of it: COAT_CHAIN_ROUNDS=500. */
const ROUNDS = Number(process.env['COAT_CHAIN_ROUNDS'] ?? 6);
test('round and round three hosts: no connection is lost, and nothing grows', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server, { hz: 100 });
  const round = async (): Promise<void> => {
    for (const to of [h2, h4, h1]) await server.moveTo(to);
  };
  // the first one opens connections that stay
  await round();
  const [before, tidy] = [await agents(), await remains()];
  for (let i = 0; i < ROUNDS; i++) await round();
  await expectNoGrowth(before);
  const now = await remains();
  for (const { name } of lab.hosts) {
    // the container has another id each time
    for (const kind of ['containers', 'volumes', 'images', 'links', 'held', 'forwarding', 'rules', 'processes']) expect(now[name]![kind]?.length, `${kind} of ${name}`).toBe(tidy[name]![kind]?.length);
    for (const kind of ['mounts', 'cgroups', 'layers', 'files']) expect(now[name]![kind]?.length, `${kind} of ${name}`).toBe(tidy[name]![kind]?.length);
  }
  await peer.unharmed();
}), 60_000 + ROUNDS * 40_000);
