#!/bin/bash
# podman.sh start ARGV…: the server on this host. podman.sh move HOST: from here to that one, in the order of the paper's
# script, only that the address is announced when the server answers again. Environment: name, address, mac.
set -eu
. /share/bench/common.sh
case $1 in
  start) shift
    no_namespace
    namespace
    podman run --detach --name "$name" --network ns:/run/netns/bench-server --volume /share:/share localhost/coat-lab/workloads "$@" ;;
  move) to=$2
    step checkpoint
    podman container checkpoint --tcp-established --compress none --export /tmp/checkpoint.tar "$name"
    step remove the network at the source
    no_namespace
    step copy
    there 'cat > /tmp/checkpoint.tar' < /tmp/checkpoint.tar
    step make the network at the destination
    there "name=$name address=$address mac=$mac /share/bench/podman.sh network"
    step restore
    there "name=$name address=$address mac=$mac /share/bench/podman.sh restore"
    step clean up
    rm /tmp/checkpoint.tar
    podman rm --force --time 0 "$name" > /dev/null
    step end ;;
  network) no_namespace; namespace ;;
  restore) podman container restore --tcp-established --import /tmp/checkpoint.tar > /dev/null; announce bench-server; rm /tmp/checkpoint.tar ;;
  logs) podman logs "$name" ;;
  remove) podman rm --force --time 0 "$name" > /dev/null 2>&1 || true; no_namespace; rm -f /tmp/checkpoint.tar ;;
  load) podman load --quiet < /share/bench/image.tar ;;
esac
