"""A client that tells how long its requests take. `ask.py echo|redis HOST [--port N] [--hz 1000] [--keys 0]`

One connection, one request at a time, at the beat. `echo` sends numbered lines and wants them back. `redis` reads and writes in turn, keys of
`DEBUG POPULATE` chosen at random, and wants back what it has written itself; each value has 1 KiB. What it prints, a line each:

  connected
  stretch TIME COUNT P50 P99 MOST   each 100 ms in which something was answered: when it began (s since 1970), and times in ms; P99 is that of
                                    the five last stretches, as of a hundred requests it would be the longest
  timeouts COUNT                    at the end: the retransmission time-outs of its kernel (TcpExtTCPTimeouts)
  lost WHY                          at the end, if the connection broke or carried something wrong

SIGTERM ends it.
"""
import argparse
import random
import signal
import socket
import threading
import time
from collections import deque
from itertools import chain

options = argparse.ArgumentParser()
options.add_argument("what", choices=["echo", "redis"])
options.add_argument("host")
options.add_argument("--port", type=int)
options.add_argument("--hz", type=float, default=1000)
options.add_argument("--keys", type=int, default=0)
options = options.parse_args()

STRETCH_S = 0.1
STRETCHES = 5
VALUE_BYTES = 1024

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
connection = socket.create_connection((options.host, options.port or {"echo": 7000, "redis": 6379}[options.what]), timeout=10)
connection.settimeout(120)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
answers = connection.makefile("rb")
written = {}


def timeouts():
    names, values = [line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt:")]
    return int(values[names.index("TCPTimeouts")])


def must(said, wanted):
    if said != wanted:
        raise ValueError(f"wanted {wanted[:40]!r}, got {said[:40]!r}")


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    head = answers.readline()
    return head if head[:1] != b"$" else answers.read(int(head[1:]) + 2)[:-2]


def redis(number):
    key = f"key:{random.randrange(options.keys)}"
    if number % 2 == 0:
        value = (b"%d " % number) * VALUE_BYTES
        must(command("SET", key, value[:VALUE_BYTES]), b"+OK\r\n")
        written[key] = value[:VALUE_BYTES]
    else:
        said = command("GET", key)
        if key in written:
            must(said, written[key])
        elif len(said) != VALUE_BYTES:
            raise ValueError(f"{key} is {said[:40]!r}")


def echo(number):
    line = b"%012d\n" % number
    connection.sendall(line)
    must(answers.readline(), line)


def quantile(times, part):
    return times[min(len(times) - 1, int(part * len(times)))] * 1000


print("connected", flush=True)
before, number, began, times, lost = timeouts(), 0, time.time(), [], None
recent = deque(maxlen=STRETCHES)
ask = {"echo": echo, "redis": redis}[options.what]
try:
    while not stop.is_set():
        start = time.monotonic()
        ask(number)
        number += 1
        took = time.monotonic() - start
        times.append(took)
        if time.time() - began >= STRETCH_S:
            times.sort()
            recent.append(times)
            print(f"stretch {began:.3f} {len(times)} {quantile(times, 0.5):.3f} {quantile(sorted(chain(*recent)), 0.99):.3f} {times[-1] * 1000:.2f}", flush=True)
            began, times = time.time(), []
        stop.wait(max(0, 1 / options.hz - took))
except Exception as error:
    lost = f"{type(error).__name__}: {error}"
print(f"timeouts {timeouts() - before}", flush=True)
if lost is not None:
    print(f"lost {lost}", flush=True)
