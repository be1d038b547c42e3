import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Report, Status } from '../../plugin/agent/api.ts';
import { agentOf } from '../support/agent.ts';
import { agentKilled } from '../support/faults.ts';
import { docker, expectMoved, expectNotMoved, h1, h2, lab, migrate, type Moved, PATIENCE_MS, where } from '../support/hosts.ts';
import { journalSays } from '../support/memory.ts';
import { expectRemains, remains } from '../support/remains.ts';
import { type Container, scene, type Scene, WORKLOAD } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';

/** Something that ends a move, once its connections are there and all is noted that must be the same afterwards. */
async function takenBack(scene: Scene, server: Container, fails: () => Promise<unknown>): Promise<void> {
  const peer = await scene.peer(server);
  const before = await remains();
  await fails();
  await peer.goesOn();
  expect(await where(server.name)).toEqual({ [server.host.name]: 'running' });
  await expectRemains(before);
  // what was taken back can be tried again, by name and all
  await peer.unharmed();
}

const rolledBack = (moved: Moved, code: string | RegExp, message?: RegExp): void => expectNotMoved(moved, { outcome: 'rolled-back', code, ...(message ? { message } : {}) });

test('CRIU cannot dump it: a program has not read what the kernel has told it', scene(async (scene) => {
  const server = await scene.run(h1, 'stubborn', ['python3', '/w/stubborn.py', 'netlink'], WORKLOAD);
  await server.says('ready');
  await takenBack(scene, server, async () => rolledBack(await migrate(h1, server.name, 'h2'), 'dump-failed', /CRIU could not dump.*netlink/i));
}));

test('CRIU cannot restore it: a file it holds open is not there; with the file it moves', scene(async (scene) => {
  const place = `/srv/${scene.name('held')}`;
  for (const host of [h1, h2]) {
    await mkdir(join(host.root, place));
    scene.finally(() => rm(join(host.root, place), { recursive: true }));
  }
  const command = ['sh', '-c', 'exec 9>>/held/file; exec python3 /w/echo.py'];
  const server = await scene.run(h1, 'holder', command, [...WORKLOAD, '--volume', `${place}:/held`]);
  await server.says('ready');
  await takenBack(scene, server, async () => rolledBack(await migrate(h1, server.name, 'h2'), 'restore-failed', /CRIU could not restore .* on h2.*held\/file/));
  await writeFile(join(h2.root, place, 'file'), '');
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  await peer.unharmed();
}));

/** A server whose files take long to copy to h2, until the limit is lifted. */
async function slowToCopy(scene: Scene): Promise<Container> {
  const server = await scene.echo(h1);
  await server.exec('sh', '-c', 'head -c 30000000 /dev/urandom > /srv/ballast');
  scene.finally(() => lab.limit('h2', null));
  await lab.limit('h2', '20mbit');
  return server;
}

async function inPhase(phase: string): Promise<Status['migrations'][number]> {
  return until(
    `a migration to be ${phase}`,
    async () => (JSON.parse(await docker(h1, 'coat', 'status', '--json')) as Status).migrations.find((each) => each.phase === phase),
    { timeout: PATIENCE_MS },
  );
}

test('one move of a container at a time, whatever it is called; the first goes on', scene(async (scene) => {
  const server = await slowToCopy(scene);
  const peer = await scene.peer(server);
  const first = migrate(h1, server.name, 'h2');
  await inPhase('copying');
  const id = await server.docker('inspect', '--format', '{{.Id}}');
  for (const ref of [server.name, id, id.slice(0, 12)]) expectNotMoved(await migrate(h1, ref, 'h3'), { outcome: 'refused', code: 'moving-already' });
  await lab.limit('h2', null);
  expectMoved(await first);
  expect(await where(server.name)).toEqual({ h2: 'running' });
  server.host = h2;
  await peer.unharmed();
}));

test('the user thinks better of it: Ctrl-C before the freeze', scene(async (scene) => {
  const server = await slowToCopy(scene);
  await takenBack(scene, server, async () => {
    const terminal = new Talk(h1, ['script', '--quiet', '--return', '--command', `docker coat migrate ${server.name} h2`, '/dev/null']);
    await inPhase('copying');
    terminal.type('\x03');
    const { code, stdout } = await terminal.end();
    expect(code).toBe(130);
    expect(stdout).toMatch(new RegExp(`${server.name} stays on h1`));
    await until('it to be taken back', async () => (JSON.parse(await docker(h1, 'coat', 'status', '--json')) as Status).migrations.length === 0, { timeout: PATIENCE_MS });
  });
  await lab.limit('h2', null);
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  await peer.unharmed();
}));

test('it would stand still for longer than it may, over a link that is slow', scene(async (scene) => {
  const server = await scene.echo(h1, { program: ['--mb=16'] });
  scene.finally(() => lab.limit('h2', null));
  await lab.limit('h2', '10mbit');
  await takenBack(scene, server, async () => {
    rolledBack(await migrate(h1, server.name, 'h2', '--strategy', 'cold', '--max-blackout', '1500ms'), 'timeout', /has stood still for 1.5 s, and does not run at the destination yet/);
    rolledBack(await migrate(h1, server.name, 'h2', '--timeout', '300ms'), 'timeout', /could not be frozen within 300 ms/);
  });
  // longer than any request between two agents may take otherwise
  await lab.limit('h2', '6mbit');
  const peer = await scene.peer(server, { hz: 10 });
  const { report } = await migrate(h1, server.name, 'h2', '--strategy', 'cold', '--max-blackout', '10m');
  expect(report).toMatchObject({ outcome: 'migrated' });
  expect(report.blackout).toBeGreaterThan(30_000);
  server.host = h2;
  await lab.limit('h2', null);
  await peer.unharmed();
}), 240_000);

// while CRIU waits for the container: matrix.test.ts
test('the destination\'s agent dies while CRIU restores it', scene(async (scene) => {
  const server = await scene.echo(h1, { program: ['--mb=192'] });
  const pid = await agentOf(h2);
  await takenBack(scene, server, async () => {
    const move = migrate(h1, server.name, 'h2');
    await until('CRIU to be there', () => restoring(h2, 'Forking task'), { timeout: PATIENCE_MS, every: 2 });
    await h2.exec(['kill', '-KILL', pid]);
    const moved = await move;
    expectNotMoved({ ...moved, report: { ...moved.report, warnings: [] } satisfies Report }, { outcome: 'rolled-back', code: /./ });
    await until('another agent', async () => (await agentOf(h2)) !== pid, { timeout: PATIENCE_MS });
    await until('it to answer', async () => (await h2.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  });
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  await peer.unharmed();
}));

test('the destination\'s agent dies when the container has just arrived, and the engine may not have: it is the destination\'s, and stops and starts as any', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  const fault = agentKilled(h2);
  const strikes = await fault.aims();
  const move = migrate(h1, server.name, 'h2', '--strategy', 'cold');
  await journalSays(h2, '"state":"running"');
  await strikes();
  await fault.ends();
  expect((await move).report.outcome).toBe('migrated');
  server.host = h2;
  await peer.unharmed();
  await server.docker('restart', '--time', '1');
  await server.says('ready');
  expect(await where(server.name)).toEqual({ h2: 'running' });
}));

/** Whether CRIU has come so far there that its log says this. */
async function restoring(host: LabHost, words: string): Promise<boolean> {
  const place = join(host.root, 'run/coat/restore');
  const logs = (await readdir(place)).map((id) => readFile(join(place, id, 'work/restore.log'), 'utf8').then((log) => log.includes(words), () => false));
  return (await Promise.all(logs)).includes(true);
}
