import type { Driver } from '../../driver/driver.ts';
import type { Overlay } from '../migration/ports.ts';
import type { Membership } from './membership.ts';

/** The network, as a move sees it. */
export function overlayOf(driver: Driver, membership: Membership): Overlay {
  return {
    expect: (arrival) => driver.expect(arrival),
    accept: (network, ip) => driver.accept(network, ip),
    release: (network, ip) => driver.release(network, ip),
    forget: (network, ip) => driver.forget(network, ip),
    cut: (network, ip) => driver.cut(network, ip),
    uncut: (network, ip) => driver.uncut(network, ip),
    letsChoose: (network) => driver.letsChoose(network),
    offer: (network, ip) => driver.offer(network, ip),
    withdraw: (network, ip) => driver.withdraw(network, ip),
    settled: (revision, timeout) => driver.settled(revision, timeout),
    networksOnEngine: () => networksOf(driver),
    hosts: () => membership.all().map(({ name }) => name),
  };
}

/** Coat's networks on this engine: Docker's id → key of the record. */
export function networksOf(driver: Driver): Map<string, string> {
  return new Map(driver.networksOnEngine().map(({ id, network }) => [id, network.key]));
}
