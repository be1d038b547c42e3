import { spawn } from 'node:child_process';
import type { Socket } from 'node:dgram';
import { CoatError } from '../host/errors.ts';

/** Where Docker's own resolver is, in every container on a network of the user's (moby libnetwork/resolver.go). */
export const DOCKERS = '127.0.0.11';
/** Where ours is. A port below the ephemeral ones, so that no program in a container gets it by chance. */
const OURS = '127.0.0.12';
const PORT = 4753;

/** What is sent to these ports of Docker's address says whether ours answers; the rules take it, and nobody gets it. */
export const BEAT_PORT = 9;
export const BYE_PORT = 10;

/**
 * How long questions come to us after a beat, s. Then they go to Docker's resolver, as if we had never been: an agent
 * that died must not take all names with it.
 */
const ALIVE_S = 5;

/**
 * The rules inside a container's network namespace, nft(8). They come before Docker's, which are at the priority
 * dstnat, -100. What our socket asks itself is Docker's to answer. Only UDP: a client comes by TCP for what is too
 * large, which our answers never are.
 */
const RULES = `
table ip coat {}
delete table ip coat
table ip coat {
  set answering { type ipv4_addr; size 16; flags dynamic,timeout; timeout ${ALIVE_S}s; }
  chain beat {
    type filter hook output priority filter; policy accept;
    ip saddr ${OURS} ip daddr ${DOCKERS} udp dport ${BEAT_PORT} update @answering { ip daddr timeout ${ALIVE_S}s } drop
    ip saddr ${OURS} ip daddr ${DOCKERS} udp dport ${BYE_PORT} delete @answering { ip daddr } drop
  }
  chain question {
    type nat hook output priority -110; policy accept;
    ip daddr @answering ip saddr != ${OURS} udp dport 53 dnat to ${OURS}:${PORT}
  }
}`;

/** Runs inside: makes the socket and the rules, hands the socket over and ends. A process cannot enter a namespace for one socket only. */
const INSIDE = `
const socket = require('node:dgram').createSocket('udp4');
const fail = (why) => { process.stderr.write(String(why)); process.exit(1); };
socket.on('error', fail);
socket.bind(${PORT}, '${OURS}', () => {
  const nft = require('node:child_process').spawnSync('nft', ['-f', '-'], { input: process.argv[1] });
  if (nft.status !== 0) fail(nft.error ?? nft.stderr);
  process.on('disconnect', () => process.exit(0));
  process.send('socket', socket);
});`;

/** How long that may take, ms, on a busy machine. */
const PATIENCE_MS = 20_000;

/**
 * A socket in a container's network namespace that gets what the container asks Docker's resolver, as long as it beats.
 *
 * @param netns path of the namespace as this process opens it
 * @throws CoatError `no-socket`
 */
export function openQuestions(netns: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, '-e', INSIDE, RULES], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { PATH: process.env['PATH'] },
      timeout: PATIENCE_MS,
    });
    let said = '';
    const failed = (why: string): void => reject(new CoatError('no-socket', `questions for names cannot be heard in ${netns}: ${why}`));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', (error) => failed(error.message));
    child.on('close', (code, signal) => failed(said.trim() || `ended by ${signal ?? code}`));
    child.on('message', (_, socket) => {
      child.disconnect();
      resolve(socket as Socket);
    });
  });
}
