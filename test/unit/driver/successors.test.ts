import { expect, test } from 'vitest';
import { announcement } from '../../../driver/kernel/announce.ts';
import type { Operation } from '../../../driver/overlay/diff.ts';
import { Successors } from '../../../driver/overlay/successors.ts';

const entry = (ip: string, mac: string) => ({ dev: 'cb1', ip, mac });
const set = (ip: string, mac: string): Operation => ({ do: 'neighbour', why: '', entry: entry(ip, mac) });
const unset = (ip: string, mac: string): Operation => ({ do: 'unneighbour', why: '', entry: entry(ip, mac) });

test('an announcement is what RFC 5227 says', () => {
  expect(announcement({ ip: '10.42.0.254', mac: '02:42:0a:2a:00:fe' }).toString('hex')).toBe(
    'ffffffffffff' + '02420a2a00fe' + '0806' + '0001' + '0800' + '0604' + '0001' + '02420a2a00fe' + '0a2a00fe' + '000000000000' + '0a2a00fe',
  );
});

test('an address that comes back with another MAC is announced, at once or after a while', () => {
  const successors = new Successors();
  expect(successors.among([set('10.42.0.2', '02:00:00:00:00:01'), set('10.42.0.3', '02:00:00:00:00:03')])).toEqual([]);
  expect(successors.among([unset('10.42.0.2', '02:00:00:00:00:01')])).toEqual([]);
  expect(successors.among([set('10.42.0.2', '02:00:00:00:00:02')])).toEqual([entry('10.42.0.2', '02:00:00:00:00:02')]);
  expect(successors.among([set('10.42.0.2', '02:00:00:00:00:02'), set('10.42.0.3', '02:00:00:00:00:03')])).toEqual([]);
  expect(successors.among([set('10.42.0.2', '02:00:00:00:00:05')])).toEqual([entry('10.42.0.2', '02:00:00:00:00:05')]);
});
