#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-bios-calls KASO CC SOURCE.S SOURCE.c: a 16-bit program calls SeaBIOS and its VGA BIOS; we type and move the mouse.

What is expected here are the answers of QEMU 11.1 with the same program and SeaBIOS.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile
import time

from qmp import Monitor
from patience import allow

kaso, cc, *sources = sys.argv[1:]
TIMEOUT = 60
SECTORS = 32768
FLOPPY_SECTORS = 2880
TEXT_MODES = {0: 0x2800, 1: 0x2801, 2: 0x5002, 3: 0x5003, 7: 0x5007}
GRAPHICS_MODES = (4, 6, 0xd, 0xe, 0x10, 0x11, 0x12, 0x13)
NUMBER = "[0-9a-f]+"


def expected():
    """The program's lines as regular expressions."""
    lines = ["low 27f", f"equipment {NUMBER}", f"extended fb{NUMBER}", f"e801 fb{NUMBER}", f"e820 f[de]{NUMBER}", "apm 504d", "model fc"]
    for mode, now in TEXT_MODES.items():
        lines += [f"mode {mode}", f" now {now:x}", " cursor 102", " cell 763", " memory 61", " cell 1e5a", " cell 1e5a"]
    lines += ["lines 31", "display 8"]
    for mode in GRAPHICS_MODES:
        colours = (1, 0, 1) if mode == 6 else (1, 2, 3)
        lines += [f"mode {mode:x}"] + [f" pixel {c}" for c in colours] + [" pixel 0"]
    lines += ["vbe 4f", " version 300", " memory 100", " width 280", " bits 8", " set 4f", " mode 101"]
    lines += [f" bank 4{bank}" for bank in range(4)]
    lines += ["drive 80", " geometry 1e3f0f01", " extensions aa550007"]
    lines += [" read 8", f" first {1009:x}", f" last {1016:x}", " extended 0", f" first {2000:x}", f" last {2007:x}"]
    lines += [" written 0", " back 150e0700", " beyond 1"]
    lines += ["floppy 44f12", " read 4", " first f00c8", " last f00cb", " written 1", " read 1", " first f0077", " last f00c8"]
    lines += ["a20 0", "a20 1", "moved 0", "moved 0", "moved up and dow"]
    lines += ["ticks 1", "date 20[0-9]{6}", f"time {NUMBER}", "alarm 0", " rang 1", "waited 1"]
    lines += ["stored 1234", "keys 1234", " key 1e61", " shift 0", " key 3042", " shift 2", " key 3b00", " shift 0"]
    lines += [" key 2d00", " shift 8", "mouse 0", "enabled 0"]
    lines += [" status 28", " x 5", " y fd", " status 9", " x 0", " y 0", " status 8", " x 0", " y 0", "done"]
    return lines


def build(folder):
    """The disk with the program at its start; every sector else is full of its number."""
    program, flat = os.path.join(folder, "program"), os.path.join(folder, "flat")
    flags = "-m16 -march=i386 -Os -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -mno-sse -nostdlib -static"
    link = "-Wl,-N,-e,_start,--section-start=.boot=0x7c00,-Ttext=0x7e00,--build-id=none,--no-warn-rwx-segments"
    subprocess.run([cc, *flags.split(), link, "-o", program, *sources], check=True)
    subprocess.run(["objcopy", "-O", "binary", program, flat], check=True)
    with open(flat, "rb") as file:
        code = file.read()
    assert len(code) <= 64 * 512, "the boot sector loads 63 sectors"
    content = b"".join(struct.pack("<I", n) * 128 for n in range(SECTORS))
    with open(os.path.join(folder, "disk"), "wb") as file:
        file.write(code + content[len(code):])
    with open(os.path.join(folder, "floppy"), "wb") as file:
        file.write(b"".join(struct.pack("<I", 0xf0000 + n) * 128 for n in range(FLOPPY_SECTORS)))


class Run:
    """The machine, its log and its monitor."""

    def __init__(self, folder):
        self.log = os.path.join(folder, "log")
        socket = os.path.join(folder, "qmp")
        argv = [kaso, "-M", "pc", "-m", "64", "-display", "none", "-serial", "none", "-nic", "none", "-boot", "c"]
        argv += ["-qmp", f"unix:{socket},server=on,wait=off", "-chardev", f"file,id=log,path={self.log}"]
        argv += ["-device", "isa-debugcon,chardev=log", "-device", "isa-debug-exit"]
        argv += ["-drive", f"file={folder}/disk,format=raw,if=ide", "-drive", f"file={folder}/floppy,format=raw,if=floppy"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        self.monitor = Monitor(socket)

    def text(self):
        with open(self.log, encoding="latin-1") as file:
            return file.read()

    def wait(self, pattern):
        end = time.monotonic() + allow(TIMEOUT)
        while not re.search(pattern, self.text()):
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"no /{pattern}/ in {self.text()}")
            time.sleep(0.02)

    def hmp(self, line):
        self.monitor.run("human-monitor-command", **{"command-line": line})

    def play(self):
        """Each action, and what the program says to it."""
        self.wait("\nkeys ")
        for number, key in enumerate(("a", "shift-b", "f1", "alt-x"), 1):
            self.hmp("sendkey " + key)
            self.wait(rf"(?s)(\n key .*){{{number}}}")
        self.wait("\nenabled ")
        for number, action in enumerate(("mouse_move 5 3", "mouse_button 1", "mouse_button 0"), 1):
            self.hmp(action)
            if number < 3:
                self.wait(rf"(?s)enabled.*(\n y .*){{{number}}}")
        return self.process.wait(allow(TIMEOUT))


with tempfile.TemporaryDirectory() as directory:
    build(directory)
    run = Run(directory)
    try:
        status = run.play()
    finally:
        run.process.kill()
    answers = run.text().splitlines()
    assert status == 0x21, (status, answers)
    for wanted, got in zip(expected(), answers, strict=True):
        assert re.fullmatch(wanted, got), f"'{got}' where '{wanted}' was expected, in {answers}"
