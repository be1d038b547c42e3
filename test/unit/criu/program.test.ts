import { describe, expect, it } from 'vitest';
import { type Candidate, chooseCriu, compareVersions, CriuFinder, startCarried } from '../../../plugin/criu/program.ts';
import type { HostSide } from '../../../plugin/criu/host.ts';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const own = (version: string): Candidate => ({ version, path: '/usr/sbin/criu', carried: false, command: '/usr/sbin/criu', environment: ':' });
const carried = (version: string): Candidate => ({ version, path: '/c/criu', carried: true, ...startCarried('/c') });
const broken = { problem: 'it is broken' };

describe('which CRIU', () => {
  it.each([
    ['an older one of the host', own('3.17.1'), carried('4.2.1'), true],
    ['the same one', own('4.2.1'), carried('4.2.1'), false],
    ['a newer one of the host', own('4.10'), carried('4.2.1'), false],
    ['one of the host that does not work', broken, carried('4.2.1'), true],
    ['a carried one that does not work', own('3.17'), broken, false],
  ])('%s', (_what, ofHost, ofPlugin, wanted) => {
    expect(chooseCriu(ofHost, ofPlugin)).toMatchObject({ carried: wanted });
  });

  it('none, and why', () => {
    expect(chooseCriu({ problem: 'the host has none' }, broken)).toEqual({ problem: 'the host has none; it is broken' });
  });

  it.each([['4.2', '4.2.0', 0], ['4.10', '4.9.9', 1], ['3.17.1', '4.2', -1], ['4.2.1', '4.2', 1]])('%s and %s', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
    expect(Math.sign(compareVersions(b, a))).toBe(0 - sign);
  });
});

describe('finding it', () => {
  /** A host whose programs answer by what is asked of them; what was asked is kept. */
  async function scene(answers: { own: string | undefined; check?: Error }): Promise<{ finder: CriuFinder; asked: string[]; answers: typeof answers } & AsyncDisposable> {
    const root = await mkdtemp(join(tmpdir(), 'coat-criu-'));
    await mkdir(join(root, 'var/lib/coat/criu'), { recursive: true });
    await writeFile(join(root, 'var/lib/coat/criu/current'), '4.2.1-abc\n');
    const asked: string[] = [];
    const host: HostSide = {
      path: (path) => root + path,
      spawn: () => expect.fail('nothing is spawned'),
      async run(argv) {
        const line = argv.at(-1)!;
        if (line.includes('stat')) {
          if (answers.own === undefined) throw new Error('no criu');
          return { stdout: `/usr/sbin/criu ${answers.own}\n`, stderr: '', code: 0 };
        }
        asked.push(line);
        if (line.endsWith(' check') && answers.check) throw answers.check;
        return { stdout: `Version: ${line.includes('ld.so') ? '4.2.1' : answers.own!}\n`, stderr: '', code: 0 };
      },
    };
    return { finder: new CriuFinder(host, '/var/lib/coat/criu'), asked, answers, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
  }

  it('starts the carried one through its own loader', async () => {
    await using host = await scene({ own: undefined });
    expect(await host.finder.find()).toEqual({ version: '4.2.1', path: '/var/lib/coat/criu/4.2.1-abc/criu', carried: true, ...startCarried('/var/lib/coat/criu/4.2.1-abc') });
  });

  it("takes the host's own only when it passes its check", async () => {
    await using good = await scene({ own: '4.3' });
    expect(await good.finder.find()).toMatchObject({ version: '4.3', carried: false });
    await using bad = await scene({ own: '4.3', check: new Error('no') });
    expect(await bad.finder.find()).toMatchObject({ version: '4.2.1', carried: true });
  });

  it('asks once, and again when the host has another one', async () => {
    await using host = await scene({ own: '4.1' });
    await host.finder.find();
    const before = host.asked.length;
    expect(await host.finder.find()).toMatchObject({ carried: true });
    expect(host.asked.length).toBe(before);
    host.answers.own = '4.5';
    expect(await host.finder.find()).toMatchObject({ version: '4.5', carried: false });
  });
});
