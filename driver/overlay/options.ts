import { CoatError } from '../host/errors.ts';
import { MAX_VNI } from './names.ts';

/** Smallest MTU an IPv4 host must accept, RFC 791. Bytes. */
const SMALLEST_MTU = 576;

/** Docker's own options begin so (libnetwork/netlabel). An engine may add some to every network; all but the MTU are its business. */
const DOCKERS = 'com.docker.network.';
const DOCKERS_MTU = 'com.docker.network.driver.mtu';

/** What a user chose with `-o`. */
export interface Choices {
  vni?: number;
  /** Bytes; must be possible. */
  mtu?: number;
  /** Bytes, as an engine's settings may say it for all networks: at most this. */
  mtuLimit?: number;
}

type Reader = (value: string) => Choices;

/** Every option of ours. A reader throws where the value makes no sense. */
const READERS: Record<string, Reader> = {
  vni: (value) => ({ vni: number('vni', value, 1, MAX_VNI) }),
  mtu: (value) => ({ mtu: number('mtu', value, SMALLEST_MTU, 65_535) }),
  multicast(value) {
    if (value !== 'on' && value !== 'off') throw bad(`multicast is "on" or "off", not "${value}"`);
    return {};
  },
};

/**
 * Reads `-o` of `docker network create`.
 *
 * @throws CoatError `bad-option`, `no-encryption`; each says what is wrong in a sentence
 */
export function readOptions(options: Readonly<Record<string, string>>): Choices {
  let choices: Choices = {};
  for (const [key, value] of Object.entries(options)) {
    if (key === 'encrypted') {
      throw new CoatError('no-encryption', 'a coat network does not encrypt the traffic of its containers yet', {
        hint: 'leave -o encrypted out, and use a network between the hosts that you trust, or WireGuard below',
      });
    }
    const reader = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    if (reader) choices = { ...choices, ...reader(value) };
    else if (key === DOCKERS_MTU) choices.mtuLimit = number(key, value, SMALLEST_MTU, 65_535);
    else if (!key.startsWith(DOCKERS)) throw bad(`a coat network has no option "${key}"`, `the options are ${Object.keys(READERS).join(', ')}`);
  }
  return choices;
}

/** Whether broadcast and multicast go to the other hosts. */
export const isFlooded = (options: Readonly<Record<string, string>>): boolean => options['multicast'] !== 'off';

/** @param possible what a tunnel between the hosts can carry, bytes */
export function chooseMtu(possible: number, { mtu, mtuLimit }: Choices): number {
  if (mtu !== undefined && mtu > possible) throw bad(`an mtu of ${mtu} bytes is more than the ${possible} that fit through the tunnels between the hosts`);
  return mtu ?? Math.min(possible, mtuLimit ?? possible);
}

function number(key: string, value: string, from: number, to: number): number {
  if (/^\d{1,9}$/.test(value) && Number(value) >= from && Number(value) <= to) return Number(value);
  throw bad(`${key} is a number from ${from} to ${to}, not "${value}"`);
}

const bad = (message: string, hint = 'docs/network.md describes all options'): CoatError => new CoatError('bad-option', message, { hint });
