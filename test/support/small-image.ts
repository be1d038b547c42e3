import type { LabHost } from '../../lab/host.ts';
import { docker, fresh, IMAGE } from './hosts.ts';
import type { Scene } from './scene.ts';

/** Makes on one host an image that no other host has, with Python to run echo.py. */
export async function smallImage(scene: Scene, host: LabHost): Promise<{ name: string; id: string }> {
  const name = fresh('small');
  scene.finallyEverywhere(async (each) => {
    const ids = await docker(each, 'image', 'ls', '--all', '--quiet', '--no-trunc', '--filter', `label=coat-test=${name}`);
    if (ids !== '') await docker(each, 'rmi', '--force', ...new Set(ids.split('\n')));
  });
  return { name, id: await importSmall(host, name) };
}

/** The same, which stays. @returns its id */
export async function importSmall(host: LabHost, name: string): Promise<string> {
  const file = `/share/${name.replaceAll(/[/:]/g, '-')}.tar`;
  try {
    // on no network: Docker 28 keeps a rule of its own once a container was on its bridge
    await docker(host, 'run', '--rm', '--network', 'none', '--volume', '/share:/share', IMAGE, 'sh', '-c', `sh /share/fixtures/small-image.sh ${name} > ${file}`);
    return await docker(host, 'import', '--change', `LABEL coat-test=${name}`, '--change', 'ENV PATH=/usr/bin LANG=C.UTF-8', file, name);
  } finally {
    await host.exec(['rm', '--force', file]);
  }
}

/** An image on top of another one, with one small layer of its own. @returns its id */
export async function onTop(host: LabHost, base: string, name: string): Promise<string> {
  const made = fresh('layer');
  await docker(host, 'run', '--name', made, '--network', 'none', base, 'sh', '-c', `echo ${name} > /on-top`);
  try {
    return await docker(host, 'commit', made, name);
  } finally {
    await docker(host, 'rm', made);
  }
}
