import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PAGE } from '../../../plugin/memory/page.ts';
import { PageIntake } from '../../../plugin/memory/intake.ts';
import { encodeHead } from '../../../plugin/transfer/pages.ts';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'coat-intake-'))));
afterEach(() => rmSync(directory, { recursive: true }));

const message = (pid: number, page: number, text: string, pages = 1): Buffer => Buffer.concat([encodeHead({ pid, address: page * PAGE, pages }), Buffer.alloc(pages * PAGE, text)]);
const END = encodeHead({ pid: 0, address: 0, pages: 0 });

test.each([1, 7, 4_096, 1_000_000])('pages lie at their addresses, the last that came, in pieces of %d bytes', (size) => {
  const intake = new PageIntake(directory);
  const all = Buffer.concat([message(1, 3, 'old', 2), message(7, 0, 'other'), message(1, 4, 'new'), END]);
  for (let at = 0; at < all.length; at += size) intake.take(all.subarray(at, at + size));
  intake.end();
  const file = readFileSync(join(directory, '1'));
  expect(file.length).toBe(5 * PAGE);
  expect(file.subarray(3 * PAGE).equals(Buffer.concat([Buffer.alloc(PAGE, 'old'), Buffer.alloc(PAGE, 'new')]))).toBe(true);
  expect(readFileSync(join(directory, '7')).equals(Buffer.alloc(PAGE, 'other'))).toBe(true);
});

test('a connection that ends too early, and one that does not end where it should, are errors', () => {
  const intake = new PageIntake(directory);
  intake.take(message(1, 3, 'old').subarray(0, 1_000));
  expect(() => intake.end()).toThrow(/ended before/);
  const other = new PageIntake(directory);
  other.take(END);
  expect(() => other.take(END)).toThrow(/follows the end/);
});
