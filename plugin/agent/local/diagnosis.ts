import type { Finding, Status } from '../api.ts';
import { isStore } from '../../engine/layers.ts';
import { narrowPaths, type Sends } from '../mtu/judge.ts';
import type { TunnelTrial, Way } from '../probes/tunnels.ts';

/** A difference of clocks from which on logs mislead, ms; and one with which certificates are refused. */
const CLOCK_ODD_MS = 2_000;
const CLOCK_WRONG_MS = 5 * 60_000;

/** What a host is judged by. */
export interface HostFacts {
  status: Status;
  /** Storage driver of the engine, if it answers. */
  storage: string | undefined;
  /** What the kernel cannot do of what coat needs, each with its own words. */
  lacking: { what: string; why: string }[];
  /** By host: how much its clock is ahead of ours, ms. */
  clocks: ReadonlyMap<string, number>;
  /** What fits through the tunnels to all peers now, bytes. */
  mtu: number;
  networks: Sends;
  /** Why CRIU does not dump a TCP connection on this host. */
  dump: string | undefined;
  /** By host: how far frames get there and back. */
  tunnels: ReadonlyMap<string, TunnelTrial | { problem: string }>;
  /** TCP, of the agents; UDP, of the tunnels. */
  ports: { agents: number; tunnels: number };
}

/** What is well with a host, and what is not, with its remedy. Pure; `doctor.ts` gathers the facts. */
export function diagnose(facts: HostFacts): Finding[] {
  return [engine(facts), storage(facts), runtime(facts), criu(facts), kernel(facts), store(facts), ...peers(facts), ...clocks(facts), ...mtus(facts)].flat();
}

const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found });
const warning = (check: string, found: string, remedy: string): Finding => ({ check, state: 'warning', found, remedy });
const problem = (check: string, found: string, remedy: string): Finding => ({ check, state: 'problem', found, remedy });

function engine({ status: { engine: about } }: HostFacts): Finding {
  return 'problem' in about ? problem('engine', about.problem, 'start it: systemctl start docker') : ok('engine', `Docker ${about.version}, API ${about.apiVersion}`);
}

function storage({ storage: driver }: HostFacts): Finding[] {
  if (driver === undefined) return [];
  if (isStore(driver)) return [ok('storage', driver)];
  return [problem('storage', `the engine keeps files with ${driver}, and a move copies what overlayfs has`, 'set "storage-driver": "overlay2" in /etc/docker/daemon.json and restart the engine (its containers are not taken over)')];
}

function runtime({ status: { runtime: state } }: HostFacts): Finding[] {
  if (state === 'unknown') return [];
  return [state === 'registered' ? ok('runtime', 'the engine knows the runtime coat') : problem('runtime', 'the engine does not know the runtime coat: nothing can move to this host', 'docker coat setup')];
}

function criu({ status: { criu: found }, dump }: HostFacts): Finding {
  if ('problem' in found) return problem('CRIU', found.problem, 'docs/limits.md lists what CRIU needs of a kernel');
  const which = `${found.version}, ${found.carried ? "the plugin's own" : found.path}`;
  if (dump !== undefined) return problem('CRIU', `${which}, does not dump a TCP connection here: ${dump}`, 'docs/limits.md lists what CRIU needs of a kernel');
  return ok('CRIU', `${which}, has dumped a TCP connection`);
}

function kernel({ lacking }: HostFacts): Finding[] {
  if (lacking.length === 0) return [ok('kernel', 'bridge, VXLAN, veth, tbf and nftables work')];
  return lacking.map(({ what, why }) => problem('kernel', `${what} does not work: ${why}`, `load or install the kernel's module for ${what}`));
}

function store({ status: { store: { state, endpoint, revision }, hosts } }: HostFacts): Finding {
  if (state !== 'ok') return problem('store', `${endpoint} does not answer: nothing can move, and only few containers can start`, 'start the hosts that keep it, or look at the logs of their agents');
  const keepers = hosts.filter((host) => host.store === 'member').length;
  if (keepers > 0 && keepers % 2 === 0) return warning('store', `${endpoint}, revision ${revision}: ${keepers} hosts survive the loss of no more than ${keepers - 1} would`, 'promote one more: docker coat promote HOST');
  return ok('store', `${endpoint} answers, revision ${revision}`);
}

function peers({ status: { hosts, version, host: me, address }, tunnels, ports }: HostFacts): Finding[] {
  const here = { name: me, address };
  return hosts.filter(({ self }) => !self).flatMap((host) => {
    const check = `host ${host.name}`;
    if (!host.reachable) return [problem(check, host.problem ?? 'it cannot be reached', `let TCP ${ports.agents} and UDP ${ports.tunnels} pass between the hosts (${host.address})`)];
    if (host.version !== version) return [warning(check, `it runs version ${host.version ?? '?'}, this host ${version}`, 'install the same version on all hosts')];
    const trial = tunnels.get(host.name);
    if (trial === undefined) return [ok(check, `${host.address} answers`)];
    if ('problem' in trial) return [warning(check, `${host.address} answers, but whether frames get there was not found out: ${trial.problem}`, 'try again')];
    const wrong = [...barred(trial.there, here, host, ports.tunnels), ...barred(trial.back, host, here, ports.tunnels)];
    if (!trial.answered) wrong.push(problem(check, `it does not reach the agent of this host, ${address}`, `let TCP ${ports.agents} in from ${host.address}`));
    return wrong.length > 0 ? wrong : [ok(check, `${host.address} answers; TCP ${ports.agents} and UDP ${ports.tunnels} pass both ways`)];
  });
}

interface End {
  name: string;
  address: string;
}

/** Who keeps the frames of one host from another. */
function barred(way: Way, from: End, to: End, port: number): Finding[] {
  const what = `what containers on ${from.name} send to ${to.name} (UDP ${port})`;
  const show = `nft list ruleset and iptables-save on ${way.arrived ? to.name : from.name} show what drops it`;
  if (!way.left) return [problem('firewall', `the firewall of ${from.name} does not let out ${what}`, `let UDP ${port} out to ${to.address}; ${show}`)];
  if (!way.arrived) return [problem('firewall', `something between ${from.name} and ${to.name} drops ${what}`, `let UDP ${port} pass from ${from.address} to ${to.address}, in a security group or a router's filter`)];
  if (!way.passed) return [problem('firewall', `the firewall of ${to.name} drops ${what}`, `let UDP ${port} in from ${from.address}, such as with: ufw allow proto udp from ${from.address} to any port ${port}; ${show}`)];
  return [];
}

function clocks({ clocks: ahead }: HostFacts): Finding[] {
  return [...ahead].flatMap(([host, ms]) => {
    const found = `the clock of ${host} is ${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? 'ahead of' : 'behind'} this one`;
    const remedy = 'let both hosts keep time by NTP (timedatectl set-ntp true)';
    if (Math.abs(ms) >= CLOCK_WRONG_MS) return [problem('clock', found, remedy)];
    return Math.abs(ms) >= CLOCK_ODD_MS ? [warning('clock', found, remedy)] : [];
  });
}

function mtus({ mtu, networks, status: { hosts } }: HostFacts): Finding[] {
  const silent = hosts
    .filter(({ self, reachable, carries }) => !self && reachable && carries === undefined)
    .map(({ name }) => warning('MTU', `how large a packet gets to ${name} is not known: it answers no ping`, 'let ICMP echo pass between the hosts'));
  const narrow = narrowPaths(hosts, networks);
  if (narrow.length > 0) return [...narrow, ...silent];
  const byRoute = networks.filter((network) => network.mtu > mtu).map((network) =>
    problem('MTU', `the network ${network.name} sends frames of ${network.mtu} bytes, and ${mtu} fit through the tunnels of this host`, "raise the MTU of the host's interface, or make the network anew with -o mtu=…"));
  return [...byRoute, ...silent];
}
