/** Something to move, and what it is measured against. */
export interface Workload {
  /** For people. */
  about: string;
  /** Its command in the image `coat-lab/workloads`. It answers on port 7000 with what it gets. */
  argv: string[];
  /** Of `docker coat migrate`. */
  options?: string[];
  /** The median of the client's gaps should be no more than this, ms. */
  target: number;
}

const COLD = ['--strategy', 'cold'];
const PRECOPY = ['--strategy', 'precopy'];
const POSTCOPY = ['--strategy', 'postcopy'];

/** By the name that `--workload` takes. All print `ready` when they are. */
export const workloads: Readonly<Record<string, Workload>> = {
  echo: { about: 'an idle echo server, about 10 MB', argv: ['python3', '/share/echo.py'], target: 120 },
  echo256: { about: 'the same with 256 MiB resident, carried while it stands still', argv: ['python3', '/share/echo.py', '--mb', '256'], options: COLD, target: 1_000 },
  'echo256-precopy': { about: 'the same, and its memory goes ahead of it', argv: ['python3', '/share/echo.py', '--mb', '256'], options: PRECOPY, target: 200 },
  'echo256-postcopy': { about: 'the same, and its memory follows it', argv: ['python3', '/share/echo.py', '--mb', '256'], options: POSTCOPY, target: 200 },
  echo1g: { about: 'an echo server with 1 GiB resident, carried while it stands still', argv: ['python3', '/share/echo.py', '--mb', '1024'], options: COLD, target: 5_000 },
  'echo1g-precopy': { about: 'the same, and its memory goes ahead of it', argv: ['python3', '/share/echo.py', '--mb', '1024'], options: PRECOPY, target: 250 },
  'echo1g-postcopy': { about: 'the same, and its memory follows it', argv: ['python3', '/share/echo.py', '--mb', '1024'], options: POSTCOPY, target: 250 },
};
