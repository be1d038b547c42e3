import dns, { type Answer, type DecodedPacket } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { answer } from '../../../driver/names/answer.ts';
import { Directory } from '../../../driver/names/directory.ts';
import type { Claim, Network } from '../../../driver/overlay/records.ts';

const network = (key: string, name?: string): Network => ({ key, subnet: key.replace('-', '/'), gateway: '10.42.0.1', vni: 1, mtu: 1450, options: {}, internal: false, ...(name ? { name } : {}) });
const [SHOP, YARD] = ['10.42.0.0-24', '10.43.0.0-24'] as const;
const networks = new Map([[SHOP, network(SHOP, 'shop')], [YARD, network(YARD)]]);
const claims = new Map<string, Claim>();
const directory = new Directory({ networks, claims });
const names = directory.of(() => [SHOP]);

function claim(key: string, ip: string, ...known: string[]): void {
  claims.set(`${key}/${ip}`, { network: key, ip, host: 'a', epoch: 1, mac: '02:42:00:00:00:01', names: known });
  directory.forget();
}

claim(SHOP, '10.42.0.2', 'web', 'www', 'API');
claim(SHOP, '10.42.0.10', 'web2', 'www');
claim(YARD, '10.43.0.2', 'dog');
claims.set(`${SHOP}/10.42.0.12`, { network: SHOP, ip: '10.42.0.12', ip6: 'fd00:1::c', host: 'a', epoch: 1, mac: '02:42:00:00:00:02', names: ['both'] });
claims.set(`${SHOP}/fd00:1::c`, { network: SHOP, ip: 'fd00:1::c', host: 'a', epoch: 1 });

interface Question { type?: string; id?: number; udp?: number; flags?: number; count?: number; kind?: 'query' | 'response' }

function question(name: string, { type = 'A', id = 7, udp, flags = 0, count = 1, kind = 'query' }: Question = {}): Buffer {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: udp, flags: 0, options: [] } as unknown as Answer;
  return dns.encode({ type: kind, id, flags, questions: Array.from({ length: count }, () => ({ type: type as 'A', name, class: 'IN' as const })), additionals: udp === undefined ? [] : [opt] });
}

function ask(name: string, options?: Question, of = names): { addresses: unknown[]; packet: DecodedPacket & { rcode?: string }; size: number } | undefined {
  const reply = answer(question(name, options), of);
  if (!reply) return undefined;
  const packet = dns.decode(reply);
  return { addresses: (packet.answers ?? []).map((record) => ('data' in record ? record.data : undefined)).sort(), packet, size: reply.length };
}

describe('an answer', () => {
  it.each([['web'], ['WEB'], ['wEb.Shop'], ['api'], ['web.']])('is given to %s', (name) => {
    expect(ask(name)?.addresses).toEqual(['10.42.0.2']);
  });

  it('repeats the question as it was asked, and may be kept for a second', () => {
    const { packet } = ask('WwW', { id: 4711, flags: dns.RECURSION_DESIRED })!;
    expect(packet).toMatchObject({ type: 'response', id: 4711, rcode: 'NOERROR', flag_tc: false, flag_rd: true, flag_ra: true });
    expect(packet.questions).toEqual([{ name: 'WwW', type: 'A', class: 'IN' }]);
    expect(packet.answers).toMatchObject([{ name: 'WwW', ttl: 1 }, { name: 'WwW', ttl: 1 }]);
  });

  it('has all addresses of a name that several have, in changing order', () => {
    const orders = new Set<string>();
    for (let n = 0; n < 100; n++) orders.add(dns.decode(answer(question('www'), names)!).answers!.map((record) => (record as { data: string }).data).join());
    expect([...orders].sort()).toEqual(['10.42.0.10,10.42.0.2', '10.42.0.2,10.42.0.10']);
  });

  it('says that a container has no IPv6 address, instead of asking the world', () => {
    for (const type of ['AAAA', 'MX', 'TXT', 'HTTPS']) expect(ask('web', { type })).toMatchObject({ addresses: [], packet: { rcode: 'NOERROR' } });
  });

  it('has the addresses of the family that is asked for', () => {
    expect(ask('both')?.addresses).toEqual(['10.42.0.12']);
    expect(ask('both.shop', { type: 'AAAA' })?.addresses).toEqual(['fd00:1::c']);
    expect(ask('both', { type: 'ANY' })?.addresses).toEqual(['10.42.0.12']);
    const reverse = 'c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa';
    expect(ask(reverse, { type: 'PTR' })?.addresses).toEqual(['both.shop']);
    expect(ask(reverse.replace('c.', 'D.'), { type: 'PTR' })).toBeUndefined();
    expect(ask(reverse.slice(2), { type: 'PTR' })).toBeUndefined();
  });

  it('says whose an address is', () => {
    expect(ask('10.0.42.10.in-addr.arpa', { type: 'PTR' })?.addresses).toEqual(['web2.shop']);
    expect(ask('9.0.42.10.in-addr.arpa', { type: 'PTR' })).toBeUndefined();
  });

  it('is not given to what is no name of the networks one is on', () => {
    for (const name of ['nobody', 'web.yard', 'dog', 'example.com', 'web.example.com', '']) expect(ask(name), name).toBeUndefined();
    expect(ask('2.0.43.10.in-addr.arpa', { type: 'PTR' })).toBeUndefined();
    expect(ask('dog', {}, directory.of(() => [SHOP, YARD]))?.addresses).toEqual(['10.43.0.2']);
  });

  it('follows the records', () => {
    claim(SHOP, '10.42.0.11', 'late');
    expect(ask('late')?.addresses).toEqual(['10.42.0.11']);
    claims.delete(`${SHOP}/10.42.0.11`);
    directory.forget();
    expect(ask('late')).toBeUndefined();
  });

  it('leaves out what does not fit, without sending anybody to TCP', () => {
    const many = new Directory({ networks, claims: new Map(Array.from({ length: 200 }, (_, n) => [`${SHOP}/10.42.0.${n}`, { network: SHOP, ip: `10.42.0.${n}`, host: 'a', epoch: 1, names: ['many'] }])) }).of(() => [SHOP]);
    const small = ask('many', {}, many)!;
    expect(small.size).toBeLessThanOrEqual(512);
    expect(small.addresses.length).toBeGreaterThan(20);
    expect(small.packet.flag_tc).toBe(false);
    const wider = ask('many', { udp: 1232 }, many)!;
    expect(wider.size).toBeLessThanOrEqual(1232);
    expect(wider.addresses.length).toBeGreaterThan(small.addresses.length);
    expect(wider.packet.additionals).toMatchObject([{ type: 'OPT' }]);
    expect(ask('many', { udp: 65_535 }, many)!.size).toBeLessThanOrEqual(4096);
  });

  it('is not given to what is no plain question', () => {
    expect(ask('web', { kind: 'response' })).toBeUndefined();
    expect(ask('web', { count: 2 })).toBeUndefined();
    expect(ask('web', { count: 0 })).toBeUndefined();
    // an update, RFC 2136
    expect(ask('web', { flags: 5 << 11 })).toBeUndefined();
  });

  it('is never an error, whatever comes', () => {
    const good = question('web', { udp: 1232 });
    for (let length = 0; length < good.length; length++) answer(good.subarray(0, length), names);
    // a name that is a pointer to itself
    expect(answer(Buffer.from('000701000001000000000000c00c00010001', 'hex'), names)).toBeUndefined();
    for (let round = 0; round < 3_000; round++) {
      const bad = Buffer.from(good);
      for (let n = 0; n < 3; n++) bad[Math.floor(Math.random() * bad.length)] = Math.floor(Math.random() * 256);
      answer(bad, names);
    }
  });
});
