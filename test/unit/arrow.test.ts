import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

/** Which room may not know which: the driver is nobody's client, and nothing shipped knows of tests. */
const forbidden: Record<string, string[]> = {
  driver: ['plugin', 'lab', 'test', 'bench', 'examples'],
  plugin: ['lab', 'test', 'bench', 'examples'],
};

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return name === 'node_modules' ? [] : sources(path);
    return /\.(ts|js|mjs|cjs)$/.test(name) ? [path] : [];
  });
}

/** What a file imports or loads, as written. */
function imports(text: string): string[] {
  return [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])([^'"]+)\1/g)].map((match) => match[2]!);
}

describe.each(Object.entries(forbidden))('%s/', (room, others) => {
  it(`imports nothing of ${others.join(', ')}`, () => {
    const files = sources(join(root, room));
    expect(files.length).toBeGreaterThan(0);
    const wrong = files.flatMap((file) =>
      imports(readFileSync(file, 'utf8'))
        .filter((name) => name.startsWith('.'))
        .map((name) => relative(root, resolve(dirname(file), name)))
        .filter((target) => others.includes(target.split('/')[0]!))
        .map((target) => `${relative(root, file)} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });
});

it('sees every way to import', () => {
  const text = `import a from './a.ts';\nimport './b.ts';\nexport * from "./c.ts";\nawait import('./d.ts');\nrequire('./e.js')`;
  expect(imports(text)).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.js']);
});
