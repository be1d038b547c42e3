import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { createDriver } from '../../driver/driver.ts';
import { explain } from '../../driver/host/errors.ts';
import { silent } from '../../driver/host/log.ts';
import { EtcdStore } from '../../plugin/agent/etcd/store.ts';
import { keepNetworks } from '../../plugin/agent/networks/keep.ts';
import { connectEngine } from '../../plugin/engine/connection.ts';
import { entriesOf, RecordingKernel } from './kernel.ts';

/** What the agent under test is started with, as JSON in its only argument. */
export interface AgentConfig {
  host: string;
  address: string;
  /** etcd's socket. */
  etcd: string;
  /** Docker's socket. */
  docker: string;
  /** Where it listens for Docker. */
  plugin: string;
  stateDir: string;
  /** Where the kernel's interfaces are between two lives. */
  kernel: string;
}

/** What it is asked over the IPC channel; it answers each with a {@link AgentFacts}. */
export type AgentQuestion = { do: 'facts' } | { do: 'count' } | { do: 'settled'; revision: number } | { do: 'stop' };

export interface AgentFacts {
  /** ms since 1970 */
  at: number;
  /** Processor time so far, user and system, µs. */
  cpu: number;
  /** Bytes. */
  rss: number;
  /** The most there ever was, bytes. */
  peak: number;
  /** In the kernel, about endpoints; only where they are asked for, since to count them takes its time. */
  entries?: number;
  repaired: number;
}

/** The network half of an agent, put together as plugin/agent/agent.ts does it, on a kernel that only records. */
async function main({ host, address, etcd, docker, plugin, stateDir, kernel: file }: AgentConfig): Promise<void> {
  const kernel = new RecordingKernel(readState(file));
  const store = new EtcdStore(() => new Promise((resolve, reject) => {
    const socket = connect(etcd, () => resolve(socket)).once('error', reject);
  }));
  const driver = await createDriver({ host, address, store, stateDir, hostRoot: '', log: silent, kernel });
  await driver.start();
  const networks = keepNetworks({ me: host, docker: connectEngine(docker), driver, store, file: `${stateDir}/networks-seen.json`, log: silent });
  rmSync(plugin, { force: true });
  const server = createServer(driver.app as never);
  await new Promise<void>((resolve) => server.listen(plugin, resolve));

  const facts = (): AgentFacts => {
    const { user, system } = process.cpuUsage();
    const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
    return { at: Date.now(), cpu: user + system, rss: process.memoryUsage().rss, peak, repaired: driver.repaired };
  };
  process.on('message', (question: AgentQuestion) => void (async () => {
    if (question.do === 'settled') await driver.settled(question.revision, 60_000);
    if (question.do === 'stop') {
      await networks.stop();
      await driver.stop();
      await store.close();
      writeFileSync(file, JSON.stringify(kernel.left()));
    }
    process.send!({ ...facts(), ...(question.do === 'count' ? { entries: entriesOf(kernel.state) } : {}) }, () => (question.do === 'stop' ? process.exit(0) : undefined));
  })().catch((error: unknown) => process.send!({ problem: explain(error) })));
  process.once('disconnect', () => process.exit(1));
  process.send!(facts());
}

function readState(file: string): ReturnType<RecordingKernel['left']> | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ReturnType<RecordingKernel['left']>;
  } catch {
    return undefined;
  }
}

void main(JSON.parse(process.argv[2]!) as AgentConfig);
