#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-kvm KASO CC START.S PROGRAMS.C STORM.C FAIL-IOCTL.C [CLASS…]: the accelerator "kvm" where /dev/kvm opens, and what is said where it does not.

The programs' output on KVM is that of the translator. A KVM that emulates in software may lack instructions; then it says so, and that
part is left out. KASO_KVM_TEST=strict takes nothing for left out (scripts/kvm-guest sets it)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))

KASO, CC, START, PROGRAMS, STORM, SHIM_SOURCE = sys.argv[1:7]
folder = tempfile.TemporaryDirectory()
STRICT = os.environ.get("KASO_KVM_TEST") == "strict"
INTERNAL_ERROR = 70
DONE = 33  # by isa-debug-exit
PLAIN = ["-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", "-debugcon", "stdio"]


def no_kvm():
    """Why KVM cannot be tested here; "" when it can."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return ""
    except OSError as error:
        return f"/dev/kvm does not open: {error.strerror}"


def path(name, content=None):
    full = os.path.join(folder.name, name)
    if content is not None:
        with open(full, "wb") as file:
            file.write(content)
    return full


def rom(name, code):
    """A ROM of 64 KiB that begins with real-mode code at its start."""
    return path(name, code.ljust(0xfff0, b"\0") + b"\xea\0\0\0\xf0".ljust(16, b"\0"))


def build(source):
    """The ROM of a bare-metal program."""
    elf, image = path("program.elf"), path("program.bin")
    subprocess.run([CC, "-m32", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector", "-nostdlib", "-static", "-mno-sse",
                    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-O1", "-Wl,-N,-Ttext=0xf0000,--build-id=none,-e,start", "-w",
                    "-o", elf, START, source], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["objcopy", "-O", "binary", elf, image], check=True)
    with open(image, "rb") as file:
        return rom("program.rom", file.read())


def run(*options, **environment):
    return subprocess.run([KASO, *PLAIN, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, **environment})


SAYS_K = b"\xb0k\xe6\xe9\xba\x01\x05\xb0\x10\xee\xf4"  # 'k' to port 0xe9; 0x10 to port 0x501; hlt


def shim():
    library = path("fail-ioctl.so")
    if not os.path.exists(library):
        subprocess.run([CC, "-shared", "-fPIC", "-O1", "-o", library, SHIM_SOURCE, "-ldl"], check=True)
    return library


class KvmTest(unittest.TestCase):
    def setUp(self):
        if no_kvm():
            self.skipTest(no_kvm())


class Programs(KvmTest):
    def test_programs(self):
        image = build(PROGRAMS)
        wanted = run("-cpu", "max", "-bios", image)
        self.assertEqual(wanted.returncode, DONE, wanted.stderr)
        self.assertTrue(wanted.stdout.endswith("end\n"), wanted.stdout)
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                got = run("-accel", f"kvm,kernel-irqchip={irqchip}", "-cpu", "max", "-bios", image)
                if got.returncode == INTERNAL_ERROR and not STRICT:
                    self.assertIn("an instruction that KVM does not emulate", got.stderr)
                    self.assertIn("EIP=", got.stderr)
                    self.skipTest("this KVM emulates in software, and lacks an instruction that the programs have")
                self.assertEqual(got.returncode, DONE, got.stderr)
                self.assertEqual(got.stdout, wanted.stdout)

    def test_memory_storm(self):
        """Four CPUs, of which one takes the memory away that the others run from, and puts it back."""
        image = build(STORM)
        for options in ("tcg",), ("kvm",), ("kvm,kernel-irqchip=off",):
            with self.subTest(options):
                got = run("-accel", *options, "-smp", "4", "-cpu", "max", "-bios", image)
                self.assertEqual((got.returncode, got.stdout), (DONE, "others ran, and saw nothing\n"), got.stderr)


class Firmware(KvmTest):
    """Long where KVM emulates real mode in software."""

    def test_virtio(self):
        """SeaBIOS boots from a virtio disk, whose kicks come by descriptor or not."""
        disk = path("disk", bytes.fromhex("b072e6e9ba0105b010eef4").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        for options in "", ",disable-modern=on,disable-legacy=off", ",ioeventfd=off":
            with self.subTest(options):
                got = run("-accel", "kvm", "-drive", f"if=none,id=d,format=raw,file={disk}", "-device", f"virtio-blk-pci,drive=d{options}")
                self.assertEqual((got.returncode, got.stdout), (DONE, "r"), got.stderr)

    def test_firmware(self):
        """SeaBIOS finds what it runs on, boots a sector from a floppy disk, and that resets the machine a few times."""
        # 'r' to port 0xe9; the clock's memory counts; the keyboard controller resets, or port 0x501 ends.
        sector = bytes.fromhex("b072e6e9 b040e670e471fec0e671" + f"3c{RESETS:02x}" + "7405 b0fee664f4 ba0105b010eef4")
        disk = path("floppy", sector.ljust(510, b"\0") + b"\x55\xaa" + bytes(1440 * 1024 - 512))
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                log = path("seabios.log")
                got = run("-accel", f"kvm,kernel-irqchip={irqchip}", "-drive", f"if=floppy,format=raw,file={disk}", "-chardev",
                          f"file,id=log,path={log}", "-device", "isa-debugcon,chardev=log,iobase=0x402")
                self.assertEqual(got.returncode, DONE, got.stderr)
                self.assertEqual(got.stdout.count("r"), RESETS)
                with open(log, encoding="utf-8", errors="replace") as file:
                    text = file.read()
                self.assertIn("Running on KVM", text)


class Faults(KvmTest):
    def test_every_ioctl_fails(self):
        """Whatever fails is said, or does without; nothing hangs."""
        image = rom("k.rom", SAYS_K)
        count = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL="0")
        self.assertEqual((count.returncode, count.stdout), (DONE, "k"), count.stderr)
        calls = int(re.search(r"calls (\d+)", count.stderr)[1])
        self.assertGreater(calls, 20)
        for number in range(1, calls + 1):
            got = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL=f"{number}:12")
            if got.returncode == DONE:
                self.assertEqual(got.stdout, "k")
            else:
                self.assertEqual(got.returncode, 1, got.stderr)
                self.assertRegex(got.stderr, r"KVM_\w+ failed|/dev/kvm' is no KVM|pieces|lacks KVM_CAP_")

    def test_interrupted(self):
        got = run("-accel", "kvm", "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_EINTR="1")
        self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)

    def test_debugger(self):
        """gdb steps, and stops at the processor's breakpoints."""
        gdb = shutil.which("gdb-multiarch") or shutil.which("gdb")
        if not gdb:
            self.skipTest("no gdb")
        # mov al, 1; mov al, 2; mov [0x40], al; mov al, 3; then the end.
        image = rom("steps.rom", bytes.fromhex("b001b002a24000b003") + SAYS_K)
        stub = path("gdb.socket")
        process = subprocess.Popen([KASO, *PLAIN, "-accel", "kvm", "-bios", image, "-chardev", f"socket,id=g,path={stub},server=on,wait=off",
                                    "-gdb", "chardev:g", "-S"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(100):
                if os.path.exists(stub):
                    break
                time.sleep(0.05)
            script = [f"target remote {stub}", "si", "p/x $pc", "hbreak *0xf0004", "continue", "p/x $pc", "p/x $al", "delete"]
            wanted = ["0xf0000", "0xf0004", "0x2"]
            if STRICT:  # where stores are emulated in software, the processor's watchpoints do not see them
                script += ["watch *(char *)0x40", "continue", "p/x $pc", "delete"]
                wanted += ["0xf0007"]
            script.append("continue")
            done = subprocess.run([gdb, "-nx", "-batch", *sum((["-ex", line] for line in script), [])], capture_output=True, text=True, timeout=60,
                                  check=False)
            values = re.findall(r"^\$\d+ = (0x\w+)$", done.stdout, re.MULTILINE)
            self.assertEqual(values, wanted, done.stdout + done.stderr)
            out, errors = process.communicate(timeout=30)
            self.assertEqual((process.returncode, out), (DONE, "k"), errors)
        finally:
            process.kill()
            process.wait()

    def test_absent(self):
        for number, words in (2, "load the module kvm-intel or kvm-amd"), (13, "join its group"):
            got = run("-accel", "kvm:tcg", "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_ABSENT=str(number))
            self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)
            self.assertIn(words, got.stderr)
            self.assertIn("trying the next", got.stderr)


IRQCHIPS = ("on", "split", "off")
RESETS = 10 if STRICT else 3

if __name__ == "__main__":
    if no_kvm():
        print(f"skipped: {no_kvm()}")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[7:], verbosity=2)
