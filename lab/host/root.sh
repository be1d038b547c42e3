#!/bin/sh
# The first process of a lab host, still on the machine's file system: makes the host's root and
# turns into its init. The order of the mounts matters; pivot_root, not chroot, because CRIU wants
# the root to be a mount with a parent.
#
# Environment (set by boot.ts): LAB_NAME host name; LAB_LOWER read-only root file system; LAB_DISK the
# host's directory (upper, work, root, docker, containerd, coat, log); LAB_SHARE directory seen
# as /share; LAB_CGROUP 1 or 2; LAB_MOUNTS lines "directory options" of cgroup v1 hierarchies;
# LAB_SCRIPTS where this script is; LAB_V2 the host's cgroup in the unified hierarchy.
set -eu

if [ "${LAB_STAGE:-}" = '' ]; then
  # The cgroup namespace is rooted where its maker is: in the host's cgroup, not in boot's.
  echo 0 > "$LAB_V2/cgroup.procs"
  LAB_STAGE=2 exec unshare --cgroup sh "$LAB_SCRIPTS/root.sh"
fi

hostname "$LAB_NAME"
root=$LAB_DISK/root
mount -t overlay overlay -o "lowerdir=$LAB_LOWER,upperdir=$LAB_DISK/upper,workdir=$LAB_DISK/work" "$root"
cd "$root"

# Docker's own overlays cannot lie on an overlay: these are directories of the machine's file system.
for pair in docker:var/lib/docker containerd:var/lib/containerd coat:var/lib/coat log:var/log/lab; do
  mkdir -p "${pair#*:}"
  mount --bind "$LAB_DISK/${pair%%:*}" "${pair#*:}"
done
mkdir -p share
mount --bind "$LAB_SHARE" share

mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty kmsg fuse loop-control; do
  [ -e /dev/$device ] || continue
  : > dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir -p dev/net dev/pts dev/shm dev/mqueue
if [ -e /dev/net/tun ]; then : > dev/net/tun; mount --bind /dev/net/tun dev/net/tun; fi
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t mqueue mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

# Mounted anew inside the cgroup namespace, so that the host's own cgroup is the root it sees.
if [ "$LAB_CGROUP" = 2 ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  unified=sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
  echo "$LAB_MOUNTS" | while read -r directory options; do
    mkdir "sys/fs/cgroup/$directory"
    mount -t cgroup -o "$options" cgroup "sys/fs/cgroup/$directory"
    case $directory in *,*)
      for controller in $(echo "$directory" | tr , ' '); do ln -s "$directory" "sys/fs/cgroup/$controller"; done ;;
    esac
  done
  unified=sys/fs/cgroup/unified
  mkdir "$unified"
  mount -t cgroup2 cgroup2 "$unified"
fi
# A cgroup with processes of its own cannot give controllers to its children.
echo 0 > "$unified/init/cgroup.procs"

mkdir -p run/lab old
cp "$LAB_SCRIPTS/init.sh" run/lab/init
pivot_root . old
umount -l /old
rmdir /old
# as service managers have it: Docker passes mounts of managed plugins and of bind propagation on
mount --make-rshared /
# Older versions of unshare(1) let what they start ignore these, and a shell cannot take that back.
exec env --default-signal=INT,TERM -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
  /bin/sh /run/lab/init
