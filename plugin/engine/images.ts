import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { CoatError } from '../../driver/host/errors.ts';
import { statusOf } from './connection.ts';

/** How long a registry may be silent while an engine pulls from it, ms. */
const SILENT_MS = 15_000;

/**
 * What an image is, whichever engine has it: an id is the digest of its configuration in Docker's own store, and that of its
 * manifest or index in containerd's, so one image can have two.
 */
export const WantedImage = z.object({
  /** In the engine that has it. */
  id: z.string(),
  /** What its container calls it. */
  ref: z.string(),
  /** Of all that a container gets from it, see {@link contentOf}. */
  content: z.string(),
  /** Digests of its layers' archives, unpacked, the lowest first. */
  layers: z.array(z.string()),
  /** Under which a registry may have it: `name@sha256:…`. */
  digests: z.array(z.string()),
  /** When it was made, s since 1970. */
  created: z.number(),
});
export type WantedImage = z.infer<typeof WantedImage>;

export type ImageFacts = Omit<WantedImage, 'ref'> & { size: number };

/** What an engine says of an image, as far as it is read here. */
export interface ImageInspect {
  Id: string;
  Created?: string;
  Size: number;
  Os: string;
  Architecture: string;
  Variant?: string;
  RepoDigests?: string[] | null;
  RootFS: { Layers?: string[] | null };
  Config?: Record<string, unknown> | null;
}

/** The few things a move asks of the engine about images. */
export interface Images {
  /** `undefined` where there is none. @param ref a name or an id */
  inspect(ref: string): Promise<ImageFacts | undefined>;
  /** The same image, under whatever id and name. */
  like(wanted: WantedImage): Promise<ImageFacts | undefined>;
  /** How many of these layers, from the lowest on, some image has. */
  shared(layers: readonly string[]): Promise<number>;
  save(ref: string): Promise<Readable>;
  load(archive: Readable): Promise<void>;
  /** @param ref `name@sha256:…` @throws CoatError what the registry or the engine said */
  pull(ref: string): Promise<void>;
  tag(id: string, name: string): Promise<void>;
}

export function createImages(connect: () => Docker): Images {
  const inspect = async (ref: string): Promise<ImageFacts | undefined> => {
    try {
      return factsOf((await connect().getImage(ref).inspect()) as ImageInspect);
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  };
  return {
    inspect,
    async like({ id, ref, digests, content, created }) {
      for (const each of [id, ref, ...digests]) {
        const image = await inspect(each);
        if (image?.content === content) return image;
      }
      const alike = (await connect().listImages()).filter(({ Created }) => Created === created);
      for (const { Id } of alike) {
        const image = await inspect(Id);
        if (image?.content === content) return image;
      }
      return undefined;
    },
    async shared(layers) {
      const all = await connect().listImages();
      const found = await Promise.all(all.map(async ({ Id }) => (await inspect(Id))?.layers ?? []));
      return Math.max(0, ...found.map((have) => sameBeginning(have, layers)));
    },
    async save(ref) {
      const archive: unknown = await connect().getImage(tagged(ref)).get();
      return archive as Readable;
    },
    async load(archive) {
      // the package's types know only the forms with a callback or a file name
      const engine = connect() as unknown as { loadImage(archive: Readable, options: { quiet: boolean; abortSignal: AbortSignal }): Promise<Readable> };
      // the engine would wait for ever for the rest of one that broke, or has broken already
      const broken = new AbortController();
      finished(archive, { writable: false }).catch((error: unknown) => broken.abort(error));
      await drained(await engine.loadImage(archive, { quiet: true, abortSignal: broken.signal }), 'image-load-failed', 'the engine did not take the image');
    },
    async pull(ref) {
      const progress = (await connect().pull(ref)) as Readable;
      const silence = setTimeout(() => progress.destroy(new CoatError('image-pull-failed', `nothing came of ${ref} for ${SILENT_MS} ms`)), SILENT_MS);
      progress.on('data', () => silence.refresh());
      try {
        await drained(progress, 'image-pull-failed', `the engine could not pull ${ref}`);
      } finally {
        clearTimeout(silence);
      }
    },
    async tag(id, name) {
      const [, repo = '', tag = ''] = /^(.*):([^:/]+)$/.exec(tagged(name)) ?? [];
      await connect().getImage(id).tag({ repo, tag });
    },
  };
}

/** What a move has to know of an image. */
export function factsOf(image: ImageInspect): ImageFacts {
  const layers = image.RootFS.Layers ?? [];
  const created = Math.floor(Date.parse(image.Created ?? '') / 1000);
  return { id: image.Id, content: contentOf(image), layers, digests: image.RepoDigests ?? [], created: Number.isNaN(created) ? 0 : created, size: image.Size };
}

/** What of an image's configuration becomes part of a container (OCI image-spec config.md, and what Docker adds to it). */
const CONFIGURED = ['Cmd', 'Entrypoint', 'Env', 'ExposedPorts', 'Healthcheck', 'Labels', 'OnBuild', 'Shell', 'StopSignal', 'User', 'Volumes', 'WorkingDir'] as const;

/**
 * A digest of all that a container gets from an image: its layers, its platform and its configuration. Engines write the
 * latter in different ways (an empty list, null, or nothing), and not all of it.
 */
export function contentOf({ Os, Architecture, Variant, RootFS, Config }: Omit<ImageInspect, 'Id' | 'Size'>): string {
  const configured = CONFIGURED.flatMap((name) => (isEmpty(Config?.[name]) ? [] : [[name, sorted(Config![name])]]));
  return createHash('sha256').update(JSON.stringify([Os, Architecture, Variant ?? '', RootFS.Layers ?? [], configured])).digest('hex');
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** The same, with the names in objects in one order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, sorted(each)]));
}

/** In how many layers, from the lowest on, two images are the same. */
export function sameBeginning(one: readonly string[], other: readonly string[]): number {
  const differ = other.findIndex((layer, i) => one[i] !== layer);
  return differ === -1 ? other.length : differ;
}

/** A name with its tag: without one it means all tags to `docker save`, and `latest` to everybody else. */
export function tagged(ref: string): string {
  const named = !/^(sha256:)?[0-9a-f]{64}$/.test(ref) && !ref.includes('@') && !/:[^/]*$/.test(ref);
  return named ? `${ref}:latest` : ref;
}

/** Whether an image can be given this name: what is called by a digest cannot. */
export const isName = (ref: string): boolean => !ref.includes('@') && !/^(sha256:)?[0-9a-f]{12,64}$/.test(ref);

/** Reads the engine's progress lines to the end; an error is one of them, under a status of 200. */
async function drained(answer: Readable, code: string, what: string): Promise<void> {
  let text = '';
  for await (const chunk of answer) text = (text + String(chunk)).slice(-10_000);
  const failed = /"error":"((?:[^"\\]|\\.)*)"/.exec(text);
  if (failed) throw new CoatError(code, `${what}: ${failed[1]}`);
}
