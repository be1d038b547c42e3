import { describe, expect, test } from 'vitest';
import { chooseStrategy, type StrategyFacts } from '../../../plugin/migration/strategy.ts';

const MiB = 2 ** 20;
const able = { h1: undefined, h2: undefined };

describe('how the memory gets there', () => {
  test.each<[string, StrategyFacts, string]>([
    ['a small container is carried', { wanted: 'auto', lazy: 8 * MiB, hosts: able }, 'cold'],
    ['up to what nobody feels', { wanted: 'auto', lazy: 90 * MiB, hosts: able }, 'cold'],
    ['memory of a large one goes ahead', { wanted: 'auto', lazy: 256 * MiB, hosts: able }, 'precopy'],
    ['of a very large one too', { wanted: 'auto', lazy: 64 * 1024 * MiB, hosts: able }, 'precopy'],
    ['a slow link makes less much', { wanted: 'auto', lazy: 8 * MiB, link: 12.5e6, hosts: able }, 'precopy'],
    ['a quick link makes it no quicker than CRIU', { wanted: 'auto', lazy: 256 * MiB, link: 12.5e9, hosts: able }, 'precopy'],
    ['where it cannot go ahead it follows', { wanted: 'auto', lazy: 256 * MiB, hosts: able, notAhead: 'its kernel is old' }, 'postcopy'],
    ['who asks for precopy gets it', { wanted: 'precopy', lazy: 8 * MiB, hosts: able }, 'precopy'],
    ['where the destination cannot, it is carried', { wanted: 'auto', lazy: 256 * MiB, hosts: { h1: undefined, h2: 'its kernel has no userfaultfd for it' } }, 'cold'],
    ['where the source cannot, it is carried', { wanted: 'auto', lazy: 256 * MiB, hosts: { h1: 'its CRIU is 4.1, older than 4.2', h2: undefined } }, 'cold'],
    ['who asks for cold gets it', { wanted: 'cold', lazy: 64 * 1024 * MiB, hosts: able }, 'cold'],
    ['wherever it is', { wanted: 'cold', lazy: 8 * MiB, hosts: { h1: 'no', h2: 'no' } }, 'cold'],
    ['who asks for postcopy gets it', { wanted: 'postcopy', lazy: 8 * MiB, hosts: able }, 'postcopy'],
  ])('%s', (_, facts, strategy) => {
    expect(chooseStrategy(facts)).toBe(strategy);
  });

  test('who asks for what a host cannot is told which and why', () => {
    const refusal = chooseStrategy({ wanted: 'postcopy', lazy: MiB, hosts: { h1: undefined, h2: 'its kernel has no userfaultfd for it' } });
    expect(chooseStrategy({ wanted: 'precopy', lazy: MiB, hosts: able, notAhead: 'its kernel is old' })).toMatchObject({ code: 'no-precopy', message: 'memory cannot be sent ahead from this host: its kernel is old', hint: expect.stringMatching(/postcopy/) as string });
    expect(refusal).toMatchObject({ code: 'no-postcopy', message: 'memory cannot be fetched later with h2: its kernel has no userfaultfd for it', hint: expect.stringMatching(/--strategy cold/) as string });
  });
});
