"""A server of many processes that share memory: `prefork.py [--port 7000] [--workers 4]`

A connection belongs to one worker. `add N` puts a number aside, `commit` adds what was put aside to the sum that all
workers share; each answer is "<worker's pid> <put aside> <sum>".
"""
import argparse
import mmap
import os
import socket
import struct
import threading

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=7000)
options.add_argument("--workers", type=int, default=4)
options = options.parse_args()

shared = mmap.mmap(-1, 4096)
server = socket.create_server(("", options.port), backlog=128)


def serve(connection):
    aside = 0
    for line in connection.makefile("r"):
        word, *number = line.split()
        if word == "add":
            aside += int(number[0])
        elif word == "commit":
            shared[:8] = struct.pack("q", struct.unpack("q", shared[:8])[0] + aside)
            aside = 0
        connection.sendall(b"%d %d %d\n" % (os.getpid(), aside, struct.unpack("q", shared[:8])[0]))


for _ in range(options.workers):
    if os.fork() == 0:
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
print("ready", flush=True)
os.wait()
