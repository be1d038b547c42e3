import { CoatError, codeOf, explain } from '../../../driver/host/errors.ts';
import { lines } from '../../../driver/host/lines.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { Claim } from '../../../driver/overlay/records.ts';
import { merged } from '../../migration/history.ts';
import type { Found, Mover } from '../../migration/mover.ts';
import { noMigration } from '../../migration/moves.ts';
import { type HostLoad, type Migration, type MigrationDetails, type MigrationFilter, type MigrationList, type MigrationRequest, type NumberedEvent, REMEMBERED } from '../api.ts';
import type { Member } from '../membership.ts';
import type { Peers } from '../peer.ts';
import type { Load } from './load.ts';
import { type Answer, locate } from './locate.ts';

/** How long another host may take to say what it knows, ms. One that is down costs everybody this. */
const ASK_MS = 3_000;
/** How long a host may take to begin a move, ms: its engine is asked. */
const START_MS = 20_000;

/** What the local API does about moves, of whichever host. */
export interface MigrationDoors {
  create(request: MigrationRequest): Promise<Migration>;
  get(id: string): Promise<MigrationDetails>;
  list(filter: MigrationFilter): Promise<MigrationList>;
  cancel(id: string): Promise<Migration>;
  /** The events from a number on, to the last. Ends early where the source's agent goes away: whoever listens asks again. */
  follow(id: string, after: number, signal: AbortSignal): Promise<AsyncGenerator<NumberedEvent, void>>;
  loads(): Promise<HostLoad[]>;
}

export interface DeskOptions {
  me: string;
  mover: Mover;
  peers: Peers;
  members: () => readonly Member[];
  claims: () => Iterable<Claim>;
  load: () => Promise<Load>;
  log: Log;
}

/** Takes what is asked here about a move to the host that has it. What that host is asked is in `offers.ts`. */
export class Desk implements MigrationDoors {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  async create(request: MigrationRequest): Promise<Migration> {
    const { me, mover, peers } = this.#options;
    const source = request.from ?? (await this.#sourceOf(request.container));
    return source === me ? mover.start(request, me) : peers.get(source).call<Migration>('/v1/migrations/create', request, { timeout: START_MS });
  }

  async get(id: string): Promise<MigrationDetails> {
    const known = await this.#options.mover.moves.get(id);
    // who leads it knows more than this host, to which it only came
    if (known !== undefined && (known.from === this.#options.me || known.ended !== undefined)) return known;
    const answers = await this.#askOthers<MigrationDetails | null>('get', { id });
    const details = answers.heard.map(({ said }) => said).filter((said) => said !== null);
    const best = details.find(({ ended }) => ended !== undefined) ?? details[0] ?? known;
    if (best !== undefined) return best;
    throw answers.silent.length === 0 ? noMigration(id) : new CoatError('no-migration', `no host that answers knows a migration ${id}`, { hint: `${answers.silent.join(', ')} did not answer` });
  }

  async list(filter: MigrationFilter): Promise<MigrationList> {
    const [own, { heard, silent }] = await Promise.all([this.#options.mover.moves.list(filter), this.#askOthers<Migration[]>('list', filter)]);
    return { migrations: merged([own, ...heard.map(({ said }) => said)], filter.limit ?? REMEMBERED), silent };
  }

  async cancel(id: string): Promise<Migration> {
    const { me, mover, peers } = this.#options;
    const { from } = await this.get(id);
    return from === me ? mover.moves.cancel(id) : peers.get(from).call<Migration>('/v1/migrations/cancel', { id });
  }

  async follow(id: string, after: number, signal: AbortSignal): Promise<AsyncGenerator<NumberedEvent, void>> {
    const { me, mover, peers } = this.#options;
    const details = await this.get(id);
    if (details.from === me) return mover.moves.follow(id, after, signal);
    const stream = await peers.get(details.from).tunnel(`/v1/migrations/events?id=${id}&after=${after}`).catch((error: unknown) => {
      if (details.report === undefined) throw error;
      return undefined;
    });
    if (stream === undefined) return lastOnly(details, after);
    signal.addEventListener('abort', () => stream.destroy(), { once: true });
    const { log } = this.#options;
    return (async function* () {
      try {
        for await (const line of lines(stream)) yield JSON.parse(line) as NumberedEvent;
      } catch (error) {
        if (!signal.aborted) log.debug({ migration: id, reason: explain(error) }, 'the events of another host broke off');
      } finally {
        stream.destroy();
      }
    })();
  }

  async loads(): Promise<HostLoad[]> {
    const { me, load, members, peers } = this.#options;
    return Promise.all(members().map(async ({ name, address }): Promise<HostLoad> => {
      try {
        return { name, address, reachable: true, ...(name === me ? await load() : await peers.get(name).call<Load>('/v1/load', {}, { timeout: ASK_MS })) };
      } catch (error) {
        return { name, address, reachable: false, problem: explain(error) };
      }
    }));
  }

  async #sourceOf(ref: string): Promise<string> {
    const { me, mover, claims } = this.#options;
    const own = await mover.find(ref);
    const here: Answer = { host: me, ...(own && { found: own }) };
    const claimed = [...new Set([...claims()].filter(({ container, mac }) => mac !== undefined && container === (own?.name ?? ref)).map(({ host }) => host))];
    // the records know of no other of this name: nobody needs to be asked
    if (own?.running && claimed.every((host) => host === me)) return locate({ ref, answers: [here], silent: [], claimed });
    const { heard, silent } = await this.#askOthers<Found | null>('find', { container: ref });
    return locate({ ref, answers: [here, ...heard.map(({ host, said }) => ({ host, ...(said && { found: said }) }))], silent, claimed });
  }

  async #askOthers<T>(what: string, body: unknown): Promise<{ heard: { host: string; said: T }[]; silent: string[] }> {
    const heard: { host: string; said: T }[] = [];
    const silent: string[] = [];
    await Promise.all(this.#options.peers.others().map((peer) =>
      peer.call<T>(`/v1/migrations/${what}`, body, { timeout: ASK_MS }).then(
        (said) => void heard.push({ host: peer.name, said }),
        (error: unknown) => {
          // an agent that runs but cannot say, such as one whose engine is away, has not answered either
          this.#options.log.debug({ host: peer.name, code: codeOf(error), reason: explain(error) }, `another host did not answer "${what}"`);
          silent.push(peer.name);
        },
      )));
    return { heard: heard.sort((a, b) => (a.host < b.host ? -1 : 1)), silent: silent.sort() };
  }
}

/** Of a move whose host is another, and may be away by now: what this one knows of its end. */
async function* lastOnly({ report, problem, ended = 0 }: MigrationDetails, after: number): AsyncGenerator<NumberedEvent, void> {
  if (report === undefined || after >= ended) return;
  yield { seq: ended, event: problem === undefined ? { type: 'done', report } : { type: 'failed', report, problem } };
}
