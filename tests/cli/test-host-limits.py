#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host gives no more threads, or descriptors, to a machine that runs: commands that need them fail or do without, and it runs on.
Usage: test-host-limits.py FOLDER (that holds kaso's links) no-threads.so"""
import os
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "boot"))
from qmp import Monitor  # noqa: E402
from patience import allow

FOLDER, SHIM = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
HMP = ("info block", "dump-guest-memory @/core", "savevm a", "screendump @/a.ppm", "pmemsave 0 4096 @/m", "wavcapture @/a.wav snd", "sum 0 100",
       "gdbserver tcp:127.0.0.1:0", "nbd_server_start 127.0.0.1:0", "drive_backup -n -f d0 @/backup.raw raw", "block_stream none",
       "chardev-add pty,id=c9", "netdev_add user,id=n9", "object_add rng-random,id=r9,filename=/dev/urandom", "info network",
       "device_add AC97,id=sound,audiodev=snd", "device_add virtio-net-pci,netdev=n0,id=nic9", "device_add usb-tablet", "change d1 @/disk", "eject d1",
       "hostfwd_add tcp:127.0.0.1:0-:22", "change vnc unix:@/vnc2", "snapshot_blkdev d0 @/snap.qcow2 qcow2", "symbol-file @/disk", "logfile @/log",
       "commit all", "qemu-io d0 \"read 0 1M\"", "qemu-io d0 \"write 0 1M\"", "system_reset")
QMP = (("object-add", {"qom-type": "iothread", "id": "io1"}),
       ("device_add", {"driver": "virtio-blk-pci", "drive": "n2", "iothread": "io0", "id": "vb"}),
       ("blockdev-add", {"driver": "file", "filename": "@/disk", "node-name": "f9", "read-only": True}),
       ("blockdev-add", {"driver": "nbd", "node-name": "f8", "server": {"type": "unix", "path": "@/nobody"}}),
       ("chardev-add", {"id": "c8", "backend": {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "@/c8"}}, "wait": False}}}),
       ("chardev-add", {"id": "c7", "backend": {"type": "file", "data": {"out": "@/c7"}}}),
       ("blockdev-mirror", {"job-id": "j", "device": "n2", "target": "n3", "sync": "full"}),
       ("blockdev-create", {"job-id": "k", "options": {"driver": "file", "filename": "@/new", "size": 65536}}),
       ("nbd-server-start", {"addr": {"type": "unix", "data": {"path": "@/nbd"}}}),
       ("migrate-set-capabilities", {"capabilities": [{"capability": "multifd", "state": False}]}),
       ("migrate", {"uri": "file:@/state"}),
       ("migrate", {"uri": "exec:cat >@/state2"}),
       ("display-reload", {"type": "vnc"}))


def start(folder, **more):
    for name in ("disk", "disk1"):
        with open(os.path.join(folder, name), "wb") as file:
            file.truncate(1 << 20)
    return subprocess.Popen(
        [FOLDER + "/kaso-system-x86_64", "-M", "pc", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-vnc", "unix:%s/vnc" % folder,
         "-device", "VGA", "-usb", "-qmp", "unix:%s/qmp,server=on,wait=off" % folder, "-drive", "if=ide,id=d0,format=raw,file=%s/disk" % folder,
         "-drive", "if=ide,id=d1,media=cdrom", "-object", "iothread,id=io0", "-blockdev", "null-co,node-name=n2,size=1M", "-blockdev",
         "null-co,node-name=n3,size=1M", "-audiodev", "alsa,id=snd,out.dev=null,in.dev=null", "-netdev", "user,id=n0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


def connect(process, folder):
    while not os.path.exists(folder + "/qmp"):
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.02)
    return Monitor(folder + "/qmp")


def ask(monitor, command, arguments):
    monitor.send(command, arguments)
    while True:
        answer = monitor.read()
        if answer is not None:
            return answer


def placed(value, folder):
    if isinstance(value, dict):
        return {k: placed(v, folder) for k, v in value.items()}
    return value.replace("@", folder) if isinstance(value, str) else value


def try_all(monitor, process, folder):
    """Every command is answered, and the machine is there afterwards."""
    for command, arguments in [("human-monitor-command", {"command-line": line}) for line in HMP] + list(QMP):
        answer = None
        try:
            answer = ask(monitor, command, placed(arguments, folder))
            time.sleep(0.02)
        except (ValueError, OSError):
            pass
        assert answer and process.poll() is None, (command, arguments, process.wait(), process.stdout.read().decode()[-2000:])


def finish(monitor, process):
    assert ask(monitor, "query-status", {})["return"]["status"] in ("running", "postmigrate", "paused", "finish-migrate")
    monitor.send("quit", {})
    assert process.wait(allow(60)) == 0, process.stdout.read()


def threads(folder):
    flag = os.path.join(folder, "none")
    with start(folder, env={**os.environ, "LD_PRELOAD": SHIM, "KASO_TEST_NO_THREADS": flag}) as process:
        monitor = connect(process, folder)
        open(flag, "w").close()
        try_all(monitor, process, folder)
        error = ask(monitor, "object-add", {"qom-type": "iothread", "id": "io2"})["error"]["desc"]
        assert "thread" in error, error
        error = ask(monitor, "migrate", {"uri": "file:%s/state" % folder})["error"]["desc"]
        assert "thread" in error, error
        os.unlink(flag)
        assert "return" in ask(monitor, "object-add", {"qom-type": "iothread", "id": "io2"})
        finish(monitor, process)


def descriptors(folder):
    with start(folder) as process:
        monitor = connect(process, folder)
        limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        for spare in range(6):
            # Those below the limit that are free are what is spared.
            used = {int(fd) for fd in os.listdir("/proc/%d/fd" % process.pid)}
            free = [fd for fd in range(max(used) + 8) if fd not in used]
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free[spare], limit[1]))
            try_all(monitor, process, folder)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limit)
        assert "return" in ask(monitor, "object-add", {"qom-type": "iothread", "id": "io2"})
        finish(monitor, process)


def at_start(folder):
    flag = os.path.join(folder, "none")
    open(flag, "w").close()
    with start(folder, env={**os.environ, "LD_PRELOAD": SHIM, "KASO_TEST_NO_THREADS": flag}) as process:
        out = process.communicate(timeout=allow(60))[0].decode()
        assert process.returncode == 1 and "thread" in out, (process.returncode, out)


for case in (threads, descriptors, at_start):
    with tempfile.TemporaryDirectory() as scratch:
        case(scratch)
        print(case.__name__)
