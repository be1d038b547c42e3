import { createHash, X509Certificate } from 'node:crypto';
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls';
import type { Member } from '../membership.ts';
import type { Security } from '../peers/tls.ts';

/** What a host proves itself with, and others by; PEM. */
export interface Credentials {
  /** Of the cluster's authority. */
  authority: string;
  certificate: string;
  key: string;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The public key of a certificate, as a SHA-256. It stays the same through renewals. */
export const keyOf = (certificate: string | Buffer): string => sha256(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }));

/** SHA-256 of a whole certificate. */
export const fingerprint = (certificate: string | Buffer): string => sha256(new X509Certificate(certificate).raw);

/**
 * Mutual TLS 1.3: each side shows a certificate of the cluster's authority for its name, with the key
 * its member record has. So a host can speak only for itself, and one that was removed is shut out
 * although its certificate is still good, also after another one has taken its name.
 *
 * Strangers get through the handshake, nameless: a host that wants to join has no certificate yet, and
 * one whose certificate is not good any more is told so in words.
 *
 * @param credentials as they are now; they change with a renewal
 * @param find a member of the cluster, as it is now
 */
export function certificates(credentials: () => Credentials, find: (name: string) => Member | undefined): Security {
  const shown = new WeakMap<TLSSocket, { name: string; key: string } | 'nothing'>();
  // as in peers/tls.ts, the short key first: memory images cross here, and every byte costs
  const common = { ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384', minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;
  return {
    server: () => {
      const { authority, certificate, key } = credentials();
      // the authority's certificate is sent too: whoever joins knows it by its fingerprint only
      return { ...common, ca: authority, cert: certificate + '\n' + authority, key, requestCert: true, rejectUnauthorized: false };
    },
    client: (member) => {
      const { authority, certificate, key } = credentials();
      return {
        ...common,
        ca: authority,
        cert: certificate,
        key,
        servername: member.name,
        checkServerIdentity: (_host, shownByPeer: PeerCertificate) =>
          checkServerIdentity(member.name, shownByPeer) ?? (keyOf(shownByPeer.raw) === find(member.name)?.key ? undefined : new Error(`the certificate is of an earlier host ${member.name}`)),
      };
    },
    nameOf: (socket) => {
      let proved = shown.get(socket);
      if (proved === undefined) shown.set(socket, (proved = whatIsProved(socket)));
      if (proved === 'nothing') return undefined;
      return find(proved.name)?.key === proved.key ? proved.name : undefined;
    },
  };
}

function whatIsProved(socket: TLSSocket): { name: string; key: string } | 'nothing' {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  const name = certificate === undefined ? undefined : /^CN=(.+)$/.exec(certificate.subject)?.[1];
  return certificate === undefined || name === undefined ? 'nothing' : { name, key: keyOf(certificate.raw) };
}
