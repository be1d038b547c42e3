#!/bin/bash
# docker.sh start|create ARGV…; docker.sh move HOST: `docker checkpoint create`, its directory copied, `docker start --checkpoint`;
# docker.sh restart HOST ARGV…: ended here, started there. Environment: name, address, mac.
set -eu
. /share/bench/common.sh
# Docker has no option for it: without this file, connections make the checkpoint fail.
criu_keeps_connections() { mkdir -p /etc/criu; echo tcp-established > /etc/criu/runc.conf; }
options=(--name "$name" --network bench-hand --ip "$address" --mac-address "$mac" --volume /share:/share coat-lab/workloads)
id() { docker inspect --format '{{.Id}}' "$name"; }
checkpoints() { echo "/var/lib/docker/containers/$(id)/checkpoints"; }
announce_container() {
  pid=$(docker inspect --format '{{.State.Pid}}' "$name")
  nsenter --net="/proc/$pid/ns/net" arping -q -U -c 1 -I eth0 "$address" || true
}
case $1 in
  start) shift; docker run --detach "${options[@]}" "$@" > /dev/null ;;
  create) shift; docker create "${options[@]}" "$@" > /dev/null ;;
  move) to=$2; shift 2
    criu_keeps_connections
    step create at the destination
    there "name=$name address=$address mac=$mac /share/bench/docker.sh create $*"
    step checkpoint
    docker checkpoint create "$name" bench > /dev/null
    step copy
    tar --create --directory "$(checkpoints)" bench | there "name=$name address=$address mac=$mac /share/bench/docker.sh unpack"
    step restore
    there "name=$name address=$address mac=$mac /share/bench/docker.sh restore"
    step clean up
    docker rm --force "$name" > /dev/null
    rm /etc/criu/runc.conf
    step end ;;
  unpack) mkdir -p "$(checkpoints)"; tar --extract --directory "$(checkpoints)" ;;
  restore) criu_keeps_connections; docker start --checkpoint bench "$name" > /dev/null; rm /etc/criu/runc.conf; announce_container ;;
  restart) to=$2; shift 2
    step stop
    docker rm --force "$name" > /dev/null
    step start
    there "name=$name address=$address mac=$mac /share/bench/docker.sh again $*"
    step end ;;
  again) shift; docker run --detach "${options[@]}" "$@" > /dev/null; announce_container ;;
  remove) docker rm --force "$name" > /dev/null 2>&1 || true; rm -f /etc/criu/runc.conf ;;
esac
