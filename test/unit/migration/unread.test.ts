import { expect, test } from 'vitest';
import { endingBy } from '../../../plugin/criu/ending.ts';
import { byEndpoint, each, waitingIn } from '../../../plugin/migration/unread.ts';

const one = (to: string, text: string, from = '10.42.0.3') => ({ from, fromPort: 9, to, toPort: 7, traffic: 0, hops: 64, data: Buffer.from(text) });

test('sockets that nobody has read yet are found', () => {
  const table = (queue: string): string => [
    '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
    '  411: 00000000:2B67 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 25021 2 0000000000000000 0',
    `  412: 00000000:2B68 00000000:0000 07 00000000:${queue} 00:00000000 00000000     0        0 25022 2 0000000000000000 0`,
  ].join('\n');
  expect(waitingIn(table('00000000'))).toEqual([]);
  expect(waitingIn(table('00000300'))).toEqual([{ inode: '25022', port: 0x2b68, room: 0x300 }]);
  expect(waitingIn('')).toEqual([]);
});

test('what went to many is put in once, what went to one as often as it came', () => {
  const own = ['10.42.0.2'];
  const [mine, many] = [one('10.42.0.2', 'x'), one('239.1.1.1', 'y')];
  expect(each([[mine, mine], [mine]], own)).toEqual([mine, mine, mine]);
  expect(each([[many, mine], [many, many]], own)).toEqual([many, mine, many]);
});

test('each goes in by the endpoint it had come through', () => {
  const [shop, back] = [{ ip: '10.42.0.2', prefixLength: 24 }, { ip: '10.43.0.2', prefixLength: 24, ip6: 'fd00:43::2', prefixLength6: 64 }];
  const [plain, many, six, far] = [one('10.43.0.2', 'a', '192.0.2.1'), one('239.1.1.1', 'b', '10.43.0.9'), one('ff02::1', 'c', 'fd00:43::9'), one('239.1.1.1', 'd', '192.0.2.1')];
  const found = byEndpoint([plain, many, six, far], [shop, back]);
  expect(found.get(back)).toEqual([plain, many, six]);
  expect(found.get(shop)).toEqual([far]);
});

test('a process that has ended, or that a signal has ended while it is frozen', () => {
  const status = (state: string, { threads = 1, pending = '0' } = {}): string => `Name:\tx\nState:\t${state} (any)\nThreads:\t${threads}\nSigPnd:\t0000000000000000\nShdPnd:\t${pending.padStart(16, '0')}\n`;
  expect(['S', 'D', 't', 'T'].map((state) => endingBy(status(state)))).toEqual([false, false, false, false]);
  expect([endingBy(status('Z')), endingBy(status('X')), endingBy(status('Z', { threads: 3 }))]).toEqual([true, true, false]);
  expect([endingBy(status('D', { pending: '100' })), endingBy(status('D', { pending: '4000' }))]).toEqual([true, false]);
});
