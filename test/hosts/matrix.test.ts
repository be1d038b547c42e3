import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Migration, Phase } from '../../plugin/agent/api.ts';
import { agentAnswers, agentOf, engineAnswers, restartEngine } from '../support/agent.ts';
import { h1, h2, h4, lab, PATIENCE_MS, where } from '../support/hosts.ts';
import { asked, endOf, inPhase, slow } from '../support/moves.ts';
import { scene } from '../support/scene.ts';
import { here, Witness } from '../support/witness.ts';

/** What happens to a move from h2 to h4, which h1 was asked for; h1 has the store, and the client is on h3. */
interface Fault {
  strikes(): Promise<unknown>;
  /** Puts right what does not do so by itself, when it has had its effect. */
  ends?(): Promise<unknown>;
}

const [source, destination] = [h2, h4];

async function killed(host: LabHost): Promise<{ ends: () => Promise<void> }> {
  const before = await agentOf(host);
  // one that Docker has just started is not to be killed yet, see killAgent
  await until('the agent to be six seconds old', async () => Number((await host.exec(['ps', '-o', 'etimes=', '-p', before])).stdout) >= 6, { timeout: PATIENCE_MS });
  await host.exec(['kill', '-KILL', before]);
  return { ends: () => agentAnswers(host, before) };
}

const FAULTS = {
  "the source's agent is killed": { strikes: () => killed(source).then(({ ends }) => ends()) },
  "the destination's agent is killed": { strikes: () => killed(destination).then(({ ends }) => ends()) },
  "the destination's engine is killed": { strikes: () => restartEngine(destination, 'KILL') },
  'the destination loses its power': {
    strikes: () => lab.kill(destination.name),
    ends: async () => {
      await lab.start(destination.name);
      await engineAnswers(destination);
    },
  },
  'the link between them is cut': { strikes: () => lab.cut(source.name, destination.name), ends: () => lab.heal() },
  'the store is out of the reach of both': {
    strikes: async () => {
      await lab.cut(h1.name, source.name);
      await lab.cut(h1.name, destination.name);
    },
    ends: () => lab.heal(),
  },
  'CRIU dies at the source': { strikes: () => criuKilled(source) },
  'CRIU dies at the destination': { strikes: () => criuKilled(destination) },
  'there is no memory left for it at the destination': { strikes: () => filled(destination) },
} satisfies Record<string, Fault>;

/** Ends CRIU where it works on the container, or waits to, by its numbers there. It calls itself that once it is at it. */
async function criuKilled(host: LabHost): Promise<void> {
  const pids = await until('CRIU to be there', async () => lines(await host.exec(['pgrep', '--full', '^criu: (dump|restore) '], { okCodes: [0, 1] })), { timeout: PATIENCE_MS, every: 5 });
  await host.exec(['kill', '-KILL', ...pids]);
}

/** Fills the memory that a host has set aside for what comes. */
async function filled(host: LabHost): Promise<void> {
  const place = '/run/coat/restore';
  const [id] = await until('the place of what comes', async () => lines(await host.exec(['ls', place])), { timeout: PATIENCE_MS });
  await host.exec(['sh', '-c', `cat /dev/zero > ${place}/${id}/ballast`], { okCodes: [1] });
}

/** `undefined` where there is none. */
const lines = ({ stdout }: { stdout: string }): string[] | undefined => (stdout === '' ? undefined : stdout.trim().split('\n'));

/** The cells that matter: before the freeze nothing may be touched, in it all must come back, and from `restoring` on only the destination knows. */
const CELLS: readonly (readonly [fault: keyof typeof FAULTS, phase: Phase, ends: 'at once' | 'when it is over'])[] = [
  ["the source's agent is killed", 'copying', 'at once'],
  ["the source's agent is killed", 'frozen', 'at once'],
  ["the destination's agent is killed", 'frozen', 'at once'],
  ["the destination's engine is killed", 'copying', 'at once'],
  ['the destination loses its power', 'frozen', 'when it is over'],
  ['the link between them is cut', 'copying', 'when it is over'],
  ['the link between them is cut', 'frozen', 'when it is over'],
  ['the link between them is cut', 'restoring', 'at once'],
  ['the store is out of the reach of both', 'copying', 'when it is over'],
  ['CRIU dies at the source', 'copying', 'at once'],
  ['CRIU dies at the destination', 'frozen', 'at once'],
  ['there is no memory left for it at the destination', 'frozen', 'at once'],
];

test.each(CELLS)('%s while the move is %s', (name, phase, ends) => scene(async (scene) => {
  const fault: Fault = FAULTS[name];
  const frozen = phase === 'frozen' || phase === 'restoring';
  const server = await here(scene, source, frozen ? 16 : 0);
  if (phase === 'copying') await server.exec('sh', '-c', 'head -c 30000000 /dev/urandom > /srv/ballast');
  const peer = await scene.peer(server, { hz: 100 });
  const witness = await Witness.of(scene, server);
  await slow(scene, destination, phase === 'copying' ? '20mbit' : '40mbit');
  scene.finally(() => lab.heal());

  const { id } = await asked<Migration>(h1, 'POST', '/v1/migrations', { container: server.name, to: destination.name, from: source.name });
  // a phase that is over in a moment may have passed when it is looked for
  await inPhase(source, server.name, phase, ...(phase === 'restoring' ? (['released', 'cleaned'] as const) : []));
  await fault.strikes();
  await lab.limit(destination.name, null);
  if (ends === 'at once') await fault.ends?.();
  const { outcome } = await endOf(source, id);
  const there = outcome === 'migrated' ? destination : source;
  if (phase !== 'restoring') expect(outcome).toBe('rolled-back');
  await witness.hears(there.name);
  if (ends === 'when it is over') await fault.ends?.();

  await until('one copy, and nothing beside it', async () => JSON.stringify(await where(server.name)) === JSON.stringify({ [there.name]: 'running' }), { timeout: PATIENCE_MS });
  server.host = there;
  await peer.unharmed();
  expect(await witness.swears()).toEqual(there === source ? [source.name] : [source.name, destination.name]);
  // what went wrong once goes right when it is tried again
  if (there === source) await server.moveTo(destination);
})(), 180_000);
