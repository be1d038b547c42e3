import { chmod, chown, mkdir } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { dirname } from 'node:path';
import { readIfThere, removeIfThere } from '../../driver/host/files.ts';

/**
 * Serves HTTP on a unix socket; what is left there by a previous life is replaced. Closing the server
 * removes the socket.
 *
 * Nothing is timed out: dockerd keeps its connections, waits for answers itself, and takes a
 * connection closed under it for a failed plugin, repeating the request without its body.
 */
export async function serveUnix(path: string, handler: RequestListener, { mode = 0o600, group }: { mode?: number; group?: number | undefined } = {}): Promise<Server> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await removeIfThere(path);
  const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 600_000 }, handler);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  if (group !== undefined) await chown(path, 0, group);
  await chmod(path, mode);
  return server;
}

/** Closes a server at once, connections included. */
export async function closeNow(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/**
 * The id of a group, from the host's file of groups (group(5)): the plugin has none of the host's.
 *
 * @returns `undefined` where there is no such group
 */
export async function groupId(file: string, name: string): Promise<number | undefined> {
  const line = (await readIfThere(file))?.split('\n').find((each) => each.startsWith(`${name}:`));
  const id = Number(line?.split(':')[2]);
  return line !== undefined && Number.isInteger(id) ? id : undefined;
}
