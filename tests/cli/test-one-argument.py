# SPDX-License-Identifier: MIT
"""`kaso FILE`: what is made of disks, discs, kernels, programs and firmware."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

BUILD = os.path.abspath(sys.argv[1])
ENV = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
GUIDS = {"efi": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "bios": "21686148-6449-6e6f-744e-656564454649",
         "linux": "0fc63daf-8483-4772-8e79-3d69d8477de4"}


def guid(text):
    a, b, c, d, e = text.split("-")
    return struct.pack("<IHH", int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


def fat(programs, kib=2880):
    """A FAT file system with EFI/BOOT, by mtools."""
    with tempfile.NamedTemporaryFile() as image:
        image.truncate(kib << 10)
        run = lambda *words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: E731
        run("mkfs.vfat", *(["-F", "32"] if kib > 40000 else []), image.name)
        run("mmd", "-i", image.name, "::/EFI", "::/EFI/BOOT")
        for program in programs:
            run("mcopy", "-i", image.name, __file__, "::/EFI/BOOT/" + program)
        with open(image.name, "rb") as file:
            return file.read()


def gpt(partitions, code=b""):
    """A disk of these: pairs of kind and content."""
    entries, data, at = b"", b"", 2048
    for kind, content in partitions:
        sectors = (len(content) + 511) // 512
        entries += guid(GUIDS[kind]) + os.urandom(16) + struct.pack("<QQQ", at, at + sectors - 1, 0) + bytes(72)
        data += content.ljust(sectors * 512, b"\0")
        at += sectors
    entries = entries.ljust(128 * 128, b"\0")
    head = b"EFI PART" + struct.pack("<IIIIQQQQ16sQIII", 0x10000, 92, 0, 0, 1, at + 33, 34, at, b"", 2, 128, 128,
                                     zlib.crc32(entries))
    mbr = code.ljust(446, b"\0") + struct.pack("<B3sB3sII", 0, b"", 0xee, b"", 1, at) + bytes(48) + b"\x55\xaa"
    return (mbr + head.ljust(512, b"\0") + entries).ljust(2048 * 512, b"\0") + data + bytes(33 * 512)


def mbr(kind=0x83, code=b"\xfa\x33\xc0\x8e\xd0boot"):
    return code.ljust(446, b"\0") + struct.pack("<B3sB3sII", 0x80, b"", kind, b"", 1, 2047) + bytes(48) + b"\x55\xaa" + \
        bytes(2047 * 512)


def pe(machine):
    return b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(100)


class OneArgument(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, content, name="file"):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def command(self, *arguments, program="kaso"):
        result = subprocess.run([os.path.join(BUILD, program), "-print-command", *arguments], env=ENV, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=allow(60))
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def check(self, content, *wanted, given=(), name="file"):
        path = self.file(content, name)
        line = self.command(*given, path)
        for pattern in wanted:
            self.assertRegex(line, pattern.replace("FILE", re.escape(path)))
        return line

    def test_bios_disk(self):
        line = self.check(mbr(), "^kaso-system-x86_64 -machine pc (-accel kvm:tcg -cpu max )?-m [0-9]+ -smp [0-9]+",
                          "-drive file=FILE,format=raw,if=virtio", r"-nic user,hostfwd=tcp:127.0.0.1:22[0-9]+-:22",
                          r"-vnc 127.0.0.1:0,to=99 -serial mon:stdio")
        self.assertNotIn("-bios", line)
        self.check(mbr(7), "file=FILE,format=raw,if=ide")

    def test_efi_disks(self):
        if not shutil.which("mmd") or not shutil.which("mkfs.vfat"):
            self.skipTest("no mtools or dosfstools")
        for programs, kib, wanted in ((["BOOTX64.EFI"], 2880, "^kaso-system-x86_64 .*-bios /usr/share/ovmf/OVMF.fd"),
                                      (["BOOTAA64.EFI", "x.efi"], 34000, "^kaso-system-aarch64 -machine virt .*-bios QEMU_EFI.fd"),
                                      (["BOOTAA64.EFI", "BOOTX64.EFI"], 70000, "^kaso-system-x86_64"),
                                      (["BOOTARM.EFI"], 2880, "^kaso-system-arm "),
                                      (["BOOTIA32.EFI"], 2880, "^kaso-system-i386 ")):
            content = gpt([("linux", bytes(4096)), ("efi", fat(programs, kib))])
            self.check(content, wanted, "-drive file=FILE,format=raw,if=virtio")
        both = self.check(gpt([("bios", b"x"), ("efi", fat(["BOOTX64.EFI"])), ("linux", b"x")], b"\xeb\x63\x90grub"), "^kaso-system-x86_64")
        self.assertNotIn("-bios", both)
        arm = self.check(gpt([("efi", fat(["BOOTAA64.EFI"]))]), "virtio-gpu-pci", "virtio-tablet-pci")
        self.assertIn("-machine virt", arm)

    def test_formats(self):
        raw, packed = self.file(mbr()), os.path.join(self.folder.name, "a,b.qcow2")
        subprocess.run([os.path.join(BUILD, "block", "kaso-img"), "convert", "-O", "qcow2", raw, packed], check=True)
        line = self.command(packed)
        self.assertIn("a,,b.qcow2,format=qcow2", line)

    def test_disc(self):
        if not shutil.which("xorriso"):
            self.skipTest("no xorriso")
        tree = os.path.join(self.folder.name, "tree")
        os.mkdir(tree)
        with open(os.path.join(tree, "efi.img"), "wb") as image:
            image.write(fat(["BOOTAA64.EFI"]))
        path = os.path.join(self.folder.name, "cd.iso")
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-e", "efi.img", "-no-emul-boot", tree],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertRegex(self.command(path), "aarch64 .*-bios QEMU_EFI.fd -drive file=.*cd.iso,media=cdrom")
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-b", "efi.img", "-no-emul-boot", tree],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertRegex(self.command(path), "^kaso-system-x86_64 -machine pc .*media=cdrom,format=raw -boot d")

    def test_code(self):
        self.check(bytes(0x38) + b"ARM\x64" + bytes(1000), "^kaso-system-aarch64 -machine virt .*-kernel FILE "
                   "-append console=ttyAMA0", "-nographic")
        bzimage = bytearray(1024)
        bzimage[0x202:0x206], bzimage[0x236] = b"HdrS", 1
        self.check(bytes(bzimage), "^kaso-system-x86_64 .*-kernel FILE -append console=ttyS0")
        self.check(pe(0xaa64), "^kaso-system-aarch64 .*-bios QEMU_EFI.fd -kernel FILE")
        self.check(pe(0x8664), "^kaso-system-x86_64 .*OVMF.fd -kernel FILE")
        self.check(struct.pack("<I", 0x1400000a) + bytes(100) + b"U-Boot 2023.01", "^kaso-system-aarch64 .*-bios FILE")

    def test_overrides(self):
        line = self.check(mbr(), "-m 96 .*-nic none -display none ", given=("-m", "96", "-nic", "none", "-display", "none"))
        self.assertEqual(line.count(" -m "), 1)
        self.assertNotIn("hostfwd", line)
        self.assertNotIn("-vnc", line)
        self.assertNotIn("usb-tablet", line)

    def test_accelerator(self):
        """KVM where there is one with a processor behind it, and the guest is of the host's kind."""
        with open("/proc/cpuinfo") as file:
            able = re.search(r"^flags\s*:.* (svm|vmx)\b", file.read(), re.M)
        kvm = os.access("/dev/kvm", os.R_OK | os.W_OK) and able
        disk, arm = self.file(mbr()), self.file(bytes(0x38) + b"ARM\x64" + bytes(1000), "Image")
        self.assertEqual("-accel kvm:tcg -cpu max" in self.command(disk), bool(kvm))
        self.assertNotIn("-accel", self.command(arm))
        self.assertEqual(self.command("-accel", "tcg", disk).count("-accel"), 1)
        self.assertNotIn("-cpu", self.command("-accel", "tcg", disk))
        for path, wanted in ((disk, "; with KVM" if kvm else "; translated: /dev/kvm"), (arm, "; translated: its processor")):
            result = subprocess.run([os.path.join(BUILD, "kaso"), path, "-S", "-display", "none", "-monitor", "stdio", "-m", "64"],
                                    env=ENV, text=True, input="quit\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=allow(60))
            self.assertIn(wanted, result.stderr.split("\n")[0])

    def test_errors(self):
        for content, message in ((b"#!/bin/sh\necho\n", "is no disk, CD, kernel"), (b"", "is no disk, CD, kernel")):
            result = subprocess.run([os.path.join(BUILD, "kaso"), self.file(content)], env=ENV, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 1)
            self.assertIn(message, result.stderr)
        for arguments, message in ((["/nonexistent"], "No such file"), (["/bin/sh"], "is a program for"),
                                   ([self.folder.name], "is a folder"), ([self.file(mbr()), "other"], "one file can be run")):
            result = subprocess.run([os.path.join(BUILD, "kaso"), *arguments], env=ENV, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            self.assertEqual(result.returncode, 1)
            self.assertIn(message, result.stderr)

    def test_runs(self):
        """The command line that is printed is one that runs, and two lines say what was chosen."""
        process = subprocess.Popen([os.path.join(BUILD, "kaso"), self.file(mbr()), "-S", "-accel", "tcg,interp=on",
                                    "-display", "none", "-monitor", "stdio", "-m", "64"], env=ENV, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate("info block\nquit\n", timeout=allow(60))
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("virtio0", out)
        self.assertRegex(err, "is a disk that boots by BIOS\nkaso: kaso-system-x86_64 -S ")

    def test_hostile(self):
        """Broken tables are no more than that."""
        import random
        rnd = random.Random(3)
        base = gpt([("efi", fat(["BOOTX64.EFI"]))]) if shutil.which("mmd") else mbr()
        for _ in range(12):
            content = bytearray(base)
            for _ in range(40):
                content[rnd.choice((rnd.randrange(2048), rnd.randrange(2048 * 512, 2048 * 512 + 4096)))] = rnd.randrange(256)
            subprocess.run([os.path.join(BUILD, "kaso"), "-print-command", self.file(bytes(content))], env=ENV,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=allow(30))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
