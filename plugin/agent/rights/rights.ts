import { type Change, forbidden, type Known, MAY, type Wanted, type Writer } from './change.ts';
import { judgeClaim } from './claims.ts';
import { judgeNetwork } from './networks.ts';
import { judgeBook, judgeCluster, judgeHost, judgeToken } from './others.ts';

/**
 * Whether a host that does not keep the store may do what it wants to: each speaks for itself alone. Everything is forbidden
 * that the agents have no need of. Pure; the guard before etcd (etcd/guard.ts) gets what it rests on.
 *
 * @throws CoatError `not-yours`; ConflictError where another host was faster
 */
export function judge(writer: Writer, changes: readonly Change[], known: Known): Wanted {
  if (new Set(changes.map(({ key }) => key)).size !== changes.length) throw forbidden('a record is written once in a transaction');
  return [...new Set(changes.flatMap((change) => judgeOne(writer, change, changes, known)))];
}

function judgeOne(writer: Writer, change: Change, changes: readonly Change[], known: Known): Wanted {
  // what is not there is deleted already
  if (change.before === undefined && change.after === undefined) return MAY;
  const [kind] = change.key.split('/');
  switch (kind) {
    case 'claims': return judgeClaim(writer, change, known);
    case 'networks': return judgeNetwork(writer, change, changes, known);
    case 'hosts': return judgeHost(writer, change);
    case 'tokens': return judgeToken(change, known);
    case 'book': return judgeBook(change, changes);
    case 'cluster': return judgeCluster(change);
    default: throw forbidden(`${change.key} is written only by hosts that keep the store`);
  }
}

/** What a claim's change rests on besides the claim: its network, where the claim is new. */
export function alsoRead(key: string): string[] {
  const [kind, network] = key.split('/');
  return kind === 'claims' && network !== undefined ? [`networks/${network}`] : [];
}
