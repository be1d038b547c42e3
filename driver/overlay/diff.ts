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
  const old = narrow(have, lost);
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

/** The state after a diff was applied: what was wanted, without the ports that do not exist. */
export function reached(want: State, have: State): State {
  const missing = (dev: string): boolean => want.ports.has(dev) && !have.ports.has(dev);
  return narrow(want, missing);
}

/** Why a vxlan device cannot become what is wanted without being made anew, or ''. ip-link(8): these are given at creation. */
export function mustReplace(want: Vxlan, have: Vxlan): string {
  if (want.vni !== have.vni) return `its VNI is ${have.vni}`;
  if (want.port !== have.port) return `its port is ${have.port}`;
  if (want.local !== have.local) return `its address is ${have.local}`;
  return '';
}

function narrow(state: State, without: (dev: string) => boolean): State {
  const keep = <T>(map: Map<string, T>, devs: (value: T) => string[]): Map<string, T> =>
    new Map([...map].filter(([, value]) => !devs(value).some(without)));
  return {
    bridges: keep(state.bridges, (bridge) => [bridge.name]),
    vxlans: keep(state.vxlans, (vxlan) => [vxlan.name]),
    ports: keep(state.ports, (port) => [port.name]),
    tunnels: keep(state.tunnels, (entry) => [entry.dev]),
    forwards: keep(state.forwards, (entry) => [entry.dev, entry.bridge]),
    neighbours: keep(state.neighbours, (entry) => [entry.dev]),
    routes: keep(state.routes, (entry) => [entry.dev]),
  };
}

interface Difference<T> {
  key: string;
  want: T | undefined;
  have: T | undefined;
  why: string;
}

function changes<T extends object>(want: Map<string, T>, have: Map<string, T>): Difference<T>[] {
  const found: Difference<T>[] = [];
  for (const [key, wanted] of want) {
    const old = have.get(key);
    const why = old ? difference(wanted, old) : 'missing';
    if (why) found.push({ key, want: wanted, have: old, why: `${key}: ${why}` });
  }
  for (const [key, old] of have) if (!want.has(key)) found.push({ key, want: undefined, have: old, why: `${key}: not wanted` });
  return found;
}

function difference<T extends object>(want: T, have: T): string {
  const different = (Object.keys(want) as (keyof T)[]).filter((field) => want[field] !== have[field]);
  return different.map((field) => `${String(field)} is ${String(have[field])}, not ${String(want[field])}`).join(', ');
}
