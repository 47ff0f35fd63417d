#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-iothread KASO GUEST_DIR BUS: a guest writes and reads disks whose queues I/O threads take, while the monitor
stops and continues it, mirrors and snapshots its disks, limits and counts; then a reset and another run."""
import hashlib
import json
import os
import socket
import sys
import tempfile
import time

from guest import Guest
from patience import allow

MIB = 1 << 20
SIZE = 24 * MIB


class Qmp:
    def __init__(self, path):
        end = time.monotonic() + allow(30)
        self.peer = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.peer.connect(path)
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
        self.peer.settimeout(allow(60))
        self.file = self.peer.makefile("r")
        self.events = []
        self.file.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self.peer.sendall((json.dumps(request) + "\n").encode())
        while True:
            message = json.loads(self.file.readline())
            if "event" not in message:
                assert "return" in message, (name, message)
                return message["return"]
            self.events.append(message)

    def wait(self, event, device):
        end = time.monotonic() + allow(60)
        while not any(e["event"] == event and e["data"].get("device") == device for e in self.events):
            assert time.monotonic() < end, (event, self.events)
            self.command("query-status")
            time.sleep(0.05)


def disturb(qmp, folder, rounds):
    """What a monitor does to a busy disk."""
    for i in range(rounds):
        for _ in range(3):
            qmp.command("stop")
            assert qmp.command("query-status")["status"] == "paused"
            qmp.command("query-blockstats")
            qmp.command("cont")
            time.sleep(0.05)
        qmp.events.clear()
        qmp.command("drive-mirror", device="b", target=f"{folder}/mirror{i}", sync="full", format="raw")
        qmp.command("stop")
        qmp.command("cont")
        qmp.wait("BLOCK_JOB_READY", "b")
        qmp.command("block-job-cancel", device="b")
        qmp.wait("BLOCK_JOB_COMPLETED", "b")
        qmp.command("blockdev-snapshot-sync", device="a", format="qcow2", **{"snapshot-file": f"{folder}/top{i}.qcow2"})
        qmp.command("block-stream", device="a")
        qmp.wait("BLOCK_JOB_COMPLETED", "a")


def boot(guest):
    guest.expect("BusyBox", 120)
    guest.expect(r"[#$] ", 30)
    names = guest.command("for d in vda vdb; do echo $d $(cat /sys/block/$d/serial); done")[1]
    return {words[1]: words[0] for words in (line.split() for line in names.splitlines()) if len(words) == 2}


def work(guest, disk, qmp, folder, rounds):
    """Random data in the guest's memory goes to both disks, again and again while it is disturbed, and comes back equal."""
    copies = " && ".join(
        f"dd if=/tmp/data of=/dev/{disk[name]} bs=64k oflag=direct conv=notrunc 2>/dev/null && "
        f"dd if=/dev/{disk[name]} bs=32k count={SIZE // 32768} iflag=direct 2>/dev/null | cmp - /tmp/data" for name in "ab")
    guest.command(f"mkdir -p /tmp; head -c {SIZE} /dev/urandom >/tmp/data")
    guest.line(f"(until [ -e /tmp/last ]; do [ ! -e /tmp/enough ] || touch /tmp/last; {copies} || echo DIFF''ERENT; done; echo FIN''ISHED) &")
    disturb(qmp, folder, rounds)
    guest.line("touch /tmp/enough")
    guest.expect("FINISHED", 200)
    assert "DIFFERENT" not in guest.text, guest.text[-2000:]
    return guest.command("md5sum </tmp/data")[1].split()[0]


def main():
    kaso, guest_dir, bus = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest arm64 {guest_dir} makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        for name in "ab":
            with open(f"{folder}/{name}", "wb") as file:
                file.truncate(64 * MIB)
        argv = [kaso, "-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-smp", "2", "-nodefaults", "-display", "none"]
        argv += ["-serial", "stdio", "-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img"]
        argv += ["-append", "console=ttyAMA0 quiet panic=-1"]
        argv += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        for i, name in enumerate("ab"):
            argv += ["-object", f"iothread,id=io{i}", "-drive", f"if=none,id={name},format=raw,file={folder}/{name}"]
            argv += ["-device", f"virtio-blk-{bus},drive={name},serial={name},iothread=io{i}"]
        with Guest(argv) as guest:
            disk = boot(guest)
            qmp = Qmp(f"{folder}/qmp")
            threads = qmp.command("query-iothreads")
            assert [t["id"] for t in threads] == ["io0", "io1"] and all(t["thread-id"] for t in threads), threads
            work(guest, disk, qmp, folder, 2)
            # A reset in the middle of writing.
            guest.line(f"while :; do dd if=/tmp/data of=/dev/{disk['b']} bs=16k oflag=direct 2>/dev/null; done")
            time.sleep(0.3)
            qmp.command("system_reset")
            guest.position = len(guest.text)
            disk = boot(guest)
            wanted = work(guest, disk, qmp, folder, 0)
            cpu = [open(f"/proc/{guest.process.pid}/task/{t['thread-id']}/stat").read().split() for t in threads]
            assert all(int(fields[13]) + int(fields[14]) > 0 for fields in cpu), cpu
            guest.line("sync; poweroff -f")
            assert guest.wait(60) == 0
        with open(f"{folder}/b", "rb") as file:
            assert hashlib.md5(file.read(SIZE)).hexdigest() == wanted
    print(f"I/O threads on {bus}")


main()
