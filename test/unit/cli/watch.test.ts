import colors from 'picocolors';
import { expect, test } from 'vitest';
import { liveWatch } from '../../../plugin/cli/watch.ts';

test('the live line is redrawn in place, gives way to warnings, and is gone at the end', () => {
  const written: string[] = [];
  {
    using watch = liveWatch({ write: (text) => written.push(text), isTTY: true, columns: 60 }, () => 0, colors.createColors(false));
    watch.show({ type: 'phase', phase: 'copying' });
    watch.show({ type: 'warning', message: 'slow link' });
  }
  expect(written.join('')).toContain('warning: slow link\n');
  expect(written.filter((text) => text.includes('\n'))).toHaveLength(1);
  const last = written.at(-1)!;
  expect(last === 'warning: slow link\n' || last === '\r\x1b[K').toBe(true);
});

test('it is drawn while nothing happens, also by a terminal that does not know its width', async () => {
  const written: string[] = [];
  {
    using watch = liveWatch({ write: (text) => written.push(text), isTTY: true, columns: 0 }, () => performance.now(), colors.createColors(false));
    watch.show({ type: 'phase', phase: 'copying' });
    await new Promise((resolve) => setTimeout(resolve, 350));
  }
  expect(written.filter((text) => text.startsWith('\r\x1b[K') && text.includes('copying')).length).toBeGreaterThan(1);
  expect(written.at(-1)).toBe('\r\x1b[K');
});
