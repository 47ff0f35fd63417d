#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-rings KASO PROGRAM: four processors drive queues of two disks, one of them with an I/O thread, and a network card, while the monitor
stops, asks, mirrors, limits and snapshots, and the machine moves to another process. For the thread sanitizer (scripts/dev check-full),
and true without it."""
import os
import sys
import tempfile

from guest import Guest
from qmp import Monitor

ROUNDS = 3


def start(kaso, program, folder, name, *more):
    argv = [kaso, "-M", "virt", "-cpu", "cortex-a57", "-smp", "4", "-m", "64", "-nodefaults", "-display", "none", "-serial", "stdio"]
    argv += ["-kernel", program, "-global", "virtio-mmio.force-legacy=off", "-object", "iothread,id=io"]
    for disk, thread in ("a", ",iothread=io"), ("b", ""):
        argv += ["-drive", f"if=none,id={disk},format=raw,file={folder}/{disk}"]
        argv += ["-device", f"virtio-blk-device,drive={disk},num-queues=4{thread}"]
    argv += ["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net,mac=52:54:00:12:34:56,id=card"]
    return Guest(argv + ["-qmp", f"unix:{folder}/{name},server=on,wait=off", *more])


def ask(monitor):
    for command in "query-blockstats", "query-block", "query-cpus-fast", "query-iothreads", "query-status":
        monitor.run(command)
    for line in "info registers -a", "info qtree", "info irq", "info network", "info mtree":
        monitor.run("human-monitor-command", **{"command-line": line})


def disturb(monitor, folder, name):
    """What a monitor does to a busy machine."""
    for i in range(ROUNDS):
        monitor.run("stop")
        ask(monitor)
        monitor.run("cont")
        ask(monitor)
        monitor.run("set_link", name="card", up=i % 2 == 1)
        for disk in "ab":
            monitor.run("block_set_io_throttle", device=disk, bps=0, bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=500 * (i % 2))
            monitor.run("drive-mirror", device=disk, target=f"{folder}/{name}-{disk}{i}", sync="full", format="raw")
            monitor.event("BLOCK_JOB_READY")
            monitor.run("block-job-cancel", device=disk)
            monitor.event("BLOCK_JOB_COMPLETED")
    monitor.run("set_link", name="card", up=True)


def snapshot(monitor, folder):
    for disk in "ab":
        monitor.run("blockdev-snapshot-sync", device=disk, format="qcow2", **{"snapshot-file": f"{folder}/{disk}.qcow2"})
        monitor.run("block-stream", device=disk)
        monitor.event("BLOCK_JOB_COMPLETED")


def main():
    kaso, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for disk in "ab":
            with open(f"{folder}/{disk}", "wb") as file:
                file.truncate(1 << 20)
        with start(kaso, program, folder, "first") as first:
            first.expect("disks: 2, a network")
            monitor = Monitor(f"{folder}/first")
            disturb(monitor, folder, "first")
            with start(kaso, program, folder, "second", "-incoming", f"unix:{folder}/move") as second:
                target = Monitor(f"{folder}/second")
                while not os.path.exists(f"{folder}/move"):
                    ask(target)
                monitor.run("migrate", uri=f"unix:{folder}/move")
                target.event("RESUME")
                monitor.run("quit")
                assert first.wait() == 0
                disturb(target, folder, "second")
                snapshot(target, folder)
                second.line("enough")
                told = second.expect(r"failures: (\d+) rounds: (\d+) replies: (\d+)")
                assert second.wait() == 0
                failures, rounds, replies = map(int, told.groups())
                assert failures == 0 and rounds and replies, told[0]
    print(f"{rounds} rounds, {replies} replies")


main()
