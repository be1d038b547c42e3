import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { formatAddressPool } from '../../../driver/ipam/choose.ts';
import { Host, hostKey } from '../../../driver/overlay/records.ts';
import { ConflictError, type Store } from '../../../driver/store/store.ts';
import type { Membership } from '../membership.ts';
import type { PeerRoutes } from '../peer.ts';
import type { Common } from '../settings.ts';
import { VERSION } from '../version.ts';
import type { Pair } from './certificates.ts';
import type { Identity } from './identity.ts';
import { keyOf } from './proof.ts';
import { checkNewcomer, JOIN, type JoinAnswer, JoinRequest, RENEW, RenewRequest } from './protocol.ts';
import { keepsNot } from './role.ts';
import { lookAtToken } from './tokens.ts';

export interface AuthorityOptions {
  membership: Pick<Membership, 'me' | 'storeHosts'>;
  identity: () => Identity;
  common: Common;
  store: Store;
  log: Log;
}

/** Written with every host that is let in, so that of two that come at once, at two hosts, one sees the other. */
const DOOR = 'door';
const TRIES = 8;

/** Lets hosts in, and renews their certificates, on a host that has the authority's key at the time. */
export function offerAuthority(routes: PeerRoutes, options: AuthorityOptions): void {
  routes.guest(JOIN, (body) => letIn(body, options));
  routes.call(RENEW, async (body, from) => ({ certificate: await renew(body, from, options) }));
}

/** The token is looked at first: who has none learns nothing. It is used up last, so that a refusal costs none. */
async function letIn(body: unknown, options: AuthorityOptions): Promise<JoinAnswer> {
  const parsed = JoinRequest.safeParse(body);
  if (!parsed.success) throw new CoatError('bad-request', 'this is not a request to join', { hint: 'install the same version of the plugin on all hosts' });
  const pair = authorityOf(options);
  for (let tries = 1; ; tries += 1) {
    try {
      return await tryToLetIn(parsed.data, pair, options);
    } catch (error) {
      // another one came in at the same moment, and now everything has to be looked at again
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
    }
  }
}

async function tryToLetIn(wanted: JoinRequest, pair: Pair, { membership, identity, common, store, log }: AuthorityOptions): Promise<JoinAnswer> {
  const now = Date.now();
  const { name } = membership.me;
  const spent = await lookAtToken(store, wanted.secret, wanted.name, now);
  const door = await store.get(DOOR);
  const members = await membersOf(store);
  checkNewcomer(wanted, { name, version: VERSION, now, members, vxlanPort: common.vxlanPort, pool: formatAddressPool(common.pool) });
  const { issue } = await import('./certificates.ts');
  const certificate = await issue(pair, wanted.request, wanted.name);
  const record: Host = { name: wanted.name, address: wanted.address, version: wanted.version, key: keyOf(certificate) };
  await store.putAll([
    spent,
    { key: DOOR, value: { last: wanted.name }, expected: door?.revision ?? 'absent' },
    { key: hostKey(wanted.name), value: record, expected: 'absent' },
  ]);
  log.info({ host: wanted.name, address: wanted.address }, 'a host has joined the cluster');
  const { external } = identity();
  return { certificate, first: name, members: await membersOf(store), ...(external && { external }) };
}

const membersOf = async (store: Store): Promise<Host[]> => (await store.list('hosts/')).entries.map(({ value }) => Host.parse(value));

/** @throws CoatError `keeps-not` where another host has the key */
function authorityOf({ membership, identity }: AuthorityOptions): Pair {
  const { authority, authorityKey } = identity();
  if (authorityKey === undefined) throw keepsNot(membership.me.name, membership.storeHosts());
  return { certificate: authority, key: authorityKey };
}

/** Another key would be another host: that must join. */
async function renew(body: unknown, from: string, options: AuthorityOptions): Promise<string> {
  const { store, log } = options;
  const { issue } = await import('./certificates.ts');
  const certificate = await issue(authorityOf(options), RenewRequest.parse(body).request, from);
  const record = await store.get(hostKey(from));
  if (record === undefined || Host.parse(record.value).key !== keyOf(certificate)) {
    throw new CoatError('other-key', `the key is not that of host ${from}`, { hint: 'a host with a new key must leave and join' });
  }
  log.info({ host: from }, 'renewed the certificate of a host');
  return certificate;
}
