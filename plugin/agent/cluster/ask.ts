import { X509Certificate } from 'node:crypto';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import { CoatError } from '../../../driver/host/errors.ts';
import { errorFrom } from '../peers/problem.ts';
import { fingerprint } from './proof.ts';
import type { Token } from './tokens.ts';

/** TCP and TLS together must be done within this, ms. */
const CONNECT_MS = 5_000;
/** Letting a host in takes some writes of the store. */
const ANSWER_MS = 15_000;

/** A connection to the cluster, to a host that has shown to be of it. */
export interface Door {
  /** The address of this host, as it is used on the way there. */
  readonly localAddress: string;
  /** The certificate of the cluster's authority, PEM. */
  readonly authority: string;
  /** @throws CoatError what the other side refuses with; `peer-away` */
  ask(path: string, body: unknown): Promise<unknown>;
  close(): void;
}

/**
 * Connects to the host a token names. Nothing is said before that host has shown a certificate signed by
 * the authority whose fingerprint is in the token. Dates are not looked at: if a clock is wrong, that is
 * found out next, and said in words.
 *
 * @throws CoatError `peer-away`, `wrong-cluster`
 */
export function knock({ address, port, fingerprint: expected }: Token): Promise<Door> {
  return new Promise((resolve, reject) => {
    const away = (cause: unknown): CoatError => new CoatError('peer-away', `nobody answers at ${address} port ${port}`, { hint: 'check that the first host is up, and that its port is open to this one', cause });
    const socket = connect({ host: address, port, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
    socket.once('error', (error) => reject(away(error)));
    socket.once('close', () => clearTimeout(timer));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      const authority = authorityOf(socket);
      if (authority === undefined || fingerprint(authority) !== expected) {
        socket.destroy();
        reject(new CoatError('wrong-cluster', `the host at ${address} is not of the cluster this token is from`, { hint: 'make a new token: docker coat token' }));
        return;
      }
      resolve({ localAddress: socket.localAddress ?? '', authority, ask: (path, body) => ask(socket, path, body, away), close: () => void socket.destroy() });
    });
  });
}

/** The certificate that signed the one the other side has proved to have the key of. */
function authorityOf(socket: TLSSocket): string | undefined {
  const shown = socket.getPeerCertificate(true);
  if (shown?.raw === undefined || shown.issuerCertificate?.raw === undefined) return undefined;
  const [own, authority] = [new X509Certificate(shown.raw), new X509Certificate(shown.issuerCertificate.raw)];
  return authority.ca && own.checkIssued(authority) && own.verify(authority.publicKey) ? authority.toString() : undefined;
}

function ask(socket: TLSSocket, path: string, body: unknown, away: (cause: unknown) => CoatError): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const made = request({ path, method: 'POST', headers: { 'content-type': 'application/json' }, createConnection: () => socket, signal: AbortSignal.timeout(ANSWER_MS) });
    made.once('error', (error) => reject(away(error)));
    made.once('response', (response) => {
      text(response).then((answer) => {
        if (response.statusCode !== 200) throw errorFrom(answer, 'that lets in');
        return JSON.parse(answer) as unknown;
      }).then(resolve, reject);
    });
    made.end(JSON.stringify(body));
  });
}
