import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Membership } from '../membership.ts';
import type { PeerRoutes, Peers } from '../peer.ts';
import type { Connect } from './store.ts';

/** The path of the tunnel to etcd, on the host that runs it. */
const TUNNEL = '/v1/store';

/** How this agent reaches etcd: its socket on the host that runs it, through that host's agent elsewhere. */
export function wayToEtcd(membership: Membership, peers: Peers, socket: string): Connect {
  return () => {
    const { name } = membership.storeHost();
    return name === membership.me.name ? connectLocal(socket) : peers.get(name).tunnel(TUNNEL);
  };
}

/** Lets other hosts reach the etcd of this one. */
export function offerEtcd(routes: PeerRoutes, socket: string): void {
  routes.tunnel(TUNNEL, (stream) => {
    const etcd = connect({ path: socket, allowHalfOpen: true });
    stream.pipe(etcd).pipe(stream);
    // either side breaking ends both; whoever waits at the far end sees a broken connection
    for (const [one, other] of [[stream, etcd], [etcd, stream]] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
}

function connectLocal(socket: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket, () => {
      connection.off('error', reject);
      resolve(connection);
    });
    connection.once('error', reject);
  });
}
