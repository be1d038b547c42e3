import { CoatError } from '../../../driver/host/errors.ts';
import type { PeerRoutes } from '../peer.ts';

type Handlers = { [K in keyof PeerRoutes]: Parameters<PeerRoutes[K]>[1] };
export type Kind = keyof Handlers;

/** The table of what peers may ask for. */
export class RouteTable implements PeerRoutes {
  readonly #handlers: { [K in Kind]: Map<string, Handlers[K]> } = { call: new Map(), guest: new Map(), upload: new Map(), tunnel: new Map() };

  call(path: string, handler: Handlers['call']): void {
    this.#add('call', path, handler);
  }

  guest(path: string, handler: Handlers['guest']): void {
    this.#add('guest', path, handler);
  }

  upload(path: string, handler: Handlers['upload']): void {
    this.#add('upload', path, handler);
  }

  tunnel(path: string, handler: Handlers['tunnel']): void {
    this.#add('tunnel', path, handler);
  }

  find<K extends Kind>(kind: K, path: string): Handlers[K] | undefined {
    return this.#handlers[kind].get(path);
  }

  /** @throws Error on a second handler: both sides of a route are ours */
  #add<K extends Kind>(kind: K, path: string, handler: Handlers[K]): void {
    if (!path.startsWith('/v1/') || this.#handlers[kind].has(path)) throw new Error(`route ${path} cannot be added`);
    this.#handlers[kind].set(path, handler);
  }
}

export function noSuchRoute(path: string): CoatError {
  return new CoatError('no-such-route', `this agent has no ${path}`, { hint: 'all hosts should run the same version of the plugin' });
}
