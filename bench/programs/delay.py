"""Copies frames between two taps, each frame some time after it came: `delay.py ONE OTHER MS`, for kernels without netem.

A tap without offloads gets whole frames of the kernel, never larger than its MTU, so that nothing is joined or split here.
Prints "ready". What it has not passed on when it ends is lost, as on a wire that is cut.
"""
import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# frames that wait; more are dropped, as by netem's own limit
LIMIT = 10_000


def tap(name):
    made = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(made, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return made


one, other = tap(sys.argv[1]), tap(sys.argv[2])
delay = float(sys.argv[3]) / 1000
towards = {one: other, other: one}
waiting = collections.deque()
print("ready", flush=True)
while True:
    pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    for source in select.select([one, other], [], [], pause)[0]:
        try:
            for _ in range(64):
                frame = os.read(source, 65536)
                if len(waiting) < LIMIT:
                    waiting.append((time.monotonic() + delay, towards[source], frame))
        except BlockingIOError:
            pass
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, target, frame = waiting.popleft()
        try:
            os.write(target, frame)
        except OSError:
            pass
