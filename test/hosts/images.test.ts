import { expect, test } from 'vitest';
import { docker, fresh, h1, h2 } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';
import { onTop, smallImage } from '../support/small-image.ts';

const imageOf = ['inspect', '--format', '{{.Image}} {{.Config.Image}}'] as const;

test('an image that the destination does not have goes along, name and all', scene(async (scene) => {
  const image = await smallImage(scene, h1);
  const server = await scene.echo(h1, { image: image.name });
  const peer = await scene.peer(server);
  const moved = await server.moveTo(h2);
  expect(moved.report.bytes.image).toBeGreaterThan(1_000_000);
  expect(await server.docker(...imageOf)).toBe(`${image.id} ${image.name}`);
  expect(await server.exec('cat', '/label')).toBe(image.name);
  // and not twice
  expect((await server.moveTo(h1)).report.bytes.image).toBe(0);
  expect((await server.moveTo(h2)).report.bytes.image).toBe(0);
  await peer.unharmed();
}));

test('of an image only the layers go along that the destination does not have', scene(async (scene) => {
  const image = await smallImage(scene, h1);
  const below = await scene.run(h1, 'below', ['sleep', 'infinity'], [], image.name);
  const { bytes: whole } = (await below.moveTo(h2)).report;
  const more = `${image.name}-more`;
  const id = await onTop(h1, image.name, more);
  const server = await scene.echo(h1, { image: more });
  const peer = await scene.peer(server);
  const { bytes, image: how } = (await server.moveTo(h2)).report;
  expect(how).toBe('sent');
  expect(bytes.image).toBeLessThan(whole.image / 10);
  expect(await server.docker(...imageOf)).toBe(`${id} ${more}`);
  expect(await server.exec('cat', '/label', '/on-top')).toBe(`${image.name}\n${more}`);
  await peer.unharmed();
}));

test('a name that means another image at the destination is left alone', scene(async (scene) => {
  const [image, other] = [await smallImage(scene, h1), await smallImage(scene, h2)];
  const name = `${fresh('site')}:stable`;
  await docker(h1, 'tag', image.id, name);
  await docker(h2, 'tag', other.id, name);
  const server = await scene.echo(h1, { image: name });
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  expect((await server.docker(...imageOf)).split(' ')[0]).toBe(image.id);
  expect(await server.exec('cat', '/label')).toBe(image.name);
  expect(await docker(h2, 'image', 'inspect', '--format', '{{.Id}}', name)).toBe(other.id);
  await peer.unharmed();
}));
