# SPDX-License-Identifier: MIT
"""A PC without a guest, whose screen a test paints through the qtest protocol."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

for folder in "monitor", "boot":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", folder))
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Qmp  # noqa: E402
from patience import allow

VRAM = 0xe0000000


class Screen:
    def __init__(self, *arguments, devices=("VGA,id=vga",), env=None, program=None, accel="qtest", folder=None):
        self.folder = tempfile.TemporaryDirectory()
        command = [os.path.abspath(program or sys.argv[1]), "-M", "pc", "-accel", accel, "-nodefaults", "-m", "32",
                   "-qtest", "unix:" + self.path("qtest") + ",server=on,wait=off",
                   "-qmp", "unix:" + self.path("qmp") + ",server=on,wait=off"]
        for device in devices:
            command += ["-device", device]
        command += [a.replace("@", self.folder.name) for a in arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, cwd=folder)
        self.qtest = self.connect("qtest")
        self.qmp = Qmp(self.connect("qmp"))
        self.answers = self.qtest.makefile("r")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def connect(self, name):
        end = time.monotonic() + allow(20)
        while True:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(self.path(name))
                peer.settimeout(allow(20))
                return peer
            except (FileNotFoundError, ConnectionRefusedError):
                peer.close()
                if self.process.poll() is not None:
                    raise AssertionError(self.process.stderr.read().decode())
                assert time.monotonic() < end, "no socket " + name
                time.sleep(0.01)

    def do(self, *lines):
        """Commands of the qtest protocol; the last answer."""
        self.qtest.sendall("".join(line + "\n" for line in lines).encode())
        for line in lines:
            answer = self.answers.readline()
            assert answer.startswith("OK"), (line, answer)
        return answer.split()[1:]

    def dispi(self, index, value):
        self.do("outw 0x1ce %d" % index, "outw 0x1d0 %d" % value)

    def mode(self, width, height, bits=32, slot=2):
        """Bochs' VBE with a linear frame buffer; the card in that slot of the bus."""
        address = 0x80000000 | slot << 11
        self.do("outl 0xcf8 %d" % (address | 0x10), "outl 0xcfc %d" % VRAM,
                "outl 0xcf8 %d" % (address | 0x04), "outw 0xcfc 3")
        self.do("inb 0x3da", "outb 0x3c0 0x20")
        for index, value in ((4, 0), (1, width), (2, height), (3, bits), (4, 0x41)):
            self.dispi(index, value)
        self.width, self.height, self.bits = width, height, bits

    def poke(self, offset, data):
        for at in range(0, len(data), 32768):
            piece = data[at:at + 32768]
            self.do("write %d %d 0x%s" % (VRAM + offset + at, len(piece), piece.hex()))

    def paint(self, x, y, width, rows):
        """rows: pixels as the mode has them."""
        size = self.bits // 8
        for i in range(len(rows) // (width * size)):
            self.poke(((y + i) * self.width + x) * size, rows[i * width * size:(i + 1) * width * size])

    def rgb(self, *colours):
        return b"".join(struct.pack("<I", c) for c in colours)

    def dump(self, name="dump.ppm"):
        self.qmp.command("screendump", filename=self.path(name))
        with open(self.path(name), "rb") as file:
            data = file.read()
        head = data.split(b"\n", 3)
        width, height = map(int, head[1].split())
        return width, height, head[3]

    def vnc(self, name="vnc"):
        return self.connect(name)

    def end(self):
        self.qmp.command("quit")
        out, err = self.process.communicate(timeout=allow(20))
        assert self.process.returncode == 0, (self.process.returncode, err)
        return err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.folder.cleanup()
