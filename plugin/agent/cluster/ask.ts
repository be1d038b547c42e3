import { X509Certificate } from 'node:crypto';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import { codeOf, CoatError } from '../../../driver/host/errors.ts';
import { errorFrom } from '../peers/problem.ts';
import { fingerprint, keyOf } from './proof.ts';
import type { Token, TokenHost } from './tokens.ts';

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
 * Connects to the first of the hosts a token names that can be reached. Nothing is said before that host has shown a certificate
 * signed by the authority whose fingerprint is in the token, and has proved to have its own key, which is in the token too: any
 * other host of the cluster has such a certificate, and shall not learn the secret. Dates are not looked at: if a clock is wrong,
 * that is found out next, and said in words.
 *
 * @throws CoatError `peer-away`, `wrong-cluster`, `wrong-host`
 */
export async function knock(token: Token): Promise<Door> {
  const failed: unknown[] = [];
  for (const host of token.hosts) {
    try {
      return await knockAt(host, token);
    } catch (error) {
      failed.push(error);
    }
  }
  // one that is not who it should be says more than one that is away
  throw failed.find((error) => codeOf(error) !== 'peer-away') ?? failed.at(-1);
}

function knockAt({ address, key }: TokenHost, { port, fingerprint: expected }: Token): Promise<Door> {
  return new Promise((resolve, reject) => {
    const away = (cause: unknown): CoatError =>
      new CoatError('peer-away', `nobody answers at ${address} port ${port}`, { hint: 'check that this host is up and its port is open to this one; if it is gone, make a new token on another: docker coat token', cause });
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
      if (keyOf(socket.getPeerCertificate().raw) !== key) {
        socket.destroy();
        reject(new CoatError('wrong-host', `the host at ${address} is not the one this token is from`, { hint: 'make a new token: docker coat token' }));
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
