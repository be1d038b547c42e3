"""Changes its own file system all the time, always in the same way: `rewrite.py [--steps N]`

First it does everything once that can be done to a file, and says "prepared". Then it takes step after step, each of which
changes one directory of the image. It stops after --steps, or on SIGTERM, says how many it has taken, and only waits. Two
containers of one image that have taken as many steps have the same files.
"""
import argparse
import os
import shutil
import signal
import threading

options = argparse.ArgumentParser()
options.add_argument("--steps", type=int)
options = options.parse_args()

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def prepare():
    os.makedirs("/srv/made/below/deep")
    write("/srv/made/below/deep/file", "made\n")
    write("/etc/coat-new", "a new file in a directory of the image\n")
    with open("/etc/debian_version", "a") as file:
        file.write("changed\n")
    os.remove("/etc/issue")
    os.rename("/etc/profile", "/etc/profile.renamed")
    shutil.rmtree("/etc/skel")
    os.mkdir("/etc/skel")
    write("/etc/skel/only", "made again\n")
    shutil.rmtree("/etc/alternatives")
    os.setxattr("/srv/made", "user.coat", b"of a directory")
    os.setxattr("/srv/made/below/deep/file", "user.coat", bytes(range(256)))
    os.setxattr("/etc/passwd", "user.coat", b"of a file of the image")
    write("/srv/owned", "")
    os.chown("/srv/owned", 1234, 5678)
    os.chmod("/srv/owned", 0o4751)
    os.chown("/etc/shells", 4321, 8765)
    os.chmod("/opt", 0o1770)
    os.symlink("made/below", "/srv/relative")
    os.symlink("/nowhere at all", "/srv/dangling")
    os.lchown("/srv/dangling", 7, 8)
    os.remove("/etc/localtime") if os.path.lexists("/etc/localtime") else None
    os.symlink("/usr/share/zoneinfo/Europe/Berlin", "/etc/localtime")
    os.link("/srv/owned", "/srv/made/owned-too")
    os.link("/etc/group", "/etc/group.linked")
    os.mkfifo("/srv/pipe", 0o620)
    with open("/srv/sparse", "wb") as file:
        file.truncate(256 << 20)
        file.seek(100 << 20)
        file.write(b"in the middle")
    write("/srv/old", "old\n")
    os.utime("/srv/old", ns=(1_000_000_000_123_456_789, 1_000_000_001_987_654_321))
    write("/srv/name with spaces\nand a line end \xfc", "odd\n")


def files(directory):
    return [path for path in (f"{directory}/{name}" for name in sorted(os.listdir(directory))) if os.path.isfile(path) and not os.path.islink(path)]


def step(number, directory):
    kind, there = number % 5, files(directory)
    if kind == 0:
        write(f"{directory}/new-{number}", f"{number}\n")
    elif kind == 1 and there:
        os.remove(there[0])
    elif kind == 2 and there:
        with open(there[0], "a") as file:
            file.write(f"{number}\n")
    elif kind == 3:
        shutil.rmtree(directory)
        os.mkdir(directory)
        write(f"{directory}/again-{number}", f"{number}\n")
    elif kind == 4 and there:
        os.rename(there[0], f"{there[0]}-{number}")
        os.chown(f"{there[0]}-{number}", number, number)


# directories with nothing but files; how many of them and the kinds of steps have no common factor
leaves = sorted(path for path, below, names in os.walk("/usr/share") if names and not below)
directories = leaves[: len(leaves) - (len(leaves) % 5 == 0)]
prepare()
held = open("/srv/steps", "a")
print("prepared", flush=True)
taken = 0
while not stop.is_set() and taken != options.steps:
    step(taken, directories[taken % len(directories)])
    held.write(f"{taken}\n")
    held.flush()
    taken += 1
    if options.steps is None:
        stop.wait(0.01)
print(f"steps {taken}", flush=True)
while True:
    signal.pause()
