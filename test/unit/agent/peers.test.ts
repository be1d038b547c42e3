import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import { silent } from '../../../driver/host/log.ts';
import { operate, operation } from '../../../driver/host/operation.ts';
import { PeerClient } from '../../../plugin/agent/peers/client.ts';
import { RouteTable } from '../../../plugin/agent/peers/routes.ts';
import { PeerServer } from '../../../plugin/agent/peers/server.ts';
import { presharedKey } from '../../../plugin/agent/peers/tls.ts';

const SECRET = 'a secret of enough length';
const members = new Set(['h1', 'h2']);
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(add: (routes: RouteTable) => void, me = 'h1'): Promise<PeerServer> {
  const routes = new RouteTable();
  add(routes);
  const server = new PeerServer({ me, routes, log: silent, security: presharedKey(SECRET, me, (name) => members.has(name)) });
  await server.listen('127.0.0.1', 0);
  closing.push(() => server.close());
  return server;
}

function client(server: PeerServer, { secret = SECRET, as = 'h2', to = 'h1' } = {}): PeerClient {
  const peer = new PeerClient({ name: to, address: '127.0.0.1' }, server.port, presharedKey(secret, as, () => true));
  closing.unshift(() => peer.close());
  return peer;
}

/** By events: `for await` would destroy the whole stream at the end of its readable half. */
function textOf(stream: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    stream.on('end', () => resolve(text)).on('error', reject);
  });
}

test('a call is answered, and the handler knows who calls', async () => {
  const server = await serve((routes) => routes.call('/v1/echo', async (body, from) => ({ body, from })));
  const peer = client(server);
  expect(await peer.call('/v1/echo', { a: 'ä' })).toEqual({ body: { a: 'ä' }, from: 'h2' });
  expect(await peer.call('/v1/echo', undefined)).toEqual({ from: 'h2' });
});

test('what is done for an operation of one host is the same operation on the other', async () => {
  const server = await serve((routes) => {
    routes.call('/v1/op', async () => ({ op: operation() }));
    routes.tunnel('/v1/op', (stream) => void stream.end(operation()));
  });
  const peer = client(server);
  await operate(async () => {
    expect(await peer.call('/v1/op', {})).toEqual({ op: 'move-1' });
    expect(await textOf(await peer.tunnel('/v1/op'))).toBe('move-1');
    let drained = '';
    await (await peer.drain('/v1/op', (bytes) => (drained += String(bytes)))).ended;
    expect(drained).toBe('move-1');
  }, 'move-1');
  expect(await peer.call('/v1/op', {})).toEqual({ op: expect.stringMatching(/^[0-9a-f]{12}$/) as string });
});

test('an error crosses with its code and hint', async () => {
  const server = await serve((routes) =>
    routes.call('/v1/fail', async () => {
      throw new CoatError('name-taken', 'the name is taken', { hint: 'take another' });
    }),
  );
  const peer = client(server);
  await expect(peer.call('/v1/fail', {})).rejects.toMatchObject({ code: 'name-taken', message: 'the name is taken', hint: 'take another' });
  await expect(peer.call('/v1/nothing', {})).rejects.toMatchObject({ code: 'no-such-route' });
  await expect(peer.tunnel('/v1/nothing')).rejects.toMatchObject({ code: 'no-such-route' });
});

test.each([
  ['a wrong secret', { secret: 'another secret, long too' }],
  ['a host that is no member', { as: 'h9' }],
])('%s is not let in', async (_, options) => {
  let reached = false;
  const server = await serve((routes) => routes.call('/v1/x', async () => (reached = true)));
  await expect(client(server, options).call('/v1/x', {})).rejects.toMatchObject({ code: 'peer-away' });
  expect(reached).toBe(false);
});

test('a host that is not the one meant says so', async () => {
  const server = await serve((routes) => routes.call('/v1/x', async () => 1));
  await expect(client(server, { to: 'h3' }).call('/v1/x', {})).rejects.toMatchObject({ code: 'wrong-host' });
});

test('an upload arrives whole, and its early refusal is heard', async () => {
  const size = 20 << 20;
  const server = await serve((routes) => {
    routes.upload('/v1/count', async (body, query, from) => {
      let bytes = 0;
      for await (const chunk of body) bytes += (chunk as Buffer).length;
      return { bytes, id: query.get('id'), from };
    });
    routes.upload('/v1/refuse', async () => {
      throw new CoatError('no-space', 'there is no space');
    });
  });
  const peer = client(server);
  const body = (): Readable => Readable.from(Array.from({ length: 20 }, () => Buffer.alloc(1 << 20)));
  expect(await peer.upload('/v1/count?id=7', body())).toEqual({ bytes: size, id: '7', from: 'h2' });
  await expect(peer.upload('/v1/refuse', body())).rejects.toMatchObject({ code: 'no-space' });
  const failing = Readable.from((async function* () { yield Buffer.alloc(10); throw new Error('disk gone'); })());
  await expect(peer.upload('/v1/count', failing)).rejects.toMatchObject({ code: 'peer-lost' });
});

test('a call ends when it is cancelled or takes too long', async () => {
  const server = await serve((routes) => routes.call('/v1/never', () => new Promise(() => undefined)));
  const peer = client(server);
  await expect(peer.call('/v1/never', {}, { timeout: 50 })).rejects.toMatchObject({ code: 'peer-timeout' });
  const stop = new AbortController();
  const call = peer.call('/v1/never', {}, { signal: stop.signal });
  setTimeout(() => stop.abort(new CoatError('cancelled', 'stop')), 30);
  await expect(call).rejects.toMatchObject({ code: 'cancelled' });
});

test('a tunnel carries both directions, each with an end of its own', async () => {
  const server = await serve((routes) =>
    routes.tunnel('/v1/tunnel', (stream, query, from) => {
      // answers only after the other side has ended
      void textOf(stream).then((text) => stream.end(`${from} ${query.get('q')} ${text}`));
    }),
  );
  const tunnel = await client(server).tunnel('/v1/tunnel?q=1');
  tunnel.end('question');
  expect(await textOf(tunnel)).toBe('h2 1 question');
});

test('a drain takes in what the other side sends, and hears of its end and of a refusal', async () => {
  const server = await serve((routes) => {
    routes.tunnel('/v1/bulk', (stream, query, from) => {
      stream.write(`${from} ${query.get('q')} `);
      stream.end(Buffer.alloc(3 << 20, 'x'));
    });
  });
  const peer = client(server);
  const pieces: Buffer[] = [];
  const drain = await peer.drain('/v1/bulk?q=1', (bytes) => pieces.push(Buffer.from(bytes)));
  await drain.ended;
  expect(Buffer.concat(pieces).equals(Buffer.from(`h2 1 ${'x'.repeat(3 << 20)}`))).toBe(true);
  await expect(peer.drain('/v1/nothing', () => undefined)).rejects.toMatchObject({ code: 'no-such-route' });
  const refusing = await peer.drain('/v1/bulk', () => {
    throw new CoatError('bad-transfer', 'not wanted');
  });
  await expect(refusing.ended).rejects.toMatchObject({ code: 'bad-transfer' });
});

test('a tunnel whose other side speaks first and ends first', async () => {
  let heard = '';
  const server = await serve((routes) =>
    routes.tunnel('/v1/first', (stream) => {
      stream.end('hello');
      void textOf(stream).then((text) => (heard = text));
    }),
  );
  const tunnel = await client(server).tunnel('/v1/first');
  expect(await textOf(tunnel)).toBe('hello');
  tunnel.end('late');
  await once(tunnel, 'close');
  await expect.poll(() => heard).toBe('late');
});

test('a peer that is not there is reported within three seconds', async () => {
  const mute = createServer(() => undefined);
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  closing.push(() => mute.close());
  const address = mute.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const begin = Date.now();
  const peer = new PeerClient({ name: 'h1', address: '127.0.0.1' }, port, presharedKey(SECRET, 'h2', () => true));
  await expect(peer.call('/v1/x', {})).rejects.toMatchObject({ code: 'peer-away' });
  expect(Date.now() - begin).toBeLessThan(3_500);
  const nobody = new PeerClient({ name: 'h1', address: '127.0.0.1' }, 1, presharedKey(SECRET, 'h2', () => true));
  await expect(nobody.call('/v1/x', {})).rejects.toMatchObject({ code: 'peer-away' });
});

test('calls after a restart of the peer go over a new connection', async () => {
  const add = (routes: RouteTable): void => routes.call('/v1/x', async () => 1);
  const first = await serve(add);
  const port = first.port;
  const peer = client(first);
  expect(await peer.call('/v1/x', {})).toBe(1);
  await first.close();
  // until the ends of the closed connections have come in
  await new Promise((resolve) => setTimeout(resolve, 50));
  await expect(peer.call('/v1/x', {})).rejects.toMatchObject({ code: 'peer-away' });
  const routes = new RouteTable();
  add(routes);
  const second = new PeerServer({ me: 'h1', routes, log: silent, security: presharedKey(SECRET, 'h1', (name) => members.has(name)) });
  await second.listen('127.0.0.1', port);
  closing.push(() => second.close());
  expect(await peer.call('/v1/x', {})).toBe(1);
});
