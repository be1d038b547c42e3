# What the scripts have in common; they run on the host that has the container, as a person would run them.
# Each says when a step begins: "step NANOSECONDS WORDS".
step() { echo "step $(date +%s%N) $*"; }

# One connection for all calls, opened before: less than what a plain ssh for each would take.
there() { ssh -F /share/bench/ssh/config "$to" "$@"; }

podman() {
  PODMAN_IGNORE_CGROUPSV1_WARNING=1 command podman --root "/share/bench/podman-$(hostname)" --runroot /run/podman-bench \
    --storage-driver overlay --cgroup-manager cgroupfs --runtime runc --events-backend none "$@"
}

# The container's end of a veth in a network namespace of its own, its other end in the bridge.
# No IPv6: what the kernel says there by itself would tell the bridges where the address is before anybody answers at it.
namespace() {
  ip netns add bench-server
  ip link add bench-port type veth peer name eth0 address "$mac" mtu 1450 netns bench-server
  ip netns exec bench-server sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6'
  ip -netns bench-server link set lo up
  ip -netns bench-server address add "$address/24" dev eth0
  ip -netns bench-server link set eth0 up
  echo 1 > /proc/sys/net/ipv6/conf/bench-port/disable_ipv6
  ip link set bench-port master bench-br up
}

no_namespace() {
  ip netns delete bench-server 2> /dev/null || true
  ip link delete bench-port 2> /dev/null || true
}

# Tells all bridges where the address is now.
announce() { ip netns exec "$1" arping -q -U -c 1 -I eth0 "$address" || true; }
