import { PAGE } from './page.ts';
import type { Ranges } from './ranges.ts';

/** A part of a process's memory that has not been put in its place. */
export interface Piece {
  /** Where it is now, bytes. */
  start: number;
  end: number;
  /** Where it was when the process was taken from where it ran. */
  origin: number;
}

/** What is still missing of the memory of one process, which may meanwhile move, remove and double it. */
export class Space {
  /** In the order of where they are now. */
  #pieces: Piece[];
  /** Whether each is where it was. */
  #inPlace: boolean;

  private constructor(pieces: Piece[], inPlace: boolean) {
    this.#pieces = pieces;
    this.#inPlace = inPlace;
  }

  static of(ranges: Ranges): Space {
    return new Space(ranges.map(({ address, pages }) => ({ start: address, end: address + pages * PAGE, origin: address })), true);
  }

  /** Of a child that begins with the same. */
  copy(): Space {
    return new Space(this.#pieces.map((piece) => ({ ...piece })), this.#inPlace);
  }

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** What is missing there, if anything is. */
  find(address: number): Piece | undefined {
    const piece = this.#pieces[this.#after(address)];
    return piece && piece.start <= address ? piece : undefined;
  }

  /** Where that which was in a place is now, as far as it is missing. */
  wherever(origin: number, end: number): Piece[] {
    const found: Piece[] = [];
    for (let i = this.#inPlace ? this.#after(origin) : 0; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i]!;
      if (this.#inPlace && piece.start >= end) break;
      const from = Math.max(origin, piece.origin);
      const to = Math.min(end, piece.origin + piece.end - piece.start);
      if (from < to) found.push(part(piece, piece.start + from - piece.origin, piece.start + to - piece.origin));
    }
    return found;
  }

  /** This part is missing no more: it is in its place, or is not wanted. */
  drop(start: number, end: number): void {
    this.#take(start, end);
  }

  move(from: number, to: number, length: number): void {
    const moved = this.#take(from, from + length).map((piece) => ({ ...piece, start: piece.start + to - from, end: piece.end + to - from }));
    // whatever was there has made room
    this.#take(to, to + length);
    if (moved.length === 0) return;
    this.#pieces.splice(this.#after(to), 0, ...moved);
    this.#inPlace = false;
  }

  /** Takes all pieces out of a part. @returns what was in it */
  #take(start: number, end: number): Piece[] {
    const first = this.#after(start);
    const taken: Piece[] = [];
    const left: Piece[] = [];
    let last = first;
    for (; last < this.#pieces.length && this.#pieces[last]!.start < end; last++) {
      const piece = this.#pieces[last]!;
      taken.push(part(piece, Math.max(start, piece.start), Math.min(end, piece.end)));
      if (piece.start < start) left.push(part(piece, piece.start, start));
      if (piece.end > end) left.push(part(piece, end, piece.end));
    }
    if (last > first) this.#pieces.splice(first, last - first, ...left);
    return taken;
  }

  /** The first that ends after an address. */
  #after(address: number): number {
    let [low, high] = [0, this.#pieces.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#pieces[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

const part = (piece: Piece, start: number, end: number): Piece => ({ start, end, origin: piece.origin + start - piece.start });
