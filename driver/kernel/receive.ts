import type { LibC } from './libc.ts';

/** Room for one message, which may be used again for the next. */
export interface Room {
  data: Buffer;
  /** Filled with the address of who sent it, if anybody wants it. */
  sender?: Buffer;
  /** For what comes with it: cmsg(3). */
  control: Buffer;
}

/**
 * recvmsg(2).
 *
 * @returns how long the message was, negative where the call failed; and what came with it, by level and type (`1 1`)
 */
export function receive(c: LibC, socket: number, { data, sender, control }: Room, flags: number): { length: number; beside: Map<string, Buffer> } {
  const [vector, header] = [Buffer.alloc(16), Buffer.alloc(56)];
  vector.writeBigUInt64LE(c.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  // struct msghdr, of which the kernel changes what it has filled
  if (sender) header.writeBigUInt64LE(c.address(sender), 0);
  header.writeUInt32LE(sender?.length ?? 0, 8);
  header.writeBigUInt64LE(c.address(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(c.address(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const length = Number(c.recvmsg(socket, header, flags));
  return { length, beside: length < 0 ? new Map<string, Buffer>() : controlMessages(control.subarray(0, Number(header.readBigUInt64LE(40)))) };
}

/** cmsg(3): length with the header, level, type, and the next at a multiple of eight. */
function controlMessages(bytes: Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (length < 16) break;
    found.set(`${bytes.readInt32LE(at + 8)} ${bytes.readInt32LE(at + 12)}`, Buffer.from(bytes.subarray(at + 16, at + length)));
    at += Math.ceil(length / 8) * 8;
  }
  return found;
}
