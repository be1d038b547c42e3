import { readIfThere, writeAtomic } from '../../../driver/host/files.ts';
import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import type { Host } from '../../../driver/overlay/records.ts';
import type { Member, Membership } from '../membership.ts';
import { type Identity, MemberList } from './identity.ts';

/**
 * Who belongs to the cluster by the records of its hosts, in a copy on disk: a host that starts while the
 * store is away knows its peers, and whom it has shut out.
 */
export class Members implements Membership {
  readonly me: Member;
  readonly #first: Member;
  readonly #file: string;
  readonly #log: Log;
  readonly #writes = new Queue();
  readonly #listeners = new Set<() => void>();
  #all: Map<string, Member>;

  private constructor({ me, first }: Identity, file: string, known: readonly Member[], log: Log) {
    this.me = me;
    this.#first = first;
    this.#file = file;
    this.#log = log;
    this.#all = together(known, me, first);
  }

  /** As the file has it. A damaged file is as good as none: one host that kept the store is known all the same. */
  static async load(identity: Identity, file: string, log: Log): Promise<Members> {
    const known = await readIfThere(file)
      .then((text) => MemberList.parse(JSON.parse(text ?? '[]')))
      .catch((error: unknown) => {
        log.error({ reason: explain(error), file }, 'the list of members cannot be read: starting without');
        return [];
      });
    return new Members(identity, file, known, log);
  }

  all(): Member[] {
    return [...this.#all.values()];
  }

  find(name: string): Member | undefined {
    return this.#all.get(name);
  }

  storeHosts(): Member[] {
    const keepers = this.all().filter(({ store }) => store === 'member');
    return keepers.length > 0 ? keepers : this.all().filter(({ name }) => name === this.#first.name);
  }

  /** Calls `listener` when hosts have come or gone. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The records of the hosts, as the store has them now. One without a key is of no host that has joined. */
  replace(hosts: Iterable<Host>): void {
    const next = together([...hosts].flatMap(({ name, address, key, store }) => (key === undefined ? [] : [{ name, address, key, ...(store && { store }) }])), this.me, this.#first);
    if (JSON.stringify([...next]) === JSON.stringify([...this.#all])) return;
    this.#all = next;
    void this.save();
    for (const listener of this.#listeners) listener();
  }

  async save(): Promise<void> {
    await this.#writes
      .run(() => writeAtomic(this.#file, JSON.stringify(this.all())))
      .catch((error: unknown) => this.#log.error({ err: error }, 'the list of members cannot be saved'));
  }
}

/** In the order of names. This host always is a member; and where nobody else is known, one to ask is, or nothing could ever be learned again. */
function together(known: readonly Member[], me: Member, first: Member): Map<string, Member> {
  const all = new Map([...(known.length > 0 ? [] : [first]), me, ...known].map((member) => [member.name, member] as const));
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}
