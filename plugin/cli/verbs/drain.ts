import { CoatError } from '../../../driver/host/errors.ts';
import { chooseDestinations } from '../drain.ts';
import { exitCodes } from '../exit.ts';
import type { Form } from '../format/show.ts';
import { interrupt } from '../interrupt.ts';
import type { Ways } from '../moves.ts';
import type { Scene } from '../scene.ts';
import { moveAll } from '../several.ts';

type Options = Form & Ways & { to?: string[]; parallel: number; quiet?: true };

/** `docker coat drain`: moves everything off a host. Fails where something stays, and says what and why. */
export async function drain(scene: Scene, host: string, { to, parallel, quiet, json, format, ...how }: Options): Promise<number> {
  const agent = await scene.agent();
  const hosts = await agent.hosts();
  const known = hosts.map(({ name }) => name);
  for (const name of [host, ...(to ?? [])]) if (!known.includes(name)) throw new CoatError('unknown-host', `There is no host ${name}.`, { hint: `The hosts are ${known.join(', ')}.` });
  const source = hosts.find(({ name }) => name === host)!;
  if (source.containers === undefined) throw new CoatError('host-silent', `${host} cannot be drained: ${source.problem ?? 'it does not answer'}.`, { hint: "See 'docker coat status'." });
  const others = hosts.filter((each) => each.name !== host && each.reachable && (to === undefined || to.includes(each.name)));
  if (others.length === 0) throw new CoatError('no-destination', `There is no host that could take what is on ${host}.`, { hint: "'docker coat status' shows which hosts answer; --to must name another one." });

  const wishes = chooseDestinations(source.containers, others).map((wish) => ({ ...wish, request: { ...wish.request, from: host, ...how } }));
  const form: Form = { ...(json && { json }), ...(format && { format }) };
  using stop = interrupt(scene.env);
  const ended = await moveAll(scene, agent, wishes, { parallel, stop, quiet: quiet ?? (form.json ?? form.format) !== undefined });
  const { showMoves } = await import('../render/moves.ts');
  await showMoves(scene, form, ended, { quiet: quiet ?? false });
  if (stop.signal.aborted) return stop.code();
  return ended.every(({ problem }) => problem === undefined) ? exitCodes.ok : exitCodes.failed;
}
