import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import { Host, hostKey } from '../../../driver/overlay/records.ts';
import type { Store } from '../../../driver/store/store.ts';
import type { PeerRoutes } from '../peer.ts';
import { VERSION } from '../version.ts';
import type { Pair } from './certificates.ts';
import { keyOf } from './proof.ts';
import { checkNewcomer, JOIN, type JoinAnswer, JoinRequest, RENEW, RenewRequest } from './protocol.ts';
import { lookAtToken, spendToken } from './tokens.ts';

export interface AuthorityOptions {
  /** This host's name. */
  me: string;
  authority: Pair;
  store: Store;
  log: Log;
}

/** Lets hosts in, and renews their certificates: what only the host with the authority's key can do. */
export function offerAuthority(routes: PeerRoutes, options: AuthorityOptions): void {
  // one after the other, so that two cannot be let in with one address
  const joins = new Queue();
  routes.guest(JOIN, (body) => joins.run(() => letIn(body, options)));
  routes.call(RENEW, async (body, from) => ({ certificate: await renew(body, from, options) }));
}

/** The token is looked at first: who has none learns nothing. It is used up last, so that a refusal costs none. */
async function letIn(body: unknown, { me, authority, store, log }: AuthorityOptions): Promise<JoinAnswer> {
  const parsed = JoinRequest.safeParse(body);
  if (!parsed.success) throw new CoatError('bad-request', 'this is not a request to join', { hint: 'install the same version of the plugin on all hosts' });
  const wanted = parsed.data;
  const now = Date.now();
  await lookAtToken(store, wanted.secret, now);
  const members = async (): Promise<Host[]> => (await store.list('hosts/')).entries.map(({ value }) => Host.parse(value));
  checkNewcomer(wanted, { name: me, version: VERSION, now, members: await members() });
  const { issue } = await import('./certificates.ts');
  const certificate = await issue(authority, wanted.request, wanted.name);
  await spendToken(store, wanted.secret, wanted.name, now);
  const record: Host = { name: wanted.name, address: wanted.address, version: wanted.version, key: keyOf(certificate) };
  await store.put(hostKey(wanted.name), record, 'absent');
  log.info({ host: wanted.name, address: wanted.address }, 'a host has joined the cluster');
  return { certificate, first: me, members: await members() };
}

/** Another key would be another host: that must join. */
async function renew(body: unknown, from: string, { authority, store, log }: AuthorityOptions): Promise<string> {
  const { issue } = await import('./certificates.ts');
  const certificate = await issue(authority, RenewRequest.parse(body).request, from);
  const record = await store.get(hostKey(from));
  if (record === undefined || Host.parse(record.value).key !== keyOf(certificate)) {
    throw new CoatError('other-key', `the key is not that of host ${from}`, { hint: 'a host with a new key must leave and join' });
  }
  log.info({ host: from }, 'renewed the certificate of a host');
  return certificate;
}
