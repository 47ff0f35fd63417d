#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-usb KASO BOOT_DIR VARIANT [PLUGS]: Linux's drivers against a USB controller: a stick is read and copied whole, keyboard and
tablet report what was typed and pointed at, devices are plugged and pulled PLUGS times, and the kernel's log shows no trouble."""
import hashlib
import os
import sys
import tempfile
import time

from guest import Guest
from patience import allow
from qmp import Monitor

MIB = 1 << 20
# machine, console, driver, options, MiB of the stick, what the kernel calls the speeds of a stick and of a tablet; those of NAME-uas are units of usb-uas
VARIANTS = {
    "xhci-pc": ("pc", "ttyS0", "xhci_pci", ["-device", "qemu-xhci,id=usb"], 32, "5000", "480"),
    "xhci-virt": ("virt", "ttyAMA0", "xhci_pci", ["-device", "qemu-xhci,id=usb"], 32, "5000", "480"),
    "nec-xhci": ("pc", "ttyS0", "xhci_pci", ["-device", "nec-usb-xhci,id=usb,p2=8,p3=8"], 32, "5000", "480"),
    "uhci": ("pc", "ttyS0", "uhci_hcd", ["-device", "piix3-usb-uhci,id=usb"], 1, "12", "12"),
    "ehci": ("pc", "ttyS0", "ehci_pci uhci_hcd",
             ["-device", "ich9-usb-ehci1,id=usb", "-device", "ich9-usb-uhci1,masterbus=usb.0,firstport=0"], 16, "480", "480"),
}
TROUBLE = "Call Trace:\\|Oops:\\|BUG: \\|WARNING: \\|I/O error\\|reset .*USB\\|not responding\\|HC died"


def run(guest, command, timeout=60):
    status, output = guest.command(command, timeout)
    assert status == 0, (command, status, output)
    return output


def wait_for(guest, condition):
    deadline = time.monotonic() + allow(30)
    while guest.command(condition)[0] != 0:
        assert time.monotonic() < deadline, f"never true: {condition}\n{guest.command('dmesg')[1][-4000:]}"
        time.sleep(0.1)


def check_sticks(guest, folder, size):
    with open(f"{folder}/source", "rb") as file:
        data = file.read()
    wait_for(guest, "[ -b /dev/sda ] && [ -b /dev/sdb ]")
    wait_for(guest, f"[ $(cat /sys/block/sdb/size) = {size * 2048} ]")
    # The order in which they are found is the ports', but not when it is the kernel's threads'.
    source, target = run(guest, "[ $(cat /sys/block/sda/ro) = 1 ] && echo sda sdb || echo sdb sda").split()
    output = run(guest, f"dd if=/dev/{source} bs=64k 2>/dev/null | md5sum", 120)
    assert output.split()[0] == hashlib.md5(data).hexdigest(), output
    run(guest, f"dd if=/dev/{source} of=/dev/{target} bs=1M 2>/dev/null && sync", 120)
    with open(f"{folder}/target", "rb") as file:
        assert file.read() == data, "the copy differs"


def check_reports(guest, number, reports):
    """What a reader that was started before they came has got; the shell has no tool that shows bytes."""
    output = run(guest, f"wait; md5sum /tmp/hid{number}; wc -c </tmp/hid{number}").split()
    assert output[0] == hashlib.md5(bytes(sum(reports, []))).hexdigest(), (number, output)


def check_input(guest, qmp):
    wait_for(guest, "[ -c /dev/hidraw1 ]")
    names = run(guest, "cat /sys/class/hidraw/hidraw0/device/uevent /sys/class/hidraw/hidraw1/device/uevent")
    keyboard = 0 if names.index("USB Keyboard") < names.index("USB Tablet") else 1
    run(guest, f"(dd bs=8 count=4 if=/dev/hidraw{keyboard} of=/tmp/hid0 2>/dev/null & "
               f"dd bs=7 count=3 if=/dev/hidraw{1 - keyboard} of=/tmp/hid1 2>/dev/null & wait) & true")
    wait_for(guest, "[ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c hidraw) = 2 ]") # reports are for those that have it open
    qmp.run("send-key", keys=[{"type": "qcode", "data": "shift"}, {"type": "qcode", "data": "a"}])
    qmp.run("input-send-event", events=[{"type": "abs", "data": {"axis": "x", "value": 1000}},
                                        {"type": "abs", "data": {"axis": "y", "value": 32767}}])
    qmp.run("input-send-event", events=[{"type": "btn", "data": {"button": "left", "down": True}}])
    qmp.run("input-send-event", events=[{"type": "btn", "data": {"button": "left", "down": False}}])
    check_reports(guest, 0, [[2, 0, 0, 0, 0, 0, 0, 0], [2, 0, 4, 0, 0, 0, 0, 0], [2] + [0] * 7, [0] * 8])
    place = [0xE8, 3, 0xFF, 0x7F, 0, 0]
    check_reports(guest, 1, [[0] + place, [1] + place, [0] + place])


def check_plugs(guest, qmp, count):
    for _ in range(count):
        qmp.run("device_add", driver="usb-mouse", id="plug", bus="usb.0")
        wait_for(guest, "grep -q 'USB Mouse' /sys/bus/usb/devices/*/product")
        qmp.run("device_del", id="plug")
        wait_for(guest, "! grep -q 'USB Mouse' /sys/bus/usb/devices/*/product 2>/dev/null")


def main():
    kaso, boot, variant, *plugs = sys.argv[1:]
    attached = variant.endswith("-uas")
    machine, console, driver, options, size, stick_speed, tablet_speed = VARIANTS[variant.removesuffix("-uas")]
    if not os.path.exists(f"{boot}/linux"):
        print(f"no {boot}/linux: scripts/dev check makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/source", "wb") as file:
            file.write(os.urandom(size * MIB))
        with open(f"{folder}/target", "wb") as file:
            file.truncate(size * MIB)
        argv = [kaso, "-M", machine, "-m", "512", "-nographic", "-kernel", f"{boot}/linux", "-no-reboot",
                "-initrd", f"{boot}/initrd.gz", "-append", f"console={console} quiet init=/kaso-shell panic=-1",
                "-qmp", f"unix:{folder}/qmp,server=on,wait=off"] + options
        argv += ["-drive", f"if=none,id=source,format=raw,readonly=on,file={folder}/source",
                 "-drive", f"if=none,id=target,format=raw,file={folder}/target",
                 "-device", "usb-kbd", "-device", "usb-tablet"]
        argv += ["-device", "usb-uas,id=uas", "-device", "scsi-hd,drive=source,bus=uas.0,scsi-id=0,lun=0",
                 "-device", "scsi-hd,drive=target,bus=uas.0,scsi-id=0,lun=1"] if attached else [
                 "-device", "usb-storage,drive=source", "-device", "usb-storage,drive=target"]
        with Guest(argv) as guest:
            guest.expect(r"Type poweroff to end", 120)
            guest.expect(r"# ")
            run(guest, f"for m in {driver} usb_storage uas sd_mod usbhid hid_generic; do modprobe $m; done")
            check_sticks(guest, folder, size)
            run(guest, f"ls -d /sys/bus/usb/drivers/{'uas' if attached else 'usb-storage'}/*-*:1.0")
            speeds = run(guest, "cat /sys/bus/usb/devices/*-*/speed").split()
            assert stick_speed in speeds and tablet_speed in speeds, speeds
            qmp = Monitor(f"{folder}/qmp")
            check_input(guest, qmp)
            check_plugs(guest, qmp, int(plugs[0]) if plugs else 3)
            trouble = guest.command(f"dmesg | grep '{TROUBLE}'")[1]
            assert not trouble, trouble
            guest.line("poweroff")
            guest.wait()
    print(f"USB: {variant}")


main()
