import { CoatError } from '../driver/host/errors.ts';
import { boot } from './boot.ts';
import { destroy } from './destroy.ts';
import { LabHost } from './host.ts';
import { ENGINE_RECIPES } from './images/recipes.ts';
import { rootfs } from './images/rootfs.ts';
import { killGroup, makeHostCgroups } from './kernel/cgroups.ts';
import * as underlay from './kernel/underlay.ts';
import { labPlaces } from './places.ts';
import { readRecord } from './record.ts';
import type { LabSpec } from './spec.ts';
import { bringUp, type UpOptions } from './up.ts';

/** Several real Docker hosts on this machine, made of namespaces, on one network of their own. */
export class Lab implements AsyncDisposable {
  readonly spec: LabSpec;
  readonly hosts: readonly LabHost[];

  private constructor(spec: LabSpec, hosts: LabHost[]) {
    this.spec = spec;
    this.hosts = hosts;
  }

  /** Makes a lab and waits until every engine answers. @throws CoatError `lab-exists` and others */
  static async up(options: UpOptions = {}): Promise<Lab> {
    const spec = await bringUp(options);
    const lab = await Lab.#of(spec);
    if (options.plugin === false) return lab;
    const { installCoat } = await import('./coat.ts');
    await installCoat(lab);
    return lab;
  }

  /** A lab that is there already. @throws CoatError `no-lab` */
  static async open(name: string): Promise<Lab> {
    const record = await readRecord(name);
    if (record === undefined) throw new CoatError('no-lab', `there is no lab "${name}"`, { hint: `make it: npm run lab -- up --name ${name}` });
    return Lab.#of(record);
  }

  static async #of(spec: LabSpec): Promise<Lab> {
    const hosts = await Promise.all(spec.hosts.map(async (host) => new LabHost(spec.name, host, await makeHostCgroups(spec.name, host.name))));
    return new Lab(spec, hosts);
  }

  get name(): string {
    return this.spec.name;
  }

  /** The directory that every host sees as /share. */
  get shared(): string {
    return labPlaces(this.name).shared;
  }

  /** @throws CoatError `no-host` */
  host(name: string): LabHost {
    const host = this.hosts.find((each) => each.name === name);
    if (host !== undefined) return host;
    throw new CoatError('no-host', `lab ${this.name} has no host "${name}"`, { hint: `it has ${this.hosts.map((each) => each.name).join(', ')}` });
  }

  /** The host dies at once, as in a power cut: processes and network are gone, its disk stays. */
  async kill(name: string): Promise<void> {
    const host = this.host(name);
    await killGroup(this.name, host.name);
    await underlay.unplug(this.name, host.name);
  }

  /** Boots a killed host again, with its disk as it was. Fine when it runs. */
  async start(name: string): Promise<void> {
    const host = this.host(name);
    if (host.running) return;
    await this.kill(name);
    await underlay.plugIn(this.name, this.spec.hosts.find((each) => each.name === name)!);
    const lower = await rootfs(`engine-${host.engine}`, ENGINE_RECIPES[host.engine], () => undefined, (argv) => argv as [string, ...string[]]);
    await boot(this.spec, name, lower);
  }

  /** Nothing passes between the two hosts any more, in either direction. */
  async cut(one: string, other: string): Promise<void> {
    await underlay.cut(this.name, this.host(one).name, this.host(other).name);
  }

  /** Takes back every cut. */
  async heal(): Promise<void> {
    await underlay.heal(this.name);
  }

  /** @param rate of the host's link in both directions as in tc(8), `100mbit`; `null`: none */
  async limit(name: string, rate: string | null): Promise<void> {
    await underlay.limit(this.name, this.host(name).name, rate);
  }

  /** Removes the lab and everything it has made. */
  async down(): Promise<void> {
    await destroy(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
