#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-stress KASO GUEST_DIR SECONDS [OPTION...]: stress-ng with --verify in a guest with four processors.

Runs each stressor of the classes cpu, memory, vm, os and scheduler for SECONDS (5: half an hour), four at a time. No
stressor may fail, the guest's kernel may report no lost interrupt, stall or oops, and Kaso's memory may not grow past
the guest's RAM + 200 MiB.
"""
import os
import sys

from guest import Guest

RAM_MIB = 1024
NO_RESOURCES, NOT_IMPLEMENTED = 3, 4  # stress-ng's exit status when some stressor could not begin
NOISE = "aborted early|finished prematurely|Memory failure|Out of memory"
CLASSES = os.environ.get("KASO_STRESS_CLASSES", "cpu memory vm os scheduler").split()
# Stressors that need what the guest does not have (namespaces, swap, real devices) or that end the guest.
EXCLUDE = "bad-altstack,bind-mount,clone,oom-pipe,watchdog,softlockup,sysinval,swap,uprobe,loop,io-uring,pty,cyclic,smi,rdrand,cpu-online,ramfs,binderfs,dev,dev-shm,resources,netlink-task,userfaultfd"


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    return 0


def main():
    kaso, guest_dir, seconds, *options = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/root.img"):
        print(f"no {guest_dir}: scripts/make-guest arm64 {guest_dir} makes it")
        sys.exit(77)
    argv = [kaso, "-M", "virt", "-cpu", "max", "-smp", "4", "-m", str(RAM_MIB), "-nodefaults", "-display", "none"]
    argv += ["-serial", "stdio", "-no-reboot", "-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img"]
    argv += ["-append", "console=ttyAMA0 quiet panic=-1", "-snapshot", "-device", "virtio-blk-pci,drive=disk"]
    argv += ["-drive", f"if=none,id=disk,format=raw,file={guest_dir}/root.img"] + options
    peak = 0
    with Guest(argv) as guest:
        guest.expect("^bench-ready", 300)
        guest.line("shell")
        guest.expect("^shell-ready", 60)
        guest.command("ip link set lo up; mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm")
        for name in CLASSES:
            status, output = guest.command(
                f"stress-ng --class {name} --sequential 4 --verify --timeout {seconds} --exclude {EXCLUDE} -q "
                f"--temp-path /tmp 2>&1 | grep -vE '{NOISE}' | tail -n 40; (exit ${{PIPESTATUS[0]}})",
                3600,
            )
            peak = max(peak, resident_mib(guest.process.pid))
            print(f"{name}: status {status}, Kaso's memory {resident_mib(guest.process.pid)} MiB\n{output}", flush=True)
            assert status in (0, NO_RESOURCES, NOT_IMPLEMENTED), f"class {name} failed"
        _, log = guest.command("dmesg | grep -iE 'stall|lockup|oops|BUG:|irq .*nobody|hung task|WARNING: CPU'")
        assert not log, log
        assert peak <= RAM_MIB + 200, f"Kaso grew to {peak} MiB with {RAM_MIB} MiB of RAM"
        guest.line("exit")
        guest.line("quit")
        assert guest.wait(60) == 0
    print(f"stress-ng passed; peak {peak} MiB")


main()
