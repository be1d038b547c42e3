import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Store, Write } from '../../../driver/store/store.ts';
import { isUnderlay } from '../settings.ts';

/** A host that lets others in. */
export interface TokenHost {
  address: string;
  /** SHA-256 of the public key it proves itself with, hex: no other host of the cluster is told the secret. */
  key: string;
}

/** What a token says to the host that joins with it. */
export interface Token {
  /** The hosts that let in, any of which will do. */
  hosts: TokenHost[];
  port: number;
  /** Of the authority's certificate, SHA-256, hex. */
  fingerprint: string;
  /** Proves that its bearer may join. The store has only its hash. */
  secret: string;
}

/** What the store has of a token, under `tokens/<hash of its secret>`. */
export const TokenRecord = z.object({
  /** ms since 1970. */
  expires: z.number(),
  /** The host that joined with it. */
  usedBy: z.string().optional(),
});
export type TokenRecord = z.infer<typeof TokenRecord>;

const PREFIX = 'coat1.';
const HASH = /^[0-9a-f]{64}$/;
const Hosts = z.array(z.tuple([z.string().refine(isUnderlay), z.string().regex(HASH)])).min(1).max(9);
const Parts = z.tuple([Hosts, z.number().int().min(1).max(65535), z.string().regex(HASH), z.string().min(16).max(64)]);
/** Tokens that are over are remembered for a day, ms: whoever tries one shall learn what became of it. */
export const REMEMBERED_MS = 24 * 3600_000;
/** How long a token may be good, ms. */
export const LONGEST_TTL_MS = 7 * 24 * 3600_000;

export const keyOfToken = (secret: string): string => `tokens/${createHash('sha256').update(secret).digest('hex')}`;

export function formatToken({ hosts, port, fingerprint, secret }: Token): string {
  return PREFIX + Buffer.from(JSON.stringify([hosts.map(({ address, key }) => [address, key]), port, fingerprint, secret])).toString('base64url');
}

/** @throws CoatError `bad-token` */
export function parseToken(text: string): Token {
  try {
    if (!text.startsWith(PREFIX)) throw new Error(`it does not begin with ${PREFIX}`);
    const [hosts, port, fingerprint, secret] = Parts.parse(JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString()));
    return { hosts: hosts.map(([address, key]) => ({ address, key })), port, fingerprint, secret };
  } catch (cause) {
    throw new CoatError('bad-token', 'this is not a token of a coat cluster', { hint: 'copy the whole line that docker coat token printed', cause });
  }
}

/** Why a token does not let anybody in. @throws CoatError `token-unknown`, `token-used`, `token-expired` */
export function checkToken(record: TokenRecord | undefined, now: number): TokenRecord {
  const hint = 'make a new one on a host of the cluster: docker coat token';
  if (record === undefined) throw new CoatError('token-unknown', 'the cluster does not know this token', { hint });
  if (record.usedBy !== undefined) throw new CoatError('token-used', `this token was used already, by host ${record.usedBy}: each lets one host in`, { hint });
  if (record.expires <= now) throw new CoatError('token-expired', `this token expired ${ago(now - record.expires)} ago`, { hint });
  return record;
}

/** Makes a token's secret and writes down its hash. What is long over is removed on the way. */
export async function createToken(store: Store, ttl: number, now = Date.now()): Promise<string> {
  const secret = randomBytes(16).toString('base64url');
  await store.put(keyOfToken(secret), { expires: now + ttl }, 'absent');
  for (const { key, value, revision } of (await store.list('tokens/')).entries) {
    const record = TokenRecord.safeParse(value);
    if (!record.success || record.data.expires + REMEMBERED_MS < now) await store.delete(key, revision).catch(() => undefined);
  }
  return secret;
}

/** Looks at a token. @returns the write that uses it up, for a transaction: of two that try at the same time one fails */
export async function lookAtToken(store: Store, secret: string, host: string, now: number): Promise<Write> {
  const key = keyOfToken(secret);
  const entry = await store.get(key);
  const record = checkToken(entry && TokenRecord.parse(entry.value), now);
  return { key, value: { ...record, usedBy: host }, expected: entry!.revision };
}

function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  return minutes < 1 ? 'less than a minute' : minutes === 1 ? 'a minute' : minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
}
