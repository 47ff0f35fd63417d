#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-moves KASO_X86 KASO_ARM KASO_IMG GUESTS MINUTES [SEED]: machines that are saved, loaded and sent to other processes at random moments, from the first
instruction of their firmware on: in firmware, in the early kernel, while Debian counts, computes and compares what it reads from its disks with what it wrote,
stopped, and asleep. Nothing that it counts is left out, no sum is wrong, and of two processes one has the machine, also when a migration is cancelled at any moment."""
import os
import random
import re
import subprocess
import sys
import tempfile
import time

from guest import Guest
from patience import allow
from qmp import Monitor

kaso_x86, kaso_arm, kaso_img, guests, minutes = sys.argv[1:6]
seed = int(sys.argv[6]) if len(sys.argv) > 6 else int.from_bytes(os.urandom(4), "little")
choose = random.Random(seed)
print("seed", seed, flush=True)
OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd"
EDK2 = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
# A data disk's devices, the guest's module, and its name there.
DATA = {
    "virtio": (["-device", "virtio-blk-pci,drive=data"], "virtio_blk", "vdb"),
    "nvme": (["-device", "nvme,serial=1,drive=data"], "nvme", "nvme0n1"),
    "ahci": (["-device", "ahci,id=sata", "-device", "ide-hd,drive=data,bus=sata.0"], "ahci", "sda"),
    "usb": (["-device", "qemu-xhci", "-device", "usb-storage,drive=data"], "usb-storage xhci-pci", "sda"),
    "ehci": (["-device", "usb-ehci", "-device", "usb-storage,drive=data"], "usb-storage ehci-pci", "sda"),
    "scsi": (["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=data"], "virtio_scsi sd_mod", "sda"),
}
WORK = """
W=$(seq 1 20000 | md5sum)
sums() { while :; do [ "$(seq 1 20000 | md5sum)" = "$W" ] || echo BAD sum; done; }
count() { i=0; while :; do i=$((i+1)); echo n=$i; sleep 0.02; done; }
data() { while :; do head -c 1048576 /dev/urandom > /run/w; dd if=/run/w of=/dev/$D bs=64k oflag=direct 2>/dev/null || echo BAD write
  [ "$(dd if=/dev/$D bs=64k count=16 iflag=direct 2>/dev/null | md5sum)" = "$(md5sum < /run/w)" ] || echo BAD data; echo data=ok; done; }
sums & count & data &
"""
# Not "soft lockup": a host that is overloaded lets CPUs stand for long.
WRONG = ("BAD ", "Oops", "BUG: unable", "BUG: kernel NULL", "I/O error", "Kernel panic", "EXT4-fs error")


class Machine:
    """A machine that lives in one process after the other."""

    def __init__(self, folder):
        self.folder, self.processes, self.before = folder, 0, ""
        self.x86 = choose.random() < 0.6
        self.data = choose.choice(sorted(DATA))
        self.cpus = choose.choice([1, 2, 4])
        self.options = self.build()
        for name in "root", "data", "state":
            base = ["-b", os.path.join(guests, "amd64" if self.x86 else "arm64", "root.img"), "-F", "raw"] if name == "root" else []
            subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", *base, f"{folder}/{name}.qcow2", *([] if base else ["64M"])], check=True)
        self.run = self.process([])

    def build(self):
        directory = os.path.join(guests, "amd64" if self.x86 else "arm64")
        devices, self.modules, self.disk = DATA[self.data]
        interface = choose.choice(["ide", "virtio"]) if self.x86 else "virtio"
        if interface == "ide":
            self.disk = {"vdb": "vda", "sda": "sdb"}.get(self.disk, self.disk)
        root = "sda" if interface == "ide" else "vda"
        firmware = {True: (OVMF, 0.2), False: (EDK2, 0.4)}[self.x86]
        if os.path.exists(firmware[0]) and choose.random() < firmware[1]:
            firmware = ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware[0]}"] if self.x86 else ["-bios", firmware[0]]
        else:
            firmware = []
        board = (["-M", "pc", "-vga", choose.choice(["std", "cirrus", "none"]), "-usb", "-device", "usb-tablet", "-device", "AC97"] if self.x86 else
                 ["-M", f"virt,gic-version={choose.choice([2, 3])}", "-device", "virtio-gpu-pci"])
        console = "ttyS0" if self.x86 else "ttyAMA0"
        return [*board, "-cpu", "max", "-smp", str(self.cpus), "-m", "512", "-display", "none", "-serial", "stdio", *firmware, "-nic", "user,model=virtio-net-pci",
                "-kernel", f"{directory}/kernel", "-initrd", f"{directory}/initrd.img", "-append", f"console={console} root=/dev/{root} rw quiet no_console_suspend",
                "-drive", f"if={interface},format=qcow2,file={self.folder}/root.qcow2",
                "-drive", f"if=none,id=data,format=qcow2,file={self.folder}/data.qcow2,cache=writeback", *devices]

    def describe(self):
        return " ".join(word for word in self.options if not word.startswith(("-append", "console=")))

    def process(self, more):
        self.processes += 1
        path = f"{self.folder}/qmp{self.processes}"
        guest = Guest([kaso_x86 if self.x86 else kaso_arm, *self.options, "-qmp", f"unix:{path},server=on,wait=off", *more])
        return guest, Monitor(path, 200)

    @property
    def guest(self):
        return self.run[0]

    @property
    def monitor(self):
        return self.run[1]

    def hmp(self, line):
        return self.monitor.run("human-monitor-command", **{"command-line": line})

    def text(self):
        text = self.before + self.guest.text
        assert not any(word in text for word in WRONG), text[-3000:]
        return text

    def wait_for(self, pattern, start=0, limit=400):
        end = time.monotonic() + allow(limit)
        while not (match := re.search(pattern, self.text()[start:], re.M)):
            assert time.monotonic() < end, (pattern, self.text()[-2000:])
            assert self.guest.read_some(0.2), f"it has ended: {self.guest.text[-2000:]}"
        return start + match.end()

    def runs(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.guest.read_some(0.05), f"it has ended: {self.guest.text[-2000:]}"

    def status(self):
        return self.monitor.run("query-status")["status"]

    def migration(self, session, *statuses):
        end = time.monotonic() + allow(300)
        while (answer := session.run("query-migrate")).get("status") not in statuses:
            assert time.monotonic() < end, answer
            self.guest.read_some(0.02)
        return answer

    # Ways to go. Each returns whether numbers may go back.

    def load(self):
        assert (answer := self.hmp("savevm x")) == "", answer
        before = self.status()
        self.runs(choose.uniform(0, 2))
        assert (answer := self.hmp("loadvm x")) == "", answer
        assert before == self.status() or "suspended" in (before, self.status()), (before, self.status())
        return True

    def send(self, several=False):
        was = self.status()
        uri = f"unix:{self.folder}/in{self.processes}"
        other = self.process(["-incoming", "defer"])
        for session in (self.monitor, other[1]) if several else ():
            session.run("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
        other[1].run("migrate-incoming", uri=uri)
        self.monitor.run("migrate", uri=uri)
        self.migration(self.monitor, "completed")
        self.migration(other[1], "completed")
        self.replace(other)
        assert was == self.status() or was == "prelaunch" or (was, self.status()) == ("paused", "prelaunch"), (was, self.status())
        return False

    def send_several(self):
        return self.send(True)

    def store(self):
        uri = f"file:{self.folder}/state"
        self.monitor.run("migrate", uri=uri)
        self.migration(self.monitor, "completed")
        self.replace(None, uri)
        self.migration(self.monitor, "completed")
        return False

    def cancel(self):
        """At a random moment: the machine is here or there."""
        uri = f"unix:{self.folder}/in{self.processes}"
        other = self.process(["-incoming", uri])
        self.monitor.run("migrate-set-parameters", **{"max-bandwidth": choose.choice([0, 64 << 20])})
        self.monitor.run("migrate", uri=uri)
        self.runs(choose.choice([0, choose.uniform(0, 0.1), choose.uniform(0, 3)]))
        self.monitor.run("migrate_cancel")
        answer = self.migration(self.monitor, "completed", "cancelled", "failed")
        self.monitor.run("migrate-set-parameters", **{"max-bandwidth": 0})
        if answer["status"] == "cancelled":
            other[0].wait()
            assert self.status() != "postmigrate", answer
        else:
            # Completed, or told to go and not waited for: it is there.
            assert self.status() == "postmigrate", (answer, self.status())
            self.migration(other[1], "completed")
            self.replace(other)
        return False

    def replace(self, other, uri=None):
        if other:
            other[1].run("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": False}])
        self.monitor.run("quit")
        self.guest.wait()
        self.before += self.guest.text
        self.run = other or self.process(["-incoming", uri])

    def move(self):
        """One of the ways, stopped or not; the place in the text from which on numbers are in a row again."""
        stopped = choose.random() < 0.25 and self.status() == "running"
        if stopped:
            self.monitor.run("stop")
        way = choose.choice([self.load, self.load, self.send, self.send_several, self.store, self.cancel])
        before = self.numbers()
        way()
        if stopped:
            self.monitor.run("cont")
        return way.__name__ + (" stopped" if stopped else ""), before

    def numbers(self, start=0):
        return [int(n) for n in re.findall(r"^n=(\d+)\n", self.text()[start:], re.M)]


def check_row(way, numbers, start):
    """Numbers rise by one; once they may have gone back (a snapshot), and a line or two may lie between two consoles."""
    steps = [(a, b) for a, b in zip(numbers[start:], numbers[start + 1:]) if b != a + 1]
    back = [step for step in steps if step[1] <= step[0]]
    ahead = [step for step in steps if step[1] > step[0]]
    assert len(back) <= (1 if way.startswith("load") else 0) + 0 and all(b - a <= 3 for a, b in ahead) and len(ahead) <= 1, (way, steps)


def play(folder):
    machine = Machine(folder)
    print(machine.describe(), flush=True)
    done = []
    try:
        while not re.search("^bench-ready", machine.text(), re.M):
            machine.runs(choose.choice([0, choose.uniform(0, 2), choose.uniform(0, 12)]))
            if len(done) < 12:
                done.append(machine.move()[0])
        machine.guest.line("shell")
        machine.wait_for("shell-ready")
        machine.guest.line("stty -echo; PS1=")
        machine.guest.line(f"for m in {machine.modules}; do modprobe $m; done; D={machine.disk}; until [ -b /dev/$D ]; do sleep 1; done")
        for line in WORK.strip().splitlines():
            machine.guest.line(line)
        at = machine.wait_for("^data=ok")
        for _ in range(6):
            machine.runs(choose.uniform(0, 3))
            start = max(len(machine.numbers()) - 1, 0)
            way, _ = machine.move()
            done.append(way)
            at = machine.wait_for("^data=ok", len(machine.text()))
            check_row(way, machine.numbers(), start)
        if machine.x86:
            machine.guest.line("echo mem > /sys/power/state; echo awake")
            end = time.monotonic() + allow(200)
            while machine.status() != "suspended":
                machine.runs(0.2)
                assert time.monotonic() < end
            for _ in range(2):
                done.append("asleep " + machine.move()[0])
                assert machine.status() == "suspended", machine.status()
            machine.monitor.run("system_wakeup")
            machine.wait_for("^awake", at)
            machine.wait_for("^data=ok", len(machine.text()))
        machine.monitor.run("quit")
        machine.guest.wait()
    except BaseException:
        print("failed after", done, flush=True)
        raise
    finally:
        machine.guest.process.kill()
    for name in "root", "data":
        subprocess.run([kaso_img, "check", "-q", f"{folder}/{name}.qcow2"], check=True)
    print(len(done), "moves:", ", ".join(done), flush=True)


def main():
    if not all(os.path.exists(os.path.join(guests, name, "root.img")) for name in ("amd64", "arm64")):
        print(f"no guests in {guests}: scripts/make-guest makes them")
        sys.exit(77)
    end = time.monotonic() + float(minutes) * 60
    while True:
        with tempfile.TemporaryDirectory() as folder:
            play(folder)
        if time.monotonic() > end:
            break


main()
