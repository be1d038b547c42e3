import { expect, test } from 'vitest';
import { type Datagram, packetsOf } from '../../../driver/kernel/packets.ts';

const four: Datagram = { from: '10.42.0.3', fromPort: 9, to: '10.42.0.2', toPort: 7000, traffic: 0x2e, hops: 63, data: Buffer.from('hello') };
const six: Datagram = { ...four, from: 'fd00:42::3', to: 'fd00:42::2' };

/** RFC 1071: with its own checksum in it the sum is all ones. */
function sum(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  let total = 0;
  for (let at = 0; at < even.length; at += 2) total += even.readUInt16BE(at);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
const pseudo = (length: number): Buffer => Buffer.from([0, 17, length >> 8, length & 255]);

test('a datagram of IPv4 is one packet with both checksums', () => {
  const [packet, ...more] = packetsOf(four, 1500);
  expect(more).toEqual([]);
  expect([packet!.length, packet!.readUInt16BE(2), packet![1], packet![8], packet![9]]).toEqual([33, 33, 0x2e, 63, 17]);
  expect([packet!.readUInt16BE(20), packet!.readUInt16BE(22), packet!.subarray(28).toString()]).toEqual([9, 7000, 'hello']);
  expect(sum(packet!.subarray(0, 20))).toBe(0xffff);
  expect(sum(Buffer.concat([packet!.subarray(12, 20), pseudo(13), packet!.subarray(20)]))).toBe(0xffff);
});

test('one of IPv6 as well', () => {
  const [packet] = packetsOf(six, 1500);
  expect([packet!.readUInt32BE(0), packet!.readUInt16BE(4), packet![6], packet![7]]).toEqual([0x62e00000, 13, 17, 63]);
  expect(sum(Buffer.concat([packet!.subarray(8, 40), pseudo(13), packet!.subarray(40)]))).toBe(0xffff);
});

test('what is larger than the path goes in fragments that are whole again', () => {
  const data = Buffer.from(Array.from({ length: 4001 }, (_, index) => index % 251));
  const old = packetsOf({ ...four, data }, 1450);
  expect(old.map((packet) => packet.length)).toEqual([1444, 1444, 1181]);
  expect(old.map((packet) => packet.readUInt16BE(6))).toEqual([0x2000, 0x2000 | 178, 356]);
  expect(new Set(old.map((packet) => packet.readUInt16BE(4))).size).toBe(1);
  expect(Buffer.concat(old.map((packet) => packet.subarray(20))).subarray(8)).toEqual(data);
  const later = packetsOf({ ...six, data }, 1450);
  expect(later.every((packet) => packet.length <= 1450 && packet[6] === 44 && packet[40] === 17)).toBe(true);
  expect(later.map((packet) => packet.readUInt16BE(42))).toEqual([1, 1400 | 1, 2800]);
  expect(Buffer.concat(later.map((packet) => packet.subarray(48))).subarray(8)).toEqual(data);
});
