import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import { familyOf } from '../../../driver/ipam/address.ts';
import type { Member } from '../membership.ts';
import { isUnderlay, NAME } from '../settings.ts';
import { External, MemberList } from './identity.ts';

/** Where a host without a certificate asks to be let in. */
export const JOIN = '/v1/join';
/** Where a member asks for its next certificate. */
export const RENEW = '/v1/renew';

export const JoinRequest = z.object({
  version: z.string(),
  /** The joining host's clock, ms since 1970. */
  now: z.number(),
  secret: z.string(),
  name: z.string().regex(NAME),
  address: z.string().refine(isUnderlay),
  /** Request for a certificate, PEM. */
  request: z.string(),
  /** UDP port of the tunnels, and the pool of subnets, as COAT_POOL has it: the same on all hosts. */
  vxlanPort: z.number(),
  pool: z.string(),
});
export type JoinRequest = z.infer<typeof JoinRequest>;

export const JoinAnswer = z.object({ certificate: z.string(), first: z.string(), members: MemberList, external: External.optional() });
export type JoinAnswer = z.infer<typeof JoinAnswer>;

export const RenewRequest = z.object({ request: z.string() });
export const RenewAnswer = z.object({ certificate: z.string() });

/** How far two hosts' clocks may be apart, ms. Certificates and tokens live by the clock. */
export const CLOCK_MS = 5 * 60_000;

/** What the host that is asked knows. */
export interface Present {
  name: string;
  version: string;
  now: number;
  members: readonly Member[];
  vxlanPort: number;
  pool: string;
}

const SET = 'set it to the same on all hosts: docker plugin disable, docker plugin set, docker plugin enable; and join again with the same token';

/** Why a host with a good token is not let in all the same. @throws CoatError `other-version`, `other-settings`, `clock`, `name-taken`, `other-family`, `address-taken` */
export function checkNewcomer(wanted: JoinRequest, { name, version, now, members, vxlanPort, pool }: Present): void {
  if (wanted.version !== version) {
    throw new CoatError('other-version', `this host has coat ${wanted.version}, and host ${name} has ${version}`, { hint: 'install the same version of the plugin on all hosts' });
  }
  if (wanted.vxlanPort !== vxlanPort) {
    throw new CoatError('other-settings', `the tunnels of this host use UDP port ${wanted.vxlanPort}, and those of host ${name} ${vxlanPort}: COAT_VXLAN_PORT differs`, { hint: SET });
  }
  if (wanted.pool !== pool) throw new CoatError('other-settings', `this host chooses subnets from ${wanted.pool}, and host ${name} from ${pool}: COAT_POOL differs`, { hint: SET });
  const apart = wanted.now - now;
  if (Math.abs(apart) > CLOCK_MS) {
    throw new CoatError('clock', `the clock of this host is ${Math.round(Math.abs(apart) / 60_000)} minutes ${apart > 0 ? 'ahead of' : 'behind'} that of host ${name}`, {
      hint: 'set both right, best by NTP, and join again with the same token',
    });
  }
  if (members.some((member) => member.name === wanted.name)) {
    throw new CoatError('name-taken', `there is a host ${wanted.name} in the cluster already`, { hint: `join with another --name, or remove that one if it is dead: docker coat rm ${wanted.name}` });
  }
  const others = members.find((member) => familyOf(member.address) !== familyOf(wanted.address));
  if (others !== undefined) {
    throw new CoatError('other-family', `the hosts of the cluster reach each other by IPv${familyOf(others.address)}, and ${wanted.address} is not of it`, { hint: `join with an IPv${familyOf(others.address)} address of this host: --address` });
  }
  const rival = members.find((member) => member.address === wanted.address);
  if (rival !== undefined) {
    throw new CoatError('address-taken', `the address ${wanted.address} is that of host ${rival.name}`, { hint: `join with another --address, or remove that host if it is dead: docker coat rm ${rival.name}` });
  }
}
