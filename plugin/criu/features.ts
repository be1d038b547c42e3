import { compareVersions, type Criu } from './program.ts';
import type { HostSide } from './host.ts';
import { HOST_PATH } from './wrapper.ts';
import { PAGE } from '../memory/page.ts';

/** From this on CRIU hands its processes over as `handover.ts` takes them in. */
const LAZY_FROM = '4.2';

/** What was found out; a host's kernel is the same for as long as its agent lives. */
const known = new Map<string, Promise<string | undefined>>();

/**
 * Why memory cannot be fetched later on this host, or nothing. CRIU needs to be told of faults, forks, moved and unmapped memory
 * (userfaultfd(2); criu-check, `uffd-noncoop`), for which `vm.unprivileged_userfaultfd` does not matter, as it is root.
 *
 * The host that sends needs it as well: runc asks CRIU before it lets it leave pages behind.
 */
export function whyNotLazy(host: HostSide, criu: Criu): Promise<string | undefined> {
  const key = `${criu.path} ${criu.version}`;
  const answer = known.get(key) ?? ask(host, criu);
  known.set(key, answer);
  // that it could not be asked says nothing of the next time
  answer.catch(() => known.delete(key));
  return answer;
}

async function ask(host: HostSide, { command, environment, version }: Criu): Promise<string | undefined> {
  if (compareVersions(version, LAZY_FROM) < 0) return `its CRIU is ${version}, older than ${LAZY_FROM}`;
  const script = `${environment}; ${command} check --feature uffd-noncoop && test "$(getconf PAGESIZE)" = ${PAGE}`;
  const { code } = await host.run(['sh', '-c', script], { env: { PATH: HOST_PATH }, okCodes: [0, 1, 2, 255], timeout: 10_000 });
  return code === 0 ? undefined : 'its kernel has no userfaultfd for it';
}
