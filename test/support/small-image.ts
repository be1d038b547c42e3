import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabHost } from '../../lab/host.ts';
import { docker, fresh, IMAGE, lab } from './hosts.ts';
import type { Scene } from './scene.ts';

/** Makes on one host an image that no other host has, with Python to run echo.py. */
export async function smallImage(scene: Scene, host: LabHost): Promise<{ name: string; id: string }> {
  const name = fresh('small');
  const file = join(lab.shared, `${name}.tar`);
  scene.finallyEverywhere(async (each) => {
    const ids = await docker(each, 'image', 'ls', '--all', '--quiet', '--no-trunc', '--filter', `label=coat-test=${name}`);
    if (ids !== '') await docker(each, 'rmi', '--force', ...new Set(ids.split('\n')));
  });
  try {
    // on no network: Docker 28 keeps a rule of its own once a container was on its bridge
    await docker(host, 'run', '--rm', '--network', 'none', '--volume', '/share:/share', IMAGE, 'sh', '-c', `sh /share/fixtures/small-image.sh ${name} > /share/${name}.tar`);
    const id = await docker(host, 'import', '--change', `LABEL coat-test=${name}`, '--change', 'ENV PATH=/usr/bin LANG=C.UTF-8', `/share/${name}.tar`, name);
    return { name, id };
  } finally {
    await rm(file, { force: true });
  }
}
