#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a machine does goes on under -sandbox with everything denied: snapshots, migration, disks, networks, screens, chardevs; a command
that would start a program says why it cannot."""
import os
import subprocess
import sys
import tempfile
import time

from harness import Kaso, Qmp
from patience import allow

DENIED = ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
SERVER = "unix:@/%s,server=on,wait=off"


def threads_are_in(kaso):
    folder = f"/proc/{kaso.process.pid}/task"
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/status", encoding="utf-8") as status:
            fields = dict(line.split(":\t") for line in status if ":\t" in line)
        assert fields["Seccomp"].strip() == "2" and fields["NoNewPrivs"].strip() == "1", (thread, fields)


def wait_for(qmp, command, wanted):
    end = time.monotonic() + allow(60)
    while qmp.command(command).get("status") != wanted:
        assert time.monotonic() < end, qmp.command(command)
        time.sleep(0.05)


def hmp(qmp, line):
    return qmp.command("human-monitor-command", command_line=line)


def run():
    with Kaso("-m", "32M", "-qmp", SERVER % "qmp", *DENIED, "-vga", "std", "-vnc", "unix:@/vnc", "-netdev", "user,id=n", "-device", "e1000,netdev=n",
              "-device", "virtio-rng-pci", "-serial", "pty", machine="pc", paused=False) as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        threads_are_in(kaso)
        assert "ljmp" in hmp(qmp, "x /1i 0xfffffff0")
        disk = kaso.path("disk.qcow2")
        job = {"driver": "qcow2", "file": "protocol", "size": 1 << 20}
        qmp.command("blockdev-create", **{"job-id": "f", "options": {"driver": "file", "filename": disk, "size": 0}})
        time.sleep(0.5)
        qmp.command("job-dismiss", id="f")
        qmp.command("blockdev-add", driver="file", **{"node-name": "protocol", "filename": disk})
        qmp.command("blockdev-create", **{"job-id": "q", "options": job})
        time.sleep(0.5)
        qmp.command("job-dismiss", id="q")
        qmp.command("blockdev-add", driver="qcow2", **{"node-name": "disk", "file": "protocol"})
        qmp.command("device_add", driver="virtio-blk-pci", id="d", drive="disk")
        assert hmp(qmp, "savevm one") == "" and hmp(qmp, "loadvm one") == ""
        qmp.command("screendump", filename=kaso.path("picture.ppm"))
        qmp.command("netdev_add", type="socket", id="s", listen="127.0.0.1:0")
        qmp.command("chardev-add", id="c", backend={"type": "file", "data": {"out": kaso.path("text")}})
        qmp.command("object-add", **{"qom-type": "iothread", "id": "i"})
        kaso.connect("vnc").close()
        refused = qmp.failure("migrate", uri="exec:cat >/dev/null")["desc"]
        assert "not permitted" in refused, refused
        threads_are_in(kaso)
        qmp.command("migrate", uri=f"file:{kaso.path('state')}")
        wait_for(qmp, "query-migrate", "completed")
        state = kaso.path("state")
        command = [sys.argv[1], "-M", "pc", "-m", "32M", "-nodefaults", "-display", "none", "-sandbox", "on", "-incoming", f"file:{state}"]
        assert os.path.getsize(state) > 1 << 16 and subprocess.run([*command[:-2], "-monitor", "stdio"], input=b"quit\n", check=False,
                                                                   timeout=allow(60), capture_output=True).returncode == 0
        qmp.command("quit")
        kaso.finish()


def in_an_empty_root():
    """Libraries that are loaded when they are wanted are there, although their files cannot be seen."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.argv[1], "-M", "pc", "-m", "32M", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio", "-chroot", folder]
        done = subprocess.run(command, input="x /1i 0xfffffff0\nquit\n", check=False, timeout=allow(60), capture_output=True, text=True)
    if "-chroot: cannot change to" in done.stderr:
        print("this user may not change the root")
    else:
        assert done.returncode == 0 and "ljmp" in done.stdout, done


run()
in_an_empty_root()
