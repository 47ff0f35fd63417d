#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-ncq-error KASO GUEST_DIR: a sector of a disk on AHCI cannot be read while others are. Linux finds out by log page 10h which of its
queued commands failed, blames no other, and goes on."""
import json
import os
import re
import sys
import tempfile

from guest import Guest

MIB = 1 << 20
BAD = 20480  # sector
READERS = 8


def run(guest, command, timeout=120):
    status, output = guest.command(command, timeout)
    assert status == 0, (command, status, output)
    return output


def check(guest):
    guest.expect(r"[#$] ", 300)
    for command in ("/bin/busybox --install -s /bin; export PATH=/bin; mkdir -p /tmp; mount -t proc proc /proc; mount -t sysfs sys /sys",
                    "mount -t devtmpfs dev /dev; for m in /modules/*; do insmod $m 2>/dev/null; done",
                    "until [ -b /dev/sda ]; do sleep 0.2; done; dmesg -n 1"):
        run(guest, command)
    log = run(guest, "dmesg | grep 'ata[0-9]'")
    assert re.search(r"NCQ \(depth 32\)", log), log
    others = " ".join(str(i) for i in range(READERS))
    run(guest, f"for i in {others}; do (for n in 1 2 3 4 5 6; do dd if=/dev/sda of=/dev/null bs=4k count=200 skip=$((i*300)) iflag=direct 2>>/tmp/err$i || "
        f"echo bad >>/tmp/bad; done) & done; dd if=/dev/sda of=/dev/null bs=4k count=1 skip={BAD // 8} iflag=direct 2>/dev/null && echo read >/tmp/bad; wait; "
        "[ ! -e /tmp/bad ]", 240)
    log = run(guest, "dmesg | grep -E 'ata[0-9]|I/O error|res [0-9]'")
    print(log)
    assert re.search(rf"I/O error, dev sda, sector {BAD} ", log), log
    assert len(set(re.findall(r"I/O error, dev sda, sector (\d+)", log))) == 1, log
    assert "READ FPDMA QUEUED" in log and re.search(r"error: \{ UNC \}", log), log
    assert re.search(r"res [0-9a-f]1/40:.*<F>", log), log
    assert not re.search(r"log page|[Rr]ead log|hard resetting|limiting", log), log
    guest.line("poweroff -f")
    assert guest.wait(120) == 0


def main():
    kaso, guest_dir = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/disk", "wb") as file:
            file.truncate(16 * MIB)
        node = {"driver": "raw", "node-name": "disk", "file": {
            "driver": "blkdebug", "image": {"driver": "file", "filename": f"{folder}/disk"},
            "inject-error": [{"event": "read_aio", "iotype": "read", "sector": BAD, "errno": 5}]}}
        argv = [kaso, "-M", "pc", "-smp", "2", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        argv += ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img", "-append", "console=ttyS0 quiet panic=-1 rdinit=/bin/busybox -- sh"]
        argv += ["-blockdev", json.dumps(node), "-device", "ahci,id=ahci", "-device", "ide-hd,drive=disk,bus=ahci.0,rerror=report"]
        with Guest(argv) as guest:
            check(guest)
    print("a queued command that fails")


main()
