import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import dockerignore from '@balena/dockerignore';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from '../criu/host.ts';

/** Where a container says which of its files stay behind. */
export const IGNORE_FILE = '.coatignore';
export const IGNORE_LABEL = 'io.coat.ignore';
/** How much of the file is read, bytes: it is the container's, which may write what it likes. */
const MOST = 65_536;

/** Whether a path (relative to the container's root) is left out of the copy. */
export type Ignores = (path: string) => boolean;

/**
 * The rules of a container, from its file and then its label.
 *
 * @returns undefined where there are none
 * @throws CoatError `bad-ignore`
 */
export async function ignoresOf(host: HostSide, pid: number, labels: unknown): Promise<Ignores | undefined> {
  const label = (labels as Record<string, string> | null | undefined)?.[IGNORE_LABEL] ?? '';
  return parseIgnores(`${await fileOf(host.path(`/proc/${pid}/root/${IGNORE_FILE}`))}\n${label}`);
}

/** In the syntax of .dockerignore, whose paths know capitals from small letters. @throws CoatError `bad-ignore` */
export function parseIgnores(text: string): Ignores | undefined {
  if (!text.split('\n').some((line) => line.trim() !== '' && !line.startsWith('#'))) return undefined;
  try {
    const rules = dockerignore.default({ ignorecase: false }).add(text);
    // a pattern is only looked at when it is used
    rules.ignores('a/path');
    return (path) => rules.ignores(path);
  } catch (cause) {
    throw new CoatError('bad-ignore', `the rules of ${IGNORE_FILE} or of the label ${IGNORE_LABEL} cannot be read: ${(cause as Error).message}`, { hint: 'they have the syntax of .dockerignore', cause });
  }
}

async function fileOf(path: string): Promise<string> {
  try {
    // a link of the container's leads anywhere, and a pipe of its would be waited for
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) return '';
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MOST), 0, MOST, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(codeOf(error) ?? '')) return '';
    throw error;
  }
}
