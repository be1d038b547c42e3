import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { CoatError } from '../../../driver/host/errors.ts';

/**
 * Makes certificates (RFC 5280), all with keys on P-256. Loaded only where one is made: the library takes
 * a tenth of a second, and a running agent does without.
 */

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3600_000;
const AUTHORITY_DAYS = 10 * 365;
/** How long a host's certificate is good, in days. Renewed long before; see renewal.ts. */
export const HOST_DAYS = 90;
/** Certificates begin before they are made, so that a clock that is a little behind accepts them; ms. */
const BACKDATE_MS = 3600_000;

/** A certificate and its private key, both PEM. */
export interface Pair {
  certificate: string;
  key: string;
}

/** The authority of a new cluster. Its subject has a random part: two clusters' authorities differ in name too. */
export async function makeAuthority(): Promise<Pair> {
  const keys = await generate();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=coat cluster ${Buffer.from(webcrypto.getRandomValues(new Uint8Array(4))).toString('hex')}`,
    keys,
    signingAlgorithm: ALGORITHM,
    ...lifetime(AUTHORITY_DAYS),
    extensions: [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)],
  });
  return { certificate: certificate.toString('pem'), key: await pemOf(keys.privateKey) };
}

/** A request for a host's certificate, and the key that never leaves the host; both PEM. */
export async function makeRequest(name: string): Promise<{ request: string; key: string }> {
  const keys = await generate();
  return { request: await requestFor(name, keys), key: await pemOf(keys.privateKey) };
}

/** A request for a new certificate for a key that is there already. */
export async function repeatRequest(name: string, { certificate, key }: Pair): Promise<string> {
  const publicKey = (await new x509.X509Certificate(certificate).publicKey.export(ALGORITHM, ['verify'])) as webcrypto.CryptoKey;
  return requestFor(name, { publicKey, privateKey: await keyFrom(key) });
}

/**
 * The certificate that proves a host's name. Of the request only the key counts: what it says of its
 * owner is not believed.
 *
 * @throws CoatError `bad-request` where it is no request, or not signed with its own key
 */
export async function issue(authority: Pair, request: string, name: string, days = HOST_DAYS): Promise<string> {
  const publicKey = await keyOfRequest(request);
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer.subject,
    publicKey,
    signingKey: await keyFrom(authority.key),
    signingAlgorithm: ALGORITHM,
    ...lifetime(days),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
    ],
  });
  return certificate.toString('pem');
}

async function keyOfRequest(text: string): Promise<x509.PublicKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(text);
    if (await request.verify()) return request.publicKey;
  } catch {
    // said below
  }
  throw new CoatError('bad-request', 'this is not a request for a certificate');
}

async function generate(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function requestFor(name: string, keys: webcrypto.CryptoKeyPair): Promise<string> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: `CN=${name}`, keys, signingAlgorithm: ALGORITHM });
  return request.toString('pem');
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function keyFrom(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
}

function lifetime(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}
