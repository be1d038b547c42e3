import { badFormat } from './scan.ts';

export type Value = string | number | boolean | object | null | undefined;

/** The functions a format may call: how many arguments, and what they give. */
const FUNCTIONS: Record<string, { takes: number; give: (...args: Value[]) => Value }> = {
  json: { takes: 1, give: (value) => JSON.stringify(value ?? null) },
  join: { takes: 2, give: (list, between) => (Array.isArray(list) ? list.map((each) => printed(each as Value)).join(printed(between)) : wrong('join wants a list and a text')) },
  upper: { takes: 1, give: (value) => printed(value).toUpperCase() },
  lower: { takes: 1, give: (value) => printed(value).toLowerCase() },
  len: { takes: 1, give: (value) => (Array.isArray(value) ? value.length : typeof value === 'object' && value !== null ? Object.keys(value).length : printed(value).length) },
  eq: { takes: 2, give: (one, other) => printed(one) === printed(other) },
  ne: { takes: 2, give: (one, other) => printed(one) !== printed(other) },
  not: { takes: 1, give: (value) => !isTrue(value) },
};

/** @throws CoatError `usage` where there is no such function */
export function checkFunction(name: string): void {
  if (!Object.hasOwn(FUNCTIONS, name)) throw badFormat(`there is no function "${name}"; there are ${Object.keys(FUNCTIONS).join(', ')}, if and range`);
}

/** @throws CoatError `usage` */
export function call(name: string, args: readonly Value[]): Value {
  checkFunction(name);
  const known = FUNCTIONS[name]!;
  if (args.length !== known.takes) throw badFormat(`${name} takes ${known.takes === 1 ? 'one argument' : 'two arguments'}`);
  return known.give(...args);
}

/** As Go has it: nothing, zero and what is empty are false. */
export const isTrue = (value: Value): boolean => (typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value));

/** A value as text; what is not there is nothing. */
export function printed(value: Value): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function wrong(what: string): never {
  throw badFormat(what);
}
