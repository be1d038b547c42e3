import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { HostSide } from '../../../plugin/criu/host.ts';
import { engineProcess, engineVersion, refusedEngine } from '../../../plugin/engine/process.ts';

it.each(['20.10.24+dfsg1', '23.0.6'])('refuses Docker %s, with the reason', (version) => {
  expect(refusedEngine(version)).toMatchObject({ code: 'old-engine', message: expect.stringContaining(version) as string, hint: expect.stringMatching(/24/) as string });
});

it.each(['24.0.9', '25.0.0', '26.1.5+dfsg1', '28.5.2', '29.0.0-rc.1', 'library-import'])('takes %s', (version) => {
  expect(refusedEngine(version)).toBeUndefined();
});

it('finds the process by its pid file, and asks its program for the version', async () => {
  const root = await mkdtemp(join(tmpdir(), 'coat-engine-'));
  const process = async (cmdline: string): Promise<void> => {
    await mkdir(join(root, 'run'), { recursive: true });
    await mkdir(join(root, 'proc/42'), { recursive: true });
    await writeFile(join(root, 'run/docker.pid'), '42\n');
    await writeFile(join(root, 'proc/42/cmdline'), cmdline);
  };
  const host: HostSide = {
    path: (path) => root + path,
    spawn: () => expect.fail('nothing is spawned'),
    run: async (argv) => ({ stdout: `${argv.join(' ') === '/proc/42/exe --version' ? 'Docker version 26.1.5+dfsg1, build a72d7cd' : ''}\n`, stderr: '', code: 0 }),
  };
  try {
    await expect(engineProcess(host)).rejects.toMatchObject({ code: 'engine-away' });
    await process('/usr/bin/dockerd\0--config-file\0/x.json\0');
    expect(await engineProcess(host)).toEqual({ pid: 42, argv: ['/usr/bin/dockerd', '--config-file', '/x.json'] });
    expect(await engineVersion(host)).toBe('26.1.5+dfsg1');
    // the number now belongs to somebody else
    await process('sleep\0inf\0');
    await expect(engineProcess(host)).rejects.toMatchObject({ code: 'engine-away' });
  } finally {
    await rm(root, { recursive: true });
  }
});
