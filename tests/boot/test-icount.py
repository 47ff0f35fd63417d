#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""-icount: time is the number of executed instructions, and runs are the same.
Usage: test-icount.py FOLDER program MACHINE PROGRAM: a kernel of icount-a64.S or icount-pc.S tells what it measures
       test-icount.py FOLDER boot MACHINE GUEST CPUS: Linux's console, with times, is the same in three runs"""
import os
import re
import subprocess
import sys
import tempfile
import time

LOOPS = 100000
EMULATOR = {"virt": "kaso-system-aarch64", "pc": "kaso-system-x86_64"}


def run(machine, options, limit):
    """What the run writes to standard output; and how long it takes."""
    begun = time.monotonic()
    done = subprocess.run([os.path.join(folder, EMULATOR[machine]), "-M", machine, "-display", "none", "-monitor", "none", "-nic", "none",
                           *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit)
    assert done.returncode in (0, 0x21), done
    return done.stdout, time.monotonic() - begun


def numbers(machine, program, shift, *options):
    """The program's measurements, with idle time that passes at once."""
    if machine == "virt":
        console = ["-cpu", "cortex-a57", "-serial", "stdio"]
    else:
        console = ["-chardev", "stdio,id=out", "-device", "isa-debugcon,chardev=out", "-device", "isa-debug-exit"]
    text, seconds = run(machine, [*console, "-m", "64", "-kernel", program, "-icount", f"shift={shift},sleep=off", *options], 100)
    return [int(line, 16) for line in text.split()], seconds


def check_program(machine, program):
    """Known counts, on the translator and on the interpreter. What the loops take was compared with QEMU 11.1: the same."""
    for shift in (4, 6, 7):
        for options in ([], ["-accel", "tcg,interp=on"], ["-accel", "tcg,one-insn-per-tb=on"]):
            measured, seconds = numbers(machine, program, shift, *options)
            if machine == "virt":
                # The clock ticks each 16 ns. The interrupt comes as soon as its time is reached, whatever runs.
                loop, late, rounds, slept = measured
                assert loop in (((2 * LOOPS + 1) << shift) // 16 + more for more in (0, 1)), (shift, measured)
                assert late <= (1 << shift) // 16, (shift, measured)
                assert abs(rounds * 2 - (30000 * 16 >> shift)) < 10, (shift, measured)
                assert slept == 100, measured
            else:
                loop, slept = measured
                assert loop == (2 * LOOPS + 2) << shift, (shift, measured)
                assert 99800 < slept < 100050, measured
            print(f"{machine}, shift={shift} {' '.join(options)}: {measured} in {seconds:.1f} s")
            # A hundred seconds asleep: a fraction of that, on a host however busy.
            assert seconds < 50, seconds


def check_sleep(machine, program):
    """Unless told otherwise, a sleep takes as long as it says."""
    for option in ("shift=4", "shift=auto"):
        try:
            run(machine, ["-m", "64", "-kernel", program, "-icount", option], 5)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"{option}: a hundred seconds have passed in less than 5")


def check_boot(machine, guest, cpus):
    """Three boots with all of the console compared."""
    console = "ttyAMA0" if machine == "virt" else "ttyS0"
    options = ["-M", "virt,dtb-randomness=off", "-cpu", "cortex-a57"] if machine == "virt" else []
    texts = []
    for _ in range(3):
        with tempfile.NamedTemporaryFile("r") as text:
            run(machine, [*options, "-smp", cpus, "-m", "512", "-serial", "file:" + text.name, "-no-reboot",
                          "-kernel", os.path.join(guest, "linux"), "-initrd", os.path.join(guest, "initrd.gz"),
                          "-icount", "shift=6,sleep=off", "-rtc", "base=2026-01-01,clock=vm",
                          "-append", f"console={console} panic=-1 rdinit=/bin/sh -- -c \"mkdir -p /proc; mount -t proc proc /proc; "
                          "cat /proc/uptime /proc/interrupts; poweroff -f\""], 900)
            texts.append(text.read())
    assert re.search(r"\[ +\d+\.\d+\] reboot: Power", texts[0]), texts[0][-2000:]
    for text in texts[1:]:
        for number, (one, other) in enumerate(zip(texts[0].splitlines(), text.splitlines())):
            assert one == other, f"line {number}: {one!r}, then {other!r}"
        assert text == texts[0]
    print(f"{machine}, {cpus} processors: {len(texts[0].splitlines())} lines are the same three times")


folder, kind, *rest = sys.argv[1:]
if kind == "boot" and not os.path.exists(os.path.join(rest[1], "linux")):
    print(f"no guest in {rest[1]}")
    sys.exit(77)
if kind == "program":
    check_program(*rest)
    check_sleep(*rest)
else:
    check_boot(*rest)
