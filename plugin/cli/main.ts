import { CommanderError, type Command } from 'commander';
import { CoatError } from '../../driver/host/errors.ts';
import { understand, type Globals } from './argv.ts';
import { exitCodes } from './exit.ts';
import { metadata } from './metadata.ts';
import { problemOf, problemText } from './problem.ts';
import { program } from './program.ts';
import { writeJson, type Scene } from './scene.ts';

/** `docker coat`: reads what docker was given, does it, and says what to exit with. */
async function main(argv: readonly string[]): Promise<number> {
  const call = understand(argv);
  switch (call.kind) {
    case 'metadata':
      writeJson(process.stdout, metadata);
      return exitCodes.ok;
    case 'complete': {
      const { completion } = await import('./complete.ts');
      const { agent } = sceneFor(call.globals);
      process.stdout.write(await completion({ ...call, program: program(async () => undefined), agent }));
      return exitCodes.ok;
    }
    case 'run':
      return run(call.args, call.globals);
  }
}

async function run(args: readonly string[], globals: Globals): Promise<number> {
  let code: number = exitCodes.ok;
  const scene = sceneFor(globals);
  const commands = program(async (options, verb) => {
    code = await verb(scene).catch((error: unknown) => {
      if (globals.debug && error instanceof Error) scene.stderr.write(`${error.stack}\n`);
      const problem = problemOf(error);
      if (options.json) writeJson(scene.stdout, { problem });
      else scene.stderr.write(problemText(problem));
      return exitCodes.failed;
    });
  });
  if (args.length === 0) {
    commands.outputHelp();
    return exitCodes.ok;
  }
  try {
    await commands.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) return exitCodes.ok;
    scene.stderr.write(problemText(problemOf(error instanceof CommanderError ? misuse(error, args, commands) : error)));
    return exitCodes.usage;
  }
}

/** Commander says `error: unknown command 'mv'` and perhaps, on a line of its own, `(Did you mean ls?)`. */
function misuse(error: CommanderError, args: readonly string[], commands: Command): CoatError {
  const [what = '', guess] = error.message.replace(/^error: /, '').split('\n');
  const path = ['docker coat', ...verbAmong(args, commands).map((command) => command.name())].join(' ');
  const hint = `See '${path} --help'.`;
  return new CoatError('usage', `${path}: ${what.replace('. Expected', ': expected').replace(/\.$/, '')}.`, { hint: guess === undefined ? hint : `${guess.slice(1, -1)} ${hint}` });
}

/** The verb that was meant, after the group it is in. */
function verbAmong(args: readonly string[], commands: Command): Command[] {
  const verb = args.map((arg) => commands.commands.find((command) => command.name() === arg)).find((command) => command !== undefined);
  return verb === undefined ? [] : [verb, ...verbAmong(args.slice(args.indexOf(verb.name()) + 1), verb)];
}

function sceneFor(globals: Globals): Scene {
  const { stdout, stderr, env } = process;
  return {
    stdout,
    stderr,
    env,
    agent: async () => {
      const [{ checkMachine }, { Agent, socketPath }] = await Promise.all([import('./machine.ts'), import('./agent.ts')]);
      checkMachine(globals, env);
      return new Agent(socketPath(env));
    },
  };
}

// A reader that went away (`docker coat ls | head -1`) is not an error, and does not stop a migration.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
