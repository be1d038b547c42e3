import { X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { issue, makeAuthority, makeRequest, type Pair, repeatRequest } from '../../../plugin/agent/cluster/certificates.ts';
import { certificates, keyOf } from '../../../plugin/agent/cluster/proof.ts';
import { isDue } from '../../../plugin/agent/cluster/renewal.ts';
import type { Member } from '../../../plugin/agent/membership.ts';
import { PeerClient } from '../../../plugin/agent/peers/client.ts';
import { RouteTable } from '../../../plugin/agent/peers/routes.ts';
import { PeerServer } from '../../../plugin/agent/peers/server.ts';

let authority: Pair;
beforeAll(async () => {
  authority = await makeAuthority();
});

/** A host with a certificate of an authority. */
async function host(name: string, { by = authority, days = 90 } = {}): Promise<Pair & { member: Member }> {
  const { request, key } = await makeRequest(name);
  const certificate = await issue(by, request, name, days);
  return { certificate, key, member: { name, address: '127.0.0.1', key: keyOf(certificate) } };
}

describe('a certificate', () => {
  it('is signed by the authority, for the name it was issued to and not the one asked for', async () => {
    const { request } = await makeRequest('h9');
    const certificate = new X509Certificate(await issue(authority, request, 'h2'));
    expect(certificate.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
    expect([certificate.subject, certificate.subjectAltName, certificate.ca]).toEqual(['CN=h2', 'DNS:h2', false]);
  });

  it('keeps its key when it is renewed', async () => {
    const old = await host('h2', { days: 10 });
    const fresh = await issue(authority, await repeatRequest('h2', old), 'h2');
    expect(keyOf(fresh)).toBe(keyOf(old.certificate));
    expect([isDue(old.certificate, Date.now()), isDue(fresh, Date.now())]).toEqual([true, false]);
  });

  it('is not made of anything but a request', async () => {
    await expect(issue(authority, 'something', 'h2')).rejects.toMatchObject({ code: 'bad-request' });
    // the signature at the end of a request proves that its sender has the key
    const { request } = await makeRequest('h2');
    const body = Buffer.from(request.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    body[body.length - 1]! ^= 1;
    await expect(issue(authority, `-----BEGIN CERTIFICATE REQUEST-----\n${body.toString('base64')}\n-----END CERTIFICATE REQUEST-----`, 'h2')).rejects.toMatchObject({ code: 'bad-request' });
  });
});

describe('the peer port', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  async function scene(): Promise<{ server: PeerServer; members: Map<string, Member>; h2: Pair; as: (who: Pair, to?: Member) => PeerClient }> {
    const [h1, h2] = [await host('h1'), await host('h2')];
    const members = new Map([['h1', h1.member], ['h2', h2.member]]);
    const routes = new RouteTable();
    routes.call('/v1/who', async (_body, from) => from);
    routes.guest('/v1/join', async (body) => ({ body }));
    routes.tunnel('/v1/tunnel', (stream) => void stream.resume());
    const find = (name: string): Member | undefined => members.get(name);
    const server = new PeerServer({ me: 'h1', routes, log: silent, security: certificates(() => ({ ...h1, authority: authority.certificate }), find) });
    await server.listen('127.0.0.1', 0);
    closing.push(() => server.close());
    const as = (who: Pair, to = h1.member): PeerClient => {
      const known = new Map(members).set(to.name, to);
      const peer = new PeerClient(to, server.port, certificates(() => ({ ...who, authority: authority.certificate }), (name) => known.get(name)));
      closing.unshift(() => peer.close());
      return peer;
    };
    return { server, members, h2, as };
  }

  test('knows each host by its certificate', async () => {
    const { h2, as } = await scene();
    expect(await as(h2).call('/v1/who', {})).toBe('h2');
  });

  test('lets nobody in by a certificate of another authority, one that is over, or of no member', async () => {
    const { as } = await scene();
    const strangers = [await host('h2', { by: await makeAuthority() }), await host('h2', { days: -0.01 }), await host('h3')];
    for (const stranger of strangers) await expect(as(stranger).call('/v1/who', {})).rejects.toMatchObject({ code: 'not-a-member' });
  });

  test('takes a good certificate for the name of a host with another key for nothing', async () => {
    const { members, h2, as } = await scene();
    members.set('h2', (await host('h2')).member);
    await expect(as(h2).call('/v1/who', {})).rejects.toMatchObject({ code: 'not-a-member' });
  });

  test('answers a stranger who wants to join, and nothing else', async () => {
    const { as } = await scene();
    const stranger = as(await host('h3'));
    expect(await stranger.call('/v1/join', { a: 1 })).toEqual({ body: { a: 1 } });
    await expect(stranger.tunnel('/v1/tunnel')).rejects.toMatchObject({ code: 'not-a-member' });
    await expect(stranger.call('/v1/join', { a: 'x'.repeat(20_000) })).rejects.toMatchObject({ code: 'too-large' });
  });

  test('shuts a removed host out at once, also what it has open', async () => {
    const { server, members, h2, as } = await scene();
    const peer = as(h2);
    const tunnel = await peer.tunnel('/v1/tunnel');
    const ended = new Promise((resolve) => tunnel.once('end', resolve).resume());
    members.delete('h2');
    server.dropStrangers();
    await ended;
    await expect(peer.call('/v1/who', {})).rejects.toMatchObject({ code: 'not-a-member' });
  });

  test('is believed only by the name and the key that are wanted', async () => {
    const { h2, as } = await scene();
    const other = await host('h1');
    await expect(as(h2, { ...other.member, name: 'h3' }).call('/v1/who', {})).rejects.toMatchObject({ code: 'peer-away' });
    await expect(as(h2, other.member).call('/v1/who', {})).rejects.toMatchObject({ code: 'peer-away' });
  });
});
