"""A Redis client that never reconnects and checks every answer. `counter.py HOST [--port 6379] [--hz 1000]`

On one connection it writes a counter, reads it back, writes the next one, and so on at the beat. Ten times a second, when
it is not just waiting for an answer, it prints a line of JSON: requests so far and the longest silence since the line
before. On SIGTERM, or after an error, it prints a last one with the errors and with what Redis says of itself: whether it
is still the process it was at the beginning, and how many connections it has ever accepted.
"""
import argparse
import json
import signal
import socket
import sys
import time

options = argparse.ArgumentParser()
options.add_argument("host")
options.add_argument("--port", type=int, default=6379)
options.add_argument("--hz", type=float, default=1000)
options = options.parse_args()

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))

connection = socket.create_connection((options.host, options.port), timeout=30)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
replies = connection.makefile("rb")


def ask(*words):
    """One command in Redis's own protocol (RESP2), and its reply; integers are not needed here."""
    parts = [str(word).encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    if line[:1] == b"$":
        length = int(line[1:])
        return replies.read(length + 2)[:-2] if length >= 0 else None
    if line[:1] == b"-":
        raise ValueError(line[1:-2].decode())
    return line[1:-2]


def expect(wanted, got):
    if got != wanted:
        raise ValueError(f"expected {wanted!r}, got {got!r}")


def about(what):
    lines = ask("INFO").decode().splitlines()
    return next(line.split(":")[1] for line in lines if line.startswith(what + ":"))


def tell(**facts):
    print(json.dumps(facts), flush=True)


requests, errors, longest, silence, server, accepted = 0, [], 0.0, 0.0, None, None
try:
    server = about("run_id")
    expect(b"OK", ask("SET", "born", server))
    told = beat = last = time.monotonic()
    while not stopping:
        count = requests // 2
        if requests % 2 == 0:
            expect(b"OK", ask("SET", "counter", count))
        else:
            expect(str(count).encode(), ask("GET", "counter"))
        requests += 1
        now = time.monotonic()
        silence, last = max(silence, (now - last) * 1000), now
        if now - told > 0.1:
            longest = max(longest, silence)
            tell(requests=requests, silence=round(silence, 2))
            told, silence = now, 0.0
        beat = max(beat + 1 / options.hz, now)
        time.sleep(beat - now)
    expect(server.encode(), ask("GET", "born"))
    expect(server, about("run_id"))
    accepted = int(about("total_connections_received"))
except Exception as error:
    errors.append(f"{type(error).__name__}: {error}")
tell(end=True, requests=requests, silence=round(silence, 2), longest=round(max(longest, silence), 2), errors=errors, accepted=accepted)
sys.exit(bool(errors))
