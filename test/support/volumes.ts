import type { LabHost } from '../../lab/host.ts';
import { docker, fresh } from './hosts.ts';
import type { Container, Scene } from './scene.ts';

/** A volume that is gone from all hosts when the test is over. */
export async function volume(scene: Scene, host: LabHost, word: string, options: readonly string[] = []): Promise<string> {
  const name = fresh(word);
  goesAway(scene, name);
  await docker(host, 'volume', 'create', ...options, name);
  return name;
}

/** The name that a container's volume was given by the engine; it too is gone when the test is over. */
export async function anonymous(scene: Scene, container: Container, place: string): Promise<string> {
  const name = await container.docker('inspect', '--format', `{{range .Mounts}}{{if eq .Destination "${place}"}}{{.Name}}{{end}}{{end}}`);
  goesAway(scene, name);
  return name;
}

export function goesAway(scene: Scene, name: string): void {
  scene.finallyEverywhere((host) => host.exec(['docker', 'volume', 'rm', '--force', name], { okCodes: [0, 1] }));
}
