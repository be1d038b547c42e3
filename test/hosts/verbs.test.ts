import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { Migration, MigrationDetails, MigrationEvent, type MigrationList } from '../../plugin/agent/api.ts';
import { killAgent } from '../support/agent.ts';
import { docker, expectMoved, expectNotMoved, h1, h2, h3, h4, lab, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { api, asked, endOf, inPhase, slow, slowToCopy } from '../support/moves.ts';
import { scene } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';

const events = (text: string): { id: number; event: MigrationEvent }[] =>
  [...text.matchAll(/^id: (\d+)\nevent: \w+\ndata: (.*)$/gm)].map(([, id, data]) => ({ id: Number(id), event: MigrationEvent.parse(JSON.parse(data!)) }));

test('a scheduler moves a container through the API of a host that has nothing to do with it', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  const made = await api(h4, 'POST', '/v1/migrations', { container: server.name, to: 'h2' });
  expect(made.status).toBe(201);
  const { id } = Migration.parse(JSON.parse(made.text));
  expect(made.headers['location']).toBe(`/v1/migrations/${id}`);
  const heard = events((await api(h4, 'GET', `/v1/migrations/${id}/events`)).text);
  expect(heard.map(({ event }) => (event.type === 'phase' ? event.phase : event.type)).filter((word) => word !== 'progress')).toEqual(['started', 'planned', 'prepared', 'copying', 'redirected', 'frozen', 'restoring', 'released', 'cleaned', 'done']);
  expect(heard.map((each) => each.id)).toEqual([...heard].map((each) => each.id).sort((a, b) => a - b));
  // from the middle, at another host; and behind the end
  const middle = heard.findIndex(({ event }) => event.type === 'phase' && event.phase === 'frozen');
  expect(events((await api(h3, 'GET', `/v1/migrations/${id}/events`, undefined, { 'last-event-id': String(heard[middle]!.id) })).text)).toEqual(heard.slice(middle + 1));
  expect((await api(h1, 'GET', `/v1/migrations/${id}/events`, undefined, { 'last-event-id': String(heard.at(-1)!.id) })).status).toBe(204);
  const details = MigrationDetails.parse(await asked(h3, 'GET', `/v1/migrations/${id}`));
  expect(details).toMatchObject({ id, container: server.name, from: 'h1', to: 'h2', asked: 'h4', outcome: 'migrated', request: { container: server.name, to: 'h2' } });
  expect(await where(server.name)).toEqual({ h2: 'running' });
  server.host = h2;
  await peer.goesOn();
  // back, by the command, from the host it is not on
  expectMoved(await migrate(h4, server.name, 'h1'));
  await peer.unharmed();
  const { migrations, silent } = await asked<MigrationList>(h2, 'GET', `/v1/migrations?container=${server.name}`);
  expect(silent).toEqual([]);
  expect(migrations.map(({ from, to, outcome }) => ({ from, to, outcome }))).toEqual([{ from: 'h2', to: 'h1', outcome: 'migrated' }, { from: 'h1', to: 'h2', outcome: 'migrated' }]);
  expect(await docker(h3, 'coat', 'inspect', '--format', '{{.ID}} {{.Outcome}} {{len .Phases}}', id.slice(0, 8))).toBe(`${id} migrated 8`);
  expect((await api(h1, 'GET', '/v1/migrations/none')).status).toBe(404);
}));

test('two hosts have a container of that name: the refusal says which, and --from chooses', scene(async (scene) => {
  const server = await scene.echo(h1);
  await docker(h3, 'run', '--detach', '--name', server.name, '--network', 'shop', 'coat-lab/workloads', 'sleep', 'infinity');
  for (const host of [h1, h2]) expectNotMoved(await migrate(host, server.name, 'h4'), { outcome: 'refused', code: 'ambiguous', message: /h1 and h3/ });
  expectMoved(await migrate(h2, server.name, 'h4', '--from', 'h1'));
  expect(await where(server.name)).toEqual({ h3: 'running', h4: 'running' });
}));

test('cancelled from a third host; what is over cannot be', scene(async (scene) => {
  const server = await slowToCopy(scene, h1, h2);
  const peer = await scene.peer(server);
  const move = migrate(h4, server.name, 'h2');
  const { id } = await inPhase(h3, server.name, 'copying');
  expect(await docker(h3, 'coat', 'cancel', server.name)).toBe(`${server.name} stays on h1; its move to h2 is being taken back.`);
  expectNotMoved(await move, { outcome: 'rolled-back', code: 'cancelled' });
  expect(await where(server.name)).toEqual({ h1: 'running' });
  const again = await api(h2, 'POST', `/v1/migrations/${id}/cancel`);
  expect([again.status, JSON.parse(again.text)]).toMatchObject([409, { code: 'too-late' }]);
  await lab.limit('h2', null);
  await server.moveTo(h2);
  await peer.unharmed();
}));

test('Ctrl-C after the freeze, before the commit; and a refused second move meanwhile', scene(async (scene) => {
  const server = await scene.echo(h1, { program: ['--mb=24'] });
  const peer = await scene.peer(server);
  await slow(scene, h2, '40mbit');
  const terminal = new Talk(h4, ['script', '--quiet', '--return', '--command', `docker coat migrate --strategy cold ${server.name} h2`, '/dev/null']);
  await inPhase(h1, server.name, 'frozen');
  expectNotMoved(await migrate(h3, server.name, 'h4'), { outcome: 'refused', code: 'moving-already' });
  terminal.type('\x03');
  const { code, stdout } = await terminal.end();
  expect(stdout).toContain('the move was cancelled');
  expect(code).toBe(130);
  await lab.limit('h2', null);
  await peer.goesOn();
  await server.moveTo(h2);
  await peer.unharmed();
}));

test.each([
  ['stop', ['stop', '--time', '1'], 'copying', 'exited', 'stopped-meanwhile', 0],
  ['rm --force', ['rm', '--force'], 'copying', undefined, 'stopped-meanwhile', 0],
  ['pause', ['pause'], 'copying', 'paused', 'paused', 0],
  // its images are on their way by then; and CRIU still dumps it
  ['kill', ['kill'], 'frozen', 'exited', 'stopped-meanwhile', 24],
  ['kill', ['kill'], 'frozen', 'exited', 'stopped-meanwhile', 400],
] as const)('docker %s of a container on its way has its will', async (_, argv, phase, state, code, mb) => scene(async (scene) => {
  const server = phase === 'copying' ? await slowToCopy(scene, h1, h2) : await scene.echo(h1, { program: [`--mb=${mb}`] });
  if (phase === 'frozen') await slow(scene, h2, '40mbit');
  const move = migrate(h1, server.name, 'h2', '--strategy', 'cold');
  await inPhase(h1, server.name, phase);
  await docker(h1, ...argv, server.name);
  expectNotMoved(await move, { outcome: 'rolled-back', code });
  await until('it to be as it was told', async () => JSON.stringify(await where(server.name)) === JSON.stringify(state === undefined ? {} : { h1: state }), { timeout: PATIENCE_MS });
})());

test('docker rm of what arrives, at the destination: the move is taken back', scene(async (scene) => {
  const server = await slowToCopy(scene, h1, h2);
  const peer = await scene.peer(server);
  const move = migrate(h1, server.name, 'h2');
  await inPhase(h1, server.name, 'copying');
  await docker(h2, 'rm', '--force', server.name);
  await lab.limit('h2', null);
  expect((await move).report.outcome).toBe('rolled-back');
  expect(await where(server.name)).toEqual({ h1: 'running' });
  await peer.unharmed();
}));

test('docker start of what arrives, at the destination: it is no second copy, and the move goes on', scene(async (scene) => {
  const server = await slowToCopy(scene, h1, h2);
  const peer = await scene.peer(server);
  const move = migrate(h1, server.name, 'h2');
  await inPhase(h1, server.name, 'copying');
  const { code, stderr } = await h2.exec(['docker', 'start', server.name], { okCodes: [0, 1], timeout: PATIENCE_MS });
  expect(code).toBe(1);
  expect(stderr).toMatch(/is being moved here/);
  await lab.limit('h2', null);
  expectMoved(await move);
  expect(await where(server.name)).toEqual({ h2: 'running' });
  await peer.unharmed();
}));

test('the command hears the end though the agent of the source dies in the middle', scene(async (scene) => {
  const server = await slowToCopy(scene, h1, h2);
  const peer = await scene.peer(server);
  const move = migrate(h4, server.name, 'h2');
  const { id } = await inPhase(h1, server.name, 'copying');
  await killAgent(h1);
  await lab.limit('h2', null);
  expectNotMoved({ ...(await move) }, { outcome: 'rolled-back', code: 'interrupted' });
  expect(await endOf(h2, id)).toMatchObject({ outcome: 'rolled-back', problem: { code: 'interrupted' } });
  await peer.unharmed();
}));
