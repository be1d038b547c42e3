/**
 * A shell that leaves the plugin's cgroups before it becomes something else. When the agent dies, containerd kills all that is in
 * the plugin's cgroups, and a CRIU killed in the middle leaves its victim with foreign code inside; so it must outlive us.
 *
 * @param root where the host's root file system is for the program
 */
export function outliving(argv: readonly string[], root = ''): [string, ...string[]] {
  return ['sh', '-c', LEAVING, 'sh', `${root}/sys/fs/cgroup`, ...argv];
}

const LEAVING = `
cgroups=$1
shift
leave() { echo $$ >"$1/cgroup.procs"; }
if [ -e "$cgroups/cgroup.procs" ]; then leave "$cgroups"; else for hierarchy in "$cgroups"/*; do leave "$hierarchy"; done; fi 2>/dev/null
exec "$@"`;
