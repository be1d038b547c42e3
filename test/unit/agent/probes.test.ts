import { expect, test } from 'vitest';
import { probeFrame, probeRules, probeTable } from '../../../plugin/agent/probes/frame.ts';

test('a probe is a VXLAN frame of no network, and is counted by the address that it comes from', () => {
  const frame = probeFrame(0x0a0b0c0d);
  // the flag of RFC 7348 and VNI 0; the least that Ethernet carries
  expect([frame.subarray(0, 8).toString('hex'), frame.length]).toEqual(['0800000000000000', 8 + 60]);
  const rules = probeRules(0x0a0b0c0d, 4799);
  const [, offset, length, value] = /udp dport 4799 @th,(\d+),(\d+) 0x([0-9a-f]+) counter name left/.exec(rules)!;
  // from the beginning of UDP, whose head has 8 bytes
  const at = Number(offset) / 8 - 8;
  expect(frame.subarray(at, at + Number(length) / 8).toString('hex')).toBe(value);
  expect(rules).toMatch(/^table inet coat-probe-0a0b0c0d \{/);
  expect(rules).not.toMatch(/drop|reject|accept(?!;)/);
  expect(probeTable(1)).toBe('inet coat-probe-00000001');
});
