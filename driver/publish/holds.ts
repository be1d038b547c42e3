import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { CoatError, codeOf, explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { familyOf } from '../ipam/address.ts';
import type { PublishedPort } from '../overlay/records.ts';
import { askedAgain, portKey, type AskedPort } from './ports.ts';

/** How often any port is asked for that has to be free at several addresses. */
const ANY_TRIES = 8;
/** Thrown and caught here. */
const IN_USE = new Error('in use');

interface Hold {
  /** `<network key>/<ip>` of the container that it is for. */
  owner: string;
  /** Until {@link Holds.settle}: its record is still on its way. */
  fresh: boolean;
  close: () => void;
}

/** A port that is to be held, and for whom. */
export interface Wanted {
  owner: string;
  port: PublishedPort;
}

/**
 * Keeps published ports from all other programs of this host, as only who is bound to a port has it. Nothing is ever received
 * here: the kernel sends it on before.
 */
export class Holds {
  readonly #held = new Map<string, Hold>();
  readonly #works: boolean;
  readonly #log: Log;

  /** @param works whether the ports are those of the network namespace of this process */
  constructor(works: boolean, log: Log) {
    this.#works = works;
    this.#log = log;
  }

  /**
   * Takes the first of the asked ports that is free at all of the asked addresses. What its owner holds already is his.
   *
   * @returns one for each address
   * @throws CoatError `port-in-use`, `no-such-address`
   */
  async take(owner: string, asked: AskedPort): Promise<PublishedPort[]> {
    const { hostIps, hostPorts, ...port } = asked;
    // any that is free at the first address may be in use at the second
    for (const hostPort of hostPorts.flatMap((each) => (each === 0 ? Array<number>(ANY_TRIES).fill(0) : [each]))) {
      const taken = await this.#takeAll(owner, hostIps.map((hostIp) => ({ ...port, ...(hostIp !== undefined && { hostIp }), hostPort })));
      if (taken) return taken;
    }
    throw this.#inUse(asked);
  }

  /** All of these or none; where any port will do, the first one's is that of the others. @returns `undefined` where one is in use */
  async #takeAll(owner: string, wishes: readonly PublishedPort[]): Promise<PublishedPort[] | undefined> {
    const taken: PublishedPort[] = [];
    const fresh: PublishedPort[] = [];
    try {
      for (const wish of wishes) {
        const next = { ...wish, hostPort: taken[0]?.hostPort ?? wish.hostPort };
        const held = this.#held.get(portKey(next));
        if (held && held.owner !== owner) throw IN_USE;
        const got = held ? next : await this.#open(owner, next);
        taken.push(got);
        if (!held) fresh.push(got);
      }
      return taken;
    } catch (error) {
      this.drop(fresh);
      if (error === IN_USE) return undefined;
      throw error;
    }
  }

  async #open(owner: string, wish: PublishedPort): Promise<PublishedPort> {
    try {
      const { got, close } = this.#works ? await bind(wish) : { got: wish.hostPort, close: () => undefined };
      const port = { ...wish, hostPort: got };
      this.#held.set(portKey(port), { owner, fresh: true, close });
      return port;
    } catch (error) {
      throw codeOf(error) === 'EADDRINUSE' ? IN_USE : refusal(error, wish);
    }
  }

  /** From now on the records say whether these are wanted. */
  settle(ports: readonly PublishedPort[]): void {
    for (const port of ports) {
      const hold = this.#held.get(portKey(port));
      if (hold) hold.fresh = false;
    }
  }

  /** Gives ports back that nobody wants after all. */
  drop(ports: readonly PublishedPort[]): void {
    for (const port of ports) {
      this.#held.get(portKey(port))?.close();
      this.#held.delete(portKey(port));
    }
  }

  /** Holds what is wanted and nothing else. What somebody else took meanwhile is tried again with the next call. */
  async keep(wanted: readonly Wanted[]): Promise<void> {
    const byKey = new Map(wanted.map((each) => [portKey(each.port), each]));
    for (const [key, hold] of this.#held) {
      if (!byKey.has(key) && !hold.fresh) {
        hold.close();
        this.#held.delete(key);
      }
    }
    for (const [key, { owner, port }] of byKey) {
      if (this.#held.has(key)) continue;
      const taken = this.take(owner, askedAgain([port])[0]!).then((got) => this.settle(got));
      await taken.catch((error: unknown) => this.#log.debug({ reason: explain(error) }, 'a published port is not held'));
    }
  }

  close(): void {
    for (const hold of this.#held.values()) hold.close();
    this.#held.clear();
  }

  #inUse({ proto, hostIps, hostPorts }: AskedPort): CoatError {
    const [first = 0] = hostPorts;
    const last = hostPorts.at(-1) ?? first;
    const [holder] = first === last ? hostIps.flatMap((hostIp) => this.#held.get(portKey({ proto, port: 0, hostPort: first, hostIp }))?.owner ?? []) : [];
    const which = first === last ? `the port ${first}/${proto}` : `each of the ports ${first} to ${last}/${proto}`;
    const who = holder === undefined ? '' : ` for the container at ${holder.split('/')[1]}`;
    return new CoatError('port-in-use', `${which} of this host is in use${who}`, {
      hint: holder === undefined ? `choose another one for -p, or end what has it (ss --${proto} --listening --processes shows it)` : 'choose another one for -p, or remove that container (docker coat ls)',
    });
  }
}

function refusal(error: unknown, { proto, hostIp, hostPort }: PublishedPort): unknown {
  if (codeOf(error) === 'EADDRNOTAVAIL') return new CoatError('no-such-address', `this host has no address ${hostIp}`, { hint: 'ip address shows those it has; without one -p takes all' });
  return new CoatError('port-refused', `the kernel does not let coat have the port ${hostPort}/${proto}: ${explain(error)}`, { hint: 'choose another one for -p', cause: error });
}

/** Binds a port without ever reading from it. @returns the port that it is, and how to let it go */
async function bind({ proto, hostIp = '0.0.0.0', hostPort }: PublishedPort): Promise<{ got: number; close: () => void }> {
  if (proto === 'udp') {
    const socket = createSocket({ type: `udp${familyOf(hostIp)}`, ipv6Only: familyOf(hostIp) === 6 });
    socket.bind({ address: hostIp, port: hostPort, exclusive: true });
    await once(socket, 'listening');
    socket.unref();
    return { got: socket.address().port, close: () => void socket.close() };
  }
  const server = createServer((connection) => void connection.destroy());
  server.listen({ host: hostIp, port: hostPort, exclusive: true, ipv6Only: true });
  await once(server, 'listening');
  server.unref();
  return { got: (server.address() as { port: number }).port, close: () => void server.close() };
}
