import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { Members } from './client.ts';
import { oneOf } from './way.ts';

/** TCP and TLS together must be done within this, ms: less than an answer may take, so that another address is tried in time. */
const CONNECT_MS = 1_500;

/** An etcd that somebody else looks after; certificates and key as PEM. */
export interface ExternalEtcd {
  /** Its client addresses, `https://host:2379`. */
  urls: readonly string[];
  /** Of the authority that has signed its certificates; without, what Node trusts counts. */
  ca?: string | undefined;
  /** What it knows us by, where it wants to. */
  certificate?: string | undefined;
  key?: string | undefined;
}

/** The way there: each host goes by itself, with TLS. */
export function wayToExternal({ urls, ca, certificate, key }: ExternalEtcd): Members {
  const places = urls.map((url) => {
    const { hostname, port } = new URL(url);
    return { name: url, connect: () => dial({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 2379), ca, cert: certificate, key }) };
  });
  return oneOf(() => places);
}

function dial(to: { host: string; port: number; ca: string | undefined; cert: string | undefined; key: string | undefined }): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...to, ALPNProtocols: ['http/1.1'] });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection to ${to.host} within ${CONNECT_MS} ms`)), CONNECT_MS);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('error', failed);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      socket.setNoDelay(true).setKeepAlive(true, 5_000);
      resolve(socket);
    });
  });
}
