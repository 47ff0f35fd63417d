#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-moves-guest KASO KASO_IMG SCRIPTS GUEST [PATTERN]: Linux on a real KVM, which scripts/kvm-guest makes, is saved, loaded and sent to other processes while it
counts, sleeps between, and writes to a virtio disk and compares. It goes on each time from where it was, and its clocks neither jump nor stand."""
import os
import re
import subprocess
import sys
import tempfile

from inner import APPEND, VIRTIO, initrd, need, run
from patience import allow

KASO, KASO_IMG, SCRIPTS, GUEST, *PATTERN = sys.argv[1:]
KERNEL = os.path.join(GUEST, "kernel")
ROUNDS = 60
TROUBLE = "stall|lockup|unstable|hung|BUG:"
DISK = """
disk() {
  n=0
  while :; do
    n=$((n + 1))
    head -c 131072 /dev/urandom >/block
    dd if=/block of=/dev/vda bs=64k seek=$((n % 16 * 2)) conv=fsync 2>/dev/null || echo inner: cannot write
    echo 1 >/proc/sys/vm/drop_caches
    dd if=/dev/vda bs=64k skip=$((n % 16 * 2)) count=2 2>/dev/null | cmp - /block || echo inner: the disk differs
    echo $n >/blocks
  done
}
"""
# Uptime in hundredths. Rounds take some tenths of a second; a busy host makes seconds of them.
INIT = DISK + """
echo inner: clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource) cpus $(nproc)
disk & disk_pid=$!
up() { read -r now rest </proc/uptime; echo ${now%.*}${now#*.}; }
last=$(up)
for round in $(seq 1 ROUNDS); do
  sleep 0.3
  now=$(up)
  [ $((now - last)) -ge 29 ] && [ $((now - last)) -lt 4000 ] || echo inner: the clock went from $last to $now
  last=$now
  echo "inner: round $round."
done
[ $(cat /blocks) -gt 5 ] || echo inner: the disk stood
kill $disk_pid
dmesg | grep -E 'TROUBLE'
echo inner: the end
poweroff -f
""".replace("ROUNDS", str(ROUNDS)).replace("TROUBLE", TROUBLE)
# Rounds that are waited for, and what is done then. Loading goes back in time. A busy host is slow to send: the guest gets on meanwhile, so further rounds are not
# waited for by their numbers; and the machine stands for as long as it then takes.
FIRST = "wait-for -t 250 on console /round 3\\./\nsavevm a\nwait-for -t 100 on console /round 6\\./\nloadvm a\nwait-for -t 100 on console /round 5\\./\n"
SEND = "migrate_set_parameter downtime-limit 100000\nmigrate file:/state\nquit\n"
HERE = 2 * "wait-for -t 100 on console /round [0-9]+\\./\n"
LAST = "wait-for -t 400 on console /the end/\n"
STEPS = [("", FIRST + SEND), ("-incoming file:/state", HERE + SEND), ("-incoming file:/state", HERE + "stop\n{pause}" + SEND),
         ("-incoming file:/state", "{loaded}" + HERE + "quit\n"), ("-loadvm a", HERE + SEND), ("-incoming file:/state", LAST)]
CASES = {f"{irqchip} {cpus}": (f"-accel kvm,kernel-irqchip={irqchip} -cpu host -smp {cpus}", "") for irqchip in ("on", "split", "off") for cpus in (1, 2)}
CASES["tsc"] = ("-accel kvm -cpu host -smp 2", "no-kvmclock")
CASES["one shot"] = ("-accel kvm -cpu host,-tsc-deadline -smp 2", "")
folder = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(folder.name, name)


# Shell commands between those that type the monitor's. A machine that was sent while it stood stands at first.
BETWEEN = {"{pause}": "sleep 3", "{loaded}": "until grep -q 'status: paused[^(]*$' /monitor; do sleep 1; echo info status; done"}


def commands(text):
    text = re.sub(r"-t (\d+)", lambda seconds: f"-t {round(allow(int(seconds[1])))}", text)
    parts = [BETWEEN.get(part) or f"printf '{part}'".replace("\n", "\\n").replace("\\.", "\\\\.") for part in re.split(r"({\w+})", text) if part]
    return "; ".join(parts)


def script(image):
    lines = ["#!/bin/busybox sh"]
    for name, (options, append) in CASES.items():
        if PATTERN and not re.search(PATTERN[0], name):
            continue
        start = (f"{os.path.abspath(KASO)} -M pc -nodefaults -display none -m 160 -monitor stdio {options} -kernel {os.path.abspath(KERNEL)} -initrd {image} "
                 f"-append '{APPEND} {append}' -drive if=none,id=d,format=qcow2,file=/disk -device virtio-blk-pci,drive=d")
        lines.append(f"echo '== {name}'; cp {path('disk')} /disk")
        for number, (more, typed) in enumerate(STEPS):
            lines.append(f"({commands(typed)}) | timeout {round(allow(400))} {start} -chardev file,id=c,path=/console,append={'on' if number else 'off'} -serial chardev:c {more} >/monitor 2>&1")
            lines.append(f"s=$?; echo; echo step {number} status $s reached $(grep -c Reached: /monitor); tail -c 500 /monitor | sed 's/inner:/monitor:/'")
        lines.append("echo; cat /console; rm -f /console /state /disk /monitor")
    with open(path("run.sh"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path("run.sh")


def check_case(name, text):
    options, append = CASES[name]
    assert "Timed out" not in text and re.findall(r"^step \d status (\d+)", text, re.MULTILINE) == ["0"] * len(STEPS), text
    assert re.search(rf"inner: clock {'tsc' if append else 'kvm-clock'} cpus {options[-1]}\b", text), text
    rounds = [int(number) for number in re.findall(r"inner: round (\d+)\.", text)]
    back = [(before, after) for before, after in zip(rounds, rounds[1:]) if after != before + 1]
    assert len(back) == 2 and all(after <= 5 and before >= 6 for before, after in back) and rounds[-1] == ROUNDS, (back, text)
    assert re.findall(r"inner: (?!round|clock (?:tsc|kvm))(.*)", text) == ["the end"], text
    assert not re.search(TROUBLE, text), text


def main():
    need(KERNEL)
    image = initrd(folder.name, os.path.join(GUEST, "initrd.img"), [*VIRTIO, "virtio_blk"], INIT)
    subprocess.run([KASO_IMG, "create", "-q", "-f", "qcow2", path("disk"), "4M"], check=True)
    text = run(KASO, SCRIPTS, script(image), [KASO, KERNEL, image, path("disk")], 1800, 1536)
    failed = []
    for name, part in re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", text.replace("\r", ""), re.MULTILINE):
        try:
            check_case(name, part)
            print(f"moves-guest: {name}: ok")
        except AssertionError as wrong:
            failed.append(name)
            print(f"moves-guest: {name}:", *wrong.args, sep="\n")
    assert not failed, failed


main()
