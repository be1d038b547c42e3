import { expect } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { exitOf, logOf, removeAll, signal } from './engine.ts';
import { docker, expectMoved, fresh, h3, IMAGE, lab, migrate, type Moved, PATIENCE_MS, where } from './hosts.ts';
import { expectRemains, remains } from './remains.ts';

/** A container of a test, wherever it is. */
export class Container {
  readonly name: string;
  readonly ip: string;
  host: LabHost;

  constructor(host: LabHost, name: string, ip: string) {
    this.host = host;
    this.name = name;
    this.ip = ip;
  }

  docker(verb: string, ...args: string[]): Promise<string> {
    return docker(this.host, verb, ...args.slice(0, -1), ...args.slice(-1), this.name);
  }

  /** Runs a program in it. */
  exec(...argv: string[]): Promise<string> {
    return docker(this.host, 'exec', this.name, ...argv);
  }

  logs(): Promise<string> {
    return logOf(this.host, this.name);
  }

  /** Waits for a line of its log. */
  async says(line: string | RegExp): Promise<string> {
    const found = (log: string): string | undefined => log.split('\n').find((each) => (typeof line === 'string' ? each === line : line.test(each)));
    return until(`${this.name} to say "${line}"`, async () => found(await this.logs()), { timeout: PATIENCE_MS });
  }

  /** Moves it, and sees that it is there and not here any more. */
  async moveTo(to: LabHost): Promise<Moved> {
    const moved = await migrate(this.host, this.name, to.name);
    expectMoved(moved);
    expect(await where(this.name)).toEqual({ [to.name]: 'running' });
    this.host = to;
    return moved;
  }
}

/** What pulse.py says at its end. */
export interface Beats {
  requests: number;
  alive: number;
  errors: string[];
  /** Longest silence, ms. */
  longest: number;
  /** Retransmission time-outs of its kernel. */
  timeouts: number;
}

/** pulse.py in a container: a client that never reconnects and checks every byte. */
export class Peer extends Container {
  connections = 1;

  /** How many answers it has had so far. */
  async answers(): Promise<number> {
    const lines = async (): Promise<string[]> => (await this.logs()).split('\n').filter(Boolean);
    const before = (await lines()).length;
    await signal(this.host, this.name, 'SIGUSR1');
    const said = await until(`${this.name} to count`, async () => (await lines())[before], { timeout: PATIENCE_MS });
    return (JSON.parse(said) as { requests: number }).requests;
  }

  /** Waits until every connection can have been heard of again. */
  async goesOn(): Promise<void> {
    const before = await this.answers();
    await until(`answers to ${this.name}`, async () => (await this.answers()) > before + 10 * this.connections, { timeout: PATIENCE_MS });
  }

  /** Ends it, and sees that no connection was lost and no byte was wrong. */
  async unharmed(): Promise<Beats> {
    await this.goesOn();
    await signal(this.host, this.name, 'SIGTERM');
    const code = await exitOf(this.host, this.name);
    const beats = JSON.parse((await this.logs()).split('\n').at(-1)!) as Beats;
    expect({ code, errors: beats.errors, alive: beats.alive }).toEqual({ code: 0, errors: [], alive: this.connections });
    return beats;
  }
}

/** What one test makes, and how it is taken away. */
export class Scene {
  /** The network its containers are on. */
  network = 'shop';
  readonly #names: string[] = [];
  readonly #undo: (() => unknown)[] = [];
  readonly #everywhere: ((host: LabHost) => Promise<unknown>)[] = [];

  /** Something to put back at the end, last first. */
  finally(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** Something to do on every host at the end, when the containers are gone. */
  finallyEverywhere(undo: (host: LabHost) => Promise<unknown>): void {
    this.#everywhere.push(undo);
  }

  /** A name for a container, which is removed at the end on whichever host it is. */
  name(word: string): string {
    const name = fresh(word);
    this.#names.push(name);
    return name;
  }

  /** Starts a container on the network. @param word what its name begins with */
  async run(host: LabHost, word: string, command: readonly string[], options: readonly string[] = [], image = IMAGE): Promise<Container> {
    const name = this.name(word);
    await docker(host, 'run', '--detach', '--name', name, '--network', this.network, ...options, image, ...command);
    return new Container(host, name, await docker(host, 'inspect', '--format', `{{(index .NetworkSettings.Networks "${this.network}").IPAddress}}`, name));
  }

  /** An echo server that is ready. */
  async echo(host: LabHost, options: { program?: string[]; docker?: string[]; image?: string } = {}): Promise<Container> {
    const server = await this.run(host, 'echo', ['python3', '/w/echo.py', ...(options.program ?? [])], [...WORKLOAD, ...(options.docker ?? [])], options.image);
    await server.says('ready');
    return server;
  }

  /** A client of an echo server, with all its connections made. */
  async peer(server: Container, { host = h3, connections = 1, hz = 1000 }: { host?: LabHost; connections?: number; hz?: number } = {}): Promise<Peer> {
    const { name, ip } = await this.run(host, 'peer', ['python3', '/w/pulse.py', server.ip, `--connections=${connections}`, `--hz=${hz}`], WORKLOAD);
    const peer = new Peer(host, name, ip);
    peer.connections = connections;
    await peer.says('connected');
    return peer;
  }

  async end(): Promise<void> {
    const failures: unknown[] = [];
    for (const undo of this.#undo.reverse()) await Promise.resolve().then(undo).catch((error: unknown) => failures.push(error));
    const hosts = lab.hosts.filter((host) => host.running);
    if (this.#names.length > 0) await Promise.all(hosts.map((host) => removeAll(host, this.#names))).catch((error: unknown) => failures.push(error));
    for (const undo of this.#everywhere) await Promise.all(hosts.map(undo)).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}

/** The programs of lab/workload, at /w; every host has them. */
export const WORKLOAD = ['--volume', '/share/workload:/w:ro'];

/** A test that leaves every host as it was. */
export const scene = (work: (scene: Scene) => Promise<void>) => async (): Promise<void> => {
  const before = await remains();
  const made = new Scene();
  try {
    await work(made);
  } finally {
    await made.end();
  }
  await expectRemains(before);
};
