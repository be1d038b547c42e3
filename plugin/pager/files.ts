/** Files by which the agent and the pager of an arriving container know of each other, in the directory of its restore. */
export const FILES = {
  /** Where the pager takes connections; one at a time is used, the last. */
  socket: 'pager',
  pid: 'pager.pid',
  /** There when it takes the processes of a restore in. */
  ready: 'pager.ready',
  /** Process number of the container's first process, from CRIU's action script. */
  init: 'init.pid',
  /** There when the container may run, as no page is missing that it has to wait for. */
  go: 'pager.go',
  /** There when all memory is on this host: from then on the source is not needed. */
  here: 'pager.here',
  /** Why the agent makes the pager give up. */
  why: 'pager.why',
  /** `whole`, or `lost` and why; the pager has ended then. */
  outcome: 'pager.outcome',
} as const;
