"""A TCP server that sends back what it gets. `echo.py [--host ADDRESS] [--port 7000] [--udp] [--unless NAME] [--mb 0] [--write NAME]`

--udp does the same with datagrams, but with --unless reads none while there is that file, and at most one every 2 ms; --mb keeps so many MiB of incompressible memory resident; --write NAME appends to a file now
and then, so that the container's own files change while it runs. --host :: is for IPv6 and IPv4 at once.
"""
import argparse
import os
import socket
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("--host", default="")
options.add_argument("--port", type=int, default=7000)
options.add_argument("--udp", action="store_true")
options.add_argument("--unless", default="")
options.add_argument("--mb", type=int, default=0)
options.add_argument("--write")
options = options.parse_args()

ballast = [os.urandom(1 << 20) for _ in range(options.mb)]


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def scribble():
    count = 0
    while True:
        with open(options.write, "a") as file:
            file.write(f"{count}\n")
        count += 1
        time.sleep(0.01)


def return_datagrams():
    while True:
        while os.path.exists(options.unless):
            time.sleep(0.01)
        try:
            data, sender = datagrams.recvfrom(65536, socket.MSG_DONTWAIT if options.unless else 0)
            datagrams.sendto(data, sender)
            if options.unless:
                time.sleep(0.002)
        except BlockingIOError:
            time.sleep(0.01)


if options.write:
    threading.Thread(target=scribble, daemon=True).start()
six = ":" in options.host
if options.udp:
    datagrams = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((options.host, options.port))
    threading.Thread(target=return_datagrams, daemon=True).start()
server = socket.create_server((options.host, options.port), family=socket.AF_INET6 if six else socket.AF_INET, dualstack_ipv6=six, backlog=1024)
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
