import type { Status } from '../../agent/api.ts';
import type { Paint } from '../scene.ts';
import { doctorText } from './doctor.ts';
import { sheet, table } from './table.ts';

/** What the agent says of its host, its peers and the moves under way. What is wrong is in red. */
export function statusText(status: Status, paint: Paint): string {
  const { store, engine, criu, runtime } = status;
  const wrong = (text: string): string => paint.red(text);
  const parts = [
    sheet([
      ['Host', `${status.host} (${status.address})`],
      ['Agent', `${status.version} (API ${status.api})`],
      ['Store', `${store.state === 'ok' ? 'ok' : wrong('away')}, ${store.endpoint}, revision ${store.revision}`],
      ['Engine', 'problem' in engine ? wrong(engine.problem) : `Docker ${engine.version} (API ${engine.apiVersion})`],
      ['Runtime', runtime === 'registered' ? runtime : wrong(runtime)],
      ['CRIU', 'problem' in criu ? wrong(criu.problem) : `${criu.version} (${criu.carried ? "the plugin's" : criu.path})`],
    ]),
    table(['HOST', 'ADDRESS', 'VERSION', 'STORE', 'CARRIES', 'STATE'], status.hosts.map((host) => [host.name, host.address, host.version ?? '-', host.store ?? '-', host.carries === undefined ? '-' : `${host.carries} B`, stateOf(host, wrong)])),
  ];
  if (status.paths.length > 0) parts.push(doctorText(status.paths, paint));
  if (status.migrations.length > 0) {
    parts.push(table(['MIGRATION', 'CONTAINER', 'FROM', 'TO', 'PHASE'], status.migrations.map((move) => [move.id, move.container, move.from, move.to, move.phase])));
  }
  return parts.join('\n');
}

function stateOf({ self, reachable, problem }: Status['hosts'][number], wrong: (text: string) => string): string {
  if (problem !== undefined) return wrong(problem);
  if (self) return 'this host';
  return reachable ? 'reachable' : wrong('unreachable');
}
