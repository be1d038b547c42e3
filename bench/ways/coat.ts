import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import type { Problem, Report } from '../../plugin/agent/api.ts';
import type { Way } from './way.ts';

/** The command that users have, on the host that has the container. */
export const coat: Way = {
  about: 'docker coat migrate',
  async move(lab, container, from, to, signal, options = []) {
    const argv = lab.host(from).command(['docker', 'coat', 'migrate', '--json', ...options, container, to]);
    const { stdout, code } = await run(argv, { okCodes: [0, 1], timeout: 300_000, signal });
    const document = JSON.parse(stdout) as Report & { problem?: Problem };
    if (code === 0) return document;
    throw new CoatError('bench-move', `the move from ${from} to ${to} failed: ${document.problem?.message ?? stdout}`, { cause: document });
  },
};
