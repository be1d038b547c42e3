import { z } from 'zod';
import { Network, networkPath } from '../overlay/records.ts';
import type { RecordStore } from '../store/change.ts';
import { ConflictError, type Store } from '../store/store.ts';

/** The record that is written together with every network whose subnet or VNI is new. */
const BOOK = 'book';
const Book = z.object({ /** How many networks there have ever been. */ networks: z.number().int() });

/** How often a network is entered again when other hosts enter theirs at the same time. */
const TRIES = 20;

type Decide = (networks: ReadonlyMap<string, Network>, number: number) => Network;

/**
 * Decides about a network with all others in view, and writes it.
 *
 * No two networks may share a VNI or an address, whatever two hosts do at once. A compare-and-swap of one record
 * cannot promise that, since each host writes another one. So whoever enters a network also turns a page of the book, in the same
 * transaction: of two that looked at the same networks only the first can write, and the second looks again.
 *
 * @param decide gets all networks by their keys, and the number of the next one. Returns the network as it should be: the same object
 *   where nothing is to be written
 * @throws StoreAwayError, and what `decide` throws
 */
export async function enterStored(store: Store, decide: Decide): Promise<{ network: Network; revision: number }> {
  for (let tries = 1; ; tries += 1) {
    const book = await store.get(BOOK);
    const number = book === undefined ? 1 : Book.parse(book.value).networks + 1;
    const { entries } = await store.list('networks/');
    const networks = new Map(entries.map(({ value }) => Network.parse(value)).map((network) => [network.key, network]));
    const next = decide(networks, number);
    const path = networkPath(next.key);
    const entry = entries.find(({ key }) => key === path);
    if (entry && next === networks.get(next.key)) return { network: next, revision: entry.revision };
    try {
      const revision = await store.putAll([
        { key: path, value: next, expected: entry?.revision ?? 'absent' },
        { key: BOOK, value: { networks: number }, expected: book?.revision ?? 'absent' },
      ]);
      return { network: next, revision };
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
    }
  }
}

/** {@link enterStored}, and what it became is in our own replica at once. */
export async function enterNetwork({ store, replica }: RecordStore, decide: Decide): Promise<Network> {
  const { network, revision } = await enterStored(store, decide);
  replica.note(networkPath(network.key), network, revision);
  return network;
}
