import type { Bridge, Forward, Neighbour, Port, Route, State, Tunnel, Vxlan } from './state.ts';

/** One thing to do to the kernel. `why` is for the log of what the audit had to repair. */
export type Operation = { why: string } & (
  | { do: 'bridge'; want: Bridge; have: Bridge | undefined }
  | { do: 'vxlan'; want: Vxlan; have: Vxlan | undefined }
  | { do: 'port'; want: Port; have: Port }
  | { do: 'unlink'; name: string }
  | { do: 'tunnel' | 'untunnel'; entry: Tunnel }
  | { do: 'forward' | 'unforward'; entry: Forward }
  | { do: 'neighbour' | 'unneighbour'; entry: Neighbour }
  | { do: 'route' | 'unroute'; entry: Route }
);

/**
 * What leads from the state that is to the one that should be.
 *
 * A port that should be but is not is left out, with its entries: only Join can make one, and one
 * whose container died is gone for good.
 *
 * In an order in which frames always find a way: a tunnel exists before an entry points into it and goes after none does, and
 * a port is shut last.
 *
 * @param untouched ports to leave as they are
 */
export function diff(want: State, have: State, untouched: ReadonlySet<string> = new Set()): Operation[] {
  const operations: Operation[] = [];
  const add = (operation: Operation): void => void operations.push(operation);

  for (const { key, want: bridge, have: old, why } of changes(want.bridges, have.bridges)) {
    if (bridge) add({ do: 'bridge', want: bridge, have: old, why });
    else add({ do: 'unlink', name: key, why });
  }
  for (const { key, want: vxlan, have: old, why } of changes(want.vxlans, have.vxlans)) {
    if (vxlan) add({ do: 'vxlan', want: vxlan, have: old, why });
    else add({ do: 'unlink', name: key, why });
  }
  for (const { key, want: port, have: old, why } of changes(want.ports, have.ports)) {
    if (port && old) add({ do: 'port', want: port, have: old, why });
    else if (!port && !untouched.has(key)) add({ do: 'unlink', name: key, why });
  }

  // entries of a device that is removed, or made anew, go with it
  const gone = new Set(operations.flatMap((operation) => (operation.do === 'unlink' ? [operation.name] : [])));
  const replaced = new Set(operations.flatMap((operation) => (operation.do === 'vxlan' && operation.have && mustReplace(operation.want, operation.have) ? [operation.want.name] : [])));
  const lost = (dev: string): boolean => gone.has(dev) || replaced.has(dev);
  const old = gone.size + replaced.size === 0 ? have : narrow(have, lost);
  const missingPort = (dev: string): boolean => want.ports.has(dev) && !have.ports.has(dev);

  const tunnels = changes(want.tunnels, old.tunnels);
  for (const { want: entry, why } of tunnels) if (entry) add({ do: 'tunnel', entry, why });
  for (const { want: entry, have: before, why } of changes(want.forwards, old.forwards)) {
    if (!entry) add({ do: 'unforward', entry: before!, why });
    else if (!missingPort(entry.dev)) add({ do: 'forward', entry, why });
  }
  for (const { want: entry, have: before, why } of tunnels) if (!entry) add({ do: 'untunnel', entry: before!, why });
  for (const { want: entry, have: before, why } of changes(want.neighbours, old.neighbours)) {
    add(entry ? { do: 'neighbour', entry, why } : { do: 'unneighbour', entry: before!, why });
  }
  for (const { want: entry, have: before, why } of changes(want.routes, old.routes)) add(entry ? { do: 'route', entry, why } : { do: 'unroute', entry: before!, why });
  return [...operations.filter((operation) => !closes(operation)), ...operations.filter(closes)];
}

/** Whether it shuts a port, which must wait until frames go elsewhere. */
function closes(operation: Operation): boolean {
  return operation.do === 'port' && operation.want.state === 'disabled';
}

/** The state after a diff was applied: what was wanted, without the ports that do not exist. Where all do, that is the same object. */
export function reached(want: State, have: State): State {
  const missing = new Set([...want.ports.keys()].filter((name) => !have.ports.has(name)));
  return missing.size === 0 ? want : narrow(want, (dev) => missing.has(dev));
}

/** Why a vxlan device cannot become what is wanted without being made anew, or ''. ip-link(8): these are given at creation. */
export function mustReplace(want: Vxlan, have: Vxlan): string {
  if (want.vni !== have.vni) return `its VNI is ${have.vni}`;
  if (want.port !== have.port) return `its port is ${have.port}`;
  if (want.local !== have.local) return `its address is ${have.local}`;
  return '';
}

function narrow(state: State, without: (dev: string) => boolean): State {
  const keep = <T>(map: Map<string, T>, ...devs: ((value: T) => string)[]): Map<string, T> =>
    new Map([...map].filter(([, value]) => !devs.some((dev) => without(dev(value)))));
  return {
    bridges: keep(state.bridges, ({ name }) => name),
    vxlans: keep(state.vxlans, ({ name }) => name),
    ports: keep(state.ports, ({ name }) => name),
    tunnels: keep(state.tunnels, ({ dev }) => dev),
    forwards: keep(state.forwards, ({ dev }) => dev, ({ bridge }) => bridge),
    neighbours: keep(state.neighbours, ({ dev }) => dev),
    routes: keep(state.routes, ({ dev }) => dev),
  };
}

interface Difference<T> {
  key: string;
  want: T | undefined;
  have: T | undefined;
  why: string;
}

/** An audit compares tens of thousands that are equal, seldom enough for all of this to be cold: what it allocates for each is what it costs. */
function changes<T extends object>(want: Map<string, T>, have: Map<string, T>): Difference<T>[] {
  const found: Difference<T>[] = [];
  want.forEach((wanted, key) => {
    const old = have.get(key);
    if (!old) found.push({ key, want: wanted, have: old, why: `${key}: missing` });
    else if (!equal(wanted, old)) found.push({ key, want: wanted, have: old, why: `${key}: ${difference(wanted, old)}` });
  });
  have.forEach((old, key) => {
    if (!want.has(key)) found.push({ key, want: undefined, have: old, why: `${key}: not wanted` });
  });
  return found;
}

function equal<T extends object>(want: T, have: T): boolean {
  for (const field in want) if (want[field] !== have[field]) return false;
  return true;
}

function difference<T extends object>(want: T, have: T): string {
  const different = (Object.keys(want) as (keyof T)[]).filter((field) => want[field] !== have[field]);
  return different.map((field) => `${String(field)} is ${String(have[field])}, not ${String(want[field])}`).join(', ');
}
