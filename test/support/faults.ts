import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { agentAnswers, agentOf, engineAnswers } from './agent.ts';
import { docker, lab, PATIENCE_MS } from './hosts.ts';

/** What is done to a host in the middle of a move, and put right when it has had its effect. */
export interface Fault {
  /** What takes time is done before the move begins. @returns what is done at once when the moment has come */
  aims(): Promise<() => Promise<unknown>>;
  /** Puts right what does not do so by itself, and waits until all is as it was. */
  ends(): Promise<unknown>;
}

/** A shell in a host that does something as soon as it is told to: to start one at that moment would be late. */
async function poised(host: LabHost, command: string): Promise<() => Promise<void>> {
  const child = host.spawn(['sh', '-c', `echo; read word && { ${command}; }`], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout!, 'data');
  return async () => {
    const ended = once(child, 'exit');
    child.stdin!.end('now\n');
    await ended;
  };
}

/** Not one that Docker has just started, see killAgent. */
export function agentKilled(host: LabHost): Fault {
  let before = '';
  return {
    async aims() {
      before = await agentOf(host);
      await until('the agent to be six seconds old', async () => Number((await host.exec(['ps', '-o', 'etimes=', '-p', before])).stdout) >= 6, { timeout: PATIENCE_MS });
      return poised(host, `kill -KILL ${before}`);
    },
    ends: () => agentAnswers(host, before),
  };
}

/**
 * The engine is killed, and begins anew.
 *
 * @param live whether its containers and its plugins go on without it (`live-restore`, dockerd(8)); otherwise the next engine ends what it finds
 */
export function engineKilled(host: LabHost, live: boolean): Fault {
  const pidFile = (): string => join(host.root, 'run/lab/dockerd.pid');
  let before = '';
  return {
    async aims() {
      if (live) await keepsContainers(host, true);
      before = await readFile(pidFile(), 'utf8');
      return poised(host, `kill -KILL ${before.trim()}`);
    },
    async ends() {
      await until('another engine', async () => (await readFile(pidFile(), 'utf8')) !== before, { timeout: 2 * PATIENCE_MS });
      await engineAnswers(host);
      if (live) await keepsContainers(host, false);
    },
  };
}

/** A setting that an engine takes over while it runs (dockerd(8), SIGHUP). */
async function keepsContainers(host: LabHost, live: boolean): Promise<void> {
  const file = join(host.root, 'etc/docker/daemon.json');
  const settings = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, `${JSON.stringify({ ...settings, 'live-restore': live }, null, 2)}\n`);
  await host.exec(['sh', '-c', 'kill -HUP $(cat /run/lab/dockerd.pid)']);
  await until('the engine to have read it', async () => (await docker(host, 'info', '--format', '{{.LiveRestoreEnabled}}')) === String(live), { timeout: PATIENCE_MS, every: 20 });
}

export function powerCut(host: LabHost): Fault {
  return {
    aims: async () => () => lab.kill(host.name),
    async ends() {
      await lab.start(host.name);
      await engineAnswers(host);
      // a kernel that goes takes its cgroups with it; in a lab it stays, and empty ones with it
      await host.exec(['sh', '-c', 'find /sys/fs/cgroup -depth -type d -path "*docker/*" -exec rmdir {} + 2>/dev/null'], { okCodes: [0, 1] });
    },
  };
}

/** Between each two of these. */
export function linkCut(...pairs: readonly (readonly [LabHost, LabHost])[]): Fault {
  return {
    aims: async () => async () => {
      await Promise.all(pairs.map(([one, other]) => lab.cut(one.name, other.name)));
    },
    ends: () => lab.heal(),
  };
}

/** Ends CRIU where it works on the container, or waits to, by its numbers there. It calls itself that once it is at it. */
export function criuKilled(host: LabHost): Fault {
  return {
    aims: async () => async () => {
      const pids = await until('CRIU to be there', async () => lines(await host.exec(['pgrep', '--full', '^criu: (dump|restore) '], { okCodes: [0, 1] })), { timeout: PATIENCE_MS, every: 5 });
      await host.exec(['kill', '-KILL', ...pids]);
    },
    ends: async () => undefined,
  };
}

/** The memory that a host has set aside for what comes is used up. */
export function memoryFull(host: LabHost): Fault {
  const place = '/run/coat/restore';
  return {
    aims: async () => async () => {
      const [id] = await until('the place of what comes', async () => lines(await host.exec(['ls', place])), { timeout: PATIENCE_MS });
      await host.exec(['sh', '-c', `cat /dev/zero > ${place}/${id}/ballast`], { okCodes: [1] });
    },
    ends: async () => undefined,
  };
}

/** Small disks are mounted where a host keeps its volumes and its journals, and filled to the last byte. */
export function diskFull(host: LabHost): Fault {
  const places = ['/var/lib/docker/volumes', '/var/lib/coat/journals'];
  return {
    async aims() {
      await host.exec(['sh', '-c', ['mkdir -p /srv/small && mount -t tmpfs -o size=64m small /srv/small', ...places.map((place, i) => `mkdir /srv/small/${i} && mount --bind /srv/small/${i} ${place}`)].join(' && ')]);
      return poised(host, 'cat /dev/zero > /srv/small/ballast 2>/dev/null || true');
    },
    async ends() {
      await host.exec(['sh', '-c', `rm /srv/small/ballast; umount --lazy ${places.join(' ')} && umount --lazy /srv/small && rmdir /srv/small`]);
    },
  };
}

/** `undefined` where there is none. */
const lines = ({ stdout }: { stdout: string }): string[] | undefined => (stdout === '' ? undefined : stdout.trim().split('\n'));
