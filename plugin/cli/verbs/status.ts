import { exitCodes } from '../exit.ts';
import { paintFor, writeJson, type Scene } from '../scene.ts';

/** `docker coat status`: this host, its peers, the moves under way. It succeeds if the agent answers. */
export async function status(scene: Scene, options: { json?: true }): Promise<number> {
  const answer = await (await scene.agent()).status();
  if (options.json) writeJson(scene.stdout, answer);
  else scene.stdout.write((await import('../render/status.ts')).statusText(answer, paintFor(scene.stdout, scene.env)));
  return exitCodes.ok;
}
