import { z } from 'zod';
import { Host, hostKey } from '../../../driver/overlay/records.ts';
import { CLOCK_MS } from '../cluster/protocol.ts';
import { LONGEST_TTL_MS, REMEMBERED_MS, TokenRecord } from '../cluster/tokens.ts';
import { type Change, forbidden, type Known, MAY, type Wanted, type Writer } from './change.ts';

/** See keyOfToken. */
const TOKEN = /^tokens\/[0-9a-f]{64}$/;

/**
 * A host says of itself which version it has and what it has routes to. Its name, address and key are as they were when it was let in, and who
 * keeps the store, who is let in and who is removed is decided on hosts that keep it. It may leave.
 */
export function judgeHost(writer: Writer, { key, before, after }: Change): Wanted {
  if (key !== hostKey(writer.name)) throw forbidden(`the record ${key} is not host ${writer.name}'s`);
  if (after === undefined) return MAY;
  const host = Host.safeParse(after).data;
  const old = before === undefined ? undefined : Host.safeParse(before).data;
  if (host === undefined || (before !== undefined && old === undefined)) throw forbidden(`${key} would be no host`);
  // who has joined has one from then until it leaves or is removed
  if (old === undefined && writer.key !== undefined) throw forbidden(`host ${writer.name} was removed from the cluster`);
  const address = writer.key === undefined ? writer.address : old?.address;
  if (host.name !== writer.name || host.address !== address || host.key !== old?.key) throw forbidden(`the name, address and key of host ${writer.name} are as they were when it was let in`);
  if (host.store !== old?.store) throw forbidden('who keeps the store is said on a host that does: docker coat promote');
  return MAY;
}

/** Any host makes tokens. They are used up by the authority, and removed when they are long over. */
export function judgeToken({ key, before, after }: Change, { now }: Known): Wanted {
  if (!TOKEN.test(key)) throw forbidden(`${key} is no token`);
  if (after === undefined) {
    const old = TokenRecord.safeParse(before).data;
    if (old !== undefined && old.expires + REMEMBERED_MS > now + CLOCK_MS) throw forbidden('a token is remembered for a day after its end');
    return MAY;
  }
  if (before !== undefined) throw forbidden('a token is used up by the host that lets in');
  const token = z.strictObject({ expires: z.number() }).safeParse(after).data;
  if (token === undefined || token.expires > now + LONGEST_TTL_MS + CLOCK_MS) throw forbidden('a token is good for seven days at most');
  return MAY;
}

const Book = z.strictObject({ networks: z.number().int() });

/** One page for each network. */
export function judgeBook({ before, after }: Change, changes: readonly Change[]): Wanted {
  const [old, book] = [before === undefined ? { networks: 0 } : Book.safeParse(before).data, Book.safeParse(after).data];
  const entered = changes.filter((change) => change.key.startsWith('networks/') && change.after !== undefined);
  if (old === undefined || book?.networks !== old.networks + 1 || entered.length !== 1) throw forbidden('the book gets one page with each network');
  return MAY;
}

/** Made by whoever comes first, for good. */
export function judgeCluster({ before, after }: Change): Wanted {
  if (before !== undefined || !z.strictObject({ id: z.uuid() }).safeParse(after).success) throw forbidden('the id of the cluster stays');
  return MAY;
}
