import { exitCodes } from '../exit.ts';
import { paintFor, writeJson, type Scene } from '../scene.ts';

/** `docker coat setup`: shows what changes in the engine's settings, and changes it. */
export async function setup(scene: Scene, options: { json?: true; dryRun?: true; undo?: true }): Promise<number> {
  const answer = await (await scene.agent()).setup({ act: !options.dryRun, undo: options.undo === true });
  if (options.json) writeJson(scene.stdout, answer);
  else scene.stdout.write((await import('../render/setup.ts')).setupText(answer, options, paintFor(scene.stdout, scene.env)));
  return exitCodes.ok;
}
