import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** A connection to a unix socket, once it is there. */
export function connectTo(path: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const connection = connect(path, () => {
      connection.off('error', reject);
      resolve(connection);
    });
    connection.once('error', reject);
  });
}
