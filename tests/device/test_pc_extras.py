#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What -device adds to a PC besides its buses' cards, without a guest: vmgenid, vmcoreinfo, pc-testdev, serial ports on PCI; and fw_cfg under fire."""

import os
import random
import struct
import subprocess
import sys
import tempfile
import uuid

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow
from test_pc import Pc, read_files

GUID = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"
DESCRIPTOR, BUFFER = 0x1000, 0x2000
ERROR, READ, SKIP, SELECT, WRITE = 1, 2, 4, 8, 16


def directory(q):
    count, = struct.unpack(">I", q.fw_cfg(0x19, 4))
    files = {}
    for size, key, _, name in struct.iter_unpack(">IHH56s", q.fw_cfg(0x19, 4 + 64 * count)[4:]):
        files[name.rstrip(b"\0").decode()] = key, size
    return files


def dma(q, control, length, address, place=DESCRIPTOR):
    """Runs a descriptor; what its control word is then."""
    q.ok("write %#x 16 0x%s" % (place, struct.pack(">IIQ", control, length, address).hex()))
    q.out("l", 0x514, 0)
    q.out("l", 0x518, struct.unpack("<I", struct.pack(">I", place))[0])
    return struct.unpack(">I", bytes.fromhex(q.ok("read %#x 4" % place)[2:]))[0]


def memory(q, address, size):
    return bytes.fromhex(q.ok("read %#x %d" % (address, size))[2:])


def option_rom():
    with tempfile.TemporaryDirectory() as folder:
        rom = b"\x55\xaa\x01" + bytes(509)
        path = folder + "/my.rom"
        with open(path, "wb") as file:
            file.write(rom)
        q = Pc("-option-rom", path)
        assert read_files(q)["genroms/my.rom"] == rom
        q.close()


def generation():
    q = Pc("-device", "vmgenid,guid=" + GUID)
    files = read_files(q)
    page = files["etc/vmgenid_guid"]
    assert page == bytes(40) + uuid.UUID(GUID).bytes_le + bytes(4096 - 56)
    loader = [files["etc/table-loader"][i:i + 128] for i in range(0, len(files["etc/table-loader"]), 128)]
    assert struct.pack("<I56sI", 1, b"etc/vmgenid_guid", 4096) in b"".join(loader)
    assert any(struct.pack("<I56s56sIIB", 4, b"etc/vmgenid_addr", b"etc/vmgenid_guid", 0, 40, 8) in c for c in loader)
    assert b"KASO0001" in files["etc/acpi/tables"]
    monitor = q.monitor()
    assert monitor.run("query-vm-generation-id") == {"guid": GUID}
    assert monitor.run("human-monitor-command", **{"command-line": "info vm-generation-id"}).strip() == GUID
    # Firmware says where it has put it; a reset forgets.
    key, size = directory(q)["etc/vmgenid_addr"]
    q.ok("write %#x 8 0x0040000000000000" % BUFFER)
    assert dma(q, key << 16 | SELECT | WRITE, 8, BUFFER) == 0
    assert read_files(q)["etc/vmgenid_addr"] == struct.pack("<Q", 0x4000) and size == 8
    monitor.run("system_reset")
    monitor.event("RESET")
    assert read_files(q)["etc/vmgenid_addr"] == bytes(8)
    q.close()
    ids = set()
    for guid in ("", ",guid=auto"):
        q = Pc("-device", "vmgenid" + guid)
        ids.add(q.monitor().run("query-vm-generation-id")["guid"])
        q.close()
    assert len(ids) == 2 and all(uuid.UUID(i).version == 4 for i in ids)
    q = Pc()
    assert "not found" in q.monitor().failure("query-vm-generation-id")["desc"]
    assert b"KASO0001" not in read_files(q)["etc/acpi/tables"]
    q.close()


def core_information():
    q = Pc("-device", "vmcoreinfo")
    key, size = directory(q)["etc/vmcoreinfo"]
    assert size == 16 and read_files(q)["etc/vmcoreinfo"] == bytes([1] + [0] * 15)
    content = struct.pack("<HHIQ", 0, 1, 4096, 0x123000)
    q.ok("write %#x 16 0x%s" % (BUFFER, content.hex()))
    assert dma(q, key << 16 | SELECT | WRITE, 16, BUFFER) == 0
    assert read_files(q)["etc/vmcoreinfo"] == content
    monitor = q.monitor()
    monitor.run("system_reset")
    monitor.event("RESET")
    assert read_files(q)["etc/vmcoreinfo"] == bytes([1] + [0] * 15)
    q.close()


def test_device():
    q = Pc("-device", "pc-testdev")
    q.out("l", 0xe0, 0x12345678)
    assert [q.inp("b", 0xe0 + i) for i in range(4)] == [0x78, 0x56, 0x34, 0x12]
    q.out("b", 0xe1, 0xff)
    q.out("w", 0xe2, 0xabcd)
    assert q.inp("l", 0xe0) == q.inp("l", 0xe8) == 0xabcdff78
    q.out("l", 0xe4, 0x1000)
    q.ok("write 0xff000ffd 8 0x0102030405060708")
    assert memory(q, 0xff000ffd, 8) == bytes(range(1, 9)) and q.read("b", 0xff000fff) == 3
    assert q.read("b", 0xff00ffff) == 0
    # The lines: the PIC's request register.
    for port, value in ((0x20, 0x11), (0x21, 8), (0x21, 4), (0x21, 1), (0x21, 0xff), (0x20, 0x0a)):
        q.out("b", port, value)
    for line in (3, 5, 7):
        assert not q.inp("b", 0x20) >> line & 1
        q.out("b", 0x2000 + line, 1)
        assert q.inp("b", 0x20) >> line & 1, line
        q.out("b", 0x2000 + line, 0)
    q.out("b", 0x2010, 1)
    q.close()


def absurd_selectors():
    """Keys that nothing has, reading on beyond ends, and DMA from and to where nothing is."""
    q = Pc("-m", "64", "-device", "vmgenid")
    files = directory(q)
    for key in (0x1a, 0x1f, 0x20 + len(files), 0x5f, 0x60, 0x7fff, 0x3fff, 0x8010, 0xffff, 0x4000, 0xc000):
        assert not any(q.fw_cfg(key, 3)) or key & 0x3fff < 0x1a, hex(key)
        assert not dma(q, key << 16 | SELECT | READ, 64, BUFFER) & ~ERROR
    key, size = files["etc/e820"]
    assert q.fw_cfg(key, size + 100)[size:] == bytes(100)
    # The whole of the address space to read into, and as much to skip.
    for length in (0, 1, size, size + 1, 0x7fffffff, 0xffffffff):
        for address in (BUFFER, 0, (64 << 20) - 4, 64 << 20, 0xa0000, 0xfee00000, 0xfffffff0, 1 << 40, (1 << 64) - 8):
            if length > 1 << 20 and address < 64 << 20:
                continue
            assert dma(q, key << 16 | SELECT | READ, length, address, place=0x3000) in (0, ERROR)
        assert dma(q, SKIP, length, 0) in (0, ERROR)
    for control in (WRITE, WRITE | SELECT | key << 16, READ | WRITE, READ | WRITE | SKIP | SELECT | 0xffff0000, 0, ERROR, 0xffffffff):
        assert dma(q, control, 16, BUFFER) in (0, ERROR), hex(control)
    # A write beyond the end of what can be written, and descriptors where no memory is, or that overwrite themselves.
    key, size = files["etc/vmgenid_addr"]
    assert dma(q, key << 16 | SELECT | WRITE, size + 1, BUFFER) == ERROR
    assert dma(q, key << 16 | SELECT | READ, size, DESCRIPTOR) in (0, ERROR)
    for place in (0xffffffff, 0xfee00000, 0xa0000, (64 << 20) - 8):
        q.out("l", 0x514, 0)
        q.out("l", 0x518, struct.unpack("<I", struct.pack(">I", place))[0])
    q.out("l", 0x514, 0xffffffff)
    q.out("l", 0x518, 0xf8ffffff)
    numbers = random.Random(7)
    for _ in range(300):
        dma(q, numbers.getrandbits(32), numbers.getrandbits(numbers.choice((4, 12, 16))),
            numbers.choice((BUFFER, 0xfff00000, 1 << 35)) + numbers.getrandbits(12))
        q.out("w", 0x510, numbers.getrandbits(16))
        q.out(numbers.choice("bwl"), 0x510 + numbers.randrange(12), numbers.getrandbits(8))
    assert dma(q, 0x00 << 16 | SELECT | READ, 4, BUFFER) == 0 and memory(q, BUFFER, 4) == b"QEMU"
    q.close()


def serial_cards():
    """UARTs one behind the other in a BAR of ports, one pin for all."""
    with tempfile.TemporaryDirectory() as folder:
        for name, number, uarts in (("pci-serial", 2, 1), ("pci-serial-2x", 3, 2), ("pci-serial-4x", 4, 4)):
            ends = ["chardev"] if uarts == 1 else [f"chardev{i + 1}" for i in range(uarts)]
            arguments = [word for i in range(uarts) for word in ("-chardev", f"file,id=c{i},path={folder}/{name}{i}")]
            q = Pc(*arguments, "-device", ",".join([name, "addr=5", *(f"{end}=c{i}" for i, end in enumerate(ends))]))
            assert q.config_read(5, 0, 0) == number << 16 | 0x1b36 and q.config_read(5, 0, 8) == 0x07000201
            q.config_write(5, 0, 0x10, 0xffffffff, "l")
            assert q.config_read(5, 0, 0x10) == 0x100000000 - 8 * uarts | 1, hex(q.config_read(5, 0, 0x10))
            q.config_write(5, 0, 0x10, 0xc000, "l")
            q.config_write(5, 0, 4, 1, "l")
            for i in range(uarts):
                port = 0xc000 + 8 * i
                for byte in b"to %d" % i:
                    q.out("b", port, byte)
                assert q.inp("b", port + 5) == 0x60
                q.out("b", port + 1, 2)
                assert q.config_read(5, 0, 4) >> 19 & 1, "the transmitter is empty"
            for i in range(uarts):
                assert q.config_read(5, 0, 4) >> 19 & 1
                assert q.inp("b", 0xc002 + 8 * i) == 2, "which is told once"
            assert not q.config_read(5, 0, 4) >> 19 & 1
            q.close()
            for i in range(uarts):
                with open(f"{folder}/{name}{i}", "rb") as written:
                    assert written.read() == b"to %d" % i


def links():
    """A root port's link is as fast and as wide as it is told."""
    for options, capability, speeds, target in (("", 0x11, 0, 0), (",x-speed=16,x-width=32", 0x204, 0x1e, 4), (",x-speed=5", 0x12, 6, 2)):
        q = Pc("-device", "pcie-root-port,addr=6,chassis=1" + options, machine="q35")
        at = q.config_read(6, 0, 0x34, "b")
        while q.config_read(6, 0, at, "b") != 0x10:
            at = q.config_read(6, 0, at + 1, "b")
        assert q.config_read(6, 0, at + 0x0c) & 0x3ff == capability, hex(q.config_read(6, 0, at + 0x0c))
        assert q.config_read(6, 0, at + 0x12, "w") & 0x3ff == 0x11
        assert q.config_read(6, 0, at + 0x2c) == speeds and q.config_read(6, 0, at + 0x30, "w") & 0xf == target
        q.close()


def accepted():
    """What managers of machines always give, though it changes nothing here."""
    q = Pc("-iscsi", "initiator-name=iqn.1993-08.org.debian:01:aabbccddeeff", "-device", "virtio-serial", "-chardev", "qemu-vdagent,id=a,name=vdagent",
           "-device", "virtserialport,chardev=a,name=com.redhat.spice.0", "-device", "virtio-net-pci,host_tunnel=off,guest_tunnel=off")
    q.ok("endianness")
    q.close()


def refusals():
    for arguments, words in ((["-device", "vmgenid,guid=x"], "neither a UUID nor auto"),
                             (["-device", "vmgenid", "-device", "vmgenid"], "one vmgenid at most"),
                             (["-device", "vmcoreinfo", "-device", "vmcoreinfo"], "one vmcoreinfo at most"),
                             (["-M", "pc-i440fx-2.3", "-device", "vmgenid"], "needs fw_cfg with DMA"),
                             (["-M", "q35", "-device", "pcie-root-port,x-speed=3"], "x-speed is 2_5"),
                             (["-M", "q35", "-device", "pcie-root-port,x-width=0"], "x-width"),
                             (["-M", "none", "-device", "loader,addr=0,cpu-num=0"], "0 CPUs"),
                             (["-M", "isapc", "-device", "vmgenid"], "part of boards")):
        machine = [] if "-M" in arguments else ["-M", "pc"]
        run = subprocess.run([sys.argv[1], *machine, "-display", "none", "-S", *arguments], capture_output=True, timeout=allow(60),
                             stdin=subprocess.DEVNULL, check=False)
        assert run.returncode == 1 and words in run.stderr.decode(), (arguments, run)


if __name__ == "__main__":
    for test in (option_rom, generation, core_information, test_device, absurd_selectors, serial_cards, links, accepted, refusals):
        print(test.__name__, flush=True)
        test()
