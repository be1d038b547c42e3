import type { RemoteInfo, Socket } from 'node:dgram';
import { BEAT_PORT, BYE_PORT, DOCKERS } from '../kernel/question.ts';
import { answer } from './answer.ts';
import type { Names } from './directory.ts';

/** Docker's resolver gives an upstream server up after 4 s and may have three to ask (moby libnetwork/resolver.go); ms. */
const PENDING_MS = 15_000;
/** Ids are 16 bits, so this many questions can wait at most; Docker itself lets 1024 upstream at a time. */
const MOST_PENDING = 2_048;
/** The header, RFC 1035 §4.1.1: what is shorter has no id to answer under. Bytes. */
const HEADER = 12;

interface Waiting {
  id: number;
  from: RemoteInfo;
  since: number;
}

/**
 * Answers what one container asks. What is not about a container of the cluster goes to Docker's own resolver, byte for byte
 * but for the id, and its answer back; so Docker's names, the upstream servers and `--internal` stay Docker's affair.
 */
export class Responder {
  readonly #socket: Socket;
  readonly #names: Names;
  /** By the id under which Docker was asked; oldest first. */
  readonly #waiting = new Map<number, Waiting>();
  #next = Math.floor(Math.random() * 0x10000);

  constructor(socket: Socket, names: Names) {
    this.#socket = socket;
    this.#names = names;
    socket.on('message', (message, from) => this.#hear(message, from));
    // a lost datagram is asked for again
    socket.on('error', () => undefined);
  }

  /** Keeps the questions coming. */
  beat(): void {
    this.#send(Buffer.of(0), BEAT_PORT, DOCKERS);
  }

  /** From now on Docker is asked as if we had never been. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.send(Buffer.of(0), BYE_PORT, DOCKERS, () => resolve()));
    this.#socket.close();
  }

  #hear(message: Buffer, from: RemoteInfo): void {
    if (message.length < HEADER) return;
    if (from.address === DOCKERS && from.port === 53) return this.#back(message);
    const reply = answer(message, this.#names);
    if (reply) this.#send(reply, from.port, from.address);
    else this.#pass(message, from);
  }

  #pass(message: Buffer, from: RemoteInfo): void {
    const now = performance.now();
    for (const [id, { since }] of this.#waiting) {
      if (now - since < PENDING_MS && this.#waiting.size < MOST_PENDING) break;
      this.#waiting.delete(id);
    }
    do this.#next = (this.#next + 1) % 0x10000;
    while (this.#waiting.has(this.#next));
    this.#waiting.set(this.#next, { id: message.readUInt16BE(0), from, since: now });
    this.#send(withId(message, this.#next), 53, DOCKERS);
  }

  #back(message: Buffer): void {
    const id = message.readUInt16BE(0);
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    this.#send(withId(message, waiting.id), waiting.from.port, waiting.from.address);
  }

  #send(message: Buffer, port: number, address: string): void {
    // a beat is never delivered, which the kernel calls a failure
    this.#socket.send(message, port, address, () => undefined);
  }
}

function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}
