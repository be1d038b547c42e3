"""Holds on to everything a program may have of its kernel, and looks on demand whether it still has it: `keeper.py [--port 7000] [--data /data]`

To each line on a connection it answers with one of JSON: `check` → what is not as it was, an empty object where all is well; `about` → what is
said of the program from outside, which must be the same before and after a move. Files are made below --data, /srv and /dev/shm.
"""
import argparse
import ctypes
import fcntl
import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, default=7000)
options.add_argument("--data", default="/data")
options = options.parse_args()

libc = ctypes.CDLL(None, use_errno=True)
checks = {}
# for signalfd, and in every thread
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])


def keep(make):
    """Makes something now; what is returned looks after it, again and again."""
    checks[make.__name__] = make()


def same(wanted, got):
    if wanted != got:
        raise ValueError(f"{got!r:.200} instead of {wanted!r:.200}")


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def forked(work):
    """A child that answers bytes with bytes."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        while data := theirs.recv(4096):
            theirs.sendall(work(data))
        os._exit(0)
    theirs.close()

    def ask(data=b"?"):
        ours.sendall(data)
        return ours.recv(4096)
    return pid, ask


@keep
def processes():
    def child(data, grown=[]):
        if not grown:
            grown.append(forked(lambda more: b"%d %d " % (os.getppid(), os.getpid()) + more))
        return b"%d " % os.getpid() + grown[0][1](data)
    pid, ask = forked(child)
    before = ask()
    same(pid, int(before.split()[0]))
    return lambda: same(before, ask())


@keep
def threads():
    turn, done, count = threading.Condition(), threading.Semaphore(0), [0]

    def work():
        seen = 0
        while True:
            with turn:
                turn.wait_for(lambda: count[0] > seen)
                seen = count[0]
            done.release()
    for _ in range(40):
        threading.Thread(target=work, daemon=True).start()

    def look():
        with turn:
            count[0] += 1
            turn.notify_all()
        for _ in range(40):
            if not done.acquire(timeout=5):
                raise ValueError("a thread does not answer")
    return look


def buffered(write, read, data):
    write(data)

    def look():
        same(data, read())
        write(data)
    return look


@keep
def pipe():
    r, w = os.pipe()
    return buffered(lambda data: os.write(w, data), lambda: os.read(r, 65536), bytes(range(256)) * 200)


@keep
def fifo():
    os.mkfifo(f"{options.data}/fifo", 0o620)
    fd = os.open(f"{options.data}/fifo", os.O_RDWR)
    return buffered(lambda data: os.write(fd, data), lambda: os.read(fd, 4096), b"in a fifo")


@keep
def socket_pair():
    one, other = socket.socketpair()
    return buffered(one.sendall, lambda: other.recv(4096), b"in a stream")


@keep
def datagram_pair():
    one, other = socket.socketpair(type=socket.SOCK_DGRAM)
    return buffered(one.send, lambda: other.recv(4096), b"in a datagram")


def unix_server(address):
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(address)
    accepted = server.accept()[0]

    def look():
        client.sendall(b"x")
        same(b"x", accepted.recv(1))
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(address)
            server.accept()[0].close()
    return look


@keep
def unix_socket():
    return unix_server(f"{options.data}/socket")


@keep
def abstract_socket():
    return unix_server("\0keeper")


@keep
def udp():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    client = socket.socket(type=socket.SOCK_DGRAM)
    client.connect(server.getsockname())

    def look():
        client.send(b"x")
        data, peer = server.recvfrom(10)
        same((b"x", client.getsockname()), (data, peer))
    return look


@keep
def loopback():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    accepted = server.accept()[0]
    client.sendall(b"half closed")
    client.shutdown(socket.SHUT_WR)

    def look():
        same(b"half closed", accepted.recv(100, socket.MSG_PEEK))
        accepted.sendall(b"x")
        same(b"x", client.recv(1))
    return look


@keep
def epoll():
    r, w = os.pipe()
    waits = select.epoll()
    waits.register(r, select.EPOLLIN)

    def look():
        same([], waits.poll(0))
        os.write(w, b"x")
        same([(r, select.EPOLLIN)], waits.poll(0))
        os.read(r, 1)
    return look


@keep
def eventfd():
    fd = os.eventfd(7)

    def look():
        same(7, os.eventfd_read(fd))
        os.eventfd_write(fd, 7)
    return look


@keep
def timerfd():
    fd = called(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK))
    # after 10 000 s, and then every 7
    called(libc.timerfd_settime(fd, 0, struct.pack("qqqq", 7, 0, 10_000, 0), None))

    def look():
        left = ctypes.create_string_buffer(32)
        called(libc.timerfd_gettime(fd, left))
        every, _, seconds, _ = struct.unpack("qqqq", left.raw)
        same([7, True], [every, 9_000 < seconds < 10_000])
    return look


@keep
def itimer():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 10_000)
    return lambda: same(True, 9_000 < signal.getitimer(signal.ITIMER_REAL)[0] < 10_000)


@keep
def signalfd():
    mask = ctypes.create_string_buffer((1 << (signal.SIGUSR2 - 1)).to_bytes(8, "little") + bytes(120))
    fd = called(libc.signalfd(-1, mask, os.O_NONBLOCK))
    os.kill(os.getpid(), signal.SIGUSR2)

    def look():
        # it was pending all the time
        same(signal.SIGUSR2, struct.unpack_from("I", os.read(fd, 128))[0])
        os.kill(os.getpid(), signal.SIGUSR2)
    return look


@keep
def inotify():
    os.mkdir(f"{options.data}/watched")
    fd = called(libc.inotify_init1(os.O_NONBLOCK))
    called(libc.inotify_add_watch(fd, f"{options.data}/watched".encode(), 0x100))

    def look():
        with open(f"{options.data}/watched/new", "w"):
            pass
        same(b"new", os.read(fd, 4096)[16:].rstrip(b"\0"))
        os.remove(f"{options.data}/watched/new")
    return look


def locked(name, lock):
    path = f"{options.data}/{name}"
    held = open(path, "w+")
    lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def attempt(_):
        with open(path, "r+") as file:
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return b"free"
            except BlockingIOError:
                return b"held"
    _, ask = forked(attempt)
    return lambda: same((b"held", False), (ask(), held.closed))


@keep
def posix_lock():
    return locked("posix-lock", fcntl.lockf)


@keep
def flock():
    return locked("flock", fcntl.flock)


def deleted(directory, size):
    path = f"{directory}/deleted-{size}"
    content = os.urandom(size)
    file = open(path, "w+b", buffering=0)
    file.write(content)
    os.remove(path)

    def look():
        same(content, os.pread(file.fileno(), size + 1, 0))
        same([0, False], [os.fstat(file.fileno()).st_nlink, os.path.exists(path)])
    return look


@keep
def deleted_in_layer():
    return deleted("/srv", 100)


@keep
def deleted_in_volume():
    return deleted(options.data, 100)


@keep
def deleted_and_large():
    return deleted("/srv", 3 << 20)


def mapped(path, size):
    file = open(path, "w+b")
    file.truncate(size)
    area = mmap.mmap(file.fileno(), size)
    area[:4] = area[size - 4:] = bytes(4)

    def look():
        # nothing tells the kernel to write it back
        number = struct.unpack("I", area[:4])[0]
        same(number, struct.unpack("I", area[size - 4:])[0])
        with open(path, "rb") as other:
            same(number, struct.unpack("I", other.read(4))[0])
        area[:4] = area[size - 4:] = struct.pack("I", number + 1)
    return look


@keep
def mapped_in_volume():
    return mapped(f"{options.data}/mapped", 3 << 20)


@keep
def mapped_in_layer():
    return mapped("/srv/mapped", 2 << 20)


@keep
def shared_memory():
    return mapped("/dev/shm/keeper", 1 << 20)


@keep
def shared_with_child():
    area = mmap.mmap(-1, 4096)
    area[:5] = b"share"

    def swap(data):
        before = area[:5]
        area[:5] = data
        return before
    _, ask = forked(swap)

    def look():
        same(b"share", ask(b"twice"))
        same(b"twice", area[:5])
        area[:5] = b"share"
    return look


@keep
def system_v():
    libc.shmat.restype = ctypes.c_void_p
    segment = called(libc.shmget(4711, 4096, 0o1600))
    at = libc.shmat(segment, None, 0)
    ctypes.memmove(at, b"system v", 8)
    semaphore = called(libc.semget(4711, 1, 0o1600))
    called(libc.semctl(semaphore, 0, 16, 5))

    def look():
        same(b"system v", ctypes.string_at(at, 8))
        same(segment, called(libc.shmget(4711, 4096, 0)))
        same(5, libc.semctl(semaphore, 0, 12))
    return look


@keep
def memfd():
    fd = os.memfd_create("keeper")
    os.write(fd, b"in memory")
    return lambda: same(b"in memory", os.pread(fd, 100, 0))


@keep
def directory():
    os.chdir(options.data)
    fd = os.open("/srv", os.O_RDONLY)
    return lambda: same([options.data, True], [os.getcwd(), "mapped" in os.listdir(fd)])


@keep
def files():
    """Kinds of files that a copy may get wrong; they are compared from outside."""
    os.makedirs(f"{options.data}/made/below")
    with open(f"{options.data}/made/owned", "w") as file:
        file.write("owned\n")
    os.link(f"{options.data}/made/owned", f"{options.data}/made/linked")
    os.symlink("made/owned", f"{options.data}/symlink")
    os.setxattr(f"{options.data}/made/owned", "user.coat", bytes(range(64)))
    os.setxattr(f"{options.data}/made", "user.coat", b"of a directory")
    os.chown(f"{options.data}/made/owned", 1234, 5678)
    os.chmod(f"{options.data}/made/owned", 0o4751)
    os.chmod(options.data, 0o1751)
    with open(f"{options.data}/sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(20 << 20)
        file.write(b"in the middle")
    try:
        os.mknod(f"{options.data}/null", 0o600 | 0o020000, os.makedev(1, 3))
        os.mknod(f"{options.data}/whiteout", 0o600 | 0o020000, os.makedev(0, 0))
    except PermissionError:
        pass
    return lambda: None


def about():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    return {
        "status": {name: status[name] for name in ["Name", "Umask", "Tgid", "PPid", "Uid", "Gid", "Groups", "Threads", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]},
        "limits": limits,
        "environment": dict(os.environ),
        "hostname": socket.gethostname(),
        "hosts": [line for line in open("/etc/hosts") if "there" in line],
        "nice": os.nice(0),
        "terminal": [os.isatty(fd) for fd in range(3)],
        "oom": open("/proc/self/oom_score_adj").read(),
        "root": [os.access("/", os.W_OK), os.statvfs("/").f_flag & os.ST_RDONLY],
    }


def check():
    wrong = {}
    for name, look in checks.items():
        try:
            look()
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error}"
    return wrong


def serve(connection):
    answers = {"check": check, "about": about}
    for line in connection.makefile("r"):
        connection.sendall(json.dumps(answers[line.strip()]()).encode() + b"\n")


server = socket.create_server(("", options.port))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
