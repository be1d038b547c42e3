import { describe, expect, it } from 'vitest';
import { chartFile, chartSvg } from '../../../bench/page/chart.ts';
import type { ChartFigure, Figure } from '../../../bench/page/figure.ts';
import { pageHtml } from '../../../bench/page/html.ts';
import { pageMarkdown } from '../../../bench/page/markdown.ts';
import type { Kit, Section } from '../../../bench/page/report.ts';

const lines: ChartFigure = { kind: 'lines', title: 'Over <time> & "so"', x: { name: 's' }, y: { name: 'ms', log: true }, marks: [{ at: 1, name: 'asked' }], series: [{ name: 'round trip', points: [[0, 20], [1, 230], [2, 0]] }] };
const dots: ChartFigure = { kind: 'dots', title: 'Gap', value: { name: 'ms', log: true }, categories: ['10 MB', '1 GiB'], series: [{ name: 'coat', values: [[140, 150, 990], [410]] }, { name: 'podman', values: [[700], []] }] };
const stack: ChartFigure = { kind: 'stack', title: 'Steps', value: { name: 'ms' }, categories: ['coat'], series: [{ name: 'dump', values: [50] }, { name: 'restore', values: [60] }] };
const table: Figure = { kind: 'table', title: 'In numbers', head: ['way', 'gap'], rows: [['coat | cold', 'a < b\nand more']], note: 'One run.' };

const section: Section = { id: 'gap', title: 'A move', about: 'A server moves.', took: 12, metrics: [], failures: ['echo: the <connection> was lost'], figures: [lines, dots, stack, table] };
const kit: Kit = { format: 1, coat: '0.1.0', quick: true, load: [0.1, 2], took: 100, experiments: [section], machine: { date: '2026-11-24', node: 'v20', kernel: '6.18', processor: '2 × EPYC', memory: 24, cgroup: 1, hosts: [{ name: 'h1', docker: '26.1.5', runc: '1.1', criu: '4.2.1' }] } };

/** Whether every element is closed by its own name, in order. @returns the names of all */
function elements(text: string): string[] {
  const [open, all]: [string[], string[]] = [[], []];
  for (const [whole, end, name, single] of text.replace(/<!DOCTYPE[^>]*>|<style>[^]*?<\/style>/g, '').matchAll(/<(\/?)([a-zA-Z][\w:-]*)(?:[^>"]|"[^"]*")*?(\/?)>/g)) {
    if (end === '/') expect(open.pop(), whole).toBe(name);
    else {
      all.push(name!);
      if (single !== '/') open.push(name!);
    }
  }
  expect(open).toEqual([]);
  return all;
}

describe('a chart', () => {
  it.each([['lines', lines], ['dots', dots], ['stack', stack]] as const)('of %s is one whole SVG element in the page\'s colours', (_, figure) => {
    const svg = chartSvg(figure);
    expect(elements(svg)[0]).toBe('svg');
    expect(svg).toMatch(/^<svg [^>]*viewBox="0 0 520 \d+"/);
    expect(svg).toContain('var(--c0)');
    // nothing that was only there to be replaced, and nothing that is not a number
    expect(svg).not.toMatch(/#01020|#04050|#0a0b|rgb\((1,2,3|4,5,6|10,11)|NaN|undefined/);
  });

  it('shows each run, and of each group the median', () => {
    const count = (figure: ChartFigure): number => chartSvg(figure).match(/<path[^>]*fill="var\(--c0\)"/g)!.length;
    const one: ChartFigure = { ...dots, categories: ['10 MB'], series: [{ name: 'coat', values: [[140, 150, 990]] }] };
    expect(count(one)).toBe(4);
  });

  it('that is a file knows light and dark by itself', () => {
    expect(chartFile(dots)).toMatch(/<svg [^>]*><style>svg\{--ink:#[0-9a-f]{6}.*@media\(prefers-color-scheme:dark\)/);
    elements(chartFile(lines));
  });
});

describe('the page', () => {
  const html = pageHtml(kit, [section]);

  it('is well formed', () => expect(elements(html).filter((name) => name === 'svg')).toHaveLength(3));

  it('needs nothing else', () => {
    expect(html).not.toMatch(/<(script|link|iframe|img|object|embed)\b|@import|url\((?!#)|\bsrc=/);
    // addresses that are names of formats, and places in the page itself, are asked of nobody
    const outside = [...html.matchAll(/(?:href|xmlns[:\w]*)="([^"]*)"/g)].map(([, target]) => target!).filter((target) => !target.startsWith('#') && !target.startsWith('http://www.w3.org/'));
    expect(outside).toEqual([]);
  });

  it('is for phones, and for light and dark', () => {
    expect(html).toContain('name="viewport" content="width=device-width, initial-scale=1"');
    expect(html).toContain('color-scheme:light dark');
    expect(html).toContain('@media(prefers-color-scheme:dark){:root{--ink:');
  });

  it('takes no text for markup, shows what failed, and says what it was measured on', () => {
    expect(html).toContain('a &lt; b');
    expect(html).toContain('Failed: echo: the &lt;connection&gt; was lost');
    expect(html).toContain('Linux 6.18, 2 × EPYC, 24 GiB, cgroup v1, Node v20');
    expect(html).toContain('h1: Docker 26.1.5, runc 1.1, CRIU 4.2.1');
    expect(html).toContain('a quick run');
  });
});

it('the text has the same tables, and its charts beside it', () => {
  const text = pageMarkdown(kit, [section]);
  expect(text).toContain('| coat \\| cold | a < b and more |');
  expect(text).toContain('![Gap](plots/gap-2.svg)');
  expect(text).toContain('npm run bench -- --only gap');
  expect(text).toContain('**Failed:** echo: the <connection> was lost');
});
