import dns, { type Answer } from 'dns-packet';
import { type Family, familyOf, formatAddress } from '../ipam/address.ts';
import type { Names } from './directory.ts';

/** How long an answer may be kept, s: a container that is started again may have another address. */
const TTL_S = 1;
/** What fits where the question does not say how much does, RFC 1035 §4.2.1; and the most we send. Bytes. */
const SMALLEST = 512;
const LARGEST = 4096;

/** dns-packet decodes more than its types say. */
type Query = dns.DecodedPacket & { opcode?: string };

/**
 * The answer to a question about a container of the cluster.
 *
 * What does not fit is left out, and the answer is not marked as truncated: that would send the client to TCP and so to
 * Docker, which knows nobody elsewhere. Any of several addresses is as good as another, so their order is by chance.
 *
 * @returns `undefined` for everything else, which is Docker's to answer: other names, and what is no question at all
 */
export function answer(message: Buffer, names: Names): Buffer | undefined {
  try {
    const query = dns.decode(message) as Query;
    const [question, ...more] = query.questions ?? [];
    if (query.type !== 'query' || query.opcode !== 'QUERY' || !question || more.length > 0 || question.class !== 'IN') return undefined;
    const found = look(question.name, question.type, names);
    if (!found) return undefined;
    const edns = query.additionals?.find((record) => record.type === 'OPT');
    const room = Math.min(LARGEST, Math.max(SMALLEST, edns?.udpPayloadSize ?? 0));
    const flags = dns.AUTHORITATIVE_ANSWER | dns.RECURSION_AVAILABLE | ((query.flags ?? 0) & dns.RECURSION_DESIRED);
    const reply = (count: number): Buffer =>
      dns.encode({ type: 'response', id: query.id ?? 0, flags, questions: [question], answers: found.slice(0, count), additionals: edns ? [OPT] : [] });
    const each = found.length > 0 ? reply(1).length - reply(0).length : 1;
    return reply(Math.floor((room - reply(0).length) / each));
  } catch {
    return undefined;
  }
}

/** Says that we know extensions exist, RFC 6891 §6.1.1. */
const OPT: Answer = { type: 'OPT', name: '.', udpPayloadSize: LARGEST, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };

/** The records to answer with. None for a container that is known but has nothing of this type. */
function look(asked: string, type: string, names: Names): Answer[] | undefined {
  const name = asked.toLowerCase().replace(/\.$/, '');
  if (type === 'PTR') {
    const ip = addressIn(name);
    const data = ip === undefined ? undefined : names.nameOf(ip);
    return data === undefined ? undefined : [{ type: 'PTR', name: asked, ttl: TTL_S, data }];
  }
  const addresses = names.addresses(name);
  const family = FAMILIES[type];
  if (!addresses || family === undefined) return addresses && [];
  return shuffled(addresses.filter((address) => familyOf(address) === family)).map((data) => ({ type: family === 4 ? 'A' : 'AAAA', name: asked, ttl: TTL_S, data }));
}

/** What is answered with which addresses. To ANY, part of what there is will do (RFC 8482 §4.1). */
const FAMILIES: Record<string, Family | undefined> = { A: 4, ANY: 4, AAAA: 6 };

/** The address that a name stands for when its name is asked for: RFC 1035 §3.5, and RFC 3596 §2.5 for IPv6. */
function addressIn(name: string): string | undefined {
  const four = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name);
  if (four) return four.slice(1).reverse().join('.');
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  return six ? formatAddress(BigInt(`0x${six[1]!.split('.').reverse().join('')}`)) : undefined;
}

function shuffled<T>(values: readonly T[]): T[] {
  return values.map((value) => ({ value, at: Math.random() })).sort((a, b) => a.at - b.at).map(({ value }) => value);
}
