import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CoatError } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/** CRIU's page server at the destination: writes what comes through `stream` into the images directory. */
export interface PageServer {
  stream: Duplex;
  /** Settles when it has everything and has ended. @throws CoatError `page-server-failed` */
  done: Promise<void>;
  kill(): void;
}

/** @param directory on the host, with `images` in it */
export function startPageServer(host: HostSide, directory: string): PageServer {
  const child: ChildProcess = host.spawn(
    ['criu', 'page-server', `--images-dir=${directory}/images`, '--ps-socket=3', '-v1', `--log-file=${directory}/work/page-server.log`],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] },
  );
  const done = new Promise<void>((resolve, reject) => {
    child.on('error', (cause) => reject(new CoatError('page-server-failed', 'CRIU could not be started to receive memory', { cause })));
    child.on('close', (code) => (code === 0 ? resolve() : reject(new CoatError('page-server-failed', `receiving the memory ended with exit code ${code}`))));
  });
  done.catch(() => undefined);
  return { stream: child.stdio[3] as Duplex, done, kill: () => child.kill('SIGKILL') };
}

/**
 * The source's end: CRIU sends pages to a TCP port only, so one is opened on the loopback address for the one
 * connection it makes, and passed on.
 */
export async function pagePort(onto: Duplex): Promise<{ port: number; close(): void; bytes(): number }> {
  let inner: Socket | undefined;
  const server = createServer({ noDelay: true, highWaterMark: 1 << 20 }, (socket) => {
    server.close();
    inner = socket;
    join(socket, onto);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => inner?.bytesRead ?? 0,
    close: () => {
      server.close();
      inner?.destroy();
      onto.destroy();
    },
  };
}

/** Joins two connections; the end of either half is passed on, and a fault of one ends both. */
export function join(left: Duplex, right: Duplex): void {
  left.pipe(right);
  right.pipe(left);
  left.on('error', () => right.destroy());
  right.on('error', () => left.destroy());
}
