import { chosen } from '../choose.ts';
import { exitCodes } from '../exit.ts';
import { writeJson, type Scene } from '../scene.ts';

/** `docker coat cancel`: takes a move back that is under way, from whichever host. */
export async function cancel(scene: Scene, ref: string, { json }: { json?: true }): Promise<number> {
  const agent = await scene.agent();
  const move = await agent.cancel((await chosen(agent, ref, { state: 'running' })).id);
  if (json) writeJson(scene.stdout, move);
  else scene.stdout.write(`${move.container} stays on ${move.from}; its move to ${move.to} is being taken back.\n`);
  return exitCodes.ok;
}
