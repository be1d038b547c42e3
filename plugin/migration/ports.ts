import type { Log } from '../../driver/host/log.ts';
import type { ArrivalRequest } from '../../driver/network/arrivals.ts';
import type { Datagram } from '../../driver/kernel/packets.ts';
import type { Store } from '../../driver/store/store.ts';
import type { Peers } from '../agent/peer.ts';
import type { HostSide } from '../criu/host.ts';
import type { Criu } from '../criu/program.ts';
import type { Containerd } from '../engine/containerd/containerd.ts';
import type { Containers } from '../engine/containers.ts';
import type { Images } from '../engine/images.ts';
import type { Layers } from '../engine/layers.ts';
import type { Volumes } from '../engine/volumes.ts';
import type { Journal } from './journal.ts';

/** What a move asks of the network, defined by the side that needs it; driver/driver.ts has it all. */
export interface Overlay {
  /** Plumbs an endpoint into a network namespace before Docker asks for it, and holds its frames. */
  expect(arrival: ArrivalRequest): Promise<void>;
  /** From now on its frames that reach this host are held, whatever the records say. */
  accept(network: string, ip: string): Promise<void>;
  /** Gives an expected endpoint datagrams ahead of those that are held; its sockets must be there. @returns how many it could not be given */
  putIn(network: string, ip: string, datagrams: readonly Datagram[]): Promise<number>;
  /** Lets the held frames go, in order. */
  release(network: string, ip: string): Promise<void>;
  /** Gives an expected endpoint up: nothing of it stays. */
  forget(network: string, ip: string): Promise<void>;
  /** Whether this host's engine lets a container of that network have an address of one's choice. */
  letsChoose(network: string): boolean;
  /** From now on the engine's next container that asks for any address in the network gets this one, */
  offer(network: string, ip: string): Promise<void>;
  /** until now. */
  withdraw(network: string, ip: string): void;
  /** Frees an address that stays with this host after all, if its container has ended meanwhile. */
  giveBack(network: string, ip: string): Promise<void>;
  /** Nothing goes into or out of the local endpoint any more. */
  cut(network: string, ip: string): Promise<{ written: Promise<void> }>;
  uncut(network: string, ip: string): Promise<void>;
  /** Resolves when this host's kernel shows every record up to `revision`. */
  settled(revision: number, timeoutMs?: number): Promise<void>;
  /** Coat's networks on this engine: Docker's id → key in the store. */
  networksOnEngine(): ReadonlyMap<string, string>;
  hosts(): readonly string[];
}

export interface MoverDependencies {
  self: string;
  host: HostSide;
  /** The CRIU of this host. */
  criu: { find(): Promise<Criu> };
  containers: Containers;
  images: Images;
  /** Asked only where the engine keeps its images there. */
  containerd: Containerd;
  layers: Layers;
  volumes: Volumes;
  overlay: Overlay;
  store: Store;
  peers: Peers;
  journal: Journal;
  log: Log;
}
