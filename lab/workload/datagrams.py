"""A client of a UDP echo server that counts: `datagrams.py ADDRESS [--port 7000]`

On SIGUSR1 it sends 20 more numbered datagrams, of 6 bytes and of 4000 in turn, 2 ms apart and without waiting for answers, and prints how many it has sent so far. On SIGTERM
it sends a last one, and when that is back prints as JSON the numbers of all that have come back before, in their order.
"""
import argparse
import json
import os
import signal
import socket
import time

# of which two are what the buffer of a socket has room for
BATCH = 20
LAST = b"last"

options = argparse.ArgumentParser()
options.add_argument("address")
options.add_argument("--port", type=int, default=7000)
options = options.parse_args()

client = socket.socket(socket.AF_INET6 if ":" in options.address else socket.AF_INET, socket.SOCK_DGRAM)
client.connect((options.address, options.port))
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sent, back = 0, []


def more(*_):
    global sent
    for _ in range(BATCH):
        client.send((b"%06d" % sent).ljust(6 if sent % 2 else 4000, b"."))
        sent += 1
        # a network over several processors need not keep the order of what is closer together
        time.sleep(0.002)
    os.write(1, b"sent %d\n" % sent)


signal.signal(signal.SIGUSR1, more)
signal.signal(signal.SIGTERM, lambda *_: client.send(LAST))
print("ready", flush=True)
while (data := client.recv(65536)) != LAST:
    back.append(int(data[:6]))
print(json.dumps(back), flush=True)
