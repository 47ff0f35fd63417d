#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-vmport KASO CC SOURCE: VMware's back door and its mouse, called by a guest's registers."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from qmp import Monitor
from patience import allow

kaso, cc, source = sys.argv[1:]
MAGIC, PORT, ONES = 0x564d5868, 0x5658, 0xffffffff
VERSION, UUID, RAM, TIME, DATA, STATUS, COMMAND, HZ, TIME_FULL, VCPU = 10, 19, 20, 23, 39, 40, 41, 45, 46, 68
READ_ID, DISABLE, RELATIVE, ABSOLUTE = 0x45414552, 0xf5, 0x4c455252, 0x53424152
LEFT, RIGHT = 0x20, 0x10

folder = tempfile.TemporaryDirectory()
program = os.path.join(folder.name, "servant")
subprocess.run([cc, "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-N,--no-warn-rwx-segments,--build-id=none,-Ttext=0x100000",
                "-o", program, source], check=True)


class Servant:
    """A guest that accesses ports for us."""

    def __init__(self, *options, machine="pc"):
        self.qmp = os.path.join(folder.name, "qmp")
        serial = os.path.join(folder.name, "serial")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(serial)
            server.listen()
            server.settimeout(allow(60))
            self.process = subprocess.Popen(
                [kaso, "-M", machine, "-m", "48", "-display", "none", "-monitor", "none", "-serial", "unix:" + serial, "-qmp",
                 f"unix:{self.qmp},server=on,wait=off", "-device", "isa-debug-exit", "-kernel", program, *options])
            self.serial = server.accept()[0]
        os.unlink(serial)
        self.serial.settimeout(allow(60))
        assert self.serial.recv(1) == b"!"
        self.monitor = Monitor(self.qmp)

    def access(self, letter, *registers):
        self.serial.sendall(letter + struct.pack("<6I", *registers))
        answer = b""
        while len(answer) < 24:
            answer += self.serial.recv(24 - len(answer))
        return struct.unpack("<6I", answer)

    def call(self, command, ebx=0x12345678, letter=b"i", magic=MAGIC):
        """EAX EBX ECX EDX ESI EDI."""
        return self.access(letter, magic, ebx, command, PORT, 0x51515151, 0xd1d1d1d1)

    def end(self):
        self.monitor.socket.close()
        self.serial.sendall(b"q")
        assert self.process.wait(allow(60)) == 0x21

    def send(self, *events):
        self.monitor.run("input-send-event", events=list(events))


def pointer(kind, **axes):
    return [{"type": kind, "data": {"axis": axis, "value": value}} for axis, value in axes.items()]


def button(name, down):
    return {"type": "btn", "data": {"button": name, "down": down}}


def commands():
    s = Servant("-uuid", "00112233-4455-6677-8899-aabbccddeeff")
    assert s.call(VERSION) == (6, MAGIC, 2, PORT, 0x51515151, 0xd1d1d1d1)
    assert s.call(VERSION, letter=b"o") == (6, MAGIC, 2, PORT, 0x51515151, 0xd1d1d1d1), "OUT is a call as well"
    assert s.call(VERSION, magic=MAGIC + 1)[:3] == (ONES, 0x12345678, VERSION), "not the magic number"
    assert s.call(VERSION, letter=b"b")[:3] == (MAGIC | 0xff, 0x12345678, VERSION), "only 32 bits are a call"
    for command in (0, 1, 38, 86, 255, 65535):
        assert s.call(command)[:2] == (ONES, 0x12345678), command
    assert s.call(UUID)[:4] == struct.unpack("<4I", bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert s.call(RAM)[:2] == (48 << 20, 0x1177)
    now = s.call(TIME)
    assert abs(now[0] - time.time()) < 5 and now[1] < 1000000 and now[2] == 1000000, now
    full = s.call(TIME_FULL)
    assert full[0] == MAGIC and 0 <= (full[4] << 32 | full[3]) - now[0] < 5 and full[1] < 1000000, full
    assert s.call(HZ)[:3] == (1000000000, 0, 1000000000)
    assert s.call(VCPU)[0] == 1 << 3
    s.end()


def mouse():
    s = Servant()
    s.send(*pointer("rel", x=1))
    assert s.call(STATUS)[0] == 0xffff0000, "nobody has asked yet: the PS/2 mouse has it"
    s.call(COMMAND, READ_ID)
    assert s.call(STATUS)[0] == 1
    assert s.call(DATA, 1)[0] == 0x3442554a
    s.call(COMMAND, ABSOLUTE)
    assert [m["name"] for m in s.monitor.run("query-mice") if m["current"]] == ["vmmouse"]
    s.send(*pointer("abs", x=0x7fff, y=0))
    s.send(button("left", True), *pointer("abs", x=0x4000, y=0x2000))
    s.send(button("left", False), button("right", True))
    s.send(button("wheel-up", True), button("wheel-up", False))
    assert s.call(STATUS)[0] == 16
    assert s.call(DATA, 4)[:4] == (0, 0xffff, 0, 0)
    assert s.call(DATA, 4)[:4] == (LEFT, 0x8001, 0x4000, 0)
    assert s.call(DATA, 2)[:4] == (RIGHT, 0x8001, DATA, PORT), "as many words as were asked for"
    assert s.call(DATA, 2)[:2] == (0x4000, 0)
    assert s.call(DATA, 4)[:4] == (RIGHT, 0x8001, 0x4000, ONES)
    assert s.call(STATUS)[0] == 0
    s.call(COMMAND, RELATIVE)
    s.send(*pointer("rel", x=-3, y=5))
    assert s.call(DATA, 4)[:4] == (RIGHT | 0x10000, ONES - 2, ONES - 4, 0)
    # More than is there is an error until the guest begins anew.
    assert s.call(DATA, 6)[0] == MAGIC
    assert s.call(STATUS)[0] == 0xffff0000
    s.call(COMMAND, READ_ID)
    assert s.call(STATUS)[0] == 1
    s.call(COMMAND, ABSOLUTE)
    for i in range(1000):
        s.send(*pointer("abs", x=i))
    assert s.call(STATUS)[0] == 1021, "the queue is bounded"
    s.call(COMMAND, DISABLE)
    assert s.call(STATUS)[0] == 0xffff0000
    s.end()


def machines():
    s = Servant("-cpu", "qemu32", machine="isapc,vmport=on")
    assert s.call(VERSION)[:2] == (6, MAGIC)
    s.end()
    s = Servant(machine="pc,vmport=off")
    assert s.call(VERSION) == (ONES, 0x12345678, VERSION, PORT, 0x51515151, 0xd1d1d1d1)
    s.end()
    run = subprocess.run([kaso, "-M", "pc,vmport=on,i8042=off", "-display", "none"], capture_output=True, check=False)
    assert run.returncode == 1 and b"vmport=on needs i8042=on" in run.stderr, run


commands()
mouse()
machines()
