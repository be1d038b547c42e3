import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import { registryOf } from '../../../plugin/migration/image.ts';
import { contentOf, createImages, factsOf, type ImageInspect, isName, sameBeginning, tagged } from '../../../plugin/engine/images.ts';

const LAYERS = ['sha256:a', 'sha256:b'];
const own = (change: Partial<ImageInspect> = {}): ImageInspect => ({
  Id: 'sha256:1', Created: '2025-01-01T00:00:00.5Z', Size: 7, Os: 'linux', Architecture: 'amd64', RootFS: { Layers: LAYERS },
  // as Docker 26 describes an image of its own store
  Config: { Hostname: '', Env: ['A=b'], Cmd: ['bash'], Volumes: null, Entrypoint: null, OnBuild: null, Labels: { x: '1', y: '2' } },
  ...change,
});

describe('the content of an image', () => {
  it('is the same however an engine writes it down', () => {
    const theirs = own({ Id: 'sha256:2', Variant: '', Config: { Labels: { y: '2', x: '1' }, Cmd: ['bash'], Env: ['A=b'], ExposedPorts: {}, User: '' } });
    expect(contentOf(theirs)).toBe(contentOf(own()));
    expect(contentOf(own({ Config: null }))).toBe(contentOf(own({ Config: {} })));
  });

  it.each<[string, Partial<ImageInspect>]>([
    ['layers', { RootFS: { Layers: ['sha256:a'] } }],
    ['the order of layers', { RootFS: { Layers: LAYERS.toReversed() } }],
    ['architecture', { Architecture: 'arm64' }],
    ['variant', { Variant: 'v8' }],
    ['environment', { Config: { ...own().Config, Env: ['A=c'] } }],
    ['labels', { Config: { ...own().Config, Labels: { x: '1' } } }],
    ['command', { Config: { ...own().Config, Cmd: ['bash', ''] } }],
  ])('is another with other %s', (_, change) => expect(contentOf(own(change))).not.toBe(contentOf(own())));

  it('is among what a move knows of it', () => {
    expect(factsOf(own({ RepoDigests: ['web@sha256:3'] }))).toEqual({ id: 'sha256:1', content: contentOf(own()), layers: LAYERS, digests: ['web@sha256:3'], created: 1735689600, size: 7 });
    expect(factsOf({ ...own({ RepoDigests: null, RootFS: { Layers: null } }), Created: '' })).toMatchObject({ layers: [], digests: [], created: 0 });
  });
});

it('counts the layers that two images begin with', () => {
  expect(sameBeginning(['a', 'b', 'c'], ['a', 'b'])).toBe(2);
  expect(sameBeginning(['a', 'x'], ['a', 'b'])).toBe(1);
  expect(sameBeginning(['b', 'a'], ['a', 'b'])).toBe(0);
  expect(sameBeginning([], ['a'])).toBe(0);
});

it('says which tag a name without one means', () => {
  expect(['web', 'reg:5000/web', 'reg:5000/web:1'].map(tagged)).toEqual(['web:latest', 'reg:5000/web:latest', 'reg:5000/web:1']);
  for (const ref of [`web@sha256:${'a'.repeat(64)}`, `sha256:${'a'.repeat(64)}`, 'a'.repeat(64)]) {
    expect(tagged(ref)).toBe(ref);
    expect(isName(ref)).toBe(false);
  }
  expect(isName('web')).toBe(true);
});

it.each([['nginx', 'docker.io'], ['library/nginx', 'docker.io'], ['reg:5000/web', 'reg'], ['reg.example/team/web', 'reg.example'], ['localhost/web', 'localhost']])('%s comes from %s', (name, registry) => expect(registryOf(name)).toBe(registry));

it.each([['has broken off already', true], ['breaks off', false]])('does not wait for the engine to load an archive that %s', async (_, already) => {
  const path = join(tmpdir(), `coat-images-${randomBytes(6).toString('hex')}.sock`);
  // as an engine does, it says nothing before it has all of it
  const engine = createServer((request) => void request.resume());
  await new Promise<void>((resolve) => void engine.listen(path, resolve));
  const archive = new PassThrough();
  archive.write('a part');
  if (already) archive.destroy();
  else setTimeout(() => archive.destroy(), 50);
  await new Promise(setImmediate);
  await expect(createImages(() => new Docker({ socketPath: path })).load(archive)).rejects.toThrow();
  await new Promise((resolve) => engine.close(resolve));
});
