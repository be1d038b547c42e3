import type { Lab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';

/** Interfaces, VNI and port of the network by hand; nothing of COAT's has such names or numbers. */
const [BRIDGE, TUNNEL, PORT] = ['bench-br', 'bench-vx', 'bench-p'];
const [VNI, UDP] = ['4242', '4799'];

/** A container gets another network by hand: a veth in a bridge with a VXLAN device, as a handbook says it. */
export interface Handmade {
  host: LabHost;
  /** Name of a running container, whose `eth1` it becomes. */
  container: string;
  /** With prefix length. */
  address: string;
  /** The other host's underlay address. */
  peer: string;
  /** Bytes; the same as the network it is compared with. */
  mtu: number;
}

export async function connectByHand({ host, container, address, peer, mtu }: Handmade): Promise<void> {
  await disconnectByHand(host);
  const { stdout: pid } = await host.exec(['docker', 'inspect', '--format', '{{.State.Pid}}', container]);
  const ip = async (...argv: string[]): Promise<void> => void (await host.exec(['ip', ...argv]));
  await ip('link', 'add', BRIDGE, 'mtu', String(mtu), 'type', 'bridge');
  await ip('link', 'add', TUNNEL, 'mtu', String(mtu), 'type', 'vxlan', 'id', VNI, 'dstport', UDP, 'local', host.address, 'remote', peer);
  await ip('link', 'add', PORT, 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', 'eth1', 'mtu', String(mtu), 'netns', pid.trim());
  for (const device of [TUNNEL, PORT]) await ip('link', 'set', device, 'master', BRIDGE, 'up');
  await ip('link', 'set', BRIDGE, 'up');
  for (const argv of [['address', 'add', address, 'dev', 'eth1'], ['link', 'set', 'eth1', 'up']]) await host.exec(['nsenter', `--net=/proc/${pid.trim()}/ns/net`, 'ip', ...argv]);
  // Docker's FORWARD drops bridged frames too
  await host.exec(['iptables', '-I', 'FORWARD', '-i', BRIDGE, '-j', 'ACCEPT']);
}

/** Nothing to take away is fine. */
export async function disconnectByHand(host: LabHost): Promise<void> {
  for (const device of [TUNNEL, PORT, BRIDGE]) await host.exec(['ip', 'link', 'del', device], { okCodes: [0, 1] });
  await host.exec(['iptables', '-D', 'FORWARD', '-i', BRIDGE, '-j', 'ACCEPT'], { okCodes: [0, 1, 2] });
}

export const disconnectAll = async (lab: Lab): Promise<void> => void (await Promise.all(lab.hosts.map(disconnectByHand)));
