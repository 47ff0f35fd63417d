#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The PC board without a guest: host bridge, memory between 640 KiB and 1 MiB, interrupts, power management, fw_cfg."""

import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "monitor"))
from test_qtest import Qtest  # noqa: E402

ROM_BYTES = 0x20000


class Pc(Qtest):
    """A PC whose firmware is a ROM of known bytes."""

    def __init__(self, *arguments, machine="pc"):
        self.rom = tempfile.NamedTemporaryFile(suffix=".rom")
        self.rom.write(bytes((i >> 8 ^ i) & 0xff for i in range(ROM_BYTES)))
        self.rom.flush()
        super().__init__("-M", machine, "-bios", self.rom.name, *arguments)

    def rom_byte(self, address):
        offset = address - 0xe0000
        return (offset >> 8 ^ offset) & 0xff

    def inp(self, size, port):
        return int(self.ok("in%s %#x" % (size, port)), 0)

    def out(self, size, port, value):
        self.ok("out%s %#x %#x" % (size, port, value))

    def config_read(self, slot, function, offset, size="l"):
        self.out("l", 0xcf8, 1 << 31 | slot << 11 | function << 8 | offset & 0xfc)
        return self.inp(size, 0xcfc + (offset & 3))

    def config_write(self, slot, function, offset, value, size="b"):
        self.out("l", 0xcf8, 1 << 31 | slot << 11 | function << 8 | offset & 0xfc)
        self.out(size, 0xcfc + (offset & 3), value)


def configuration():
    q = Pc()
    assert q.config_read(0, 0, 0) == 0x12378086
    assert q.config_read(1, 0, 0) == 0x70008086
    assert q.config_read(1, 3, 0) == 0x71138086
    assert q.config_read(5, 0, 0) == 0xffffffff, "an empty slot"
    assert q.config_read(0, 0, 2, "w") == 0x1237
    assert q.inp("l", 0xcf8) == 0x80000000, "CONFIG_ADDRESS reads back"
    q.out("b", 0xcf8, 0x12)
    assert q.inp("l", 0xcf8) == 0x80000000, "a byte is not CONFIG_ADDRESS"
    q.out("l", 0xcf8, 0)
    assert q.inp("l", 0xcfc) == 0xffffffff, "disabled"
    assert [q.config_read(1, 0, 0x60 + i, "b") for i in range(4)] == [0x80] * 4
    assert q.inp("l", 0x3fd) == 0xffffffff, "no serial port: an open bus"
    q.close()


def shadow():
    """PAM: all four combinations of reading and writing, for each segment."""
    q = Pc()
    assert q.read("b", 0xffffffff) == q.rom_byte(0xfffff)
    segments = [(0xf0000, 0x59, 4)] + [(0xc0000 + i * 0x4000, 0x5a + i // 2, 4 * (i % 2)) for i in range(12)]
    for address, register, shift in segments:
        place = address + 0x123
        bus = q.rom_byte(place) if address >= 0xe0000 else 0xff
        assert q.read("b", place) == bus, hex(place)
        q.write("b", place, 0x11)
        assert q.read("b", place) == bus, "ROM takes no writes"
        q.config_write(0, 0, register, 3 << shift)
        q.write("b", place, 0x5a)
        assert q.read("b", place) == 0x5a, "RAM"
        q.config_write(0, 0, register, 1 << shift)
        q.write("b", place, 0x77)
        assert q.read("b", place) == 0x5a, "shadow that cannot be written"
        q.config_write(0, 0, register, 2 << shift)
        assert q.read("b", place) == bus, "reads from the bus"
        q.write("b", place, 0x33)
        q.config_write(0, 0, register, 1 << shift)
        assert q.read("b", place) == 0x33, "writes to RAM"
        q.config_write(0, 0, register, 0)
        assert q.read("b", place) == bus
    q.close()


def smram():
    q = Pc()
    q.write("b", 0xa0010, 0x12)
    assert q.read("b", 0xa0010) == 0xff, "no VGA, and RAM is hidden"
    q.config_write(0, 0, 0x72, 0x42)
    assert q.read("b", 0xa0010) == 0xff, "open, but not enabled"
    q.config_write(0, 0, 0x72, 0x4a)
    q.write("b", 0xa0010, 0x34)
    assert q.read("b", 0xa0010) == 0x34, "open"
    q.config_write(0, 0, 0x72, 0x0a)
    assert q.read("b", 0xa0010) == 0xff, "closed"
    q.config_write(0, 0, 0x72, 0x1a)
    q.config_write(0, 0, 0x72, 0x4a)
    assert q.read("b", 0xa0010) == 0xff, "locked"
    assert q.config_read(0, 0, 0x72, "b") == 0x1a
    q.close()


def power_management():
    q = Pc()
    q.config_write(1, 3, 0x40, 0x601, "l")
    assert q.inp("w", 0x600) == 0xffff, "not enabled yet"
    q.config_write(1, 3, 0x80, 1)
    assert q.config_read(1, 3, 0x40) == 0x601
    before = q.inp("l", 0x608)
    q.ok("clock_step 1000000")
    assert q.inp("l", 0x608) - before in (3579, 3580), "3.579545 MHz"
    # The timer's highest bit changes after 2.34 seconds; the status is cleared by writing it.
    q.ok("clock_step 2400000000")
    assert q.inp("w", 0x600) & 1
    q.out("w", 0x600, 1)
    assert not q.inp("w", 0x600) & 1
    q.ok("clock_step 2400000000")
    q.out("b", 0x601, 1)
    assert q.inp("w", 0x600) & 1, "a byte beside it clears nothing"
    # 0xb2 hands the machine to ACPI and back.
    q.out("b", 0xb2, 0xf1)
    assert q.inp("w", 0x604) == 1
    q.out("b", 0xb2, 0xf0)
    assert q.inp("w", 0x604) == 0
    # SMBus: an EEPROM is at 0x50, nobody at 0x20.
    q.config_write(1, 3, 0x90, 0x701, "l")
    q.out("b", 0x704, 0x50 << 1 | 1)
    q.out("b", 0x702, 0x48)
    assert q.inp("b", 0x700) == 2 and q.inp("b", 0x705) == 0
    q.out("b", 0x700, 2)
    q.out("b", 0x704, 0x20 << 1 | 1)
    q.out("b", 0x702, 0x48)
    assert q.inp("b", 0x700) == 4
    q.close()


def sci():
    """The power management's interrupt arrives at the PIC as ISA interrupt 9, by level."""
    q = Pc()
    q.config_write(1, 3, 0x40, 0x601, "l")
    q.config_write(1, 3, 0x80, 1)
    for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0xa0, 0x11), (0xa1, 0x70), (0xa1, 2), (0xa1, 1),
                        (0xa0, 0x0a)):
        q.out("b", port, value)
    q.ok("clock_step 2400000000")
    q.out("w", 0x602, 1)
    assert q.inp("b", 0xa0) == 0, "not without SCI_EN"
    q.out("w", 0x604, 1)
    assert q.inp("b", 0xa0) == 2
    q.close()


def firmware_configuration():
    q = Pc("-m", "64", "-smp", "2", "-fw_cfg", "name=opt/a,string=hello", "-boot", "order=d,menu=on")

    def item(key, size):
        q.out("w", 0x510, key)
        return bytes(q.inp("b", 0x511) for _ in range(size))

    assert item(0, 4) == b"QEMU"
    assert item(1, 4) == struct.pack("<I", 3)
    assert item(3, 8) == struct.pack("<Q", 64 << 20)
    assert item(5, 2) == struct.pack("<H", 2)
    assert item(0x0e, 2) == struct.pack("<H", 1)
    assert item(0x8002, 4) == struct.pack("<I", 1)
    count, = struct.unpack(">I", item(0x19, 4))
    directory = item(0x19, 4 + 64 * count)[4:]
    files = {}
    for i in range(count):
        size, key, _, name = struct.unpack(">IHH56s", directory[64 * i:64 * i + 64])
        files[name.rstrip(b"\0").decode()] = (key, size)
    assert list(files) == sorted(files), list(files)
    assert item(files["opt/a"][0], 5) == b"hello"
    assert item(files["etc/e820"][0], 20) == struct.pack("<QQI", 0, 64 << 20, 1)
    assert item(files["etc/system-states"][0], 6) == bytes([0x80, 0, 0, 1, 0x82, 0x80])
    # DMA: select and read into RAM.
    assert q.inp("l", 0x514) == 0x554d4551
    q.ok("write 0x1000 16 0x%s" % struct.pack(">IIQ", files["opt/a"][0] << 16 | 0x0a, 5, 0x2000).hex())
    q.out("l", 0x514, 0)
    q.out("l", 0x518, 0x00100000)  # 0x1000, big-endian
    assert q.ok("read 0x1000 4") == "0x00000000" and q.ok("read 0x2000 5") == "0x" + b"hello".hex()
    # CMOS: the boot order, and RAM above 1 and 16 MiB.
    def cmos(index):
        q.out("b", 0x70, index)
        return q.inp("b", 0x71)
    assert cmos(0x3d) == 0x03
    assert cmos(0x34) | cmos(0x35) << 8 == (64 - 16) * 16
    assert cmos(0x15) | cmos(0x16) << 8 == 640
    assert cmos(0x5f) == 1
    q.close()


def versions():
    q = Pc(machine="pc-i440fx-2.3")
    q.out("w", 0x510, 1)
    assert q.inp("b", 0x511) == 1, "no DMA"
    assert q.inp("l", 0x514) == 0xffffffff
    q.close()
    q = Pc("-cpu", "qemu64", machine="isapc")
    q.out("l", 0xcf8, 0x80000000)
    assert q.inp("l", 0xcfc) == 0xffffffff, "no PCI"
    assert q.read("b", 0xfffff) == q.rom_byte(0xfffff)
    q.close()


def memory_split():
    """RAM of 3.5 GiB and more is cut at 3 GiB, and goes on at 4 GiB."""
    q = Pc("-m", "5G")
    q.write("l", 0xbffffffc, 0x1234)
    assert q.read("l", 0xbffffffc) == 0x1234
    q.write("l", 0xc0000000, 0x5678)
    assert q.read("l", 0xc0000000) == 0xffffffff
    q.write("l", 0x17ffffffc, 0x9abc)
    assert q.read("l", 0x17ffffffc) == 0x9abc
    assert q.read("l", 0x180000000) == 0xffffffff
    q.close()


def serial():
    q = Pc("-serial", "null")
    assert q.inp("b", 0x3fd) == 0x60 and q.inp("b", 0x3fe) == 0xb0
    assert q.inp("l", 0x3fd) & 0xffffff == 0x00b060, "past the last port is nobody"
    q.out("b", 0x3fa, 0xc7)
    assert q.inp("b", 0x3fa) == 0xc1
    q.out("b", 0x3fc, 0x1b)
    for byte in b"loop":
        q.out("b", 0x3f8, byte)
    assert bytes(q.inp("b", 0x3f8) for _ in range(4)) == b"loop"
    assert q.inp("b", 0x3fd) == 0x60
    q.out("b", 0x3f9, 5)
    for _ in range(17):
        q.out("b", 0x3f8, 0x41)
    assert q.inp("b", 0x3fa) == 0xc6 and q.inp("b", 0x3fd) == 0x63, "overrun"
    assert q.inp("b", 0x3fa) == 0xc4, "data"
    q.out("b", 0x3fb, 0x83)
    q.out("w", 0x3f8, 0x0102)
    assert q.inp("w", 0x3f8) == 0x0102, "divisor"
    q.close()


def debug_exit():
    for value, status in ((0, 1), (0x10, 0x21), (0x7f, 0xff)):
        q = Pc("-device", "isa-debug-exit")
        q.peer.sendall(b"outb 0x501 %d\n" % value)
        assert q.kaso.process.wait(timeout=60) == status, (value, status)
        q.kaso.process.communicate()


def refusals():
    """What cannot be is said."""
    with tempfile.NamedTemporaryFile() as odd:
        odd.write(b"x" * 1000)
        odd.flush()
        for arguments, words in ((["-bios", odd.name], "multiple of 64 KiB"), (["-boot", "order=cx"], "floppy"),
                                 (["-kernel", odd.name], "no bzImage"), (["-M", "isapc", "-smp", "2"], "isapc"),
                                 (["-initrd", odd.name], "-kernel"), (["-bios", "/nowhere"], "/nowhere")):
            machine = [] if "-M" in arguments else ["-M", "pc"]
            run = subprocess.run([sys.argv[1], *machine, "-display", "none", "-S", *arguments], capture_output=True, timeout=60,
                                 stdin=subprocess.DEVNULL)
            assert run.returncode == 1 and words in run.stderr.decode(), (arguments, run)


if __name__ == "__main__":
    for test in (configuration, shadow, smram, power_management, sci, firmware_configuration, versions, memory_split, serial,
                 debug_exit, refusals):
        print(test.__name__, flush=True)
        test()
