import type { Response } from 'express';
import type { NumberedEvent } from '../api.ts';

/** Between two signs of life on a quiet stream, ms; proxies end what is silent for a minute. */
const ALIVE_MS = 15_000;
/** What a client waits before it comes back after a break, ms. */
const RETRY_MS = 500;

/**
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): each with its number as id, so that a client that was cut off asks for
 * those after it. Where there are none it is told so with 204, which ends the asking.
 */
export async function sendEvents(response: Response, events: AsyncGenerator<NumberedEvent, void>, after: number): Promise<void> {
  const timer = setInterval(() => void (response.headersSent && response.write(': still here\n\n')), ALIVE_MS);
  const begin = (): void => void response.status(200).set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).write(`retry: ${RETRY_MS}\n\n`);
  // who knows none of them hears at once that it is heard
  if (after === 0) begin();
  try {
    for await (const { seq, event } of events) {
      if (response.destroyed) return;
      if (!response.headersSent) begin();
      response.write(`id: ${seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    if (response.headersSent) response.end();
    else response.status(204).end();
  } finally {
    clearInterval(timer);
  }
}
