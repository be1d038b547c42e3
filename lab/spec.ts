import { CoatError } from '../driver/host/errors.ts';

/** An engine generation the lab can build hosts of: Docker's major version. */
export type Engine = 26 | 28;
export const ENGINES: readonly Engine[] = [26, 28];

/** Where an engine keeps images and layers: its own storage driver, or containerd's image store. */
export type Store = 'overlay2' | 'containerd';
export const STORES: readonly Store[] = ['overlay2', 'containerd'];

export interface HostSpec {
  name: string;
  /** Underlay address, without prefix length (always /24). */
  address: string;
  engine: Engine;
  store: Store;
}

/** What a lab is; written to its record when `up` begins. */
export interface LabSpec {
  name: string;
  /** Third byte of the underlay's 10.213.k.0/24. */
  subnet: number;
  /** The cgroup version its engines see. */
  cgroup: 1 | 2;
  hosts: HostSpec[];
}

/** Names become parts of interface-free kernel names and paths: short, lower-case, no surprises. */
export function checkName(name: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/.test(name)) return name;
  throw new CoatError('lab-name', `"${name}" cannot be a lab's name`, { hint: 'use up to 20 letters a-z, digits and dashes' });
}

/** @param text as in `--engines 26,28` */
export function parseEngines(text: string): Engine[] {
  return text.split(',').map((part) => {
    const engine = ENGINES.find((known) => String(known) === part.trim());
    if (engine !== undefined) return engine;
    throw new CoatError('lab-engine', `there is no engine "${part.trim()}" in the lab`, { hint: `known: ${ENGINES.join(', ')}` });
  });
}

/** @param text as in `--store overlay2,containerd` */
export function parseStores(text: string): Store[] {
  return text.split(',').map((part) => {
    const store = STORES.find((known) => known === part.trim());
    if (store !== undefined) return store;
    throw new CoatError('lab-store', `there is no image store "${part.trim()}"`, { hint: `known: ${STORES.join(', ')}` });
  });
}

/** @param text as in `--hosts 3`: 1 to 200, what fits into the underlay's /24 with room for the switch */
export function parseHosts(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= 200) return count;
  throw new CoatError('lab-hosts', `"${text}" is not a number of hosts`, { hint: 'from 1 to 200' });
}

export function parseCgroup(text: string): 1 | 2 {
  if (text === '1') return 1;
  if (text === '2') return 2;
  throw new CoatError('lab-cgroup', `there is no cgroup version "${text}"`, { hint: '1 or 2' });
}

/** @param text a rate as tc(8) writes it, with its unit: `100mbit`, `1.5gbit`, `12mbps` (bytes) */
export function parseRate(text: string): string {
  if (/^\d+(\.\d+)?[kmgt]?(bit|bps)$/.test(text) && Number.parseFloat(text) > 0) return text;
  throw new CoatError('lab-rate', `"${text}" is not a rate`, { hint: 'a number with its unit, without space: 100mbit, 1gbit' });
}

/** Underlay address of the n-th host, counted from 1. */
export const hostAddress = (subnet: number, n: number): string => `10.213.${subnet}.${n}`;

/** The IPv6 address beside an IPv4 one of the underlay, without prefix length (always /64): 10.213.7.1 has fd00:213:7::1. */
export function address6(address: string): string {
  const [, second, subnet, n] = address.split('.');
  return `fd00:${second}:${subnet}::${n}`;
}

/** The switch's own address: for a look from outside, and to answer "no such port" as a name server. */
export const switchAddress = (subnet: number): string => `10.213.${subnet}.254`;

/** Hosts h1, h2, … with the engines and their stores given out in turn. */
export function planHosts(count: number, engines: readonly Engine[], subnet: number, stores: readonly Store[] = ['overlay2']): HostSpec[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `h${i + 1}`,
    address: hostAddress(subnet, i + 1),
    engine: engines[i % engines.length]!,
    store: stores[i % stores.length]!,
  }));
}
