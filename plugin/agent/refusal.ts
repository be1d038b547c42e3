import type { RequestListener } from 'node:http';
import type { CoatError } from '../../driver/host/errors.ts';
import { ADDRESS_SPACE } from '../../driver/ipam/pool.ts';

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
