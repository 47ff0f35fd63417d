# SPDX-License-Identifier: MIT
"""The desktop guest (scripts/make-guest ARCH DIR desktop) with a window of Kaso's on a display server of its own."""

import os
import struct
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "boot"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "monitor"))
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from guest import Guest  # noqa: E402
from patience import allow
from qmp import Monitor  # noqa: E402

PC_INPUT = ["-device", "qemu-xhci", "-device", "usb-tablet"]
ARM_INPUT = ["-device", "qemu-xhci", "-device", "usb-kbd", "-device", "usb-tablet"]
KINDS = {
    "pc-std": ["amd64", "-device", "VGA", *PC_INPUT],
    "pc-cirrus": ["amd64", "-device", "cirrus-vga", *PC_INPUT],
    "pc-virtio": ["amd64", "-device", "virtio-vga", *PC_INPUT],
    "pc-heads": ["amd64", "-device", "virtio-vga,id=gpu,max_outputs=2", *PC_INPUT],
    "virt": ["arm64", "-device", "virtio-gpu-pci", *ARM_INPUT],
}


class Desktop:
    """A booted desktop. kaso: the program, or words of a command; guests: a folder with amd64 and arm64 of make-guest's."""

    def __init__(self, kaso, guests, kind, *options, env=None, memory="1G", accel=()):
        arch, *devices = KINDS[kind]
        folder = os.path.join(guests, "desktop-" + arch)
        board = ["-M", "virt", "-cpu", "cortex-a57"] if arch == "arm64" else ["-M", "pc", "-cpu", "max"]
        console = "ttyAMA0" if arch == "arm64" else "ttyS0"
        self.folder = tempfile.TemporaryDirectory()
        self.guest = Guest([
            *kaso.split(), *board, *accel, "-m", memory, "-smp", "2", "-nodefaults", "-kernel", folder + "/kernel", "-initrd",
            folder + "/initrd.img", "-append", "console=%s quiet panic=-1" % console, "-snapshot", "-drive",
            "if=none,id=disk,format=raw,file=%s/root.img" % folder, "-device", "virtio-blk-pci,drive=disk",
            *devices, "-serial", "stdio", "-no-reboot", "-qmp", "unix:%s,server=on,wait=off" % self.path("qmp"),
            *[o.replace("@", self.folder.name) for o in options]], env=env)
        self.qmp = Monitor(self.path("qmp"), 120)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def __enter__(self):
        self.guest.__enter__()
        return self

    def __exit__(self, *what):
        self.guest.__exit__(*what)
        self.folder.cleanup()

    def boot(self, limit=400):
        """Until the window manager and the programs of the session are there."""
        self.guest.expect(r"guest-ready", 400)
        self.guest.expect(r"bash-.*# ", 200)
        self.guest.line("stty -echo; PS1=; echo re''ady")
        self.guest.expect(r"^ready$", 60)
        self.sh("while ! xdotool search --onlyvisible --class xedit; do sleep 0.5; done >/dev/null 2>&1", limit)

    def sh(self, text, timeout=120):
        """What a shell command in the guest prints; it must succeed."""
        status, output = self.guest.command(text, timeout)
        assert status == 0, (text, output)
        return output

    def size(self):
        """The guest's screen as X has it."""
        line = [row for row in self.sh("xrandr").splitlines() if "current" in row][0]
        words = line.replace(",", "").split()
        at = words.index("current")
        return int(words[at + 1]), int(words[at + 3])

    def pointer(self):
        x, y = self.sh("xdotool getmouselocation --shell").split()[:2]
        return int(x[2:]), int(y[2:])

    def dump(self, name="dump.ppm"):
        """Width, height and colours of the guest's screen."""
        self.qmp.run("screendump", filename=self.path(name))
        with open(self.path(name), "rb") as file:
            head = file.read().split(b"\n", 3)
        width, height = map(int, head[1].split())
        return width, height, head[3]

    def settle(self, seconds=1.0, limit=60):
        """Waits until the screen has not changed for a while."""
        end = time.monotonic() + allow(limit)
        before, since = self.dump(), time.monotonic()
        while time.monotonic() - since < seconds and time.monotonic() < end:
            time.sleep(0.2)
            now = self.dump()
            if now != before:
                before, since = now, time.monotonic()
        return before

    def png(self, path):
        self.qmp.run("screendump", filename=path, format="png")


def window_png(server, window, path):
    """A picture of a window, for people."""
    width, height, colours = server.picture(window)
    rows = b"".join(b"\0" + colours[3 * width * y:3 * width * (y + 1)] for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
