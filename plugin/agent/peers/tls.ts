import { scryptSync } from 'node:crypto';
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls';
import type { Member } from '../membership.ts';

/**
 * How agents prove to each other that they belong to one cluster: by certificates (cluster/proof.ts), or by
 * a shared secret where the settings name the hosts. Nobody else knows which.
 */
export interface Security {
  /** For the listening side. */
  server(): TlsOptions;
  /** For the connecting side, which wants to reach `member` and nobody else. */
  client(member: Member): ConnectionOptions;
  /**
   * Name of the host at the other end of an accepted connection, as it was proved; `undefined` when it was
   * not, or when the host is no longer a member.
   */
  nameOf(socket: TLSSocket): string | undefined;
}

/**
 * AES-GCM because processors have instructions for it (ChaCha20 carries about a third less), with an
 * ephemeral Diffie-Hellman exchange so that the secret, learned later, does not open recorded traffic.
 * OpenSSL has no ECDHE-PSK suite with AES-GCM.
 */
const CIPHERS = 'DHE-PSK-AES128-GCM-SHA256';

/** A key is computed from the secret at a cost, so that guessing short secrets from a recording is slow (RFC 7914). */
const SALT = 'coat peer key 1';

/**
 * TLS 1.2 with a pre-shared key (RFC 4279): the key comes from the cluster's secret, the identity is
 * the host's name. TLS 1.3 has no callback for keys in Node.
 *
 * One secret for all means that a member could call itself by another member's name; that it is a
 * member is what is proved.
 *
 * @param me this host's name
 * @param isMember whether a host of this name belongs to the cluster, now
 */
export function presharedKey(secret: string, me: string, isMember: (name: string) => boolean): Security {
  const psk = scryptSync(secret, SALT, 32);
  const names = new WeakMap<TLSSocket, string>();
  const common = { ciphers: CIPHERS, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  return {
    server: () => ({
      ...common,
      dhparam: 'auto',
      pskCallback: (socket, identity) => {
        if (!isMember(identity)) return null;
        names.set(socket, identity);
        return psk;
      },
    }),
    client: () => ({
      ...common,
      pskCallback: () => ({ psk, identity: me }),
      // no certificate takes part: whoever has the key is a member
      checkServerIdentity: () => undefined,
    }),
    nameOf: (socket) => {
      const name = names.get(socket);
      return name !== undefined && isMember(name) ? name : undefined;
    },
  };
}
