import { expect } from 'vitest';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { h3, IMAGE, PATIENCE_MS } from './hosts.ts';
import { type Container, type Scene, WORKLOAD } from './scene.ts';
import { Talk } from './talk.ts';

/** A server with memory, and somebody on a connection to it who knows what must be in it. */
export class Memory {
  readonly server: Container;
  readonly #talk: Talk;
  readonly #sum: string;

  private constructor(server: Container, talk: Talk, sum: string) {
    this.server = server;
    this.#talk = talk;
    this.#sum = sum;
  }

  static async make(scene: Scene, host: LabHost, mb = 256, options: readonly string[] = []): Promise<Memory> {
    const server = await scene.run(host, 'memory', ['python3', '/w/memory.py', `--mb=${mb}`], [...WORKLOAD, ...options]);
    await server.says('ready');
    const argv = ['docker', 'run', '--interactive', '--name', scene.name('asking'), '--network', scene.network, ...WORKLOAD, IMAGE, 'python3', '/w/talk.py', server.ip, '7001'];
    const talk = new Talk(h3, argv);
    talk.say('sum');
    return new Memory(server, talk, await talk.hears(/^[0-9a-f]{64}$/m));
  }

  /** A child that is made of it now finds the same. */
  async intactInChild(): Promise<void> {
    this.#talk.say('forked');
    expect(await this.#talk.hears(/^[0-9a-f]{64}$/m)).toBe(this.#sum);
  }

  /** Every byte is what it was, or what was written last; and it goes on writing. */
  async intact(): Promise<void> {
    this.#talk.say('sum');
    expect(await this.#talk.hears(/^[0-9a-f]{64}$/m)).toBe(this.#sum);
    const written = async (): Promise<number> => {
      this.#talk.say('check');
      return Number((await this.#talk.hears(/^good \d+$/m)).split(' ')[1]);
    };
    const before = await written();
    await until('it to write', async () => (await written()) > before, { timeout: PATIENCE_MS });
  }
}

/** Waits until a journal of a move on this host says something. */
export async function journalSays(host: LabHost, words: string): Promise<void> {
  const place = join(host.root, 'var/lib/coat/journals');
  await until(
    `a journal of ${host.name} to say ${words}`,
    async () => {
      const names = await readdir(place);
      const texts = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => readFile(join(place, name), 'utf8').catch(() => '')));
      return texts.some((text) => text.includes(words));
    },
    { timeout: PATIENCE_MS, every: 5 },
  );
}
