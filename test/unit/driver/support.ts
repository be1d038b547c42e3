import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createDriver, type Driver } from '../../../driver/driver.ts';
import { silent } from '../../../driver/host/log.ts';
import type { Kernel } from '../../../driver/kernel/kernel.ts';
import type { Store } from '../../../driver/store/store.ts';
import { callPlugin } from '../../support/caller.ts';

/** A kernel that believes everything and has nothing, and remembers what it was told. */
export function fakeKernel(): Kernel & { told: string[]; links: Set<string> } {
  const told: string[] = [];
  const links = new Set<string>();
  return {
    told,
    links,
    netns: '/proc/self/ns/net',
    run: async (argv, options = {}) => {
      const line = argv.join(' ');
      const answer = (stdout = '', code = 0) => ({ stdout, stderr: '', code });
      if (line.startsWith('ip link show dev ')) return answer('', links.has(argv.at(-1)!) ? 0 : 1);
      if (line.startsWith('cat /proc/sys/net/ipv4/ip_forward')) return answer('1\n');
      if (/ (list|show)\b| -S$|^cat /.test(line)) return answer();
      if (line.startsWith('ip link add name cv')) links.add(argv[4]!);
      told.push(line, ...(typeof options.input === 'string' ? options.input.trim().split('\n') : []));
      return answer();
    },
  };
}

const directories: string[] = [];
afterAll(() => directories.forEach((directory) => rmSync(directory, { recursive: true, force: true })));

/** A directory that is gone when the tests of a file are over. */
export function tempDir(): string {
  const directory = mkdtempSync(join(tmpdir(), 'coat-t-unit-'));
  directories.push(directory);
  return directory;
}

export interface UnitHost {
  driver: Driver;
  kernel: ReturnType<typeof fakeKernel>;
  stateDir: string;
  /** A call of Docker; rejects with its `Err`. */
  call(method: string, body?: unknown): Promise<Record<string, unknown>>;
}

export async function unitHost(store: Store, host: string, stateDir = tempDir()): Promise<UnitHost> {
  const kernel = fakeKernel();
  const driver = await createDriver({ host, address: `192.168.0.${host.charCodeAt(0) - 96}`, store, stateDir, hostRoot: '', log: silent, kernel, auditEvery: 600_000 });
  await driver.start();
  const call = async (method: string, body: unknown = {}): Promise<Record<string, unknown>> => {
    const { json } = await callPlugin(driver, method, JSON.stringify(body));
    if (json.Err) throw new Error(json.Err as string);
    return json;
  };
  return { driver, kernel, stateDir, call };
}
