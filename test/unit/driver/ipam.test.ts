import { describe, expect, it } from 'vitest';
import { formatAddress, formatSubnet, isUsable, overlap, parseAddress, parseSubnet } from '../../../driver/ipam/address.ts';
import { chooseSubnet, formatAddressPool, parseAddressPool, routesInto } from '../../../driver/ipam/choose.ts';
import { defaultGateway, makePool, parsePoolId, pickFree, poolId } from '../../../driver/ipam/pool.ts';

describe('addresses', () => {
  it.each(['0.0.0.0', '10.42.0.5', '192.168.255.1', '255.255.255.255'])('reads and writes %s', (text) => {
    expect(formatAddress(parseAddress(text))).toBe(text);
  });
  it.each(['', '10.42.0', '10.42.0.256', '10.42.0.5.1', 'a.b.c.d', '10.42.0.5/24', '010.1.1.1', 'fe80::1%eth0', '::ffff:10.42.0.5', 'fd00::1::2', 'fd00'])('refuses %j', (text) => {
    expect(() => parseAddress(text)).toThrow(/not an IP address/);
  });
  it('clears host bits', () => {
    expect(formatSubnet(parseSubnet('10.42.7.9/20'))).toBe('10.42.0.0/20');
    expect(formatSubnet(parseSubnet('200.1.2.3/32'))).toBe('200.1.2.3/32');
  });
  it.each(['10.42.0.0', '10.42.0.0/33', '10.42.0.0/', '10.42.0.0/-1', '10.42.0.0/1e1'])('refuses the subnet %j', (text) => {
    expect(() => parseSubnet(text)).toThrow();
  });
  it('knows what overlaps', () => {
    const overlaps = (a: string, b: string) => overlap(parseSubnet(a), parseSubnet(b));
    expect(overlaps('10.0.0.0/8', '10.42.0.0/24')).toBe(true);
    expect(overlaps('10.42.0.0/24', '10.0.0.0/8')).toBe(true);
    expect(overlaps('10.42.0.0/24', '10.42.1.0/24')).toBe(false);
  });
  it('keeps the network and broadcast addresses free', () => {
    const subnet = parseSubnet('10.42.0.0/30');
    expect([0n, 1n, 2n, 3n].map((offset) => isUsable(subnet, subnet.base + offset))).toEqual([false, true, true, false]);
  });
});

describe('pools', () => {
  it('have ids that say all', () => {
    expect(poolId(makePool('10.42.0.0/24', ''))).toBe('coat/10.42.0.0/24');
    expect(poolId(makePool('10.42.0.0/24', '10.42.0.128/25'))).toBe('coat/10.42.0.0/24,10.42.0.128/25');
    for (const id of ['coat/10.42.0.0/24', 'coat/10.42.0.0/24,10.42.0.128/25']) expect(poolId(parsePoolId(id))).toBe(id);
    expect(() => parsePoolId('LocalDefault/10.0.0.0/8')).toThrow(/not an address pool of coat/);
  });
  it('refuse what cannot be', () => {
    expect(() => makePool(undefined, undefined)).toThrow(/needs a subnet/);
    expect(() => makePool('10.42.0.0/24', '10.43.0.0/25')).toThrow(/not inside/);
    expect(() => makePool('10.42.0.0/24', '10.42.0.0/16')).toThrow(/not inside/);
    expect(() => makePool('10.42.0.0/31', '')).toThrow(/prefix length/);
    expect(() => makePool('0.0.0.0/0', '')).toThrow(/prefix length/);
  });
  it('take the first address as gateway', () => expect(defaultGateway(parseSubnet('10.42.0.0/24'))).toBe('10.42.0.1'));
});

describe('the next free address', () => {
  const pick = (subnet: string, range: string, taken: string[], after?: string) => {
    const found = pickFree(makePool(subnet, range), (address) => taken.includes(formatAddress(address)), after && parseAddress(after) || undefined);
    return found && formatAddress(found);
  };
  it('is the lowest', () => expect(pick('10.42.0.0/24', '', ['10.42.0.1'])).toBe('10.42.0.2'));
  it('goes round', () => {
    expect(pick('10.42.0.0/29', '', ['10.42.0.1'], '10.42.0.5')).toBe('10.42.0.6');
    expect(pick('10.42.0.0/29', '', ['10.42.0.1'], '10.42.0.6')).toBe('10.42.0.2');
    expect(pick('10.42.0.0/29', '', ['10.42.0.1', '10.42.0.2', '10.42.0.6'], '10.42.0.5')).toBe('10.42.0.3');
  });
  it('stays in the range', () => {
    expect(pick('10.42.0.0/24', '10.42.0.128/25', [])).toBe('10.42.0.128');
    expect(pick('10.42.0.0/24', '10.42.0.128/25', [], '10.42.0.254')).toBe('10.42.0.128');
    expect(pick('10.42.0.0/24', '10.42.0.128/25', [], '10.42.0.5')).toBe('10.42.0.128');
  });
  it('is none when all are taken', () => expect(pick('10.42.0.0/30', '', ['10.42.0.1', '10.42.0.2'])).toBeUndefined());
});

describe('the pool of subnets', () => {
  const choose = (pool: string, ...taken: string[]) => {
    const found = chooseSubnet(parseAddressPool(pool), taken.map(parseSubnet));
    return found && formatSubnet(found);
  };
  it.each([
    ['10.213.0.0/16', '10.213.0.0/16,size=24'],
    ['10.213.7.9/16,size=26', '10.213.0.0/16,size=26'],
    ['10.213.0.0/28', '10.213.0.0/28,size=28'],
  ])('%s is %s', (text, whole) => expect(formatAddressPool(parseAddressPool(text))).toBe(whole));
  it.each(['', '10.213.0.0', '10.213.0.0/16,24', '10.213.0.0/16,size=15', '10.213.0.0/16,size=31', '10.213.0.0/31'])('cannot be %j', (text) => {
    expect(() => parseAddressPool(text)).toThrow();
  });
  it('gives the lowest that overlaps nothing', () => {
    expect(choose('10.213.0.0/16')).toBe('10.213.0.0/24');
    expect(choose('10.213.0.0/16', '10.213.0.128/25', '10.213.2.0/24', '192.168.0.0/16')).toBe('10.213.1.0/24');
    expect(choose('10.213.0.0/16', '10.213.0.0/17')).toBe('10.213.128.0/24');
    expect(choose('10.213.0.0/16,size=30', '10.213.0.0/30', '10.213.0.5/32')).toBe('10.213.0.8/30');
  });
  it('is empty when something lies over all of it', () => {
    expect(choose('10.213.0.0/16', '10.0.0.0/8')).toBeUndefined();
    expect(choose('10.213.0.0/23', '10.213.0.0/24', '10.213.1.7/32')).toBeUndefined();
  });
  it('is crossed by routes, but not by those to everywhere', () => {
    const routes = ['0.0.0.0/1', '10.0.0.0/8', '10.213.9.0/24', '172.17.0.0/16', '192.168.0.1/32'];
    expect(routesInto(parseAddressPool('10.213.0.0/16'), routes)).toEqual(['10.0.0.0/8', '10.213.9.0/24']);
  });
});
