import { expect, test } from 'vitest';
import { featuresIn } from '../../../plugin/migration/cpu.ts';
import { strangers } from '../../../plugin/migration/sessions.ts';
import { connectedOutside } from '../../../plugin/migration/sockets.ts';
import { waiting } from '../../../plugin/migration/standstill.ts';

test('what programs use of a processor, of the kernel\'s business nothing', () => {
  const one = 'processor\t: 0\nflags\t\t: fpu sse2 constant_tsc avx512f avx2 hypervisor sse4_1 pti\nbugs\t\t: spectre_v1\n';
  expect(featuresIn(`${one}\n${one.replace('avx512f ', '')}`)).toEqual(['sse2', 'avx2', 'sse4_1']);
  expect(featuresIn('Features\t: fp asimd sve2\n')).toEqual(['fp', 'asimd', 'sve2']);
  expect(featuresIn('')).toEqual([]);
});

test('a connection that waits to be accepted', () => {
  const table = (queue: string, state = '0A'): string => `  sl  local_address rem_address   st tx_queue rx_queue tr\n   0: 0B00007F:1B58 00000000:0000 ${state} 00000000:${queue} 00:00000000 00000000     0        0 14348170 1\n`;
  expect(waiting(table('00000000'))).toBeUndefined();
  expect(waiting(table('0000000A'))).toBe(7000);
  // bytes that an established one has not read
  expect(waiting(table('0000000A', '01'))).toBeUndefined();
  expect(waiting(table('00000001').replace('0B00007F', '00000000000000000000000001000000'))).toBe(7000);
  expect(waiting('')).toBeUndefined();
});

test('a unix socket whose other end is elsewhere', () => {
  const inside = 'u_str ESTAB  0      0                  * 11            * 12\nu_str ESTAB 0 0 /run/one 12 * 11 \nu_str ESTAB 0 0 /run/a name 21 * 22\nu_str ESTAB 0 0 * 22 * 21\nu_str LISTEN 0      128     /data/a socket 13            * 0\nu_dgr UNCONN 0 0 * 14 * 0\n';
  const held = new Set(['11', '12', '13', '14', '15', '21', '22']);
  expect(connectedOutside(inside, held)).toBeUndefined();
  // somebody else's, in the same network namespace
  expect(connectedOutside(`${inside}u_str ESTAB 0 0 * 31 * 32\n`, held)).toBeUndefined();
  expect(connectedOutside(`${inside}u_str ESTAB 0 0 * 15 * 0\n`, held)).toBeUndefined();
  expect(connectedOutside(`${inside}u_str ESTAB  0      0                  * 15            * 16\nu_str ESTAB 0 0 * 16 * 15\n`, held)).toBe('');
  expect(connectedOutside(`${inside}u_str ESTAB  0      0     /run/two 15            * 16\n`, held)).toBe(' (/run/two)');
});

test('what has come into a container from outside, but for its health check', () => {
  const processes = [
    { pid: 7, parent: 1, argv: ['server'] },
    { pid: 8, parent: 7, argv: ['worker'] },
    { pid: 9, parent: 1, argv: ['sh', '-c', 'top'] },
    { pid: 10, parent: 9, argv: ['top'] },
    { pid: 11, parent: 1, argv: ['/bin/sh', '-c', 'curl'] },
    { pid: 12, parent: 1, argv: [] },
    { pid: 13, parent: 1, argv: ['runc', 'init'] },
  ];
  expect(strangers(7, processes, ['/bin/sh', '-c', 'curl'])).toEqual([['sh', '-c', 'top']]);
  expect(strangers(7, processes.slice(0, 2), undefined)).toEqual([]);
});
