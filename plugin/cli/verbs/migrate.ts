import { CoatError } from '../../../driver/host/errors.ts';
import type { MigrationEvent, MigrationRequest, Problem, Report } from '../../agent/api.ts';
import type { Agent } from '../agent.ts';
import { exitCodes } from '../exit.ts';
import type { Format } from '../format/format.ts';
import type { Form } from '../format/show.ts';
import { interrupt, type Interrupt } from '../interrupt.ts';
import { problemText } from '../problem.ts';
import { isLive, paintFor, writeJson, type Scene } from '../scene.ts';
import { liveWatch, plainWatch, silentWatch, warningLine, type Watch } from '../watch.ts';

type Last = Extract<MigrationEvent, { type: 'done' | 'failed' }>;
type Options = MigrationRequest & Form & { quiet?: true };

/**
 * `docker coat migrate`: exit code 0 means that the agent reported the move as done, and nothing else
 * does. Progress, warnings and errors go to stderr, the breakdown to stdout; with `json` a single
 * document goes to stdout and nothing to stderr.
 */
export async function migrate(scene: Scene, options: Options): Promise<number> {
  const { json, format, quiet, ...wanted } = options;
  const agent = await scene.agent();
  using stop = interrupt(scene.env);
  const warned = new Set<string>();
  const last = await follow(agent, wanted, stop, json || format || quiet ? silentWatch : watchFor(scene), warned);
  if (last === undefined && stop.signal.aborted) {
    const problem = cancelled(wanted);
    if (json) writeJson(scene.stdout, { problem });
    else scene.stderr.write(problemText(problem));
    return stop.code();
  }
  if (last === undefined) throw abandoned();
  if (json) writeJson(scene.stdout, last.type === 'failed' ? { ...last.report, problem: last.problem } : last.report);
  else await tell(scene, last, { quiet, format, warned });
  return last.type === 'done' && last.report.outcome === 'migrated' ? exitCodes.ok : exitCodes.failed;
}

/** Shows the events as they come; resolves with the last one, or without when there was none. */
async function follow(agent: Agent, wanted: MigrationRequest, stop: Interrupt, watch: Watch, warned: Set<string>): Promise<Last | undefined> {
  using shown = watch;
  try {
    for await (const event of agent.migrate(wanted, stop.signal)) {
      if (event.type === 'done' || event.type === 'failed') return event;
      if (event.type === 'warning') warned.add(event.message);
      shown.show(event);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  return undefined;
}

function watchFor({ stderr, env }: Scene): Watch {
  const began = performance.now();
  const clock = (): number => performance.now() - began;
  return isLive(stderr, env) ? liveWatch(stderr, clock, paintFor(stderr, env)) : plainWatch(stderr, clock);
}

async function tell({ stdout, stderr, env }: Scene, last: Last, { quiet, format, warned }: { quiet: true | undefined; format: Format | undefined; warned: Set<string> }): Promise<void> {
  const { report } = last;
  const { reportText, whereabouts } = await import('../render/report.ts');
  const done = last.type === 'done' && report.outcome === 'migrated';
  if (format !== undefined) stdout.write(await format.print([{ ...report, blackout: report.blackout ?? 0 }]));
  else if (done && !quiet) stdout.write(reportText(report, paintFor(stdout, env)));
  if (!quiet) for (const message of unsaid(report, warned)) stderr.write(`${paintFor(stderr, env).yellow(warningLine(message))}\n`);
  if (last.type === 'failed') stderr.write(problemText(last.problem));
  if (!done) stderr.write(`${whereabouts(report)}\n`);
}

function unsaid(report: Report, warned: Set<string>): string[] {
  return report.warnings.filter((message) => !warned.has(message));
}

/** The connection is closed by now, which is how the agent learns of it; it tells no more. */
function cancelled({ container }: MigrationRequest): Problem {
  const message = `cancelling… ${container} stays on this host, unless the move is already committed.`;
  return { code: 'cancelled', message, hint: "See 'docker coat status' and 'docker coat ls'." };
}

function abandoned(): CoatError {
  return new CoatError('agent-away', 'The coat agent went away before it said how the migration ended.', {
    hint: "It finishes or undoes the migration from its journal when it is back: see 'docker coat status'.",
  });
}
