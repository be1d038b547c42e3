import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { paintFor, type Scene } from '../scene.ts';

/** `docker coat setup`: shows what changes in the engine's settings, and changes it. */
export async function setup(scene: Scene, options: Form & { dryRun?: true; undo?: true }): Promise<number> {
  const answer = await (await scene.agent()).setup({ act: !options.dryRun, undo: options.undo === true });
  await show(scene, options, {
    value: answer,
    records: [{ before: '', after: '', ...answer }],
    text: async () => (await import('../render/setup.ts')).setupText(answer, options, paintFor(scene.stdout, scene.env)),
  });
  return exitCodes.ok;
}
