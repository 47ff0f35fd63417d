#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-save KASO KASO_IMG GUEST_DIR KIND TURNS: Debian computes, writes its disk and prints numbers while it is saved and loaded again, and
goes from process to process by a socket and by a file; no number is left out, no sum is wrong, the image is sound."""
import os
import re
import subprocess
import sys
import tempfile
import time

from guest import Guest
from patience import allow
from qmp import Monitor

kaso, kaso_img, directory, kind, turns = sys.argv[1:6]
turns = int(turns)
kernel, initrd, root = (os.path.join(directory, name) for name in ("kernel", "initrd.img", "root.img"))
if not os.path.exists(root):
    print(f"no {root}: scripts/make-guest makes it")
    sys.exit(77)

PC = ["-M", "pc", "-cpu", "max", "-vga", "std"]
VIRT = ["-cpu", "max"]
# options, root's interface, its name in the guest, console
KINDS = {
    "pc-ide": (PC + ["-nic", "user,model=e1000", "-usb", "-device", "usb-tablet"], "ide", "sda", "ttyS0"),
    "pc-virtio-smp4": (PC + ["-smp", "4", "-nic", "user,model=virtio-net-pci"], "virtio", "vda", "ttyS0"),
    "virt-gicv2": (VIRT + ["-M", "virt", "-nic", "user,model=virtio-net-pci"], "virtio", "vda", "ttyAMA0"),
    "virt-gicv3-smp4": (VIRT + ["-M", "virt,gic-version=3", "-smp", "4", "-nic", "user,model=virtio-net-pci"], "virtio", "vda", "ttyAMA0"),
}
options, interface, disk, console = KINDS[kind]
WORK = """
W=$(seq 1 20000 | md5sum)
work() { while :; do head -c 3000000 /dev/urandom > /w; s=$(md5sum < /w); sync; echo 3 > /proc/sys/vm/drop_caches
         [ "$s" = "$(md5sum < /w)" ] || echo BAD disk; echo disk=ok; done; }
sums() { while :; do [ "$(seq 1 20000 | md5sum)" = "$W" ] || echo BAD sum; done; }
count() { i=0; while :; do i=$((i+1)); echo n=$i; sleep 0.01; done; }
work & sums & count &
"""


class Run:
    """One process of the machine."""

    def __init__(self, folder, name, *more):
        path = os.path.join(folder, name)
        argv = [kaso, *options, "-m", "512", "-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd, "-append", f"console={console} root=/dev/{disk} rw quiet",
                 "-drive", f"if={interface},format=qcow2,file={folder}/disk.qcow2", "-qmp", f"unix:{path},server=on,wait=off"]
        self.guest = Guest(argv + list(more))
        self.monitor = Monitor(path, 120)
        self.mark = 0

    def hmp(self, line):
        return self.monitor.run("human-monitor-command", **{"command-line": line})

    def numbers(self):
        """All since the mark, in a row."""
        assert "BAD" not in self.guest.text, self.guest.text[-2000:]
        for word in ("Oops", "BUG:", "I/O error", "Call trace", "EXT4-fs error"):
            assert word not in self.guest.text, self.guest.text[-3000:]
        return [int(n) for n in re.findall(r"^n=(\d+)\r?\n", self.guest.text[self.mark:], re.M)]

    def goes_on(self, numbers=30):
        self.guest.position = len(self.guest.text)
        for _ in range(numbers):
            self.guest.expect(r"^n=\d+$", 120)
        self.guest.expect("disk=ok", 120)
        return self.numbers()


def in_a_row(numbers):
    gaps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]
    assert not gaps, gaps


def loads(run):
    for turn in range(turns):
        in_a_row(run.goes_on(5))
        answer = run.hmp("savevm x"); assert answer == "", answer
        at = run.numbers()[-1]
        run.goes_on(20)
        before = len(run.guest.text)
        answer = run.hmp("loadvm x")
        assert answer == "", answer
        run.mark = before
        numbers = run.goes_on(100)
        back = [b for a, b in zip(numbers, numbers[1:]) if b != a + 1]
        assert len(back) <= 1 and (not back or at < back[0] < at + 400), (turn, at, back, numbers[:5])
        run.mark = len(run.guest.text)
    print(f"{turns} loads")


def wait_completed(run):
    end = time.monotonic() + allow(300)
    while True:
        answer = run.monitor.run("query-migrate")
        if answer.get("status") == "completed":
            return answer
        assert answer.get("status") not in ("failed", "cancelled") and time.monotonic() < end, answer
        run.guest.read_some(0.05)


def moves(run, folder):
    downtimes = []
    for turn in range(turns):
        uri = f"unix:{folder}/in" if turn % 2 == 0 else f"file:{folder}/state"
        other = Run(folder, f"qmp{turn + 1}", "-incoming", uri if turn % 2 == 0 else "defer")
        run.monitor.run("migrate", uri=uri)
        downtimes.append(wait_completed(run)["downtime"])
        run.monitor.run("quit")
        run.guest.wait()
        before = run.numbers()
        if turn % 2:
            other.monitor.run("migrate-incoming", uri=uri)
        after = other.goes_on()
        in_a_row(after[1:])
        # A line may lie in both; what lies between them is on neither's console.
        assert 0 <= after[0] - before[-1] <= 2, (turn, before[-3:], after[:3])
        run = other
    print(f"{turns} moves, stood for {min(downtimes)} to {max(downtimes)} ms")
    return run


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", "-b", root, "-F", "raw", f"{folder}/disk.qcow2"], check=True)
        run = Run(folder, "qmp0")
        try:
            run.guest.expect("^bench-ready", 200)
            run.guest.line("shell")
            run.guest.expect("shell-ready", 60)
            run.guest.line("stty -echo; PS1=")
            for line in WORK.strip().splitlines():
                run.guest.line(line)
            run.goes_on()
            run.mark = len(run.guest.text)
            loads(run)
            run = moves(run, folder)
            run.monitor.run("quit")
            run.guest.wait()
        finally:
            if run.guest.process.poll() is None:
                run.guest.process.kill()
        subprocess.run([kaso_img, "check", "-q", f"{folder}/disk.qcow2"], check=True)


main()
