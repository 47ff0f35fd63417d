# SPDX-License-Identifier: MIT
"""Ends while writes of a guest wait for a limit, or for the slow target of a mirror: nothing delays them, what was acknowledged is in the
image, which is consistent, and what was not is there in whole or not at all. Waits would last an hour."""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

import waiting
from patience import allow
from waiting import LIMIT, connect

KASO, IMG, IO = map(os.path.abspath, sys.argv[1:4])
SECTOR = 512


class Qtest:
    """A line is answered by one or more."""

    def __init__(self):
        self.socket, self.rest = connect("qtest"), b""

    def read(self):
        while b"\n" not in self.rest:
            assert select.select([self.socket], [], [], allow(LIMIT))[0], "nothing comes"
            data = self.socket.recv(65536)
            assert data, "the machine ended"
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def do(self, *lines):
        self.socket.sendall(("\n".join(lines) + "\n").encode())
        answers = []
        while len(answers) < len(lines):
            line = self.read()
            if not line.startswith("IRQ"):
                assert line.startswith("OK"), (lines, line)
                answers.append(line)
        return answers

    def input(self, size, port):
        return int(self.do(f"in{size} {port:#x}")[0].split()[1], 16)


class Ide:
    """The first disk of the PC, by programmed I/O."""
    options = ("-device", "ide-hd,drive=n,id=disk")

    def __init__(self, qtest):
        self.qtest = qtest

    def write(self, sector, byte):
        ports = [(0x1f6, 0xe0), (0x1f2, 1), (0x1f3, sector & 255), (0x1f4, sector >> 8 & 255), (0x1f5, 0), (0x1f7, 0x30)]
        self.qtest.do(*[f"outb {port:#x} {value:#x}" for port, value in ports])
        self.qtest.do(*[f"outw 0x1f0 {byte * 0x101:#x}"] * (SECTOR // 2))

    def done(self):
        return not self.qtest.input("b", 0x1f7) & 0x80


class Virtio:
    """virtio-blk by its legacy interface."""
    options = ("-device", "virtio-blk-pci,drive=n,id=disk,addr=5,disable-modern=on")
    PORT, RING, REQUESTS = 0xc000, 0x100000, 0x200000

    def __init__(self, qtest):
        self.qtest, self.sent = qtest, 0
        for register, value in (0x10, self.PORT), (4, 5):
            qtest.do(f"outl 0xcf8 {0x80000000 | 5 << 11 | register:#x}", f"outl 0xcfc {value:#x}")
        qtest.do(f"outb {self.PORT + 0x12:#x} 0x3", f"outw {self.PORT + 0xe:#x} 0x0")
        self.size = qtest.input("w", self.PORT + 0xc)
        self.avail = self.RING + 16 * self.size
        self.used = (self.avail + 6 + 2 * self.size + 4095) // 4096 * 4096
        qtest.do(f"outl {self.PORT + 8:#x} {self.RING >> 12:#x}", f"outb {self.PORT + 0x12:#x} 0x7")

    def store(self, address, data):
        self.qtest.do(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def write(self, sector, byte):
        at, first = self.REQUESTS + 4096 * self.sent, 3 * self.sent
        self.store(at, struct.pack("<IIQ", 1, 0, sector) + bytes([byte]) * SECTOR + b"\xff")
        self.store(self.RING + 16 * first, struct.pack("<QIHH", at, 16, 1, first + 1) +
                   struct.pack("<QIHH", at + 16, SECTOR, 1, first + 2) + struct.pack("<QIHH", at + 16 + SECTOR, 1, 2, 0))
        self.store(self.avail + 4 + 2 * self.sent, struct.pack("<H", first))
        self.sent += 1
        self.store(self.avail, struct.pack("<HH", 0, self.sent))
        self.qtest.do(f"outw {self.PORT + 0x10:#x} 0x0")

    def done(self):
        answer = self.qtest.do(f"read {self.used + 2:#x} 0x2")[0].split()[1]
        return struct.unpack("<H", bytes.fromhex(answer[2:]))[0] == self.sent


class Machine(waiting.Machine):
    def __init__(self, guest, fmt):
        node = {"driver": fmt, "node-name": "n", "file": {"driver": "file", "filename": "disk"}}
        target = {"driver": "throttle", "node-name": "t", "limits": {"bps-write": 1}, "file": {"driver": "null-co", "size": 64 << 20}}
        super().__init__(KASO, "-M", "pc", "-accel", "qtest", "-qtest", "unix:qtest,server=on,wait=off", "-monitor",
                         "unix:hmp,server=on,wait=off", "-blockdev", json.dumps(node), "-blockdev", json.dumps(target), *guest.options, stderr=None)
        self.guest = guest(Qtest())

    def acknowledged(self):
        end = time.monotonic() + allow(LIMIT)
        while not self.guest.done():
            assert time.monotonic() < end, "a write is not acknowledged"
            time.sleep(0.01)

    def end(self, how):
        if how == "quit":
            self.send("quit")
        elif how == "hmp":
            monitor = connect("hmp")
            monitor.sendall(b"quit\n")
        else:
            for number in how:
                try:
                    self.process.send_signal(number)
                except ProcessLookupError:
                    break
        status = self.process.wait(allow(LIMIT))
        if how == "hmp":
            monitor.close()
        return status


def slow(machine):
    machine.ask("block_set_io_throttle", id="disk", bps=0, bps_rd=0, bps_wr=1, iops=0, iops_rd=0, iops_wr=0)


def mirrored(machine):
    """A write waits for the target of a mirror."""
    machine.ask("blockdev-mirror", job_id="j", device="n", target="t", sync="full", copy_mode="write-blocking")


def nothing(machine):
    """The writes are only in caches."""


def content(sector):
    done = subprocess.run([IO, "-r", "-f", FMT, "-c", f"read -v {sector * SECTOR} 16", "disk"], stdout=subprocess.PIPE, text=True,
                          timeout=allow(LIMIT), check=True)
    return int(done.stdout.split()[1], 16)


ENDS = ("quit", "hmp", (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM))
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for guest_type in Ide, Virtio:
        for FMT in "raw", "qcow2":
            for wait in slow, mirrored, nothing:
                for way in ENDS:
                    what = (guest_type.__name__, FMT, wait.__name__, way)
                    subprocess.run([IMG, "create", "-q", "-f", FMT, "disk", "64M"], check=True)
                    m = Machine(guest_type, FMT)
                    kept = 4
                    for number in range(kept):
                        m.guest.write(number * 4096, 0x40 + number)
                        m.acknowledged()
                    wait(m)
                    if wait != nothing:
                        # What was acknowledged while others wait stays, too; one is let by at once.
                        for number in range(4, 8):
                            m.guest.write(number * 4096, 0x40 + number)
                            time.sleep(0.05)
                            if not m.guest.done():
                                break
                            kept = number + 1
                        assert kept < 8, what
                    began = time.monotonic()
                    status = m.end(way)
                    took = time.monotonic() - began
                    if os.environ.get("SHOW"):
                        print(*what, status, f"{took:.2f}", flush=True)
                    assert status == 0, (what, status)
                    subprocess.run([IMG, "check", "-q", "-f", FMT, "disk"], check=FMT == "qcow2", stderr=subprocess.DEVNULL)
                    for number in range(kept):
                        assert content(number * 4096) == 0x40 + number, (what, number)
                    assert content(kept * 4096) in (0, 0x40 + kept), what
    os.chdir("/")
