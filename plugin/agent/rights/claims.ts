import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { canonical, contains, familyOf, isUsable, parseAddress, parseSubnet } from '../../../driver/ipam/address.ts';
import { gatewayMac } from '../../../driver/overlay/names.ts';
import { Claim, claimPath, Network, networkPath } from '../../../driver/overlay/records.ts';
import { ConflictError } from '../../../driver/store/store.ts';
import { type Change, forbidden, type Known, MAY, type Wanted, type Writer } from './change.ts';

/** An address of a single interface: six bytes, the first of which is even (IEEE 802, individual/group bit). */
const UNICAST = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;

/** Records of claims are passed on with fields that this version does not know. */
const Any = z.looseObject(Claim.shape);
type Any = z.infer<typeof Any>;

/**
 * A host claims addresses for itself, and changes and gives back what it has. It takes over what its owner has redirected to it,
 * which is how a move ends, and changes nothing else of it then. What names other things than the address, too, that is the
 * MAC, the IPv6 address and the hosts where ports are published, is looked at as well: each host's kernel follows it.
 */
export function judgeClaim(writer: Writer, { key, before, after }: Change, known: Known): Wanted {
  const old = before === undefined ? undefined : read(key, before);
  if (after === undefined) {
    if (old!.host !== writer.name) throw others(old!);
    return MAY;
  }
  const claim = read(key, after);
  if (claim.host !== writer.name) throw old === undefined || old.host === writer.name ? forbidden(`host ${writer.name} claims an address for itself, and not for ${claim.host}`) : others(old);
  if (old !== undefined && old.host !== writer.name) return judgeTakeOver(writer, old, claim);
  if (old === undefined) checkNew(claim, known);
  else if (claim.epoch !== old.epoch) throw forbidden(`the epoch of ${claim.ip} changes with its owner`);
  checkPublished(writer, old, claim);
  return checkNeighbours(writer, old, claim, known);
}

function judgeTakeOver({ name }: Writer, old: Any, claim: Any): Wanted {
  if (old.redirect !== name) throw others(old);
  const { redirect: _redirect, movingTo: _movingTo, ...rest } = old;
  if (!isDeepStrictEqual(claim, { ...rest, host: name, epoch: old.epoch + 1 })) throw forbidden(`of ${claim.ip}, which has moved to host ${name}, nothing else changes with that`);
  return MAY;
}

/** Of an address that nobody has. */
function checkNew({ network: key, ip, epoch, redirect, movingTo }: Any, known: Known): void {
  if (epoch !== 1 || redirect !== undefined || movingTo !== undefined) throw forbidden(`a new claim of ${ip} has no past`);
  const record = known.get(networkPath(key));
  if (record === undefined) throw forbidden(`there is no network ${key}`);
  const { subnet, subnet6, gateway, gateway6, created, reserved } = Network.parse(record);
  const range = familyOf(ip) === 4 ? subnet : subnet6;
  const address = parseAddress(ip);
  const isIn = range !== undefined && contains(parseSubnet(range), address) && isUsable(parseSubnet(range), address);
  if (!isIn || ip === gateway || ip === gateway6) throw forbidden(`${ip} is no address for a container of the network ${key}`);
  // before, those are claimed by whoever makes the network
  if (created && reserved?.includes(ip)) throw forbidden(`the address ${ip} is reserved (--aux-address)`);
}

/** What is published at another host is that host's to say; it may be left out. */
function checkPublished({ name }: Writer, old: Any | undefined, claim: Any): void {
  const foreign = (one: Any | undefined): NonNullable<Claim['published']> => (one?.published ?? []).filter(({ host }) => host !== name);
  const before = foreign(old);
  const wrong = foreign(claim).find((entry) => !before.some((known) => isDeepStrictEqual(known, entry)));
  if (wrong !== undefined) throw forbidden(`what is published at host ${wrong.host} is not for host ${name} to say`);
}

/** A second claim with the MAC or the IPv6 address of another host's container would draw its frames. */
function checkNeighbours({ name }: Writer, old: Any | undefined, claim: Any, known: Known): Wanted {
  const { network, ip, mac, ip6 } = claim;
  const isNewMac = mac !== undefined && mac !== old?.mac;
  const isNew6 = ip6 !== undefined && ip6 !== old?.ip6;
  const isSecond = old === undefined && familyOf(ip) === 6;
  if (isNewMac) checkMac(claim, known);
  if (!isNewMac && !isNew6 && !isSecond) return MAY;
  const prefix = `claims/${network}/`;
  const all = known.under(prefix);
  if (all === undefined) return [prefix];
  // another host that was faster with this very address: the store itself says so when it compares
  const theirs = [...all].flatMap(([key, value]) => (ownerOf(value) === name || key === claimPath(network, ip) ? [] : read(key, value)));
  const same = isNewMac && theirs.find((other) => other.mac?.toLowerCase() === mac);
  if (same) throw forbidden(`the MAC ${mac} belongs to ${same.ip} on host ${same.host}`);
  if (isNew6 && (familyOf(ip) !== 4 || ownerOf(all.get(claimPath(network, ip6))) !== name)) throw forbidden(`the address ${ip6} is not host ${name}'s`);
  // its former owner has given it back, and is about to do so with the IPv4 address beside it
  if (isSecond && theirs.some((other) => other.ip6 === ip)) throw new ConflictError(claimPath(network, ip));
  return MAY;
}

function checkMac({ mac, network }: Any, known: Known): void {
  const record = known.get(networkPath(network));
  const vni = record === undefined ? undefined : Network.parse(record).vni;
  if (!UNICAST.test(mac!) || (vni !== undefined && mac === gatewayMac(vni))) throw forbidden(`no container can have the MAC ${mac}`);
}

const ownerOf = (value: unknown): unknown => (value as Partial<Claim> | undefined)?.host;

/** @throws CoatError where it is none, or is not that of the key */
function read(key: string, value: unknown): Any {
  const parsed = Any.safeParse(value);
  if (!parsed.success) throw forbidden(`${key} would be no claim`);
  const { network, ip, ip6 } = parsed.data;
  if (claimPath(network, ip) !== key || !isCanonical(ip) || (ip6 !== undefined && !isCanonical(ip6))) throw forbidden(`${key} would be a claim of another address`);
  return parsed.data;
}

function isCanonical(ip: string): boolean {
  try {
    return canonical(ip) === ip;
  } catch {
    return false;
  }
}

const others = ({ ip, host }: Any): Error => forbidden(`the address ${ip} is host ${host}'s`);
