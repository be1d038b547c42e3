import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import type { Scene } from '../scene.ts';

/** `docker coat ls`: hosts, networks, endpoints; with a format, the endpoints. */
export async function ls(scene: Scene, form: Form): Promise<number> {
  const listing = await (await scene.agent()).listing();
  await show(scene, form, {
    value: listing,
    records: listing.endpoints.map(({ container = '', mac = '', movingTo = '', ...endpoint }) => ({ container, ...endpoint, mac, movingTo })),
    text: async () => (await import('../render/listing.ts')).listingText(listing),
  });
  return exitCodes.ok;
}
