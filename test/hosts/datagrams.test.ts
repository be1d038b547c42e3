import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, expectNotMoved, h1, h2, h3, lab, migrate, PATIENCE_MS } from '../support/hosts.ts';
import { inPhase, slow } from '../support/moves.ts';
import { create } from '../support/networks.ts';
import { type Container, type Scene, scene, WORKLOAD } from '../support/scene.ts';

/** While the container has this file, its server reads nothing. */
const HALT = '/srv/halt';

/** An echo server, and a peer of it that sends numbered datagrams. */
class Exchange {
  readonly server: Container;
  readonly #peer: Container;
  #sent = 0;

  constructor(server: Container, peer: Container) {
    this.server = server;
    this.#peer = peer;
  }

  static async begin(scene: Scene, address?: (server: Container) => Promise<string>, program: string[] = []): Promise<Exchange> {
    const server = await scene.echo(h1, { program: ['--udp', '--unless', HALT, ...program] });
    const peer = await scene.run(h3, 'peer', ['python3', '/w/datagrams.py', address ? await address(server) : server.ip], WORKLOAD);
    await peer.says('ready');
    return new Exchange(server, peer);
  }

  /** The server reads nothing until it is told to {@link goOn}. */
  async halt(): Promise<void> {
    await this.server.exec('touch', HALT);
  }

  async goOn(): Promise<void> {
    await this.server.exec('rm', HALT);
  }

  /** The peer sends more, which all have come to the server's host when this returns. */
  async send(): Promise<void> {
    await this.#peer.docker('kill', '--signal', 'USR1');
    await this.#peer.says(`sent ${(this.#sent += 20)}`);
  }

  /** Bytes that the server has not read. */
  async unread(): Promise<number> {
    const table = await this.server.exec('cat', '/proc/net/udp', '/proc/net/udp6');
    return table.split('\n').reduce((sum, line) => sum + Number.parseInt(/^\s*\d+: \S+ \S+ \S+ \S+:(\w+)/.exec(line)?.[1] ?? '0', 16), 0);
  }

  /** Every datagram has come back once, in order. */
  async whole(): Promise<void> {
    await this.#peer.docker('kill', '--signal', 'TERM');
    expect(await this.#peer.docker('wait')).toBe('0');
    expect(JSON.parse((await this.#peer.logs()).split('\n').at(-1)!)).toEqual(Array.from({ length: this.#sent }, (_, index) => index));
  }

  /** A move with unread datagrams, and more that come when it is over. */
  async movesTo(host: LabHost): Promise<void> {
    await this.halt();
    await this.send();
    const before = await this.unread();
    expect(before).toBeGreaterThan(0);
    await this.server.moveTo(host);
    expect(await this.unread()).toBeGreaterThan(0);
    await this.send();
    await this.goOn();
    await until('it to read all', async () => (await this.unread()) === 0, { timeout: PATIENCE_MS });
  }
}

test('datagrams that were not read yet move along, there and back, in order', scene(async (scene) => {
  const exchange = await Exchange.begin(scene);
  await exchange.movesTo(h2);
  await exchange.movesTo(h1);
  await exchange.whole();
}));

test('the same by IPv6', scene(async (scene) => {
  await create(scene, h1, ['--ipv6', '--subnet', '10.73.0.0/24', '--subnet', 'fd00:73::/64']);
  const exchange = await Exchange.begin(scene, (server) => server.docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}'), ['--host', '::']);
  await exchange.movesTo(h2);
  await exchange.movesTo(h1);
  await exchange.whole();
}));

test('a move that is taken back loses none', scene(async (scene) => {
  const exchange = await Exchange.begin(scene, undefined, ['--mb=24']);
  await slow(scene, h2, '40mbit');
  await exchange.halt();
  await exchange.send();
  const move = migrate(h1, exchange.server.name, 'h2', '--strategy', 'cold');
  await inPhase(h1, exchange.server.name, 'frozen');
  await docker(h1, 'coat', 'cancel', exchange.server.name);
  expectNotMoved(await move, { outcome: 'rolled-back', code: 'cancelled' });
  await lab.limit('h2', null);
  await exchange.goOn();
  await until('it to read all', async () => (await exchange.unread()) === 0, { timeout: PATIENCE_MS });
  await exchange.movesTo(h2);
  await exchange.whole();
}));
