#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The qtest protocol: a test in place of the guest reads and writes memory and ports, moves the clock and hears interrupts."""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from harness import Kaso, Qmp, TIMEOUT
from patience import allow

RAM = 0x41000000  # behind the device tree
UART = 0x9000000
RTC = 0x9010000
GPIO = 0x9030000
ECAM = 0x4010000000
PCI_MEMORY = 0x10000000
PCI_IO = 0x3eff0000


def program(machine):
    """PCs are for the program of that name beside the given one."""
    return os.path.join(os.path.dirname(sys.argv[1]), "kaso-system-x86_64") if machine == "pc" else sys.argv[1]


class Qtest:
    """The test listens, and the program comes to it, as existing suites have it."""

    def __init__(self, *arguments, accel="qtest", machine="virt"):
        self.kaso = Kaso.__new__(Kaso)
        self.kaso.folder = tempfile.TemporaryDirectory()
        server = socket.socket(socket.AF_UNIX)
        server.bind(self.kaso.path("q"))
        server.listen(1)
        self.kaso.process = subprocess.Popen(
            [program(machine), "-qtest", "unix:" + self.kaso.path("q"), "-qtest-log",
             self.kaso.path("log"), "-display", "none", "-M", machine, "-nodefaults", "-m", "64",
             *(word.replace("@", self.kaso.folder.name) for word in arguments), "-accel", accel], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        server.settimeout(allow(TIMEOUT))
        self.peer = server.accept()[0]
        self.peer.settimeout(allow(TIMEOUT))
        self.lines = self.peer.makefile("r")
        self.irqs = []

    def ask(self, request):
        self.peer.sendall((request + "\n").encode())
        return self.answer()

    def answer(self):
        while True:
            line = self.lines.readline().rstrip("\n")
            if not line.startswith("IRQ "):
                return line
            self.irqs.append(line)

    def ok(self, request):
        answer = self.ask(request)
        assert answer.split(" ")[0] == "OK", (request, answer)
        return answer[3:]

    def repeat(self, request, count):
        """The answers to a request that is sent many times: without waiting, so that not each costs a change of processes."""
        answers = []
        while len(answers) < count:
            now = min(count - len(answers), 1000)  # as many as fit into the socket, both ways
            self.peer.sendall((request + "\n").encode() * now)
            for _ in range(now):
                answer = self.answer()
                assert answer.split(" ")[0] == "OK", (request, answer)
                answers.append(answer[3:])
        return answers

    def read(self, size, address):
        return int(self.ok("read%s %#x" % (size, address)), 0)

    def write(self, size, address, value):
        assert self.ok("write%s %#x %#x" % (size, address, value)) == ""

    def config(self, slot, offset):
        return ECAM + (slot << 15) + offset

    def close(self):
        self.kaso.process.terminate()
        out, err = self.kaso.process.communicate(timeout=allow(TIMEOUT))
        with open(self.kaso.path("log"), encoding="utf-8") as log:
            text = log.read()
        self.kaso.folder.cleanup()
        return text, err.decode()


def memory():
    q = Qtest()
    assert q.ask("endianness") == "OK little"
    assert q.ask("writel %#x 0x11223344" % RAM) == "OK"
    assert q.ask("readb %#x" % (RAM + 3)) == "OK 0x0000000000000011"
    assert q.ask("read %#x 6" % RAM) == "OK 0x443322110000"
    assert q.ask("write %#x 4 0xaabb" % RAM) == "OK"
    assert q.ask("readq %#x" % RAM) == "OK 0x000000000000bbaa"
    assert q.ask("memset %#x 16 0x5a" % (RAM + 8)) == "OK"
    assert q.ask("b64read %#x 3" % (RAM + 22)) == "OK WloA"
    assert q.ask("b64write %#x 3 AQID" % (RAM + 64)) == "OK"
    assert q.ask("b64write %#x 5 BAUG" % (RAM + 96)) == "OK"
    assert q.ask("b64write %#x 8 AQID" % (RAM + 96 - 1)) == "OK"
    assert q.ask("read %#x 5" % (RAM + 95)) == "OK 0x0102030600"
    assert q.ask("read %d 4" % (RAM + 64)) == "OK 0x01020300"
    # Nobody is there; nobody is on the ports of this machine.
    assert q.ask("readl 0") == "OK 0x0000000000000000"
    assert q.ask("inb 0x80") == "OK 0x00ff"
    assert q.ask("outl 0xcf8 0x80000000") == "OK"
    for bad in ("readl", "readl x", "readl 1 2", "write %#x 4 12" % RAM, "nonsense",
                "read 0 99999999999", "set_irq_in nobody unnamed-gpio-in 0 1",
                "irq_intercept_in nobody"):
        assert q.ask(bad).startswith("FAIL "), bad
    log, err = q.close()
    assert "OPENED" in log and "] endianness" in log and "] OK little" in log, log
    assert err.count("\n") <= 1, err  # that a signal ended it


def clock():
    """The clock stands still until it is told; timers expire at their time; RTC alarm raises its line."""
    q = Qtest("-rtc", "base=2020-01-01,clock=vm")
    assert q.ask("clock_step 0").startswith("FAIL ") and q.ask("clock_set 0") == "OK 0"
    assert q.ask("clock_step 1000") == "OK 1000"
    assert q.ask("clock_set 5000000") == "OK 5000000"
    assert q.ask("clock_set 1000") == "FAIL 5000000"
    assert q.ask("clock_step").startswith("FAIL")
    assert q.ask("clock_step -5").startswith("FAIL ") and q.ask("clock_set -5") == "FAIL 5000000"
    q.ok("irq_intercept_out /machine/rtc")
    now = q.read("l", RTC)
    q.write("l", RTC + 0x10, 1)
    q.write("l", RTC + 0x4, now + 3)
    assert q.irqs == []
    q.ok("clock_step 2000000000")
    assert q.irqs == [], q.irqs
    q.ok("clock_step 1500000000")
    assert q.irqs == ["IRQ raise 0"], q.irqs
    q.write("l", RTC + 0x1c, 1)
    assert q.irqs[1:] == ["IRQ lower 0"], q.irqs
    q.close()


def lines():
    """What the GIC is told, by number, and a line that the test sets itself."""
    q = Qtest()
    q.ok("irq_intercept_in /machine/gic")
    q.write("l", GPIO + 0x40c, 8)  # rising edges
    q.write("l", GPIO + 0x410, 8)  # interrupt
    q.ok("set_irq_in /machine/gpio unnamed-gpio-in 3 1")
    assert q.irqs == ["IRQ raise 39"], q.irqs  # SPI 7
    q.write("l", GPIO + 0x41c, 8)
    assert q.irqs[1:] == ["IRQ lower 39"], q.irqs
    assert q.ask("irq_intercept_in /machine/gic") == "OK" and q.ask("irq_intercept_out /machine/gic") == "OK"
    assert q.ask("irq_intercept_out /machine/rtc").startswith("FAIL ")
    q.close()


def centuries():
    """A step that takes for ever does not delay an end: timers tick in all that time."""
    q = Qtest("-rtc", "clock=vm", machine="pc")
    q.ok("outb 0x70 0x0a")
    q.ok("outb 0x71 0x23")
    q.ok("outb 0x70 0x0b")
    q.ok("outb 0x71 0x42")
    q.peer.sendall(b"clock_step 9223372036854775807\n")
    time.sleep(0.3)
    began = time.monotonic()
    q.close()
    assert time.monotonic() - began < TIMEOUT / 2


def cmos(q, index, value=None):
    q.ok("outb 0x70 %#x" % index)
    return int(q.ok("inb 0x71"), 0) if value is None else q.ok("outb 0x71 %#x" % value)


def rtc():
    """Interrupts that the guest's clock owes are forgotten on request, and a new date is told of."""
    q = Qtest("-rtc", "base=2026-01-01", "-global", "mc146818rtc.lost_tick_policy=slew", "-qmp", "unix:@/m,server=on,wait=off", machine="pc")
    qmp = Qmp(q.kaso.connect("m"))
    cmos(q, 0x0a, 0x26)
    cmos(q, 0x0b, 0x42)
    cmos(q, 0x0c)
    for forget in (False, True):
        q.ok("clock_step 10000000")
        if forget:
            qmp.command("rtc-reset-reinjection")
        ticks = 0
        while cmos(q, 0x0c) & 0x40:
            ticks += 1
        assert ticks == (1 if forget else 10), (forget, ticks)
    cmos(q, 0x0b, 0x82)
    cmos(q, 0x04, (cmos(q, 0x04) + 3) % 24)
    cmos(q, 0x0b, 0x02)
    told = qmp.wait_event("RTC_CHANGE")["data"]
    assert told["offset"] in (10800, 10799) and "rtc" in told["qom-path"], told
    q.close()
    q = Qtest("-rtc", "base=2026-01-01", "-qmp", "unix:@/m,server=on,wait=off")
    qmp = Qmp(q.kaso.connect("m"))
    q.write("l", RTC + 8, q.read("l", RTC) - 86400)
    assert qmp.wait_event("RTC_CHANGE")["data"]["offset"] == -86400
    q.close()


def edu():
    """All that the device's description promises, with its DMA in the test's time."""
    q = Qtest("-device", "edu,addr=3")
    assert q.read("l", q.config(3, 0)) == 0x11e81234
    q.write("l", q.config(3, 0x10), PCI_MEMORY)
    q.write("l", q.config(3, 4), 6)
    assert q.read("l", PCI_MEMORY) == 0x010000ed
    q.write("l", PCI_MEMORY + 4, 0x12345678)
    assert q.read("l", PCI_MEMORY + 4) == 0xedcba987
    q.write("l", PCI_MEMORY + 0x20, 0x80)
    for n, expected in ((0, 1), (5, 120), (13, 6227020800 % 2**32), (40, 0), (0xffffffff, 0)):
        q.write("l", PCI_MEMORY + 8, n)
        assert q.read("l", PCI_MEMORY + 8) == expected, n
    assert q.read("l", PCI_MEMORY + 0x24) == 1
    assert q.read("w", q.config(3, 6)) & 8
    q.write("l", PCI_MEMORY + 0x64, 1)
    assert not q.read("w", q.config(3, 6)) & 8
    q.write("l", PCI_MEMORY + 0x60, 0x42)
    assert q.read("l", PCI_MEMORY + 0x24) == 0x42
    q.write("l", PCI_MEMORY + 0x64, 0x42)
    assert q.read("l", PCI_MEMORY + 0x60) == q.read("l", PCI_MEMORY + 0x1000) == 0xffffffff
    q.write("w", PCI_MEMORY + 4, 0)
    q.write("b", PCI_MEMORY + 4, 0)
    assert q.read("l", PCI_MEMORY + 4) == 0xedcba987 and q.read("b", PCI_MEMORY) in (0, 0xff)
    q.close()
    q = Qtest("-device", "edu,addr=3", machine="pc")
    q.ok("irq_intercept_in ioapic")

    def config(size, register, value=None):
        q.ok("outl 0xcf8 %#x" % (0x80001800 | register))
        return q.ok("in%s 0xcfc" % size) if value is None else q.ok("out%s 0xcfc %#x" % (size, value))

    config("l", 0x10, 0xe0000000)
    config("w", 4, 6)
    capability = int(config("b", 0x34), 0)
    assert int(config("l", capability), 0) & 0xff00ff == 0x800005
    q.write("l", 0xe0000060, 1)
    assert int(config("l", 4), 0) >> 19 & 1
    q.write("l", 0xe0000064, 1)
    for register, value in ((4, RAM >> 8), (8, 0), (12, 0x4321), (0, 0x10000)):  # a message is a write
        config("l", capability + register, value)
    for cause in (2, 2, 0x80):
        q.write("l", RAM >> 8, 0)
        q.write("l", 0xe0000060, cause)
        assert q.read("l", RAM >> 8) == 0x4321 and not int(config("l", 4), 0) >> 19 & 1
    q.close()
    q = Qtest("-device", "edu,addr=3,dma_mask=0xffffffff")
    q.write("l", q.config(3, 0x10), PCI_MEMORY)
    q.write("l", q.config(3, 4), 6)
    q.write("q", RAM, 0x1122334455667788)
    for command, source, destination in ((5, RAM, 0x40010), (7, 0x40010, RAM + 0x100)):
        q.write("q", PCI_MEMORY + 0x80, source)
        q.write("q", PCI_MEMORY + 0x88, destination)
        q.write("q", PCI_MEMORY + 0x90, 8)
        q.write("q", PCI_MEMORY + 0x98, command)
        assert q.read("q", PCI_MEMORY + 0x98) & 1
        q.ok("clock_step 100000000")
        assert not q.read("q", PCI_MEMORY + 0x98) & 1
        assert q.read("l", PCI_MEMORY + 0x24) == 0x100
        q.write("l", PCI_MEMORY + 0x64, 0x100)
    assert q.read("q", RAM + 0x100) == 0x1122334455667788
    # A transfer beyond the buffer does nothing.
    q.write("q", PCI_MEMORY + 0x80, 0xffffffffffffffff)
    q.write("q", PCI_MEMORY + 0x90, 4096)
    q.write("q", PCI_MEMORY + 0x98, 3)
    q.ok("clock_step")
    q.close()


def pci_testdev():
    q = Qtest("-device", "pci-testdev,addr=4,membar=64K,membar-backed=on")
    assert q.read("l", q.config(4, 0)) == 0x00051b36
    q.write("l", q.config(4, 0x10), PCI_MEMORY)
    q.write("l", q.config(4, 0x14), 0x1000)
    q.write("l", q.config(4, 0x18), PCI_MEMORY + 0x100000)
    q.write("l", q.config(4, 0x1c), 0)
    q.write("l", q.config(4, 4), 7)
    for bar, prefix in ((PCI_MEMORY, b"mmio"), (PCI_IO + 0x1000, b"portio")):
        for test, suffix in enumerate((b"no-eventfd", b"wildcard-eventfd", b"datamatch-eventfd")):
            q.write("b", bar, test)
            name = bytes.fromhex(q.ok("read %#x 40" % (bar + 16))[2:]).split(b"\0")[0]
            assert name == prefix + b"-" + suffix, name
            offset, data = q.read("l", bar + 4), q.read("b", bar + 8)
            assert q.read("b", bar + 1) == 1
            for _ in range(3):
                q.write("b", bar + offset, data)
            q.write("b", bar + offset, data ^ 1)
            assert q.read("l", bar + 12) == (3 if test == 2 else 4)
        q.write("b", bar, 3)
        assert q.read("b", bar + 16) == 0
    q.write("q", PCI_MEMORY + 0x100008, 0x123456789)
    assert q.read("q", PCI_MEMORY + 0x100008) == 0x123456789
    q.close()


def smbios():
    """Firmware of virt finds tables with what -smbios says, through fw_cfg."""
    data, selector = 0x9020000, 0x9020008
    q = Qtest("-smbios", "type=11,value=io.systemd.credential:a=b", "-smbios", "type=1,serial=ds=nocloud", "-uuid",
              "00112233-4455-6677-8899-aabbccddeeff", "-smp", "2")

    def item(key, size):
        q.write("w", selector, (key & 0xff) << 8 | key >> 8)
        return bytes(q.read("b", data) for _ in range(size))

    count = int.from_bytes(item(0x19, 4), "big")
    directory = item(0x19, 4 + 64 * count)[4:]
    entries = [directory[i:i + 64] for i in range(0, len(directory), 64)]
    files = {e[8:].rstrip(b"\0"): item(int.from_bytes(e[4:6], "big"), int.from_bytes(e[:4], "big"))
             for e in entries if b"smbios" in e}
    assert files[b"etc/smbios/smbios-anchor"][:5] == b"_SM3_"
    tables = files[b"etc/smbios/smbios-tables"]
    assert b"io.systemd.credential:a=b\0" in tables and b"ds=nocloud\0" in tables and b"QEMU Virtual Machine\0" in tables
    assert bytes.fromhex("33221100554477668899aabbccddeeff") in tables
    assert struct.pack("<II", 0x40000000 >> 10, (0x40000000 + (64 << 20) >> 10) - 1) in tables, "where RAM is"
    q.close()


def beside_a_guest():
    """With another accelerator the clock is the guest's."""
    q = Qtest("-S", accel="tcg,interp=on")
    assert q.ask("clock_step 1").startswith("FAIL ")
    q.write("l", RAM, 1)
    assert q.read("l", RAM) == 1
    q.close()


def moves():
    """Nothing is written unseen: one pass sends it all."""
    q = Qtest("-qmp", "unix:@/qmp,server=on,wait=off")
    qmp = Qmp(q.kaso.connect("qmp"))
    qmp.command("migrate", uri="exec:cat >/dev/null")
    end = time.monotonic() + allow(TIMEOUT)
    while (found := qmp.command("query-migrate"))["status"] != "completed":
        assert time.monotonic() < end, found
        time.sleep(0.02)
    q.close()


def testdev():
    with Kaso("-chardev", "testdev,id=t", "-serial", "chardev:t", "-qtest", "unix:@/s,server=on,wait=off",
              machine="virt") as kaso:
        peer = kaso.connect("s")
        for character in "x 12q":
            peer.sendall(b"writeb %#x %#x\n" % (UART, ord(character)))
        kaso.finish(status=12 << 1 | 1)


def pc_lines():
    """What the I/O APIC is told, by the board as well as by lines that end there: the clock's alarm, on ISA interrupt 8."""
    q = Qtest("-rtc", "clock=vm", machine="pc")
    q.ok("irq_intercept_in /machine/ioapic")
    for index, value in ((0xb, 0x22), (5, 0xff), (3, 0xff), (1, 0xff)):  # an alarm in each second
        q.ok("outb 0x70 %#x" % index)
        q.ok("outb 0x71 %#x" % value)
    q.ok("clock_step 1000000000")
    assert "IRQ raise 8" in q.irqs, q.irqs
    q.ok("outb 0x70 0xc")
    q.ok("inb 0x71")
    assert q.irqs[-1] == "IRQ lower 8", q.irqs
    q.close()


def pc_config():
    """The byte within a register of a PCI function: by the data port, as the specification has it, or left in the address."""
    q = Qtest(machine="pc")
    for address, port, size, expected in ((0x80000900, 0xcfe, "w", 0x7010), (0x80000902, 0xcfc, "w", 0x7010),
                                          (0x80000902, 0xcfe, "w", 0x7010), (0x80000903, 0xcfc, "b", 0x70),
                                          (0x80000902, 0xcfc, "l", 0x70108086)):
        q.ok("outl 0xcf8 %#x" % address)
        got = int(q.ok("in%s %#x" % (size, port)), 0)
        assert got == expected, (hex(address), hex(port), hex(got))
    q.close()


def fw_cfg_file(q, name):
    """A file of fw_cfg, by the ports of a PC."""
    def item(selector, count):
        q.ok("outw 0x510 %#x" % selector)
        return bytes(int(q.ok("inb 0x511"), 0) for _ in range(count))
    count = struct.unpack(">I", item(0x19, 4))[0]
    for size, selector, _, label in struct.iter_unpack(">IHH56s", item(0x19, 4 + 64 * count)[4:]):
        if label.rstrip(b"\0").decode() == name:
            return item(selector, size)
    raise KeyError(name)


def geometry():
    """What the user says the BIOS shall tell of disks; SeaBIOS' format: path, cylinders, heads, sectors."""
    null = "driver=null-co,read-zeroes=on,size=1M,node-name="
    q = Qtest("-blockdev", null + "a", "-blockdev", null + "b", "-blockdev", null + "c",
              "-device", "ide-hd,drive=a,bus=ide.0,unit=1,lcyls=1000,lheads=120,lsecs=30",
              "-device", "virtio-blk-pci,drive=b,addr=7,lcyls=20,lheads=30,lsecs=40", "-device", "ide-hd,drive=c,bus=ide.1", machine="pc")
    lines = fw_cfg_file(q, "bios-geometry").rstrip(b"\0").decode().split("\n")
    assert sorted(lines) == ["/pci@i0cf8/ide@1,1/drive@0/disk@1 1000 120 30", "/pci@i0cf8/scsi@7/disk@0,0 20 30 40"], lines
    q.close()


def geometry_unplugged():
    """A disk that the guest has not let go of is unplugged by a reset, after which nothing is told of it."""
    null = "driver=null-co,read-zeroes=on,size=1M,node-name="
    q = Qtest("-blockdev", null + "a", "-blockdev", null + "b", "-device", "virtio-blk-pci,id=a,drive=a,addr=7,lcyls=20,lheads=30,lsecs=40,bootindex=0",
              "-device", "ide-hd,drive=b,bus=ide.0,unit=1,lcyls=1000,lheads=120,lsecs=30", "-qmp", "unix:@/m,server=on,wait=off", machine="pc")
    assert b"scsi@7" in fw_cfg_file(q, "bios-geometry") and b"scsi@7" in fw_cfg_file(q, "bootorder")
    qmp = Qmp(q.kaso.connect("m"))
    qmp.command("device_del", id="a")
    qmp.command("system_reset")
    qmp.wait_event("DEVICE_DELETED")
    assert fw_cfg_file(q, "bios-geometry").rstrip(b"\0") == b"/pci@i0cf8/ide@1,1/drive@0/disk@1 1000 120 30"
    assert b"scsi@7" not in fw_cfg_file(q, "bootorder")
    q.close()


def resized():
    """A disk that gets another size says so: its configuration changes, and there is an interrupt of its kind."""
    disk = tempfile.NamedTemporaryFile()
    disk.truncate(65536)
    q = Qtest("-blockdev", "driver=file,node-name=r,filename=" + disk.name, "-device",
              "virtio-blk-pci,drive=r,addr=4,disable-modern=on", "-qmp", "unix:@/m,server=on,wait=off")
    q.read("l", RAM)  # it answers once it is up, with its monitor
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(q.kaso.path("m"))
    stream = monitor.makefile("rw")
    stream.readline()

    def ask(command, **arguments):
        stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        stream.flush()
        while True:
            answer = json.loads(stream.readline())
            if "return" in answer or "error" in answer:
                return answer
    ask("qmp_capabilities")
    q.write("l", q.config(4, 0x10), 0x1001)
    q.write("l", q.config(4, 4), 7)
    bar = PCI_IO + 0x1000
    assert q.read("l", bar + 20) == 128
    q.write("b", bar + 18, 7)  # DRIVER_OK
    assert "return" in ask("block_resize", **{"node-name": "r", "size": 131072})
    assert q.read("b", bar + 19) & 2  # ISR: configuration
    assert q.read("l", bar + 20) == 256
    q.close()


if __name__ == "__main__":
    memory()
    clock()
    lines()
    centuries()
    rtc()
    edu()
    pci_testdev()
    smbios()
    beside_a_guest()
    moves()
    testdev()
    pc_lines()
    pc_config()
    geometry()
    geometry_unplugged()
    resized()
