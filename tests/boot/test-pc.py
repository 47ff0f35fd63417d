#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc KASO CC SOURCE: SeaBIOS on the PC boards, and kernels of three formats with it."""

import os
import struct
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import kernels
from patience import allow

kaso, cc, source = sys.argv[1:]
TIMEOUT = 120

if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
    print("SKIP: the package seabios is not installed")
    sys.exit(77)

folder = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(folder.name, name)


def firmware(machine, *arguments, until="No bootable device."):
    """SeaBIOS's log up to a line; it ends there."""
    log = path("log")
    open(log, "w", encoding="utf-8").close()
    run = subprocess.Popen([kaso, "-M", machine, "-display", "none", "-serial", "none", "-monitor", "none", "-chardev",
                            "file,id=log,path=" + log, "-device", "isa-debugcon,iobase=0x402,chardev=log", *arguments],
                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + allow(TIMEOUT)
    text = ""
    while until not in text and time.monotonic() < end and run.poll() is None:
        time.sleep(0.05)
        with open(log, encoding="latin-1") as lines:
            text = lines.read()
    run.terminate()
    error = run.communicate()[1].decode()
    assert until in text, (machine, arguments, text[-2000:], error)
    return text


def kernel(kind, machine, offset=0):
    image, initrd = kernels.build(cc, source, kind, folder.name, offset), path("ini,trd")
    with open(initrd, "w", encoding="ascii") as file:
        file.write("content")
    run = subprocess.run([kaso, "-M", machine, "-m", "64", "-display", "none", "-serial", "none", "-monitor", "none",
                          *kernels.DEVICES, "-kernel", image, "-initrd", initrd.replace(",", ",,") if kind == "MULTIBOOT" else initrd, "-append", "some words"],
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=allow(TIMEOUT))
    line = image + " some words" if kind == "MULTIBOOT" else "some words"
    assert run.returncode == kernels.STATUS and run.stdout.decode() == line + "|content|.", (kind, machine, run)


def contradiction():
    """A multiboot header whose bss ends within what is loaded."""
    with open(path("contradiction"), "wb") as file:
        file.write(struct.pack("<8I", 0x1badb002, 0x10000, -0x1badb002 - 0x10000 & 0xffffffff, 0x100000, 0x100000, 0x100020, 0x10001f,
                               0x100000))
    run = subprocess.run([kaso, "-M", "pc", "-display", "none", "-kernel", path("contradiction")], stdin=subprocess.DEVNULL,
                         capture_output=True, timeout=allow(TIMEOUT))
    assert run.returncode == 1 and b"bss_end_addr (0x10001f) is before the end of what is loaded (0x100020)" in run.stderr, run


contradiction()
text = firmware("pc", "-smp", "2", "-m", "128")
assert text.startswith("SeaBIOS (version"), text[:100]
for words in ("Found QEMU fw_cfg", "DMA interface supported", "[RAM]", "elcr=00 0c",
              "Found 2 cpu(s) max supported 2 cpu(s)", "0000000000000000 - 000000000009fc00 = 1 RAM"):
    assert words in text, (words, text)
text = firmware("pc-i440fx-2.3", "-nodefaults", "-boot", "strict=on", "-m", "5G")
assert "DMA interface" not in text and "[RAM]" in text and "100000000 - 0000000180000000 = 1 RAM" in text, text
assert "Found 0 lpt ports" in text and "Found 0 serial ports" in text, text
# Drives without an index take the first places that are free.
text = firmware("pc", "-drive", "driver=null-co,if=ide,index=2,media=cdrom,size=1M", "-drive", "driver=null-co,if=ide,size=1M",
                "-drive", "driver=null-co,if=ide,size=2M")
for words in ("ata0-0: QEMU HARDDISK ATA-7 Hard-Disk (1 MiBytes)", "ata0-1: QEMU HARDDISK", "DVD/CD [ata1-0: QEMU DVD-ROM"):
    assert words in text, (words, text)
text = firmware("isapc", "-serial", "null")
assert "Found 1 serial ports" in text, text
for kind in ("LINUX", "MULTIBOOT", "PVH"):
    for machine in ("pc", "pc-i440fx-2.3"):
        print(kind, machine, flush=True)
        kernel(kind, machine)
# The entry of a kernel that is linked for the upper half is where that is in memory.
kernel("MULTIBOOT", "pc", 0xc0000000)
