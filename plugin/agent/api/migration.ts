import { z } from 'zod';
import { Problem } from './host.ts';

/** How the memory gets there. */
export const strategies = ['cold', 'precopy', 'postcopy'] as const;
export const Strategy = z.enum(strategies).describe('cold: all memory in the blackout; precopy: most of it before, while the container runs; postcopy: the container runs on before its memory is there, and until it is needs both hosts').meta({ id: 'Strategy' });
export type Strategy = z.infer<typeof Strategy>;

/** What becomes of a container's volumes: docs/migration.md. */
export const volumeWays = ['copy', 'shared', 'refuse'] as const;
export type VolumesHow = (typeof volumeWays)[number];

export const MigrationRequest = z.strictObject({
  container: z.string().min(1).describe('name or id, as docker inspect takes it'),
  to: z.string().min(1).describe('name of the destination host'),
  from: z.string().min(1).exactOptional().describe('name of the host that has it; needed only where several have one of that name'),
  keep: z.boolean().exactOptional().describe('keep the stopped container at the source, renamed, instead of removing it'),
  volumes: z.enum(volumeWays).exactOptional().describe('what becomes of its volumes; by default they are copied'),
  ignoreCpu: z.boolean().exactOptional().describe("move it also where the destination's processor has less than the source's"),
  maxBlackout: z.number().int().positive().exactOptional().describe('ms that the container may stand still; when they are over, and it does not run at the destination yet, it goes on at the source'),
  timeout: z.number().int().positive().exactOptional().describe('ms that everything before that may take; by default hours, as a link may be slow'),
  strategy: z.enum([...strategies, 'auto']).exactOptional().describe('how its memory gets there; by default auto: precopy where cold would be felt and both hosts can, and postcopy for what is written to faster than it is sent'),
}).meta({ id: 'MigrationRequest' });
export type MigrationRequest = z.infer<typeof MigrationRequest>;

/** The phases of a move, in order; see docs/migration.md for what each does and how it is undone. */
export const phases = ['planned', 'prepared', 'copying', 'redirected', 'frozen', 'restoring', 'released', 'cleaned'] as const;
export const Phase = z.enum(phases).meta({ id: 'Phase' });
export type Phase = z.infer<typeof Phase>;

/** One measured piece of work. */
export const Step = z.object({
  name: z.string(),
  host: z.string(),
  start: z.number().describe('ms from the beginning of the migration'),
  ms: z.number(),
  blackout: z.boolean().describe("whether the container's processes stood still meanwhile"),
}).meta({ id: 'Step' });
export type Step = z.infer<typeof Step>;

export const Outcome = z.enum(['migrated', 'refused', 'rolled-back', 'in-doubt', 'lost']).describe('lost: it ran at the destination, and had to be ended there because the rest of its memory could not be fetched');
const Bytes = z.object({ memory: z.number(), state: z.number(), files: z.number(), image: z.number() });

export const Report = z.object({
  id: z.string(),
  container: z.string(),
  from: z.string(),
  to: z.string(),
  outcome: Outcome,
  strategy: Strategy.exactOptional().describe('absent where it had not been chosen yet'),
  image: z.enum(['present', 'pulled', 'sent']).exactOptional().describe('how the destination has its image: it had it, has pulled it from a registry, or got it from the source; absent where it did not come to that'),
  blackout: z.number().exactOptional().describe("freeze to thaw, ms, by the source's clock; absent where nothing was frozen"),
  total: z.number().describe('ms'),
  phases: z.array(z.object({ phase: Phase, ms: z.number() })),
  steps: z.array(Step),
  bytes: Bytes,
  warnings: z.array(z.string()),
}).meta({ id: 'Report' });
export type Report = z.infer<typeof Report>;

export const MigrationEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('started'), id: z.string(), container: z.string(), from: z.string(), to: z.string() }),
  z.object({ type: z.literal('phase'), phase: Phase }),
  z.object({ type: z.literal('progress'), what: z.string(), bytes: z.number(), total: z.number().exactOptional() }),
  z.object({ type: z.literal('warning'), message: z.string() }),
  z.object({ type: z.literal('done'), report: Report }),
  z.object({ type: z.literal('failed'), problem: Problem, report: Report }),
]).meta({ id: 'MigrationEvent' });
export type MigrationEvent = z.infer<typeof MigrationEvent>;

/** An event with its number, which grows; also when the source's agent was restarted meanwhile. */
export const NumberedEvent = z.object({ seq: z.number().int(), event: MigrationEvent });
export type NumberedEvent = z.infer<typeof NumberedEvent>;

const summary = {
  id: z.string(),
  container: z.string().describe('its name'),
  from: z.string(),
  to: z.string(),
  asked: z.string().describe('the host at which it was asked for'),
  started: z.number().describe('ms since 1970'),
  phase: Phase.describe('the one it is in, or got to'),
  ended: z.number().exactOptional().describe('ms since 1970; absent while it is under way'),
  outcome: Outcome.exactOptional().describe('absent while it is under way'),
  blackout: z.number().exactOptional().describe('ms'),
  total: z.number().exactOptional().describe('ms'),
  bytes: Bytes.exactOptional(),
  problem: Problem.exactOptional().describe('why it is not migrated'),
};

/** One move, under way or ended. */
export const Migration = z.object(summary).meta({ id: 'Migration' });
export type Migration = z.infer<typeof Migration>;

export const MigrationDetails = z.object({ ...summary, request: MigrationRequest, report: Report.exactOptional() }).meta({ id: 'MigrationDetails' });
export type MigrationDetails = z.infer<typeof MigrationDetails>;

/** Newest first. */
export const MigrationList = z.object({ migrations: z.array(Migration), silent: z.array(z.string()).describe('hosts that did not answer, and may know of more') }).meta({ id: 'MigrationList' });
export type MigrationList = z.infer<typeof MigrationList>;

/** How many moves a host remembers. */
export const REMEMBERED = 1_000;

export const MigrationFilter = z.object({
  state: z.enum(['running', 'ended']).exactOptional(),
  host: z.string().min(1).exactOptional().describe('only those from or to this host'),
  container: z.string().min(1).exactOptional().describe('only those of a container of this name'),
  limit: z.coerce.number().int().min(1).max(REMEMBERED).exactOptional(),
});
export type MigrationFilter = z.infer<typeof MigrationFilter>;
