import { CoatError } from '../../../driver/host/errors.ts';
import { call, checkFunction, isTrue, printed, type Value } from './functions.ts';
import { badFormat, type Piece, scan, type Word } from './scan.ts';

/** What is computed between `{{` and `}}`. */
type Expression = { field: string[] } | { constant: Value } | { name: string; args: Expression[] };

type Node =
  | { do: 'text'; text: string }
  | { do: 'print'; what: Expression }
  | { do: 'if' | 'range'; what: Expression; then: Node[]; otherwise: Node[] };

/**
 * The part of Go's templates (https://pkg.go.dev/text/template) that people use with docker's `--format`: fields, pipelines, `if`, `range`, and
 * the functions in functions.ts. A field is found whatever the case of its letters, because Go's begin with capitals and JSON's do not.
 */
export class Template {
  readonly #nodes: Node[];

  /** @throws CoatError `usage` */
  constructor(text: string) {
    const pieces = scan(text);
    this.#nodes = parse(pieces);
    if (pieces.length > 0) throw badFormat(`{{${wordsOf(pieces[0]!)}}} has nothing to belong to`);
  }

  /** @throws CoatError `no-field` */
  render(record: Value): string {
    return run(this.#nodes, record);
  }

  /** The same text with names of fields for their values, in capitals: heads of columns. */
  heads(): string {
    return this.#nodes.map((node) => (node.do === 'text' ? node.text : head(node.what))).join('');
  }
}

/** Takes nodes off the front, up to what ends their block. */
function parse(pieces: Piece[]): Node[] {
  const nodes: Node[] = [];
  while (pieces[0] !== undefined && !ends(pieces[0])) {
    const piece = pieces.shift()!;
    if ('text' in piece) {
      nodes.push({ do: 'text', text: piece.text });
      continue;
    }
    const [first, ...rest] = piece.words;
    if (first?.kind === 'name' && (first.value === 'if' || first.value === 'range')) nodes.push(block(first.value, whole(rest), pieces));
    else nodes.push({ do: 'print', what: whole(piece.words) });
  }
  return nodes;
}

function block(kind: 'if' | 'range', what: Expression, pieces: Piece[]): Node {
  const then = parse(pieces);
  let last = pieces.shift();
  let otherwise: Node[] = [];
  if (last !== undefined && wordsOf(last) === 'else') {
    otherwise = parse(pieces);
    last = pieces.shift();
  }
  if (last === undefined || wordsOf(last) !== 'end') throw badFormat(`{{${kind}}} without its {{end}}`);
  return { do: kind, what, then, otherwise };
}

const wordsOf = (piece: Piece): string => ('words' in piece ? piece.words.map(({ value }) => value).join(' ') : '');
const ends = (piece: Piece): boolean => 'words' in piece && ['else', 'end'].includes(wordsOf(piece));

function whole(words: readonly Word[]): Expression {
  const left = [...words];
  const expression = pipeline(left);
  if (left[0] !== undefined) throw badFormat(`"${left[0].value}" is not expected there`);
  return expression;
}

/** Each command is the last argument of the next one. */
function pipeline(words: Word[]): Expression {
  let value = command(words);
  while (isSign(words[0], '|')) {
    words.shift();
    const next = command(words);
    if (!('name' in next)) throw badFormat('after | there must be a function');
    value = { name: next.name, args: [...next.args, value] };
  }
  return value;
}

function command(words: Word[]): Expression {
  if (words[0]?.kind !== 'name') return operand(words);
  const name = words.shift()!.value;
  const args: Expression[] = [];
  while (words[0] !== undefined && !isSign(words[0], '|') && !isSign(words[0], ')')) args.push(operand(words));
  checkFunction(name);
  return { name, args };
}

function operand(words: Word[]): Expression {
  const word = words.shift();
  if (word?.kind === 'field') return { field: word.value === '' ? [] : word.value.split('.') };
  if (word?.kind === 'text') return { constant: word.value };
  if (word?.kind === 'number') return { constant: Number(word.value) };
  if (word !== undefined && isSign(word, '(')) {
    const inner = pipeline(words);
    if (!isSign(words.shift(), ')')) throw badFormat('a ( without its )');
    return inner;
  }
  throw badFormat(word === undefined ? 'something is missing between {{ and }}' : `"${word.value}" is not expected there`);
}

const isSign = (word: Word | undefined, value: string): boolean => word?.kind === 'sign' && word.value === value;

function run(nodes: readonly Node[], dot: Value): string {
  return nodes.map((node) => {
    if (node.do === 'text') return node.text;
    const value = evaluate(node.what, dot);
    if (node.do === 'print') return printed(value);
    if (!isTrue(value)) return run(node.otherwise, dot);
    if (node.do === 'if') return run(node.then, dot);
    const each = Array.isArray(value) ? (value as Value[]) : Object.values(value as object);
    return each.map((item) => run(node.then, item as Value)).join('');
  }).join('');
}

function evaluate(expression: Expression, dot: Value): Value {
  if ('constant' in expression) return expression.constant;
  if ('field' in expression) return expression.field.reduce(fieldOf, dot);
  return call(expression.name, expression.args.map((each) => evaluate(each, dot)));
}

function fieldOf(value: Value, name: string): Value {
  if (value === undefined || value === null) return undefined;
  const keys = typeof value === 'object' ? Object.keys(value) : [];
  const key = keys.find((each) => each.toLowerCase() === name.toLowerCase());
  if (key !== undefined) return (value as Record<string, Value>)[key];
  throw new CoatError('no-field', `--format: there is no field .${name}.`, { hint: keys.length === 0 ? 'There are no fields.' : `There are ${keys.map((each) => `.${each.charAt(0).toUpperCase()}${each.slice(1)}`).join(', ')}.` });
}

/** As docker names columns: `.MovingTo` is `MOVING TO`. */
function head(expression: Expression): string {
  if ('field' in expression) return (expression.field.at(-1) ?? '').replace(/([a-z])([A-Z])/g, '$1 $2').toUpperCase();
  return 'name' in expression ? expression.args.map(head).filter(Boolean).join(' ') : '';
}
