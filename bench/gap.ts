import { Command, InvalidArgumentError } from 'commander';
import { writeFile } from 'node:fs/promises';
import { CoatError, explain } from '../driver/host/errors.ts';
import { createNetwork, openLab } from '../lab/demo/stage.ts';
import { takeDown } from '../lab/destroy.ts';
import { checkName } from '../lab/spec.ts';
import { resultText, versionsText } from './report.ts';
import { measure, type Result } from './run.ts';
import { versions } from './versions.ts';
import { coat } from './ways/coat.ts';
import { workloads } from './workloads.ts';

/**
 * `npm run bench`: how long a peer of a connection hears nothing while the other end is moved. Fails when a connection
 * was lost or a move failed; whether a target was reached is only said, because it depends on the machine.
 */
interface Options { moves: number; workload: string[]; json?: string; name: string; keep?: true }

const { moves, workload: names, json, name, keep } = new Command('bench')
  .description('Measures the gap that a client sees while its server is moved')
  .option('--moves <n>', 'how many moves of each workload', (text) => {
    if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('not a number of moves');
    return Number(text);
  }, 10)
  .option('--workload <name...>', `what to move: ${Object.keys(workloads).join(', ')} (default: all)`, (text, all: string[] = []) => {
    if (workloads[text] === undefined) throw new InvalidArgumentError('no such workload');
    return [...all, text];
  })
  .option('--json <file>', 'write everything that was measured there')
  .option('--name <lab>', 'which lab; made when it is not there', checkName, 'coat-bench')
  .option('--keep', 'leave the lab up at the end')
  .parse()
  .opts<Partial<Options> & Omit<Options, 'workload'>>();

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(new CoatError('interrupted', `interrupted by ${signal}`)));

async function bench({ signal }: AbortController): Promise<boolean> {
  const lab = await openLab(name, { log: note, signal });
  await createNetwork(lab, signal);
  const machine = await versions(lab);
  say(versionsText(machine));
  const results: Record<string, Result> = {};
  for (const each of names ?? Object.keys(workloads)) {
    const tell = (done: number): void => note(`${each}: ${done} of ${moves} moves`);
    results[each] = await measure(lab, workloads[each]!, coat, { moves, signal, tell: (done) => (done % 10 === 0 || done === moves ? tell(done) : undefined) });
    say(resultText(each, workloads[each]!, results[each]));
    // after each, so that what was measured is not lost with what comes after
    if (json !== undefined) await writeFile(json, `${JSON.stringify({ ...machine, way: coat.about, moves, results }, null, 2)}\n`);
  }
  return Object.values(results).every(({ failure, lost }) => failure === undefined && lost === 0);
}

try {
  process.exitCode = (await bench(stop)) ? 0 : 1;
} catch (error) {
  const cause: unknown = stop.signal.aborted ? stop.signal.reason : error;
  note(`bench: ${explain(cause)}`);
  if (cause instanceof CoatError && cause.hint !== undefined) note(`  ${cause.hint}`);
  process.exitCode = 1;
} finally {
  if (!keep) await takeDown(name, note);
}
process.exit();
