import { explain } from '../../driver/host/errors.ts';
import { areasOf } from './areas.ts';
import { canInject } from './ptrace.ts';
import { Userfault } from './userfault.ts';
import { writtenPages } from './written.ts';

let known: Promise<string | undefined> | undefined;

/** Why memory of running processes cannot be sent ahead from this host, or nothing. Tried on this process itself. */
export function whyNotAhead(): Promise<string | undefined> {
  return (known ??= ask());
}

async function ask(): Promise<string | undefined> {
  if (!canInject) return `it has a processor (${process.arch}) for which that was not made`;
  try {
    using userfault = await Userfault.own();
    const [area] = areasOf('/proc/self');
    if (!area) return 'it does not say which memory a process has';
    const page = { ...area, pages: 1 };
    if (!userfault.register(page)) return 'its kernel does not notice what is written to (userfaultfd(2), UFFD_FEATURE_WP_ASYNC)';
    return (await writtenPages('/proc/self', page, { protect: false, all: true })) ? undefined : 'its kernel does not say what was written to';
  } catch (error) {
    return `its kernel has no way to notice what is written to, as Linux has from 6.7 on (${explain(error)})`;
  }
}
