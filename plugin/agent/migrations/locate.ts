import { CoatError } from '../../../driver/host/errors.ts';
import { type Found, movingAlready } from '../../migration/mover.ts';

/** What a host says when it is asked for a container. */
export interface Answer {
  host: string;
  found?: Found;
}

/** What is known of where a container could be. */
export interface Traces {
  /** What the user called it. */
  ref: string;
  answers: readonly Answer[];
  /** Hosts that did not answer. */
  silent: readonly string[];
  /** Hosts that a container of this name belongs to, as the records say. */
  claimed: readonly string[];
}

/**
 * The host that has a container which was named without its host. One that runs goes before those that do not: only that one can move.
 *
 * @throws CoatError `no-container`, `ambiguous`, `moving-already`, `host-silent`
 */
export function locate({ ref, answers, silent, claimed }: Traces): string {
  const having = answers.flatMap(({ host, found }) => (found ? [{ host, ...found }] : []));
  const moving = having.find((each) => each.moving)?.moving;
  if (moving) throw movingAlready(moving);
  const away = silent.filter((host) => claimed.includes(host));
  const running = having.filter((each) => each.running);
  const candidates = [...(running.length > 0 ? running : having).map(({ host }) => host), ...away];
  const [first] = candidates;
  if (candidates.length > 1) {
    throw new CoatError('ambiguous', `${listed(candidates)} have a container ${ref} each`, { hint: `say which: --from ${first}` });
  }
  if (first === undefined) {
    const unasked = silent.length === 0 ? '' : `, and ${listed(silent)} ${silent.length === 1 ? 'does' : 'do'} not answer`;
    throw new CoatError('no-container', `there is no container ${ref} on any host${unasked}`, { hint: 'docker coat ls shows the containers of all hosts' });
  }
  if (away.length > 0) throw new CoatError('host-silent', `${ref} is on ${first}, which does not answer`, { hint: `look whether ${first} and its agent are up (docker coat status)` });
  return first;
}

/** `h1, h2 and h3` */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
