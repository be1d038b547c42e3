#!/bin/sh
# Starts a lab host: first into the host's cgroups, so that whatever happens next can be found and
# ended, then into its own network, mount, pid, UTS and IPC namespaces. Never returns.
#
# Environment (set by boot.ts): LAB_V1 (directories), LAB_V2 (directory): the host's cgroups;
# LAB_NETNS (path); the rest is for root.sh.
set -eu
echo 0 > "$LAB_V2/boot/cgroup.procs"
for cgroup in $LAB_V1; do echo 0 > "$cgroup/cgroup.procs"; done
exec nsenter --net="$LAB_NETNS" \
  unshare --mount --propagation private --pid --uts --ipc --fork --kill-child \
  sh "$LAB_SCRIPTS/root.sh"
