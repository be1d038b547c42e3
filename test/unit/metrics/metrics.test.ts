import { createServer } from 'node:net';
import { once } from 'node:events';
import pino from 'pino';
import { expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import type { Report } from '../../../plugin/agent/api.ts';
import { Metrics } from '../../../plugin/agent/metrics/metrics.ts';
import { serveMetrics } from '../../../plugin/agent/metrics/serve.ts';
import type { Peer } from '../../../plugin/agent/peer.ts';

const report: Report = {
  id: 'm', container: 'web', from: 'h1', to: 'h2', outcome: 'migrated', blackout: 212, total: 1_480,
  phases: [], steps: [], bytes: { memory: 1_000, state: 10, files: 5, image: 0 }, warnings: [],
};

const peer = (name: string, address: string, call: () => Promise<unknown>): Peer => ({ name, address, call }) as unknown as Peer;

function watched(): Metrics {
  const metrics = new Metrics();
  metrics.watch({
    version: { version: '1.2.3', api: 1, host: 'h1' },
    replica: { connected: true, revision: 17, networks: new Map([['n', {} as never]]), claims: new Map() },
    endpoints: () => 3,
    repaired: () => 2,
    moving: () => 1,
    peers: { others: () => [peer('h2', '192.0.2.2', () => Promise.resolve({})), peer('h3', '192.0.2.3', () => Promise.reject(new Error('away')))] },
    carries: (address) => (address === '192.0.2.2' ? 1_400 : undefined),
  });
  return metrics;
}

test('what has happened and what is so are there, each with its help and type', async () => {
  const metrics = watched();
  metrics.moved(report);
  const { blackout: _none, ...refused } = report;
  metrics.moved({ ...refused, outcome: 'refused', bytes: { memory: 0, state: 0, files: 0, image: 0 } });
  metrics.called('NetworkDriver.Join', 12, true);
  metrics.called('IpamDriver.RequestPool', 3, false);
  metrics.passed(7, true);
  const text = await metrics.text();
  const lines = text.split('\n');
  for (const line of [
    'coat_info{version="1.2.3",host="h1"} 1',
    'coat_moves_total{outcome="migrated"} 1',
    'coat_moves_total{outcome="refused"} 1',
    'coat_move_blackout_seconds_bucket{le="0.2"} 0',
    'coat_move_blackout_seconds_bucket{le="0.3"} 1',
    'coat_move_blackout_seconds_count 1',
    'coat_move_seconds_sum 1.48',
    'coat_move_bytes_total{kind="memory"} 1000',
    'coat_moves_running 1',
    'coat_endpoints 3',
    'coat_networks 1',
    'coat_claims 0',
    'coat_store_up 1',
    'coat_store_revision 17',
    'coat_repairs_total 2',
    'coat_docker_call_seconds_count{method="NetworkDriver.Join",outcome="ok"} 1',
    'coat_docker_call_seconds_count{method="IpamDriver.RequestPool",outcome="error"} 1',
    'coat_reconcile_seconds_count{outcome="ok"} 1',
    'coat_peer_up{peer="h2"} 1',
    'coat_peer_up{peer="h3"} 0',
    'coat_peer_path_bytes{peer="h2"} 1400',
  ]) expect(lines).toContain(line);
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  expect(text).not.toContain('coat_peer_path_bytes{peer="h3"}');
  // looked up anew, not added up
  expect(await metrics.text()).toContain('coat_repairs_total 2\n');
});

test('they are served on loopback, and nothing else is', async () => {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as { port: number };
  const warned: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void warned.push(line) });
  // taken
  const none = serveMetrics(port, () => Promise.resolve('x'), log);
  await expect.poll(() => warned.join()).toContain('COAT_METRICS_PORT must be a free TCP port');
  await none();
  free.close();
  await once(free, 'close');

  const close = serveMetrics(port, () => Promise.resolve('coat 1\n'), silent);
  const found = await until('the port', () => fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined));
  expect(await found.text()).toBe('coat 1\n');
  expect(found.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect((await fetch(`http://127.0.0.1:${port}/v1/status`)).status).toBe(404);
  await close();
});
