#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The PC board without a guest: host bridge, memory between 640 KiB and 1 MiB, interrupts, power management, fw_cfg."""

import os
import struct
import subprocess
import sys
import tempfile

for suite in ("monitor", "boot"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", suite))
from test_qtest import Qtest  # noqa: E402
from qmp import Monitor  # noqa: E402
from patience import allow

ROM_BYTES = 0x20000


class Pc(Qtest):
    """A PC whose firmware is a ROM of known bytes."""

    def __init__(self, *arguments, machine="pc"):
        self.rom = tempfile.NamedTemporaryFile(suffix=".rom")
        self.rom.write(bytes((i >> 8 ^ i) & 0xff for i in range(ROM_BYTES)))
        self.rom.flush()
        self.socket = self.rom.name + ".qmp"
        super().__init__("-M", machine, "-bios", self.rom.name, "-qmp", "unix:%s,server=on,wait=off" % self.socket, *arguments)

    def monitor(self):
        return Monitor(self.socket)

    def rom_byte(self, address):
        offset = address - 0xe0000
        return (offset >> 8 ^ offset) & 0xff

    def inp(self, size, port):
        return int(self.ok("in%s %#x" % (size, port)), 0)

    def fw_cfg(self, key, size):
        """The first bytes of an item."""
        self.out("w", 0x510, key)
        return bytes(int(answer, 0) for answer in self.repeat("inb 0x511", size))

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
    ram = q.config_read(0, 0, 0x57, "b")
    for offset in (0x50, 0x54, 0x60, 0x64):
        q.config_write(0, 0, offset, 0x04030201, "l")
        assert q.config_read(0, 0, offset) == (0x04030201 if offset != 0x54 else ram << 24 | 0x030201)
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


def smbus(q, address, command, protocol, data=()):
    """A transaction; data's bytes are what the host data registers hold before it, and those after it are returned."""
    for port, value in zip((0x704, 0x703, 0x705, 0x706), (address, command, *data)):
        q.out("b", port, value)
    q.out("b", 0x702, 0x40 | protocol << 2)
    assert q.inp("b", 0x700) == 2 and q.inp("b", 0x702) == protocol << 2
    q.out("b", 0x700, 2)
    return q.inp("b", 0x705), q.inp("b", 0x706)


def eeproms(q):
    write, read = 0x52 << 1, 0x52 << 1 | 1
    smbus(q, write, 0x10, 2, (0x12, 0))
    smbus(q, write, 0x11, 3, (0x34, 0x56))
    assert smbus(q, read, 0x10, 2, (0, 0x77)) == (0x12, 0x77), "a byte leaves the second register"
    assert smbus(q, read, 0x10, 3) == (0x12, 0x34)
    smbus(q, write, 0x11, 1)
    assert [smbus(q, read, 0, 1)[0] for _ in range(3)] == [0x34, 0x56, 0], "one after another"
    assert smbus(q, 0x53 << 1 | 1, 0x10, 2)[0] == 0, "another one"
    q.inp("b", 0x702)
    for byte in b"abc":
        q.out("b", 0x707, byte)
    smbus(q, write, 0x20, 5, (3,))
    assert smbus(q, read, 0x20, 5)[0] == 3 and bytes(q.inp("b", 0x707) for _ in range(3)) == b"abc"
    assert smbus(q, read, 0x23, 2)[0] == ord("c")


def power_management():
    q = Pc()
    q.config_write(1, 3, 0x40, 0x601, "l")
    assert q.inp("w", 0x600) == 0xffff, "not enabled yet"
    q.config_write(1, 3, 0x80, 1)
    assert q.config_read(1, 3, 0x40) == 0x601
    before = q.inp("l", 0x608)
    q.ok("clock_step 1000000")
    assert q.inp("l", 0x608) - before in (3579, 3580), "3.579545 MHz"
    timer = q.inp("l", 0x608)
    assert q.inp("w", 0x608) | q.inp("b", 0x60a) << 16 | q.inp("b", 0x60b) << 24 == timer < 1 << 24, "parts of it"
    q.out("l", 0x608, 0)
    assert q.inp("l", 0x608) == timer and q.inp("w", 0x606) == 0
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
    eeproms(q)
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


def read_files(q):
    """The files of fw_cfg: name to content."""
    count, = struct.unpack(">I", q.fw_cfg(0x19, 4))
    directory = q.fw_cfg(0x19, 4 + 64 * count)[4:]
    files = {}
    for i in range(count):
        size, key, _, name = struct.unpack(">IHH56s", directory[64 * i:64 * i + 64])
        files[name.rstrip(b"\0").decode()] = q.fw_cfg(key, size if size <= 65536 else 0)
    return files


def tables():
    """ACPI and SMBIOS for the firmware, by options and by the board's version."""
    acpi = {"etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/system-states"}
    uuid = "00112233-4455-6677-8899-aabbccddeeff"
    q = Pc("-uuid", uuid)
    files = read_files(q)
    assert acpi <= set(files) and files["etc/acpi/rsdp"][:8] == b"RSD PTR "
    assert files["etc/smbios/smbios-anchor"][:4] == b"_SM_"
    system = files["etc/smbios/smbios-tables"]
    assert system[0] == 1 and system[8:24] == bytes.fromhex("33221100554477668899aabbccddeeff"), system[:32]
    assert b"pc-i440fx-11.1\0" in system
    window = bytes([0x8a, 0x2b, 0, 0, 0xc, 3]) + struct.pack("<5Q", 0, 1 << 32, (6 << 30) - 1, 0, 2 << 30)
    assert window in files["etc/acpi/tables"], "64-bit window"
    q.close()
    q = Pc("-uuid", uuid, machine="pc-i440fx-2.1")
    files = read_files(q)
    assert acpi <= set(files)
    assert files["etc/smbios/smbios-tables"][8:24] == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert bytes([0x8a, 0x2b, 0, 0, 0xc, 3]) not in files["etc/acpi/tables"]
    q.close()
    for arguments, machine in (([], "pc,acpi=off"), (["-no-acpi"], "pc")):
        q = Pc(*arguments, machine=machine)
        files = read_files(q)
        assert not acpi & set(files) and "etc/smbios/smbios-tables" in files
        assert q.config_read(1, 3, 0) == 0xffffffff, "no power management"
        q.close()
    q = Pc(machine="pc,smbios-entry-point-type=64,hpet=off,x-oem-id=KASO")
    files = read_files(q)
    assert files["etc/smbios/smbios-anchor"][:5] == b"_SM3_"
    assert b"HPET" not in files["etc/acpi/tables"] and files["etc/acpi/rsdp"][9:15] == b"KASO  "
    q.close()


def firmware_configuration():
    q = Pc("-m", "64", "-smp", "2", "-fw_cfg", "name=opt/a,string=hello", "-boot", "order=d,menu=on")

    assert q.fw_cfg(0, 4) == b"QEMU"
    assert q.fw_cfg(1, 4) == struct.pack("<I", 3)
    assert q.fw_cfg(3, 8) == struct.pack("<Q", 64 << 20)
    assert q.fw_cfg(5, 2) == struct.pack("<H", 2)
    assert q.fw_cfg(0x0e, 2) == struct.pack("<H", 1)
    assert q.fw_cfg(0x8002, 4) == struct.pack("<I", 1)
    count, = struct.unpack(">I", q.fw_cfg(0x19, 4))
    directory = q.fw_cfg(0x19, 4 + 64 * count)[4:]
    files = {}
    for i in range(count):
        size, key, _, name = struct.unpack(">IHH56s", directory[64 * i:64 * i + 64])
        files[name.rstrip(b"\0").decode()] = (key, size)
    assert list(files) == sorted(files), list(files)
    assert q.fw_cfg(files["opt/a"][0], 5) == b"hello"
    assert q.fw_cfg(files["etc/e820"][0], 20) == struct.pack("<QQI", 0, 64 << 20, 1)
    assert q.fw_cfg(files["etc/system-states"][0], 6) == bytes([0x80, 0, 0, 0x81, 0x82, 0x80])
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


def refuse(arguments, words):
    run = subprocess.run([sys.argv[1], "-display", "none", "-S", *arguments], capture_output=True, timeout=allow(60), stdin=subprocess.DEVNULL)
    assert run.returncode == 1 and words in run.stderr.decode(), (arguments, run)


def boot_order():
    """Letters in CMOS: -boot once= for the first boot only, and boot_set from its moment on."""
    def order(q):
        q.out("b", 0x70, 0x3d)
        first = q.inp("b", 0x71)
        q.out("b", 0x70, 0x38)
        return first, q.inp("b", 0x71) >> 4

    q = Pc("-boot", "order=c,once=nd,menu=on,splash-time=2000,reboot-timeout=3000,strict=on")
    monitor = q.monitor()

    def command(line):
        return monitor.run("human-monitor-command", **{"command-line": line}).strip()

    files = read_files(q)
    assert order(q) == (0x34, 0) and files["etc/boot-menu-wait"] == struct.pack("<H", 2000)
    assert files["etc/boot-fail-wait"] == struct.pack("<I", 3000) and not files["bootorder"], "letters are not cut short"
    monitor.run("system_reset")
    monitor.event("RESET")
    assert order(q) == (0x02, 0)
    assert "set to dna" in command("boot_set dna") and order(q) == (0x43, 1)
    for wrong in ("x", "aa", "acdn"):
        assert "give up to three of" in command("boot_set " + wrong)
    monitor.run("system_reset")
    monitor.event("RESET")
    assert order(q) == (0x43, 1)
    q.close()
    # Devices by bootindex, floppies too: the controller's word for a drive, or the drive's own.
    with image(1440 << 10) as floppy:
        for options in (["-fda", floppy.name, "-global", "isa-fdc.bootindexA=0"],
                        ["-drive", "if=none,id=f,format=raw,file=" + floppy.name, "-device", "floppy,drive=f,bootindex=0"]):
            q = Pc(*options, "-boot", "strict=on", "-device", "virtio-rng-pci", "-nic", "user,model=virtio")
            assert read_files(q)["bootorder"] == b"/pci@i0cf8/isa@1/fdc@03f0/floppy@0\nHALT\0", read_files(q)["bootorder"]
            q.close()


def empty_discs():
    """A disc drive whose disc comes later, by its name; what needs an image, or is said of one, is refused."""
    q = Pc("-drive", "if=none,id=cd,media=cdrom", "-device", "ide-cd,drive=cd", "-drive", "media=cdrom,id=other")
    monitor = q.monitor()

    def drives():
        return {entry["device"]: entry for entry in monitor.run("query-block")}

    for name in ("cd", "other"):
        assert "inserted" not in drives()[name] and drives()[name]["removable"], drives()
    with image(1 << 20) as disc:
        monitor.run("blockdev-change-medium", device="cd", filename=disc.name, format="raw")
        assert drives()["cd"]["inserted"]["file"] == disc.name and drives()["cd"]["inserted"]["ro"], drives()
        q.close()
    empty = ["-drive", "if=none,id=cd,media=cdrom"]
    for arguments, words in ((["-drive", "if=virtio,media=cdrom,id=cd"], "'cd' is empty"), ([*empty, "-device", "ide-hd,drive=cd"], "'cd' is empty"),
                             ([*empty, "-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=cd"], "'cd' is empty"),
                             (["-drive", "media=cdrom,file.filename=/nowhere"], "/nowhere"), (["-drive", "media=cdrom,fiel=x"], "'file'")):
        refuse(["-M", "pc", *arguments], words)


def pci_hotplug():
    """Devices come and go by the registers that the DSDT's methods use."""
    q = Pc("-device", "VGA,id=vga", "-device", "edu,id=cold,addr=5")
    monitor = q.monitor()
    q.out("w", 0xafe2, 2)
    assert q.inp("w", 0xafe0) == 0 and q.inp("l", 0xae00) == 0
    monitor.run("device_add", driver="edu", id="hot", addr="0x7")
    assert q.config_read(7, 0, 0) == 0x11e81234
    assert q.inp("w", 0xafe0) == 2 and q.inp("l", 0xae00) == 1 << 7 and q.inp("l", 0xae00) == 0
    q.out("w", 0xafe0, 2)
    for name in ("hot", "cold"):
        slot = {"hot": 7, "cold": 5}[name]
        monitor.run("device_del", id=name)
        assert "already" in monitor.failure("device_del", id=name)["desc"]
        assert q.inp("w", 0xafe0) == 2 and q.inp("l", 0xae04) == 1 << slot
        assert q.config_read(slot, 0, 0) == 0x11e81234, "until the guest lets it go"
        q.out("w", 0xafe0, 2)
        q.out("l", 0xae08, 1 << slot)
        assert monitor.event("DEVICE_DELETED") == {"device": name, "path": "/machine/peripheral/" + name}
        assert q.config_read(slot, 0, 0) == 0xffffffff and q.inp("l", 0xae04) == 0
    # What the guest has not answered goes with a reset.
    monitor.run("device_add", driver="edu", id="hot", addr="0x7")
    monitor.run("device_del", id="hot")
    monitor.run("system_reset")
    assert monitor.event("DEVICE_DELETED")["device"] == "hot"
    # Slots of what must stay.
    slot = q.config_read(2, 0, 0) == 0x11111234 and 2
    assert slot and not q.inp("l", 0xae0c) >> slot & 1 and q.inp("l", 0xae0c) >> 7 & 1
    q.out("l", 0xae10, 1)
    assert q.inp("l", 0xae10) == 1 and q.inp("l", 0xae0c) == 0, "no bus but the first"
    q.out("l", 0xae08, 0xffffffff)
    q.out("l", 0xae10, 0)
    q.out("l", 0xae08, 0xffffffff)
    assert q.config_read(1, 0, 0) == 0x70008086 and q.config_read(slot, 0, 0) == 0x11111234
    for arguments in ({"driver": "VGA", "id": "second"}, {"driver": "piix3-ide"}):
        assert "hotplug" in monitor.failure("device_add", **arguments)["desc"]
    assert "hotplug" in monitor.failure("device_del", id="vga")["desc"]
    q.close()
    q = Pc("-global", "PIIX4_PM.acpi-root-pci-hotplug=off", "-device", "edu,id=cold,addr=5")
    monitor = q.monitor()
    assert "hotplug" in monitor.failure("device_add", driver="edu")["desc"]
    assert "hotplug" in monitor.failure("device_del", id="cold")["desc"]
    assert b"_EJ0" not in read_files(q)["etc/acpi/tables"]
    q.close()


def suspend():
    """S3 by PM1: the clock goes on, RAM and the shadow stay, the firmware finds word in CMOS."""
    q = Pc()
    monitor = q.monitor()

    def cmos(index):
        q.out("b", 0x70, index)
        return q.inp("b", 0x71)

    def sleep():
        q.config_write(1, 3, 0x40, 0x601, "l")
        q.config_write(1, 3, 0x80, 1)
        q.out("w", 0x604, 0x2400)
        monitor.event("SUSPEND")
        assert monitor.run("query-status")["status"] == "suspended"

    assert cmos(0x0f) == 0
    assert "not in suspended state" in monitor.failure("system_wakeup")["desc"]
    q.write("l", 0x4000, 0x12345678)
    q.config_write(0, 0, 0x59, 0x30)
    q.write("b", 0xfe05b, 0x77)
    for wake, status in ((lambda: monitor.run("system_wakeup"), 0x8100),
                         (lambda: monitor.run("system_powerdown"), 0x8100)):
        sleep()
        monitor.run("stop")
        monitor.run("cont")
        assert monitor.run("query-status")["status"] == "suspended", "paused in its sleep"
        wake()
        monitor.event("WAKEUP")
        assert monitor.run("query-status")["status"] == "running"
        assert cmos(0x0f) == 0xfe
        assert q.read("l", 0x4000) == 0x12345678 and q.read("b", 0xfe05b) == 0x77
        assert q.config_read(1, 3, 0x80, "b") == 0, "a reset"
        q.config_write(1, 3, 0x40, 0x601, "l")
        q.config_write(1, 3, 0x80, 1)
        assert q.inp("w", 0x600) & 0x8100 == status
    monitor.run("system_reset")
    monitor.event("RESET")
    assert cmos(0x0f) == 0
    q.close()
    q = Pc("-global", "PIIX4_PM.disable_s3=1", "-global", "PIIX4_PM.disable_s4=on")
    assert read_files(q)["etc/system-states"] == bytes([0x80, 0, 0, 1, 2, 0x80])
    q.close()


def image(size):
    file = tempfile.NamedTemporaryFile(suffix=".img")
    file.truncate(size)
    return file


def cmos_drives():
    """CMOS: floppy drives by their types, and the geometry of IDE disks."""
    def cmos(q, index):
        q.out("b", 0x70, index)
        return q.inp("b", 0x71)

    with image(1440 << 10) as floppy, image(720 << 10) as small, image(64 << 20) as disk, image(8 << 30) as large:
        for arguments, floppies, equipment in (
                ([], 0x00, 0x06),
                (["-fda", floppy.name], 0x40, 0x07),
                (["-drive", "if=floppy,index=1,format=raw,file=" + floppy.name], 0x04, 0x07),
                (["-fda", floppy.name, "-fdb", small.name], 0x44, 0x47),
                (["-device", "floppy,drive-type=120"], 0x20, 0x07)):
            q = Pc(*arguments)
            assert (cmos(q, 0x10), cmos(q, 0x14)) == (floppies, equipment), (arguments, cmos(q, 0x10), cmos(q, 0x14))
            assert cmos(q, 0x12) == cmos(q, 0x39) == 0
            q.close()
        q = Pc("-drive", "format=raw,file=" + disk.name, "-drive", "format=raw,index=3,file=" + large.name)
        assert cmos(q, 0x12) == 0xf0 and cmos(q, 0x39) == 1 << 6
        table = [cmos(q, 0x1b + i) for i in range(9)]
        assert cmos(q, 0x19) == 47 and table == [130, 0, 16, 0xff, 0xff, 0xc8, 130, 0, 63], table
        q.close()


def media():
    """Floppies and discs come and go by the monitor; the guest's side sees it."""
    def atapi(q, packet):
        """A command without data on the second channel's first drive: 0, or the sense key."""
        q.out("b", 0x176, 0xa0)
        q.out("b", 0x171, 0)
        q.out("w", 0x174, 0)
        q.out("b", 0x174, 0)
        q.out("b", 0x175, 8)
        q.out("b", 0x177, 0xa0)
        for i in range(6):
            q.out("w", 0x170, packet[2 * i] | packet[2 * i + 1] << 8)
        return q.inp("b", 0x171) >> 4 if q.inp("b", 0x177) & 1 else 0

    ready, eject, load, lock = [0] * 12, [0x1b, 0, 0, 0, 2] + [0] * 7, [0x1b, 0, 0, 0, 3] + [0] * 7, [0x1e, 0, 0, 0, 1] + [0] * 7
    with image(1440 << 10) as floppy, image(720 << 10) as small, image(1 << 20) as disc, image(2 << 20) as other:
        q = Pc("-drive", "if=floppy,id=fd,format=raw,file=" + floppy.name, "-drive", "if=none,id=cd,format=raw,file=" + disc.name,
               "-device", "ide-cd,id=cdrom,bus=ide.1,unit=0,drive=cd", "-device", "ide-cd,id=empty,bus=ide.1,unit=1")
        monitor = q.monitor()

        def block(name):
            for entry in monitor.run("query-block"):
                if name in (entry["device"], entry.get("qdev")):
                    return entry

        def moved(is_open, name="cdrom"):
            data = monitor.event("DEVICE_TRAY_MOVED")
            assert data["id"] == name and data["tray-open"] == is_open, data

        # The floppy's disk change line.
        q.out("b", 0x3f2, 0x1c)
        for command in ([0x0f, 0, 1], [0x08], [0x0f, 0, 0], [0x08]):
            for byte in command:
                q.out("b", 0x3f5, byte)
            if command == [0x08]:
                q.inp("b", 0x3f5), q.inp("b", 0x3f5)
        assert not q.inp("b", 0x3f7) & 0x80
        assert block("fd")["removable"] and "tray_open" not in block("fd")
        monitor.run("blockdev-change-medium", device="fd", filename=small.name, format="raw")
        assert q.inp("b", 0x3f7) & 0x80 and block("fd")["inserted"]["file"] == small.name
        monitor.run("eject", device="fd")
        assert q.inp("b", 0x3f7) & 0x80 and "inserted" not in block("fd")
        # The disc: not ready with its reason, then attention.
        for _ in range(3):
            if not atapi(q, ready):
                break
        assert block("cdrom")["tray_open"] is False and block("empty")["removable"]
        monitor.run("blockdev-open-tray", id="cdrom")
        moved(True)
        assert atapi(q, ready) == 2
        assert "There already is" in monitor.failure("blockdev-insert-medium", id="cdrom", **{"node-name": "n"})["desc"]
        monitor.run("blockdev-remove-medium", id="cdrom")
        monitor.run("blockdev-add", driver="raw", **{"node-name": "n", "read-only": True,
                                                     "file": {"driver": "file", "filename": other.name}})
        monitor.run("blockdev-insert-medium", id="cdrom", **{"node-name": "n"})
        monitor.run("blockdev-close-tray", id="cdrom")
        moved(False)
        assert atapi(q, ready) == 6 and atapi(q, ready) == 0
        assert block("cdrom")["inserted"]["node-name"] == "n" and block("cdrom")["inserted"]["ro"]
        # A locked tray: the guest is asked.
        assert atapi(q, lock) == 0 and block("cdrom")["locked"]
        assert "is locked" in monitor.failure("eject", id="cdrom")["desc"]
        assert "not open" in monitor.failure("blockdev-remove-medium", id="cdrom")["desc"]
        monitor.run("eject", id="cdrom", force=True)
        moved(True)
        assert "inserted" not in block("cdrom")
        monitor.run("blockdev-del", **{"node-name": "n"})
        atapi(q, lock[:4] + [0] * 8)
        assert atapi(q, load) == 0
        moved(False)
        assert atapi(q, ready) == 2
        # The guest's own eject, and a change by people.
        assert atapi(q, eject) == 0
        moved(True)
        assert monitor.run("human-monitor-command", **{"command-line": "change cd %s raw" % disc.name}) == ""
        moved(False)
        assert block("cdrom")["inserted"]["file"] == disc.name and atapi(q, ready) == 6
        text = monitor.run("human-monitor-command", **{"command-line": "info block"})
        removable = [line for line in text.splitlines() if "Removable" in line]
        assert len(removable) == 3 and all("Removable device: not locked, tray closed" in line for line in removable), text
        assert "no such" in monitor.failure("blockdev-change-medium", id="cdrom", filename="/nowhere")["desc"].lower()
        assert block("cdrom")["inserted"]["file"] == disc.name, "the old one stays"
        # A drive that had none.
        monitor.run("blockdev-change-medium", id="empty", filename=other.name, format="raw")
        moved(True, "empty")
        moved(False, "empty")
        assert block("empty")["inserted"]["ro"]
        q.close()


def balloon():
    q = Pc("-m", "64", "-device", "virtio-balloon-pci,id=balloon0,addr=5")
    monitor = q.monitor()
    assert monitor.run("query-balloon") == {"actual": 64 << 20}
    monitor.run("balloon", value=48 << 20)
    monitor.run("human-monitor-command", **{"command-line": "balloon 32"})
    q.config_write(5, 0, 0x10, 0xc001, "l")
    q.config_write(5, 0, 4, 7, "w")
    assert q.inp("l", 0xc014) == 32 << 20 >> 12, "pages to give away"
    q.out("l", 0xc018, 0x1000)
    assert monitor.event("BALLOON_CHANGE") == {"actual": 48 << 20}
    assert monitor.run("query-balloon") == {"actual": 48 << 20}
    text = monitor.run("human-monitor-command", **{"command-line": "info balloon"})
    assert text.replace("\r", "") == "balloon: actual=48\n", text
    path = "/machine/peripheral/balloon0"
    monitor.run("qom-set", path=path, property="guest-stats-polling-interval", value=2)
    assert monitor.run("qom-get", path=path, property="guest-stats-polling-interval") == 2
    stats = monitor.run("qom-get", path=path, property="guest-stats")
    assert stats["last-update"] == 0 and stats["stats"]["stat-free-memory"] == -1, stats
    assert "guest-stats" in monitor.failure("qom-set", path=path, property="guest-stats", value=1)["desc"]
    q.close()
    q = Pc()
    assert q.monitor().failure("query-balloon")["class"] == "DeviceNotActive"
    q.close()


def debug_console():
    with tempfile.NamedTemporaryFile() as log:
        q = Pc("-debugcon", "file:" + log.name)
        assert q.inp("b", 0xe9) == 0xe9
        for byte in b"hello":
            q.out("b", 0xe9, byte)
        q.close()
        assert log.read() == b"hello"


def versions():
    q = Pc(machine="pc-i440fx-2.3")
    q.out("w", 0x510, 1)
    assert q.inp("b", 0x511) == 1, "no DMA"
    assert q.inp("l", 0x514) == 0xffffffff
    q.close()
    for name, legacy, no_reset in (("pc-i440fx-2.6", True, True), ("pc-i440fx-2.7", False, True), ("pc-i440fx-7.1", False, True), ("pc-i440fx-7.2", False, False)):
        q = Pc("-device", "virtio-rng,id=rng", machine=name)
        monitor = q.monitor()
        for option, wanted in (("disable-modern", legacy), ("queue_reset", not no_reset)):
            assert monitor.run("qom-get", path="/machine/peripheral/rng", property=option) == wanted, (name, option)
        q.close()
    for name, told in (("pc", True), ("pc-i440fx-10.1", True), ("pc-i440fx-10.0", False), ("pc-q35-9.2", False)):
        q = Pc("-device", "virtio-scsi-pci", "-drive", "driver=null-co,if=none,id=d", "-device", "scsi-hd,drive=d,id=hd", machine=name)
        assert q.monitor().run("qom-get", path="/machine/peripheral/hd", property="dpofua") == told, name
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


def hypertransport():
    """Of an AMD processor with 40 bits of addresses the map has the 12 GiB below 1 TiB that it keeps, unless the board is older."""
    kept = struct.pack("<QQI", 1012 << 30, 12 << 30, 2)
    ram = struct.pack("<QQI", 0, 64 << 20, 1)
    high = struct.pack("<QQIQQI", 0, 3 << 30, 1, 4 << 30, 2 << 30, 1)
    for arguments, expected in ((["-cpu", "max"], ram + kept), (["-cpu", "qemu64"], ram + kept), (["-cpu", "phenom", "-m", "5G"], high + kept),
                                (["-cpu", "Nehalem"], ram), (["-cpu", "max,vendor=HygonGenuine"], ram), (["-cpu", "athlon"], ram),
                                (["-cpu", "max,phys-bits=39"], ram), (["-cpu", "max", "-M", "pc-i440fx-7.1"], ram + kept),
                                (["-cpu", "max", "-M", "pc-i440fx-7.0"], ram), (["-cpu", "EPYC", "-M", "pc-q35-7.0", "-m", "64"], ram)):
        q = Pc("-m", "64", *arguments)
        assert read_files(q)["etc/e820"] == expected, arguments
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
    # Fewer than the trigger's 14 are told of when nothing has come or gone for the time of four: 4.2 ms at 9600 baud.
    q.out("b", 0x3fb, 0x03)
    q.out("b", 0x3fa, 0xc3)
    q.out("b", 0x3f8, 0x41)
    q.out("b", 0x3f8, 0x42)
    assert q.inp("b", 0x3fa) == 0xc1
    q.ok("clock_step 4100000")
    assert q.inp("b", 0x3fa) == 0xc1
    q.ok("clock_step 100000")
    assert q.inp("b", 0x3fa) == 0xcc, "time out"
    assert q.inp("b", 0x3f8) == 0x41 and q.inp("b", 0x3fa) == 0xc1, "a read starts the time anew"
    q.ok("clock_step 4200000")
    assert q.inp("b", 0x3fa) == 0xcc and q.inp("b", 0x3f8) == 0x42 and q.inp("b", 0x3fa) == 0xc1
    # Without FIFOs the next character takes the place of the one that was not read.
    q.out("b", 0x3fa, 0)
    q.out("b", 0x3f8, 0x41)
    q.out("b", 0x3f8, 0x42)
    assert q.inp("b", 0x3fd) == 0x63 and q.inp("b", 0x3f8) == 0x42 and q.inp("b", 0x3fd) == 0x60
    q.out("b", 0x3fb, 0x83)
    q.out("w", 0x3f8, 0x0102)
    assert q.inp("w", 0x3f8) == 0x0102, "divisor"
    q.close()


def ich9():
    for machine, mib in (("q35", 64), ("pc-q35-10.1", 16)):
        q = Pc(machine=machine)
        assert q.config_read(0, 0, 0x50, "w") == mib, "the fourth size of TSEG"
        q.close()
    q = Pc(machine="q35")
    assert q.config_read(0x1f, 2, 0x90, "b") == 0x40, "SATA mode: AHCI"
    q.config_write(0x1f, 0, 0x40, 0x601, "l")
    q.config_write(0x1f, 0, 0x44, 0x80)
    q.out("l", 0x630, 0)
    q.out("b", 0xb2, 0x55)
    assert q.inp("l", 0x634) & 0x20 == 0, "no SMI by APM was asked for"
    q.out("l", 0x630, 0x20)
    q.out("b", 0xb2, 0x55)
    assert q.inp("l", 0x634) & 0x20 == 0x20
    q.close()


def parallel():
    q = Pc("-parallel", "null")
    q.out("b", 0x378, 0x5a)
    assert q.inp("b", 0x378) == 0x5a and q.inp("b", 0x379) & 0xf8 == 0xd8 and q.inp("b", 0x37a) == 0xcc
    q.out("b", 0x37a, 0x2c)
    assert q.inp("b", 0x378) == 0xff, "nobody drives the lines"
    q.out("b", 0x37a, 0x0c)
    assert q.inp("b", 0x378) == 0x5a
    # The keyboard controller's output port: no reset, A20, lines at rest.
    q.out("b", 0x64, 0xd0)
    assert q.inp("b", 0x60) & 0xef == 0xcf
    q.close()


def debug_exit():
    for value, status in ((0, 1), (0x10, 0x21), (0x7f, 0xff)):
        q = Pc("-device", "isa-debug-exit")
        q.peer.sendall(b"outb 0x501 %d\n" % value)
        assert q.kaso.process.wait(timeout=allow(60)) == status, (value, status)
        q.kaso.process.communicate()


def refusals():
    """What cannot be is said."""
    with tempfile.NamedTemporaryFile() as odd:
        odd.write(b"x" * 1000)
        odd.flush()
        for arguments, words in ((["-bios", odd.name], "multiple of 64 KiB"), (["-boot", "order=cx"], "floppy"),
                                 (["-kernel", odd.name], "no bzImage"), (["-M", "isapc", "-smp", "2"], "isapc"),
                                 (["-initrd", odd.name], "-kernel"), (["-bios", "/nowhere"], "/nowhere"), (["-M", "pc,smbios-entry-point-type=3"], "32, 64 or auto"),
                                 (["-smbios", "type=7"], "-smbios type=7: fields can be given")):
            refuse([*([] if "-M" in arguments else ["-M", "pc"]), *arguments], words)


if __name__ == "__main__":
    for test in (configuration, shadow, smram, power_management, sci, firmware_configuration, tables, boot_order, empty_discs, pci_hotplug, suspend, cmos_drives, media, balloon, debug_console, versions, memory_split, hypertransport, serial,
                 ich9, parallel, debug_exit, refusals):
        print(test.__name__, flush=True)
        test()
