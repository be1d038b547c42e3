import { expect, test } from 'vitest';
import { count, type Report } from '../../run.ts';

const file = (status: string, ...tests: string[]): Report['testResults'][number] => ({ status, assertionResults: tests.map((each) => ({ status: each })) });

test.each<[string, Report | undefined, number, [number, number]]>([
  ['all passed', { testResults: [file('passed', 'passed', 'passed'), file('passed', 'passed')] }, 0, [3, 0]],
  ['one failed', { testResults: [file('failed', 'passed', 'failed')] }, 1, [1, 1]],
  ['skipped and planned tests have failed', { testResults: [file('passed', 'passed', 'skipped', 'pending', 'todo')] }, 0, [1, 3]],
  ['a file that could not be loaded has failed', { testResults: [file('passed', 'passed'), file('failed')] }, 1, [1, 1]],
  ['a file without a test has failed', { testResults: [file('passed', 'passed'), file('passed')] }, 0, [1, 1]],
  ['a file whose last hook failed has failed', { testResults: [file('failed', 'passed')] }, 1, [1, 1]],
  ['an error outside of any test is a failure', { testResults: [file('passed', 'passed')] }, 1, [1, 1]],
  ['a project without a test has failed', { testResults: [] }, 0, [0, 1]],
  ['no report at all is a failure', undefined, 1, [0, 1]],
  ['no report at all is a failure, whatever the exit code', undefined, 0, [0, 1]],
])('%s', (_, report, code, [passed, failed]) => {
  expect(count(report, code)).toEqual({ passed, failed });
});
