/**
 * What both sides of the peer protocol, version 1, agree on. HTTP/1.1 over one authenticated
 * connection: POST for calls and uploads, an upgrade for tunnels.
 */

/** Header: name of the host that is meant. */
export const TO = 'coat-to';
/** Header: `upload` when the body is a stream of bytes and not JSON. */
export const KIND = 'coat-kind';

/** Bytes a stream may hold before its source is told to wait. Below 1 MiB the copies and wake-ups show. */
export const CHUNK = 1 << 20;

export const HEADERS = {
  upgrade: { connection: 'upgrade', upgrade: 'coat-tunnel' },
  switching: 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: coat-tunnel\r\n\r\n',
} as const;
