import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Http2Server } from 'node:http2';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createContainerd } from '../../../plugin/engine/containerd/containerd.ts';
import { decode, encode, textsOf } from '../../../plugin/engine/containerd/messages.ts';
import type { EngineFacts, Inspect } from '../../../plugin/engine/containers.ts';
import { createLayers } from '../../../plugin/engine/layers.ts';

let root: string;
const servers: Http2Server[] = [];
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'coat-containerd-'))));
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await rm(root, { recursive: true });
});

type Answer = { message: Buffer } | { status: number; why: string };

/** A gRPC server that answers each method in its own way. */
async function serve(path: string, answer: (method: string, message: Buffer) => Answer): Promise<void> {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      expect(headers['containerd-namespace']).toBe('moby');
      const given = answer(String(headers[':path']).split('/').at(-1)!, Buffer.concat(chunks).subarray(5));
      if ('status' in given) return stream.respond({ 'content-type': 'application/grpc', 'grpc-status': given.status, 'grpc-message': encodeURIComponent(given.why) }, { endStream: true });
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      const head = Buffer.alloc(5);
      head.writeUInt32BE(given.message.length, 1);
      stream.end(Buffer.concat([head, given.message]));
    });
  });
  servers.push(server);
  await mkdir(dirname(join(root, path)), { recursive: true });
  await new Promise<void>((resolve) => server.listen(join(root, path), resolve));
}

const HOSTS = '/run/containerd/containerd.sock';
const DOCKERS = '/run/docker/containerd/containerd.sock';
const containerd = () => createContainerd((path) => root + path);
const mountsOf = (message: Buffer): Answer => {
  const [snapshotter, key] = [1, 2].map((number) => textsOf(decode(message), number)[0]);
  if (snapshotter !== 'overlayfs' || key !== 'c1') return { status: 5, why: `snapshot ${key} does not exist: not found` };
  return { message: encode({ 1: encode({ 1: 'overlay', 2: 'overlay', 4: ['workdir=/l/3/work', 'upperdir=/l/3/fs', 'lowerdir=/l/2/fs:/l/1/fs'] }) }) };
};
const nothing: Answer = { status: 5, why: 'not found' };
const inspect = (GraphDriver: Inspect['GraphDriver']) => ({ Id: 'c1', Name: '/web', GraphDriver }) as Inspect;

it('says where a container has its files, asking whichever containerd knows it', async () => {
  await serve(HOSTS, () => nothing);
  await serve(DOCKERS, (_, message) => mountsOf(message));
  const layers = createLayers(containerd(), async () => ({ root: '/docker' }) as EngineFacts);
  expect(await layers.of(inspect({ Name: 'overlayfs', Data: null }))).toEqual({ upper: '/l/3/fs', merged: '/docker/rootfs/overlayfs/c1' });
  await expect(containerd().mountOptions('c2')).rejects.toMatchObject({ code: 'no-layer' });
});

it('does not ask it where the engine says so itself', async () => {
  const layers = createLayers(containerd(), () => expect.fail('nobody is asked'));
  expect(await layers.of(inspect({ Name: 'overlay2', Data: { UpperDir: '/u', MergedDir: '/m' } }))).toEqual({ upper: '/u', merged: '/m' });
  await expect(layers.of(inspect({ Name: 'overlay2', Data: null }))).rejects.toMatchObject({ code: 'no-layer' });
  expect(await layers.root({ storage: 'overlay2', root: '/docker' } as EngineFacts)).toBe('/docker/overlay2');
});

it('knows where all layers are, and which blobs are there', async () => {
  const exported = encode({ 1: 'root', 2: '/l' });
  await serve(HOSTS, (method, message) => {
    if (method === 'Plugins') return { message: encode({ 1: encode({ 1: 'io.containerd.snapshotter.v1', 2: 'overlayfs', 5: exported }) }) };
    return textsOf(decode(message), 1)[0] === 'sha256:a' ? { message: encode({ 1: 'x' }) } : nothing;
  });
  expect(await containerd().layersRoot()).toBe('/l');
  expect([...(await containerd().blobs(['sha256:a', 'sha256:b']))]).toEqual(['sha256:a']);
});

it('passes on what else is said, and says when there is none', async () => {
  await expect(containerd().layersRoot()).rejects.toMatchObject({ code: 'no-containerd' });
  await serve(HOSTS, () => ({ status: 2, why: 'the disk is full: 100 %' }));
  await expect(containerd().mountOptions('c1')).rejects.toMatchObject({ code: 'containerd-refused', message: 'containerd refused Mounts: the disk is full: 100 %' });
});

it('reads back what it writes, whatever its length', () => {
  const long = 'x'.repeat(70_000);
  const fields = decode(encode({ 1: long, 20: ['', 'b'] }));
  expect(textsOf(fields, 1)).toEqual([long]);
  expect(textsOf(fields, 20)).toEqual(['', 'b']);
  expect(() => decode(encode({ 1: long }).subarray(0, -1))).toThrow(/in the middle/);
  expect(() => decode(Buffer.from([0x09]))).toThrow(/type 1/);
});
