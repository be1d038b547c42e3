import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Phase } from '../../../plugin/agent/api.ts';
import { Patience } from '../../../plugin/migration/patience.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Lets a move be in each phase for so long. @returns what was said to be over, and when */
function lived(phases: readonly (readonly [phase: Phase, ms: number])[], wishes: { maxBlackout?: number; timeout?: number } = {}): string[] {
  const over: string[] = [];
  const began = Date.now();
  using patience = new Patience((error) => over.push(`${Date.now() - began}: ${error.message}`), wishes);
  for (const [phase, ms] of phases) {
    patience.enter(phase);
    vi.advanceTimersByTime(ms);
  }
  return over;
}

const MOVE = [['planned', 100], ['prepared', 100], ['copying', 5_000], ['redirected', 20], ['frozen', 60], ['restoring', 60], ['released', 90_000], ['cleaned', 400]] as const;

test('a move that goes on as it should hears of no clock', () => {
  expect(lived(MOVE)).toEqual([]);
  expect(lived(MOVE, { maxBlackout: 150, timeout: 6_000 })).toEqual([]);
});

test.each([
  [[['planned', 61_000]], {}, ['60000: the move did not get beyond "planned" within 1 min']],
  [[['copying', 11_000_000]], {}, ['10800000: the move did not get beyond "copying" within 180 min']],
  [MOVE, { timeout: 3_000 }, ['3000: the container could not be frozen within 3 s, as long as the move was given']],
  [MOVE, { maxBlackout: 90 }, ['5310: the container has stood still for 90 ms, and does not run at the destination yet']],
  [[['frozen', 60], ['restoring', 5_000]], { maxBlackout: 2_500 }, ['2500: the container has stood still for 2.5 s, and does not run at the destination yet']],
] as const)('what is over is said', (phases, wishes, said) => expect(lived(phases, wishes)).toEqual(said));
