import { createServer } from 'node:http';
import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { closeNow } from '../sockets.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Serves the numbers on a TCP port of loopback, to anybody on this host. A port that is taken is a warning. @returns ends it */
export function serveMetrics(port: number, text: () => Promise<string>, log: Log): () => Promise<void> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end();
    text().then(
      (numbers) => response.writeHead(200, { 'content-type': CONTENT_TYPE }).end(numbers),
      (error: unknown) => {
        log.warn({ reason: explain(error) }, 'the metrics could not be read');
        response.writeHead(500).end();
      },
    );
  });
  server.on('error', (error) => log.warn({ port, reason: explain(error) }, 'the metrics are not served: COAT_METRICS_PORT must be a free TCP port of 127.0.0.1'));
  server.listen(port, '127.0.0.1');
  return () => closeNow(server);
}
