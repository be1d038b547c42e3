import type { Readable } from 'node:stream';

/**
 * The complete, non-empty lines of a stream. What follows the last line feed is dropped: it is a line
 * whose writer died over it.
 */
export async function* lines(stream: Readable): AsyncGenerator<string, void> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const parts = (rest + (chunk as string)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.trim() !== '') yield part;
  }
}
