/**
 * The agent's local API, version 1: HTTP over the unix socket `/run/coat/agent.sock`.
 * `docker coat` uses only this.
 *
 *     GET  /metrics         → numbers for Prometheus, as text; docs/metrics.md
 *     GET  /v1/version      → Version
 *     GET  /v1/status       → Status
 *     GET  /v1/doctor       → Finding[]
 *     GET  /v1/endpoints    → Listing
 *     GET  /v1/networks     → NetworkDetails[]
 *     POST /v1/networks     { name, subnets, gateways, ipv6, internal, options } → { id }, the engine's
 *     GET  /v1/files        → HostFile[]
 *     GET  /v1/setup        → Setup: what would be changed; with ?undo=yes: what would be taken back
 *     POST /v1/setup        → Setup: what has been changed; with ?undo=yes: what has been taken back
 *     POST /v1/migrations   MigrationRequest → one MigrationEvent a line (application/x-ndjson).
 *                           Closing the connection cancels the migration unless it is committed.
 *
 *     POST /v1/cluster/init    { name, address?, store?: { urls, ca?, certificate?, key? } } → Entered
 *     POST /v1/cluster/join    { token, name, address? } → Entered
 *     POST /v1/cluster/token   { ttl }                   → NewToken
 *     POST /v1/cluster/leave   { force }                 → {}
 *     POST /v1/cluster/remove  { host, force }           → {}
 *     POST /v1/cluster/promote { host }                  → StoreHosts
 *     POST /v1/cluster/demote  { host }                  → StoreHosts
 *
 * Any other status than 200 carries a Problem.
 */
export interface Problem {
  code: string;
  /** One sentence. */
  message: string;
  /** What to do next. */
  hint?: string;
}

export interface Version {
  version: string;
  api: 1;
  host: string;
}

export interface Status extends Version {
  address: string;
  store: { state: 'ok' | 'away'; endpoint: string; revision: number };
  engine: { version: string; apiVersion: string } | { problem: string };
  /** Whether the engine knows the runtime `coat`. */
  runtime: 'registered' | 'missing' | 'unknown';
  /** Which CRIU moves use; a carried one came with the plugin. */
  criu: { version: string; path: string; carried: boolean } | { problem: string };
  /** `carries`: how large a packet gets there whole, bytes, IP's head included; absent while it is not known. */
  hosts: { name: string; address: string; version?: string; self: boolean; store?: StorePart; reachable: boolean; carries?: number; problem?: string }[];
  /** What is wrong with the paths to other hosts. */
  paths: Finding[];
  migrations: { id: string; container: string; from: string; to: string; phase: string }[];
}

/** Something that was looked at on a host. */
export interface Finding {
  check: string;
  state: 'ok' | 'warning' | 'problem';
  /** One sentence. */
  found: string;
  /** What to do about it. */
  remedy?: string;
}

/** A host's part in keeping the store; absent where it has none. */
export type StorePart = 'entering' | 'member';

export interface Listing {
  hosts: { name: string; address: string; store?: StorePart }[];
  networks: { name?: string; subnet: string; gateway: string; subnet6?: string; gateway6?: string; vni: number; mtu: number }[];
  endpoints: { network: string; ip: string; ip6?: string; mac?: string; host: string; container?: string; movingTo?: string; ports?: PublishedAt[] }[];
}

/** All that is known of a network, and who is on it. */
export interface NetworkDetails {
  name?: string;
  subnet: string;
  gateway: string;
  subnet6?: string;
  gateway6?: string;
  vni: number;
  mtu: number;
  internal: boolean;
  /** As given with `-o`. */
  options: Record<string, string>;
  /** Addresses nobody may have. */
  reserved: string[];
  /** The host on which it was made. */
  maker?: string;
  /** `names`: what other containers of the network find it by. */
  endpoints: (Omit<Listing['endpoints'][number], 'network'> & { names: string[] })[];
}

/** A port of a container that is reached at a host. */
export interface PublishedAt {
  host: string;
  /** IPv4 address of that host; absent for all of them. */
  hostIp?: string | undefined;
  hostPort: number;
  proto: 'tcp' | 'udp';
  /** The container's. */
  port: number;
}

/** Something that was put on the host. */
export interface HostFile {
  path: string;
  what: string;
  /** What removes it. */
  goesWith: string;
}

/** The engine's settings file before and after; absent where there is no such file. Equal where nothing is to be done. */
export interface Setup {
  file: string;
  before?: string;
  after?: string;
}

/** A host that has founded or joined a cluster. */
export interface Entered {
  name: string;
  address: string;
  /** All hosts of the cluster, this one included. */
  hosts: { name: string; address: string }[];
}

/** Who keeps the store now. */
export interface StoreHosts {
  hosts: string[];
  /** Why there should be more of them, or fewer. */
  advice?: string;
}

export interface NewToken {
  token: string;
  /** ms since 1970. */
  expires: number;
}

export interface MigrationRequest {
  /** Name or id, as `docker inspect` takes it. */
  container: string;
  /** Name of the destination host. */
  to: string;
  /** Keep the stopped container at the source, renamed, instead of removing it. */
  keep?: boolean;
  /** How its memory gets there, see docs/migration.md. Default: `auto`. */
  strategy?: Strategy | 'auto';
}

/** `cold`: all memory in the blackout. `postcopy`: the container runs on before its memory is there; until it is, it needs both hosts. */
export const strategies = ['cold', 'postcopy'] as const;
export type Strategy = (typeof strategies)[number];

/** The phases of a move, in order; see docs/migration.md for what each does and how it is undone. */
export const phases = ['planned', 'prepared', 'copying', 'redirected', 'frozen', 'restoring', 'released', 'cleaned'] as const;
export type Phase = (typeof phases)[number];

/** One measured piece of work. Times in ms; `start` counts from the beginning of the migration. */
export interface Step {
  name: string;
  host: string;
  start: number;
  ms: number;
  /** Whether the container's processes stood still meanwhile. */
  blackout: boolean;
}

export interface Report {
  id: string;
  container: string;
  from: string;
  to: string;
  /** `lost`: it ran at the destination, and had to be ended there because the rest of its memory could not be fetched. */
  outcome: 'migrated' | 'refused' | 'rolled-back' | 'in-doubt' | 'lost';
  /** Absent where it had not been chosen yet. */
  strategy?: Strategy;
  /** Freeze to thaw, ms, measured by the source's clock; absent where nothing was frozen. */
  blackout?: number;
  total: number;
  phases: { phase: Phase; ms: number }[];
  steps: Step[];
  bytes: { memory: number; state: number; files: number; image: number };
  warnings: string[];
}

export type MigrationEvent =
  | { type: 'started'; id: string; container: string; from: string; to: string }
  | { type: 'phase'; phase: Phase }
  | { type: 'progress'; what: string; bytes: number; total?: number }
  | { type: 'warning'; message: string }
  | { type: 'done'; report: Report }
  | { type: 'failed'; problem: Problem; report: Report };
