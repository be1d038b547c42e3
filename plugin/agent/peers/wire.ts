import { operation } from '../../../driver/host/operation.ts';

/**
 * What both sides of the peer protocol, version 1, agree on. HTTP/1.1 over one authenticated
 * connection: POST for calls and uploads, an upgrade for tunnels.
 */

/** Header: name of the host that is meant. */
export const TO = 'coat-to';
/** Header: `upload` when the body is a stream of bytes and not JSON. */
export const KIND = 'coat-kind';

/** Header: id of the operation that a request is a part of; see driver/host/operation.ts. */
export const OPERATION = 'coat-op';

/** What every request to a peer says. */
export function headersTo(peer: string): Record<string, string> {
  const id = operation();
  return { [TO]: peer, ...(id === undefined ? {} : { [OPERATION]: id }) };
}

/** Bytes a stream may hold before its source is told to wait. Below 1 MiB the copies and wake-ups show. */
export const CHUNK = 1 << 20;

export const HEADERS = {
  upgrade: { connection: 'upgrade', upgrade: 'coat-tunnel' },
  switching: 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: coat-tunnel\r\n\r\n',
} as const;
