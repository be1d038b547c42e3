import { describe, expect, test } from 'vitest';
import { parseFormat } from '../../../plugin/cli/format/format.ts';

const web = { name: 'web', host: 'h1', ports: [80, 443], size: 0, labels: { tier: 'front' }, movingTo: '' };
const db = { name: 'db', host: 'h2', ports: [], size: 7, labels: {}, movingTo: 'h1' };
const print = (format: string): string | Promise<string> => parseFormat(format).print([web, db]);

describe('a format', () => {
  test.each([
    ['json', `${JSON.stringify(web)}\n${JSON.stringify(db)}\n`],
    ['{{.Name}}', 'web\ndb\n'],
    ['{{.name}} is on {{.HOST}}', 'web is on h1\ndb is on h2\n'],
    ['{{json .}}', `${JSON.stringify(web)}\n${JSON.stringify(db)}\n`],
    ['{{.Labels}}', '{"tier":"front"}\n{}\n'],
    ['{{join .Ports ", "}}', '80, 443\n\n'],
    ['{{.Name | upper | json}}', '"WEB"\n"DB"\n'],
    ['{{upper (lower .Name)}}', 'WEB\nDB\n'],
    ['{{len .Ports}} {{len .Name}}', '2 3\n0 2\n'],
    ['{{if .MovingTo}}{{.Name}} to {{.MovingTo}}{{else}}{{.Name}} stays{{end}}', 'web stays\ndb to h1\n'],
    ['{{range .Ports}}<{{.}}>{{else}}none{{end}}', '<80><443>\nnone\n'],
    ['{{if eq .Host "h1"}}here{{end}}', 'here\n\n'],
    ['{{if not (ne .Size 7)}}seven{{end}}', '\nseven\n'],
    ['{{- .Name -}}  !', 'web!\ndb!\n'],
    ['{{.Name}}\\t{{"}}"}}', 'web\t}}\ndb\t}}\n'],
    ['{{`"`}}', '"\n"\n'],
    ['table {{.Name}}\\t{{.MovingTo}}', 'NAME   MOVING TO\nweb\ndb     h1\n'],
    ['table {{upper .Host}}\\t{{len .Ports}} ports', 'HOST   PORTS ports\nH1     2 ports\nH2     0 ports\n'],
    ['plain', 'plain\nplain\n'],
  ])('%s', async (format, text) => {
    expect(await print(format)).toBe(text);
  });

  test.each([
    ['{{.Name', 'a {{ without its }}'],
    ['{{}}', 'something is missing between {{ and }}'],
    ['{{.Name .Host}}', '"Host" is not expected there'],
    ['{{shout .Name}}', 'there is no function "shout"; there are json, join, upper, lower, len, eq, ne, not, if and range'],
    ['{{constructor}}', 'there is no function "constructor"; there are json, join, upper, lower, len, eq, ne, not, if and range'],
    ['{{if .Name}}', '{{if}} without its {{end}}'],
    ['{{range .Ports}}{{else}}', '{{range}} without its {{end}}'],
    ['{{.Name}}{{end}}', '{{end}} has nothing to belong to'],
    ['{{(.Name}}', 'a ( without its )'],
    ['{{.Name | .Host}}', 'after | there must be a function'],
    ['{{.Name; .Host}}', '"; .Host" is not understood'],
    ['{{json}}', 'json takes one argument'],
    ['{{join .Ports}}', 'join takes two arguments'],
    ['{{join .Name ","}}', 'join wants a list and a text'],
    ['{{.Size.Unit}}', 'there is no field .Unit'],
    ['{{.__proto__}}', 'there is no field .__proto__'],
  ])('%s is refused', (format, why) => {
    expect(() => print(format)).toThrow(`--format: ${why}.`);
  });
});
