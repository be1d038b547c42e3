import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { Peer } from '../peer.ts';
import type { Identity } from './identity.ts';
import { RENEW, RenewAnswer } from './protocol.ts';

/** A certificate that is good for less than this is renewed, ms: a host may be off for two months. */
const EARLY_MS = 60 * 24 * 3600_000;
const LOOK_EVERY_MS = 6 * 3600_000;
/** After a failure, ms. There are weeks for it. */
const RETRY_MS = 60_000;

export interface RenewalOptions {
  identity: () => Identity;
  /** Keeps and uses the new certificate. */
  take: (certificate: string) => Promise<void>;
  /** The hosts that have the authority's key. */
  authorities: () => readonly Peer[];
  log: Log;
  signal: AbortSignal;
}

export const isDue = (certificate: string, now: number): boolean => Date.parse(new X509Certificate(certificate).validTo) - now < EARLY_MS;

/** Renews this host's certificate in good time, for as long as the agent lives. Never fails. */
export async function keepCertificate({ identity, take, authorities, log, signal }: RenewalOptions): Promise<void> {
  while (!signal.aborted) {
    let pause = LOOK_EVERY_MS;
    try {
      if (isDue(identity().certificate, Date.now())) {
        await take(await renewed(identity(), authorities()));
        log.info({ until: new X509Certificate(identity().certificate).validTo }, 'the certificate of this host was renewed');
      }
    } catch (error) {
      log.warn({ reason: explain(error) }, 'the certificate of this host could not be renewed yet');
      pause = RETRY_MS;
    }
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function renewed({ me, authority, authorityKey, certificate, key }: Identity, authorities: readonly Peer[]): Promise<string> {
  const { issue, repeatRequest } = await import('./certificates.ts');
  const request = await repeatRequest(me.name, { certificate, key });
  if (authorityKey !== undefined) return issue({ certificate: authority, key: authorityKey }, request, me.name);
  let last: unknown = new Error('no host that could do it is known');
  for (const peer of authorities) {
    try {
      return RenewAnswer.parse(await peer.call(RENEW, { request })).certificate;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
