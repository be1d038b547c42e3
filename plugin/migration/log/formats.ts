/**
 * How one of the engine's log drivers writes its file, as far as one has to know to carry it. An entry is written once and at the end.
 */
export interface Format {
  /** Where the last whole entry in `bytes`, which begin anywhere and end where the file does, begins; nothing where none is whole. */
  last(bytes: Buffer): number | undefined;
  /** A file's bytes without what {@link Format.fill} has put between its entries in an earlier move. */
  plain(bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer>;
  /** Exactly `room` bytes that the engine reads as these entries. @returns besides how many bytes of entries have found no room */
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
    const before = end > 0 ? bytes.lastIndexOf(LINE_END, end - 1) : -1;
    return before === -1 ? undefined : before + 1;
  },
  async *plain(source) {
    let begins = true;
    for await (const bytes of source) {
      for (let at = 0; at < bytes.length; ) {
        while (begins && at < bytes.length && bytes[at] === SPACE) at++;
        if (at === bytes.length) break;
        const next = bytes.indexOf('\n ', at);
        const end = next === -1 ? bytes.length : next + 1;
        yield bytes.subarray(at, end);
        begins = bytes[end - 1] === LINE_END;
        at = end;
      }
    }
  },
  fill(entries, room) {
    const fits = entries.subarray(0, entries.lastIndexOf(LINE_END, room - 1) + 1);
    return { bytes: Buffer.concat([Buffer.alloc(room - fits.length, ' '), fits]), lost: entries.length - fits.length };
  },
};

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
  plain: (source) => source,
  fill(entries, room) {
    const found = messages(entries);
    let taken = 0;
    const fit = found.filter((message) => (taken += message.length + 2 * LENGTH) <= room);
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

/** The same message, longer by so many bytes. */
function filledUp(message: Buffer, bytes: number): Buffer {
  if (bytes === 0) return message;
  if (bytes === 1) return Buffer.concat([Buffer.from([message[0]! | MORE, 0]), message.subarray(1)]);
  if (bytes <= 11) return Buffer.concat([message, Buffer.from([NUMBER]), Buffer.alloc(bytes - 2, MORE), Buffer.alloc(1)]);
  const length = bytes - 6;
  const digits = [0, 7, 14, 21].map((shift) => ((length >>> shift) & 0x7f) | MORE);
  return Buffer.concat([message, Buffer.from([BYTES, ...digits, length >>> 28]), Buffer.alloc(length)]);
}
