import { Command } from 'commander';
import { once } from 'node:events';
import { CoatError, explain } from '../driver/host/errors.ts';
import { Client } from './demo/client.ts';
import { createNetwork, docker, openLab, removeContainers, startServer } from './demo/stage.ts';
import { count, isClean, millis, type Moved, prompt, seenText, step, title, verdictText } from './demo/text.ts';
import { takeDown } from './destroy.ts';
import type { Lab } from './lab.ts';
import { checkName } from './spec.ts';

/**
 * `npm run demo`: a Redis server moves from h1 to h2 and back while a client on h3 talks to it.
 * The exit code is 0 only if the client lost nothing.
 */
const SERVER = 'redis';
const CLIENT = 'client';
/** A move takes a second or two; one that waits for a host that died would wait for ever, and the demo should not. In ms. */
const MOVE_MS = 120_000;
const REDIS = ['redis-server', '--save', '', '--protected-mode', 'no', '--bind', '0.0.0.0'];

const { name, keep } = new Command('demo')
  .description('Moves a Redis server between two Docker hosts while a client talks to it')
  .option('--keep', 'leave the lab up at the end')
  .option('--name <lab>', 'which lab; made when it is not there', checkName, 'coat-demo')
  .parse()
  .opts<{ name: string; keep?: true }>();

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const note = (line: string): void => say(step('', line));

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stop.abort(new CoatError('interrupted', `the demo was interrupted (${signal})`)));
}

async function demo(signal: AbortSignal): Promise<boolean> {
  const began = performance.now();
  say(title('A Redis server changes its host while a client talks to it'));
  say(step('lab', 'three Docker hosts on this machine, each with an engine of its own'));
  const lab = await openLab(name, { log: note, signal });
  await removeContainers(lab, [SERVER, CLIENT]);
  await describe(lab, signal);

  const { command, ms } = await createNetwork(lab, signal);
  say(step('network', prompt('h1', command)));
  note(`and it is there on h2 and h3 as well, ${millis(ms)} later`);
  const address = await startServer(lab.host('h1'), SERVER, REDIS, 'Ready to accept', signal);
  say(step('server', `Redis on h1, ${address}`));
  const client = new Client(lab.host('h3'), CLIENT, address);
  await client.started(signal);
  say(step('client', 'on h3, 1000 requests a second, on one connection that it never opens again'));

  const moves = [await move(lab, client, 'h1', 'h2', signal), await move(lab, client, 'h2', 'h1', signal)];
  const verdict = await client.stop();
  say(verdictText(verdict, moves));
  say(`${count(Math.round((performance.now() - began) / 1000))} s in all.`);
  return isClean(verdict);
}

async function describe(lab: Lab, signal: AbortSignal): Promise<void> {
  const versions = await Promise.all(lab.hosts.map((host) => docker(host, ['version', '--format', '{{.Server.Version}}'], signal)));
  note(lab.hosts.map((host, i) => `${host.name} Docker ${versions[i]!.split('+')[0]}`).join(', '));
}

/** The real command, with its own output. */
async function move(lab: Lab, client: Client, from: string, to: string, signal: AbortSignal): Promise<Moved> {
  await client.answered(signal);
  client.seen();
  const command = ['docker', 'coat', 'migrate', SERVER, to];
  say(`\n${prompt(from, command)}`);
  const child = lab.host(from).spawn(command, { stdio: ['ignore', 'inherit', 'inherit'] });
  const timer = setTimeout(() => child.kill(), MOVE_MS);
  const [code] = (await once(child, 'exit', { signal }).finally(() => clearTimeout(timer))) as [number | null];
  if (code === null) throw new CoatError('demo-move', `the move from ${from} to ${to} had not ended after ${MOVE_MS / 1000} s`);
  if (code !== 0) throw new CoatError('demo-move', `the move from ${from} to ${to} failed with exit code ${code}`);
  await client.answered(signal);
  const seen = client.seen();
  say(seenText(seen));
  return { from, to, ...seen };
}

let taken = false;
async function clean(): Promise<void> {
  if (taken || (keep && process.exitCode === 0)) return;
  taken = true;
  await takeDown(name, note);
  say(`The lab is down again.`);
}

try {
  process.exitCode = (await demo(stop.signal)) ? 0 : 1;
} catch (error) {
  const cause: unknown = stop.signal.aborted ? stop.signal.reason : error;
  process.stderr.write(`demo: ${explain(cause)}\n`);
  if (cause instanceof CoatError && cause.hint !== undefined) process.stderr.write(`  ${cause.hint}\n`);
  process.exitCode = 1;
} finally {
  await clean();
}
if (keep && process.exitCode === 0) say(`The lab stays: npm run lab -- status --name ${name}, and down --name ${name} when you have seen enough.`);
process.exit();
