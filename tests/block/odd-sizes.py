# SPDX-License-Identifier: MIT
"""
Files whose size is no multiple of 512, by each protocol and through filters and formats: the disk is whole
sectors, zeroes are behind the file's end, and the file grows when that part is written.

usage: odd-sizes.py KASO_IMG KASO_IO KASO_NBD [--thorough]
"""

import http.server
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO, NBD = map(os.path.abspath, sys.argv[1:4])
# Less than a sector, the sector's neighbours, in the middle of one; thorough: of pages and blocks too.
SIZES = (1, 100, 511, 513, 1000, 4097, 65535, 65537, 1048575) if "--thorough" in sys.argv else (1, 511, 1000, 65537)


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=allow(60))
    text = result.stdout.decode()
    assert result.returncode == status, (command, result.returncode, text)
    return text


def io(target, *commands, options=("-f", "raw"), status=0):
    return run(IO, *options, *[a for c in commands for a in ("-c", c)], target, status=status)


def up(size):
    return (size + 511) // 512 * 512


def make(name, size):
    data = random.Random(size).randbytes(size)
    with open(name, "wb") as file:
        file.write(data)
    return data


def read(name):
    with open(name, "rb") as file:
        return file.read()


def looks(size):
    """What tools show, and copies of it."""
    data = make("a", size)
    whole = data + bytes(up(size) - size)
    assert json.loads(run(IMG, "info", "-f", "raw", "--output=json", "a"))[
        "virtual-size"] == up(size)
    pieces = json.loads(run(IMG, "map", "-f", "raw", "--output=json", "a"))
    assert sum(p["length"] for p in pieces) == up(size), pieces
    assert pieces[-1]["zero"] and not pieces[-1]["data"] and pieces[-1]["start"] >= size, pieces
    for target in ("raw", "qcow2", "vmdk", "vdi", "vhdx", "parallels", "qed"):
        run(IMG, "convert", "-f", "raw", "-O", target, "a", "b")
        assert "identical" in run(IMG, "compare", "-s", "-f", "raw", "-F", target, "a", "b")
        run(IMG, "convert", "-f", target, "-O", "raw", "b", "c")
        assert read("c")[:up(size)] == whole, (size, target)
    run(IMG, "dd", "-f", "raw", "-O", "raw", "if=a", "of=c", "bs=100")
    assert read("c") == whole
    run(IMG, "create", "-q", "-f", "raw", "c", size)
    assert os.path.getsize("c") == up(size)
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "a", "-F", "raw", "o")
    io("o", "write -P 7 %d 1" % (up(size) - 1), options=())
    run(IMG, "commit", "-q", "o")
    assert read("a") == whole[:-1] + b"\7", size


def transfers(size, options, target, grows=True):
    """Reads and writes across the end, and never behind the last sector."""
    data = make("a", size)
    end = up(size)
    start = end - 512
    dump = io(target, "length", "read 0 %d" % end, "read -P 0 %d %d" % (size, end - size),
              "read -v %d 512" % start, options=options)
    shown = bytes(int(byte, 16) for line in dump.splitlines() if line[8:11] == ":  "
                  for byte in line[11:58].split())
    assert shown == data[start:] + bytes(end - size), (size, target)
    for command in ("read %d 2" % (end - 1), "write %d 2" % (end - 1), "write -z %d 1" % end):
        assert "Input/output error" in io(target, command, options=options, status=1)
    assert read("a") == data
    io(target, "write -P 9 %d %d" % (start, end - start), "read -P 9 %d %d" % (start, end - start),
       "flush", options=options)
    if grows:
        assert read("a") == data[:start] + b"\x09" * 512, (size, target)
        make("a", size)
        io(target, "write -z 0 %d" % end, "read -P 0 0 %d" % end, options=options)
        assert read("a") == bytes(end)
        make("a", size)
        io(target, "write -P 1 %d 1" % size, options=options)
        got = read("a") # direct I/O writes whole sectors
        assert got[:size + 1] == data + b"\1" and len(got) <= up(size + 1), (size, target)
        assert not any(got[size + 1:])
        make("a", size)
        io(target, "discard %d 512" % start, "length", options=options)
        assert os.path.getsize("a") == size


def by_options(*words):
    return ("--image-opts",), ",".join(words)


def protocols(size):
    transfers(size, ("-f", "raw"), "a")
    transfers(size, *by_options("driver=file", "filename=a"))
    transfers(size, *by_options("driver=raw", "file.driver=copy-on-read", "file.file.driver=file",
                                "file.file.filename=a"))
    transfers(size, *by_options("driver=raw", "file.driver=blkdebug", "file.image.driver=file",
                                "file.image.filename=a"))
    transfers(size, *by_options("driver=raw", "file.driver=preallocate", "file.file.driver=file",
                                "file.file.filename=a"))
    transfers(size, ("-f", "raw", "-t", "none"), "a")
    data = make("a", size)
    if size > 100: # a part of a file, which ends where the file does
        options, part = by_options("driver=raw", "offset=100", "file.filename=a")
        io(part, "read -P 0 %d %d" % (size - 100, up(size - 100) - size + 100),
           "write -P 3 0 %d" % up(size - 100), options=options)
        assert read("a") == data[:100] + b"\3" * up(size - 100)
    make("a", size)
    assert "multiple of 512" in io("driver=raw,size=100,file.filename=a", "length",
                                   options=("--image-opts",), status=1) or size < 100
    io("driver=null-co,size=%d,read-zeroes=on" % size, "read -P 0 0 %d" % up(size),
       "write 0 %d" % up(size), options=("--image-opts",))
    io("driver=null-co,size=%d" % size, "read 0 %d" % (up(size) + 1), options=("--image-opts",),
       status=1)
    data = make("a", size)
    run(IO, "-s", "-f", "raw", "-c", "write -P 5 0 %d" % up(size), "-c",
        "read -P 5 0 %d" % up(size), "a")
    assert read("a") == data


def wait_for(path):
    for _ in range(6000):
        if os.path.exists(path):
            return
        time.sleep(0.01)
    sys.exit("no server")


def server(size):
    """Exports are whole sectors; writing them makes the file grow."""
    data = make("a", size)
    done = subprocess.Popen([NBD, "-f", "raw", "-k", os.path.abspath("s"), "-t", "a"])
    wait_for("s")
    uri = "nbd+unix:///?socket=" + os.path.abspath("s")
    transfer = io(uri, "length", "read -P 0 %d %d" % (size, up(size) - size))
    assert transfer
    run(IMG, "convert", "-f", "raw", "-O", "raw", uri, "c")
    assert read("c") == data + bytes(up(size) - size)
    io(uri, "write -P 4 %d 512" % (up(size) - 512), "flush")
    done.send_signal(signal.SIGTERM)
    done.wait()
    assert read("a") == data[:up(size) - 512] + b"\4" * 512


class Export(threading.Thread):
    """A server whose export ends inside of a sector and refuses what is behind it."""

    def __init__(self, data):
        super().__init__(daemon=True)
        self.data, self.refused = bytearray(data), 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind("odd")
        self.socket.listen()
        self.start()

    def negotiate(self, peer):
        peer.send(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        flags, = struct.unpack(">I", peer.recv(4, socket.MSG_WAITALL))
        while True:
            head = peer.recv(16, socket.MSG_WAITALL)
            if len(head) < 16:
                return False
            _, option, size = struct.unpack(">8sII", head)
            if size:
                peer.recv(size, socket.MSG_WAITALL)
            if option == 1:
                peer.send(struct.pack(">QH", len(self.data), 1 | 4 | 64) +
                          (b"" if flags & 2 else bytes(124)))
                return True
            peer.send(struct.pack(">QIII", 0x3e889045565a9, option, 0x80000001, 0))

    def serve(self, peer):
        while True:
            head = peer.recv(28, socket.MSG_WAITALL)
            if len(head) < 28:
                return
            _, _, kind, cookie, offset, size = struct.unpack(">IHHQQI", head)
            data = peer.recv(size, socket.MSG_WAITALL) if kind == 1 else b""
            if kind == 2:
                return
            bad = offset + size > len(self.data)
            self.refused += bad
            if kind in (1, 6) and not bad:
                self.data[offset:offset + size] = data or bytes(size)
            peer.send(struct.pack(">IIQ", 0x67446698, 22 if bad else 0, cookie) +
                      (self.data[offset:offset + size] if kind == 0 and not bad else b""))

    def run(self):
        while True:
            peer, _ = self.socket.accept()
            if self.negotiate(peer):
                self.serve(peer)
            peer.close()


def client(size):
    data = random.Random(size).randbytes(size)
    export = Export(data)
    uri = "nbd+unix:///?socket=odd"
    run(IMG, "convert", "-f", "raw", "-O", "raw", uri, "c")
    assert read("c") == data + bytes(up(size) - size)
    io(uri, "length", "read 0 %d" % up(size), "read -P 0 %d %d" % (size, up(size) - size),
       "write -z %d 512" % (up(size) - 512), "read -P 0 %d 512" % (up(size) - 512))
    # a guest writes whole sectors: what would be lost must be zero
    start = up(size) - 512
    with open("pattern", "wb") as file:
        file.write(b"x" * (size - start) + bytes(up(size) - size))
    io(uri, "write -s pattern %d 512" % start, "flush")
    assert export.data[start:] == b"x" * (size - start)
    assert "No space left" in io(uri, "write -P 1 %d 512" % start, status=1)
    assert not export.refused, export.refused
    os.unlink("odd")


class Odd(http.server.BaseHTTPRequestHandler):
    data = b""

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()

    def do_GET(self):
        first, last = self.headers["Range"].split("=")[1].split("-")
        part = self.data[int(first):int(last or len(self.data)) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


def web(size):
    if " http" not in run(IMG, "--help"):
        return
    Odd.data = make("a", size)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as web_server:
        threading.Thread(target=web_server.serve_forever, daemon=True).start()
        url = "http://127.0.0.1:%d/a" % web_server.server_address[1]
        run(IMG, "convert", "-f", "raw", "-O", "raw", url, "c")
        assert read("c") == Odd.data + bytes(up(size) - size)
        web_server.shutdown()


def main():
    with tempfile.TemporaryDirectory(prefix="kaso-odd-") as folder:
        os.chdir(folder)
        for size in SIZES:
            looks(size)
            protocols(size)
        for size in (1000, 65537):
            server(size)
            client(size)
            web(size)


main()
