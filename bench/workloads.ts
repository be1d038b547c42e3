/** Something to move, and what it is measured against. */
export interface Workload {
  /** For people. */
  about: string;
  /** Its command in the image `coat-lab/workloads`. It answers on port 7000 with what it gets. */
  argv: string[];
  /** The median of the client's gaps should be no more than this, ms. */
  target: number;
}

/** By the name that `--workload` takes. All print `ready` when they are. */
export const workloads: Readonly<Record<string, Workload>> = {
  echo: { about: 'an idle echo server, about 10 MB', argv: ['python3', '/share/echo.py'], target: 250 },
  echo256: { about: 'the same with 256 MiB resident', argv: ['python3', '/share/echo.py', '--mb', '256'], target: 1_000 },
};
