import { z } from 'zod';

/** Why something was not done. */
export const Problem = z.object({
  code: z.string().describe('stable, for programs'),
  message: z.string().describe('one sentence'),
  hint: z.string().exactOptional().describe('what to do next'),
}).meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

const version = { version: z.string(), api: z.literal(1), host: z.string().describe('empty where it is in no cluster') };
export const Version = z.object(version).meta({ id: 'Version' });
export type Version = z.infer<typeof Version>;

/** A host's part in keeping the store; absent where it has none. */
export const StorePart = z.enum(['entering', 'member']);
export type StorePart = z.infer<typeof StorePart>;

/** Something that was looked at on a host. */
export const Finding = z.object({
  check: z.string(),
  state: z.enum(['ok', 'warning', 'problem']),
  found: z.string().describe('one sentence'),
  remedy: z.string().exactOptional().describe('what to do about it'),
}).meta({ id: 'Finding' });
export type Finding = z.infer<typeof Finding>;

const HostStatus = z.object({
  name: z.string(),
  address: z.string(),
  version: z.string().exactOptional(),
  self: z.boolean(),
  store: StorePart.exactOptional(),
  reachable: z.boolean(),
  carries: z.number().exactOptional().describe("how large a packet gets there whole, bytes, IP's head included; absent while it is not known"),
  problem: z.string().exactOptional(),
});

const trouble = z.object({ problem: z.string() });

export const Status = z.object({
  ...version,
  address: z.string(),
  store: z.object({ state: z.enum(['ok', 'away']), endpoint: z.string(), revision: z.number() }),
  engine: z.union([z.object({ version: z.string(), apiVersion: z.string() }), trouble]),
  runtime: z.enum(['registered', 'missing', 'unknown']).describe('whether the engine knows the runtime coat'),
  criu: z.union([z.object({ version: z.string(), path: z.string(), carried: z.boolean().describe('it came with the plugin') }), trouble]).describe('the one that moves use'),
  hosts: z.array(HostStatus),
  paths: z.array(Finding).describe('what is wrong with the paths to other hosts'),
  migrations: z.array(z.object({ id: z.string(), container: z.string(), from: z.string(), to: z.string(), phase: z.string() })).describe('from this host, under way'),
}).meta({ id: 'Status' });
export type Status = z.infer<typeof Status>;

/** Something that was put on the host. */
export const HostFile = z.object({ path: z.string(), what: z.string(), goesWith: z.string().describe('what removes it') }).meta({ id: 'HostFile' });
export type HostFile = z.infer<typeof HostFile>;

/** The engine's settings file before and after; absent where there is no such file. Equal where nothing is to be done. */
export const Setup = z.object({ file: z.string(), before: z.string().exactOptional(), after: z.string().exactOptional() }).meta({ id: 'Setup' });
export type Setup = z.infer<typeof Setup>;

/** How much a host carries, and can. */
export const HostLoad = z.object({
  name: z.string(),
  address: z.string(),
  reachable: z.boolean(),
  problem: z.string().exactOptional(),
  memory: z.object({ total: z.number(), available: z.number() }).exactOptional().describe('bytes'),
  containers: z.array(z.object({
    id: z.string(),
    name: z.string(),
    networks: z.array(z.string()).describe("coat's"),
    memory: z.number().describe('resident, bytes'),
  })).exactOptional().describe('those that run, on whatever network'),
}).meta({ id: 'HostLoad' });
export type HostLoad = z.infer<typeof HostLoad>;
