# SPDX-License-Identifier: MIT
"""tool-ends IMG IO NBD [WAIT...]: a signal ends kaso-img, kaso-io and kaso-nbd whatever they wait for: a table of that. What waits would do so for
ever; images that are written stay whole."""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import waiting
from patience import allow
from waiting import LIMIT, connect, fill, full_pipe, held, listen, nbd_client, nbd_request, start

IMG, IO, NBD = map(os.path.abspath, sys.argv[1:4])
SHOW = os.environ.get("SHOW")
SLOW = ("--object", "throttle-group,id=slow,x-bps-total=1")
ETERNAL = "driver=null-co,size=64M,latency-ns=3600000000000"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=allow(LIMIT))


def create(name, *more):
    run(IMG, "create", "-q", "-f", "qcow2", *more, name, "16M")


def create_full(name, *more):
    create(name, *more)
    run(IO, "-f", "qcow2", "-c", "write -P 1 0 16M", name)


class Stuck:
    """A server behind `stuck` that stops answering, and reading, after 3 MiB."""

    def __init__(self):
        create_full("a")
        run(IMG, "convert", "-O", "raw", "a", "disk")
        waiting.Server(IMG, NBD)
        self.listener = listen("stuck")
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                client, server = self.listener.accept()[0], connect("nbd")
                held.extend((client, server))
                for way in (client, server), (server, client):
                    threading.Thread(target=self.pass_on, args=way, daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def pass_on(source, sink):
        left = 3 << 20
        try:
            while left:
                data = source.recv(min(left, 65536))
                if not data:
                    return
                sink.sendall(data)
                left -= len(data)
        except OSError:
            pass


def mute():
    listen("mute")
    return "nbd+unix:///?socket=mute"


def stuck():
    Stuck()
    return "nbd+unix:///?socket=stuck"


def over(backing):
    """An image over one that is given as a node."""
    return "json:" + json.dumps({"driver": "qcow2", "file": {"driver": "file", "filename": "top"}, "backing": backing})


def slow_file(name):
    return f"driver=qcow2,file.driver=throttle,file.throttle-group=slow,file.file.driver=file,file.file.filename={name}"


def serve(*more):
    return (NBD, "-k", os.path.abspath("s"), "-t", *more)


# Each makes what is waited for, and gives the command; what happens then before the signal comes; more of the process.

def info_mute():
    return (IMG, "info", mute()),


def create_mute():
    return (IMG, "create", "-f", "qcow2", mute(), "1M"),


def rebase_mute():
    create("a")
    return (IMG, "rebase", "-b", mute(), "-F", "raw", "a"),


def convert_from_stuck():
    return (IMG, "convert", "-f", "raw", "-O", "qcow2", stuck(), "out"),


def convert_to_stuck():
    return (IMG, "convert", "-n", "-O", "raw", "a", stuck()),


def convert_to_stuck_reconnect():
    stuck()
    return (IMG, "convert", "-n", "--target-image-opts", "a",
            "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=stuck,file.reconnect-delay=3600"),


def compare_stuck():
    return (IMG, "compare", "-F", "raw", "a", stuck()),


def dd_stuck():
    return (IMG, "dd", "-f", "raw", "-O", "raw", "if=" + stuck(), "of=out", "bs=1M"),


def bench_stuck():
    return (IMG, "bench", "-f", "raw", "-s", "1M", stuck()),


def bench_write_stuck():
    return (IMG, "bench", "-f", "raw", "-w", "-s", "1M", "--flush-interval", "1", "-d", "1", stuck()),


def commit_stuck(**more):
    stuck()
    create_full("top", "-b", "a", "-F", "qcow2")
    return (IMG, "commit", over({"driver": "raw", "file": {"driver": "nbd", "server": {"type": "unix", "path": "stuck"}, **more}})),


def commit_stuck_reconnect():
    return commit_stuck(**{"reconnect-delay": 3600})


def convert_slow():
    create_full("a")
    return (IMG, "convert", *SLOW, "-O", "raw", "json:" + json.dumps(
        {"driver": "throttle", "throttle-group": "slow", "file": {"driver": "qcow2", "file": {"driver": "file", "filename": "a"}}}), "out"),


def commit_slow():
    create("a")
    create_full("top", "-b", "a", "-F", "qcow2")
    return (IMG, "commit", *SLOW, over({"driver": "throttle", "throttle-group": "slow", "file": {
        "driver": "qcow2", "file": {"driver": "file", "filename": "a"}}})),


def check_slow():
    create_full("a")
    return (IMG, "check", "-r", "all", *SLOW, "--image-opts", slow_file("a")),


def resize_slow():
    create("a")
    return (IMG, "resize", "--preallocation=full", *SLOW, "--image-opts", slow_file("a"), "64M"),


def bench_write_slow():
    return (IMG, "bench", "-w", "--image-opts", ETERNAL),


def secret_fifo():
    create("a")
    os.mkfifo("fifo")
    return (IMG, "info", "--object", "secret,id=s,file=fifo", "a"),


def info_unread():
    create("a")
    return (IMG, "info", "a"), None, {"stdout": full_pipe()}


def map_unread():
    create_full("a")
    return (IMG, "map", "--output=json", "a"), None, {"stdout": full_pipe()}


def resize_unread():
    create("a")
    return (IMG, "resize", "a", "1G"), None, {"stdout": full_pipe()}


def io_prompt():
    create("a")
    read, write = os.pipe()
    held.append(open(write, "wb"))
    return (IO, "a"), None, {"stdin": read}


def io_stuck():
    return (IO, "-f", "raw", "-c", "read 0 8M", stuck()),


def io_aio():
    return (IO, "-c", "aio_read 0 8M", "-c", "aio_flush", "--image-opts", ETERNAL),


def nbd_opens_mute():
    return serve("-f", "raw", mute()),


def nbd_lists_mute():
    mute()
    return (NBD, "-L", "-k", os.path.abspath("mute")),


def nbd_unread():
    """A client asks for as much as it can and reads nothing."""
    return serve("--image-opts", "driver=null-co,size=64M"), lambda: fill(nbd_client("s"), nbd_request(0, 1, 32 << 20))


def nbd_half():
    """The rest of a write does not come."""
    return serve("--image-opts", "driver=null-co,size=64M"), lambda: nbd_client("s").sendall(nbd_request(1, 1, 1 << 20) + bytes(100))


def nbd_greeted():
    return serve("--image-opts", "driver=null-co,size=64M"), lambda: held.append(connect("s"))


def nbd_tls():
    """A client that begins TLS and stops in its first message."""
    with open("keys.psk", "w") as file:
        file.write("somebody:00112233445566778899aabbccddeeff\n")

    def then():
        client = connect("s")
        held.append(client)
        client.recv(18)
        client.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 5, 0))
        client.recv(20)
        client.sendall(bytes.fromhex("16030100f0"))
    return serve("--object", "tls-creds-psk,id=t,dir=.,endpoint=server", "--tls-creds", "t", "--image-opts", "driver=null-co,size=64M"), then


def nbd_read_slow():
    return serve("--image-opts", ETERNAL), lambda: nbd_client("s").sendall(nbd_request(0, 1, 4096))


def nbd_write_slow():
    create("a")
    return serve(*SLOW, "--image-opts", "driver=throttle,throttle-group=slow,file.driver=qcow2,file.file.driver=file,file.file.filename=a"), \
        lambda: nbd_client("s").sendall(2 * (nbd_request(1, 1, 4096) + bytes(4096)))


def nbd_upstream(what="stop", kind=1, more=""):
    server = waiting.Server(IMG, NBD)

    def then():
        client = nbd_client("s")
        getattr(server, what)()
        client.sendall(nbd_request(kind, 1, 4096) + bytes(4096 * kind))
    return serve("--image-opts", "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=nbd" + more), then


def nbd_upstream_read():
    return nbd_upstream(kind=0)


def nbd_upstream_lost():
    return nbd_upstream("lose", more=",file.reconnect-delay=3600")


def nbd_upstream_idle():
    """Nothing is under way, but the last flush is not answered."""
    server = waiting.Server(IMG, NBD)

    def then():
        client = nbd_client("s")
        client.sendall(nbd_request(1, 1, 4096) + bytes(4096))
        client.recv(16)
        server.stop()
    return serve("--image-opts", "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=nbd"), then


WAITS = (info_mute, create_mute, rebase_mute, convert_from_stuck, convert_to_stuck, convert_to_stuck_reconnect, compare_stuck, dd_stuck, bench_stuck,
         bench_write_stuck, commit_stuck, commit_stuck_reconnect, convert_slow, commit_slow, check_slow, resize_slow, bench_write_slow, secret_fifo,
         info_unread, map_unread, resize_unread, io_prompt, io_stuck, io_aio, nbd_opens_mute, nbd_lists_mute, nbd_unread, nbd_half, nbd_greeted,
         nbd_tls, nbd_read_slow, nbd_write_slow, nbd_upstream, nbd_upstream_read, nbd_upstream_lost, nbd_upstream_idle)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def try_end(wait, number):
    command, then, more = (*wait(), None, None)[:3]
    more = more or {}
    process = start(*command, stderr=subprocess.PIPE, **more)
    for fd in more.values():
        os.close(fd)
    if then:
        then()
    time.sleep(0.5)  # so that it waits, mostly; it ends whether it does or not
    assert process.poll() is None, (wait.__name__, process.returncode, process.stderr.read())
    began = time.monotonic()
    process.send_signal(number)
    try:
        errors = process.communicate(timeout=allow(LIMIT))[1].decode()
    except subprocess.TimeoutExpired:
        raise AssertionError((wait.__name__, number, "no end")) from None
    if SHOW:
        print(wait.__name__, number.name, process.returncode, f"{time.monotonic() - began:.2f}", errors, flush=True)
    # A server was meant to be ended, and says nothing of it.
    assert process.returncode == (0 if then else -number), (wait.__name__, number, process.returncode, errors)
    if command[0] == IMG and not more:
        assert f"kaso-img: interrupted by {number.name}: " in errors and errors.count("\n") == 1, (wait.__name__, errors)
    for image in "a", "top", "out":
        if os.path.exists(image) and open(image, "rb").read(3) == b"QFI":
            run(IMG, "check", "-q", "-f", "qcow2", image)


with tempfile.TemporaryDirectory() as folder:
    for turn, a_wait in enumerate(WAITS):
        if sys.argv[4:] and a_wait.__name__ not in sys.argv[4:]:
            continue
        for a_signal in SIGNALS if os.environ.get("EVERY") else SIGNALS[turn % 3:turn % 3 + 1]:
            os.chdir(tempfile.mkdtemp(dir=folder))
            try:
                try_end(a_wait, a_signal)
            finally:
                waiting.release()
    os.chdir("/")
