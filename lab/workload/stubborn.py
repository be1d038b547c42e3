"""An echo server that holds on to something CRIU cannot carry over: `stubborn.py io_uring`, `mptcp`, `deleted`, `netlink` or `unix PATH`

With `unix` it is connected to a socket whose other end is outside of the container; `stubborn.py listen PATH` is that end.
"""
import ctypes
import os
import runpy
import socket
import struct
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
elif what == "mptcp":
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    held.bind(("", 7002))
    held.listen()
elif what == "deleted":
    held = open("/srv/deleted", "w")
    os.link("/srv/deleted", "/srv/another")
    os.remove("/srv/deleted")
elif what == "netlink":
    # asked for all links (RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP; rtnetlink(7)), and does not read the answer
    held = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    held.bind((0, 0))
    held.send(struct.pack("IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0))
runpy.run_path(os.path.join(os.path.dirname(__file__), "echo.py"), run_name="__main__")
