import { exitCodes } from '../exit.ts';
import { paintFor, writeJson, type Scene } from '../scene.ts';

/** `docker coat doctor`: what is well with this host and what is not. Fails where there is a problem. */
export async function doctor(scene: Scene, options: { json?: true }): Promise<number> {
  const findings = await (await scene.agent()).doctor();
  if (options.json) writeJson(scene.stdout, findings);
  else scene.stdout.write((await import('../render/doctor.ts')).doctorText(findings, paintFor(scene.stdout, scene.env)));
  return findings.some(({ state }) => state === 'problem') ? exitCodes.failed : exitCodes.ok;
}
