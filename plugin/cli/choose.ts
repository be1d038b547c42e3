import { CoatError } from '../../driver/host/errors.ts';
import type { Migration, MigrationFilter } from '../agent/api.ts';
import type { Agent } from './agent.ts';

/**
 * The move that is meant by an id, the beginning of one, or the name of a container, whose newest it is then.
 *
 * @throws CoatError `no-migration`, `ambiguous`
 */
export async function chosen(agent: Agent, ref: string, filter: Pick<MigrationFilter, 'state'> = {}): Promise<Migration> {
  const { migrations, silent } = await agent.migrations(filter);
  const named = migrations.find(({ container }) => container === ref);
  if (named !== undefined) return named;
  const [first, ...more] = migrations.filter(({ id }) => id.startsWith(ref));
  if (first === undefined) {
    const unasked = silent.length === 0 ? '' : ` that is known to the hosts that answer (${silent.join(', ')} did not)`;
    throw new CoatError('no-migration', filter.state === 'running' ? `Nothing of the name "${ref}" is being moved${unasked}.` : `There is no migration "${ref}"${unasked}.`, { hint: "See 'docker coat history'." });
  }
  if (more.length > 0) throw new CoatError('ambiguous', `"${ref}" is the beginning of ${more.length + 1} migrations.`, { hint: `Say more of it: ${[first, ...more].slice(0, 4).map(({ id }) => id).join(', ')}.` });
  return first;
}
