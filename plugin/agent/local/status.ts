import { explain } from '../../../driver/host/errors.ts';
import type { Host } from '../../../driver/overlay/records.ts';
import type { Criu } from '../../criu/program.ts';
import type { EngineAbout } from '../../engine/about.ts';
import type { Status, Version } from '../api.ts';
import { narrowPaths, type Sends } from '../mtu/judge.ts';
import type { Member, Membership } from '../membership.ts';
import type { Peers } from '../peer.ts';

/** A peer that has not answered a ping within this, ms, counts as unreachable. */
const PING_MS = 3_000;

/** Where a status is gathered from. Each part may fail without the others. */
export interface Sources {
  version: Version;
  membership: Membership;
  /** Where the store is, in words. */
  endpoint: string;
  peers: Peers;
  replica: { connected: boolean; revision: number; hosts: ReadonlyMap<string, Host> };
  engine(): Promise<EngineAbout>;
  criu(): Promise<Criu>;
  migrations(): Status['migrations'];
  /** What gets to an address whole, bytes. */
  carries(address: string): number | undefined;
  networks(): Sends;
}

export async function gatherStatus(sources: Sources): Promise<Status> {
  const { membership, replica } = sources;
  const [engine, criu, hosts] = await Promise.all([
    sources.engine().catch((error: unknown) => ({ problem: explain(error) })),
    sources.criu().catch((error: unknown) => ({ problem: explain(error) })),
    Promise.all(membership.all().map((member) => hostStatus(member, sources))),
  ]);
  return {
    ...sources.version,
    address: membership.me.address,
    store: { state: replica.connected ? 'ok' : 'away', endpoint: sources.endpoint, revision: replica.revision },
    engine: 'problem' in engine ? engine : { version: engine.version, apiVersion: engine.apiVersion },
    runtime: 'problem' in engine ? 'unknown' : engine.runtimes.includes('coat') ? 'registered' : 'missing',
    criu: 'problem' in criu ? criu : { version: criu.version, path: criu.path, carried: criu.carried },
    hosts,
    paths: narrowPaths(hosts, sources.networks()),
    migrations: sources.migrations(),
  };
}

async function hostStatus({ name, address, store }: Member, { membership, peers, replica, version, ...sources }: Sources): Promise<Status['hosts'][number]> {
  if (name === membership.me.name) return { name, address, version: version.version, self: true, reachable: true, ...(store && { store }) };
  const known = replica.hosts.get(name)?.version;
  const bytes = sources.carries(address);
  const host = { name, address, self: false, ...(store && { store }), ...(known === undefined ? {} : { version: known }), ...(bytes === undefined ? {} : { carries: bytes }) };
  try {
    const answer = await peers.get(name).call<{ version: string }>('/v1/ping', {}, { timeout: PING_MS });
    return { ...host, version: answer.version, reachable: true };
  } catch (error) {
    return { ...host, reachable: false, problem: explain(error) };
  }
}
