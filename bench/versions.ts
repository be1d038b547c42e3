import os from 'node:os';
import type { Lab } from '../lab/lab.ts';

/** On what a figure was measured; without it a figure says nothing. */
export interface Versions {
  date: string;
  node: string;
  kernel: string;
  processor: string;
  /** GiB */
  memory: number;
  /** The cgroup version that the engines saw. */
  cgroup: number;
  hosts: { name: string; docker: string; runc: string; criu: string }[];
}

export async function versions(lab: Lab): Promise<Versions> {
  const processors = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    kernel: os.release(),
    processor: `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: Math.round(os.totalmem() / 2 ** 30),
    cgroup: lab.spec.cgroup,
    hosts: await Promise.all(
      lab.hosts.map(async (host) => {
        const ask = async (argv: string[], pattern: RegExp): Promise<string> => pattern.exec((await host.exec(argv)).stdout)?.[1] ?? 'unknown';
        const [docker, runc, criu] = await Promise.all([
          ask(['docker', 'version', '--format', '{{.Server.Version}}'], /^(\S+)/),
          ask(['runc', '--version'], /^runc version (\S+)/),
          ask(['criu', '--version'], /^Version: (\S+)/m),
        ]);
        return { name: host.name, docker, runc, criu };
      }),
    ),
  };
}
