#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-boot-menu KASO: SeaBIOS's boot menu, read from the text screen and driven by sendkey, by a PC's keyboard and by a USB one on each
controller; the disk that it lists second is booted."""

import os
import re
import subprocess
import sys
import tempfile
import time

from qmp import Monitor
from patience import allow

kaso = sys.argv[1]
PATIENCE = 100  # seconds, on a busy host

if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
    print("SKIP: the package seabios is not installed")
    sys.exit(77)


def boot_sector(letter):
    """Writes a letter to the debug console and ends the machine."""
    code = bytes([0xb0, ord(letter), 0xe6, 0xe9,  # mov $letter, %al; out %al, $0xe9
                  0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, 0xf4])  # mov $0x501, %dx; mov $0x10, %al; out %al, %dx; hlt
    return code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)


def run(monitor, line):
    return monitor.run("human-monitor-command", **{"command-line": line})


def wait_for(monitor, pattern):
    end = time.monotonic() + allow(PATIENCE)
    while time.monotonic() < end:
        screen = run(monitor, "info text")
        if re.search(pattern, screen):
            return screen
        time.sleep(0.2)
    raise AssertionError(f"no {pattern} on the screen:\n{screen}")


KEYBOARDS = {
    "PS/2": [],
    "UHCI": ["piix3-usb-uhci", "usb-kbd"],
    "EHCI with a companion": ["ich9-usb-ehci1,id=usb", "ich9-usb-uhci1,masterbus=usb.0,firstport=0", "usb-kbd"],
    "EHCI": ["usb-ehci", "usb-kbd"],
    "xHCI": ["qemu-xhci", "usb-kbd"],
    "xHCI, behind a hub": ["qemu-xhci", "usb-hub,port=1", "usb-kbd,port=1.2"],
}


def check(name, devices):
    with tempfile.TemporaryDirectory() as folder:
        machine = "pc,i8042=off" if devices else "pc"  # so that nothing else can have typed
        argv = [kaso, "-M", machine, "-m", "64", "-nodefaults", "-vga", "std", "-display", "none", "-boot",
                "menu=on,splash-time=60000", "-chardev", f"file,id=out,path={folder}/out", "-device",
                "isa-debugcon,chardev=out", "-device", "isa-debug-exit", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        for device in devices:
            argv += ["-device", device]
        for index, letter in enumerate("AB"):
            with open(f"{folder}/{letter}", "wb") as file:
                file.write(boot_sector(letter))
            argv += ["-drive", f"file={folder}/{letter},format=raw,if=none,id=d{letter}", "-device",
                     f"ide-hd,bus=ide.0,unit={index},drive=d{letter},bootindex={index}"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
            try:
                monitor = Monitor(f"{folder}/qmp")
                wait_for(monitor, "Press ESC for boot menu")
                run(monitor, "sendkey esc")
                screen = wait_for(monitor, r"Select boot device:[\s\S]*2\. ")
                assert re.search(r"1\. .*ata0-0", screen) and re.search(r"2\. .*ata0-1", screen), screen
                run(monitor, "sendkey 2")
                assert process.wait(allow(PATIENCE)) == 0x21
            finally:
                process.kill()
        with open(f"{folder}/out", "rb") as file:
            assert file.read() == b"B"
    print(f"{name}: the boot menu's second disk was booted", flush=True)


for keyboard in KEYBOARDS.items():
    check(*keyboard)
