import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { paintFor, type Scene } from '../scene.ts';

/** `docker coat status`: this host, its peers, the moves under way. It succeeds if the agent answers. */
export async function status(scene: Scene, options: Form & { files?: true }): Promise<number> {
  if (options.files) return files(scene, options);
  const answer = await (await scene.agent()).status();
  await show(scene, options, { value: answer, text: async () => (await import('../render/status.ts')).statusText(answer, paintFor(scene.stdout, scene.env)) });
  return exitCodes.ok;
}

/** `docker coat status --files`: what was put on this host, and what removes it. */
async function files(scene: Scene, form: Form): Promise<number> {
  const answer = await (await scene.agent()).files();
  const text = async (): Promise<string> => (await import('../render/table.ts')).table(['PATH', 'WHAT', 'GOES WITH'], answer.map(({ path, what, goesWith }) => [path, what, goesWith]));
  await show(scene, form, { value: answer, records: answer, text });
  return exitCodes.ok;
}
