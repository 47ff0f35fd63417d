#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-core KASO: core files of guests that stand at a known instruction, as a debugger of core files reads them."""
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from qmp import Monitor  # pylint: disable=wrong-import-position
from patience import allow

kaso = sys.argv[1]
folder = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(folder.name, name)


def read_core(name):
    """The machine, notes as (name, type, content) and loads as (address, offset, size)."""
    with open(path(name), "rb") as file:
        data = file.read()
    assert data[:7] == b"\x7fELF\x02\x01\x01"
    kind, machine = struct.unpack_from("<HH", data, 16)
    table, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    assert kind == 4
    notes, loads = [], []
    for i in range(count):
        what, _, offset, _, physical, size = struct.unpack_from("<IIQQQQ", data, table + 56 * i)
        if what == 1:
            loads.append((physical, offset, size))
            continue
        at = offset
        while at < offset + size:
            name_size, content_size, number = struct.unpack_from("<III", data, at)
            at += 12
            label = data[at:at + name_size].rstrip(b"\0").decode()
            at += (name_size + 3) & ~3
            notes.append((label, number, data[at:at + content_size]))
            at += (content_size + 3) & ~3
    return data, machine, notes, loads


def dump(arguments, name, **more):
    socket = path("qmp")
    with subprocess.Popen([kaso, *arguments, "-S", "-nodefaults", "-display", "none", "-qmp", f"unix:{socket},server=on,wait=off"]) as run:
        try:
            monitor = Monitor(socket)
            assert monitor.run("query-dump-guest-memory-capability") == {"formats": ["elf"]}
            assert monitor.run("query-dump")["status"] == "none"
            monitor.run("dump-guest-memory", paging=False, protocol="file:" + path(name), **more)
            result = monitor.run("query-dump")
            assert result["status"] == "completed" and result["completed"] == result["total"], result
            monitor.run("quit")
            assert run.wait(allow(60)) == 0
        finally:
            run.kill()
            os.unlink(socket) if os.path.exists(socket) else None
    return read_core(name)


# Before the first instruction.
data, machine, notes, loads = dump(["-M", "pc", "-m", "64", "-smp", "2"], "pc")
assert machine == 62 and [n[:2] for n in notes] == [("CORE", 1), ("QEMU", 0)] * 2, notes
status = notes[0][2]
assert len(status) == 336 and struct.unpack_from("<I", status, 32)[0] == 1
registers = struct.unpack_from("<27Q", status, 112)
assert registers[16] == 0xfff0 and registers[17] == 0xf000, [hex(r) for r in registers]
state = notes[1][2]
assert struct.unpack_from("<II", state) == (1, 440) and len(state) == 440
assert struct.unpack_from("<Q", state, 8 + 18 * 8 + 10 * 24)[0] & 0xffffffff == 0x60000010  # CR0
assert loads[-1][0] + loads[-1][2] == 64 << 20 and len(data) == loads[-1][1] + loads[-1][2]

program = path("program")
with open(program, "wb") as file:
    file.write(b"\x1f\x20\x03\xd5" * 64)
data, machine, notes, loads = dump(["-M", "virt", "-m", "32", "-cpu", "cortex-a57", "-kernel", program], "virt")
assert machine == 183 and [n[:2] for n in notes] == [("CORE", 1)] and len(notes[0][2]) == 392
assert struct.unpack_from("<34Q", notes[0][2], 112)[32] >= 0x40000000  # in RAM
assert loads == [(0x40000000, loads[0][1], 32 << 20)]
assert data[loads[0][1] + 0x80000:][:256] == b"\x1f\x20\x03\xd5" * 64

_, _, _, loads = dump(["-M", "virt", "-m", "32", "-kernel", program], "part", begin=0x40080000, length=4096)
assert [load[0] for load in loads] == [0x40080000] and loads[0][2] == 4096
print("ok")
