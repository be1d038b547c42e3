import { rm } from 'node:fs/promises';
import { CoatError, explain } from '../../../driver/host/errors.ts';
import { readIfThere } from '../../../driver/host/files.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import { until } from '../../../driver/host/until.ts';
import { connectEngine } from '../../engine/connection.ts';
import { createNetworks } from '../../engine/networks.ts';
import { type Agent, startAgent } from '../agent.ts';
import type { Entered, NewToken, StoreHosts } from '../api.ts';
import type { ClusterDoors } from '../local/cluster.ts';
import { removeNetworks } from '../networks/remove.ts';
import type { Paths } from '../paths.ts';
import { PendingHandler } from '../pending.ts';
import { refusingAgent } from '../refusal.ts';
import { readCommon, readSettings } from '../settings.ts';
import type { Founder } from './enter.ts';
import { type Cluster, named, staticCluster } from './cluster.ts';
import { type Identity, IdentityFile, IdentityKeeper } from './identity.ts';
import { joinedCluster } from './joined.ts';
import { Members } from './members.ts';

/** How long the store may take to answer a host that has just come in, ms: etcd is started for the first one. */
const STORE_MS = 30_000;

export interface LifeOptions {
  env: NodeJS.ProcessEnv;
  paths: Paths;
  /** What every agent needs, in a cluster or not. */
  prepare: () => Promise<void>;
  log: Log;
}

/**
 * The agent of a host from one state to the next: without a cluster, in one that its settings name, or in
 * one that it has founded or joined. The sockets stay the same; who answers there changes.
 */
export class Life implements ClusterDoors {
  readonly driver = new PendingHandler();
  readonly local = new PendingHandler();
  readonly #env: NodeJS.ProcessEnv;
  readonly #paths: Paths;
  readonly #prepare: () => Promise<void>;
  readonly #log: Log;
  readonly #identity: IdentityFile;
  /** One change of state at a time. */
  readonly #changes = new Queue();
  #agent: Agent | undefined;
  #cluster: Cluster | undefined;

  constructor({ env, paths, prepare, log }: LifeOptions) {
    this.#env = env;
    this.#paths = paths;
    this.#prepare = prepare;
    this.#log = log;
    this.#identity = new IdentityFile(paths.identity);
  }

  /** Gives the sockets somebody who answers, whatever the state. */
  async start(): Promise<void> {
    await this.#changes.run(() => this.#begin());
  }

  async stop(): Promise<void> {
    await this.#changes.run(async () => this.#agent?.stop());
  }

  init(wanted: Founder): Promise<Entered> {
    return this.#changes.run(async () => {
      await this.#refuseUnlessAlone();
      const { found } = await import('./enter.ts');
      return this.#enter(await found(wanted), []);
    });
  }

  join(wanted: { token: string; name: string; address?: string | undefined }): Promise<Entered> {
    return this.#changes.run(async () => {
      await this.#refuseUnlessAlone();
      const { join } = await import('./enter.ts');
      const { identity, members } = await join(wanted, readCommon(this.#env));
      return this.#enter(identity, members);
    });
  }

  token(ttl: number): Promise<NewToken> {
    return this.#member().cluster.token(ttl);
  }

  remove(host: string, force: boolean): Promise<void> {
    return this.#member().cluster.remove(host, force);
  }

  promote(host: string): Promise<StoreHosts> {
    return this.#member().cluster.promote(host);
  }

  demote(host: string): Promise<StoreHosts> {
    return this.#member().cluster.demote(host);
  }

  /** With `force` whatever stands against it: nothing is asked of the cluster, which may be gone. */
  leave(force: boolean): Promise<void> {
    return this.#changes.run(async () => {
      if (readSettings(this.#env) !== undefined) throw named();
      if (!force) await this.#member().cluster.mayLeave();
      try {
        if (this.#cluster !== undefined) await this.#agent?.leave(force);
        else await removeNetworks(createNetworks(connectEngine(this.#paths.dockerSocket)), (error) => this.#log.warn({ reason: explain(error) }, 'a network stays on the engine'));
      } catch (error) {
        await this.#begin();
        throw error;
      }
      await this.#agent?.stop();
      await this.#forget();
      await this.#begin();
    });
  }

  async #begin(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = await this.#makeAgent();
    this.driver.give(this.#agent.driver);
    this.local.give(this.#agent.local);
  }

  async #makeAgent(): Promise<Agent> {
    this.#cluster = undefined;
    try {
      await this.#prepare();
      this.#cluster = await this.#whichCluster();
      return await startAgent(this.#cluster, this.#paths, this, this.#log);
    } catch (error) {
      // with a mistake in its settings an agent serves its explanation; anything else is a defect and ends it
      if (!(error instanceof CoatError)) throw error;
      this.#log.error({ code: error.code, hint: error.hint }, error.message);
      return refusingAgent(error, this.#paths, this, this.#log);
    }
  }

  async #whichCluster(): Promise<Cluster> {
    const settings = readSettings(this.#env);
    if (settings !== undefined) return staticCluster(settings);
    const common = readCommon(this.#env);
    const identity = await this.#identity.read();
    if (identity === undefined) throw alone();
    return joinedCluster(new IdentityKeeper(identity, this.#identity), await Members.load(identity, this.#paths.members, this.#log), common);
  }

  async #enter(identity: Identity, known: Identity['me'][]): Promise<Entered> {
    const members = await Members.load(identity, this.#paths.members, this.#log);
    members.replace(known.map((member) => ({ ...member })));
    await members.save();
    // from here on the host belongs to the cluster, whatever happens
    await this.#identity.write(identity);
    await this.#begin();
    const agent = this.#agent!;
    await until('the store of the cluster', () => agent.connected(), { timeout: STORE_MS }).catch((error: unknown) => {
      this.#log.warn({ reason: explain(error) }, 'this host belongs to a cluster now, whose store does not answer yet');
    });
    return { ...identity.me, hosts: members.all().map(({ name, address }) => ({ name, address })) };
  }

  /** @throws CoatError where this host belongs to a cluster, or has belonged to one and not left it */
  async #refuseUnlessAlone(): Promise<void> {
    if (readSettings(this.#env) !== undefined) throw named();
    const identity = await this.#identity.read();
    if (identity !== undefined) {
      throw new CoatError('in-cluster', `this host is ${identity.me.name} of a cluster already`, { hint: 'docker coat status shows it; to leave it: docker coat leave' });
    }
    if ((await readIfThere(`${this.#paths.driverState}/replica.json`)) !== undefined) {
      throw new CoatError('state-left', 'this host still has the records of a cluster it was in', { hint: 'to remove them: docker coat leave --force' });
    }
  }

  #member(): Agent {
    if (this.#agent === undefined || this.#cluster === undefined) throw alone();
    return this.#agent;
  }

  /** Everything a cluster has left on this host, the identity last: until then a leave can be repeated. */
  async #forget(): Promise<void> {
    const { driverState, journals, networksSeen, etcdData, members, identity } = this.#paths;
    for (const path of [driverState, journals, networksSeen, etcdData, members, identity]) await rm(path, { recursive: true, force: true });
  }
}

function alone(): CoatError {
  return new CoatError('not-configured', 'this host belongs to no coat cluster', {
    hint: 'docker coat init makes a new one; docker coat join TOKEN joins one, with a token that docker coat token made on a host of it',
  });
}
