import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { CoatError } from '../../../driver/host/errors.ts';

/** Where containerd keeps what Docker's containers are made of, unless dockerd was told another (`--containerd-namespace`). */
const NAMESPACE = 'moby';
/** It answers from memory and its own small database, ms. */
const ANSWER_MS = 10_000;

/** gRPC's status code for what is not there. */
export const NOT_FOUND = 5;

/** What containerd answered instead of a message; `status` is gRPC's (google/rpc/code.proto). */
export class ContainerdError extends CoatError {
  readonly status: number;

  constructor(method: string, status: number, message: string) {
    super('containerd-refused', `containerd refused ${method.split('/').at(-1)}: ${message}`);
    this.status = status;
  }
}

/**
 * One call to containerd: gRPC with one message each way, which is a POST in HTTP/2 with five bytes before the message
 * (grpc/doc/PROTOCOL-HTTP2.md). `ctr`, which could be asked instead, is not on every host.
 *
 * @param socketPath as this process sees it
 * @param method `package.Service/Method`
 * @throws ContainerdError what it answered; Error where there is no answer
 */
export async function call(socketPath: string, method: string, message: Buffer): Promise<Buffer> {
  const { connect: open, constants } = await import('node:http2');
  const session = open('http://containerd', { createConnection: () => connect(socketPath) });
  try {
    return await answer(session, method, message, constants.NGHTTP2_CANCEL);
  } finally {
    session.destroy();
  }
}

function answer(session: ClientHttp2Session, method: string, message: Buffer, cancel: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new CoatError('containerd-silent', `containerd did not answer within ${ANSWER_MS} ms`)), ANSWER_MS);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    session.on('error', (error: Error) => end(() => reject(error)));
    const stream = session.request({ ':method': 'POST', ':path': `/${method}`, 'content-type': 'application/grpc', te: 'trailers', 'containerd-namespace': NAMESPACE });
    const chunks: Buffer[] = [];
    let trailers: IncomingHttpHeaders = {};
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    // an answer without a message has its status in its only headers
    stream.on('response', (headers) => (trailers = headers));
    stream.on('trailers', (headers: IncomingHttpHeaders) => (trailers = headers));
    stream.on('error', (error: Error) => end(() => reject(error)));
    stream.on('end', () => end(() => {
      const status = Number(trailers['grpc-status']);
      if (status !== 0) reject(new ContainerdError(method, status, decodeURIComponent(trailers['grpc-message']?.toString() ?? `status ${status}`)));
      else resolve(Buffer.concat(chunks).subarray(HEAD));
      stream.close(cancel);
    }));
    const head = Buffer.alloc(HEAD);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  });
}

/** Whether the message is compressed (1 byte, no), and its length (4 bytes). */
const HEAD = 5;
