#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""folder-check FOLDER [owners] [special]: what programs do with files, and what must come of it. Runs in a guest, in a shared folder."""
import errno
import fcntl
import hashlib
import mmap
import os
import random
import socket
import stat
import sys
import traceback

os.chdir(sys.argv[1])
owners, special = "owners" in sys.argv, "special" in sys.argv
checks = []


def check(function):
    checks.append(function)
    return function


def fails(number, function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == number, (error, number)
        return
    raise AssertionError(f"{function.__name__}{arguments} did not fail")


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def read(name):
    with open(name, "rb") as file:
        return file.read()


@check
def names():
    write("a", b"1")
    os.rename("a", "b")
    write("c", b"2")
    os.rename("c", "b")
    assert read("b") == b"2" and not os.path.exists("c")
    os.link("b", "hard")
    assert os.stat("b").st_nlink == 2 and os.path.samefile("b", "hard")
    os.symlink("b", "soft")
    assert os.readlink("soft") == "b" and read("soft") == b"2"
    os.symlink("/nowhere/" + "x" * 300, "long")
    assert len(os.readlink("long")) == 309
    fails(errno.EEXIST, os.mkdir, "b")
    fails(errno.ENOTDIR, os.rmdir, "b")
    fails(errno.ENAMETOOLONG, os.mkdir, "n" * 256)
    os.mkdir("n" * 255)
    os.mkdir("d")
    write("d/x", b"")
    fails(errno.ENOTEMPTY, os.rmdir, "d")
    with open("d/x", "r+b") as inside:
        os.rename("d", "e")
        inside.write(b"moved")
    assert read("e/x") == b"moved"
    unicode = "ü→\u65e5 \t\n"
    write(unicode, b"u")
    assert unicode in os.listdir(".")


@check
def modes():
    os.umask(0)
    for mode in (0o600, 0o644, 0o777, 0o4755, 0o2711, 0o400):
        os.close(os.open("mode", os.O_CREAT | os.O_WRONLY, mode & 0o777))
        os.chmod("mode", mode)
        assert stat.S_IMODE(os.stat("mode").st_mode) == mode
        os.unlink("mode")
    os.mkdir("modes", 0o1777)
    assert stat.S_IMODE(os.stat("modes").st_mode) & 0o777 == 0o777
    if owners:
        write("owned", b"")
        os.chown("owned", 1234, 4321)
        os.symlink("x", "owned-link")
        os.lchown("owned-link", 5, 6)
        assert (os.stat("owned").st_uid, os.stat("owned").st_gid) == (1234, 4321)
        assert (os.lstat("owned-link").st_uid, os.lstat("owned-link").st_gid) == (5, 6)
    os.utime("modes", ns=(10**18, 10**18 + 10**9))
    assert (os.stat("modes").st_atime_ns, os.stat("modes").st_mtime_ns) == (10**18, 10**18 + 10**9)
    os.umask(0o022)


@check
def specials():
    os.mkfifo("fifo")
    assert stat.S_ISFIFO(os.lstat("fifo").st_mode)
    end = os.open("fifo", os.O_RDWR)  # the guest's own pipe
    os.write(end, b"p")
    assert os.read(end, 1) == b"p"
    os.close(end)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    assert stat.S_ISSOCK(os.lstat("socket").st_mode)
    if special:
        os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        assert os.lstat("null").st_rdev == os.makedev(1, 3)
        write("null", b"gone")
        assert read("null") == b""


@check
def contents():
    data = random.Random(1).randbytes(24 << 20)
    write("big", data)
    assert hashlib.sha256(read("big")).digest() == hashlib.sha256(data).digest()
    with open("big", "rb") as file:
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            for place in (0, 4095, 1 << 20, (24 << 20) - 5):
                assert view[place : place + 5] == data[place : place + 5]
    with open("sparse", "wb") as file:
        file.seek(1 << 33)
        file.write(b"end")
    assert os.stat("sparse").st_size == (1 << 33) + 3
    os.truncate("sparse", 10)
    assert read("sparse") == bytes(10)
    with open("log", "ab") as one, open("log", "ab") as two:
        one.write(b"1"), one.flush(), two.write(b"2"), two.flush(), one.write(b"3")
    assert read("log") == b"123"
    fails(errno.EEXIST, os.open, "log", os.O_CREAT | os.O_EXCL)
    file = os.open("ghost", os.O_CREAT | os.O_RDWR)
    os.write(file, b"still here")
    os.unlink("ghost")
    assert os.pread(file, 100, 6) == b"here" and os.fstat(file).st_size == 10
    os.fsync(file), os.fdatasync(file), os.close(file)


@check
def many():
    os.mkdir("many")
    wanted = {f"file-{i:05}" for i in range(2000)}
    for name in wanted:
        os.close(os.open("many/" + name, os.O_CREAT | os.O_WRONLY))
    assert set(os.listdir("many")) == wanted
    with os.scandir("many") as entries:
        assert all(entry.is_file() for entry in entries)
    for name in sorted(wanted)[:1990]:
        os.unlink("many/" + name)
    assert len(os.listdir("many")) == 10


@check
def deep():
    top = os.open(".", os.O_RDONLY)
    for depth in range(200):
        os.mkdir("deep")
        os.chdir("deep")
    write("bottom", b"deep")
    os.fchdir(top)
    os.rename("deep", "deeper")
    os.chdir("deeper" + "/deep" * 199)
    assert read("bottom") == b"deep"
    for _ in range(200):
        os.chdir("..")
    assert os.stat(".").st_ino == os.fstat(top).st_ino


@check
def xattrs():
    write("attributes", b"")
    os.setxattr("attributes", "user.colour", b"blue")
    os.setxattr("attributes", "user.big", bytes(range(256)) * 4)
    fails(errno.EEXIST, os.setxattr, "attributes", "user.colour", b"x", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, "attributes", "user.none", b"x", os.XATTR_REPLACE)
    assert os.getxattr("attributes", "user.colour") == b"blue"
    assert os.getxattr("attributes", "user.big") == bytes(range(256)) * 4
    assert {name for name in os.listxattr("attributes") if name.startswith("user.")} == {"user.colour", "user.big"}
    os.removexattr("attributes", "user.colour")
    fails(errno.ENODATA, os.getxattr, "attributes", "user.colour")


@check
def locks():
    write("lock", b"x" * 100)

    def holds(how):
        child = os.fork()
        if child == 0:
            with open("lock", "r+b") as file:
                try:
                    how(file)
                    os._exit(0)
                except OSError:
                    os._exit(1)
        return os.waitpid(child, 0)[1] == 0

    def record(file):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)

    def whole(file):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with open("lock", "r+b") as one, open("lock", "r+b") as two:
        fcntl.lockf(one, fcntl.LOCK_EX, 20, 0)
        assert not holds(record)
        fcntl.lockf(two, fcntl.LOCK_UN, 20, 0)  # of the process, whichever descriptor
        assert holds(record)
    with open("lock", "r+b") as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        assert not holds(whole)
    assert holds(whole)


@check
def random_accesses():
    rng = random.Random(7)
    model, size = bytearray(), 0
    with open("fsx", "w+b", buffering=0) as file:
        for _ in range(600):
            kind, place, length = rng.randrange(4), rng.randrange(1 << 18), rng.randrange(1, 1 << 14)
            if kind == 0:
                data = rng.randbytes(length)
                file.seek(place)
                file.write(data)
                model.extend(bytes(max(0, place + length - len(model))))
                model[place : place + length] = data
            elif kind == 1:
                file.truncate(place)
                del model[place:]
                model.extend(bytes(place - len(model)))
            else:
                file.seek(place)
                assert file.read(length) == bytes(model[place : place + length]), (place, length)
    assert read("fsx") == bytes(model)


@check
def together():
    def work(number):
        os.mkdir(f"worker{number}")
        for step in range(60):
            name = f"worker{number}/{step}"
            write(name, name.encode() * 50)
            os.rename(name, name + "x")
            assert read(name + "x") == name.encode() * 50
            if step % 2:
                os.unlink(name + "x")

    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            try:
                work(number)
                os._exit(0)
            except BaseException as error:
                print("worker", number, repr(error), flush=True)
                os._exit(1)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert all(len(os.listdir(f"worker{number}")) == 30 for number in range(6))


@check
def file_system():
    status = os.statvfs(".")
    assert status.f_bsize and status.f_blocks and status.f_namemax == 255


failed = 0
for function in checks:
    try:
        function()
        print("check", function.__name__, "ok", flush=True)
    except BaseException as error:
        failed += 1
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        print("check", function.__name__, "FAILED", repr(error), "in line", line, flush=True)
os.sync()
print("checks", "passed" if not failed else f"failed: {failed}", flush=True)
