import type { Migration } from '../../agent/api.ts';
import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { paintFor, type Scene } from '../scene.ts';

type Options = Form & { host?: string; container?: string; last?: number; running?: true };

const NO_BYTES = { memory: 0, state: 0, files: 0, image: 0 };
/** With all of its fields, as a format may name any. */
const record = (move: Migration): object => ({ ...move, ended: move.ended ?? 0, outcome: move.outcome ?? '', blackout: move.blackout ?? 0, total: move.total ?? 0, bytes: move.bytes ?? NO_BYTES, problem: move.problem ?? { code: '', message: '', hint: '' } });

/** `docker coat history`: the moves that the hosts remember, newest first. */
export async function history(scene: Scene, { host, container, last, running, ...form }: Options): Promise<number> {
  const agent = await scene.agent();
  const { migrations, silent } = await agent.migrations({ ...(host && { host }), ...(container && { container }), ...(last && { limit: last }), ...(running && { state: 'running' }) });
  await show(scene, form, {
    value: migrations,
    records: migrations.map(record),
    text: async () => (await import('../render/moves.ts')).historyText(migrations, Date.now()),
  });
  if (silent.length > 0 && !form.json) scene.stderr.write(`${paintFor(scene.stderr, scene.env).yellow(`warning: ${silent.join(', ')} did not answer, and may remember more`)}\n`);
  return exitCodes.ok;
}
