import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { readIfThere } from '../driver/host/files.ts';

/**
 * Runs everything there is to test, or the stages it is told to, and counts it:
 *
 *     npm test                  lint, unit, kernel, hosts
 *     npm test -- lint unit     these
 *
 * The last line is `N passed, N failed`. What was not tested has failed: a skipped test, a file that
 * could not be loaded, a stage without a test.
 */
const ROOT = join(import.meta.dirname, '..');

export interface Count {
  passed: number;
  failed: number;
}

/** The part of vitest's JSON report that is counted. */
export interface Report {
  testResults: { status: string; assertionResults: { status: string }[] }[];
}

const PASSED: Count = { passed: 1, failed: 0 };
const FAILED: Count = { passed: 0, failed: 1 };

/** For tests that take long and share one machine: no two files at once, and a line for each test. */
const ONE_BY_ONE = ['--no-file-parallelism', '--reporter=verbose'];

const STAGES: Record<string, () => Promise<Count>> = {
  lint,
  unit: () => project('unit', '--reporter=default'),
  kernel,
  hosts,
};

/** Set when we are told to stop: what runs is told as well, and nothing more is started. */
let stopped = false;

/** Each command of the script `lint` counts as one. */
async function lint(): Promise<Count> {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: { lint: string } };
  const counts: Count[] = [];
  for (const command of scripts.lint.split(' && ')) counts.push(await step(['sh', '-c', command]));
  return sum(counts);
}

/**
 * The lab's hosts get the plugin as it would be shipped: building it is part of the test. It is built while lint and unit run, and what hosts are made of
 * as well, which waits for the network half of its time.
 */
let builds: Promise<Count> | undefined;

function build(): Promise<Count> {
  // what went wrong with the images the first lab says better
  builds ??= Promise.all([aside(['npm', 'run', '--silent', 'plugin']), aside(['npm', 'run', '--silent', 'lab', '--', 'images'])]).then(([plugin]) => (plugin === 0 ? PASSED : FAILED));
  return builds;
}

async function hosts(): Promise<Count> {
  const built = await build();
  if (built.failed > 0) return sum([built, FAILED]);
  return sum([built, await project('hosts', ...ONE_BY_ONE)]);
}

/** Its tests look at the clock: nothing else is to run meanwhile. */
async function kernel(): Promise<Count> {
  await builds;
  return project('kernel', ...ONE_BY_ONE);
}

/** One project of the vitest configuration. */
async function project(name: string, ...options: string[]): Promise<Count> {
  const directory = await mkdtemp(join(tmpdir(), 'coat-test-'));
  try {
    const file = join(directory, 'report.json');
    const code = await execute(['vitest', 'run', '--config', 'test/vitest.config.ts', '--project', name, ...options, '--reporter=json', `--outputFile.json=${file}`]);
    const text = await readIfThere(file);
    return count(text === undefined ? undefined : (JSON.parse(text) as Report), code);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** @param report none when vitest did not come so far as to write one */
export function count(report: Report | undefined, code: number): Count {
  const counts = (report?.testResults ?? []).map(({ status, assertionResults }) => {
    const passed = assertionResults.filter((test) => test.status === 'passed').length;
    const failed = assertionResults.length - passed;
    // a file can fail beside its tests: it was not loaded, or what cleans up after them failed
    return { passed, failed: failed === 0 && (status !== 'passed' || passed === 0) ? 1 : failed };
  });
  const total = sum(counts);
  const wrong = total.failed === 0 && (code !== 0 || total.passed === 0);
  return wrong ? { ...total, failed: 1 } : total;
}

async function step(argv: readonly [string, ...string[]]): Promise<Count> {
  return (await execute(argv)) === 0 ? PASSED : FAILED;
}

/** Runs a program beside others: what it says is said when it has ended. */
async function aside(argv: readonly [string, ...string[]]): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'coat-test-'));
  try {
    const output = await open(join(directory, 'output'), 'w');
    const code = await execute(argv, output.fd);
    await output.close();
    console.log(`\n> ${argv.join(' ')}\n${await readFile(join(directory, 'output'), 'utf8')}`);
    return code;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Runs a program with our output, or with that of a file, and returns its exit code. */
async function execute([file, ...args]: readonly [string, ...string[]], output?: number): Promise<number> {
  if (stopped) return 1;
  if (output === undefined) console.log(`\n> ${[file, ...args].join(' ')}`);
  const path = [join(ROOT, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
  const plain = process.stdout.isTTY ? {} : { NO_COLOR: '1' };
  const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', output ?? 'inherit', output ?? 'inherit'], env: { ...plain, ...process.env, PATH: path } });
  const stop = (signal: NodeJS.Signals): void => {
    stopped = true;
    child.kill(signal);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } catch (error) {
    console.error(error);
    return 1;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

const sum = (counts: readonly Count[]): Count => ({
  passed: counts.reduce((all, each) => all + each.passed, 0),
  failed: counts.reduce((all, each) => all + each.failed, 0),
});

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !(name in STAGES));
  for (const name of unknown) console.error(`there is no stage "${name}"; there are: ${Object.keys(STAGES).join(', ')}`);
  const wanted = Object.entries(STAGES).filter(([name]) => names.length === 0 || names.includes(name));
  if (wanted.some(([name]) => name === 'hosts')) void build();
  const counts: Count[] = unknown.map(() => FAILED);
  const lines: string[] = [];
  for (const [name, stage] of wanted) {
    const began = Date.now();
    const result = await stage();
    counts.push(result);
    lines.push(`${name.padEnd(8)} ${String(result.passed).padStart(5)} passed ${String(result.failed).padStart(5)} failed ${String(Math.round((Date.now() - began) / 1000)).padStart(6)} s`);
  }
  const total = sum(counts);
  console.log(`\n${lines.join('\n')}\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

// a test of this file imports it
if (process.env['VITEST'] === undefined) await main(process.argv.slice(2));
