import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { chartFile } from './chart.ts';
import { isChart } from './figure.ts';
import { pageHtml } from './html.ts';
import { pageMarkdown, plotName } from './markdown.ts';
import type { Kit, Section } from './report.ts';

/** Writes `report.html`, `report.md`, `report.json` and `plots/`. */
export async function writeReport(directory: string, kit: Kit, sections: readonly Section[]): Promise<void> {
  await rm(join(directory, 'plots'), { recursive: true, force: true });
  await mkdir(join(directory, 'plots'), { recursive: true });
  for (const section of sections) {
    for (const [index, figure] of section.figures.entries()) {
      if (!isChart(figure)) continue;
      const file = join(directory, plotName(section, index));
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `${chartFile(figure)}\n`);
    }
  }
  await writeFile(join(directory, 'report.json'), `${JSON.stringify(kit, null, 1)}\n`);
  await writeFile(join(directory, 'report.md'), pageMarkdown(kit, sections));
  await writeFile(join(directory, 'report.html'), pageHtml(kit, sections));
}
