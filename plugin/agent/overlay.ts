import type { Driver } from '../../driver/driver.ts';
import type { Log } from '../../driver/host/log.ts';
import type { Overlay } from '../migration/ports.ts';
import type { Membership } from './membership.ts';

/** The network, as a move sees it. */
export function overlayOf(driver: Driver, membership: Membership, log: Log): Overlay {
  return {
    expect: async (arrival) => {
      await driver.expect(arrival);
      log.info({ network: arrival.network, ip: arrival.ip }, 'an endpoint is about to arrive');
    },
    accept: (network, ip) => driver.accept(network, ip),
    putIn: (network, ip, datagrams) => driver.putIn(network, ip, datagrams),
    release: async (network, ip) => {
      await driver.release(network, ip);
      log.info({ network, ip }, 'an endpoint has arrived');
    },
    forget: (network, ip) => driver.forget(network, ip),
    cut: (network, ip) => driver.cut(network, ip),
    uncut: (network, ip) => driver.uncut(network, ip),
    letsChoose: (network) => driver.letsChoose(network),
    offer: (network, ip) => driver.offer(network, ip),
    withdraw: (network, ip) => driver.withdraw(network, ip),
    giveBack: (network, ip) => driver.giveBack(network, ip),
    settled: (revision, timeout) => driver.settled(revision, timeout),
    networksOnEngine: () => networksOf(driver),
    hosts: () => membership.all().map(({ name }) => name),
  };
}

/** Coat's networks on this engine: Docker's id → key of the record. */
export function networksOf(driver: Driver): Map<string, string> {
  return new Map(driver.networksOnEngine().map(({ id, network }) => [id, network.key]));
}

/** The same networks by the names that the engine has for them. */
export function namesOnEngine(driver: Driver): Map<string, string> {
  return new Map(driver.networksOnEngine().map(({ id, network }) => [id, network.name ?? network.subnet]));
}
