import { setMaxListeners } from 'node:events';
import { Command, InvalidArgumentError } from 'commander';
import { CoatError, explain } from '../driver/host/errors.ts';
import { takeDown } from '../lab/destroy.ts';
import { checkName } from '../lab/spec.ts';
import { benchAll, renderAgain } from './all.ts';
import { THRESHOLD } from './compare.ts';
import { EXPERIMENTS } from './experiments/all.ts';
import { benchGap } from './gap.ts';
import { benchNetwork, PARTS } from './network/run.ts';
import { benchScale } from './scale/main.ts';
import { workloads } from './workloads.ts';

/** `npm run bench`: measures what the README promises. Whether a target was reached is only said, because it depends on the machine. */
interface Lasting { name: string; keep?: true }

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);
const stop = new AbortController();
// many moves at once, and each listens for it
setMaxListeners(0, stop.signal);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(new CoatError('interrupted', `interrupted by ${signal}`)));
const means = { signal: stop.signal, say, note };

const program = new Command('bench').description('Measures COAT').enablePositionalOptions();
const count = (text: string): number => {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('not a number from 1 to 99999');
  return Number(text);
};
const oneOf = (known: readonly string[]) => (text: string, all: string[] = []): string[] => {
  if (!known.includes(text)) throw new InvalidArgumentError(`it is one of ${known.join(', ')}`);
  return [...all, text];
};

/** A measurement that needs a lab, which is gone afterwards. */
const withLab = (name: string, description: string): Command =>
  program.command(name, name === 'all' ? { isDefault: true } : {}).description(description)
    .option('--json <file>', 'write everything that was measured there')
    .option('--name <lab>', 'which lab; made when it is not there', checkName, 'coat-bench')
    .option('--keep', 'leave the lab up at the end');

async function inLab({ name, keep }: Lasting, work: () => Promise<boolean>): Promise<void> {
  try {
    await succeed(work);
  } finally {
    if (!keep) await takeDown(name, note);
  }
}

/** @param work whether all went as it should */
async function succeed(work: () => Promise<boolean>): Promise<void> {
  if (!(await work())) process.exitCode = 1;
}

const someOf = (known: readonly string[]) => (text: string): string[] => text.split(',').map((each) => oneOf(known)(each.trim())[0]!);
const factor = (text: string): number => {
  if (Number(text) >= 1) return Number(text);
  throw new InvalidArgumentError('not a number of 1 or more');
};

withLab('all', 'all of the experiments, or some, and a report; fails when COAT lost a connection, a move failed, or something is worse than before')
  .option('--quick', 'few repetitions and small sizes, in under five minutes')
  .option('--only <ids>', `some of ${EXPERIMENTS.map(({ id }) => id).join(', ')}, with commas between`, someOf(EXPERIMENTS.map(({ id }) => id)))
  .option('--out <directory>', 'where report.html, report.md, report.json and plots/ go', 'dist/bench')
  .option('--compare <file>', 'the report.json of an earlier run: prints new by old')
  .option('--threshold <factor>', 'what counts as worse', factor, THRESHOLD)
  .action((options: Lasting & { quick?: true; only?: string[]; out: string; compare?: string; threshold: number; json?: string }) => inLab(options, () => benchAll({ ...options, ...means })));

program.command('render <report.json>').description('the report of an earlier run once more, from its JSON')
  .option('--out <directory>', 'where it goes', 'dist/bench')
  .action((file: string, { out }: { out: string }) => renderAgain(file, out));

withLab('gap', 'how long a client hears nothing while its server is moved; fails when a connection was lost or a move failed')
  .option('--moves <n>', 'how many moves of each workload', count, 10)
  .option('--workload <name...>', `what to move: ${Object.keys(workloads).join(', ')} (default: all)`, oneOf(Object.keys(workloads)))
  .action((options: Lasting & { moves: number; workload?: string[]; json?: string }) => inLab(options, () => benchGap({ ...options, ...means })));

withLab('network', 'throughput, latency, starts of containers and new endpoints, against a network made by hand and Docker\'s bridge')
  .option('--part <name...>', `what to measure: ${PARTS.join(', ')} (default: all)`, oneOf(PARTS))
  .option('--rounds <n>', 'how often each way of traffic is measured', count, 10)
  .option('--seconds <n>', 'how long each time', count, 3)
  .option('--starts <n>', 'how many containers are started on each network and host', count, 20)
  .option('--endpoints <n>', 'how many endpoints are made', count, 200)
  .action((options: Lasting & { part?: string[]; rounds: number; seconds: number; starts: number; endpoints: number; json?: string }) => inLab(options, () => benchNetwork({ ...options, ...means })));

program.command('scale').description('one agent among many hosts that are only records in a real store, on a kernel that only records')
  .option('--hosts <n>', 'how many others', count, 200)
  .option('--endpoints <n>', 'how many each has', count, 50)
  .option('--idle <n>', 'how long it is left alone, s', count, 60)
  .option('--changes <n>', 'how many changes are made', count, 50)
  .option('--json <file>', 'write everything that was measured there')
  .action((options: { hosts: number; endpoints: number; idle: number; changes: number; json?: string }) => succeed(() => benchScale({ ...options, ...means })));

try {
  await program.parseAsync();
} catch (error) {
  const cause: unknown = stop.signal.aborted ? stop.signal.reason : error;
  note(`bench: ${explain(cause)}`);
  if (cause instanceof CoatError && cause.hint !== undefined) note(`  ${cause.hint}`);
  process.exitCode = 1;
}
process.exit();
