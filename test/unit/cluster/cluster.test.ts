import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { chooseAddress, checkHostName } from '../../../plugin/agent/cluster/enter.ts';
import type { Identity } from '../../../plugin/agent/cluster/identity.ts';
import { Members } from '../../../plugin/agent/cluster/members.ts';
import { checkNewcomer, type JoinRequest } from '../../../plugin/agent/cluster/protocol.ts';
import { checkToken, createToken, formatToken, keyOfToken, lookAtToken, parseToken } from '../../../plugin/agent/cluster/tokens.ts';
import { milliseconds } from '../../../plugin/cli/verbs/cluster.ts';
import { tempDir } from '../driver/support.ts';

const HOUR = 3_600_000;

describe('a token', () => {
  const token = { hosts: [{ address: '10.0.0.1', key: 'cd'.repeat(32) }, { address: '10.0.0.2', key: 'ef'.repeat(32) }], port: 7947, fingerprint: 'ab'.repeat(32), secret: '0123456789abcdef' };

  it('is one word, and can be read again', () => {
    expect(formatToken(token)).toMatch(/^coat1\.[\w-]+$/);
    expect(parseToken(formatToken(token))).toEqual(token);
  });

  it.each([[''], ['coat1.'], ['coat2.abc'], [formatToken({ ...token, hosts: [] })], [formatToken({ ...token, hosts: [{ address: 'h1', key: 'cd'.repeat(32) }] })], [formatToken({ ...token, port: 0 })], [formatToken(token).slice(0, -8)]])('"%s" is none', (text) => {
    expect(() => parseToken(text)).toThrow('this is not a token of a coat cluster');
  });

  it('lets one host in, and not two at the same time', async () => {
    const store = new MemoryStore();
    const secret = await createToken(store, HOUR);
    const now = Date.now();
    const writes = [await lookAtToken(store, secret, 'h2', now), await lookAtToken(store, secret, 'h3', now)];
    const outcomes = await Promise.allSettled(writes.map((write) => store.putAll([write])));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(lookAtToken(store, secret, 'h4', now)).rejects.toMatchObject({ code: 'token-used', message: expect.stringMatching(/by host h[23]:/) as string });
  });

  it('is good for its time, and its secret is not in the store', async () => {
    const store = new MemoryStore();
    const secret = await createToken(store, HOUR, 1_000);
    await lookAtToken(store, secret, 'h2', 1_000 + HOUR - 1);
    await expect(lookAtToken(store, secret, 'h2', 1_000 + HOUR)).rejects.toMatchObject({ code: 'token-expired' });
    await expect(lookAtToken(store, 'another secret', 'h2', 1_000)).rejects.toMatchObject({ code: 'token-unknown' });
    expect(JSON.stringify(await store.list(''))).not.toContain(secret);
  });

  it('that is long over is forgotten when another is made', async () => {
    const store = new MemoryStore();
    const [old, recent] = [await createToken(store, HOUR, 0), await createToken(store, HOUR, 25 * HOUR - 1)];
    const fresh = await createToken(store, HOUR, 25 * HOUR + 1);
    expect((await store.list('tokens/')).entries.map(({ key }) => key).sort()).toEqual([recent, fresh].map(keyOfToken).sort());
    expect(await store.get(keyOfToken(old))).toBeUndefined();
  });

  it.each([[30_000, 'less than a minute'], [60_000, 'a minute'], [50 * 60_000, '50 minutes'], [5 * HOUR, '5 hours']])('says for how long it has been over', (ms, text) => {
    expect(() => checkToken({ expires: 0 }, ms)).toThrow(`expired ${text} ago`);
  });
});

describe('a newcomer', () => {
  const wanted: JoinRequest = { version: '1.0.0', now: 10 * HOUR, secret: 's', name: 'h3', address: '10.0.0.3', request: '', vxlanPort: 4798, pool: '10.213.0.0/16,size=24' };
  const present = { name: 'h1', version: '1.0.0', now: 10 * HOUR, vxlanPort: 4798, pool: '10.213.0.0/16,size=24', members: [{ name: 'h1', address: '10.0.0.1' }, { name: 'h2', address: '10.0.0.2' }] };

  it('is let in', () => {
    expect(() => checkNewcomer(wanted, present)).not.toThrow();
    expect(() => checkNewcomer({ ...wanted, now: wanted.now - 299_000 }, present)).not.toThrow();
  });

  it.each([
    [{ version: '2.0.0' }, 'other-version', 'this host has coat 2.0.0, and host h1 has 1.0.0'],
    [{ vxlanPort: 4789 }, 'other-settings', 'the tunnels of this host use UDP port 4789, and those of host h1 4798: COAT_VXLAN_PORT differs'],
    [{ pool: '10.99.0.0/16,size=24' }, 'other-settings', 'this host chooses subnets from 10.99.0.0/16,size=24, and host h1 from 10.213.0.0/16,size=24: COAT_POOL differs'],
    [{ now: 11 * HOUR }, 'clock', 'the clock of this host is 60 minutes ahead of that of host h1'],
    [{ now: 10 * HOUR - 360_000 }, 'clock', 'the clock of this host is 6 minutes behind that of host h1'],
    [{ name: 'h2' }, 'name-taken', 'there is a host h2 in the cluster already'],
    [{ address: 'fd00::3' }, 'other-family', 'the hosts of the cluster reach each other by IPv4, and fd00::3 is not of it'],
    [{ address: '10.0.0.2' }, 'address-taken', 'the address 10.0.0.2 is that of host h2'],
  ])('with %j is told why not', (difference, code, message) => {
    expect(() => checkNewcomer({ ...wanted, ...difference }, present)).toThrow(expect.objectContaining({ code, message, hint: expect.stringMatching(/\S/) as string }) as Error);
  });
});

describe('the address of a host', () => {
  it('is its only one, or the one that is said', () => {
    expect(chooseAddress(undefined, ['10.0.0.1'])).toBe('10.0.0.1');
    expect(chooseAddress('10.0.0.2', ['10.0.0.1', '10.0.0.2'])).toBe('10.0.0.2');
    expect(() => chooseAddress(undefined, ['10.0.0.1', '10.0.0.2'])).toThrow('several addresses: 10.0.0.1, 10.0.0.2');
    expect(() => chooseAddress(undefined, [])).toThrow('no IP address');
    expect(chooseAddress(undefined, ['10.0.0.1', 'fd00::1'])).toBe('10.0.0.1');
    expect(chooseAddress(undefined, ['fd00::1'])).toBe('fd00::1');
    expect(chooseAddress('FD00:0::1', ['10.0.0.1', 'fd00::1'])).toBe('fd00::1');
    expect(() => chooseAddress('10.0.0.3', ['10.0.0.1'])).toThrow('does not have the address 10.0.0.3');
  });

  it('goes with a name that is one', () => {
    expect(checkHostName('web-1')).toBe('web-1');
    for (const name of ['Web', 'a.b', '-a', '']) expect(() => checkHostName(name)).toThrow('cannot be the name of a host');
  });
});

describe('members', () => {
  const [h1, h2, h3] = ['1', '2', '3'].map((n) => ({ name: `h${n}`, address: `10.0.0.${n}`, key: n })) as [Identity['me'], Identity['me'], Identity['me']];
  const identity: Identity = { me: h2, first: h1, authority: '', certificate: '', key: '' };

  it('are this host and the first one, before anything is known', async () => {
    const members = await Members.load(identity, join(tempDir(), 'members.json'), silent);
    expect([members.me, members.storeHosts(), members.all()]).toEqual([h2, [h1], [h1, h2]]);
  });

  it('follow the records, and outlive the agent', async () => {
    const file = join(tempDir(), 'members.json');
    const members = await Members.load(identity, file, silent);
    let changes = 0;
    members.onChange(() => (changes += 1));
    members.replace([h1, h2, h3]);
    members.replace([h2, h3, h1]);
    expect([changes, members.find('h3')]).toEqual([1, h3]);
    await members.save();
    expect((await Members.load(identity, file, silent)).all()).toEqual([h1, h2, h3]);
    members.replace([h1, h2]);
    expect([changes, members.find('h3')]).toEqual([2, undefined]);
    await members.save();
    expect(await readFile(file, 'utf8')).not.toContain('h3');
  });

  it('are never those without a key, and never without the way to the store', async () => {
    const members = await Members.load(identity, join(tempDir(), 'members.json'), silent);
    members.replace([{ name: 'h3', address: '10.0.0.3' }]);
    expect(members.all()).toEqual([h1, h2]);
  });
});

describe('the time a token is good', () => {
  it.each([['90s', 90_000], ['30m', 1_800_000], ['12h', 12 * HOUR], ['7d', 168 * HOUR]])('%s', (text, ms) => expect(milliseconds(text)).toBe(ms));
  it.each([['0s'], ['8d'], ['1w'], ['h'], ['1.5h'], ['']])('"%s" is none', (text) => expect(() => milliseconds(text)).toThrow('is not how long a token can be good'));
});
