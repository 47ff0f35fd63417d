#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc KASO CC SOURCE: SeaBIOS on the PC boards, and kernels of three formats with it."""

import os
import subprocess
import sys
import tempfile
import time

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
    end = time.monotonic() + TIMEOUT
    text = ""
    while until not in text and time.monotonic() < end and run.poll() is None:
        time.sleep(0.05)
        with open(log, encoding="latin-1") as lines:
            text = lines.read()
    run.terminate()
    error = run.communicate()[1].decode()
    assert until in text, (machine, arguments, text[-2000:], error)
    return text


def build(kind):
    """The kernel of a format."""
    program, flat = path(kind), path(kind + ".bin")
    place = "-Wl,-Ttext=0" if kind == "LINUX" else "-Wl,-Ttext-segment=0x100000"
    subprocess.run([cc, "-m32", "-D" + kind, "-nostdlib", "-static", "-no-pie", "-Wl,-N,--no-warn-rwx-segments,--build-id=none",
                    place, "-o", program, source], check=True)
    if kind != "LINUX":
        return program
    subprocess.run(["objcopy", "-O", "binary", program, flat], check=True)
    return flat


def kernel(kind, machine):
    image, initrd = build(kind), path("initrd")
    with open(initrd, "w", encoding="ascii") as file:
        file.write("content")
    run = subprocess.run([kaso, "-M", machine, "-m", "64", "-display", "none", "-serial", "none", "-monitor", "none", "-chardev",
                          "stdio,id=out", "-device", "isa-debugcon,chardev=out", "-device", "isa-debug-exit", "-kernel", image,
                          "-initrd", initrd, "-append", "some words"],
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    line = image + " some words" if kind == "MULTIBOOT" else "some words"
    assert run.returncode == 0x21 and run.stdout.decode() == line + "|content|.", (kind, machine, run)


text = firmware("pc", "-smp", "2", "-m", "128")
assert text.startswith("SeaBIOS (version"), text[:100]
for words in ("Found QEMU fw_cfg", "DMA interface supported", "[RAM]", "elcr=00 0c",
              "Found 2 cpu(s) max supported 2 cpu(s)", "0000000000000000 - 000000000009fc00 = 1 RAM"):
    assert words in text, (words, text)
text = firmware("pc-i440fx-2.3", "-nodefaults", "-boot", "strict=on", "-m", "5G")
assert "DMA interface" not in text and "[RAM]" in text and "100000000 - 0000000180000000 = 1 RAM" in text, text
assert "Found 0 lpt ports" in text and "Found 0 serial ports" in text, text
text = firmware("isapc", "-serial", "null")
assert "Found 1 serial ports" in text, text
for kind in ("LINUX", "MULTIBOOT", "PVH"):
    for machine in ("pc", "pc-i440fx-2.3"):
        print(kind, machine, flush=True)
        kernel(kind, machine)
