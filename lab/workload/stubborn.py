"""An echo server that holds on to something CRIU cannot carry over: `stubborn.py io_uring`, `stubborn.py unix PATH`

With `unix` it is connected to a socket whose other end is outside of the container; `stubborn.py listen PATH` is that end.
"""
import ctypes
import os
import runpy
import socket
import sys
import time

what, *path = sys.argv[1:]
sys.argv = ["echo.py"]


def io_uring():
    setup, parameters = 425, ctypes.create_string_buffer(120)
    ring = ctypes.CDLL(None, use_errno=True).syscall(setup, 4, parameters)
    if ring < 0:
        sys.exit(f"io_uring_setup: {os.strerror(ctypes.get_errno())}")


if what == "listen":
    server = socket.socket(socket.AF_UNIX)
    server.bind(path[0])
    server.listen()
    held = server.accept()
    print("accepted", flush=True)
    time.sleep(86400)
elif what == "unix":
    held = socket.socket(socket.AF_UNIX)
    held.connect(path[0])
elif what == "io_uring":
    io_uring()
runpy.run_path(os.path.join(os.path.dirname(__file__), "echo.py"), run_name="__main__")
