import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { version as own } from '../metadata.ts';
import { problemOf, problemText } from '../problem.ts';
import type { Scene } from '../scene.ts';

/** `docker coat version`: this program's version, and the agent's if it answers; fails if it does not. */
export async function version(scene: Scene, form: Form): Promise<number> {
  const client = { version: own };
  try {
    const agent = await (await scene.agent()).version();
    await show(scene, form, {
      value: { client, agent },
      text: () => `Client:  ${own}\nAgent:   ${agent.version} (API ${agent.api})${agent.host === '' ? ', of no cluster' : ` on ${agent.host}`}\n`,
    });
    return exitCodes.ok;
  } catch (error) {
    const problem = problemOf(error);
    await show(scene, form, { value: { client, problem }, records: [{ client, agent: { version: '', api: '', host: '' } }], text: () => `Client:  ${own}\n` });
    if (!form.json) scene.stderr.write(problemText(problem));
    return exitCodes.failed;
  }
}
