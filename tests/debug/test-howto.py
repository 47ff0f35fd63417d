#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-howto KASO BOOT_DIR PAGE: runs the blocks of docs/howto/why-does-my-kernel-not-boot.md. A block "run" begins with a command line, "more" goes on
in the same machine; then come commands, each with lines (indented) that its answer has to contain, now or soon.
"""
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from guests import FILES  # pylint: disable=wrong-import-position
from qmp import Monitor  # pylint: disable=wrong-import-position
from patience import allow

PATIENCE = 120
FIRMWARE = {"u-boot.bin": "/usr/lib/u-boot/qemu_arm64/u-boot.bin", "edk2.fd": "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"}
kaso, boot, page = sys.argv[1:]
if not os.path.exists(os.path.join(boot, "linux")):
    print(f"no {boot}/linux: scripts/dev check makes it")
    sys.exit(77)


class Session:
    """One machine of the page."""

    def __init__(self, folder, command):
        words = shlex.split(command)
        assert words[0] == "kaso", command
        socket = os.path.join(folder, "qmp")
        self.process = subprocess.Popen([os.path.abspath(kaso), *words[1:], "-display", "none", "-serial", "null", "-monitor", "none",
                                         "-qmp", f"unix:{socket},server=on,wait=off"], cwd=folder)
        self.monitor = Monitor(socket)

    def ask(self, command, wanted):
        """Until the answer has all that is wanted."""
        deadline = time.monotonic() + allow(PATIENCE)
        while True:
            answer = self.monitor.run("human-monitor-command", **{"command-line": command})
            missing = [w for w in wanted if w not in answer]
            if not missing:
                return
            assert time.monotonic() < deadline, f"{command}: no {missing} in:\n{answer[-3000:]}"
            time.sleep(0.3)

    def end(self):
        self.process.kill()
        self.process.wait()


def make_device_trees(folder):
    """The board's own tree with the serial port elsewhere, and with an interrupt controller that nobody knows."""
    path = os.path.join(folder, "virt.dtb")
    subprocess.run([os.path.abspath(kaso), "-M", f"virt,dumpdtb={path}", "-display", "none"], check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        tree = file.read()
    changes = {"moved.dtb": (struct.pack(">QQ", 0x9000000, 0x1000), struct.pack(">QQ", 0x1C090000, 0x1000)),
               "other.dtb": (b"arm,cortex-a15-gic", b"arm,cortex-a99-gic")}
    for name, (old, new) in changes.items():
        assert tree.count(old) == 1, name
        with open(os.path.join(folder, name), "wb") as file:
            file.write(tree.replace(old, new))


    path = os.path.join(folder, "overlap.dtb")
    subprocess.run([os.path.abspath(kaso), "-M", f"virt,dumpdtb={path}", "-m", "512", "-display", "none", "-kernel", os.path.join(folder, "linux"),
                    "-initrd", os.path.join(folder, "initrd.gz")], check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        tree = file.read()
    start, end = (0x48000000 + size for size in (0, os.path.getsize(os.path.join(folder, "initrd.gz"))))
    for old, new in (start, 0x40800000), (end, 0x40900000):
        assert tree.count(struct.pack(">Q", old)) == 1, hex(old)
        tree = tree.replace(struct.pack(">Q", old), struct.pack(">Q", new))
    with open(path, "wb") as file:
        file.write(tree)


def steps(lines):
    """Pairs of a command and what its answer contains."""
    result = []
    for line in lines:
        if line.startswith("    "):
            result[-1][1].append(line.strip())
        elif line:
            result.append((line, []))
    return result


with open(page, encoding="utf-8") as file:
    blocks = re.findall(r"^```(run|more)\n(.*?)^```", file.read(), re.M | re.S)
assert len(blocks) > 15, len(blocks)
session = None
with tempfile.TemporaryDirectory() as folder:
    for name in ("linux", "initrd.gz"):
        os.symlink(os.path.abspath(os.path.join(boot, name)), os.path.join(folder, name))
    for name, content in FILES.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    if os.path.exists(os.path.join(boot, "amd64", "linux")):
        os.symlink(os.path.abspath(os.path.join(boot, "amd64", "linux")), os.path.join(folder, "linux-amd64"))
    for name, path in FIRMWARE.items():
        if os.path.exists(path):
            os.symlink(path, os.path.join(folder, name))
    make_device_trees(folder)
    try:
        for kind, text in blocks:
            lines = text.splitlines()
            if any(name in lines[0] and not os.path.exists(path) for name, path in FIRMWARE.items()):
                print(f"left out, its firmware is not installed: {lines[0]}")
                continue
            if "linux-amd64" in lines[0] and not os.path.exists(os.path.join(folder, "linux-amd64")):
                print(f"left out, there is no such kernel: {lines[0]}")
                continue
            if kind == "run":
                if session:
                    session.end()
                start = time.monotonic()
                session = Session(folder, lines.pop(0))
            for command, wanted in steps(lines):
                session.ask(command, wanted)
                print(f"{time.monotonic() - start:6.1f} s  {command}")
    finally:
        session.end()
    with open(os.path.join(folder, "boot.svg"), encoding="utf-8") as file:
        assert "</svg>" in file.read()
print("ok")
