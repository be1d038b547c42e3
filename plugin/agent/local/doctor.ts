import { explain } from '../../../driver/host/errors.ts';
import { run } from '../../../driver/host/run.ts';
import type { Finding, Status } from '../api.ts';
import type { Peer, Peers } from '../peer.ts';
import type { TunnelTrial } from '../probes/tunnels.ts';
import { diagnose, type HostFacts } from './diagnosis.ts';

const PING_MS = 3_000;
const PROBE_MS = 10_000;

/** What coat makes in a kernel, tried in a network namespace that goes with the program. */
const PROBES: readonly { what: string; script: string }[] = [
  { what: 'a bridge', script: 'ip link add cb0 type bridge' },
  { what: 'VXLAN', script: 'ip link add cx0 type vxlan id 1 dstport 4798 local 127.0.0.1 nolearning' },
  { what: 'veth', script: 'ip link add cv0 type veth peer name ci0' },
  { what: 'tbf', script: 'ip link add cv0 type veth peer name ci0 && tc qdisc add dev cv0 root tbf rate 8bit burst 1mb limit 4mb' },
  { what: 'nftables', script: 'nft add table inet coat' },
  ...(['ip', 'ip6'] as const).map((family) => ({
    what: `nftables with dup and nat of ${family}`,
    script: `nft 'table ${family} coat { chain a { type filter hook prerouting priority 0; dup to ${family === 'ip' ? '240.0.0.1' : '100::1'} device lo; }; chain b { type nat hook postrouting priority 0; masquerade; }; }'`,
  })),
  { what: 'nftables of bridges', script: "nft 'table bridge coat { chain a { type filter hook prerouting priority 0; meta pkttype set host; }; }'" },
];

export interface DoctorSources {
  status(): Promise<Status>;
  storage(): Promise<string>;
  peers: Pick<Peers, 'others'>;
  /** What fits through the tunnels to all peers, bytes. */
  mtu(): Promise<number>;
  /** Measures the paths to all peers anew. */
  measure(): Promise<void>;
  networks(): HostFacts['networks'];
  ports: HostFacts['ports'];
  /** Why CRIU does not dump a TCP connection here. */
  whyNoDump(): Promise<string | undefined>;
  tryTunnel(peer: Peer): Promise<TunnelTrial>;
}

/** Looks at a host from all sides. Never fails: what cannot be found out is a finding. */
export async function examine(sources: DoctorSources): Promise<Finding[]> {
  await sources.measure();
  const [status, storage, lacking, clocks, mtu, dump, tunnels] = await Promise.all([
    sources.status(),
    sources.storage().catch(() => undefined),
    probeKernel(),
    readClocks(sources.peers),
    sources.mtu(),
    sources.whyNoDump().catch(explain),
    tryTunnels(sources),
  ]);
  return diagnose({ status, storage, lacking, clocks, mtu, dump, tunnels, ports: sources.ports, networks: sources.networks() });
}

async function probeKernel(): Promise<HostFacts['lacking']> {
  const tried = PROBES.map(async ({ what, script }) => {
    try {
      await run(['unshare', '--net', '--', 'sh', '-c', script], { timeout: PROBE_MS });
      return [];
    } catch (error) {
      return [{ what, why: explain(error) }];
    }
  });
  return (await Promise.all(tried)).flat();
}

/** Of a host that does not answer there is nothing to say here. */
async function tryTunnels(sources: DoctorSources): Promise<HostFacts['tunnels']> {
  const tried = sources.peers.others().map(async (peer) => [peer.name, await sources.tryTunnel(peer).catch((error: unknown) => ({ problem: explain(error) }))] as const);
  return new Map(await Promise.all(tried));
}

/** Half of the way there and back is taken off, as in NTP. A host that does not answer has no clock here. */
async function readClocks(peers: DoctorSources['peers']): Promise<Map<string, number>> {
  const read = peers.others().map(async (peer) => {
    const asked = Date.now();
    const { now } = await peer.call<{ now?: number }>('/v1/ping', {}, { timeout: PING_MS });
    return now === undefined ? [] : [[peer.name, now - (asked + Date.now()) / 2] as const];
  });
  const clocks = await Promise.all(read.map((clock) => clock.catch(() => [])));
  return new Map(clocks.flat());
}
