#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc-tables KASO BOOT_DIR: what Linux makes of the PC's ACPI and SMBIOS tables, and iasl of the former."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from guest import Guest
from qmp import Monitor

kaso, boot = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
socket = os.path.join(folder.name, "qmp")
UUID = "550e8400-e29b-41d4-a716-446655440000"
SYSTEM = {"sys_vendor": "Maker", "product_name": "A product", "product_version": "v7", "product_serial": "S-1",
          "product_uuid": UUID, "product_family": "Family"}


def start(*options):
    return Guest([kaso, "-M", "pc", "-m", "512", "-nographic", "-kernel", kernel, "-initrd", initrd, "-append",
                  "console=ttyS0 init=/kaso-shell panic=-1 loglevel=3", "-no-reboot", *options])


def prompt(guest):
    guest.expect(r"Type poweroff to end", 200)
    guest.expect(r"# ")


def reassemble(name):
    """The table by iasl to text, and back without a word."""
    base = os.path.join(folder.name, name)
    subprocess.run(["iasl", "-d", base + ".dat"], check=True, capture_output=True)
    run = subprocess.run(["iasl", "-p", base + "2", base + ".dsl"], check=True, capture_output=True, text=True)
    assert "0 Errors, 0 Warnings, 0 Remarks" in run.stdout or "Errors" not in run.stdout, run.stdout


def tables():
    options = ("-smp", "2", "-uuid", UUID, "-qmp", f"unix:{socket},server=on,wait=off", "-smbios",
               "type=1,manufacturer=Maker,product=A product,version=v7,serial=S-1,family=Family", "-numa", "node,cpus=0", "-numa",
               "node,cpus=1", "-numa", "dist,src=0,dst=1,val=21")
    with start(*options) as guest:
        prompt(guest)
        for name, value in SYSTEM.items():
            status, text = guest.command(f"cat /sys/class/dmi/id/{name}")
            assert (status, text) == (0, value), (name, text)
        _, log = guest.command("dmesg")
        for word in ("ACPI Error", "ACPI Warning", "ACPI BIOS", "Firmware Bug"):
            assert word not in log, [line for line in log.splitlines() if word in line]
        assert "Interpreter enabled" in log and "Using IOAPIC for interrupt routing" in log
        assert re.search(r"root bus resource \[mem 0x20000000-0xfebfffff window\]", log)
        assert "PM: (supports S0" in log
        _, text = guest.command("grep -c ^processor /proc/cpuinfo")
        assert text == "2", text
        if shutil.which("iasl"):
            monitor = Monitor(socket)
            found = re.findall(r"ACPI: ([A-Z]{4}) 0x([0-9A-F]{16}) ([0-9A-F]{6})\b", log)
            assert {name for name, _, _ in found} >= {"RSDT", "FACP", "DSDT", "FACS", "APIC", "HPET", "WAET", "SRAT", "SLIT"}, found
            for name, address, size in found:
                if name in ("FACP", "DSDT", "APIC", "HPET", "WAET", "SRAT", "SLIT"):
                    monitor.run("pmemsave", val=int(address, 16), size=int(size, 16),
                                filename=os.path.join(folder.name, name + ".dat"))
                    reassemble(name)
        else:
            print("iasl is not installed: tables not compiled again")
        guest.line("poweroff")
        assert guest.wait() == 0


def without_acpi():
    """The interrupts come by the MP table, then, and the HPET is not told of."""
    with start("-M", "pc,acpi=off", "-no-hpet") as guest:
        prompt(guest)
        assert guest.command("ls /sys/firmware/acpi")[0] != 0
        _, clocks = guest.command("cat /sys/devices/system/clocksource/clocksource0/available_clocksource")
        assert "hpet" not in clocks and "acpi_pm" not in clocks, clocks
        assert guest.command("cat /sys/class/dmi/id/sys_vendor") == (0, "QEMU")


tables()
without_acpi()
