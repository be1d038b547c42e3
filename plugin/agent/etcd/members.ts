import { z } from 'zod';
import { codeOf } from '../../../driver/host/errors.ts';
import type { EtcdClient } from './client.ts';

/**
 * etcd's own list of its members, and changes of it (https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/, service Cluster).
 * Which host a member is on is in its peer address: see {@link peerUrl}.
 */

/** More voters make writes slower and survive no more than one would want to survive. */
export const MOST_VOTERS = 5;

export interface EtcdMember {
  /** A 64-bit number, in decimal. */
  id: string;
  host: string;
  /** Gets everything and has no vote yet. */
  learner: boolean;
}

/**
 * Where a member's etcd is for the others: a unix socket in their own directory, by which their agent leads to the agent of
 * that host; see relays.ts. So the address of a host is not in it, and who may connect is the agents' affair.
 */
export const peerSocket = (host: string): string => `peer-${host}:1`;
export const peerUrl = (host: string): string => `unix://${peerSocket(host)}`;

const Listed = z.object({
  members: z.array(z.object({ ID: z.string(), peerURLs: z.array(z.string()).default([]), isLearner: z.boolean().default(false) })).default([]),
});

/** As the member that is asked knows them. */
export async function listMembers(etcd: EtcdClient): Promise<EtcdMember[]> {
  const { members } = Listed.parse(await etcd.post('/v3/cluster/member/list', {}));
  return members.map(({ ID, peerURLs, isLearner }) => ({ id: ID, host: hostOf(peerURLs[0] ?? ''), learner: isLearner }));
}

/** The same after everything that was decided before the question. @throws StoreAwayError where there is no majority */
export async function listMembersNow(etcd: EtcdClient): Promise<EtcdMember[]> {
  // a read that goes through the majority; members are changed in the same order as records
  await etcd.post('/v3/kv/range', { key: Buffer.from('/').toString('base64'), count_only: true });
  return listMembers(etcd);
}

/** @throws StoreAwayError also while etcd has not yet seen all members for five seconds: it is careful */
export async function addLearner(etcd: EtcdClient, host: string): Promise<void> {
  await etcd.post('/v3/cluster/member/add', { peerURLs: [peerUrl(host)], isLearner: true });
}

/** Gives a learner its vote. @returns false while it has not got everything yet */
export async function giveVote(etcd: EtcdClient, id: string): Promise<boolean> {
  try {
    await etcd.post('/v3/cluster/member/promote', { ID: id });
    return true;
  } catch (error) {
    if (codeOf(error) === 'store-refused' && /in sync with leader/.test((error as Error).message)) return false;
    throw error;
  }
}

export async function removeMember(etcd: EtcdClient, id: string): Promise<void> {
  await etcd.post('/v3/cluster/member/remove', { ID: id });
}

/** A member that was alone until now may have an address of its first days. */
export async function moveMember(etcd: EtcdClient, id: string, host: string): Promise<void> {
  await etcd.post('/v3/cluster/member/update', { ID: id, peerURLs: [peerUrl(host)] });
}

function hostOf(url: string): string {
  return /^unix:\/\/peer-(.+):1$/.exec(url)?.[1] ?? '';
}
