"""A client that never reconnects and checks every byte. `pulse.py HOST [--port 7000] [--hz 1000] [--connections 1]`

Each connection sends a numbered request, waits for its echo, and sends the next one at the beat. On SIGTERM, or after
--seconds, it prints one JSON document: requests, connections still alive, errors, the longest silence in ms and when it
was, every silence over 20 ms, and how many retransmission time-outs the kernel had (TcpExtTCPTimeouts). On SIGUSR1 it
prints how many requests have been answered so far.
"""
import argparse
import json
import signal
import socket
import sys
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("host")
options.add_argument("--port", type=int, default=7000)
options.add_argument("--hz", type=float, default=1000)
options.add_argument("--connections", type=int, default=1)
options.add_argument("--seconds", type=float)
options = options.parse_args()

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())


class Pulse(threading.Thread):
    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.requests, self.error, self.gaps, self.longest = number, 0, None, [], 0.0
        self.socket = socket.create_connection((options.host, options.port), timeout=10)
        self.socket.settimeout(120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self):
        try:
            last = time.monotonic()
            while not stop.is_set():
                message = b"%06d:%012d\n" % (self.number, self.requests)
                self.socket.sendall(message)
                answer = b""
                while len(answer) < len(message):
                    part = self.socket.recv(len(message) - len(answer))
                    if not part:
                        raise ConnectionError("the server closed the connection")
                    answer += part
                if answer != message:
                    raise ValueError(f"sent {message!r}, got {answer!r}")
                self.requests += 1
                now = time.monotonic()
                silence, last = (now - last) * 1000, now
                self.longest = max(self.longest, silence)
                if silence > 20:
                    self.gaps.append({"at": round(time.time(), 4), "ms": round(silence, 2)})
                stop.wait(max(0, 1 / options.hz - (time.monotonic() - now)))
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"


def timeouts():
    names, values = [line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt:")]
    return int(values[names.index("TCPTimeouts")])


pulses = [Pulse(number) for number in range(options.connections)]
before = timeouts()
count = lambda *_: print(json.dumps({"requests": sum(pulse.requests for pulse in pulses)}), flush=True)
signal.signal(signal.SIGUSR1, count)
for pulse in pulses:
    pulse.start()
print("connected", flush=True)
stop.wait(options.seconds)
stop.set()
for pulse in pulses:
    pulse.join(150)
print(
    json.dumps(
        {
            "requests": sum(pulse.requests for pulse in pulses),
            "alive": sum(pulse.error is None and not pulse.is_alive() for pulse in pulses),
            "errors": [pulse.error for pulse in pulses if pulse.error],
            "longest": round(max(pulse.longest for pulse in pulses), 2),
            "gaps": sorted((gap for pulse in pulses for gap in pulse.gaps), key=lambda gap: gap["at"])[:20_000],
            "timeouts": timeouts() - before,
        }
    ),
    flush=True,
)
sys.exit(any(pulse.error for pulse in pulses))
