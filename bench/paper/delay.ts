import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { NETNS, netnsName } from '../../lab/places.ts';

/** The bridge that all hosts' links are in, see lab/kernel/underlay.ts. */
const UNDERLAY = 'underlay';

/** By what a link was made slow: the kernel's own netem, or bench/programs/delay.py, which takes the frames through two taps. */
export type Means = 'netem' | 'forwarder';

/** A host whose link delays frames, in both directions. */
export class FarLink {
  readonly means: Means;
  readonly #lab: Lab;
  readonly #host: LabHost;
  readonly #child: ChildProcess | undefined;

  private constructor(lab: Lab, host: LabHost, means: Means, child?: ChildProcess) {
    [this.#lab, this.#host, this.means, this.#child] = [lab, host, means, child];
  }

  /** @param ms each way; there and back it is twice that */
  static async make(lab: Lab, host: LabHost, ms: number): Promise<FarLink> {
    const delay = ['root', 'netem', 'delay', `${ms}ms`, 'limit', '10000'];
    const own = ['tc', '-netns', netnsName(lab.name, host.name), 'qdisc', 'replace', 'dev', 'eth0', ...delay] as const;
    if ((await run(own, { okCodes: [0, 1, 2] })).code === 0) {
      await run(['tc', '-netns', netnsName(lab.name, 'switch'), 'qdisc', 'replace', 'dev', host.name, ...delay]);
      return new FarLink(lab, host, 'netem');
    }
    return FarLink.#forward(lab, host, ms);
  }

  async remove(): Promise<void> {
    const wires = netnsName(this.#lab.name, 'switch');
    if (this.means === 'netem') {
      await run(['tc', '-netns', netnsName(this.#lab.name, this.#host.name), 'qdisc', 'delete', 'dev', 'eth0', 'root'], { okCodes: [0, 2] });
      await run(['tc', '-netns', wires, 'qdisc', 'delete', 'dev', this.#host.name, 'root'], { okCodes: [0, 2] });
      return;
    }
    await run(['ip', '-netns', wires, 'link', 'set', this.#host.name, 'master', UNDERLAY]);
    await run(['ip', '-netns', wires, 'link', 'delete', bridgeOf(this.#host)]);
    const ended = once(this.#child!, 'exit');
    this.#child!.kill('SIGKILL');
    await ended;
  }

  /** The host's port leaves the switch for a bridge of its own, and the program is the wire between the two. */
  static async #forward(lab: Lab, host: LabHost, ms: number): Promise<FarLink> {
    const wires = netnsName(lab.name, 'switch');
    const taps = [`${host.name}-in`, `${host.name}-out`] as const;
    const program = ['python3', '-u', '/share/bench/delay.py', ...taps, String(ms)];
    // the machine itself may have no Python; a host has
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nsenter', `--mount=/proc/${host.pid}/ns/mnt`, `--net=${NETNS}/${wires}`, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(() => 'ended');
    const said = await Promise.race([once(child.stdout, 'data').then(String), ended]);
    if (said.trim() !== 'ready') throw new CoatError('bench-delay', 'the forwarder that delays frames did not start');
    const ip = (...argv: string[]): Promise<unknown> => run(['ip', '-netns', wires, ...argv]);
    await ip('link', 'add', bridgeOf(host), 'type', 'bridge');
    await ip('link', 'set', bridgeOf(host), 'up');
    await ip('link', 'set', taps[0], 'master', UNDERLAY, 'up');
    await ip('link', 'set', taps[1], 'master', bridgeOf(host), 'up');
    await ip('link', 'set', host.name, 'master', bridgeOf(host));
    return new FarLink(lab, host, 'forwarder', child);
  }
}

const bridgeOf = (host: LabHost): string => `${host.name}-far`;
