import { chartStyle, chartSvg, escapeText as esc } from './chart.ts';
import { isChart, type Figure, type TableFigure } from './figure.ts';
import { machineLines, seconds, type Kit, type Section } from './report.ts';

const STYLE = [
  ':root{color-scheme:light dark;--paper:#fff;--soft:#f6f8fa}@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--soft:#161b22}}',
  'body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}',
  'h1{font-size:1.6rem;margin:.5rem 0}h2{margin:2.5rem 0 .5rem;border-top:1px solid var(--line);padding-top:1rem}h3{font-size:1rem;margin:0 0 .4rem}',
  'p{max-width:48rem}a{color:var(--c0)}nav ul{columns:16rem;padding-left:1.2rem}.machine{background:var(--soft);padding:.6rem 1rem;border-radius:6px;list-style:none;font-size:.9rem}',
  '.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:1.5rem}figure{margin:0;min-width:0}figure.wide{grid-column:1/-1}',
  'figure svg{width:100%;height:auto;display:block}figcaption,.note{font-size:.85rem;opacity:.85}.scroll{overflow-x:auto}',
  'table{border-collapse:collapse;font-size:.88rem}th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}td+td,th+th{padding-left:.4rem}',
  '.failed{border-left:4px solid var(--c1);padding-left:.8rem}',
].join('\n');

/** The whole report as one page, which needs nothing else: no script, no font, no picture from elsewhere. */
export function pageHtml(kit: Kit, sections: readonly Section[]): string {
  return [
    '<!DOCTYPE html>',
    '<html lang="en"><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />',
    `<title>COAT, measured</title><style>${chartStyle(':root')}\n${STYLE}</style></head><body>`,
    '<h1>COAT, measured</h1>',
    `<ul class="machine">${machineLines(kit).map((line) => `<li>${esc(line)}</li>`).join('')}</ul>`,
    '<p>Every figure is from this run. A dot is one run, a bar across is the median; none is left out. What failed is shown.</p>',
    `<nav><ul>${sections.map(({ id, title }) => `<li><a href="#${esc(id)}">${esc(title)}</a></li>`).join('')}</ul></nav>`,
    ...sections.map(sectionHtml),
    '</body></html>',
    '',
  ].join('\n');
}

function sectionHtml({ id, title, about, took, failures, figures }: Section): string {
  return [
    `<section id="${esc(id)}"><h2>${esc(title)}</h2><p>${esc(about)}</p><p class="note">${esc(`It took ${seconds(took)}; alone: npm run bench -- --only ${id}`)}</p>`,
    ...failures.map((failure) => `<p class="failed">${esc(`Failed: ${failure}`)}</p>`),
    `<div class="figures">${figures.map(figureHtml).join('\n')}</div></section>`,
  ].join('\n');
}

function figureHtml(figure: Figure): string {
  const note = figure.note === undefined ? '' : `<figcaption>${esc(figure.note)}</figcaption>`;
  const body = isChart(figure) ? chartSvg(figure) : `<div class="scroll">${tableHtml(figure)}</div>`;
  return `<figure${isChart(figure) ? '' : ' class="wide"'}><h3>${esc(figure.title)}</h3>${body}${note}</figure>`;
}

function tableHtml({ head, rows }: TableFigure): string {
  const cells = (name: 'th' | 'td', values: readonly string[]): string => values.map((value) => `<${name}>${esc(value)}</${name}>`).join('');
  return `<table><thead><tr>${cells('th', head)}</tr></thead><tbody>${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('')}</tbody></table>`;
}
