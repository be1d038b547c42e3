import { CoatError, explain } from '../../driver/host/errors.ts';
import { type Images, isName, type WantedImage } from '../engine/images.ts';
import { OVERLAYFS } from '../engine/containerd/containerd.ts';
import type { MoverDependencies } from './ports.ts';
import type { ImageHave, ImageKnown, ImagePull, ImagePulled } from './protocol.ts';

type Needs = Pick<MoverDependencies, 'containers' | 'images' | 'containerd' | 'log'>;

/**
 * Under which digests a registry can be asked for an image. Docker's own store knows those under which it was pulled or pushed;
 * containerd's gives each image one, and notes beside the content which registry has it.
 */
export async function registryDigests({ containerd }: Needs, storage: string, digests: readonly string[]): Promise<string[]> {
  if (storage !== OVERLAYFS) return [...digests];
  const known = await Promise.all(digests.map(async (digest) => {
    const [name = '', id = ''] = digest.split('@');
    return (await containerd.registries(id)).includes(registryOf(name)) ? [digest] : [];
  }));
  return known.flat();
}

/**
 * The host in an image's name (distribution/reference: the first part, if it looks like one), without its port: containerd's
 * labels have none (core/remotes/docker/handler.go, AppendDistributionSourceLabel).
 */
export function registryOf(name: string): string {
  const [first = '', ...rest] = name.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first.replace(/:\d+$/, '') : 'docker.io';
}

/** The destination's side of an image that is not there. */
export class ImageIntake {
  readonly #deps: Needs;

  constructor(deps: Needs) {
    this.#deps = deps;
  }

  /** Pulls it, by a digest: what comes is what was asked for, whoever gives it. */
  async pull({ image, name }: ImagePull): Promise<ImagePulled> {
    const { images, log } = this.#deps;
    let why = 'no registry has it';
    for (const digest of image.digests) {
      try {
        await images.pull(digest);
        const pulled = await images.like(image);
        if (pulled) {
          if (name !== undefined) await images.tag(pulled.id, name);
          return { pulled: true };
        }
        why = `${digest} is another image for this host`;
      } catch (error) {
        why = explain(error);
      }
      log.info({ image: digest, why }, 'an image cannot be pulled here and is sent by the source');
    }
    return { pulled: false, why };
  }

  /**
   * Which blobs of its archive need not be sent.
   *
   * Docker's own store reads a layer's file only if it has no such layer over the same ones (moby image/tarexport/load.go), so
   * only what it shares from the lowest on can be left out, and only once. containerd takes any blob that it has already.
   */
  async have({ layers, digests }: ImageHave): Promise<string[]> {
    const { containers, containerd, images } = this.#deps;
    const { storage } = await containers.facts();
    if (storage === OVERLAYFS) return [...(await containerd.blobs(digests))];
    if (!digests.some((digest) => layers.includes(digest))) return [];
    const shared = await images.shared(layers);
    const rest = layers.slice(shared);
    return layers.slice(0, shared).filter((layer) => digests.includes(layer) && !rest.includes(layer));
  }

  /** Whether it is there now, with what was not sent. */
  async known({ image, left }: ImageKnown): Promise<{ there: boolean }> {
    const { containers, containerd, images } = this.#deps;
    if (!(await images.like(image))) return { there: false };
    if ((await containers.facts()).storage !== OVERLAYFS) return { there: true };
    return { there: (await containerd.blobs(left)).size === new Set(left).size };
  }
}

/** The name that an image is to have at the destination: its own, where it still means that image here and no other there. */
export async function nameFor(images: Images, image: WantedImage, nameTaken: boolean): Promise<string | undefined> {
  if (nameTaken || !isName(image.ref)) return undefined;
  return (await images.inspect(image.ref))?.id === image.id ? image.ref : undefined;
}

export const notTaken = (to: string, name: string): CoatError =>
  new CoatError('image-not-taken', `${to} has loaded the image ${name}, and has not got it all the same`, { hint: `load or pull it there by hand, and look at the log of its engine` });
