import type * as Everything from 'netlink';
import type { AttrStream as Attributes, RtNetlinkSocket } from 'netlink';
import { CoatError } from '../host/errors.ts';
import { Queue } from '../host/queue.ts';
import type { Operation } from '../overlay/diff.ts';
import { EVERYONE, type Port } from '../overlay/state.ts';
import { addressBytes, familyOf } from '../ipam/address.ts';
import { PACED } from './pace.ts';
import { connectMessage, quietMessage, RTM_NEWLINK, RTM_SETLINK, stateMessage, unlearnMessage, upMessage, vethMessage } from './messages.ts';

/** What a move and the start of a container consist of: entries, and ports. Bridges and tunnels come and go seldom; and to remove an interface blocks for 16 ms. */
type Swift = Extract<Operation, { do: 'tunnel' | 'untunnel' | 'forward' | 'unforward' | 'neighbour' | 'unneighbour' | 'port' }>;

/**
 * The kernel's own protocol, rtnetlink(7), for what must be quick. Measured: 0.03 ms for an entry,
 * against 3 ms for starting bridge(8); so a redirect or a cut costs the blackout nothing.
 *
 * INVARIANT: one request is under way at a time, and nothing is subscribed to. The package cannot
 * survive an overflow of its receive buffer, and so there is none.
 */
export class Netlink {
  readonly #queue = new Queue();
  #loading: Promise<Loaded> | undefined;

  /** Makes it ready, so that the first use is as quick as the others. @throws Error when the package does not work here */
  async open(): Promise<void> {
    await this.#load();
  }

  /** @throws Error when the package does not work here, or the kernel refuses */
  apply(operations: readonly Swift[]): Promise<void> {
    return this.#queue.run(async () => {
      const loaded = await this.#load();
      for (const operation of operations) await one(loaded, operation);
    });
  }

  /** Opens the hold of a port, see hold.ts: the rate changes, then a frame of ours wakes the queue up. */
  openHold(port: string, nobody: string): Promise<void> {
    return this.#queue.run(async () => {
      const loaded = await this.#load();
      const { socket } = loaded;
      const ifindex = await indexOf(socket, port);
      await socket.newQdisc({ family: 0, ifindex, parent: TC_H_ROOT }, { kind: 'tbf', options: paced(loaded) }, ANSWER);
      const entry = { family: AF_INET, ifindex, state: {} };
      await socket.newNeighbor({ ...entry, flags: { use: true } }, { dst: addressBytes(nobody) }, { ...ANSWER, flags: CREATE | REPLACE });
      await socket.delNeighbor(entry, { dst: addressBytes(nobody) }, ANSWER);
    });
  }

  /** Whether there is an interface of that name. */
  exists(name: string): Promise<boolean> {
    return this.#queue.run(async () => {
      const { socket } = await this.#load();
      try {
        return (await socket.getLink({}, { ifname: name }, ANSWER)).length > 0;
      } catch (error) {
        if (error instanceof Error && error.message.includes('ENODEV')) return false;
        throw error;
      }
    });
  }

  /** Makes a veth pair here, of which our end gets no address of its own. */
  createVeth(veth: { port: string; mtu: number; inner: { name: string; mac: string } }): Promise<void> {
    return this.#queue.run(async () => {
      const { socket } = await this.#load();
      await socket.socket.request(RTM_NEWLINK, vethMessage(veth), { ...ANSWER, flags: CREATE | EXCLUSIVE });
      await socket.socket.request(RTM_SETLINK, quietMessage(await indexOf(socket, veth.port)), ANSWER).catch((error: unknown) => {
        if (!(error instanceof Error && error.message.includes('EAFNOSUPPORT'))) throw error;
      });
    });
  }

  close(): void {
    void this.#queue.run(async () => (await this.#loading)?.socket.socket.close()).catch(() => undefined);
    this.#loading = Promise.reject(new CoatError('closed', 'the netlink socket is closed'));
    this.#loading.catch(() => undefined);
  }

  #load(): Promise<Loaded> {
    return (this.#loading ??= load());
  }
}

/** Operations that no move waits for. */
const SLOW: ReadonlySet<Operation['do']> = new Set(['bridge', 'vxlan', 'unlink', 'route', 'unroute']);

/** Whether all of these can be done by {@link Netlink}. */
export function areSwift(operations: readonly Operation[]): operations is Swift[] {
  return operations.every(({ do: what }) => !SLOW.has(what));
}

type Package = Pick<typeof Everything, 'createRtNetlink' | 'AttrStream'>;

interface Loaded {
  socket: RtNetlinkSocket;
  AttrStream: new () => Attributes;
}

/** linux/netlink.h, linux/if_addr.h, linux/rtnetlink.h, linux/pkt_sched.h */
const [CREATE, REPLACE, APPEND, EXCLUSIVE] = [0x400, 0x100, 0x800, 0x200];
const [AF_INET, AF_BRIDGE, AF_INET6] = [2, 7, 10];
const TC_H_ROOT = 0xffffffff;
const [TCA_TBF_PARMS, TCA_TBF_BURST] = [1, 6];

/** The kernel answers at once or not at all. In ms. */
const ANSWER = { timeout: 1_000 };

/** Bytes; many times what one answer can take. */
const BUFFER = 4 << 20;

async function load(): Promise<Loaded> {
  // not at the start of the process: where the package's binary does not load, programs do its work
  const imported = (await import('netlink')) as Partial<Package> & { default?: Package };
  // a CommonJS package: loaders differ in whether its exports are the module's, or its default export
  const { createRtNetlink, AttrStream } = imported.default ?? (imported as Package);
  const socket = createRtNetlink({ recvBufferSize: BUFFER, sendBufferSize: 1 << 20 });
  // an error event without a listener would end the process
  socket.socket.on('error', () => undefined);
  return { socket, AttrStream };
}

async function one(loaded: Loaded, operation: Swift): Promise<void> {
  const { socket } = loaded;
  switch (operation.do) {
    case 'tunnel':
    case 'untunnel': {
      const { dev, mac, dst } = operation.entry;
      const entry = { family: AF_BRIDGE, ifindex: await indexOf(socket, dev), state: { permanent: true, noarp: true } as const, flags: { self: true } as const };
      const how = CREATE | (mac === EVERYONE ? APPEND : REPLACE);
      if (operation.do === 'tunnel') await socket.newNeighbor(entry, { lladdr: hardware(mac), dst: addressBytes(dst) }, { ...ANSWER, flags: how });
      else await socket.delNeighbor(entry, { lladdr: hardware(mac), dst: addressBytes(dst) }, ANSWER);
      return;
    }
    case 'forward':
    case 'unforward': {
      const { dev, mac } = operation.entry;
      const entry = { family: AF_BRIDGE, ifindex: await indexOf(socket, dev), state: { noarp: true } as const, flags: { master: true } as const };
      if (operation.do === 'forward') await socket.newNeighbor(entry, { lladdr: hardware(mac) }, { ...ANSWER, flags: CREATE | REPLACE });
      else await socket.delNeighbor(entry, { lladdr: hardware(mac) }, ANSWER);
      return;
    }
    case 'neighbour':
    case 'unneighbour': {
      const { dev, ip, mac } = operation.entry;
      const entry = { family: familyOf(ip) === 4 ? AF_INET : AF_INET6, ifindex: await indexOf(socket, dev), state: { permanent: true } as const, flags: { extLearned: true } as const };
      if (operation.do === 'neighbour') await socket.newNeighbor(entry, { dst: addressBytes(ip), lladdr: hardware(mac) }, { ...ANSWER, flags: CREATE | REPLACE });
      else await socket.delNeighbor(entry, { dst: addressBytes(ip) }, ANSWER);
      return;
    }
    case 'port':
      await port(socket, operation.want, operation.have);
  }
}

/** The same steps, in the same order, as port.ts has for the programs. */
async function port(socket: RtNetlinkSocket, want: Port, have: Port): Promise<void> {
  const set = (message: Buffer): Promise<unknown> => socket.socket.request(RTM_SETLINK, message, ANSWER);
  const index = await indexOf(socket, want.name);
  const fresh = have.master !== want.master || !have.up;
  if (want.master !== undefined && (have.master !== want.master || have.mtu !== want.mtu)) await set(connectMessage(index, want.mtu, await indexOf(socket, want.master)));
  if (!have.up) await set(upMessage(index));
  if (fresh || have.learning) await set(unlearnMessage(index));
  if (want.state !== have.state || (fresh && want.state === 'disabled')) await set(stateMessage(index, want.state));
}

async function indexOf(socket: RtNetlinkSocket, ifname: string): Promise<number> {
  const [message] = await socket.getLink({}, { ifname }, ANSWER);
  if (message?.data.index === undefined) throw new CoatError('no-link', `there is no interface ${ifname}`);
  return message.data.index;
}

/** struct tc_tbf_qopt, linux/pkt_sched.h, for the pace of an opened hold, with 4 MB of room. */
function paced({ AttrStream }: Loaded): Buffer {
  const parameters = Buffer.alloc(36);
  parameters.writeUInt8(1, 1); // TC_LINKLAYER_ETHERNET: no rate table to be sent along
  parameters.writeUInt16LE(PACED.overhead, 2);
  parameters.writeUInt32LE(PACED.rate, 8); // bytes per second
  parameters.writeUInt32LE(4_000_000, 24); // limit
  const burst = Buffer.alloc(4);
  burst.writeUInt32LE(PACED.burst);
  const attribute = (type: number, data: Buffer): Buffer => {
    const stream = new AttrStream();
    stream.push(type, data);
    return Buffer.concat(stream.bufs);
  };
  return Buffer.concat([attribute(TCA_TBF_PARMS, parameters), attribute(TCA_TBF_BURST, burst)]);
}

const hardware = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
