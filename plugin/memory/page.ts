/** Bytes; the only size of pages there is where moves are possible (`features.ts` asks). */
export const PAGE = 4096;

/** Pages of one process that lie beside each other. */
export interface PageRequest {
  /** As the container counts. */
  pid: number;
  address: number;
  pages: number;
}
