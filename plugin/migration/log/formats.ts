/**
 * How one of the engine's log drivers writes its file, as far as one has to know to carry it. An entry is written once and at the end.
 */
export interface Format {
  /** Where the last whole entry in `bytes`, which begin anywhere and end where the file does, begins; nothing where none is whole. */
  last(bytes: Buffer): number | undefined;
  /** A file's bytes without what {@link Format.fill} has put between its entries in an earlier move. */
  plain(bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer>;
  /** The same of entries that are at hand. */
  bare(entries: Buffer): Buffer;
  /** Exactly `room` bytes that the engine reads as these bare entries. @returns besides how many bytes of entries have found no room */
  fill(entries: Buffer, room: number): { bytes: Buffer; lost: number };
}

const LINE_END = 0x0a;
const SPACE = 0x20;

/**
 * `json-file`: a JSON document a line, with anything between two that JSON leaves out. Its reader finds the last so many by the ends of
 * lines (moby pkg/tailfile), so what fills stands before an entry and is never a line of its own.
 */
export const jsonLines: Format = {
  last(bytes) {
    const end = bytes.lastIndexOf(LINE_END);
    let begin = end > 0 ? bytes.lastIndexOf(LINE_END, end - 1) + 1 : 0;
    while (bytes[begin] === SPACE) begin++;
    return begin === 0 ? undefined : begin;
  },
  async *plain(source) {
    const unpadded = unpadder();
    for await (const bytes of source) yield* unpadded(bytes);
  },
  bare: (entries) => Buffer.concat([...unpadder()(entries)]),
  fill(entries, room) {
    const fits = entries.subarray(0, entries.lastIndexOf(LINE_END, room - 1) + 1);
    return { bytes: Buffer.concat([Buffer.alloc(room - fits.length, ' '), fits]), lost: entries.length - fits.length };
  },
};

/** Leaves out the spaces at the beginning of lines, piece by piece. */
function unpadder(): (bytes: Buffer) => Generator<Buffer> {
  let begins = true;
  return function* (bytes) {
    for (let at = 0; at < bytes.length; ) {
      while (begins && at < bytes.length && bytes[at] === SPACE) at++;
      if (at === bytes.length) break;
      const next = bytes.indexOf('\n ', at);
      const end = next === -1 ? bytes.length : next + 1;
      yield bytes.subarray(at, end);
      begins = bytes[end - 1] === LINE_END;
      at = end;
    }
  };
}

/** Length of an entry, in front of it and after it; its reader takes no longer ones (moby daemon/logger/local/read.go). */
const LENGTH = 4;
const LONGEST = 1_000_000;

/**
 * `local`: protocol buffers (moby api/types/plugins/logdriver/entry.proto), each between its length and its length. What fills are fields
 * that the engine does not know, which it passes over.
 */
export const frames: Format = {
  last(bytes) {
    if (bytes.length < 2 * LENGTH) return undefined;
    const begin = bytes.length - 2 * LENGTH - bytes.readUInt32BE(bytes.length - LENGTH);
    return begin >= 0 && bytes.readUInt32BE(begin) === bytes.readUInt32BE(bytes.length - LENGTH) ? begin : undefined;
  },
  async *plain(source) {
    let rest: Buffer = Buffer.alloc(0);
    for await (const bytes of source) {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      const whole = messages(rest).reduce((sum, message) => sum + message.length + 2 * LENGTH, 0);
      yield frames.bare(rest.subarray(0, whole));
      // after what is no entry nothing is known any more, and all goes as it is
      const broken = rest.length - whole > LONGEST + 2 * LENGTH;
      if (broken) yield rest.subarray(whole);
      rest = broken ? Buffer.alloc(0) : rest.subarray(whole);
    }
    yield rest;
  },
  bare: (entries) => Buffer.concat(messages(entries).map(bareMessage).filter(({ length }) => length > 0).map(framed)),
  fill(entries, room) {
    let taken = 0;
    const fit = messages(entries).filter((message) => (taken += message.length + 2 * LENGTH) <= room);
    const used = fit.reduce((sum, message) => sum + message.length + 2 * LENGTH, 0);
    // a log that has none gets one of no stream, which is shown to nobody
    if (fit.length === 0) fit.push(Buffer.alloc(0));
    let missing = room - (used === 0 ? 2 * LENGTH : used);
    const filled = fit.map((message) => {
      let more = Math.min(missing, LONGEST - message.length);
      // a single byte is for one that has a first one
      if (missing - more === 1) more--;
      missing -= more;
      return framed(filledUp(message, more));
    });
    // what is larger than all entries may grow
    for (; missing > 0; missing -= filled.at(-1)!.length) filled.push(framed(filledUp(Buffer.alloc(0), Math.min(missing, LONGEST) - 2 * LENGTH)));
    return { bytes: Buffer.concat(filled), lost: entries.length - used };
  },
};

function messages(entries: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 2 * LENGTH <= entries.length; ) {
    const end = at + LENGTH + entries.readUInt32BE(at);
    if (end + LENGTH > entries.length) break;
    found.push(entries.subarray(at + LENGTH, end));
    at = end + LENGTH;
  }
  return found;
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message, length]);
}

/** Field 15 as a number and as bytes (protobuf.dev, Encoding). */
const NUMBER = 15 << 3;
const BYTES = NUMBER | 2;
/** A number takes up to ten bytes, in each of which but the last the highest bit is set; zeroes at its end change nothing. */
const MORE = 0x80;

/** A message without what {@link filledUp} has made longer. */
function bareMessage(message: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let at = 0; at < message.length; ) {
    const begin = at;
    const number = (): number => {
      let value = 0;
      for (let shift = 0; at < message.length; shift += 7) {
        const byte = message[at++]!;
        value += (byte & ~MORE) * 2 ** shift;
        if (byte < MORE) break;
      }
      return value;
    };
    const tag = number();
    const content = at;
    const kind = tag & 7;
    if (kind === 0) number();
    else if (kind === 2) at = number() + at;
    // no field of an entry is of another kind
    else return message;
    if (tag >> 3 !== NUMBER >> 3) kept.push(Buffer.from([tag]), message.subarray(content, at));
    if (at <= begin) return message;
  }
  return Buffer.concat(kept);
}

/** The same message, longer by so many bytes. */
function filledUp(message: Buffer, bytes: number): Buffer {
  if (bytes === 0) return message;
  if (bytes === 1) return Buffer.concat([Buffer.from([message[0]! | MORE, 0]), message.subarray(1)]);
  if (bytes <= 11) return Buffer.concat([message, Buffer.from([NUMBER]), Buffer.alloc(bytes - 2, MORE), Buffer.alloc(1)]);
  const length = bytes - 6;
  const digits = [0, 7, 14, 21].map((shift) => ((length >>> shift) & 0x7f) | MORE);
  return Buffer.concat([message, Buffer.from([BYTES, ...digits, length >>> 28]), Buffer.alloc(length)]);
}
