#!/bin/sh
# Process 1 of a lab host: keeps containerd and dockerd running and collects orphans (the wait at the
# end takes in every child, also those it was given). SIGTERM shuts the host down in order;
# SIGKILL, from outside, is the power cut.
set -u
ip link set lo up

# What the last boot left behind would be taken for running daemons.
rm -f /var/run/docker.pid /var/run/containerd/*.pid

# A daemon that ends is started again, as a service manager would.
keep() {
  name=$1
  shift
  while [ ! -e /run/lab/stopping ]; do
    "$@" >> "/var/log/lab/$name.log" 2>&1 &
    echo $! > "/run/lab/$name.pid"
    wait $!
    sleep 0.2
  done
}

stop() {
  : > /run/lab/stopping
  for name in dockerd containerd; do
    pid=$(cat "/run/lab/$name.pid" 2> /dev/null) || continue
    kill -TERM "$pid" 2> /dev/null
    while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
  done
  exit 0
}
trap stop TERM

keep containerd containerd &
while [ ! -S /run/containerd/containerd.sock ]; do sleep 0.02; done
keep dockerd dockerd --containerd /run/containerd/containerd.sock &
while :; do wait; done
