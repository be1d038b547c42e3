import { Command, Option } from 'commander';
import { CoatError } from '../../driver/host/errors.ts';
import { parseFormat } from './format/format.ts';
import type { Form } from './format/show.ts';
import { moveVerbs } from './moves.ts';
import type { Scene } from './scene.ts';
import type { InitOptions } from './verbs/cluster.ts';
import type { CreateOptions } from './verbs/network.ts';

/** Runs one verb and keeps its exit code; with `json`, what goes wrong becomes a document as well. */
export type Perform = (options: { json?: true }, verb: (scene: Scene) => Promise<number>) => Promise<void>;

const AFTER = `
Exit codes: 0 done; 1 refused, failed or undone; 125 wrong command line; 130 cancelled.
COAT_SOCKET names the agent's socket, if it is not /run/coat/agent.sock.
COAT_PATIENCE says for how many seconds an agent may be away in the middle of a move (30).`;

/** An option that may be given several times. */
const also = (value: string, before: string[] = []): string[] => [...before, value];

/**
 * The command line, as data: what is parsed, what `--help` says and what the shell completes all come
 * from here. A verb's file is loaded only when it runs, so that help stays fast.
 */
export function program(perform: Perform): Command {
  const root = new Command('docker coat')
    .description('Move running containers between hosts, TCP connections kept.')
    .usage('COMMAND')
    .helpCommand(false)
    .helpOption('-h, --help', 'Show this help')
    .exitOverride()
    // what is written as an error is only the help of a group of verbs that was named without one
    .configureOutput({ outputError: () => undefined, writeErr: (text) => void process.stdout.write(text) })
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText('after', AFTER);

  moveVerbs(root, perform);

  root.command('ls')
    .description('List hosts, networks, and where each container is')
    .option('--json', 'Print one JSON document')
    .action((options: Form) => perform(options, async (scene) => (await import('./verbs/ls.ts')).ls(scene, options)));

  const network = root.command('network').description('Make networks of the cluster, and look at them').usage('COMMAND').helpCommand(false);
  network.command('ls')
    .description('List them')
    .option('--json', 'Print one JSON document')
    .action((options: Form) => perform(options, async (scene) => (await import('./verbs/network.ts')).ls(scene, options)));
  network.command('create')
    .description('Make one on all hosts, as docker network create -d coat --ipam-driver coat does')
    .argument('<name>', 'what it is called')
    .option('--subnet <CIDR>', 'of IPv4, of IPv6, or one of each (default: a free one)', also)
    .option('--gateway <IP>', 'of a subnet (default: its first address)', also)
    .option('--ipv6', 'IPv6 beside IPv4')
    .option('--internal', 'No way out of the network')
    .option('-o, --opt <key=value>', 'mtu, vni, multicast', also)
    .option('--json', 'Print one JSON document')
    .action((name: string, options: CreateOptions) => perform(options, async (scene) => (await import('./verbs/network.ts')).create(scene, name, options)));
  network.command('rm')
    .description('Remove some from all hosts, where no container is on them')
    .argument('<network...>', "names or subnets, as 'docker coat network ls' shows them")
    .option('--json', 'Print one JSON document, a list')
    .action((names: string[], options: Form) => perform(options, async (scene) => (await import('./verbs/network.ts')).remove(scene, names, options)));
  network.command('inspect')
    .description('Show all that is known of some of them, and who is on them')
    .argument('<network...>', "names or subnets, as 'docker coat network ls' shows them")
    .option('--json', 'Print one JSON document, a list')
    .action((names: string[], options: Form) => perform(options, async (scene) => (await import('./verbs/network.ts')).inspect(scene, names, options)));

  root.command('status')
    .description('Show how this host and its peers are, and what is on the move')
    .option('--files', 'Show instead what COAT has put on this host')
    .option('--json', 'Print one JSON document')
    .action((options: Form & { files?: true }) => perform(options, async (scene) => (await import('./verbs/status.ts')).status(scene, options)));

  root.command('doctor')
    .description('Look for what is wrong with this host, and say what to do')
    .option('--json', 'Print one JSON document')
    .action((options: Form) => perform(options, async (scene) => (await import('./verbs/doctor.ts')).doctor(scene, options)));

  root.command('setup')
    .description("Tell this host's engine of the runtime that restores containers")
    .option('--dry-run', 'Only show what would be changed')
    .option('--undo', 'Take it back')
    .option('--json', 'Print one JSON document')
    .action((options: Form & { dryRun?: true; undo?: true }) => perform(options, async (scene) => (await import('./verbs/setup.ts')).setup(scene, options)));

  root.command('init')
    .description('Make a new cluster, with this host as its first')
    .option('--name <name>', "this host's name in the cluster (default: its own, up to the first dot)")
    .option('--address <ip>', 'where the other hosts reach it (default: its only address)')
    .option('--store <urls>', 'use an etcd that is there: https://host:2379, several with commas (default: this host keeps the store)')
    .option('--store-ca <file>', "certificate of that etcd's authority, PEM")
    .option('--store-cert <file>', 'certificate to show to it')
    .option('--store-key <file>', 'and its key')
    .option('--json', 'Print one JSON document')
    .action((options: InitOptions) =>
      perform(options, async (scene) => (await import('./verbs/cluster.ts')).init(scene, options)));

  root.command('token')
    .description('Make a token that lets one more host into the cluster')
    .option('--ttl <time>', 'how long it is good: 90s, 30m, 12h, 7d', '1h')
    .option('--json', 'Print one JSON document')
    .action((options: Form & { ttl: string }) => perform(options, async (scene) => (await import('./verbs/cluster.ts')).token(scene, options)));

  root.command('join')
    .description('Join the cluster that a token is from')
    .argument('<token>', "what 'docker coat token' printed on a host of the cluster")
    .option('--name <name>', "this host's name in the cluster (default: its own, up to the first dot)")
    .option('--address <ip>', 'where the other hosts reach it (default: the one it reaches the first host from)')
    .option('--json', 'Print one JSON document')
    .action((token: string, options: Form & { name?: string; address?: string }) =>
      perform(options, async (scene) => (await import('./verbs/cluster.ts')).join(scene, token, options)));

  root.command('leave')
    .description('Take this host out of its cluster')
    .option('--force', 'Also if the cluster cannot be asked, or does not know this host any more')
    .option('--json', 'Print one JSON document')
    .action((options: { force?: true; json?: true }) => perform(options, async (scene) => (await import('./verbs/cluster.ts')).leave(scene, options)));

  root.command('rm')
    .description('Take a dead host out of the cluster')
    .argument('<host>', "its name, as 'docker coat status' shows it")
    .option('--force', 'Also if it still answers')
    .option('--json', 'Print one JSON document')
    .action((host: string, options: { force?: true; json?: true }) => perform(options, async (scene) => (await import('./verbs/cluster.ts')).rm(scene, host, options)));

  for (const verb of ['promote', 'demote'] as const) {
    root.command(verb)
      .description(verb === 'promote' ? 'Let another host keep the store, with those that do' : 'Let a host keep the store no more')
      .argument('<host>', "its name, as 'docker coat status' shows it")
      .option('--json', 'Print one JSON document')
      .action((host: string, options: { json?: true }) => perform(options, async (scene) => (await import('./verbs/store.ts')).store(scene, verb, host, options)));
  }

  root.command('api')
    .description("Print the description of the agent's API, an OpenAPI document")
    .action(() => perform({}, async (scene) => (await import('./verbs/api.ts')).api(scene)));

  root.command('version')
    .description("Show this program's version and the agent's")
    .option('--json', 'Print one JSON document')
    .action((options: Form) => perform(options, async (scene) => (await import('./verbs/version.ts')).version(scene, options)));

  root.command('help')
    .description('Show help for a command')
    .argument('[command...]', 'one of the above')
    .action((path: string[]) => {
      const topic = path.reduce<Command | undefined>((command, name) => command?.commands.find((each) => each.name() === name), root);
      if (topic === undefined) throw new CoatError('usage', `docker coat: unknown command '${path.join(' ')}'.`, { hint: "See 'docker coat --help'." });
      topic.outputHelp();
    });

  for (const command of [...root.commands, ...network.commands]) if (FORMATTED.has(command.name())) command.addOption(formatOption());
  return root;
}

/** The verbs that print records. */
const FORMATTED = new Set(['migrate', 'drain', 'history', 'ls', 'inspect', 'status', 'doctor', 'setup', 'init', 'token', 'join', 'version']);

const formatOption = (): Option =>
  new Option('--format <template>', "Print with a template instead, as docker's own --format: 'json', 'table …' or fields such as {{.Host}}").argParser(parseFormat).conflicts('json');
