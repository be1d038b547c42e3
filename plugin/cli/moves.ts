import { type Command, InvalidArgumentError, Option } from 'commander';
import { CoatError } from '../../driver/host/errors.ts';
import { type MigrationRequest, strategies, volumeWays } from '../agent/api.ts';
import type { Form } from './format/show.ts';
import type { Perform } from './program.ts';

/** Above this, moves of one host only wait for each other. */
const MOST_AT_ONCE = 16;

/** How a container is moved, in one word each. */
export type Ways = Pick<MigrationRequest, 'strategy' | 'volumes' | 'ignoreCpu' | 'maxBlackout' | 'timeout'>;

/** The verbs that move containers, and tell of moves. */
export function moveVerbs(root: Command, perform: Perform): void {
  const atOnce = number('a number of moves', MOST_AT_ONCE);

  root.command('migrate')
    .description('Move running containers to another host, from whichever they are on')
    .usage('[OPTIONS] CONTAINER… HOST')
    .argument('<name...>', "names or ids of containers, and last the name of the destination, as 'docker coat ls' shows it")
    .option('--from <host>', 'the host that has them, where several have one of that name')
    .option('--all-on-network <network>', 'all containers of a network, instead of naming them')
    .option('--parallel <n>', 'how many at a time', atOnce, 1)
    .option('--json', 'Print the report as one JSON document and nothing else; of several, a list')
    .option('-q, --quiet', 'Print nothing but errors')
    .option('--keep', 'Keep the stopped container where it was, renamed, instead of removing it')
    .addOption(strategyOption())
    .addOption(volumesOption())
    .addOption(maxBlackoutOption())
    .addOption(timeoutOption())
    .option('--ignore-cpu', "Move it also to a processor that lacks what this one's has")
    .addHelpText('after', STRATEGIES)
    .action((names: string[], options: Form & Ways & { quiet?: true; keep?: true; from?: string; parallel: number; allOnNetwork?: string }) => {
      if (options.allOnNetwork === undefined && names.length < 2) throw misused("missing required argument 'host'");
      if (options.allOnNetwork !== undefined && names.length > 1) throw misused("option '--all-on-network <network>' goes with a host alone");
      return perform(options, async (scene) => (await import('./verbs/migrate.ts')).migrate(scene, names, options));
    });

  root.command('drain')
    .description('Move all running containers off a host')
    .argument('<host>', "its name, as 'docker coat status' shows it")
    .option('--to <host...>', 'where they may go (default: all other hosts)')
    .option('--parallel <n>', 'how many at a time', atOnce, 1)
    .option('--json', 'Print one JSON document, a list')
    .option('-q, --quiet', 'Print nothing but errors')
    .addOption(strategyOption())
    .addOption(volumesOption())
    .addOption(maxBlackoutOption())
    .addOption(timeoutOption())
    .option('--ignore-cpu', "Move it also to a processor that lacks what this one's has")
    .addHelpText('after', STRATEGIES)
    .action((host: string, options: Form & Ways & { to?: string[]; parallel: number; quiet?: true }) =>
      perform(options, async (scene) => (await import('./verbs/drain.ts')).drain(scene, host, options)));

  root.command('cancel')
    .description('Take a move back that is under way')
    .argument('<migration>', "name of the container, or what 'docker coat history' shows; a beginning does")
    .option('--json', 'Print one JSON document')
    .action((ref: string, options: { json?: true }) => perform(options, async (scene) => (await import('./verbs/cancel.ts')).cancel(scene, ref, options)));

  root.command('history')
    .description('List the moves of the cluster, newest first')
    .option('--host <host>', 'only those from or to this host')
    .option('--container <name>', 'only those of a container of this name')
    .option('-n, --last <n>', 'so many', number('a number of moves', 1_000))
    .option('--running', 'only those under way')
    .option('--json', 'Print one JSON document, a list')
    .action((options: Form & { host?: string; container?: string; last?: number; running?: true }) =>
      perform(options, async (scene) => (await import('./verbs/history.ts')).history(scene, options)));

  root.command('inspect')
    .description('Show one move, and where its time went')
    .argument('<migration>', "what 'docker coat history' shows, a beginning does; or the name of a container, for its last one")
    .option('--json', 'Print one JSON document')
    .action((ref: string, options: Form) => perform(options, async (scene) => (await import('./verbs/inspect.ts')).inspect(scene, ref, options)));
}

const misused = (what: string): CoatError => new CoatError('usage', `docker coat migrate: ${what}.`, { hint: "See 'docker coat migrate --help'." });

const number = (what: string, most: number) => (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new InvalidArgumentError(`${what} is from 1 to ${most}`);
};

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns ms */
function duration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Math.round(Number(number) * (UNITS[unit] ?? 0));
  if (ms >= 1) return ms;
  throw new InvalidArgumentError('it is a number and a unit, as in 500ms, 2s, 10m or 1h');
}

const maxBlackoutOption = (): Option =>
  new Option('--max-blackout <time>', 'Take the move back when the container has stood still for so long, as 500ms or 2s').argParser(duration);

const timeoutOption = (): Option =>
  new Option('--timeout <time>', 'Take it back when it does not get so far within this time, as 90s, 10m or 1h').argParser(duration);

const volumesOption = (): Option =>
  new Option('--volumes <how>', 'What becomes of its volumes: they are copied, are shared by both hosts, or the move is refused (default: copy)').choices([...volumeWays]);

const strategyOption = (): Option =>
  new Option('--strategy <name>', 'How the memory gets there, see below (default: auto)').choices([...strategies, 'auto']);

const STRATEGIES = `
Strategies:
  cold      all memory is carried while the container stands still
  precopy   most of it is sent while the container runs; what it has written to since is carried while it stands still
  postcopy  the container goes on at once, and its memory follows. Until the last of it has come the container needs
            both hosts: if the source or the way to it dies meanwhile, the container is lost
  auto      cold where there is so little memory that nobody feels it. Otherwise precopy, and postcopy for the rest of a
            container that writes to more than can be sent, or where the source's kernel cannot do precopy`;
