# SPDX-License-Identifier: MIT
"""HMP over a socket and over standard input, on the virt board held at its first instruction."""

import base64
import re
import struct
import subprocess
import tempfile
import time
import zlib

from harness import Hmp, Kaso, Qmp


def trace_events(hmp):
    """Events are turned on and off one by one and by pattern, whatever pattern had turned them on."""
    events = hmp.command("info trace-events pl011*").splitlines()
    assert "pl011 : state 0" in events and "pl011.UARTDR : state 0" in events, events
    assert all(line.endswith(" : state 0") for line in hmp.command("info trace-events").splitlines())
    assert 'unknown event "nix"' in hmp.command("trace-event nix on")
    assert hmp.command("trace-event pl011* on") == ""
    assert all(line.endswith(" : state 1") for line in hmp.command("info trace-events pl011*").splitlines())
    assert hmp.command("trace-event pl011.UARTDR off") == ""
    events = hmp.command("info trace-events pl011*").splitlines()
    assert "pl011.UARTDR : state 0" in events and "pl011.UARTCR : state 1" in events and "pl011 : state 1" in events, events
    assert hmp.command("info trace-events pl061") == "pl061 : state 0\n"
    for name in "ide-cd", "virtio-9p":  # device types, and names besides
        assert hmp.command(f"info trace-events {name}") == f"{name} : state 0\n"
    hmp.command("trace-event * off")
    assert all(line.endswith(" : state 0") for line in hmp.command("info trace-events").splitlines())
    assert hmp.command("info trace") == "No names are traced.\n"


def locked():
    """What is said of a disk that somebody else has is a line, and the advice is another."""
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(1 << 20)
        drive = ("-drive", f"if=none,id=d,format=raw,file={disk.name}", "-device", "virtio-blk-pci,drive=d")
        with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", *drive, machine="virt") as kaso:
            hmp = Hmp(kaso.connect("hmp"))
            with Kaso(*drive, machine="virt") as second:
                lines = second.finish(1)[1].splitlines()
                assert len(lines) > 1 and lines[0].endswith('Failed to get "write" lock'), lines
                assert lines[1].startswith("Is another process using the image ["), lines
            hmp.peer.sendall(b"q\n")
            kaso.finish()


def commands():
    with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", machine="virt") as kaso:
        hmp = Hmp(kaso.connect("hmp"))
        assert hmp.command("info status") == "VM status: paused (prelaunch)\n"
        assert re.fullmatch(r"\* CPU #0: thread_id=\d+ model=cortex-a\d+\n", hmp.command("info cpus"))
        assert hmp.command("gva2gpa 0") == "gpa: 0x0\n"
        assert "CPU#0" in hmp.command("info registers")
        assert "mach-virt.ram" in hmp.command("info mtree")
        assert "mach-virt.ram" in hmp.command("info mtree -f")
        assert "dev: pl011" in hmp.command("info qtree")
        assert "(pl011)" in hmp.command("info qom-tree")
        assert "UARTCR" in hmp.command("info device uart0")
        assert "TXE|RXE" in hmp.command("info device pl011"), "fields of a register, by the device's type"
        assert "are several" in hmp.command("info device virtio-mmio")
        assert "SCTLR_EL1 = " in hmp.command("info registers")
        assert "physical 0x40000000" in hmp.command("info pagetable 0x40000000")
        assert "synchronous, from EL1 with SP_EL0" in hmp.command("info vectors")
        assert "info vectors" in hmp.command("info idt"), "what there is instead"
        assert "level 0" in hmp.command("info irq")
        chain = hmp.command("info irq 33")
        assert "x /machine/uart0: its output 0 is not asserted" in chain and "x gicv2: the interrupt is not enabled" in chain, chain
        assert "cpu0: PSTATE.I is 1" in chain, chain
        assert "no interrupt controller" in hmp.command("info irq 4000")
        assert "INTID    0" in hmp.command("info gic")
        assert "1b36:0008" in hmp.command("info pci")
        assert "flash" in hmp.command("info roms")
        assert hmp.command("p 1+2*3") == "0x7\n"
        assert hmp.command("p/d $pc-$pc") == "0\n"
        lines = hmp.command("xp/5xw 0x40000000").splitlines()
        assert len(lines) == 2 and lines[0].startswith("0000000040000000: 0x")
        assert len(hmp.command("xp/20xb 0x40000000").splitlines()[0].split()) == 17
        assert hmp.command("xp/3dh 0x40000000").startswith("0000000040000000:")
        assert len(hmp.command("x/4i $pc").splitlines()) == 4
        assert "Cannot access memory" in hmp.command("xp 0xfffffffffffffffe")
        assert "Error" in hmp.command("cpu 7")
        assert "Error" in hmp.command("xp/q 0")
        for name in ("info tpm", "migrate_start_postcopy", "mce 1 2 3"):
            assert "not built yet" in hmp.command(name), name
        assert hmp.command("info virtio") == "No VirtIO devices\n"
        assert "no virtio device" in hmp.command("info virtio-status nix")
        assert hmp.command('dumpdtb "%s"' % kaso.path("dtb")) == ""
        with open(kaso.path("dtb"), "rb") as file:
            magic, size = struct.unpack(">II", file.read(8))
            assert magic == 0xd00dfeed and size == file.seek(0, 2), (magic, size)
        assert "Error: cannot write" in hmp.command("dumpdtb /nonexistent/x")
        trace_events(hmp)
        assert re.search(r"mach-virt.ram +4 KiB  0x[0-9a-f]{16} 0x", hmp.command("info ramblock"))
        assert hmp.command("info accel") == hmp.command("info jit")
        assert "not found" in hmp.command("info firmware-log")
        assert hmp.command("info vcpu_dirty_limit") == "Dirty page limit not enabled!\n"
        assert "dirty-ring-size" in hmp.command("set_vcpu_dirty_limit 10") and hmp.command("cancel_vcpu_dirty_limit") == ""
        history = hmp.command("info history").splitlines()
        assert history[0] == "0: 'info status'" and history[-1].endswith(": 'info history'"), history
        assert hmp.command("info memory-devices") == ""
        assert re.search(r"\(mach-virt.ram\) is 0x[0-9a-f]+|root", hmp.command("gpa2hpa 0x40000000"))
        assert "no RAM" in hmp.command("gpa2hpa 0x9000000")
        assert hmp.command("one-insn-per-tb on") == hmp.command("one-insn-per-tb off") == hmp.command("one-insn-per-tb") == ""
        assert "Error" in hmp.command("one-insn-per-tb maybe")
        assert hmp.command("info replay") == "Record/replay is not active\n"
        assert "Status: unstarted\n" in hmp.command("info dirty_rate")
        assert hmp.command("calc_dirty_rate 1") == ""
        assert "already" in hmp.command("calc_dirty_rate 1") and "Dirty rate: (not ready)\n" in hmp.command("info dirty_rate")
        assert "did you mean 'info mtree'" in hmp.command("info mtre")
        path = kaso.path("dump")
        assert hmp.command('pmemsave 0x40000000 0x20000 "%s"' % path) == ""
        with open(path, "rb") as file:
            assert len(file.read()) == 0x20000
        assert "Error" in hmp.command("pmemsave 0x40000000 16 /nonexistent/x")
        hmp.command("log guest_errors,unimp")
        assert "Error" in hmp.command("log bogus")
        hmp.command("log none")
        hmp.command("system_reset")
        hmp.command("help")
        hmp.peer.sendall(b"q\n")
        kaso.finish()


def picture(path):
    """Width, height and the rows of RGB of a PNG or PPM."""
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"P6"):
        width, height = map(int, data.split(b"\n")[1].split())
        return width, height, data[-3 * width * height:]
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        assert zlib.crc32(data[at + 4:at + 8 + size]) == struct.unpack(
            ">I", data[at + 8 + size:at + 12 + size])[0]
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    rows = zlib.decompress(packed)
    step = 1 + 3 * width
    return width, height, b"".join(rows[i * step + 1:(i + 1) * step] for i in range(height))


def firmware_log():
    """The ring of messages that EDK2 keeps in memory, from its oldest byte on."""
    head = b"ovmfmdg1ovmfmdg2" + struct.pack("<6Q", 192, 64, 0, 60, 8, 1) + b"edk2-test".ljust(128, b"\0")
    ring = b"are\nbye\n" + bytes(52) + b"we h"
    with tempfile.NamedTemporaryFile() as file:
        file.write(head + ring)
        file.flush()
        with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", "-qmp", "unix:@/qmp,server=on,wait=off",
                  "-device", "loader,file=%s,addr=0x43210000,force-raw=on" % file.name, machine="virt") as kaso:
            hmp, qmp = Hmp(kaso.connect("hmp")), Qmp(kaso.connect("qmp"))
            assert hmp.command("info firmware-log") == "[ firmware version: edk2-test ]\nwe hare\nbye\n", hmp.command("info firmware-log")
            answer = qmp.command("query-firmware-log", max_size=4)
            assert answer == {"version": "edk2-test", "log": base64.b64encode(b"bye\n").decode()}, answer
            assert "max-size" in qmp.failure("query-firmware-log", max_size=0)["desc"]
            qmp.command("quit")
            kaso.finish()


def screen():
    """Pictures and text of a screen that no guest has set up, and of a machine without one."""
    with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", "-device", "VGA,id=card,romfile=",
              machine="virt") as kaso:
        hmp = Hmp(kaso.connect("hmp"))
        png, ppm = kaso.path("a.png"), kaso.path("b.ppm")
        assert hmp.command("screendump %s -f png" % png) == ""
        assert hmp.command("screendump -f ppm %s card 0" % ppm) == ""
        assert picture(png) == picture(ppm) == (640, 480, bytes(3 * 640 * 480))
        assert "Error" in hmp.command("screendump %s card 1" % ppm)
        assert "Error" in hmp.command("screendump %s nobody" % ppm)
        assert "Error" in hmp.command("screendump %s -f gif" % ppm)
        assert "needs a value" in hmp.command("screendump %s -f" % ppm)
        assert "Error" in hmp.command("screendump /nonexistent/a.ppm")
        assert "no text" in hmp.command("info text")
        hmp.peer.sendall(b"q\n")
        kaso.finish()
    with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", machine="virt") as kaso:
        hmp = Hmp(kaso.connect("hmp"))
        assert "no display" in hmp.command("info text")
        assert "no display" in hmp.command("screendump /dev/null")
        hmp.peer.sendall(b"q\n")
        kaso.finish()


def drives():
    """Drives that come for a device_add and go after it, and after a job that reads one."""
    with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", machine="pc") as kaso:
        hmp = Hmp(kaso.connect("hmp"))
        image = kaso.path("image")
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        add = "drive_add 0 if=none,format=raw,file=%s,id=" % image
        assert hmp.command(add + "x") == "OK\n"
        assert "already a drive" in hmp.command(add + "x")
        assert "use if=none" in hmp.command(add.replace("none", "ide") + "y")
        assert "id=NAME" in hmp.command(add + "7")
        assert "image" in hmp.command("info block")
        assert hmp.command("device_add virtio-blk-pci,drive=x,id=d") == ""
        assert hmp.command("drive_del x") == ""
        assert "d: [not inserted]" in hmp.command("info block")
        assert hmp.command(add.replace("format", "read-only=on,force-share=on,format") + "y") == "OK\n"
        assert hmp.command("drive_backup -f y %s raw" % kaso.path("copy")) == ""
        while "No active jobs" not in hmp.command("info block-jobs"):
            time.sleep(0.01)
        assert hmp.command("drive_del y") == ""
        assert "not found" in hmp.command("drive_del y")
        hmp.peer.sendall(b"q\n")
        kaso.finish()


def scripted():
    """Commands by standard input; its end neither kills the machine nor makes it spin."""
    with Kaso("-monitor", "stdio", "-qmp", "unix:@/q,server=on,wait=off",
              stdin=subprocess.PIPE) as kaso:
        kaso.process.stdin.write(b"info status\ninfo name\n")
        kaso.process.stdin.close()
        kaso.process.stdin = None
        kaso.connect("q").close()
        before = cpu_ticks(kaso)
        peer = kaso.connect("q")
        subprocess.run(["sleep", "0.5"], check=True)
        assert cpu_ticks(kaso) - before < 20
        peer.recv(1000)
        peer.sendall(b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
        out, _ = kaso.finish()
        assert "VM status" in out and "\033" not in out


def cpu_ticks(kaso):
    with open("/proc/%d/stat" % kaso.process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


commands()
locked()
firmware_log()
screen()
drives()
scripted()
