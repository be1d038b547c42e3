import type { Lab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';

/** A network made by hand over all hosts: a bridge on each, with a VXLAN device that floods to the others and learns. */
export const HAND = 'bench-hand';
const [BRIDGE, TUNNEL] = ['bench-br', 'bench-tunnel'];
const [VNI, UDP] = ['4243', '4800'];
const SUBNET = '10.77.0';
/** Of the underlay's 1500 less what VXLAN takes. */
const MTU = '1450';

/** Where the server is to be, and what its frames are to have, on whichever host. */
export const SERVER = { address: `${SUBNET}.5`, mac: '02:42:0a:4d:00:05' };
export const CLIENT_ADDRESS = `${SUBNET}.9`;

/** Docker's own bridge driver takes the bridge that is there; so containers of Docker, and namespaces of Podman, are on one network. */
export async function connectHosts(lab: Lab): Promise<void> {
  await disconnectHosts(lab);
  await Promise.all(lab.hosts.map(async (host, index) => {
    const ip = async (...argv: string[]): Promise<void> => void (await host.exec(['ip', ...argv]));
    await ip('link', 'add', BRIDGE, 'mtu', MTU, 'type', 'bridge');
    await ip('link', 'add', TUNNEL, 'mtu', MTU, 'type', 'vxlan', 'id', VNI, 'dstport', UDP, 'local', host.address);
    await ip('link', 'set', TUNNEL, 'master', BRIDGE, 'up');
    await ip('link', 'set', BRIDGE, 'up');
    for (const peer of lab.hosts) if (peer !== host) await host.exec(['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', TUNNEL, 'dst', peer.address]);
    // each its own gateway, or two hosts would answer for one address
    await host.exec(['docker', 'network', 'create', '--subnet', `${SUBNET}.0/24`, '--gateway', `${SUBNET}.${254 - index}`, '-o', `com.docker.network.bridge.name=${BRIDGE}`, '-o', `com.docker.network.driver.mtu=${MTU}`, HAND]);
    // Docker's FORWARD drops frames between a bridge's ports, where one of them is not a container's
    await host.exec(['iptables', '-I', 'FORWARD', '-i', BRIDGE, '-o', BRIDGE, '-j', 'ACCEPT']);
  }));
}

/** Nothing to take away is fine. */
export async function disconnectHosts(lab: Lab): Promise<void> {
  await Promise.all(lab.hosts.map(async (host: LabHost) => {
    await host.exec(['docker', 'network', 'rm', HAND], { okCodes: [0, 1] });
    for (const device of [TUNNEL, BRIDGE]) await host.exec(['ip', 'link', 'del', device], { okCodes: [0, 1] });
    await host.exec(['iptables', '-D', 'FORWARD', '-i', BRIDGE, '-o', BRIDGE, '-j', 'ACCEPT'], { okCodes: [0, 1, 2] });
  }));
}
