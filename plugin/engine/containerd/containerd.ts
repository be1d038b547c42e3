import { access } from 'node:fs/promises';
import { CoatError } from '../../../driver/host/errors.ts';
import { call, ContainerdError, NOT_FOUND } from './call.ts';
import { decode, encode, messagesOf, textsOf } from './messages.ts';

/** The snapshotter whose layers are overlayfs's: what `docker info` calls the storage driver, too. */
export const OVERLAYFS = 'overlayfs';

/** A host's own containerd, and the one that dockerd starts where it was not told of one (moby daemon/config, cmd/dockerd). */
const SOCKETS = ['/run/containerd/containerd.sock', '/run/docker/containerd/containerd.sock'] as const;

/** What a label of a blob begins with that names a registry (containerd pkg/labels, LabelDistributionSource). */
const FROM = 'containerd.io/distribution.source.';

/** The few things that only containerd knows of Docker's containers and images, where Docker keeps its images there. */
export interface Containerd {
  /** How a container's root file system is mounted: options of overlayfs (mount(8)). @throws CoatError `no-layer` */
  mountOptions(containerId: string): Promise<string[]>;
  /** The directory with all layers. @throws CoatError `no-containerd` */
  layersRoot(): Promise<string>;
  /** Hosts of the registries that a blob has come from or gone to. @param digest of the blob */
  registries(digest: string): Promise<string[]>;
  /** Which of these blobs it has, whole (by their digests). */
  blobs(digests: readonly string[]): Promise<Set<string>>;
}

/**
 * Messages and methods: containerd api/services/{snapshots,introspection,content}/v1.
 *
 * @param path where a path of the host is for this process
 */
export function createContainerd(path: (hostPath: string) => string): Containerd {
  /** Asks the first that has an answer: a host can have a containerd that is not Docker's. */
  const ask = async (method: string, message: Buffer, wanted: (answer: Buffer) => boolean = () => true): Promise<Buffer | undefined> => {
    let silent = true;
    for (const socket of SOCKETS.map(path)) {
      if (!(await access(socket).then(() => true, () => false))) continue;
      silent = false;
      try {
        const answer = await call(socket, method, message);
        if (wanted(answer)) return answer;
      } catch (error) {
        if (!(error instanceof ContainerdError) || error.status !== NOT_FOUND) throw error;
      }
    }
    if (silent) throw new CoatError('no-containerd', `there is no containerd at ${SOCKETS.join(' or ')}`, { hint: 'Docker keeps its images in a containerd; start dockerd with one at one of these places' });
    return undefined;
  };
  const info = (digest: string): Promise<Buffer | undefined> => ask('containerd.services.content.v1.Content/Info', encode({ 1: digest }));
  return {
    async mountOptions(containerId) {
      const answer = await ask('containerd.services.snapshots.v1.Snapshots/Mounts', encode({ 1: OVERLAYFS, 2: containerId }));
      const [mount] = answer === undefined ? [] : messagesOf(decode(answer), 1);
      if (mount) return textsOf(mount, 4);
      throw new CoatError('no-layer', `containerd does not know the files of the container ${containerId.slice(0, 12)}`);
    },
    async layersRoot() {
      const rootOf = (answer: Buffer): string | undefined =>
        messagesOf(decode(answer), 1).flatMap((plugin) => messagesOf(plugin, 5)).map((entry) => [textsOf(entry, 1)[0], textsOf(entry, 2)[0]]).find(([name]) => name === 'root')?.[1];
      const answer = await ask('containerd.services.introspection.v1.Introspection/Plugins', encode({ 1: `type==io.containerd.snapshotter.v1,id==${OVERLAYFS}` }), (each) => rootOf(each) !== undefined);
      const root = answer && rootOf(answer);
      if (root) return root;
      throw new CoatError('no-containerd', 'containerd does not say where it keeps layers');
    },
    async registries(digest) {
      const answer = await info(digest);
      const labels = answer === undefined ? [] : messagesOf(decode(answer), 1).flatMap((about) => messagesOf(about, 5));
      return labels.flatMap((label) => textsOf(label, 1)).flatMap((name) => (name.startsWith(FROM) ? [name.slice(FROM.length)] : []));
    },
    async blobs(digests) {
      const found = await Promise.all(digests.map(async (digest) => ((await info(digest)) === undefined ? [] : [digest])));
      return new Set(found.flat());
    },
  };
}
