import type { MigrationDetails } from '../../agent/api.ts';
import { chosen } from '../choose.ts';
import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import type { Scene } from '../scene.ts';

/** With all of its fields, as a format may name any. */
const record = ({ report, ...move }: MigrationDetails): object => ({
  ...{ ended: 0, outcome: '', blackout: 0, total: 0, bytes: { memory: 0, state: 0, files: 0, image: 0 }, problem: { code: '', message: '', hint: '' } },
  ...move,
  phases: report?.phases ?? [],
  steps: report?.steps ?? [],
  warnings: report?.warnings ?? [],
});

/** `docker coat inspect`: one move, with where its time went. */
export async function inspect(scene: Scene, ref: string, form: Form): Promise<number> {
  const agent = await scene.agent();
  const details = await agent.migration((await chosen(agent, ref)).id);
  await show(scene, form, { value: details, records: [record(details)], text: async () => (await import('../render/migration.ts')).migrationText(details) });
  return exitCodes.ok;
}
