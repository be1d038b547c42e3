import { createHash } from 'node:crypto';
import type { Engine } from '../spec.ts';

/** What goes into one root file system built with mmdebstrap. */
export interface Recipe {
  /** Debian's code name. */
  suite: string;
  packages: string[];
  /** Packages from a later suite, put on top of the rest. */
  later?: { suite: string; packages: string[] };
  /** A program that is there when the build was whole. */
  proof: string;
}

const HOST_PACKAGES = [
  'docker.io', 'docker-cli', 'docker-compose', 'containerd', 'runc', 'iproute2', 'nftables', 'iptables', 'kmod', 'procps',
  'iputils-ping', 'nodejs', 'util-linux', 'tar', 'ca-certificates', 'socat', 'python3-minimal',
];

/**
 * The hosts' root file systems. Debian 13 has Docker 26.1, the next Debian 28.5; CRIU before 4.2 cannot
 * dump a TCP socket on kernels from 6.16 on, so both have the later one.
 */
export const ENGINE_RECIPES: Record<Engine, Recipe> = {
  26: { suite: 'trixie', packages: HOST_PACKAGES, later: { suite: 'forky', packages: ['criu', 'libcompel1'] }, proof: 'usr/sbin/dockerd' },
  28: { suite: 'forky', packages: [...HOST_PACKAGES, 'criu'], proof: 'usr/sbin/dockerd' },
};

/** What the image `coat-lab/workloads` is made of: servers and clients worth moving. */
export const WORKLOADS_RECIPE: Recipe = {
  suite: 'trixie',
  packages: [
    'python3', 'iperf3', 'sockperf', 'redis-server', 'redis-tools', 'postgresql', 'nginx-light', 'wrk',
    'iproute2', 'iputils-ping', 'procps', 'socat', 'ca-certificates', 'libuid-wrapper',
  ],
  proof: 'usr/bin/redis-server',
};

/** Documentation and translations, which nobody reads in a lab. */
export const LEFT_OUT = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/lintian/*'];

/** Changed by hand when the way of building changes, so that caches are built anew. */
const BUILD_VERSION = 1;

/** A short name for exactly this content: the same input gives the same key. */
export function cacheKey(...content: unknown[]): string {
  return createHash('sha256').update(JSON.stringify([BUILD_VERSION, LEFT_OUT, ...content])).digest('hex').slice(0, 12);
}
