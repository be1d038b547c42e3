import { afterAll, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { type Migration, type MigrationDetails, phases, type Strategy } from '../../plugin/agent/api.ts';
import { agentKilled, criuKilled, diskFull, engineKilled, type Fault, linkCut, memoryFull, powerCut } from '../support/faults.ts';
import { docker, h1, h2, h3, h4, lab, PATIENCE_MS, where } from '../support/hosts.ts';
import { asked, endOf, type Moment, reaches } from '../support/moves.ts';
import { expectNoMore, expectRemains, remains, type Remains } from '../support/remains.ts';
import { type Container, type Peer, Scene } from '../support/scene.ts';
import { here, Witness } from '../support/witness.ts';

/**
 * Moves between h2 and h3, which have engines of both generations; to and fro, as it happens. h1 has the store and is asked, the clients are on h4.
 *
 * All cells of docs/failures.md, some of which take long: COAT_MATRIX=all.
 */
const ALL = process.env['COAT_MATRIX'] === 'all';

interface Hosts {
  source: LabHost;
  destination: LabHost;
}

const FAULTS = {
  "the source's agent is killed": ({ source }) => agentKilled(source),
  "the destination's agent is killed": ({ destination }) => agentKilled(destination),
  "the source's engine is killed, and keeps its containers": ({ source }) => engineKilled(source, true),
  "the source's engine is killed": ({ source }) => engineKilled(source, false),
  "the destination's engine is killed, and keeps its containers": ({ destination }) => engineKilled(destination, true),
  "the destination's engine is killed": ({ destination }) => engineKilled(destination, false),
  'the source loses its power': ({ source }) => powerCut(source),
  'the destination loses its power': ({ destination }) => powerCut(destination),
  'the link between them is cut': ({ source, destination }) => linkCut([source, destination]),
  'the link between them is slow': ({ destination }) => ({ aims: async () => () => lab.limit(destination.name, '2mbit'), ends: () => lab.limit(destination.name, null) }),
  'the store is out of the reach of both': ({ source, destination }) => linkCut([h1, source], [h1, destination]),
  'CRIU dies at the source': ({ source }) => criuKilled(source),
  'CRIU dies at the destination': ({ destination }) => criuKilled(destination),
  "the destination's disk is full": ({ destination }) => diskFull(destination),
  "the destination's memory is full": ({ destination }) => memoryFull(destination),
} satisfies Record<string, (hosts: Hosts) => Fault>;
type Name = keyof typeof FAULTS;

/** These end the containers of a host, and their connections with them; the container has a restart policy, and is started anew. */
const ENDS: Partial<Record<Name, keyof Hosts>> = {
  "the source's engine is killed": 'source',
  'the source loses its power': 'source',
  "the destination's engine is killed": 'destination',
  'the destination loses its power': 'destination',
};
/** These last until the move has ended, or nobody but the destination can say what became of it. */
const LASTS: readonly Name[] = ['the destination loses its power', 'the link between them is cut', 'the store is out of the reach of both', "the destination's disk is full"];

/** What becomes of the move: some moments are over before what is done has its effect. */
type End = 'rolled-back' | 'migrated' | 'either';
const [BACK, OVER, EITHER] = ['rolled-back', 'migrated', 'either'] as const satisfies End[];

type Cell = readonly [fault: Name, moment: Moment, end: End, strategy?: Strategy];

/** Before the freeze nothing may be touched, in it all must come back, and from `restoring` on only the destination knows. */
const CELLS: readonly Cell[] = [
  ["the source's agent is killed", 'copying', BACK],
  ["the source's agent is killed", 'frozen', BACK],
  ["the source's agent is killed", 'restoring', EITHER],
  ["the destination's agent is killed", 'prepared', EITHER],
  ["the destination's agent is killed", 'frozen', BACK],
  ["the destination's agent is killed", 'restoring', EITHER],
  ["the source's engine is killed, and keeps its containers", 'copying', EITHER],
  ["the source's engine is killed, and keeps its containers", 'frozen', OVER],
  ["the destination's engine is killed, and keeps its containers", 'copying', BACK],
  ["the destination's engine is killed, and keeps its containers", 'frozen', BACK],
  ["the destination's engine is killed", 'copying', BACK],
  ["the destination's engine is killed", 'frozen', BACK],
  ['the destination loses its power', 'frozen', BACK],
  ['the link between them is cut', 'frozen', BACK],
  ['the link between them is cut', 'restoring', EITHER],
  ['the link between them is slow', 'frozen', OVER],
  ['the store is out of the reach of both', 'copying', BACK],
  ['the store is out of the reach of both', 'redirected', EITHER],
  ['the store is out of the reach of both', 'frozen', OVER],
  ['CRIU dies at the source', 'copying', BACK],
  ['CRIU dies at the destination', 'frozen', BACK],
  ["the destination's disk is full", 'copying', BACK],
  ["the destination's memory is full", 'frozen', BACK],
  ["the source's agent is killed", 'cleaned', OVER],
  ["the source's engine is killed", 'frozen', EITHER],
  // while memory goes ahead, and when it has
  ["the source's agent is killed", 'sending memory', BACK, 'precopy'],
  ["the destination's agent is killed", 'sending memory', BACK, 'precopy'],
  ["the destination's memory is full", 'sending memory', BACK, 'precopy'],
  ['the link between them is cut', 'sending memory', BACK, 'precopy'],
  ["the source's agent is killed", 'frozen', BACK, 'precopy'],
  ["the destination's agent is killed", 'restoring', EITHER, 'precopy'],
  ['the source loses its power', 'copying', BACK],
];

/** The others that there are: CRIU, memory and disk matter only where they are used. */
const REST: readonly Cell[] = (Object.keys(FAULTS) as Name[])
  .filter((name) => !name.startsWith('CRIU') && !name.endsWith('full'))
  .flatMap((name) => (['prepared', 'copying', 'redirected', 'frozen', 'restoring', 'cleaned'] as const).map((phase) => [name, phase, EITHER] as const))
  .filter(([name, phase]) => !CELLS.some((cell) => cell[0] === name && cell[1] === phase));

const BALLAST = 6_000_000;

/** A container with its clients, which go from cell to cell until something ends them. */
class Stage {
  readonly #scene: Scene;
  readonly server: Container;
  peer!: Peer;
  witness!: Witness;
  /** How often the container was started anew under the eyes of this witness. */
  begun = 0;
  readonly #before: Record<string, Remains>;

  private constructor(scene: Scene, server: Container, before: Record<string, Remains>) {
    this.#scene = scene;
    this.server = server;
    this.#before = before;
  }

  static async make(): Promise<Stage> {
    const before = await remains();
    const scene = new Scene();
    const volume = scene.name('volume');
    scene.finallyEverywhere((host) => host.exec(['docker', 'volume', 'rm', '--force', volume]));
    scene.finally(() => lab.heal());
    const server = await here(scene, h2, 16, ['--restart', 'always', '--volume', `${volume}:/data`]);
    await server.exec('sh', '-c', `head -c ${BALLAST} /dev/urandom > /data/ballast`);
    const stage = new Stage(scene, server, before);
    stage.witness = await Witness.of(scene, server, h4);
    await stage.clients();
    return stage;
  }

  /** Anew, where the connections are gone. */
  async clients(): Promise<void> {
    this.peer = await this.#scene.peer(this.server, { host: h4, hz: 100 });
  }

  /** @param harmed whether a cell has gone wrong: what came of it is not looked at any more */
  async end({ harmed }: { harmed: boolean }): Promise<void> {
    try {
      if (!harmed) await this.peer.unharmed();
    } finally {
      await this.#scene.end();
    }
    if (!harmed) await expectRemains(this.#before);
  }
}

let stage: Stage | undefined;

const cells = (ALL ? [...CELLS, ...REST] : CELLS).map(([fault, moment, end, strategy = 'cold']) => [fault, moment, strategy, end] as const);

test.each(cells)('%s while the move is %s (%s)', async (fault, moment, strategy, end) => {
  stage ??= await Stage.make();
  try {
    await play(stage, fault, moment, end, strategy);
  } catch (error) {
    await stage.end({ harmed: true }).catch(() => undefined);
    stage = undefined;
    throw error;
  }
}, 180_000);

afterAll(() => stage?.end({ harmed: false }));

async function play(stage: Stage, name: Name, moment: Moment, end: End, strategy: Strategy): Promise<void> {
  const { server, witness } = stage;
  const source = server.host;
  const destination = source === h2 ? h3 : h2;
  const fault: Fault = FAULTS[name]({ source, destination });
  const before = await remains();
  const strikes = await fault.aims();

  // what would be over in a moment lasts until it is struck
  if (moment === 'copying' || moment === 'sending memory') await lab.limit(destination.name, '20mbit');
  const { id } = await asked<Migration>(h1, 'POST', '/v1/migrations', { container: server.name, to: destination.name, from: source.name, strategy });
  if (moment === 'frozen') await reaches(source, id, 'redirected').then(() => lab.limit(destination.name, '40mbit'));
  await reaches(source, id, moment);
  await strikes();
  if (LASTS.includes(name)) await settled(source, id);
  await lab.limit(destination.name, null);
  await fault.ends();

  const { outcome, problem } = await endOf(source, id);
  if (end !== 'either') expect({ outcome, problem }).toMatchObject({ outcome: end });
  const there = outcome === 'migrated' ? destination : source;
  await until('one copy, and nothing beside it', async () => JSON.stringify(await where(server.name)) === JSON.stringify({ [there.name]: 'running' }), { timeout: 2 * PATIENCE_MS });
  server.host = there;
  await witness.hears(there.name);
  expect(await docker(there, 'inspect', '--format', '{{.HostConfig.RestartPolicy.Name}}', server.name)).toBe('always');
  if (ENDS[name] !== undefined && { source, destination }[ENDS[name]] === there) {
    stage.begun += 1;
    if (there === source) await expectNoMore(before, [source, destination]);
    await stage.clients();
  } else if (there === source) await expectRemains(before);
  await stage.peer.goesOn();
  await witness.swears(stage.begun);
}

/** A move that has ended, or of which only the destination knows. */
async function settled(source: LabHost, id: string): Promise<void> {
  await until('the move to end, or to be in doubt', async () => {
    const { ended, phase } = await asked<MigrationDetails>(source, 'GET', `/v1/migrations/${id}`);
    return ended !== undefined || phases.indexOf(phase) >= phases.indexOf('restoring');
  }, { timeout: 2 * PATIENCE_MS, every: 20 });
}
