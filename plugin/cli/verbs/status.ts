import { exitCodes } from '../exit.ts';
import { paintFor, writeJson, type Scene } from '../scene.ts';

/** `docker coat status`: this host, its peers, the moves under way. It succeeds if the agent answers. */
export async function status(scene: Scene, options: { json?: true; files?: true }): Promise<number> {
  if (options.files) return files(scene, options);
  const answer = await (await scene.agent()).status();
  if (options.json) writeJson(scene.stdout, answer);
  else scene.stdout.write((await import('../render/status.ts')).statusText(answer, paintFor(scene.stdout, scene.env)));
  return exitCodes.ok;
}

/** `docker coat status --files`: what was put on this host, and what removes it. */
async function files(scene: Scene, options: { json?: true }): Promise<number> {
  const answer = await (await scene.agent()).files();
  if (options.json) writeJson(scene.stdout, answer);
  else scene.stdout.write((await import('../render/table.ts')).table(['PATH', 'WHAT', 'GOES WITH'], answer.map(({ path, what, goesWith }) => [path, what, goesWith])));
  return exitCodes.ok;
}
