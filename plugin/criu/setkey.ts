import type { OciHook } from './bundle.ts';
import type { HostSide } from './host.ts';
import { RunError } from '../../driver/host/run.ts';
import { HOST_PATH } from './wrapper.ts';

/**
 * Runs Docker's `libnetwork-setkey` hook (moby libnetwork/sandbox_externalkey_unix.go) for a network namespace,
 * ahead of the container that will live in it. It is told a pid whose namespace it is to take: its own, as it runs
 * inside. Its argv[0] chooses what dockerd's binary does, so it must stay; `env` and `sh` cannot set it, bash can.
 */
export async function runSetKey(host: HostSide, hook: OciHook, netns: string, containerId: string, bundle: string): Promise<void> {
  const args = hook.args ?? [];
  const child = host.spawn(['bash', '-c', 'exec -a "$0" "$@"', args[0] ?? hook.path, hook.path, ...args.slice(1)], {
    netns,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: HOST_PATH, ...Object.fromEntries((hook.env ?? []).map((pair) => [pair.split('=')[0]!, pair.slice(pair.indexOf('=') + 1)] as const)) },
  });
  const output: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(JSON.stringify({ ociVersion: '1.0.2', id: containerId, status: 'creating', pid: child.pid, bundle }));
  await new Promise<void>((resolve, reject) => {
    const failed = (why: string, code: number | null): void =>
      reject(new RunError([hook.path, ...args.slice(0, 1)], why, { code, stdout: '', stderr: Buffer.concat(output).toString() }));
    child.on('error', (error) => failed(error.message, null));
    child.on('close', (code) => (code === 0 ? resolve() : failed(`exit code ${code}`, code)));
  });
}
