# SPDX-License-Identifier: MIT
"""What tests have in common whose Linux runs under Kaso on the real KVM of scripts/kvm-guest."""
import glob
import os
import select
import shutil
import signal
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../boot"))
from guest import Patience, threads_of_process
from patience import allow

NEEDED = {"busybox": "busybox-static", "cpio": "cpio", "lz4": "lz4"}
# For PCI devices, in the order in which they are loaded.
VIRTIO = "virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci".split()
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off"
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/linuxboot_dma.bin", "/usr/share/seabios/linuxboot.bin", "/usr/share/qemu/linuxboot_dma.bin"]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def need_programs():
    for tool, package in NEEDED.items():
        if not shutil.which(tool):
            skip(f"{tool} is not there (Debian's {package})")


def need(*files):
    """Skips the test when programs or files are not there."""
    need_programs()
    for file in files:
        if not os.path.exists(file):
            skip(f"{file} is not there (scripts/dev or scripts/make-guest makes it)")


def initrd(folder, source, modules, init):
    """An initrd whose first program is the shell script `init`, with modules of another initrd in /order. They have numbers before their names there, or none."""
    tree, debian, image = (os.path.join(folder, name) for name in ("tree", "debian", "initrd"))
    for name in (debian, *(os.path.join(tree, name) for name in ("bin", "proc", "dev", "sys"))):
        os.makedirs(name)
    subprocess.run(f"cd {debian} && gzip -dc {os.path.abspath(source)} | cpio -idm --quiet '*.ko' 2>/dev/null", shell=True, check=False)
    for where, _, names in os.walk(debian):
        for name in names:
            plain = name.split("-", 1)[-1] if name[0].isdigit() else name
            if plain[:-3] in modules:
                shutil.copy(os.path.join(where, name), os.path.join(tree, plain))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    begin = ("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev\n"
             "for module in $(cat /order); do [ ! -f /$module.ko ] || insmod /$module.ko; done\n")
    for name, text in (("init", begin + init), ("order", "\n".join(modules))):
        with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(os.path.join(tree, "init"), 0o755)
    subprocess.run(f"cd {tree} && find . | cpio -o -H newc --quiet | gzip -1 > {image}", shell=True, check=True)
    return image


def threads_of_session(session):
    """As threads_of_process, of all processes of a session."""
    found = []
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            if os.getsid(int(folder[6:])) == session:
                found += threads_of_process(folder[6:])
        except OSError:
            continue  # it has just ended
    return found


class CutOff(Exception):
    """The guest, or what it ran, came to no end. The text is what it said until then."""


def end(child):
    """kvm-guest ends its emulator."""
    if child.poll() is None:
        child.terminate()
    child.wait()


def follow(child, limit, started, said):
    """The text of a guest, whose lines are given to said as they come. limit: of a step, by its name; started is called when one begins, which a line "== NAME" says."""
    patience, text, rest, allowed, looked = Patience(lambda: threads_of_session(child.pid)), "", "", limit(""), time.monotonic()
    while True:
        if select.select([child.stdout], [], [], 5)[0]:
            piece = os.read(child.stdout.fileno(), 65536).decode(errors="replace")
            if not piece:
                return text + rest
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                text += line + "\n"
                said(line)
                if line.startswith("== "):
                    patience, allowed = Patience(lambda: threads_of_session(child.pid)), limit(line[3:])
                    started(line[3:], text)
        if time.monotonic() - looked > 5:
            looked = time.monotonic()
            if patience.seconds() > allow(allowed):
                raise CutOff(text + rest)


def run(kaso, scripts, script, files, limit, mebibytes=1024, started=lambda name, text: print(f"begins: {name}", flush=True),
        line=lambda line: None):
    """What the shell script says in the guest of scripts/kvm-guest, whose machine is Kaso itself, or $KVM_GUEST_EMULATOR. limit: how many seconds a step may take
    in which the machine does not wait for a processor of the host, or a function of the step's name, "" before the first."""
    def said(text):
        if os.environ.get("KASO_TEST_ECHO"):
            print(text, flush=True)
        else:
            line(text)

    files = [file for file in [*files, script, shutil.which("timeout"), *FIRMWARE] if os.path.exists(file)]
    child = subprocess.Popen([os.path.join(scripts, "kvm-guest"), "-m", str(mebibytes), "-t", "0", *sum((["-f", file] for file in files), []), "--",
                              "/bin/busybox", "sh", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                             env={"KVM_GUEST_EMULATOR": os.path.abspath(kaso), **os.environ})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        text = follow(child, limit if callable(limit) else lambda name: limit, started, said)
        status = child.wait()
    finally:
        end(child)
    if status == 125 and "apt-get" in text:
        skip("the kernel of the guest cannot be fetched")
    if status:
        raise CutOff(text)
    return text
