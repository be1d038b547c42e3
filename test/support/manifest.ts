import { PATIENCE_MS } from './hosts.ts';
import type { Container } from './scene.ts';

/** What a container needs for {@link filesOf}. */
export const MANIFEST = ['--volume', '/share/fixtures:/fixtures:ro', '--env', 'PYTHONDONTWRITEBYTECODE=1'];

/** Every file of a container, by its path. */
export async function filesOf(container: Container): Promise<Map<string, string>> {
  const { stdout } = await container.host.exec(['docker', 'exec', container.name, 'python3', '/fixtures/manifest.py'], { timeout: 2 * PATIENCE_MS });
  return new Map(stdout.trim().split('\n').map((line) => [(JSON.parse(line) as { path: string }).path, line]));
}

/** Lines that only one of two file systems has; short enough to be read where there are any. */
export function differences(one: Map<string, string>, other: Map<string, string>): string[] {
  const only = (mark: string, has: Map<string, string>, lacks: Map<string, string>): string[] => [...has].filter(([path, line]) => lacks.get(path) !== line).map(([, line]) => `${mark} ${line}`);
  return [...only('-', one, other), ...only('+', other, one)].slice(0, 40);
}
