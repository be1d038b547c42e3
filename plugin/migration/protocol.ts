import { z } from 'zod';
import { CoatError } from '../../driver/host/errors.ts';
import { type Step, strategies } from '../agent/api.ts';
import { WantedImage } from '../engine/images.ts';
import { CarriedVolume } from './volumes.ts';

/**
 * What source and destination say to each other, in order, under `/v1/moves/`:
 *
 *     check      Offer → Verdict         refuses, or says what is missing; touches nothing
 *     link       bytes, to see how fast they go; see link.ts
 *     pull       ImagePull → ImagePulled the image, by its digest, from a registry
 *     have       ImageHave → digests      what of the image need not be sent
 *     image      a `docker save` stream, without that
 *     known      ImageKnown → { there }   whether it has become that image
 *     prepare    Preparation             container created, endpoints known
 *     ahead      → {}                    with `precopy`: memory may be sent while the container runs; calls back:
 *     memory       ←                     a tunnel for pages, see memory/intake.ts
 *     files      tar of the writable layer, first pass; and of each volume that is copied
 *     init       the program that Docker has put before the container's own (`--init`)
 *     log        its log so far, file by file
 *     ready      → {}                    endpoints plumbed and held, runtime waiting
 *     arm        Arming → {}             `runc restore` is started and waits at CRIU's door; calls back:
 *     images       ←                     a tunnel for CRIU's images, memory and all, followed while they are dumped
 *     accept     → {}                    frames that come from now on are held
 *     delta      what changed of the writable layer since, or of a volume
 *     land       → Arrival               answered when everything has come and was restored and committed; with `postcopy`, calls back:
 *     pages        ←                     a tunnel for memory out of the frozen processes, see transfer/pages.ts; made again when it breaks
 *     lends        ← → Lending           whether the source still has it
 *     log-rest   → whether it found its place; after the commit, when the container has ended at the source
 *     outcome    → Outcome               what became of it; afterwards it cannot become anything else
 *     signal     Signal → {}             what the container was sent at the source when it had gone over
 */
export const Id = z.string().regex(/^[0-9a-z-]{1,64}$/);

export const Endpoint = z.object({
  /** Docker's name of the network. */
  name: z.string(),
  /** Key of the network in the store. */
  network: z.string(),
  ip: z.string(),
  prefixLength: z.number().int(),
  /** Where the network has IPv6. */
  ip6: z.string().optional(),
  prefixLength6: z.number().int().optional(),
  mac: z.string(),
  /** Its name inside the container. */
  interfaceName: z.string(),
});
export type Endpoint = z.infer<typeof Endpoint>;

export const Offer = z.object({
  container: z.string(),
  image: WantedImage,
  networks: z.array(z.object({ name: z.string(), network: z.string() })),
  binds: z.array(z.string()),
  architecture: z.string(),
  /** What its programs may use of the source's processors. */
  cpu: z.array(z.string()),
  /** Resident memory of all its processes, bytes. */
  memory: z.number(),
  volumes: z.array(CarriedVolume),
  /** What its files take, bytes; the image only where it has to be sent. */
  room: z.object({ layer: z.number(), volumes: z.number(), image: z.number() }),
});
export type Offer = z.infer<typeof Offer>;
export interface Verdict {
  image: 'present' | 'absent';
  /** Whether the image's name means another image there, which must keep it. */
  nameTaken: boolean;
  /** Why memory cannot be fetched later there; nothing where it can. */
  notLazy?: string | undefined;
}

/** `name`: what it is to be called there. */
export const ImagePull = z.object({ image: WantedImage, name: z.string().optional() });
export type ImagePull = z.infer<typeof ImagePull>;
export type ImagePulled = { pulled: true } | { pulled: false; why: string };

/** `layers`: of the image; `digests`: of the blobs that are asked for. */
export const ImageHave = z.object({ layers: z.array(z.string()), digests: z.array(z.string()) });
export type ImageHave = z.infer<typeof ImageHave>;

/** `left`: what was not sent of it. */
export const ImageKnown = z.object({ image: WantedImage, left: z.array(z.string()) });
export type ImageKnown = z.infer<typeof ImageKnown>;

export const Preparation = z.object({
  id: Id,
  container: z.string(),
  image: WantedImage,
  body: z.record(z.string(), z.unknown()),
  /** Whether its first process is Docker's, which comes along. */
  init: z.boolean(),
  endpoints: z.array(Endpoint),
  memory: z.number(),
  /** What of it comes with the images. */
  carried: z.number(),
  strategy: z.enum(strategies),
  volumes: z.array(CarriedVolume),
});
export type Preparation = z.infer<typeof Preparation>;

export const Reference = z.object({ id: Id });

/** By its number (signal(7)). */
export const Signal = z.object({ id: Id, signal: z.string().regex(/^\d{1,2}$/) });

/** runc's `descriptors.json`, which it reads before it starts CRIU. */
export const Arming = z.object({ id: Id, descriptors: z.string() });

/** The destination's `running` answer. Times are ms by the destination's clock, which reads `now` as it answers. */
export interface Arrival {
  steps: Step[];
  now: number;
  /** When the first held frame was let go. */
  released: number;
  memory: number;
  state: number;
  /** Whether memory is still to be put in its place: `fetching` where the source is needed for it. */
  pages?: 'fetching' | 'here' | undefined;
  /** What of it was lost on the way, as a sentence. */
  warning?: string | undefined;
}

export interface Outcome {
  state: 'running' | 'aborted';
  /** Of a container that runs before its memory is in place: `here` is all on this host, and needs the source no more. `lost` is followed by why. */
  pages?: 'fetching' | 'here' | 'whole' | `lost ${string}` | undefined;
}

/** Whether the source has memory that the destination runs a container without. */
export interface Lending {
  state: 'here' | 'gone';
}

/** A message checked against its schema, or a sentence about what is wrong with it. */
export function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CoatError('bad-message', `a message of another agent is not understood: ${issue?.path.join('.')} ${issue?.message}`, {
    hint: 'do all hosts run the same version of the plugin? (docker coat status)',
  });
}
