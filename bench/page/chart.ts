import * as echarts from 'echarts';
import { median } from '../statistics.ts';
import { LEAST, type Axis, type ChartFigure, type DotsFigure, type LinesFigure, type StackFigure } from './figure.ts';

/** Drawn this wide, and then made to fit: on a phone the letters are still 9 pixels high. */
const WIDTH = 520;
const LETTER = 7.4;

/** Colours that are told apart by those who see red and green alike, on light and on dark (after Okabe and Ito). */
const PALETTE: readonly (readonly [light: string, dark: string])[] = [
  ['#0072b2', '#56b4e9'], ['#d55e00', '#ff8c42'], ['#009e73', '#2fd6a5'], ['#b8618f', '#e39bc4'],
  ['#8a7400', '#f0e442'], ['#5b5bd6', '#a5a5ff'], ['#7a4b2a', '#c9986f'], ['#6b7280', '#a3aab5'],
];
const INK: readonly [string, string] = ['#24292f', '#e6edf3'];
const LINE: readonly [string, string] = ['#d0d7de', '#3d444d'];

/** Given to the library, and taken out of what it has drawn. */
const inkMark = '#010203';
const lineMark = '#040506';
const marks = PALETTE.map((_, index) => `#0a0b${(16 + index).toString(16)}`);

/** The style of a page on which charts are. */
export const chartStyle = (selector: string): string => {
  const all = (side: 0 | 1): string => [`--ink:${INK[side]}`, `--line:${LINE[side]}`, ...PALETTE.map((pair, index) => `--c${index}:${pair[side]}`)].join(';');
  return `${selector}{${all(0)}}@media(prefers-color-scheme:dark){${selector}{${all(1)}}}`;
};

/** A chart as an SVG element, whose colours are those of {@link chartStyle}. */
export function chartSvg(figure: ChartFigure): string {
  const { height, ...option } = figure.kind === 'lines' ? lines(figure) : figure.kind === 'dots' ? dots(figure) : stack(figure);
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({ animation: false, color: marks, textStyle: { color: inkMark, fontFamily: 'system-ui, sans-serif', fontSize: 13 }, ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return coloured(scaling(svg, height)).replace('<svg ', `<svg role="img" aria-label="${escapeText(figure.title)}" `);
}

/** A chart as a file of its own, which is light or dark as who looks at it. */
export function chartFile(figure: ChartFigure): string {
  return chartSvg(figure).replace(/>/, `><style>${chartStyle('svg')}</style>`);
}

export const escapeText = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

/** The size is the page's to choose; ids and rules that are the library's own are not needed without a pointer. */
function scaling(svg: string, height: number): string {
  return svg.replace(/^<svg [^>]*>/, `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${WIDTH} ${height}">`).replace(/<style *>[^]*?<\/style>/g, '').replace(/ (?:ecmeta_\w+|class|pointer-events)="[^"]*"/g, '');
}

function coloured(svg: string): string {
  const named = [[inkMark, 'var(--ink)'], [lineMark, 'var(--line)'], ...marks.map((mark, index) => [mark, `var(--c${index})`])] as const;
  return named.reduce((text, [mark, name]) => text.replaceAll(mark, name).replaceAll(rgb(mark), name), svg);
}

const rgb = (hex: string): string => `rgb(${[1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(',')})`;

type Option = echarts.EChartsCoreOption & { height: number };

const valueAxis = ({ name, log, min, max }: Axis): object => ({
  type: log ? 'log' : 'value', name, nameLocation: 'middle', nameGap: 28, nameTextStyle: { color: inkMark, fontSize: 13 },
  axisLabel: { color: inkMark, fontSize: 12, hideOverlap: true }, axisLine: { show: true, lineStyle: { color: lineMark } }, splitLine: { lineStyle: { color: lineMark } },
  ...(log ? { logBase: 10, minorTick: { show: true, splitNumber: 9, lineStyle: { color: lineMark } } } : {}), ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }),
});

/** How many lines the names take above the chart, px. */
function legend(names: readonly string[]): { legend: object; top: number } {
  if (names.length < 2) return { legend: { show: false }, top: 12 };
  let rows = 1;
  let used = 0;
  for (const name of names) {
    const wide = name.length * LETTER + 30;
    if (used + wide > WIDTH - 20) [rows, used] = [rows + 1, 0];
    used += wide;
  }
  return { legend: { data: [...names], top: 0, left: 0, itemWidth: 14, itemHeight: 10, itemGap: 12, textStyle: { color: inkMark, fontSize: 12 } }, top: rows * 22 + 12 };
}

const shown = (axis: Axis, value: number): number => (axis.log ? Math.max(LEAST, value) : value);

function lines({ x, y, series, marks: verticals = [] }: LinesFigure): Option {
  const { legend: names, top } = legend(series.map(({ name }) => name));
  const height = 260 + top;
  return {
    height, legend: names, grid: { left: 64, right: 16, top: top + (verticals.length > 0 ? 16 : 0), bottom: 48 },
    xAxis: valueAxis(x), yAxis: { ...valueAxis(y), nameGap: 46 },
    series: series.map(({ name, points, step }, index) => ({
      name, type: 'line', showSymbol: points.length < 30, symbolSize: 6, lineStyle: { width: 1.5 }, ...(step ? { step: 'end' } : {}),
      data: points.map(([at, value]) => [shown(x, at), shown(y, value)]),
      ...(index === 0 && verticals.length > 0
        ? { markLine: { silent: true, symbol: 'none', lineStyle: { color: inkMark, type: 'dashed' }, label: { color: inkMark, fontSize: 11, formatter: '{b}' }, data: verticals.map(({ at, name: label }) => ({ name: label, xAxis: at })) } }
        : {}),
    })),
  };
}

/** Names on the left: below a chart there is no room for them on a phone. */
function sideways(categories: readonly string[], value: Axis, room: number, top: number): { height: number; grid: object; xAxis: object; yAxis: object } {
  const left = Math.min(170, Math.max(...categories.map((name) => name.length)) * LETTER + 12);
  return {
    height: top + 52 + categories.length * room,
    grid: { left, right: 20, top, bottom: 48 },
    xAxis: valueAxis(value),
    yAxis: { type: 'category', data: [...categories], inverse: true, axisTick: { show: false }, axisLine: { lineStyle: { color: lineMark } }, splitLine: { show: true, lineStyle: { color: lineMark } }, axisLabel: { color: inkMark, fontSize: 12, width: left - 10, overflow: 'break', interval: 0 } },
  };
}

function dots({ value, categories, series }: DotsFigure): Option {
  const { legend: names, top } = legend(series.map(({ name }) => name));
  const lane = 15;
  return {
    legend: names, ...sideways(categories, value, series.length * lane + 14, top),
    series: series.flatMap(({ name, values }, index) => {
      const offset = [0, Math.round((index - (series.length - 1) / 2) * lane)];
      const itemStyle = { color: marks[index % marks.length] };
      const points = values.flatMap((runs, at) => runs.map((run) => [shown(value, run), at]));
      const middles = values.flatMap((runs, at) => (runs.length === 0 ? [] : [[shown(value, median(runs)), at]]));
      return [
        { name, type: 'scatter', symbolSize: 7, symbolOffset: offset, itemStyle: { ...itemStyle, opacity: 0.55 }, data: points },
        { name, type: 'scatter', symbol: 'rect', symbolSize: [3, 14], symbolOffset: offset, itemStyle, data: middles },
      ];
    }),
  };
}

function stack({ value, categories, series }: StackFigure): Option {
  const { legend: names, top } = legend(series.map(({ name }) => name));
  return {
    legend: names, ...sideways(categories, value, 34, top),
    series: series.map(({ name, values }, index) => ({ name, type: 'bar', stack: 'all', barWidth: 20, itemStyle: { color: marks[index % marks.length], opacity: index < marks.length ? 1 : 0.6 }, data: [...values] })),
  };
}
