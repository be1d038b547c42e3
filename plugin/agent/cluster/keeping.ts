import { CoatError } from '../../../driver/host/errors.ts';
import { type EtcdMember, MOST_VOTERS } from '../etcd/members.ts';

/** What a change of the store's hosts is judged by. */
export interface Electorate {
  members: readonly EtcdMember[];
  /** The hosts whose etcd answers. */
  well: ReadonlySet<string>;
}

const voters = (members: readonly EtcdMember[]): string[] => members.filter(({ learner }) => !learner).map(({ host }) => host);
const majority = (count: number): number => Math.floor(count / 2) + 1;

/** @throws CoatError `keeps-already`, `store-busy`, `store-full`, `store-unwell` */
export function checkPromotion(host: string, { members, well }: Electorate): void {
  const present = voters(members);
  if (present.includes(host)) throw new CoatError('keeps-already', `host ${host} keeps the store already`, { hint: 'docker coat status shows who does' });
  const other = members.find((member) => member.learner && member.host !== host);
  if (other !== undefined) {
    throw new CoatError('store-busy', `host ${other.host} is just coming to keep the store`, { hint: `one at a time; if it does not come to an end, take it back: docker coat demote ${other.host}` });
  }
  if (present.length >= MOST_VOTERS) throw new CoatError('store-full', `${MOST_VOTERS} hosts keep the store already, and more make it only slower`, { hint: 'docker coat demote takes one out' });
  const ill = present.filter((name) => !well.has(name));
  if (ill.length > 0) throw new CoatError('store-unwell', `the store on ${ill.join(', ')} does not answer`, { hint: `bring it back, or take it out first: docker coat demote ${ill[0]}` });
}

/** @throws CoatError `keeps-not`, `last-store`, `store-unwell` */
export function checkDemotion(host: string, { members, well }: Electorate): void {
  const member = members.find((each) => each.host === host);
  if (member === undefined) throw new CoatError('keeps-not', `host ${host} does not keep the store`, { hint: 'docker coat status shows who does' });
  if (member.learner) return;
  const rest = voters(members).filter((name) => name !== host);
  if (rest.length === 0) throw new CoatError('last-store', `host ${host} is the only one that keeps the store`, { hint: 'let another one keep it first: docker coat promote HOST' });
  const alive = rest.filter((name) => well.has(name));
  if (alive.length >= majority(rest.length)) return;
  throw new CoatError('store-unwell', `of the hosts that would be left, ${rest.filter((name) => !well.has(name)).join(', ')} cannot be asked: the store would stop`, { hint: 'bring them back first' });
}

/** Why an even number of hosts is none to stay at; `undefined` for an odd one. */
export function adviceOn(count: number): string | undefined {
  if (count % 2 === 1) return undefined;
  return `${count} hosts keep the store, which stops when ${count === 2 ? 'one of them is' : `${count / 2} of them are`} away, as with ${count - 1}: promote one more`;
}
