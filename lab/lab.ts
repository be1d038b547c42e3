import { CoatError } from '../driver/host/errors.ts';
import { among, noLab } from './claim.ts';
import { takeDown } from './destroy.ts';
import { LabHost } from './host.ts';
import type { Tell } from './images/build.ts';
import { makeHostCgroups } from './kernel/cgroups.ts';
import * as underlay from './kernel/underlay.ts';
import { labPlaces } from './places.ts';
import { setRate, switchOff, switchOn } from './power.ts';
import { readRecord } from './record.ts';
import { parseRate, type LabSpec } from './spec.ts';
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
    const spec = await bringUp(options, async (hosts) => {
      if (options.plugin === false) return;
      const { installCoat } = await import('./coat.ts');
      await installCoat(await Lab.#of(hosts));
    });
    return Lab.#of(spec);
  }

  /** A lab that is there already. @throws CoatError `no-lab` */
  static async open(name: string): Promise<Lab> {
    const record = await readRecord(name);
    if (record === undefined) throw noLab(name);
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
    await among(this.name, () => switchOff(this.name, host.name));
  }

  /** Boots a killed host again, with its disk, its cuts and its limit as they were. Fine when it runs. */
  async start(name: string, log: Tell = () => undefined): Promise<void> {
    const host = this.host(name);
    await among(this.name, () => switchOn(this.spec, host, log));
  }

  /** Nothing passes between the two hosts any more, in either direction, whether they run or not. */
  async cut(one: string, other: string): Promise<void> {
    const names = [this.host(one).name, this.host(other).name] as const;
    await among(this.name, () => underlay.cut(this.name, ...names));
  }

  /** Takes back every cut. */
  async heal(): Promise<void> {
    await among(this.name, () => underlay.heal(this.name));
  }

  /** @param rate of the host's link in both directions as in tc(8), `100mbit`; `null`: none */
  async limit(name: string, rate: string | null): Promise<void> {
    const host = this.host(name);
    const checked = rate === null ? null : parseRate(rate);
    await among(this.name, () => setRate(this.name, host, checked));
  }

  /** Removes the lab and everything it has made. */
  async down(): Promise<void> {
    await takeDown(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
