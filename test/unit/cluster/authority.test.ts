import { beforeAll, beforeEach, expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { offerAuthority } from '../../../plugin/agent/cluster/authority.ts';
import { makeAuthority, makeRequest, type Pair, repeatRequest } from '../../../plugin/agent/cluster/certificates.ts';
import { keyOf } from '../../../plugin/agent/cluster/proof.ts';
import { JOIN, type JoinAnswer, type JoinRequest, RENEW } from '../../../plugin/agent/cluster/protocol.ts';
import { createToken } from '../../../plugin/agent/cluster/tokens.ts';
import { RouteTable } from '../../../plugin/agent/peers/routes.ts';
import { VERSION } from '../../../plugin/agent/version.ts';

let authority: Pair;
let store: MemoryStore;
let routes: RouteTable;
beforeAll(async () => {
  authority = await makeAuthority();
});
beforeEach(async () => {
  store = new MemoryStore();
  routes = new RouteTable();
  offerAuthority(routes, { me: 'h1', authority, store, log: silent });
  await store.put('hosts/h1', { name: 'h1', address: '10.0.0.1', key: 'k' }, 'absent');
});

const join = (body: Partial<JoinRequest>): Promise<JoinAnswer> => routes.find('guest', JOIN)!(body) as Promise<JoinAnswer>;
const renew = (from: string, request: string): Promise<{ certificate: string }> => routes.find('call', RENEW)!({ request }, from) as Promise<{ certificate: string }>;

async function newcomer(name: string, address: string, secret: string): Promise<JoinRequest & { key: string }> {
  return { version: VERSION, now: Date.now(), secret, name, address, ...(await makeRequest(name)) };
}

test('who is let in gets a certificate and the members, and is one', async () => {
  const asked = await newcomer('h2', '10.0.0.2', await createToken(store, 60_000));
  const { certificate, first, members } = await join(asked);
  expect([first, members.map(({ name }) => name)]).toEqual(['h1', ['h1', 'h2']]);
  expect((await store.get('hosts/h2'))?.value).toEqual({ name: 'h2', address: '10.0.0.2', version: VERSION, key: keyOf(certificate) });
});

test('a refusal costs no token, and tells who has none nothing', async () => {
  const secret = await createToken(store, 60_000);
  await expect(join(await newcomer('h1', '10.0.0.2', secret))).rejects.toMatchObject({ code: 'name-taken' });
  await expect(join({ ...(await newcomer('h2', '10.0.0.2', secret)), request: 'no request' })).rejects.toMatchObject({ code: 'bad-request' });
  await expect(join(await newcomer('h1', '10.0.0.1', 'a guessed secret'))).rejects.toMatchObject({ code: 'token-unknown' });
  await expect(join({ secret })).rejects.toMatchObject({ code: 'bad-request' });
  await join(await newcomer('h2', '10.0.0.2', secret));
});

test('of two that come at once with one name or address, or one token, one is let in', async () => {
  const [one, other, third] = [await createToken(store, 60_000), await createToken(store, 60_000), await createToken(store, 60_000)];
  const attempts = await Promise.allSettled([
    join(await newcomer('h2', '10.0.0.2', one)),
    join(await newcomer('h3', '10.0.0.2', other)),
    join(await newcomer('h2', '10.0.0.4', third)),
    join(await newcomer('h5', '10.0.0.5', one)),
  ]);
  expect(attempts.map((each) => (each.status === 'fulfilled' ? 'in' : (each.reason as { code: string }).code))).toEqual(['in', 'address-taken', 'name-taken', 'token-used']);
});

test('a certificate is renewed for the same key only, and for a member only', async () => {
  const asked = await newcomer('h2', '10.0.0.2', await createToken(store, 60_000));
  const { certificate } = await join(asked);
  const request = await repeatRequest('h2', { certificate, key: asked.key });
  expect(keyOf((await renew('h2', request)).certificate)).toBe(keyOf(certificate));
  await expect(renew('h2', (await makeRequest('h2')).request)).rejects.toMatchObject({ code: 'other-key' });
  await store.delete('hosts/h2', 'any');
  await expect(renew('h2', request)).rejects.toMatchObject({ code: 'other-key' });
});
