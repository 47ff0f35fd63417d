#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pxe KASO NIC: the NIC's own expansion ROM gets an address and pxelinux with its menu from the user network."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from qmp import Monitor
from patience import allow

kaso, nic = sys.argv[1:]
TIMEOUT = 60
MODULES = "/usr/lib/syslinux/modules/bios"
FILES = ["/usr/lib/PXELINUX/pxelinux.0"] + [f"{MODULES}/{name}.c32" for name in ("ldlinux", "libcom32", "libutil", "menu", "reboot")]
CONFIGURATION = """DEFAULT menu.c32
MENU TITLE A menu by network
LABEL first
 MENU LABEL The first entry
 KERNEL reboot.c32
LABEL second
 MENU LABEL The second entry
 KERNEL reboot.c32
"""

for path in FILES + ["/usr/share/seabios/bios-256k.bin", "/usr/lib/ipxe/qemu/efi-e1000.rom"]:
    if not os.path.exists(path):
        print(f"SKIP: no {path} (packages seabios, ipxe-qemu, pxelinux, syslinux-common)")
        sys.exit(77)


def screen(monitor, words):
    """Waits until the text screen has the words."""
    end = time.monotonic() + allow(TIMEOUT)
    while time.monotonic() < end:
        text = monitor.run("human-monitor-command", **{"command-line": "info text"})
        if words in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"no '{words}' on the screen:\n{text}")


with tempfile.TemporaryDirectory() as folder:
    tftp, socket = os.path.join(folder, "tftp"), os.path.join(folder, "qmp")
    os.makedirs(os.path.join(tftp, "pxelinux.cfg"))
    for path in FILES:
        shutil.copy(path, tftp)
    with open(os.path.join(tftp, "pxelinux.cfg", "default"), "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    run = subprocess.Popen([kaso, "-M", "pc", "-m", "64", "-nodefaults", "-vga", "std", "-display", "none", "-boot", "n", "-no-reboot",
                            "-netdev", f"user,id=net,tftp={tftp},bootfile=pxelinux.0", "-device", f"{nic},netdev=net",
                            "-qmp", f"unix:{socket},server=on,wait=off"], stdin=subprocess.DEVNULL)
    try:
        monitor = Monitor(socket)
        menu = screen(monitor, "Press [Tab] to edit options")
        assert "A menu by network" in menu and "The second entry" in menu, menu
        monitor.run("human-monitor-command", **{"command-line": "sendkey tab"})
        screen(monitor, "> reboot.c32")
        monitor.run("human-monitor-command", **{"command-line": "sendkey ret"})
        assert run.wait(allow(TIMEOUT)) == 0, "reboot.c32 did not run"
    finally:
        run.kill()
        run.wait()
print(f"pxelinux by {nic}")
