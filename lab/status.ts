import { answers } from './boot.ts';
import type { Lab } from './lab.ts';

export interface HostStatus {
  name: string;
  address: string;
  engine: number;
  running: boolean;
  /** Docker's full version, when its engine answers. */
  version?: string;
}

export interface LabStatus {
  name: string;
  subnet: string;
  cgroup: 1 | 2;
  /** Seen as /share in every host. */
  shared: string;
  hosts: HostStatus[];
}

export async function statusOf(lab: Lab): Promise<LabStatus> {
  const hosts = await Promise.all(lab.hosts.map(async (host): Promise<HostStatus> => {
    const { name, address, engine, running } = host;
    if (!running || !(await answers(`${host.root}/run/docker.sock`))) return { name, address, engine, running };
    const { stdout } = await host.exec(['docker', 'version', '--format', '{{.Server.Version}}']);
    return { name, address, engine, running, version: stdout.trim() };
  }));
  return { name: lab.name, subnet: `10.213.${lab.spec.subnet}.0/24`, cgroup: lab.spec.cgroup, shared: lab.shared, hosts };
}

/** The status for people, one line a host. */
export function statusText(status: LabStatus): string {
  const lines = status.hosts.map((host) => {
    const state = host.running ? `Docker ${host.version ?? `${host.engine}, not answering`}` : 'down';
    return `  ${host.name.padEnd(4)} ${host.address.padEnd(16)} ${state}`;
  });
  return [`lab ${status.name} (${status.subnet}, cgroup v${status.cgroup})`, ...lines, `  /share in every host is ${status.shared}`].join('\n');
}
