/** What an axis is about. */
export interface Axis {
  /** With its unit: `gap, ms`. */
  name: string;
  /** By powers of ten; nothing on it may be 0 or less, and is drawn at {@link LEAST} where it is. */
  log?: true;
  min?: number;
  max?: number;
}

/** Where a value that a logarithmic axis cannot show is drawn. */
export const LEAST = 0.1;

interface Titled {
  title: string;
  /** A sentence below it: what was done, and how often. */
  note?: string;
}

export interface TableFigure extends Titled {
  kind: 'table';
  head: readonly string[];
  rows: readonly (readonly string[])[];
}

/** Values over something continuous; `step` for what keeps a value until it has another. */
export interface LinesFigure extends Titled {
  kind: 'lines';
  x: Axis;
  y: Axis;
  series: readonly { name: string; points: readonly (readonly [number, number])[]; step?: true }[];
  /** Vertical lines. */
  marks?: readonly { at: number; name: string }[];
}

/** Each run is a dot, and the median a line: nothing that was measured is left out. */
export interface DotsFigure extends Titled {
  kind: 'dots';
  value: Axis;
  categories: readonly string[];
  /** For each category its values; none is fine. */
  series: readonly { name: string; values: readonly (readonly number[])[] }[];
}

/** One bar for each category, made of parts. */
export interface StackFigure extends Titled {
  kind: 'stack';
  value: Axis;
  categories: readonly string[];
  series: readonly { name: string; values: readonly number[] }[];
}

export type ChartFigure = LinesFigure | DotsFigure | StackFigure;
export type Figure = TableFigure | ChartFigure;
export const isChart = (figure: Figure): figure is ChartFigure => figure.kind !== 'table';
