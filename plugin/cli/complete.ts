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
  if (['rm', 'promote'].includes(command.name()) && given.length === 0) return hosts(agent).catch(() => []);
  if (command.name() === 'demote' && given.length === 0) return keepers(agent).catch(() => []);
  if (command.name() === 'inspect') return networks(agent).then((all) => all.filter(({ value }) => !given.includes(value)), () => []);
  if (command.name() !== 'migrate' || given.length > 1) return [];
  return names(agent, given[0]).catch(() => []);
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

/** Containers of this host; with a container given, the hosts it can go to. */
async function names(agent: Wish['agent'], container: string | undefined): Promise<Candidate[]> {
  const local = await agent();
  if (container !== undefined) return hosts(agent);
  const [{ endpoints }, { host: here }] = await Promise.all([local.listing(PATIENCE_MS), local.version(PATIENCE_MS)]);
  const own = new Map<string, string>();
  for (const endpoint of endpoints) {
    if (endpoint.container !== undefined && endpoint.host === here) own.set(endpoint.container, `${endpoint.ip} in ${endpoint.network}`);
  }
  return [...own].map(([value, about]) => ({ value, about }));
}
