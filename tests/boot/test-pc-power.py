#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc-power KASO BOOT_DIR: Linux on the PC sleeps in RAM and wakes; a NIC comes to it and goes."""
import os
import sys
import tempfile
import time

from guest import Guest
from qmp import Monitor

kaso, boot = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)


def wait_for(guest, command, wanted):
    """Until the command says so."""
    for _ in range(240):
        if guest.command(command)[1] == wanted:
            return
        time.sleep(0.5)
    guest.fail(f"'{command}' never said {wanted}")


def sleep(guest, monitor, wake):
    guest.line("echo mem > /sys/power/state; echo woken $?")
    monitor.event("SUSPEND")
    assert monitor.run("query-status")["status"] == "suspended"
    wake()
    monitor.event("WAKEUP")
    guest.expect(r"woken 0")


def plug(guest, monitor):
    monitor.run("device_add", driver="virtio-net-pci", netdev="n", id="nic", addr="0x8")
    wait_for(guest, "ls /sys/bus/pci/devices/0000:00:08.0/virtio*/net 2>/dev/null | wc -l", "1")
    monitor.run("device_del", id="nic")
    assert monitor.event("DEVICE_DELETED")["device"] == "nic"
    assert guest.command("ls /sys/bus/pci/devices/0000:00:08.0")[0] != 0


def ide_timing(guest):
    """The registers of the IDE function that say which channels are enabled."""
    status, text = guest.command("dd if=/sys/bus/pci/devices/0000:00:01.1/config bs=1 skip=64 count=4 2>/dev/null | md5sum")
    assert status == 0 and len(text.split()[0]) == 32, text
    return text


with tempfile.TemporaryDirectory() as folder:
    socket = os.path.join(folder, "qmp")
    with Guest([kaso, "-M", "pc", "-m", "512", "-nographic", "-vga", "none", "-netdev", "user,id=n", "-kernel", kernel, "-initrd",
                initrd, "-append", "console=ttyS0 init=/kaso-shell panic=-1 loglevel=3", "-no-reboot", "-qmp",
                f"unix:{socket},server=on,wait=off"]) as guest:
        monitor = Monitor(socket)
        guest.expect(r"Type poweroff to end", 200)
        guest.expect(r"# ")
        for _ in range(2):
            plug(guest, monitor)
        timing = ide_timing(guest)
        sleep(guest, monitor, lambda: monitor.run("system_wakeup"))
        assert ide_timing(guest) == timing
        guest.command("echo +3 > /sys/class/rtc/rtc0/wakealarm")
        sleep(guest, monitor, lambda: None)
        sleep(guest, monitor, lambda: monitor.run("send-key", keys=[{"type": "qcode", "data": "a"}]))
        plug(guest, monitor)
        guest.line("poweroff")
        assert guest.wait() == 0
