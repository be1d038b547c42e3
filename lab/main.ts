import { Command } from 'commander';
import { CoatError, codeOf, explain } from '../driver/host/errors.ts';
import { takeDown } from './destroy.ts';
import { execInside } from './exec.ts';
import { Lab } from './lab.ts';
import { checkName, parseCgroup, parseEngines, parseHosts, parseRate, parseStores } from './spec.ts';
import { statusOf, statusText } from './status.ts';
import { buildImages } from './up.ts';

interface Named { name: string }

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => void process.stderr.write(`${line}\n`);

const program = new Command('lab').description('Real Docker hosts on this machine, made of namespaces').enablePositionalOptions();

/** A subcommand with the option every one of them has. */
const command = (usage: string, description: string): Command =>
  program.command(usage).description(description).option('--name <lab>', 'which lab', checkName, 'coat');

command('up', 'make a lab')
  .option('--hosts <n>', 'how many hosts', parseHosts, 3)
  .option('--engines <list>', 'Docker generations, given out in turn', parseEngines, [26, 28])
  .option('--store <list>', 'where engines keep images, overlay2 or containerd, given out in turn', parseStores, ['overlay2'])
  .option('--cgroup <version>', 'cgroup version the engines see, 1 or 2 (default: this machine\'s)', parseCgroup)
  .option('--no-plugin', 'leave COAT out')
  .action(async (options: Named & Parameters<typeof Lab.up>[0]) => say(statusText(await statusOf(await up(options)))));

program
  .command('images')
  .description('build what hosts are made of, which the first lab would do otherwise')
  .action(() => stoppable('the images were not built', (signal) => buildImages({ log: note, signal })));

command('down', 'remove a lab and everything it has made').action(({ name }: Named) => takeDown(name, note));

command('status', 'what a lab has and what of it runs')
  .option('--json', 'for programs')
  .action(async ({ name, json }: Named & { json?: boolean }) => {
    const status = await statusOf(await Lab.open(name));
    say(json ? JSON.stringify(status, null, 2) : statusText(status));
  });

command('exec <host> <command...>', 'run a command inside a host')
  .passThroughOptions()
  .action(async (host: string, argv: string[], { name }: Named) => {
    process.exitCode = await execInside((await Lab.open(name)).host(host), argv);
  });

command('kill <host>', 'a power cut: the host dies at once, its disk stays').action(async (host: string, { name }: Named) => (await Lab.open(name)).kill(host));
command('start <host>', 'boot a killed host again').action(async (host: string, { name }: Named) => (await Lab.open(name)).start(host, note));
command('cut <host> <other>', 'let nothing pass between two hosts').action(async (one: string, other: string, { name }: Named) => (await Lab.open(name)).cut(one, other));
command('heal', 'take back every cut').action(async ({ name }: Named) => (await Lab.open(name)).heal());
command('limit <host>', 'give a host\'s link a rate, in both directions')
  .option('--rate <rate>', 'as in tc(8): 100mbit', parseRate)
  .option('--off', 'take the limit away')
  .action(async (host: string, { name, rate, off }: Named & { rate?: string; off?: boolean }) => {
    if ((rate === undefined) === (off !== true)) throw new CoatError('lab-limit', 'limit needs either --rate or --off');
    await (await Lab.open(name)).limit(host, rate ?? null);
  });

/** The lab that is there already, or a new one. Ctrl-C removes what there is of it. */
async function up(options: Named & Parameters<typeof Lab.up>[0]): Promise<Lab> {
  try {
    return await stoppable(`lab ${options.name} was not made`, (signal) => Lab.up({ ...options, log: note, signal }));
  } catch (error) {
    if (codeOf(error) !== 'lab-exists') throw error;
    note(`lab ${options.name} is up already`);
    return Lab.open(options.name);
  }
}

/** @param not what is said when somebody does not want it any more */
async function stoppable<T>(not: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      note(`${signal}: removing what there is of it`);
      stop.abort(new CoatError('interrupted', not));
    });
  }
  try {
    return await work(stop.signal);
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  }
}

try {
  await program.parseAsync();
} catch (error) {
  note(`lab: ${explain(error)}`);
  if (error instanceof CoatError && error.hint !== undefined) note(`  ${error.hint}`);
  process.exitCode = 1;
}
