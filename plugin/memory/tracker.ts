import type { PageRange } from '../criu/pagemap.ts';
import { areasOf } from './areas.ts';
import { intersect, ordered, type Ranges, subtract, union } from './ranges.ts';
import { Userfault } from './userfault.ts';
import { writtenPages } from './written.ts';

/** Which pages of one running process are written to. Its memory may change in any way meanwhile: what is not known for certain counts as written to. */
export class Tracker implements Disposable {
  readonly #proc: string;
  readonly #userfault: Userfault;
  /** Where the kernel notices what is written to. */
  #noticed: Ranges = [];

  private constructor(proc: string, userfault: Userfault) {
    this.#proc = proc;
    this.#userfault = userfault;
  }

  /**
   * @param proc the process, as `/proc` of the host has it
   * @throws Error where this process's memory cannot be followed
   */
  static async of(proc: string, pid: number): Promise<Tracker> {
    return new Tracker(proc, await Userfault.of(proc, pid));
  }

  /** What was written to since the last time, at first all there is; from now on it counts as not written to. What cannot be followed is none of it. */
  async take(): Promise<Ranges> {
    const areas = areasOf(this.#proc);
    const known = intersect(areas, this.#noticed);
    const fresh = subtract(areas, this.#noticed).filter((area) => this.#userfault.register(area));
    this.#noticed = union(this.#noticed, fresh);
    const found: Ranges[] = [];
    // what was moved here may still look protected from where it was
    for (const area of fresh) found.push(await this.#look(area, { protect: true, all: true }));
    for (const area of known) found.push(await this.#look(area, { protect: true, all: false }));
    return ordered(found.flat());
  }

  /** What was written to since the last time, of a process that stands still; all of what is not followed counts. */
  async rest(): Promise<Ranges> {
    const areas = areasOf(this.#proc);
    const found: Ranges[] = [];
    for (const area of intersect(areas, this.#noticed)) found.push(await this.#look(area, { protect: false, all: false }));
    return ordered([...found.flat(), ...subtract(areas, this.#noticed)]);
  }

  /** Where the kernel has stopped noticing, as there is other memory at the address now, the whole area counts, and it is taken anew the next time. */
  async #look(area: PageRange, how: { protect: boolean; all: boolean }): Promise<Ranges> {
    const found = await writtenPages(this.#proc, area, how);
    if (found) return found;
    this.#noticed = subtract(this.#noticed, [area]);
    return how.protect ? [] : [area];
  }

  [Symbol.dispose](): void {
    this.#userfault[Symbol.dispose]();
  }
}
