#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-vhost-guest KASO SCRIPTS BOOT_DIR ACCEL…: virtio-net through a real kernel's vhost-net, which scripts/kvm-guest makes. In it a Linux with 'vhost=on'
pings, fetches a file and gives it back, by one queue and by two, is stopped and goes on meanwhile; the kernel's thread has carried it all."""
import os
import re
import sys
import tempfile

from inner import APPEND, VIRTIO, initrd, need, run
from patience import allow

KASO, SCRIPTS, BOOT, *ACCELS = sys.argv[1:]
KERNEL, INITRD = os.path.join(BOOT, "linux"), os.path.join(BOOT, "initrd.gz")
MIB = 1 << 20
folder = tempfile.TemporaryDirectory()
INIT = """
ip link set eth0 up; ip addr add 10.9.0.2/24 dev eth0
echo inner queues $(ls /sys/class/net/eth0/queues | grep -c rx)
ping -c 3 10.9.0.1 | grep -c 'bytes from' | sed 's/^/inner pings /'
for i in 1 2 3; do wget -q -O /file http://10.9.0.1:8000/file && echo inner sum $(sha256sum </file); done
nc 10.9.0.1 8001 </file && sleep 1 && echo inner gave
echo inner interrupts $(grep -c virtio0-input /proc/interrupts)
poweroff -f
"""
OUTER = """#!/bin/busybox sh
ifconfig lo up
mkdir -p /srv /var
printf '#!/bin/busybox sh\\nifconfig $1 10.9.0.1 netmask 255.255.255.0 up\\n' >/up; chmod +x /up
mv {file} /srv/file
sha256sum </srv/file | sed 's/^/outer sum /'
run() {{
  echo "== $1"; shift
  (sleep 1; while ! ifconfig kt0 2>/dev/null | grep -q 10.9.0.1; do sleep 1; done; httpd -p 10.9.0.1:8000 -h /srv; sleep 600 | nc -l -p 8001 >/got) &
  (while sleep 1; do printf 'info network\\nstop\\ninfo status\\ncont\\n'; done) | timeout {limit} {kaso} -M pc -nodefaults -display none -m 192 -serial file:/console \\
    -monitor stdio -action silence=off -kernel {kernel} -initrd {initrd} -append '{append}' "$@" >/monitor 2>/errors
  grep inner /console
  echo errors $(cat /errors)
  echo carried by $(grep -o 'vhost-net' /monitor | sort -u), stops $(grep -c paused /monitor)
  echo given $(sha256sum </got) $(wc -c </got)
  kill $(pidof httpd)
  rm -f /got
}}
{runs}
"""


def path(name):
    return os.path.join(folder.name, name)


def script(image):
    netdev = "-netdev tap,id=n,ifname=kt0,script=/up,downscript=no,vhost=on,vhostforce=on"
    runs = []
    for accel in ACCELS:
        runs.append(f"run '{accel} one' -accel {accel} {netdev} -device virtio-net-pci,romfile=,netdev=n,mac=52:54:00:00:00:09")
        runs.append(f"run '{accel} two' -accel {accel} -smp 2 {netdev},queues=2 -device virtio-net-pci,romfile=,netdev=n,mq=on,mac=52:54:00:00:00:09")
    with open(path("run.sh"), "w", encoding="utf-8") as file:
        file.write(OUTER.format(file=path("file"), kaso=os.path.abspath(KASO), kernel=os.path.abspath(KERNEL), initrd=image, append=APPEND, limit=round(allow(500)), runs="\n".join(runs)))


def check(text):
    parts = dict(re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", text, re.MULTILINE))
    wanted = re.search(r"outer sum (\w+)", text)[1]
    for name, got in parts.items():
        queues = 2 if name.endswith("two") else 1
        for words in (f"inner queues {queues}", "inner pings 3", "inner gave", f"given {wanted}", r"errors ?$", "carried by vhost-net, stops [1-9]"):
            assert re.search(words, got, re.MULTILINE), (name, words, got)
        assert len(re.findall(f"inner sum {wanted}", got)) == 3, (name, got)
    assert len(parts) == 2 * len(ACCELS), text


need(KERNEL)
with open(path("file"), "wb") as data:
    data.write(os.urandom(4 * MIB))
IMAGE = initrd(folder.name, INITRD, [*VIRTIO, "failover", "net_failover", "virtio_net"], INIT)
script(IMAGE)
check(run(KASO, SCRIPTS, path("run.sh"), [KASO, KERNEL, IMAGE, path("file")], 1500))
