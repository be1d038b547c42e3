import { exitCodes } from '../exit.ts';
import { paintFor, writeJson, type Scene } from '../scene.ts';

/** `docker coat promote` and `docker coat demote`: who keeps the store. A number of hosts that is none to stay at is a warning. */
export async function store(scene: Scene, verb: 'promote' | 'demote', host: string, { json }: { json?: true }): Promise<number> {
  const { stdout, stderr, env } = scene;
  const now = await (await scene.agent())[verb](host);
  if (json) {
    writeJson(stdout, now);
    return exitCodes.ok;
  }
  const rest = now.hosts.filter((name) => name !== host).join(', ');
  stdout.write(verb === 'promote' ? `${host} keeps the store now, with ${rest}.\n` : `${host} does not keep the store any more; ${rest} ${now.hosts.length === 1 ? 'does' : 'do'}.\n`);
  if (now.advice !== undefined) stderr.write(`${paintFor(stderr, env).yellow(now.advice)}\n`);
  return exitCodes.ok;
}
