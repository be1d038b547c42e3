import { explain } from '../../driver/host/errors.ts';
import type { LabHost } from '../../lab/host.ts';

const NAME = 'bench-refused';

/** `docker checkpoint` and `docker start --checkpoint` on one host, with nothing on the line: what an engine answers. */
export async function checkpointAlone(host: LabHost, signal: AbortSignal): Promise<{ engine: string; steps: { command: string; failure?: string }[] }> {
  const remove = (): Promise<unknown> => host.exec(['docker', 'rm', '--force', NAME], { okCodes: [0, 1] });
  await remove();
  const { stdout: engine } = await host.exec(['docker', 'version', '--format', '{{.Server.Version}}']);
  const steps: { command: string; failure?: string }[] = [];
  try {
    for (const argv of [['run', '--detach', '--name', NAME, 'coat-lab/workloads', 'sleep', 'infinity'], ['checkpoint', 'create', NAME, 'bench'], ['start', '--checkpoint', 'bench', NAME]]) {
      const command = `docker ${argv.join(' ')}`;
      const failure = await host.exec(['docker', ...argv], { timeout: 60_000, signal }).then(() => undefined, (error: unknown) => explain(error).replace(/^[^]*?exit code \d+: /, ''));
      steps.push({ command, ...(failure === undefined ? {} : { failure }) });
      if (failure !== undefined) break;
    }
  } finally {
    await remove();
  }
  return { engine: engine.trim(), steps };
}
