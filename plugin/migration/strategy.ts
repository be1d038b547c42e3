import { CoatError } from '../../driver/host/errors.ts';
import type { Strategy } from '../agent/api.ts';

/** Where nobody says how. Who would rather have a container stand still than need two hosts for some seconds says `cold`. */
export const DEFAULT_STRATEGY: Strategy | 'auto' = 'auto';

/** What a link between hosts carries where nobody knows, bytes a second: 10 Gbit/s. */
const LINK = 1.25e9;
/** What dump, transfer and restore together carry at most, bytes a second: 256 MiB took 0.6 s longer than nothing, on two cores. */
const CARRIED = 400e6;
/** For so much memory a container may stand still, ms: few programs wait for less before they ask again. */
const STILL_MS = 250;

export interface StrategyFacts {
  wanted: Strategy | 'auto';
  /** Memory that could come later, bytes. */
  lazy: number;
  /** Bytes a second, where it is known. */
  link?: number;
  /** By host: why memory cannot come later there, or nothing. */
  hosts: Readonly<Record<string, string | undefined>>;
  /** Why the source cannot send memory ahead, or nothing. */
  notAhead?: string | undefined;
}

/** How a container's memory gets to the other host; an error where it cannot be as somebody wants it. */
export function chooseStrategy({ wanted, lazy, link = LINK, hosts, notAhead }: StrategyFacts): Strategy | CoatError {
  if (wanted === 'cold') return 'cold';
  const unable = Object.entries(hosts).find(([, why]) => why !== undefined);
  if (wanted !== 'auto') {
    if (unable) return new CoatError(`no-${wanted}`, `memory cannot be fetched later with ${unable[0]}: ${unable[1]}`, { hint: 'move it with --strategy cold' });
    if (wanted === 'precopy' && notAhead !== undefined) return new CoatError('no-precopy', `memory cannot be sent ahead from this host: ${notAhead}`, { hint: 'move it with --strategy postcopy, or cold' });
    return wanted;
  }
  const still = (lazy / Math.min(link, CARRIED)) * 1000;
  if (still <= STILL_MS || unable) return 'cold';
  return notAhead === undefined ? 'precopy' : 'postcopy';
}
