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
  const given = words.filter((word) => !word.startsWith('-'));
  const verb = program.commands.find((command) => command.name() === given[0]);
  if (verb === undefined && given.length > 0) return [];
  if (toComplete.startsWith('-') && !words.includes('--')) return flags(verb ?? program, words);
  if (verb === undefined || (verb.name() === 'help' && given.length === 1)) return verbs(program, verb);
  if (verb.name() === 'rm' && given.length === 1) return hosts(agent).catch(() => []);
  if (verb.name() !== 'migrate' || given.length > 2) return [];
  return names(agent, given[1]).catch(() => []);
}

function verbs(program: Command, except: Command | undefined): Candidate[] {
  return program.commands.filter((command) => command !== except).map((command) => ({ value: command.name(), about: command.description() }));
}

function flags(command: Command, words: readonly string[]): Candidate[] {
  return command.createHelp().visibleOptions(command)
    .filter(({ long, short }) => !words.includes(long ?? '') && !words.includes(short ?? ''))
    .map(({ long, description }) => ({ value: long ?? '', about: description }));
}

/** The other hosts. */
async function hosts(agent: Wish['agent']): Promise<Candidate[]> {
  const local = await agent();
  const [listing, { host: here }] = await Promise.all([local.listing(PATIENCE_MS), local.version(PATIENCE_MS)]);
  return listing.hosts.filter(({ name }) => name !== here).map(({ name, address }) => ({ value: name, about: address }));
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
