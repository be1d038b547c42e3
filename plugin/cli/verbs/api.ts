import { exitCodes } from '../exit.ts';
import { writeJson, type Scene } from '../scene.ts';

/** `docker coat api`: the OpenAPI document of this host's agent. */
export async function api(scene: Scene): Promise<number> {
  writeJson(scene.stdout, await (await scene.agent()).openapi());
  return exitCodes.ok;
}
