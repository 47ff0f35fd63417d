#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-kvm-guest KASO CC SCRIPTS KERNEL START.S PROGRAMS.C: the accelerator "kvm" on a real KVM, which scripts/kvm-guest makes. All in one guest:
the bare-metal programs, firmware and resets, and Linux to a shell, each with the interrupt controllers at all three places."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

KASO, CC, SCRIPTS, KERNEL, *SOURCES = sys.argv[1:]
DONE = 33
NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "cpio": "cpio", "lz4": "lz4"}
folder = tempfile.TemporaryDirectory()
PLAIN = "-M pc -nodefaults -display none"
IRQCHIPS = ("on", "split", "off")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def path(name, content=None):
    full = os.path.join(folder.name, name)
    if content is not None:
        with open(full, "wb") as file:
            file.write(content)
    return full


def programs():
    elf, image = path("programs.elf"), path("programs.bin")
    subprocess.run([CC, "-m32", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector", "-nostdlib", "-static", "-mno-sse",
                    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-O1", "-Wl,-N,-Ttext=0xf0000,--build-id=none,-e,start", "-w",
                    "-o", elf, *SOURCES], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["objcopy", "-O", "binary", elf, image], check=True)
    with open(image, "rb") as file:
        return path("programs.rom", file.read().ljust(0xfff0, b"\0") + b"\xea\0\0\0\xf0".ljust(16, b"\0"))


def floppy():
    """'r' to port 0xe9; the clock's memory counts to ten; the keyboard controller resets, or port 0x501 ends."""
    sector = bytes.fromhex("b072e6e9 b040e670e471fec0e671 3c0a 7405 b0fee664f4 ba0105b010eef4")
    return path("floppy", sector.ljust(510, b"\0") + b"\x55\xaa" + bytes(1440 * 1024 - 512))


def initrd():
    """A shell script as the first program: what CPUs, devices and time there are."""
    tree = path("tree")
    for name in "bin", "proc", "dev", "sys":
        os.makedirs(os.path.join(tree, name))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    with open(os.path.join(tree, "init"), "w", encoding="utf-8") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev\n"
                   "echo cpus $(grep -c ^processor /proc/cpuinfo) devices $(cat /sys/bus/pci/devices/*/device | tr '\\n' ' ')\n"
                   "echo clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)\n"
                   "sleep 1; echo sum $(seq 1 1000 | md5sum); poweroff -f\n")
    os.chmod(os.path.join(tree, "init"), 0o755)
    image = path("initrd")
    subprocess.run(f"cd {tree} && find . | cpio -o -H newc --quiet | gzip -1 > {image}", shell=True, check=True)
    return image


def script(rom, disk, image):
    kaso = os.path.abspath(KASO)
    lines = []
    for irqchip in IRQCHIPS:
        accel = f"-accel kvm,kernel-irqchip={irqchip}"
        lines += [f"echo '== programs {irqchip}'",
                  f"timeout 100 {kaso} {PLAIN} {accel} -cpu max -m 16 -device isa-debug-exit -debugcon stdio -bios {rom} 2>/dev/null; echo status $?",
                  f"echo '== firmware {irqchip}'",
                  f"timeout 200 {kaso} {PLAIN} {accel} -m 16 -device isa-debug-exit -debugcon stdio -drive if=floppy,format=raw,file={disk} 2>/dev/null; echo status $?"]
        for cpus in 1, 2:
            lines += [f"echo '== linux {irqchip} {cpus}'",
                      f"timeout 300 {kaso} {PLAIN} {accel} -cpu host -smp {cpus} -m 192 -serial stdio -kernel {KERNEL} -initrd {image} "
                      f"-device virtio-blk-pci,drive=d -drive if=none,id=d,format=raw,file={disk} -device e1000 -vga std "
                      "-append 'console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off' </dev/null; echo status $?"]
    return path("run.sh", ("#!/bin/sh\n" + "\n".join(lines) + "\n").encode())


def check(text, wanted):
    parts = dict(re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", text, re.MULTILINE))
    for irqchip in IRQCHIPS:
        got = parts[f"programs {irqchip}"]
        assert got == wanted + f"status {DONE}\n", (irqchip, got, wanted)
        assert re.search(rf"^r{{10}}status {DONE}$", parts[f"firmware {irqchip}"], re.MULTILINE), parts[f"firmware {irqchip}"]
        for cpus in 1, 2:
            got = parts[f"linux {irqchip} {cpus}"]
            for words in f"cpus {cpus} devices .*0x1237.*0x7000.*0x1111", "clock kvm-clock", "sum 53d025127ae99ab79e8502aae2d9bea6", "status 0":
                assert re.search(words, got), (irqchip, cpus, words, got)


for tool, package in NEEDED.items():
    if not shutil.which(tool):
        skip(f"{tool} is not there (Debian's {package})")
if not os.path.exists(KERNEL):
    skip(f"{KERNEL} is not there (scripts/dev makes it)")
ROM, DISK, IMAGE = programs(), floppy(), initrd()
REFERENCE = subprocess.run([KASO, *PLAIN.split(), "-cpu", "max", "-m", "16", "-device", "isa-debug-exit", "-debugcon", "stdio", "-bios", ROM],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
assert REFERENCE.returncode == DONE, REFERENCE
RUN = script(ROM, DISK, IMAGE)
FILES = [KASO, KERNEL, ROM, DISK, IMAGE, RUN, "/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-stdvga.bin", shutil.which("timeout")]
GUEST = subprocess.run([os.path.join(SCRIPTS, "kvm-guest"), "-m", "1024", "-t", "1500", *sum((["-f", f] for f in FILES), []), "--", "/bin/busybox", "sh", RUN],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1600, check=False)
if GUEST.returncode == 125 and "apt-get" in GUEST.stderr:
    skip("the kernel of the guest cannot be fetched")
assert GUEST.returncode == 0, (GUEST.returncode, GUEST.stdout, GUEST.stderr)
check(GUEST.stdout, REFERENCE.stdout)
print("kvm-guest: programs, firmware and Linux with all interrupt controllers: ok")
