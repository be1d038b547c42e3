import { exitCodes } from '../exit.ts';
import { writeJson, type Scene } from '../scene.ts';

/** `docker coat ls`: hosts, networks, endpoints. */
export async function ls(scene: Scene, options: { json?: true }): Promise<number> {
  const listing = await (await scene.agent()).listing();
  if (options.json) writeJson(scene.stdout, listing);
  else scene.stdout.write((await import('../render/listing.ts')).listingText(listing));
  return exitCodes.ok;
}
