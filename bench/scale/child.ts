import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { build } from 'esbuild';
import { CoatError } from '../../driver/host/errors.ts';
import { agentOptions } from '../../plugin/image/build.ts';
import type { AgentConfig, AgentFacts, AgentQuestion } from './agent.ts';

/** The longest that any answer may take, ms. */
const PATIENCE_MS = 120_000;

/** The agent under test as one file, as users have it: a loader of TypeScript would be measured too. @returns its path */
export async function bundleAgent(directory: string): Promise<string> {
  const outfile = join(directory, 'agent.cjs');
  await build(agentOptions('bench/scale/agent.ts', outfile));
  return outfile;
}

/** One agent in a process of its own. */
export class AgentChild {
  readonly #child: ChildProcess;
  readonly #plugin: string;
  /** How long it took from its start until Docker could ask it, ms. */
  readonly began: number;

  private constructor(child: ChildProcess, plugin: string, began: number) {
    this.#child = child;
    this.#plugin = plugin;
    this.began = began;
  }

  static async start(program: string, config: AgentConfig): Promise<AgentChild> {
    const began = Date.now();
    const child = fork(program, [JSON.stringify(config)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
    const agent = new AgentChild(child, config.plugin, began);
    await agent.#answer();
    return agent;
  }

  async ask(question: AgentQuestion): Promise<AgentFacts> {
    const answer = this.#answer();
    this.#child.send(question);
    return answer;
  }

  /** A call of Docker. @throws CoatError with what Docker would be told */
  call<T>(method: string, body: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#plugin, path: `/${method}`, method: 'POST' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text) as T) : reject(new CoatError('bench-agent', `${method}: ${text}`))));
      });
      asked.on('error', reject).end(JSON.stringify(body));
    });
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    await this.ask({ do: 'stop' });
    await ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #answer(): Promise<AgentFacts> {
    const stop = new AbortController();
    const ended = once(this.#child, 'exit', { signal: stop.signal }).then(() => {
      throw new CoatError('bench-agent', 'the agent has ended');
    });
    ended.catch(() => undefined);
    try {
      const late = AbortSignal.timeout(PATIENCE_MS);
      const [facts] = (await Promise.race([once(this.#child, 'message', { signal: AbortSignal.any([stop.signal, late]) }), ended])) as [AgentFacts & { problem?: string }];
      if (facts.problem !== undefined) throw new CoatError('bench-agent', facts.problem);
      return facts;
    } finally {
      stop.abort();
    }
  }
}
