import { expect, it } from 'vitest';
import { inBlackout, resultText, stepName } from '../../../bench/report.ts';
import type { Report } from '../../../plugin/agent/api.ts';

const step = (name: string, host: string, start: number): Report['steps'][number] => ({ name, host, start, ms: 10, blackout: false });

const report: Report = {
  id: 'x', container: 'echo', from: 'h1', to: 'h2', outcome: 'migrated', blackout: 100, total: 400,
  phases: [{ phase: 'planned', ms: 20 }, { phase: 'frozen', ms: 60 }],
  steps: [step('look at both hosts', 'h1', 0), step('dump', 'h1', 210), step('freeze', 'h1', 200), step('runc restore', 'h2', 270), step('clean up', 'h1', 310)],
  bytes: { memory: 3e6, state: 0, files: 0, image: 0 },
  warnings: [],
};

it('finds the steps between freeze and thaw, those of the destination too, in order', () => {
  expect(inBlackout(report).map((each) => stepName(each, report))).toEqual(['freeze (source)', 'dump (source)', 'runc restore (destination)']);
  const { blackout: _, ...refused } = report;
  expect(inBlackout(refused)).toEqual([]);
});

it('says what was measured, whether the target was reached, and what failed', () => {
  const moves = [120, 300, 180].map((gap) => ({ from: 0, to: 1, gap, report }));
  const text = resultText('echo', { about: 'a server', argv: [], target: 250 }, { moves, requests: 5, lost: 0, errors: [], timeouts: 2, failure: 'no host' });
  expect(text).toMatch(/gap, as the client saw it +180 +300/);
  expect(text).toContain('target: a median gap of 250 ms or less: reached');
  expect(text).toContain('FAILED after 3 moves: no host');
});

it('can be made of nothing', () => {
  const text = resultText('echo', { about: 'a server', argv: [], target: 250 }, { moves: [], requests: 0, lost: 1, errors: ['broken'], timeouts: 0 });
  expect(text).toContain('connections lost: 1 (broken)');
});
