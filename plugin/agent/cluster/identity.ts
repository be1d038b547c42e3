import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import { readIfThere, writeAtomic } from '../../../driver/host/files.ts';

const Member = z.object({ name: z.string(), address: z.string(), key: z.string().optional() });

/** Who this host is in its cluster: what it got when it founded or joined it. */
export const Identity = z.object({
  me: Member,
  /** The first host: it has the store and the authority's key. */
  first: Member,
  /** Certificates and key, PEM. */
  authority: z.string(),
  certificate: z.string(),
  key: z.string(),
  /** On the first host only. PEM. */
  authorityKey: z.string().optional(),
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
