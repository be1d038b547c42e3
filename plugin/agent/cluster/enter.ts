import { networkInterfaces } from 'node:os';
import { X509Certificate } from 'node:crypto';
import { CoatError } from '../../../driver/host/errors.ts';
import { StoreAwayError } from '../../../driver/store/store.ts';
import { canonical, familyOf } from '../../../driver/ipam/address.ts';
import { formatAddressPool } from '../../../driver/ipam/choose.ts';
import { type Common, isUnderlay, NAME } from '../settings.ts';
import { VERSION } from '../version.ts';
import { knock } from './ask.ts';
import { issue, makeAuthority, makeRequest } from './certificates.ts';
import { wayToExternal } from '../etcd/external.ts';
import { EtcdStore } from '../etcd/store.ts';
import type { External, Identity } from './identity.ts';
import type { Member } from '../membership.ts';
import { keyOf } from './proof.ts';
import { JOIN, JoinAnswer, type JoinRequest } from './protocol.ts';
import { parseToken } from './tokens.ts';

/** What Docker and coat make; a host is not reached there. */
const NOT_UNDERLAY = /^(lo|docker|br-|veth|cb\d|cx\d|cv)/;

/** This host's addresses that others may reach it at. */
function ownAddresses(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    NOT_UNDERLAY.test(name) ? [] : (addresses ?? []).filter(({ address, internal }) => isUnderlay(address) && !internal).map(({ address }) => address));
}

/** @throws CoatError `bad-name` */
export function checkHostName(name: string): string {
  if (NAME.test(name)) return name;
  throw new CoatError('bad-name', `"${name.slice(0, 80)}" cannot be the name of a host`, { hint: 'give one of letters a-z, digits and dashes: --name' });
}

/** @param given what the person said, or what a connection was made from. @throws CoatError `bad-address` */
export function chooseAddress(given: string | undefined, own: readonly string[]): string {
  if (given !== undefined) {
    const same = own.find((address) => address === canonical(given));
    if (same !== undefined) return same;
    throw new CoatError('bad-address', `this host does not have the address ${given}`, { hint: own.length === 0 ? 'it has no IP address' : `it has ${own.join(', ')}` });
  }
  // IPv6 only for who says so, or has nothing else
  const usual = own.filter((address) => familyOf(address) === 4);
  const [first, ...more] = usual.length > 0 ? usual : own;
  if (first !== undefined && more.length === 0) return first;
  throw new CoatError('bad-address', first === undefined ? 'this host has no IP address' : `this host has several addresses: ${own.join(', ')}`, {
    hint: 'say at which one the other hosts reach it: --address',
  });
}

/** Who founds a cluster, and where its store is, if not on this host. */
export interface Founder {
  name: string;
  address?: string | undefined;
  store?: External | undefined;
}

/** An etcd of others must answer, and have nothing of another cluster. @throws CoatError `bad-store`, `store-in-use` */
async function checkExternal(external: External): Promise<void> {
  const wrong = external.urls.find((url) => !/^https:\/\/[^/]+\/?$/.test(url) || !URL.canParse(url));
  if (wrong !== undefined) throw new CoatError('bad-store', `"${wrong}" is not the address of an etcd`, { hint: 'https://host:2379, several with commas between them; without TLS anybody could write there' });
  const store = new EtcdStore(wayToExternal(external));
  try {
    const { entries } = await store.list('');
    if (entries.length > 0) throw new CoatError('store-in-use', `that etcd has ${entries.length} records of a coat cluster already`, { hint: 'let its hosts leave; or, if there are none any more: etcdctl del --prefix /coat/v1/' });
  } catch (error) {
    if (!(error instanceof StoreAwayError)) throw error;
    throw new CoatError('bad-store', `etcd at ${external.urls.join(', ')} does not answer`, { hint: 'look at its addresses and certificates: --store-ca, --store-cert, --store-key', cause: error.cause });
  } finally {
    await store.close();
  }
}

/** The identity of the first host of a new cluster. */
export async function found({ name, address, store }: Founder): Promise<Identity> {
  const me = { name: checkHostName(name), address: chooseAddress(address, ownAddresses()) };
  if (store !== undefined) await checkExternal(store);
  const authority = await makeAuthority();
  const { request, key } = await makeRequest(name);
  const certificate = await issue(authority, request, name);
  const member = { ...me, key: keyOf(certificate) };
  return { me: member, first: member, authority: authority.certificate, authorityKey: authority.key, certificate, key, store: 'member', ...(store && { external: store }) };
}

/**
 * Asks the cluster of a token to let this host in.
 *
 * @returns what this host is from now on, and who else belongs to the cluster
 * @throws CoatError what the cluster refuses with
 */
export async function join(wanted: { token: string; name: string; address?: string | undefined }, { port, vxlanPort, pool }: Common): Promise<{ identity: Identity; members: Member[] }> {
  const name = checkHostName(wanted.name);
  const token = parseToken(wanted.token);
  if (token.port !== port) {
    throw new CoatError('other-port', `the cluster uses port ${token.port}, and this host ${port}`, { hint: 'set COAT_PORT to the same on all hosts: docker plugin disable, docker plugin set, docker plugin enable' });
  }
  const door = await knock(token);
  try {
    const address = chooseAddress(wanted.address ?? door.localAddress, ownAddresses());
    const { request, key } = await makeRequest(name);
    const body: JoinRequest = { version: VERSION, now: Date.now(), secret: token.secret, name, address, request, vxlanPort, pool: formatAddressPool(pool) };
    const { certificate, first, members, external } = JoinAnswer.parse(await door.ask(JOIN, body));
    const me = { name, address, key: keyOf(certificate) };
    const firstMember = members.find((member) => member.name === first);
    if (firstMember === undefined || !new X509Certificate(certificate).verify(new X509Certificate(door.authority).publicKey)) {
      throw new CoatError('wrong-cluster', 'the answer of the cluster does not fit together', { hint: 'install the same version of the plugin on all hosts' });
    }
    return { identity: { me, first: firstMember, authority: door.authority, certificate, key, ...(external && { external }) }, members };
  } finally {
    door.close();
  }
}
