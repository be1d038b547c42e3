import type { Command } from 'commander';
import type { Agent } from './agent.ts';

/** How long the shell may be kept waiting for names, in ms. */
const PATIENCE_MS = 400;

/** "Offer nothing else, in particular no file names"; one of the directives of spf13/cobra. */
const NO_FILES = ':4\n';

interface Wish {
  program: Command;
  /** Complete words after `coat`, and the beginning of the one to complete. */
  words: readonly string[];
  toComplete: string;
  describe: boolean;
  agent: () => Promise<Agent>;
}

interface Candidate {
  value: string;
  about: string;
}

/** The answer to `__complete`: a line `value<TAB>description` each, then the directive. */
export async function completion(wish: Wish): Promise<string> {
  const fitting = (await candidates(wish)).filter(({ value }) => value.startsWith(wish.toComplete));
  return fitting.map(({ value, about }) => (wish.describe ? `${value}\t${about}\n` : `${value}\n`)).join('') + NO_FILES;
}

async function candidates({ program, words, toComplete, agent }: Wish): Promise<Candidate[]> {
  const { command, given } = verbOf(program, words);
  if (toComplete.startsWith('-') && !words.includes('--')) return given.length > 0 && command.commands.length > 0 ? [] : flags(command, words);
  if (command.commands.length > 0) return given.length > 0 ? [] : verbs(command, undefined);
  if (command.name() === 'help' && given.length === 0) return verbs(program, command);
  const option = optionBefore(command, words);
  if (option !== undefined) return valuesOf(option, agent).catch(() => []);
  if (['inspect', 'rm'].includes(command.name()) && command.parent !== program) return networks(agent).then((all) => all.filter(({ value }) => !given.includes(value)), () => []);
  if (['rm', 'promote', 'drain'].includes(command.name()) && given.length === 0) return hosts(agent).catch(() => []);
  if (command.name() === 'demote' && given.length === 0) return keepers(agent).catch(() => []);
  if (command.name() === 'cancel') return given.length > 0 ? [] : moves(agent, { state: 'running' }).catch(() => []);
  if (command.name() === 'inspect') return given.length > 0 ? [] : moves(agent, { limit: 20 }).catch(() => []);
  if (command.name() !== 'migrate') return [];
  return names(agent, given, words.includes('--all-on-network')).catch(() => []);
}

/** The option whose value is to come next. */
function optionBefore(command: Command, words: readonly string[]): string | undefined {
  const option = command.options.find(({ long, short }) => long === words.at(-1) || short === words.at(-1));
  return option?.required ? option.long : undefined;
}

async function valuesOf(option: string, agent: Wish['agent']): Promise<Candidate[]> {
  switch (option) {
    case '--from':
    case '--to':
    case '--host':
      return (await (await agent()).listing(PATIENCE_MS)).hosts.map(({ name, address }) => ({ value: name, about: address }));
    case '--all-on-network':
      return networks(agent);
    case '--container':
      return containers(await agent());
    default:
      return [];
  }
}

async function moves(agent: Wish['agent'], filter: { state?: string; limit?: number }): Promise<Candidate[]> {
  const { migrations } = await (await agent()).migrations(filter, PATIENCE_MS);
  return migrations.map(({ id, container, from, to, outcome, phase }) => (filter.state === 'running' ? { value: container, about: `${from} to ${to}, ${phase}` } : { value: id.slice(0, 8), about: `${container}: ${from} to ${to}, ${outcome ?? phase}` }));
}

/** The verb that is there already, whole, and what follows it without its flags and their values. */
function verbOf(program: Command, words: readonly string[]): { command: Command; given: string[] } {
  let command = program;
  const given: string[] = [];
  let value = false;
  for (const word of words) {
    const next = given.length === 0 && !word.startsWith('-') ? command.commands.find((each) => each.name() === word) : undefined;
    if (value) value = false;
    else if (word.startsWith('-')) value = command.options.some((option) => option.required && (option.long === word || option.short === word));
    else if (next !== undefined) command = next;
    else given.push(word);
  }
  return { command, given };
}

function verbs(program: Command, except: Command | undefined): Candidate[] {
  return program.commands.filter((command) => command !== except).map((command) => ({ value: command.name(), about: command.description() }));
}

function flags(command: Command, words: readonly string[]): Candidate[] {
  return command.createHelp().visibleOptions(command)
    .filter(({ long, short }) => !words.includes(long ?? '') && !words.includes(short ?? ''))
    .map(({ long, description }) => ({ value: long ?? '', about: description }));
}

async function networks(agent: Wish['agent']): Promise<Candidate[]> {
  const { networks: all } = await (await agent()).listing(PATIENCE_MS);
  return all.map(({ name, subnet }) => (name === undefined ? { value: subnet, about: 'has no name yet' } : { value: name, about: subnet }));
}

/** The other hosts. */
async function hosts(agent: Wish['agent']): Promise<Candidate[]> {
  const local = await agent();
  const [listing, { host: here }] = await Promise.all([local.listing(PATIENCE_MS), local.version(PATIENCE_MS)]);
  return listing.hosts.filter(({ name }) => name !== here).map(({ name, address }) => ({ value: name, about: address }));
}

/** The hosts that keep the store, of which this one may be one. */
async function keepers(agent: Wish['agent']): Promise<Candidate[]> {
  const { hosts: all } = await (await agent()).listing(PATIENCE_MS);
  return all.filter(({ store }) => store !== undefined).map(({ name, address }) => ({ value: name, about: address }));
}

/** Containers, and once there is one, the hosts as well. */
async function names(agent: Wish['agent'], given: readonly string[], network: boolean): Promise<Candidate[]> {
  const local = await agent();
  const all = await local.listing(PATIENCE_MS);
  const hosts = all.hosts.map(({ name, address }) => ({ value: name, about: address }));
  const on = (name: string): string[] => all.endpoints.filter(({ container, host }) => container !== undefined && host === name).map(({ container }) => container!);
  if (network) return given.length > 0 ? [] : hosts;
  if (hosts.some(({ value }) => value === given.at(-1))) return [];
  const rest = (await containers(local)).filter(({ value }) => !given.includes(value));
  // not the one that has them all already
  return given.length === 0 ? rest : [...hosts.filter(({ value }) => !given.every((name) => on(value).includes(name))), ...rest];
}

async function containers(agent: Agent): Promise<Candidate[]> {
  const { endpoints } = await agent.listing(PATIENCE_MS);
  const found = new Map(endpoints.flatMap(({ container, ip, network, host }) => (container === undefined ? [] : [[container, `${ip} in ${network}, on ${host}`] as const])));
  return [...found].map(([value, about]) => ({ value, about }));
}
