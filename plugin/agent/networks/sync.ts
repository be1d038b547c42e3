import { CoatError, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { enterStored } from '../../../driver/network/book.ts';
import { overlap, parseSubnet, type Subnet } from '../../../driver/ipam/address.ts';
import { numberOf, REPEATS } from '../../../driver/ipam/driver.ts';
import { type Claim, Network, networkPath } from '../../../driver/overlay/records.ts';
import { ConflictError, type Store } from '../../../driver/store/store.ts';
import type { EngineNetworks } from '../../engine/networks.ts';
import { clusterId } from './cluster.ts';
import { decide, remember, type Step, type View } from './decide.ts';
import { StepsLeft } from './keeper.ts';
import { Seen } from './seen.ts';

/** The label by which people can tell that an agent made a network. */
const LABEL = 'io.coat.network';

export interface NetworkSyncOptions {
  store: Store;
  engine: EngineNetworks;
  /** See {@link View}. */
  numbers: () => ReadonlyMap<string, number>;
  /** Where {@link Seen} is kept. */
  file: string;
  log: Log;
}

/**
 * Keeps the networks of this engine and the cluster's records the same. Each run looks at everything
 * anew, from the store itself and not from a copy: what it deletes must really be gone there.
 */
export class NetworkSync {
  readonly #options: NetworkSyncOptions;
  /** The last complaint about each network. */
  readonly #told = new Map<string, string>();

  constructor(options: NetworkSyncOptions) {
    this.#options = options;
  }

  /** One run. @throws StoreAwayError, CoatError `engine-away`: nothing was done, try later; StepsLeft: some of it was not done */
  async run(): Promise<void> {
    const { store, engine, file } = this.#options;
    const seen = await Seen.load(file, await clusterId(store));
    const networks = await engine.list();
    const records = await store.list('networks/');
    const known = new Map(records.entries.map(({ value, revision }) => {
      const network = Network.parse(value);
      return [network.key, { network, revision }] as const;
    }));
    const there = { engine: networks, numbers: this.#options.numbers(), records: new Map([...known].map(([key, { network }]) => [key, network])), seen: seen.networks };
    const view = { ...there, inUse: await this.#inUse(there) };
    const steps = decide(view);
    const done = new Set<Step>();
    for (const step of steps) if (await this.#try(step, known.get(step.key), seen)) done.add(step);
    await seen.set(remember(view, steps, done));
    const left = steps.filter((step) => !done.has(step));
    if (left.length > 0) throw new StepsLeft(left.map((step) => `${step.do} ${step.key}`));
  }

  /** Networks in which some host holds an address. Nobody is asked, for there may be very many, where it makes no difference. */
  async #inUse(there: Omit<View, 'inUse'>): Promise<ReadonlySet<string>> {
    const [none, all] = [new Set<string>(), new Set([...there.records.keys(), ...there.seen.keys()])];
    if (JSON.stringify(decide({ ...there, inUse: none })) === JSON.stringify(decide({ ...there, inUse: all }))) return none;
    const { entries } = await this.#options.store.list('claims/');
    return new Set(entries.flatMap(({ key, value }) => ((value as Partial<Claim>).spare ? [] : (key.split('/')[1] ?? ''))));
  }

  async #try(step: Step, known: { network: Network; revision: number } | undefined, seen: Seen): Promise<boolean> {
    try {
      await this.#do(step, known, seen);
      this.#told.delete(step.key);
      return true;
    } catch (error) {
      // another host was faster: the next run sees what it did
      if (!(error instanceof ConflictError)) this.#once(step.key, `${step.do}: ${explain(error)}`);
      if (error instanceof CoatError && error.code === 'store-away') throw error;
      return false;
    }
  }

  async #do(step: Step, known: { network: Network; revision: number } | undefined, seen: Seen): Promise<void> {
    const { store, engine, log } = this.#options;
    if (step.do === 'complain') return this.#once(step.key, step.about);
    if (step.do === 'restore-record') {
      await enterStored(store, (networks) => networks.get(step.key) ?? unrivalled(seen.networks.get(step.key)!, networks));
    } else if (step.do === 'remove') {
      await engine.remove(step.id);
    } else if (step.do === 'give-way') {
      await engine.remove(step.id);
      await store.delete(networkPath(step.key), known!.revision);
    } else if (step.do === 'name') {
      await store.put(networkPath(step.key), { ...known!.network, name: step.name }, known!.revision);
    } else if (step.do === 'delete-record') {
      await store.delete(networkPath(step.key), known!.revision);
    } else {
      const { key, subnet, gateway, subnet6, gateway6, options, internal, name } = known!.network;
      const second = subnet6 === undefined ? undefined : { subnet: subnet6, gateway: gateway6! };
      await engine.create({ name: name!, subnet, gateway, second, options, internal, ipamOptions: { [REPEATS]: numberOf(known!.network)! }, labels: { [LABEL]: key } });
    }
    log.info({ network: step.key, step: step.do }, 'networks: brought this host and the cluster together');
  }

  /** The same complaint is said once, not at every run. */
  #once(key: string, about: string): void {
    if (this.#told.get(key) === about) return;
    this.#told.set(key, about);
    this.#options.log.warn({ network: key }, about);
  }
}

/** What a network had may belong to another one since its record was deleted. */
function unrivalled(network: Network, others: ReadonlyMap<string, Network>): Network {
  const subnets = ({ subnet, subnet6 }: Network): Subnet[] => [subnet, ...(subnet6 === undefined ? [] : [subnet6])].map(parseSubnet);
  const mine = subnets(network);
  const rival = [...others.values()].find((other) => other.vni === network.vni || subnets(other).some((one) => mine.some((own) => overlap(one, own))));
  if (!rival) return network;
  throw new CoatError('network-replaced', `what the network ${network.subnet} had belongs to ${rival.name ?? rival.subnet} now`, { hint: 'remove the containers that are still on it' });
}
