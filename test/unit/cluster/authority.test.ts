import { beforeAll, beforeEach, expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { parseAddressPool } from '../../../driver/ipam/choose.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { type AuthorityOptions, offerAuthority } from '../../../plugin/agent/cluster/authority.ts';
import { makeAuthority, makeRequest, type Pair, repeatRequest } from '../../../plugin/agent/cluster/certificates.ts';
import type { Identity } from '../../../plugin/agent/cluster/identity.ts';
import { keyOf } from '../../../plugin/agent/cluster/proof.ts';
import { JOIN, type JoinAnswer, type JoinRequest, RENEW } from '../../../plugin/agent/cluster/protocol.ts';
import { createToken } from '../../../plugin/agent/cluster/tokens.ts';
import { RouteTable } from '../../../plugin/agent/peers/routes.ts';
import { VERSION } from '../../../plugin/agent/version.ts';

const POOL = '10.213.0.0/16,size=24';
let authority: Pair;
let store: MemoryStore;
let routes: RouteTable;
beforeAll(async () => {
  authority = await makeAuthority();
});
const me = { name: 'h1', address: '10.0.0.1', key: 'k' };
const common = { port: 7947, vxlanPort: 4798, pool: parseAddressPool(POOL) };
const options = (part: Partial<Identity> = { authorityKey: authority.key }): AuthorityOptions => ({
  membership: { me, storeHosts: () => [me] },
  identity: () => ({ me, first: me, authority: authority.certificate, certificate: '', key: '', ...part }),
  common,
  store,
  log: silent,
});
beforeEach(async () => {
  store = new MemoryStore();
  routes = new RouteTable();
  offerAuthority(routes, options());
  await store.put('hosts/h1', { name: 'h1', address: '10.0.0.1', key: 'k' }, 'absent');
});

const join = (body: Partial<JoinRequest>): Promise<JoinAnswer> => routes.find('guest', JOIN)!(body) as Promise<JoinAnswer>;
const renew = (from: string, request: string): Promise<{ certificate: string }> => routes.find('call', RENEW)!({ request }, from) as Promise<{ certificate: string }>;

async function newcomer(name: string, address: string, secret: string): Promise<JoinRequest & { key: string }> {
  return { version: VERSION, now: Date.now(), secret, name, address, vxlanPort: 4798, pool: POOL, ...(await makeRequest(name)) };
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
  const asked = await Promise.all([newcomer('h2', '10.0.0.2', one), newcomer('h3', '10.0.0.2', other), newcomer('h2', '10.0.0.4', third), newcomer('h5', '10.0.0.5', one)]);
  const attempts = await Promise.allSettled(asked.map((body) => join(body)));
  // who is first is a matter of luck
  const refused = attempts.flatMap((each) => (each.status === 'rejected' ? [(each.reason as { code: string }).code] : []));
  for (const code of refused) expect(['name-taken', 'address-taken', 'token-used']).toContain(code);
  const members = (await store.list('hosts/h')).entries.map(({ value }) => value as { name: string; address: string });
  expect([members.length - 1, new Set(members.map(({ address }) => address)).size]).toEqual([4 - refused.length, members.length]);
  expect(members.filter(({ name }) => name === 'h2' || name === 'h5').length).toBeGreaterThan(0);
});

test('two hosts that let in at the same time see each other', async () => {
  const second = new RouteTable();
  offerAuthority(second, options());
  const [one, other] = [await newcomer('h2', '10.0.0.2', await createToken(store, 60_000)), await newcomer('h3', '10.0.0.2', await createToken(store, 60_000))];
  const attempts = await Promise.allSettled([join(one), second.find('guest', JOIN)!(other)]);
  expect(attempts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(attempts.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'address-taken' } });
});

test('a host without the key says who has it', async () => {
  const none = new RouteTable();
  offerAuthority(none, options({}));
  await expect(none.find('guest', JOIN)!(await newcomer('h2', '10.0.0.2', await createToken(store, 60_000)))).rejects.toMatchObject({ code: 'keeps-not', hint: 'do it on h1' });
  await expect(none.find('call', RENEW)!({ request: '' }, 'h2')).rejects.toMatchObject({ code: 'keeps-not' });
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
