#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-q35 KASO BOOT_DIR: SeaBIOS on the q35 starts from AHCI disks and discs; Linux there: tables, interrupts, devices that come and go in
ports, sleep in RAM (SeaBIOS sets SMM up anew each time), power-off."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from guest import Guest
from patience import allow
from qmp import Monitor

kaso, boot = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
socket = os.path.join(folder.name, "qmp")
# mov al, 3; out 0xf4, al; hlt: isa-debug-exit makes it 7.
SECTOR = bytes.fromhex("b003e6f4f4").ljust(510, b"\0") + b"\x55\xaa"


def boot_sectors():
    """One on a disk, one on a disc: SeaBIOS finds both behind AHCI."""
    disk, tree, disc = (os.path.join(folder.name, name) for name in ("disk", "tree", "disc"))
    with open(disk, "wb") as file:
        file.write(SECTOR.ljust(1 << 20, b"\0"))
    ways = [["-hda", disk], ["-drive", f"file={disk},format=raw,index=5"]]
    if shutil.which("xorriso"):
        os.mkdir(tree)
        with open(os.path.join(tree, "boot"), "wb") as file:
            file.write(SECTOR.ljust(2048, b"\0"))
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-b", "boot", "-no-emul-boot", "-boot-load-size", "4", "-o", disc, tree],
                       check=True, capture_output=True)
        ways.append(["-cdrom", disc])
    for way in ways:
        run = subprocess.run([kaso, "-M", "q35", "-display", "none", "-nic", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *way],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(200))
        assert run.returncode == 7, (way, run)


def check_log(log):
    for word in ("ACPI Error", "ACPI Warning", "ACPI BIOS", "Firmware Bug"):
        assert word not in log, [line for line in log.splitlines() if word in line]
    for wanted in (r"MMCONFIG at \[mem 0xb0000000-0xbfffffff\] reserved", r"_OSC: OS now controls \[PCIeHotplug",
                   r"root bus resource \[mem 0x20000000-0xafffffff window\]", r"root bus resource \[mem 0xc0000000-0xfebfffff window\]",
                   r"link GSIH configured for IRQ 23", r"supports S0"):
        assert re.search(wanted, log), wanted


def check_tables(monitor, log):
    if not shutil.which("iasl"):
        print("iasl is not installed: tables not compiled again")
        return
    for name, address, size in re.findall(r"ACPI: ([A-Z]{4}) 0x([0-9A-F]{16}) ([0-9A-F]{6})\b", log):
        if name not in ("FACP", "DSDT", "APIC", "HPET", "WAET", "MCFG"):
            continue
        base = os.path.join(folder.name, name)
        monitor.run("pmemsave", val=int(address, 16), size=int(size, 16), filename=base + ".dat")
        subprocess.run(["iasl", "-d", base + ".dat"], check=True, capture_output=True)
        run = subprocess.run(["iasl", "-p", base + "2", base + ".dsl"], check=True, capture_output=True, text=True)
        assert "0 Errors, 0 Warnings, 0 Remarks" in run.stdout, run.stdout


def wait_for(guest, command, wanted):
    """Until the command says so."""
    for _ in range(400):
        if guest.command(command)[1] == wanted:
            return
        time.sleep(0.5)
    guest.fail(f"'{command}' never said {wanted}")


def plug(guest, monitor, bus):
    """In a port, whose driver in Linux powers the slot up and down."""
    there = "cat /sys/bus/pci/devices/*/device | grep -c 0x1041"
    monitor.run("device_add", driver="virtio-net-pci", netdev="n", id="nic", bus=bus)
    wait_for(guest, there, "1")
    monitor.run("device_del", id="nic")
    assert monitor.event("DEVICE_DELETED")["device"] == "nic"
    wait_for(guest, there, "0")


def refuse(monitor):
    answer = monitor.failure("device_add", driver="virtio-rng-pci", bus="pcie.0")
    assert "does not support hotplugging" in answer["desc"], answer
    answer = monitor.failure("device_add", driver="virtio-rng-pci", bus="fixed")
    assert "hotplug=off" in answer["desc"], answer


def sleep(guest, monitor):
    """What only the window of configuration space shows is there afterwards; SeaBIOS writes to it when it resumes."""
    extended = "for f in /sys/bus/pci/devices/*/config; do dd if=$f bs=4 skip=64 count=1 2>/dev/null; done | md5sum"
    window = guest.command(extended)
    assert window[0] == 0 and hashlib.md5(b"").hexdigest() not in window[1], window
    guest.line("echo mem > /sys/power/state; echo woken $?")
    monitor.event("SUSPEND")
    monitor.run("system_wakeup")
    monitor.event("WAKEUP")
    guest.expect(r"woken 0")
    assert guest.command(extended) == window


def linux():
    with Guest([kaso, "-M", "q35", "-m", "512", "-smp", "2", "-nographic", "-vga", "none", "-nic", "none", "-usb", "-netdev", "user,id=n", "-netdev", "user,id=m",
                "-device", "pcie-root-port,id=one,chassis=1,slot=1,port=0x10", "-device", "ioh3420,id=two,chassis=2,slot=2",
                "-device", "pcie-root-port,id=fixed,chassis=3,hotplug=off", "-device", "virtio-rng-pci,bus=fixed",
                "-device", "x3130-upstream,id=up,bus=two", "-device", "xio3130-downstream,id=down,bus=up,chassis=4,slot=4",
                "-device", "pcie-pci-bridge,id=pci", "-device", "e1000,netdev=m,bus=pci,addr=1",
                "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 init=/kaso-shell panic=-1 loglevel=3", "-no-reboot",
                "-qmp", f"unix:{socket},server=on,wait=off"]) as guest:
        monitor = Monitor(socket)
        guest.expect(r"Type poweroff to end", 300)
        guest.expect(r"# ")
        _, log = guest.command("dmesg")
        check_log(log)
        check_tables(monitor, log)
        assert guest.command("cat /sys/class/dmi/id/product_name")[1] == "Standard PC (Q35 + ICH9, 2009)"
        refuse(monitor)
        for bus in ("one", "down", "one"):
            plug(guest, monitor, bus)
        for _ in range(3):
            sleep(guest, monitor)
        plug(guest, monitor, "one")
        guest.line("poweroff")
        assert guest.wait() == 0


boot_sectors()
linux()
print("q35: good")
