#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc-disks KASO: SeaBIOS boots a sector from a disk behind each kind of controller, in the order that bootindex says."""

import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

kaso = sys.argv[1]
SECTOR = 512
CONTROLLERS = {
    "ide": ["-device", "ide-hd,bus=ide.1,drive=second,bootindex=0"],
    "ahci": ["-device", "ahci,id=ahci0", "-device", "ide-hd,bus=ahci0.2,drive=second,bootindex=0"],
    "nvme": ["-device", "nvme,drive=second,serial=S1,bootindex=0"],
    "nvme-ns": ["-device", "nvme,id=nvme0,serial=S1", "-device", "nvme-ns,bus=nvme0,drive=second,bootindex=0"],
    "virtio-blk": ["-device", "virtio-blk-pci,drive=second,bootindex=0"],
    "virtio-scsi": ["-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-hd,bus=scsi.0,scsi-id=4,lun=1,drive=second,bootindex=0"],
}

if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
    print("SKIP: the package seabios is not installed")
    sys.exit(77)


def boot_sector(letter):
    """Writes a letter to the debug console and ends the machine."""
    code = bytes([0xb0, ord(letter), 0xe6, 0xe9,  # mov $letter, %al; out %al, $0xe9
                  0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, 0xf4])  # mov $0x501, %dx; mov $0x10, %al; out %al, %dx; hlt
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa" + bytes(1 << 20)


with tempfile.TemporaryDirectory() as folder:
    for letter in "AB":
        with open(os.path.join(folder, letter), "wb") as file:
            file.write(boot_sector(letter))
    for name, devices in CONTROLLERS.items():
        run = subprocess.run([kaso, "-M", "pc", "-m", "64", "-nodefaults", "-display", "none", "-chardev", "stdio,id=out",
                              "-device", "isa-debugcon,chardev=out", "-device", "isa-debug-exit",
                              "-drive", f"file={folder}/A,format=raw,if=none,id=first",
                              "-drive", f"file={folder}/B,format=raw,if=none,id=second",
                              "-device", "ide-hd,bus=ide.0,drive=first,bootindex=1", *devices],
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=allow(120))
        assert run.returncode == 0x21 and run.stdout == b"B", (name, run)
        print(name, flush=True)
