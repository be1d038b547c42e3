import type { Duplex } from 'node:stream';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { adviceOn, checkDemotion, checkPromotion } from '../../../plugin/agent/cluster/keeping.ts';
import type { EtcdMember } from '../../../plugin/agent/etcd/members.ts';
import { oneOf } from '../../../plugin/agent/etcd/way.ts';

/** `h2?` is a learner, `h3!` does not answer. */
function electorate(text: string): { members: EtcdMember[]; well: Set<string> } {
  const words = text.split(' ');
  const members = words.map((word, id) => ({ id: String(id), host: word.slice(0, 2), learner: word.includes('?') }));
  return { members, well: new Set(words.filter((word) => !word.includes('!')).map((word) => word.slice(0, 2))) };
}

function codeOf(check: () => void): string {
  try {
    check();
    return 'may';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('keeping the store', () => {
  it.each([
    ['h1', 'h2', 'may'],
    ['h1', 'h1', 'keeps-already'],
    ['h1 h2', 'h3', 'may'],
    ['h1 h2!', 'h3', 'store-unwell'],
    ['h1 h2?', 'h2', 'may'],
    ['h1 h2?', 'h3', 'store-busy'],
    ['h1 h2!?', 'h2', 'may'],
    ['h1 h2 h3 h4', 'h5', 'may'],
    ['h1 h2 h3 h4 h5', 'h6', 'store-full'],
  ])('with %s, %s is promoted: %s', (present, host, answer) => {
    expect(codeOf(() => checkPromotion(host, electorate(present)))).toBe(answer);
  });

  it.each([
    ['h1', 'h1', 'last-store'],
    ['h1', 'h2', 'keeps-not'],
    ['h1 h2', 'h2', 'may'],
    ['h1 h2', 'h1', 'may'],
    ['h1 h2!', 'h1', 'store-unwell'],
    ['h1 h2 h3!', 'h3', 'may'],
    ['h1 h2 h3!', 'h2', 'store-unwell'],
    ['h1 h2 h3 h4!', 'h3', 'may'],
    ['h1 h2 h3 h4! h5!', 'h4', 'may'],
    ['h1 h2!?', 'h2', 'may'],
  ])('with %s, %s is demoted: %s', (present, host, answer) => {
    expect(codeOf(() => checkDemotion(host, electorate(present)))).toBe(answer);
  });

  it('is advised against with an even number', () => {
    expect([1, 3, 5].map(adviceOn)).toEqual([undefined, undefined, undefined]);
    expect(adviceOn(2)).toBe('2 hosts keep the store, which stops when one of them is away, as with 1: promote one more');
    expect(adviceOn(4)).toBe('4 hosts keep the store, which stops when 2 of them are away, as with 3: promote one more');
  });
});

describe('the way to etcd', () => {
  const alive = new Set<string>();
  const asked: string[] = [];
  const place = (name: string): { name: string; connect: () => Promise<Duplex> } => ({
    name,
    connect: async () => {
      asked.push(name);
      if (!alive.has(name)) throw new Error(`${name} is away`);
      return new PassThrough();
    },
  });
  const went = async (way: { connect: () => Promise<Duplex> }): Promise<string> => {
    asked.length = 0;
    await way.connect().catch(() => asked.push('nowhere'));
    return asked.join(' ');
  };

  it('stays where it is, goes on when nobody answers there, and round in a circle', async () => {
    let names = ['h1', 'h2', 'h3'];
    const way = oneOf(() => names.map(place));
    for (const name of names) alive.add(name);
    expect(await went(way)).toBe('h1');
    alive.delete('h1');
    expect(await went(way)).toBe('h1 h2');
    expect(await went(way)).toBe('h2');
    expect(way.moveOn()).toBe(true);
    expect(await went(way)).toBe('h3');
    alive.delete('h3');
    expect(await went(way)).toBe('h3 h1 h2');
    alive.clear();
    expect(await went(way)).toBe('h2 h3 h1 nowhere');
    names = ['h4'];
    alive.add('h4');
    expect(await went(way)).toBe('h4');
    expect(way.moveOn()).toBe(false);
  });

  it('is none where nobody keeps the store', async () => {
    const way = oneOf(() => []);
    expect([way.moveOn(), await went(way)]).toEqual([false, 'nowhere']);
  });
});
