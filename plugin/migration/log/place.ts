import { open, readdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { codeOf } from '../../../driver/host/errors.ts';
import type { HostSide } from '../../criu/host.ts';
import type { Containers, Inspect } from '../../engine/containers.ts';
import { type Format, frames, jsonLines } from './formats.ts';

/** What an engine is told of a container's log. */
type LogConfig = Inspect['HostConfig']['LogConfig'];

/** Where and how an engine keeps a log: the newest file, and older ones with `.1`, `.2` behind its name, `.gz` where they are compressed. */
export interface LogPlace {
  path: string;
  format: Format;
  compress: boolean;
  /** When the newest becomes an old one, bytes. */
  capacity: number;
  /** How many there are at most. */
  files: number;
}

/**
 * Where the log of a container is, if its driver is one whose file the engine itself keeps and reads
 * (moby daemon/container/container.go, StartLogger; daemon/logger/local/config.go).
 *
 * @param directory the engine's of the container
 */
export function placeOfLog(directory: string, id: string, { Type, Config }: LogConfig): LogPlace | undefined {
  const option = (name: string): string | undefined => Config?.[name];
  const files = (otherwise: number): number => Number(option('max-file') ?? otherwise);
  if (Type === 'json-file') return { path: `${directory}/${id}-json.log`, format: jsonLines, compress: isTrue(option('compress')), capacity: bytesOf(option('max-size')) ?? Infinity, files: files(1) };
  if (Type === 'local') return { path: `${directory}/local-logs/container.log`, format: frames, compress: isTrue(option('compress') ?? 'true') && files(5) > 1, capacity: bytesOf(option('max-size')) ?? 20 << 20, files: files(5) };
  return undefined;
}

/** The directory in which an engine keeps what is a container's and in none of its file systems. It goes with the container. */
export const engineDirectory = async (containers: Containers, id: string): Promise<string> => `${(await containers.facts()).root}/containers/${id}`;

/** Where this host's engine keeps the log of a container, if it does. */
export async function findLog(containers: Containers, { Id, HostConfig }: Inspect): Promise<LogPlace | undefined> {
  return placeOfLog(await engineDirectory(containers, Id), Id, HostConfig.LogConfig);
}

/** As Go's strconv.ParseBool. */
const isTrue = (text = ''): boolean => /^(1|t|true)$/i.test(text);

/** As docker/go-units' FromHumanSize: `10m` are ten million. */
function bytesOf(text: string | undefined): number | undefined {
  const [, number, unit = ''] = /^([\d.]+) ?([kmgtp]?)i?b?$/i.exec(text ?? '') ?? [];
  return number === undefined ? undefined : Number(number) * 1000 ** ('kmgtp'.indexOf(unit.toLowerCase()) + 1 || 0);
}

/** What an older file's name ends with. */
const SUFFIX = /^\.(\d+)(\.gz)?$/;
export const isSuffix = (text: string): boolean => text === '' || SUFFIX.test(text);

/** One of a log's files, open. */
export interface LogFile {
  /** `''` of the newest; `.1`, `.2.gz`. */
  suffix: string;
  handle: FileHandle;
  inode: number;
}

/** Opens all files of a log, the oldest first. The engine may give them new names at any time: it is looked again until none has changed meanwhile. */
export async function openLog(host: HostSide, { path }: LogPlace, flags = 'r'): Promise<LogFile[]> {
  for (;;) {
    const suffixes = await suffixesOf(host.path(path));
    const opened = await Promise.all(suffixes.map(async (suffix): Promise<LogFile | undefined> => {
      const handle = await open(host.path(path + suffix), flags).catch(unlessGone);
      return handle && { suffix, handle, inode: (await handle.stat()).ino };
    }));
    const files = opened.filter((file) => file !== undefined);
    const again = await Promise.all(suffixes.map(async (suffix) => {
      const handle = await open(host.path(path + suffix)).catch(unlessGone);
      const inode = (await handle?.stat())?.ino;
      await handle?.close();
      return inode;
    }));
    if (again.join() === opened.map((file) => file?.inode).join()) return files;
    await closeLog(files);
  }
}

export async function closeLog(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

/** Those of its files, the oldest first. One that is just being compressed is there twice, and whole in its first form. */
async function suffixesOf(path: string): Promise<string[]> {
  const names = await readdir(dirname(path)).catch(unlessGone) ?? [];
  const found = names.filter((name) => name.startsWith(basename(path))).map((name) => name.slice(basename(path).length)).filter(isSuffix);
  const age = (suffix: string): number => Number(SUFFIX.exec(suffix)?.[1] ?? 0);
  return found.filter((suffix) => !suffix.endsWith('.gz') || !found.includes(suffix.slice(0, -3))).sort((a, b) => age(b) - age(a));
}

function unlessGone(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}
