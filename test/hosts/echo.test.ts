import { expect, test } from 'vitest';
import { h1, h2, h3 } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

test('a connection goes on while its server moves to a newer engine and back', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  await peer.goesOn();
  await server.moveTo(h1);
  const { longest } = await peer.unharmed();
  // not the figure to reach, which bench/gap measures: only that nothing stands still for seconds
  expect(longest).toBeLessThan(5_000);
}));

test('a connection outlives ten moves there and back', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  for (let round = 0; round < 10; round++) {
    await server.moveTo(h2);
    await server.moveTo(h1);
  }
  await peer.unharmed();
}));

test('a hundred connections move at once', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server, { connections: 100, hz: 20 });
  await server.moveTo(h2);
  await peer.goesOn();
  await server.moveTo(h1);
  await peer.unharmed();
}));

test('a client moves as a server does', scene(async (scene) => {
  const server = await scene.echo(h3);
  const peer = await scene.peer(server, { host: h1 });
  await peer.moveTo(h2);
  await peer.goesOn();
  await peer.moveTo(h1);
  await peer.unharmed();
}));

test('both ends of a connection move, onto one host and apart again', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server, { host: h3 });
  await server.moveTo(h2);
  await peer.moveTo(h2);
  await peer.goesOn();
  await server.moveTo(h3);
  await peer.moveTo(h1);
  await peer.unharmed();
}));
