import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { MemoryStore } from '../../driver/store/memory.ts';
import { TestHosts, type TestHost } from '../support/netns-hosts.ts';

const KEY = '10.42.0.0-24';

/** Sends numbered datagrams to UDP port 7 from the last processor, as quickly as it can, for so many seconds; prints how many. */
const FIRE = `
import os, socket, sys, time
to, seconds = sys.argv[1], float(sys.argv[2])
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
client.connect((to, 7))
end, sent = time.monotonic() + seconds, 0
while time.monotonic() < end:
    client.send(b"%d" % sent)
    sent += 1
    for _ in range(30): pass
print(sent)
`;

/** Hears them until nothing has come for half a second; prints how many, and how many came after a later one. */
const COUNT = `
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
server.bind(("", 7))
print("ready", flush=True)
count, late, last = 0, 0, -1
while True:
    number = int(server.recv(100))
    count += 1
    late += number < last
    last = max(last, number)
    server.settimeout(0.5)
    try:
        server.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        break
print(count, late)
`;

it.each([1, 2])('a released hold keeps the order while more comes, by whichever processor: %d', async () => {
  const store = new MemoryStore();
  const all = await TestHosts.create(store, ['a', 'b']);
  await using _all = all;
  const [a, b] = all.hosts as [TestHost, TestHost];
  const [na] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
  const client = await a.engine.run(na);
  const server = await a.engine.run(na);
  const name = `coat-t-${randomBytes(4).toString('hex')}`;
  await b.driver.expect({ network: KEY, ip: server.ip, mac: server.mac, prefixLength: 24, interfaceName: 'eth0', netns: name });
  const counter = spawn('nsenter', [`--net=/run/coat/netns/${name}`, '--', 'python3', '-c', COUNT], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  counter.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  await once(counter.stdout, 'data');
  await b.driver.accept(KEY, server.ip);
  await redirect(store, all, server.ip);
  await a.driver.cut(KEY, server.ip);
  const fire = client.netns.run('python3', '-c', FIRE, server.ip, "0.35");
  await sleep(250);
  await b.driver.release(KEY, server.ip);
  const sent = (await fire).trim();
  await once(counter, 'close');
  await b.driver.forget(KEY, server.ip);
  const [count, late] = said.trim().split('\n').at(-1)!.split(' ').map(Number);
  // a hold has no room for all that so quick a sender has sent
  expect(count).toBeGreaterThan(Number(sent) / 2);
  expect(late).toBe(0);
});

async function redirect(store: MemoryStore, all: TestHosts, ip: string): Promise<void> {
  const path = `claims/${KEY}/${ip}`;
  const { value, revision } = (await store.get(path))!;
  await all.settled(await store.put(path, { ...(value as object), redirect: 'b' }, revision));
}
