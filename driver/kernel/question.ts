import { createSocket, type Socket } from 'node:dgram';
import { run } from '../host/run.ts';
import { udpSocketIn } from './inside.ts';

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
 *
 * All of them are in a chain for nat, which sees the first packet of a connection only: what the container sends otherwise passes by. A beat
 * is always a first packet, as it is dropped and so never makes a connection.
 */
const RULES = `
table ip coat {}
delete table ip coat
table ip coat {
  set answering { type ipv4_addr; size 16; flags dynamic,timeout; timeout ${ALIVE_S}s; }
  chain question {
    type nat hook output priority -110; policy accept;
    ip saddr ${OURS} ip daddr ${DOCKERS} udp dport ${BEAT_PORT} update @answering { ip daddr timeout ${ALIVE_S}s } drop
    ip saddr ${OURS} ip daddr ${DOCKERS} udp dport ${BYE_PORT} delete @answering { ip daddr } drop
    ip daddr @answering ip saddr != ${OURS} udp dport 53 dnat to ${OURS}:${PORT}
  }
}`;

/** How long the rules may take, ms, on a busy machine. */
const PATIENCE_MS = 20_000;

/**
 * A socket in a container's network namespace that gets what the container asks Docker's resolver, as long as it beats.
 *
 * @param netns path of the namespace as this process opens it
 * @throws CoatError `no-socket`, RunError
 */
export async function openQuestions(netns: string): Promise<Socket> {
  const fd = await udpSocketIn(netns, OURS, PORT);
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    await run(['nsenter', `--net=${netns}`, '--', 'nft', '-f', '-'], { input: RULES, timeout: PATIENCE_MS });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
