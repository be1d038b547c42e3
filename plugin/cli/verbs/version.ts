import { exitCodes } from '../exit.ts';
import { version as own } from '../metadata.ts';
import { problemOf, problemText } from '../problem.ts';
import { writeJson, type Scene } from '../scene.ts';

/** `docker coat version`: this program's version, and the agent's if it answers; fails if it does not. */
export async function version(scene: Scene, options: { json?: true }): Promise<number> {
  const client = { version: own };
  if (!options.json) scene.stdout.write(`Client:  ${own}\n`);
  try {
    const agent = await (await scene.agent()).version();
    if (options.json) writeJson(scene.stdout, { client, agent });
    else scene.stdout.write(`Agent:   ${agent.version} (API ${agent.api})${agent.host === '' ? ', of no cluster' : ` on ${agent.host}`}\n`);
    return exitCodes.ok;
  } catch (error) {
    const problem = problemOf(error);
    if (options.json) writeJson(scene.stdout, { client, problem });
    else scene.stderr.write(problemText(problem));
    return exitCodes.failed;
  }
}
