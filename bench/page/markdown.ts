import { isChart, type Figure } from './figure.ts';
import { machineLines, seconds, type Kit, type Section } from './report.ts';

/** The file of a chart, beside the report. */
export const plotName = (section: Section, index: number): string => `plots/${section.id}-${index + 1}.svg`;

/** The same report for where there are no pages; its charts are files beside it. */
export function pageMarkdown(kit: Kit, sections: readonly Section[]): string {
  return [
    '# COAT, measured', '', ...machineLines(kit).map((line) => `- ${line}`), '',
    'Every figure is from this run. A dot is one run, a bar across is the median; none is left out. What failed is shown.', '',
    ...sections.flatMap((section) => [
      `## ${section.title}`, '', section.about, '', `It took ${seconds(section.took)}; alone: \`npm run bench -- --only ${section.id}\``, '',
      ...section.failures.flatMap((failure) => [`**Failed:** ${inCell(failure)}`, '']),
      ...section.figures.flatMap((figure, index) => [`### ${figure.title}`, '', ...figureLines(section, figure, index), ...(figure.note === undefined ? [] : ['', figure.note]), '']),
    ]),
  ].join('\n');
}

function figureLines(section: Section, figure: Figure, index: number): string[] {
  if (isChart(figure)) return [`![${figure.title}](${plotName(section, index)})`];
  return [row(figure.head), row(figure.head.map(() => '---')), ...figure.rows.map(row)];
}

const row = (cells: readonly string[]): string => `| ${cells.map(inCell).join(' | ')} |`;
const inCell = (text: string): string => text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ');
