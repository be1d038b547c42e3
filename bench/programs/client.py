"""A client that says at once what it sees. `client.py HOST[,HOST…] [--port 7000] [--hz 1000] [--connections 1] [--timeout 600]`

The connections are dealt out to the hosts in turn. Each sends a numbered request, waits for its echo, checks every byte, and sends the next one at the beat. A
connection that breaks is counted as lost and made again. What it prints, a line each:

  connected                         all connections are there
  gap TIME MS CONNECTION            an answer came that took more than 20 ms: when (s since 1970), and how long since it was first asked for
  lost CONNECTION WHY               a connection broke, or carried a wrong byte, or had no answer in --timeout s
  answered N N ...                  on SIGUSR1: how many requests each connection has had answered

SIGTERM ends it.
"""
import argparse
import os
import signal
import socket
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("host")
options.add_argument("--port", type=int, default=7000)
options.add_argument("--hz", type=float, default=1000)
options.add_argument("--connections", type=int, default=1)
options.add_argument("--timeout", type=float, default=600)
options = options.parse_args()

# how long it waits between two tries; a try itself may take five times as long
RETRY_S = 0.05
hosts = options.host.split(",")
printing = threading.Lock()
answered = [0] * options.connections
threading.stack_size(256 * 1024)


def say(*words):
    with printing:
        print(*words, flush=True)


def connect(number, timeout):
    made = socket.create_connection((hosts[number % len(hosts)], options.port), timeout=timeout)
    made.settimeout(options.timeout)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def again(number):
    while True:
        try:
            return connect(number, RETRY_S * 5)
        except OSError:
            time.sleep(RETRY_S)


def ask(connection, message):
    connection.sendall(message)
    answer = b""
    while len(answer) < len(message):
        part = connection.recv(len(message) - len(answer))
        if not part:
            raise ConnectionError("the server closed the connection")
        answer += part
    if answer != message:
        raise ValueError("a wrong answer")


def pulse(number, connection):
    # not all at once
    time.sleep(number / options.connections / options.hz)
    asked = time.monotonic()
    while True:
        try:
            ask(connection, b"%06d:%012d\n" % (number, answered[number]))
        except Exception as error:
            say("lost", number, f"{type(error).__name__}: {error}")
            connection.close()
            connection = again(number)
            continue
        now = time.monotonic()
        answered[number] += 1
        if now - asked > 0.02:
            say("gap", round(time.time(), 4), round((now - asked) * 1000, 2), number)
        time.sleep(max(0, 1 / options.hz - (time.monotonic() - asked)))
        asked = time.monotonic()


WORDS = {signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, WORDS)
sockets = [connect(number, 30) for number in range(options.connections)]
for number, connection in enumerate(sockets):
    threading.Thread(target=pulse, args=(number, connection), daemon=True).start()
say("connected")
while signal.sigwait(WORDS) == signal.SIGUSR1:
    say("answered", *answered)
os._exit(0)
