import { median } from '../statistics.ts';
import type { ScaleResult } from './run.ts';

/** A cluster that nobody has here: so many hosts, each with so many containers, and how often one of them is started, stopped or moved. */
export interface Cluster {
  hosts: number;
  containers: number;
  /** Of each container, an hour. */
  changes: number;
}

/** What one host has to bear in it. Each line says from what it was reckoned. */
export interface Load {
  name: string;
  value: number;
  unit: string;
  from: string;
  /** What is the most that can be borne, in the same unit. */
  limit?: number;
  /** Where that limit is from. */
  why?: string;
}

/** Kernel entries of an endpoint on each host that has a container on its network: tunnel, forward, neighbour. */
const ENTRIES = 3;
/** Of one write as it goes over the wire to each watcher: a claim, as JSON, with etcd's own words around it, bytes. */
const EVENT_BYTES = 600;
/** etcd's own figure for writes to a three-member cluster on ordinary disks ("Performance", etcd documentation), with room left. */
const STORE_WRITES = 1_000;
/** What an agent may have of a host's processors, and of its memory: one core, 1 GiB. */
const [CORE, MEMORY] = [1, 1024];
/** Containers there are addresses for in a network of the usual size, /16. */
const ADDRESSES = 65_533;

/** Straight lines through the two measured sizes. All is on one network, which is the worst there is: on many, a host has only its own. */
export function model(measured: readonly [ScaleResult, ScaleResult], { hosts, containers, changes }: Cluster): Load[] {
  const endpoints = hosts * containers;
  const line = (of: (result: ScaleResult) => number): number => {
    const [few, much] = [measured[0], measured[1]];
    const slope = (of(much) - of(few)) / (much.endpoints - few.endpoints);
    return of(few) + Math.max(0, slope) * (endpoints - few.endpoints);
  };
  const writes = (endpoints * changes) / 3600;
  const cpu = line(({ changeCpu }) => median(changeCpu));
  const mib = 2 ** 20;
  return [
    { name: 'addresses in one network', value: endpoints, unit: '', from: 'hosts × containers', limit: ADDRESSES, why: 'a network of /16; more go into several networks' },
    { name: 'kernel entries on each host', value: endpoints * ENTRIES, unit: '', from: 'three for each endpoint, as counted' },
    { name: 'writes to the store', value: writes, unit: '/s', from: 'one for each change', limit: STORE_WRITES, why: 'what etcd is known to take on ordinary disks, with room left' },
    { name: 'events the store sends out', value: writes * hosts, unit: '/s', from: 'each write to each host', limit: 100_000, why: 'one process that sends; not measured here' },
    { name: 'the same in traffic of the store', value: (writes * hosts * EVENT_BYTES * 8) / 1e6, unit: 'Mbit/s', from: `${EVENT_BYTES} bytes each`, limit: 1_000, why: 'a link of 1 Gbit/s' },
    { name: 'processor time of an agent', value: (writes * cpu) / 1000, unit: 'cores', from: `${cpu.toFixed(1)} ms for each change`, limit: CORE, why: 'an agent is one thread' },
    { name: 'memory of an agent', value: line(({ peak }) => peak) / mib, unit: 'MiB', from: 'the most there ever was, a straight line through both sizes', limit: MEMORY, why: 'what a host should give for it' },
    { name: 'until a new host has all', value: line(({ convergence }) => convergence) / 1000, unit: 's', from: 'a straight line through both sizes', limit: 60, why: 'a minute' },
  ];
}

/** The one that is reached first when everything grows alike. */
export function firstLimit(loads: readonly Load[]): Load | undefined {
  return loads.filter(({ limit }) => limit !== undefined).sort((a, b) => b.value / b.limit! - a.value / a.limit!)[0];
}
