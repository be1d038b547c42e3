import { CoatError } from '../../../driver/host/errors.ts';
import type { MigrationRequest, Report } from '../../agent/api.ts';
import type { Agent } from '../agent.ts';
import { exitCodes } from '../exit.ts';
import { type Ended, moveOne, type Told } from '../follow.ts';
import type { Form } from '../format/show.ts';
import { interrupt, type Interrupt } from '../interrupt.ts';
import { problemText } from '../problem.ts';
import { isLive, paintFor, writeJson, type Scene } from '../scene.ts';
import type { Wish } from '../several.ts';
import { liveWatch, plainWatch, silentWatch, warningLine, type Watch } from '../watch.ts';

type How = Omit<MigrationRequest, 'container' | 'to'>;
type Options = How & Form & { quiet?: true; parallel: number; allOnNetwork?: string };

/**
 * `docker coat migrate CONTAINER… HOST`: exit code 0 means that the agent reported each move as done, and nothing else
 * does. Progress, warnings and errors go to stderr, the breakdown to stdout; with `json` a single
 * document goes to stdout and nothing to stderr.
 */
export async function migrate(scene: Scene, names: readonly string[], { json, format, quiet, parallel, allOnNetwork, ...how }: Options): Promise<number> {
  const to = names.at(-1)!;
  const containers = names.slice(0, -1);
  const form: Form = { ...(json && { json }), ...(format && { format }) };
  const agent = await scene.agent();
  using stop = interrupt(scene.env);
  if (allOnNetwork === undefined && containers.length === 1) return await single(scene, agent, { container: containers[0]!, to, ...how }, { ...form, ...(quiet && { quiet }) }, stop);
  const wishes = allOnNetwork === undefined ? containers.map((container): Wish => ({ request: { container, to, ...how } })) : await onNetwork(agent, allOnNetwork, to, how);
  const { moveAll } = await import('../several.ts');
  const ended = await moveAll(scene, agent, wishes, { parallel, stop, quiet: quiet ?? (json ?? format) !== undefined });
  const { showMoves } = await import('../render/moves.ts');
  await showMoves(scene, form, ended, { quiet: quiet ?? false });
  if (stop.signal.aborted) return stop.code();
  return ended.every(({ problem }) => problem === undefined) ? exitCodes.ok : exitCodes.failed;
}

async function onNetwork(agent: Agent, network: string, to: string, how: How): Promise<Wish[]> {
  const { networks, endpoints } = await agent.listing();
  const known = networks.find(({ name, subnet }) => name === network || subnet === network);
  if (known === undefined) throw new CoatError('no-network', `There is no coat network "${network}".`, { hint: "See 'docker coat network ls'." });
  return endpoints
    .filter((endpoint) => endpoint.network === (known.name ?? network) && endpoint.host !== to && endpoint.container !== undefined)
    .map(({ container, host }) => ({ request: { ...how, container: container!, to, from: host } }));
}

async function single(scene: Scene, agent: Agent, request: MigrationRequest, { json, format, quiet }: Form & { quiet?: true }, stop: Interrupt): Promise<number> {
  const { stdout, stderr, env } = scene;
  const warned = new Set<string>();
  const silent = json !== undefined || format !== undefined || quiet !== undefined;
  const ended = await shown(silent ? silentWatch : watchFor(scene), (told) => moveOne(agent, env, request, stop, told), warned, (line) => void (silent || stderr.write(`${line}\n`)));
  const { documentOf, recordOf } = await import('../render/moves.ts');
  if (json) writeJson(stdout, documentOf(ended));
  else if (format !== undefined) stdout.write(await format.print([recordOf(ended)]));
  else await tell(scene, ended, quiet ?? false);
  if (!json) await complain(scene, ended, quiet ?? false, warned);
  if (ended.problem?.code === 'cancelled' && stop.signal.aborted) return stop.code();
  return ended.report?.outcome === 'migrated' && ended.problem === undefined ? exitCodes.ok : exitCodes.failed;
}

async function shown(watch: Watch, work: (told: Told) => Promise<Ended>, warned: Set<string>, say: (line: string) => void): Promise<Ended> {
  using open = watch;
  return work({
    say,
    show: (event) => {
      if (event.type === 'warning') warned.add(event.message);
      open.show(event);
    },
  });
}

function watchFor({ stderr, env }: Scene): Watch {
  const began = performance.now();
  const clock = (): number => performance.now() - began;
  return isLive(stderr, env) ? liveWatch(stderr, clock, paintFor(stderr, env)) : plainWatch(stderr, clock);
}

async function tell({ stdout, env }: Scene, { report, problem }: Ended, quiet: boolean): Promise<void> {
  if (quiet || report?.outcome !== 'migrated' || problem !== undefined) return;
  const { reportText } = await import('../render/report.ts');
  stdout.write(reportText(report, paintFor(stdout, env)));
}

async function complain({ stderr, env }: Scene, { report, problem }: Ended, quiet: boolean, warned: Set<string>): Promise<void> {
  if (!quiet) for (const message of unsaid(report, warned)) stderr.write(`${paintFor(stderr, env).yellow(warningLine(message))}\n`);
  if (problem !== undefined) stderr.write(problemText(problem));
  if (report === undefined || (report.outcome === 'migrated' && problem === undefined)) return;
  const { whereabouts } = await import('../render/report.ts');
  stderr.write(`${whereabouts(report)}\n`);
}

function unsaid(report: Report | undefined, warned: Set<string>): string[] {
  return (report?.warnings ?? []).filter((message) => !warned.has(message));
}
