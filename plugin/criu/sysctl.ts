import type { HostSide } from './host.ts';

/**
 * Sets one value of a network namespace.
 *
 * @param netns path of the namespace on the host
 * @param name as sysctl(8) spells it
 */
export async function setSysctl(host: HostSide, netns: string, name: string, value: string): Promise<void> {
  await host.run(['tee', `/proc/sys/${name.replaceAll('.', '/')}`], { netns, input: value });
}
