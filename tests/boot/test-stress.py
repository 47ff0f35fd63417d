#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-stress KASO GUEST_DIR MACHINE SECONDS [OPTION...]: stress-ng with --verify in a guest with four processors, on virt or
on a pc.

Runs each stressor of the classes cpu, memory, vm, os and scheduler for SECONDS (5: half an hour), four at a time. No
stressor may fail, the guest's kernel may report no lost interrupt, stall or oops, and Kaso's memory may not grow past
the guest's RAM, a full code cache, the tables of each processor and a little more.
"""
import os
import sys

from guest import Guest

RAM_MIB, PROCESSORS = 1024, 4
CODE_MIB, TABLES_MIB, MORE_MIB = 128, 12 * 10, 100  # tb-size; TLBs of as many address spaces as keep theirs
MOST_MIB = RAM_MIB + CODE_MIB + PROCESSORS * TABLES_MIB + MORE_MIB
NO_RESOURCES, NOT_IMPLEMENTED = 3, 4  # stress-ng's exit status when some stressor could not begin
NOISE = "aborted early|finished prematurely|Memory failure|Out of memory"
CLASSES = os.environ.get("KASO_STRESS_CLASSES", "cpu memory vm os scheduler").split()
# Stressors that need what the guest does not have (namespaces, swap, real devices) or that end the guest; iomix
# takes fallocate for failed when the end of its time interrupts it.
EXCLUDE = "iomix,bad-altstack,bind-mount,clone,oom-pipe,watchdog,softlockup,sysinval,swap,uprobe,loop,io-uring,pty,cyclic,smi,rdrand,cpu-online,ramfs,binderfs,dev,dev-shm,resources,netlink-task,userfaultfd"
CONSOLES = {"virt": "ttyAMA0", "pc": "ttyS0"}


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    return 0


def main():
    kaso, guest_dir, machine, seconds, *options = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/root.img"):
        arch = "amd64" if machine == "pc" else "arm64"
        print(f"no {guest_dir}: scripts/make-guest {arch} {guest_dir} makes it")
        sys.exit(77)
    argv = [kaso, "-M", machine, "-cpu", "max", "-smp", str(PROCESSORS), "-m", str(RAM_MIB), "-nodefaults", "-display", "none"]
    argv += ["-serial", "stdio", "-no-reboot", "-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img"]
    argv += ["-append", f"console={CONSOLES[machine]} quiet panic=-1", "-snapshot", "-device", "virtio-blk-pci,drive=disk"]
    argv += ["-drive", f"if=none,id=disk,format=raw,file={guest_dir}/root.img"] + options
    peak = 0
    with Guest(argv) as guest:
        guest.expect("^bench-ready", 300)
        guest.line("shell")
        guest.expect("^shell-ready", 60)
        guest.command("ip link set lo up; mkdir -p /dev/pts /dev/shm")
        guest.command("busybox mount -t devpts devpts /dev/pts; busybox mount -t tmpfs shm /dev/shm")
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
        assert peak <= MOST_MIB, f"Kaso grew to {peak} MiB with {RAM_MIB} MiB of RAM, not {MOST_MIB} at most"
        guest.line("exit")
        guest.line("quit")
        assert guest.wait(60) == 0
    print(f"stress-ng passed; peak {peak} MiB")


main()
