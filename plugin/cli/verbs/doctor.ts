import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { paintFor, type Scene } from '../scene.ts';

/** `docker coat doctor`: what is well with this host and what is not. Fails where there is a problem. */
export async function doctor(scene: Scene, form: Form): Promise<number> {
  const findings = await (await scene.agent()).doctor();
  await show(scene, form, {
    value: findings,
    records: findings.map((finding) => ({ ...finding, remedy: finding.remedy ?? '' })),
    text: async () => (await import('../render/doctor.ts')).doctorText(findings, paintFor(scene.stdout, scene.env)),
  });
  return findings.some(({ state }) => state === 'problem') ? exitCodes.failed : exitCodes.ok;
}
