import type { Report } from '../../plugin/agent/api.ts';
import type { Lab } from '../../lab/lab.ts';

/** A way of moving a container between two hosts of a lab. COAT's is one; what it is compared with are others. */
export interface Way {
  about: string;
  /** @throws CoatError when the container does not run at the destination afterwards */
  move(lab: Lab, container: string, from: string, to: string, signal: AbortSignal, options?: readonly string[]): Promise<Report>;
}
