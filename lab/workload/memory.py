"""An echo server that knows what its memory must be: `memory.py [--mb 256]`

It keeps so many MiB of random bytes, and writes all the time to others. On port 7000 it sends back what it gets. On port 7001 it
is asked, a line each: `sum` for a checksum of the random bytes, `forked` for the same as a child of it sees them, `check` for whether every page it has written has in it what was
written last, and how often it has written: "good 4711", or "wrong" and how many pages.
"""
import argparse
import hashlib
import os
import random
import socket
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("--mb", type=int, default=256)
options = options.parse_args()

PAGE, PAGES = 4096, 4096
still = [os.urandom(1 << 20) for _ in range(options.mb)]
busy, written, lock = bytearray(PAGE * PAGES), [0] * PAGES, threading.Lock()


def pattern(page):
    return b"%08x%08x" % (page, written[page]) * (PAGE // 16)


def scribble():
    while True:
        with lock:
            page = random.randrange(PAGES)
            written[page] += 1
            busy[page * PAGE : (page + 1) * PAGE] = pattern(page)
            # and one that is only read
            still[random.randrange(len(still))][random.randrange(1 << 20)]
        time.sleep(0.001)


def check():
    with lock:
        wrong = sum(busy[page * PAGE : (page + 1) * PAGE] != pattern(page) for page in range(PAGES))
        return f"wrong {wrong}" if wrong else f"good {sum(written)}"


def digest():
    total = hashlib.sha256()
    for block in still:
        total.update(block)
    return total.hexdigest()


def forked():
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, digest().encode())
        os._exit(0)
    os.close(there)
    os.waitpid(child, 0)
    with os.fdopen(here) as pipe:
        return pipe.read()


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def answer(connection):
    with connection:
        for line in connection.makefile("r"):
            connection.sendall(b"%s\n" % {"sum": digest, "forked": forked, "check": check}[line.strip()]().encode())


def serve(port, talk):
    server = socket.create_server(("", port), backlog=128)
    while True:
        threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()


for page in range(PAGES):
    busy[page * PAGE : (page + 1) * PAGE] = pattern(page)
threading.Thread(target=scribble, daemon=True).start()
threading.Thread(target=serve, args=(7001, answer), daemon=True).start()
threading.Timer(0.2, print, ["ready"], {"flush": True}).start()
serve(7000, echo)
