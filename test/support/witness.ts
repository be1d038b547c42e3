import { expect } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { h3, PATIENCE_MS } from './hosts.ts';
import type { Container, Scene } from './scene.ts';

const FIXTURES = ['--volume', '/share/fixtures:/f:ro'];

/** A server that says on which host it is, and what to move: test/fixtures/here.py. */
export async function here(scene: Scene, host: LabHost, mb = 0, options: readonly string[] = []): Promise<Container> {
  const server = await scene.run(host, 'here', ['python3', '/f/here.py', `--mb=${mb}`], [...FIXTURES, '--volume', '/etc/hostname:/host/name:ro', ...options]);
  await server.says('ready');
  return server;
}

/** Somebody who writes down every answer with the host's name in it. */
export class Witness {
  readonly #container: Container;

  private constructor(container: Container) {
    this.#container = container;
  }

  static async of(scene: Scene, server: Container, host = h3): Promise<Witness> {
    const witness = new Witness(await scene.run(host, 'witness', ['python3', '/f/witness.py', server.ip], FIXTURES));
    await witness.hears(server.host.name);
    return witness;
  }

  async #answers(): Promise<{ host: string; count: number }[]> {
    const log = await this.#container.logs();
    return log.split('\n').filter(Boolean).map((line) => {
      const [host = '', count] = line.split(' ');
      return { host, count: Number(count) };
    });
  }

  /** Waits for an answer that is yet to come, of this host. */
  async hears(host: string): Promise<void> {
    const before = (await this.#answers()).length;
    await until(`an answer of ${host}`, async () => (await this.#answers()).slice(before).some((answer) => answer.host === host), { timeout: 2 * PATIENCE_MS });
  }

  /**
   * Two copies would give the same count each, as both go on from where they were copied: no count came twice. That two answers come in
   * another order than they were sent in says nothing of copies.
   *
   * @param begun how often the container has been started anew meanwhile, and counted from the beginning
   * @returns the hosts that answered, in order
   */
  async swears(begun = 0): Promise<string[]> {
    const answers = await this.#answers();
    const lives: number[][] = [[]];
    for (const [i, { count }] of answers.entries()) {
      // nothing comes so late that the count has doubled since
      if (i > 0 && count < answers[i - 1]!.count / 2) lives.push([]);
      lives.at(-1)!.push(count);
    }
    expect(lives.map((counts) => counts.filter((count, i) => counts.indexOf(count) !== i))).toEqual(Array.from({ length: begun + 1 }, () => []));
    return answers.map(({ host }) => host).filter((host, i, all) => host !== all[i - 1]);
  }
}
