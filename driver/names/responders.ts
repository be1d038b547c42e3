import { stat, statfs } from 'node:fs/promises';
import { explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { Queue } from '../host/queue.ts';
import { NSFS } from '../kernel/netns.ts';
import { openQuestions } from '../kernel/question.ts';
import type { Directory } from './directory.ts';
import { Responder } from './responder.ts';

/** A container of this host, as far as names matter. */
export interface Asker {
  /** Where its network namespace may be found, as this process opens it; the first that is there counts. */
  netns: string[];
  /** Key of a network it is on. A container on several is there several times. */
  network: string;
}

/** Between beats, ms; several fit into the time a beat counts (kernel/question.ts). */
const BEAT_MS = 1_500;
/** Docker makes the namespace some time after Join: how often it is looked for, and for how long before only beats do. In ms. */
const LOOK_MS = 10;
const LOOK_FOR_MS = 10_000;
/** After a failure, ms. */
const RETRY_MS = 5_000;

interface Open {
  networks: string[];
  responder: Responder;
}

/**
 * One responder in the network namespace of every container of this host. Level-triggered: what should be is compared with
 * what is, after each change and at each beat.
 */
export class Responders {
  readonly #askers: () => Asker[];
  readonly #directory: Directory;
  readonly #log: Log;
  readonly #queue = new Queue();
  /** By inode of the namespace: it has one under all of its names. */
  readonly #open = new Map<string, Open>();
  /** Namespaces in which it failed, and when last, ms. Said once, tried again and again. */
  readonly #failed = new Map<string, number>();
  #beating: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #changed = 0;
  #stopped = true;
  #coming = false;

  constructor({ askers, directory, log }: { askers: () => Asker[]; directory: Directory; log: Log }) {
    this.#askers = askers;
    this.#directory = directory;
    this.#log = log;
  }

  start(): void {
    this.#stopped = false;
    this.#beating = setInterval(() => {
      for (const { responder } of this.#open.values()) responder.beat();
      this.#look();
    }, BEAT_MS).unref();
    this.changed();
  }

  /** A container came, went, or joined another network. */
  changed(): void {
    this.#changed = Date.now();
    this.#look();
  }

  /** Docker answers everything again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#beating);
    clearTimeout(this.#looking);
    await this.#queue.run(() => this.#close([...this.#open.keys()]));
  }

  #look(): void {
    clearTimeout(this.#looking);
    if (this.#coming) return;
    this.#coming = true;
    void this.#queue.run(() => this.#pass()).catch((error: unknown) => this.#log.error({ err: error }, 'names: not now'));
  }

  async #pass(): Promise<void> {
    this.#coming = false;
    if (this.#stopped) return;
    const { found, missing } = await this.#find();
    await this.#close([...this.#open.keys()].filter((inode) => !found.has(inode)));
    for (const inode of this.#failed.keys()) if (!found.has(inode)) this.#failed.delete(inode);
    for (const [inode, { path, networks }] of found) {
      const open = this.#open.get(inode);
      if (open) open.networks = networks;
      else if (Date.now() - (this.#failed.get(inode) ?? 0) > RETRY_MS) await this.#begin(inode, path, networks);
    }
    if (missing && Date.now() - this.#changed < LOOK_FOR_MS) this.#looking = setTimeout(() => this.#look(), LOOK_MS).unref();
  }

  async #find(): Promise<{ found: Map<string, { path: string; networks: string[] }>; missing: boolean }> {
    const found = new Map<string, { path: string; networks: string[] }>();
    let missing = false;
    for (const { netns, network } of this.#askers()) {
      const there = await firstNamespace(netns);
      if (!there) missing = true;
      else found.set(there.inode, { path: there.path, networks: [...(found.get(there.inode)?.networks ?? []), network] });
    }
    return { found, missing };
  }

  async #begin(inode: string, path: string, networks: string[]): Promise<void> {
    try {
      const socket = await openQuestions(path);
      const open: Open = { networks, responder: new Responder(socket, this.#directory.of(() => open.networks)) };
      this.#open.set(inode, open);
      open.responder.beat();
      this.#failed.delete(inode);
    } catch (error) {
      if (!this.#failed.has(inode)) this.#log.warn({ reason: explain(error) }, 'a container does not find containers of other hosts by their names');
      this.#failed.set(inode, Date.now());
    }
  }

  /** An open socket would keep a namespace alive whose container is gone. */
  async #close(inodes: readonly string[]): Promise<void> {
    await Promise.all(inodes.map(async (inode) => {
      const open = this.#open.get(inode);
      this.#open.delete(inode);
      await open?.responder.close();
    }));
  }
}

async function firstNamespace(paths: readonly string[]): Promise<{ path: string; inode: string } | undefined> {
  for (const path of paths) {
    try {
      // the file is there before the namespace is mounted on it
      if ((await statfs(path)).type === NSFS) return { path, inode: String((await stat(path)).ino) };
    } catch {
      // not there yet, or not any more
    }
  }
  return undefined;
}
