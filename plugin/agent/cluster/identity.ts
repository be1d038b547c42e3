import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import { readIfThere, writeAtomic } from '../../../driver/host/files.ts';
import { Queue } from '../../../driver/host/queue.ts';

const Member = z.object({ name: z.string(), address: z.string(), key: z.string().optional(), store: z.enum(['entering', 'member']).optional() });

/** An etcd that somebody else looks after; certificates and key as PEM. */
export const External = z.object({ urls: z.array(z.string()).min(1), ca: z.string().optional(), certificate: z.string().optional(), key: z.string().optional() });
export type External = z.infer<typeof External>;

/** Who this host is in its cluster: what it got when it founded or joined it. */
export const Identity = z.object({
  me: Member,
  /** A host that kept the store when this one came in: the first, which then knows all others. */
  first: Member,
  /** Certificates and key, PEM. */
  authority: z.string(),
  certificate: z.string(),
  key: z.string(),
  /** On the hosts that keep the store, and on those alone. PEM. */
  authorityKey: z.string().optional(),
  /** Whether this host keeps the store, or is about to. */
  store: z.enum(['entering', 'member']).optional(),
  /** The number etcd gave it when it was taken in. */
  storeId: z.string().optional(),
  /** An etcd of others, where that is the store. */
  external: External.optional(),
});
export type Identity = z.infer<typeof Identity>;

export const MemberList = z.array(Member);

/** The identity in its file, which only root may read. */
export class IdentityFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws CoatError `identity` where there is one that cannot be understood */
  async read(): Promise<Identity | undefined> {
    const text = await readIfThere(this.#path);
    if (text === undefined) return undefined;
    try {
      return Identity.parse(JSON.parse(text));
    } catch (cause) {
      throw new CoatError('identity', `${this.#path} cannot be understood`, { hint: 'docker coat leave --force, and join again', cause });
    }
  }

  async write(identity: Identity): Promise<void> {
    await writeAtomic(this.#path, `${JSON.stringify(identity, null, 2)}\n`, 0o600);
  }
}

/** The identity of a running agent, which changes now and then. */
export class IdentityKeeper {
  readonly #file: IdentityFile;
  readonly #changes = new Queue();
  #now: Identity;

  constructor(first: Identity, file: IdentityFile) {
    // before there could be several, whoever had the key had the store
    this.#now = first.authorityKey !== undefined && first.store === undefined ? { ...first, store: 'member' } : first;
    this.#file = file;
  }

  get now(): Identity {
    return this.#now;
  }

  /** What is not on disk is not believed either. */
  change(what: Partial<Identity>): Promise<void> {
    return this.#changes.run(async () => {
      const next = { ...this.#now, ...what };
      await this.#file.write(next);
      this.#now = next;
    });
  }
}
