"""Copies its standard input to a TCP connection and what comes back to its standard output: `talk.py HOST PORT`

Never reconnects: ends when the connection does, with 0 if the other side closed it in order and 1 if it was lost.
"""
import os
import socket
import sys
import threading

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
connection.settimeout(None)


def send():
    while data := os.read(0, 65536):
        connection.sendall(data)


threading.Thread(target=send, daemon=True).start()
try:
    while data := connection.recv(65536):
        os.write(1, data)
except OSError as error:
    print(f"lost: {error}", flush=True)
    sys.exit(1)
