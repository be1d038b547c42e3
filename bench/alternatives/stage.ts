import { chmod, copyFile, link, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { makeHostCgroups } from '../../lab/kernel/cgroups.ts';
import { buildIn } from '../../lab/images/build.ts';
import { workloads } from '../../lab/images/workloads.ts';
import { SEED_HOST } from '../../lab/places.ts';

const SCRIPTS = join(import.meta.dirname, 'scripts');
const PROGRAMS = join(import.meta.dirname, '../programs');

/** Puts what the hosts run where all of them see it: `/share/bench`. */
export async function layOut(lab: Lab): Promise<void> {
  const place = join(lab.shared, 'bench');
  await mkdir(place, { recursive: true });
  for (const from of [SCRIPTS, PROGRAMS]) {
    for (const name of await readdir(from)) {
      await copyFile(join(from, name), join(place, name));
      await chmod(join(place, name), 0o755);
    }
  }
}

/**
 * `ssh` from each of these hosts to each other of them as root, with keys, by /share/bench/ssh/config. One connection to each is opened and
 * stays, so that a command costs no handshake.
 */
export async function startSsh(lab: Lab, hosts: readonly LabHost[]): Promise<void> {
  const place = join(lab.shared, 'bench/ssh');
  await mkdir(place, { recursive: true });
  await rm(join(place, 'key'), { force: true });
  await hosts[0]!.exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', '/share/bench/ssh/key']);
  const common = 'User root\n  IdentityFile /share/bench/ssh/key\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  Compression no';
  const names = hosts.map(({ name, address }) => `Host ${name}\n  HostName ${address}\n`).join('');
  await writeFile(join(place, 'config'), `${names}Host *\n  ${common}\n  ControlMaster auto\n  ControlPath /run/bench-ssh-%h\n  ControlPersist yes\n`, { mode: 0o600 });
  await writeFile(join(place, 'config-plain'), `${names}Host *\n  ${common}\n`, { mode: 0o600 });
  await Promise.all(hosts.map(async (host) => {
    await host.exec(['sh', '-c', 'mkdir -p /run/sshd /root/.ssh; cp /share/bench/ssh/key.pub /root/.ssh/authorized_keys; chown root:root /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys; ss -ltn | grep -q ":22 " || /usr/sbin/sshd']);
  }));
  for (const host of hosts) for (const peer of hosts) if (peer !== host) await host.exec(['ssh', '-F', '/share/bench/ssh/config', '-fnNT', '-o', 'ControlMaster=auto', peer.name], { okCodes: [0, 255] });
}

/** The workload image in Podman's store of each of these hosts. Their stores are not on the hosts' root, which is an overlay. */
export async function loadPodman(lab: Lab, hosts: readonly LabHost[], tell: (line: string) => void, signal: AbortSignal): Promise<void> {
  const image = join(lab.shared, 'bench/image.tar');
  const { path } = await workloads(buildIn(await makeHostCgroups(lab.name, SEED_HOST), tell, signal));
  await rm(image, { force: true });
  // no space is taken where both are on one file system
  await link(path, image).catch(() => copyFile(path, image));
  const environment = ['env', 'name=none', 'address=none', 'mac=none'];
  const known = await Promise.all(hosts.map(async (host) => (await host.exec(['ls', `/share/bench/podman-${host.name}/overlay-images`], { okCodes: [0, 2] })).stdout.includes('images.json')));
  await Promise.all(hosts.filter((_, index) => !known[index]).map((host) => host.exec([...environment, '/share/bench/podman.sh', 'load'], { timeout: 300_000, signal })));
  await rm(image, { force: true });
}

/** `docker checkpoint` is there only with Docker's experimental features, which an engine learns of at its start. */
export async function experimental(lab: Lab, signal: AbortSignal): Promise<void> {
  await Promise.all(lab.hosts.map(async (host) => {
    const on = async (): Promise<boolean> => (await host.exec(['docker', 'info', '--format', '{{.ExperimentalBuild}}'], { okCodes: [0, 1] })).stdout.trim() === 'true';
    if (await on()) return;
    await host.exec(['python3', '-c', 'import json; f="/etc/docker/daemon.json"; d=json.load(open(f)); d["experimental"]=True; json.dump(d, open(f, "w"), indent=2)']);
    await host.exec(['sh', '-c', 'kill $(cat /run/lab/dockerd.pid)']);
    await until(`experimental features on ${host.name}`, on, { timeout: 60_000, every: 200, signal });
    await until(`the agent of ${host.name}`, async () => (await host.exec(['docker', 'coat', 'status', '--json'], { okCodes: [0, 1] })).code === 0, { timeout: 60_000, every: 200, signal });
  }));
}

/** Bytes that a host has sent to the others since it was booted. */
export async function bytesSent(host: LabHost): Promise<number> {
  const { stdout } = await run(host.command(['cat', '/sys/class/net/eth0/statistics/tx_bytes']));
  return Number(stdout);
}
