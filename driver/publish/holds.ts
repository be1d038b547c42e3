import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { CoatError, codeOf, explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import type { PublishedPort } from '../overlay/records.ts';
import { portKey, type AskedPort } from './ports.ts';

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
   * Takes the first of the asked ports that is free. What its owner holds already is his.
   *
   * @throws CoatError `port-in-use`, `no-such-address`
   */
  async take(owner: string, asked: AskedPort): Promise<PublishedPort> {
    const { hostPorts, ...port } = asked;
    for (const hostPort of hostPorts) {
      const wish = { ...port, hostPort };
      const held = hostPort === 0 ? undefined : this.#held.get(portKey(wish));
      if (held?.owner === owner) return wish;
      if (held) continue;
      try {
        const { got, close } = this.#works ? await bind(wish) : { got: hostPort, close: () => undefined };
        const taken = { ...port, hostPort: got };
        this.#held.set(portKey(taken), { owner, fresh: true, close });
        return taken;
      } catch (error) {
        if (codeOf(error) !== 'EADDRINUSE') throw refusal(error, wish);
      }
    }
    throw this.#inUse(asked);
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
    for (const [key, { owner, port: { hostPort, ...port } }] of byKey) {
      if (this.#held.has(key)) continue;
      const taken = this.take(owner, { ...port, hostPorts: [hostPort] }).then((got) => this.settle([got]));
      await taken.catch((error: unknown) => this.#log.debug({ reason: explain(error) }, 'a published port is not held'));
    }
  }

  close(): void {
    for (const hold of this.#held.values()) hold.close();
    this.#held.clear();
  }

  #inUse({ proto, hostIp, hostPorts }: AskedPort): CoatError {
    const [first = 0] = hostPorts;
    const last = hostPorts.at(-1) ?? first;
    const holder = first === last ? this.#held.get(portKey({ proto, port: 0, hostPort: first, ...(hostIp === undefined ? {} : { hostIp }) }))?.owner : undefined;
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
    const socket = createSocket('udp4');
    socket.bind({ address: hostIp, port: hostPort, exclusive: true });
    await once(socket, 'listening');
    socket.unref();
    return { got: socket.address().port, close: () => void socket.close() };
  }
  const server = createServer((connection) => void connection.destroy());
  server.listen({ host: hostIp, port: hostPort, exclusive: true });
  await once(server, 'listening');
  server.unref();
  return { got: (server.address() as { port: number }).port, close: () => void server.close() };
}
