/** A field of a message: texts and messages are bytes, numbers are left as they are. */
export type Fields = ReadonlyMap<number, readonly (Buffer | number)[]>;

/** Wire types of protobuf (protobuf.dev, "Encoding"). */
const VARINT = 0;
const BYTES = 2;

/** A message of texts and messages. @param fields by their numbers; those that are absent are left out */
export function encode(fields: Record<number, string | Buffer | readonly string[]>): Buffer {
  const parts = Object.entries(fields).flatMap(([number, texts]) => [texts].flat().flatMap((text) => {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    return [varint(Number(number) * 8 + BYTES), varint(bytes.length), bytes];
  }));
  return Buffer.concat(parts);
}

/** @throws Error for a message that is cut off, or has fields that none of the messages read here has */
export function decode(message: Buffer): Fields {
  const fields = new Map<number, (Buffer | number)[]>();
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a message of containerd ends in the middle');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const bytes = (length: number): Buffer => {
    if (at + length > message.length) throw new Error('a message of containerd ends in the middle');
    return message.subarray(at, (at += length));
  };
  while (at < message.length) {
    const key = next();
    const [number, type] = [Math.floor(key / 8), key % 8];
    if (type !== VARINT && type !== BYTES) throw new Error(`a message of containerd has a field of the type ${type}`);
    fields.set(number, [...(fields.get(number) ?? []), type === VARINT ? next() : bytes(next())]);
  }
  return fields;
}

/** All texts of a repeated field. */
export const textsOf = (fields: Fields, number: number): string[] => (fields.get(number) ?? []).map(String);

/** All messages of a repeated field. */
export const messagesOf = (fields: Fields, number: number): Fields[] => (fields.get(number) ?? []).flatMap((each) => (typeof each === 'number' ? [] : [decode(each)]));

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return Buffer.from([...bytes, value]);
}
