#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-loaders KASO CC SOURCE.S KIND: boot loaders from Debian's packages start the small kernels of pc-kernels.S on the PC.

order: no loader, but which disk SeaBIOS starts, by bootindex=, -boot and its menu.
grub: a CD; menu in VBE graphics, which we look at and drive by keys; multiboot, and Linux entered in real mode.
isolinux: a CD; vesamenu.c32, Linux, and memdisk with a floppy's image. ipxe: its kernel gets an address by DHCP, and a
script and a kernel by TFTP. memtest and memtest-ia32: a pass of memtest86+ over 32 MiB,
on two processors, by its builds for 64 and 32 bits.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import kernels
from qmp import Monitor
from patience import allow

kaso, cc, source, kind = sys.argv[1:]
TIMEOUT = 240
MODULES = "/usr/lib/syslinux/modules/bios/"

folder = tempfile.TemporaryDirectory()


def path(*names):
    return os.path.join(folder.name, *names)


def need(*files):
    for file in files:
        if not (os.path.exists(file) or shutil.which(file)):
            print("SKIP: no", file)
            sys.exit(77)


def write(name, content):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path(name)


class Machine:
    """A PC with kernels' devices and a monitor."""

    def __init__(self, *arguments):
        socket = path("qmp")
        if os.path.exists(socket):
            os.unlink(socket)
        # The guest may be done before a monitor is there.
        argv = [kaso, "-M", "pc", "-m", "64", "-display", "none", "-serial", "none", "-S", "-qmp", f"unix:{socket},server=on,wait=off",
                *kernels.DEVICES, *arguments]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.monitor = Monitor(socket)
        self.monitor.run("cont")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def hmp(self, line):
        return self.monitor.run("human-monitor-command", **{"command-line": line})

    def until(self, condition, what, limit=TIMEOUT):
        end = time.monotonic() + allow(limit)
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, (what, self.hmp("info text"))
            time.sleep(0.1)

    def keys(self, *names):
        for name in names:
            self.hmp("sendkey " + name)
            time.sleep(0.2)

    def shows(self, width, height, colours_wanted):
        """Whether the screen has this size, and at least so many colours."""
        self.hmp("screendump " + path("screen.ppm"))
        with open(path("screen.ppm"), "rb") as file:
            header = [file.readline().split() for _ in range(3)]
            pixels = file.read()
        colours = {pixels[i:i + 3] for i in range(0, len(pixels), 3)}
        return [int(n) for n in header[1]] == [width, height] and len(colours) >= colours_wanted

    def finish(self, wanted):
        output = self.process.communicate(timeout=allow(TIMEOUT))[0].decode()
        assert (self.process.returncode, output) == (kernels.STATUS, wanted), (wanted, output, self.process.returncode)


GRUB_MENU = """set timeout=-1
insmod all_video
insmod gfxterm
insmod font
loadfont unicode
set gfxmode=800x600x32
terminal_output gfxterm
menuentry first { multiboot /multiboot some words
  module /content }
menuentry second { terminal_output console
  linux16 /linux some words
  initrd16 /content }
"""


def add_kernels(place):
    write(f"{place}/content", "content")
    shutil.copy(kernels.build(cc, source, "LINUX", folder.name), path(place, "linux"))
    shutil.copy(kernels.build(cc, source, "MULTIBOOT", folder.name), path(place, "multiboot"))


def grub():
    need("grub-mkrescue", "xorriso", "/usr/lib/grub/i386-pc", "mformat")
    add_kernels("cd")
    write("cd/boot/grub/grub.cfg", GRUB_MENU)
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", path("cd.iso"), path("cd")], check=True,
                   stderr=subprocess.DEVNULL)
    for number, wanted in enumerate(("some words", "BOOT_IMAGE=/linux some words")):
        with Machine("-cdrom", path("cd.iso"), "-boot", "d") as machine:
            machine.until(lambda m=machine: m.shows(800, 600, 2), "the menu")
            machine.keys(*["down"] * number, "ret")
            machine.finish(wanted + "|content|.")


ISOLINUX_MENU = """UI vesamenu.c32
LABEL one
  KERNEL linux
  APPEND initrd=content some words
LABEL two
  KERNEL memdisk
  APPEND initrd=floppy
"""
# mov $0x2b, %al; out %al, $0xe9; mov $0x10, %al; mov $0x501, %dx; out %al, (%dx)
SECTOR = bytes.fromhex("b02be6e9b010ba0105ee").ljust(510, b"\0") + b"\x55\xaa"


def isolinux():
    need("xorriso", "/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/memdisk", MODULES + "vesamenu.c32")
    add_kernels("cd")
    for file in ("/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/memdisk",
                 *(MODULES + name + ".c32" for name in ("ldlinux", "vesamenu", "libcom32", "libutil"))):
        shutil.copy(file, path("cd"))
    write("cd/isolinux.cfg", ISOLINUX_MENU)
    write("cd/floppy", SECTOR.ljust(1440 * 1024, b"\0"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path("cd.iso"), "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                    "-boot-load-size", "4", "-boot-info-table", path("cd")], check=True, stderr=subprocess.DEVNULL)
    for number, wanted in enumerate(("BOOT_IMAGE=linux initrd=content some words|content|.", "+")):
        with Machine("-cdrom", path("cd.iso"), "-boot", "d") as machine:
            machine.until(lambda m=machine: m.shows(640, 480, 30), "the menu")
            machine.keys(*["down"] * number, "ret")
            machine.finish(wanted)


def order():
    """A letter for each disk that may be started: IDE, virtio, floppy."""
    for letter in "ivf":
        write(letter, bytes([0xb0, ord(letter)]) + SECTOR[2:].ljust(1440 * 1024 - 2, b"\0"))
    disks = [f"file={path(letter)},format=raw,if=none,id={letter}" for letter in "iv"]
    for ide, virtio, wanted in ((0, 1, "i"), (1, 0, "v"), (3, 2, "v")):
        with Machine("-drive", disks[0], "-drive", disks[1], "-device", f"ide-hd,drive=i,bootindex={ide}",
                     "-device", f"virtio-blk-pci,drive=v,bootindex={virtio}") as machine:
            machine.finish(wanted)
    drives = ["-drive", f"file={path('i')},format=raw,if=ide", "-drive", f"file={path('f')},format=raw,if=floppy"]
    for options, wanted in (("a", "f"), ("c", "i"), ("order=c,once=a", "f"), ("order=c,strict=on", "i")):
        with Machine(*drives, "-boot", options) as machine:
            machine.finish(wanted)
    with Machine(*drives, "-boot", "c", "-global", "isa-fdc.bootindexA=0") as machine:
        machine.finish("f")
    with Machine(*drives, "-boot", "menu=on,order=a") as machine:
        machine.until(lambda: "ESC" in machine.hmp("info text"), "the word of a menu")
        machine.keys("esc")
        machine.until(lambda: "2. ata0-0" in machine.hmp("info text"), "the menu")
        machine.keys("2")
        machine.finish("i")


def ipxe():
    need("/boot/ipxe.lkrn")
    add_kernels("tftp")
    write("tftp/script", "#!ipxe\nkernel linux some words\ninitrd content\nboot\n")
    network = "user,model=e1000,bootfile=script,tftp=" + path("tftp")
    with Machine("-kernel", "/boot/ipxe.lkrn", "-nic", network) as machine:
        machine.finish("some words|content|.")


def memtest(build="x64"):
    need(f"/boot/memtest86+{build}.bin")
    with Machine("-kernel", f"/boot/memtest86+{build}.bin", "-smp", "2", "-m", "32") as machine:
        machine.until(lambda: "Pass:  1 " in machine.hmp("info text"), "a pass", 800)
        text = machine.hmp("info text")
        assert "Errors: 0" in text and "2 Cores" in text, text


{"order": order, "grub": grub, "isolinux": isolinux, "ipxe": ipxe, "memtest": memtest,
 "memtest-ia32": lambda: memtest("ia32")}[kind]()
