import { mkdir, rm } from 'node:fs/promises';
import { run } from '../../driver/host/run.ts';
import { ROOT } from './places.ts';

const IMAGE = 'coat-plugin-rootfs';

/** Whether there is an engine on this machine that can have the Dockerfile's base image. */
export async function canBuild(): Promise<boolean> {
  try {
    await run(['docker', 'version'], { timeout: 10_000 });
    await run(['docker', 'pull', '--quiet', 'debian:trixie-slim'], { timeout: 300_000 });
    return true;
  } catch {
    return false;
  }
}

/** Builds the Dockerfile and unpacks the result into `rootfs`. */
export async function buildWithDocker(rootfs: string): Promise<void> {
  // only what the Dockerfile copies goes to the engine
  await run(['sh', '-c', `tar -c Dockerfile plugin/image/packages plugin/image/left-out plugin/image/carry-criu dist/files | docker build --quiet --tag ${IMAGE} -`], { cwd: ROOT, timeout: 30 * 60_000 });
  const { stdout } = await run(['docker', 'create', IMAGE]);
  const container = stdout.trim();
  try {
    await rm(rootfs, { recursive: true, force: true });
    await mkdir(rootfs, { recursive: true });
    await run(['sh', '-c', 'docker export "$1" | tar -x -C "$2" --numeric-owner --same-owner', 'export', container, rootfs], { timeout: 600_000 });
  } finally {
    await run(['docker', 'rm', container]);
  }
}
