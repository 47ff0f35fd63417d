#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-disk-errors KASO KASO_NBD GUEST_DIR: a guest's disk fails under it.

A file system that fills up pauses the machine (werror=enospc), and `cont` writes again what could not be written; with
werror=report the guest sees EIO; a disk behind a server that vanishes gives EIO, not a hang; a disk that cannot be
written is refused at the start.
"""
import hashlib
import os
import subprocess
import sys
import tempfile
import time

from guest import Guest
from patience import allow
from qmp import Monitor

MIB = 1 << 20
# A mount namespace; without root in a user namespace, which a chroot does not allow.
UNSHARE = "-m" if os.geteuid() == 0 else "-rm"
# A file system of 12 MiB with 4 MiB left, on directory $0.
MOUNT = 'mount -t tmpfs -o size=12m kaso "$0" && head -c 8388608 /dev/zero >"$0/filler" && truncate -s 8M "$0/disk" && '


def start(kaso, guest_dir, folder, drive, wrapper=()):
    argv = [*wrapper, kaso, "-M", "virt", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio"]
    argv += ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img", "-no-reboot"]
    argv += ["-append", "console=ttyAMA0 quiet panic=-1", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    return Guest(argv + ["-drive", f"if=none,id=disk,{drive}", "-device", "virtio-blk-pci,drive=disk"])


def write_disk(count):
    return f"yes kaso | dd of=/dev/vda bs=1M count={count} iflag=fullblock oflag=direct conv=fsync 2>&1"


def wait_for_status(monitor, status):
    for _ in range(1500):  # a guest on an overloaded host takes its time
        if monitor.run("query-status")["status"] == status:
            return
        time.sleep(0.1)
    raise AssertionError(f"status is {monitor.run('query-status')}, not {status}")


def fill(kaso, guest_dir, folder, policy):
    """A guest in a mount namespace of its own, whose disk lies on a full file system."""
    full = f"{folder}/full"
    os.makedirs(full, exist_ok=True)
    namespace = ["unshare", UNSHARE, "sh", "-c", MOUNT + 'exec "$@"', full]
    guest = start(kaso, guest_dir, folder, f"format=raw,file={full}/disk{policy}", namespace)
    guest.expect(r"[#$] ", 120)
    return guest, f"/proc/{guest.process.pid}/root{full}"


def pause_and_go_on(kaso, guest_dir, folder):
    guest, inside = fill(kaso, guest_dir, folder, "")
    with guest:
        monitor = Monitor(f"{folder}/qmp")
        guest.line(write_disk(6) + "; echo wrote''=$?")
        wait_for_status(monitor, "io-error")
        event = monitor.event("BLOCK_IO_ERROR")
        assert event["nospace"] and event["action"] == "stop" and event["operation"] == "write", event
        assert event["node-name"] and event["qom-path"].startswith("/machine/"), event
        assert monitor.run("query-block")[0]["io-status"] == "nospace"
        os.remove(f"{inside}/filler")
        monitor.run("cont")
        guest.expect("^wrote=0", 60)
        assert monitor.run("query-block")[0]["io-status"] == "ok"
        with open(f"{inside}/disk", "rb") as disk:
            assert disk.read(6 * MIB) == (b"kaso\n" * (6 * MIB))[: 6 * MIB]
        monitor.run("quit")
        assert guest.wait(30) == 0


def report(kaso, guest_dir, folder):
    guest, _ = fill(kaso, guest_dir, folder, ",werror=report")
    with guest:
        status, output = guest.command(write_disk(6), 60)
        assert status != 0 and "rror" in output, (status, output)
        assert guest.command("echo alive")[1].endswith("alive")
        guest.line("poweroff -f")
        assert guest.wait(60) == 0


def vanished_server(kaso, kaso_nbd, guest_dir, folder):
    with open(f"{folder}/served", "wb") as served:
        served.write(os.urandom(4 * MIB))
    with open(f"{folder}/served", "rb") as served:
        wanted = hashlib.md5(served.read()).hexdigest()
    server = subprocess.Popen([kaso_nbd, "-t", "-f", "raw", "-k", f"{folder}/nbd", f"{folder}/served"])
    while not os.path.exists(f"{folder}/nbd"):
        time.sleep(0.05)
    with start(kaso, guest_dir, folder, f"driver=nbd,server.type=unix,server.path={folder}/nbd,werror=report") as guest:
        guest.expect(r"[#$] ", 120)
        assert guest.command("dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | md5sum")[1].split()[0] == wanted
        server.kill()
        server.wait()
        status, output = guest.command("dd if=/dev/vda of=/dev/null bs=1M count=1 iflag=direct 2>&1", 60)
        assert status != 0 and "rror" in output, (status, output)
        guest.line("poweroff -f")
        assert guest.wait(60) == 0


def unwritable(kaso, guest_dir, folder):
    argv = ["unshare", UNSHARE, "sh", "-c", MOUNT + 'mount -o remount,ro "$0" && exec "$@"', f"{folder}/full"]
    argv += [kaso, "-M", "virt", "-display", "none", "-kernel", f"{guest_dir}/kernel"]
    argv += ["-drive", f"if=virtio,format=raw,file={folder}/full/disk"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=allow(60), check=False)
    assert done.returncode == 1 and "Read-only file system" in done.stderr, done


def main():
    kaso, kaso_nbd, guest_dir = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest arm64 {guest_dir} makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        pause_and_go_on(kaso, guest_dir, folder)
        report(kaso, guest_dir, folder)
        unwritable(kaso, guest_dir, folder)
        vanished_server(kaso, kaso_nbd, guest_dir, folder)
    print("a full, an unwritable and a vanished disk: as documented")


main()
