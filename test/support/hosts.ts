import { randomBytes } from 'node:crypto';
import { expect, inject } from 'vitest';
import type { Problem, Report } from '../../plugin/agent/api.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { stateOf } from './engine.ts';

/** The lab of this run, see hosts-setup.ts. */
export const lab = await Lab.open(inject('lab'));

/**
 * h1 and h3 have the older engine, h2 and h4 the newer. Peers run on h3; h4 is spare. A lab of two hosts does for the tests that
 * use no others.
 */
export const [h1, h2, h3, h4] = ['h1', 'h2', 'h3', 'h4'].map((name) => lab.hosts.find((host) => host.name === name)) as [LabHost, LabHost, LabHost, LabHost];

export const IMAGE = 'coat-lab/workloads';

/** On two busy cores everything may take long; a test that waits this long has failed. */
export const PATIENCE_MS = 30_000;

/** Runs docker on a host. @returns what it printed, without the last line end */
export async function docker(host: LabHost, ...args: string[]): Promise<string> {
  const { stdout } = await host.exec(['docker', ...args], { timeout: PATIENCE_MS });
  return stdout.trim();
}

/** A name no other test uses. */
export const fresh = (word: string): string => `${word}-${randomBytes(3).toString('hex')}`;

export interface Moved {
  code: number;
  report: Report;
  problem?: Problem;
}

/** `docker coat migrate --json`, to its end, whatever that is. */
export async function migrate(host: LabHost, container: string, to: string, ...options: string[]): Promise<Moved> {
  const { code, stdout, stderr } = await host.exec(['docker', 'coat', 'migrate', '--json', ...options, container, to], {
    okCodes: [0, 1, 125, 130],
    timeout: 2 * PATIENCE_MS,
  });
  expect(stderr).toBe('');
  const { problem, ...report } = JSON.parse(stdout) as Report & { problem?: Problem };
  return problem === undefined ? { code, report } : { code, report, problem };
}

/** A move that did what it should. */
export function expectMoved({ code, report, problem }: Moved): void {
  expect({ code, problem, outcome: report.outcome, warnings: report.warnings }).toEqual({ code: 0, problem: undefined, outcome: 'migrated', warnings: [] });
  expect(report.blackout).toBeGreaterThan(0);
}

/** A move that did not come about, and says why in one sentence and what to do in another. */
export function expectNotMoved({ code, report, problem }: Moved, wanted: { outcome: Report['outcome']; code: string | RegExp; message?: RegExp }): void {
  expect(problem).toBeDefined();
  expect({ code, outcome: report.outcome, problem }).toEqual({
    code: 1,
    outcome: wanted.outcome,
    problem: {
      code: typeof wanted.code === 'string' ? wanted.code : expect.stringMatching(wanted.code) as string,
      message: expect.stringMatching(wanted.message ?? /\S/) as string,
      hint: expect.stringMatching(/\S/) as string,
    },
  });
  expect(problem!.message).not.toContain('\n');
}

/** State of a container on each host that has one of that name. */
export async function where(name: string): Promise<Record<string, string>> {
  const running = lab.hosts.filter((host) => host.running);
  const states = await Promise.all(running.map(async (host) => [host.name, await stateOf(host, name)] as const));
  return Object.fromEntries(states.filter((each): each is [string, string] => each[1] !== undefined));
}
