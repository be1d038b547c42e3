/**
 * Run inside a host: the caller's shell goes into the host's cgroups (writing 0 to `tasks` moves the
 * writer and costs nothing), then into all its namespaces. The program is killed when the
 * `nsenter` that waits for it ends: so ending what was started from outside ends what runs inside.
 */
const SCRIPT = [
  'for group in $1; do echo 0 > "$group"; done',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root',
  'export PATH HOME',
  'pid=$2; shift 2',
  'exec nsenter --target "$pid" --all setpriv --pdeathsig KILL "$@"',
].join('\n');

/**
 * The argument list that runs `argv` in all namespaces of a host, in its root directory, with a
 * standard PATH, and otherwise with the caller's environment and standard streams.
 *
 * @param pid the host's init
 * @param groups files to which a process writes 0 to join the host's cgroups
 */
export function enterArgv(pid: number, groups: readonly string[], argv: readonly string[]): [string, ...string[]] {
  return ['sh', '-c', SCRIPT, 'coat-lab', groups.join(' '), String(pid), ...argv];
}
