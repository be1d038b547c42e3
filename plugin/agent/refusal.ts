import type { RequestListener } from 'node:http';
import type { CoatError } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { ADDRESS_SPACE } from '../../driver/ipam/pool.ts';
import { createHostSide } from '../criu/host.ts';
import { connectEngine } from '../engine/connection.ts';
import type { Agent } from './agent.ts';
import { installationDoors } from './installation.ts';
import { localApp } from './local/app.ts';
import type { ClusterDoors } from './local/cluster.ts';
import type { Paths } from './paths.ts';
import { VERSION } from './version.ts';

/** What Docker asks before it uses a driver; answered, so that it learns of the refusal at a time when it shows it to a person. */
const ANSWERS: Record<string, unknown> = {
  '/Plugin.Activate': { Implements: ['NetworkDriver', 'IpamDriver'] },
  '/NetworkDriver.GetCapabilities': { Scope: 'local', ConnectivityScope: 'global' },
  '/IpamDriver.GetCapabilities': {},
  '/IpamDriver.GetDefaultAddressSpaces': { LocalDefaultAddressSpace: ADDRESS_SPACE, GlobalDefaultAddressSpace: ADDRESS_SPACE },
};

/** The driver of a host that cannot work: says why, in place of everything else. `Err` is what Docker shows of an answer other than 200. */
export function refusing(error: CoatError): RequestListener {
  const sentence = `${error.message}${error.hint === undefined ? '' : `: ${error.hint}`}`;
  return (request, response) => {
    const known = ANSWERS[request.url ?? ''];
    response.writeHead(known ? 200 : 500, { 'content-type': 'application/json' }).end(JSON.stringify(known ?? { Err: sentence }));
    request.resume();
  };
}

/** The agent of a host that cannot work yet: all it does is to explain, and to let the host come into a cluster. */
export function refusingAgent(error: CoatError, paths: Paths, cluster: ClusterDoors, log: Log): Agent {
  const refuse = (): never => {
    throw error;
  };
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    driver: refusing(error),
    local: localApp({
      version: () => ({ version: VERSION, api: 1, host: '' }),
      status: refuse,
      doctor: refuse,
      endpoints: refuse,
      networks: refuse,
      createNetwork: refuse,
      removeNetwork: refuse,
      metrics: refuse,
      migrations: { create: refuse, get: refuse, list: refuse, cancel: refuse, follow: refuse, loads: refuse },
      ...installationDoors({ host: createHostSide(paths.hostRoot), docker: connectEngine(paths.dockerSocket), paths, log }),
      cluster,
      log,
    }),
    cluster: { startStore: nothing, promote: refuse, demote: refuse, token: refuse, remove: refuse, mayLeave: refuse, signOff: nothing },
    connected: () => false,
    leave: nothing,
    stop: nothing,
  };
}
