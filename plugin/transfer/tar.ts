import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { RunError } from '../../driver/host/run.ts';

/**
 * GNU tar carries what a writable layer is made of: whiteouts, trusted.overlay.* and all other extended
 * attributes, owners by number, ACLs, holes, times to the nanosecond. No tar library on npm does.
 */
const FAITHFUL = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--format=pax'] as const;

export interface Packing {
  stream: Readable;
  /** Settles when tar has ended. @throws RunError */
  done: Promise<void>;
}

/**
 * Packs a directory's content, or only `paths` of it (relative, not descended into).
 * Sockets are left out, and a file that changes while it is read is no error: a later delta has it.
 */
export function pack(root: string, paths?: readonly string[]): Packing {
  const what = paths === undefined ? ['.'] : ['--no-recursion', '--null', '--files-from=-'];
  const argv = ['tar', '--create', '--sparse', ...FAITHFUL, '--warning=no-file-ignored', '--warning=no-file-changed', '--ignore-failed-read', '-C', root, ...what];
  const child = spawn(argv[0]!, argv.slice(1), { stdio: [paths === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(paths?.map((path) => `${path}\0`).join(''));
  // exit code 1: "some files differ", which for the first pass of a live tree is to be expected (tar manual, §3.1)
  return { stream: child.stdout!, done: ended(child, argv, [0, 1]) };
}

/**
 * Unpacks a stream over a directory, replacing what is there.
 *
 * @throws Error where the stream broke or tar failed
 * @param through `upper` writes overlayfs's own attributes too, for a layer that is not mounted, and for a volume, where they are
 *   some inner overlayfs's; `merged` leaves them to the overlayfs that is written through
 */
export async function unpack(root: string, stream: Readable, through: 'upper' | 'merged'): Promise<void> {
  const argv = ['tar', '--extract', '--preserve-permissions', '--same-owner', ...FAITHFUL, ...(through === 'merged' ? ['--xattrs-exclude=trusted.overlay.*'] : []), '-C', root];
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'ignore', 'pipe'] });
  const done = ended(child, argv, [0]);
  // tar ends by itself at the archive's end mark, often before the stream does: its exit code decides, unless the stream broke
  child.stdin.on('error', () => undefined);
  // also of one that has broken already
  const whole = finished(stream, { writable: false });
  whole.catch(() => child.stdin.destroy());
  stream.pipe(child.stdin);
  try {
    await Promise.race([done, whole.then(() => done)]);
  } catch (error) {
    // nothing is written any more when this is over
    await done.catch(() => undefined);
    throw error;
  }
  stream.unpipe(child.stdin).resume();
}

function ended(child: ReturnType<typeof spawn>, argv: readonly string[], okCodes: readonly number[]): Promise<void> {
  const errors: Buffer[] = [];
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk));
  const done = new Promise<void>((resolve, reject) => {
    child.on('error', (cause) => reject(new RunError(argv, 'could not be started', { code: null, stdout: '', stderr: '' }, cause)));
    child.on('close', (code) => {
      if (code !== null && okCodes.includes(code)) resolve();
      else reject(new RunError(argv, `exit code ${code}`, { code, stdout: '', stderr: Buffer.concat(errors).toString() }));
    });
  });
  done.catch(() => undefined);
  return done;
}
