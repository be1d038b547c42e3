import { readdir } from 'node:fs/promises';
import { codeOf } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import { isNetnsOf, NETNS, netnsName } from '../places.ts';
import { address6, switchAddress, type HostSpec, type LabSpec } from '../spec.ts';

/** The bridge inside the switch's namespace; each of its ports bears the name of the host behind it. */
const BRIDGE = 'underlay';
const TABLE = 'bridge coat-lab';

const switchOf = (lab: string): string => netnsName(lab, 'switch');

/**
 * Makes the network of a lab: a namespace with a bridge and, for each host, a namespace with `eth0`.
 * The machine's own network namespace gets nothing; deleting the namespaces removes every link.
 */
export async function makeUnderlay(spec: LabSpec): Promise<void> {
  const wires = switchOf(spec.name);
  await addNetns(wires);
  await ipBatch(wires, [
    'link set lo up',
    `link add ${BRIDGE} type bridge`,
    ...addresses(switchAddress(spec.subnet), BRIDGE),
    `link set ${BRIDGE} up`,
  ]);
  for (const host of spec.hosts) await plugIn(spec.name, host);
}

/** Gives one host a network namespace, connected to the switch. */
export async function plugIn(lab: string, host: HostSpec): Promise<void> {
  const wires = switchOf(lab);
  const netns = netnsName(lab, host.name);
  await addNetns(netns);
  await ipBatch(wires, [
    `link add ${host.name} type veth peer name eth0 netns ${netns}`,
    `link set ${host.name} master ${BRIDGE} up`,
  ]);
  await ipBatch(netns, ['link set lo up', ...addresses(host.address, 'eth0'), 'link set eth0 up']);
}

/** Of both families. Nobody else can have them, and an address that is being looked for cannot be listened at. */
const addresses = (address: string, dev: string): string[] => [`address add ${address}/24 dev ${dev}`, `address add ${address6(address)}/64 dev ${dev} nodad`];

/** Takes a host's network away, with everything in it; none is fine. */
export async function unplug(lab: string, host: string): Promise<void> {
  // a namespace dies some time after it was deleted; the port must be free for the next boot at once
  await run(['ip', '-netns', switchOf(lab), 'link', 'delete', host], { okCodes: [0, 1] });
  await run(['ip', 'netns', 'delete', netnsName(lab, host)], { okCodes: [0, 1] });
}

export async function addNetns(name: string): Promise<void> {
  await run(['ip', 'netns', 'add', name]);
}

/** Removes every network namespace of the lab, whoever made it. */
export async function removeUnderlay(lab: string): Promise<void> {
  const names = await readdir(NETNS).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter((candidate) => isNetnsOf(lab, candidate))) await run(['ip', 'netns', 'delete', name]);
}

/** Drops every frame between two hosts, in both directions, until {@link heal}. */
export async function cut(lab: string, one: string, other: string): Promise<void> {
  const chain = `${TABLE} cut`;
  await nft(lab, [
    `add table ${TABLE}`,
    `add chain ${chain} { type filter hook forward priority 0; policy accept; }`,
    `add rule ${chain} iifname "${one}" oifname "${other}" drop`,
    `add rule ${chain} iifname "${other}" oifname "${one}" drop`,
  ]);
}

/** Takes back every {@link cut} of the lab. */
export async function heal(lab: string): Promise<void> {
  await nft(lab, [`add table ${TABLE}`, `delete table ${TABLE}`]);
}

/**
 * Gives a host's link a rate in both directions, or (`null`) takes it away. The rate lives in the
 * link: one that is made anew ({@link plugIn}) has none.
 *
 * @param rate as tc(8) writes it, e.g. `100mbit`
 */
export async function limit(lab: string, host: string, rate: string | null): Promise<void> {
  for (const [netns, device] of [[switchOf(lab), host], [netnsName(lab, host), 'eth0']] as const) {
    if (rate === null) await run(['tc', '-netns', netns, 'qdisc', 'delete', 'dev', device, 'root'], { okCodes: [0, 2] });
    else await run(['tc', '-netns', netns, 'qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', rate, 'burst', '256kb', 'latency', '50ms']);
  }
}

async function ipBatch(netns: string, lines: string[]): Promise<void> {
  await run(['ip', '-netns', netns, '-batch', '-'], { input: lines.join('\n') + '\n' });
}

async function nft(lab: string, lines: string[]): Promise<void> {
  await run(['nsenter', `--net=${NETNS}/${switchOf(lab)}`, 'nft', '-f', '-'], { input: lines.join('\n') + '\n' });
}
