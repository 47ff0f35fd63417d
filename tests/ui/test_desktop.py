# SPDX-License-Identifier: MIT
"""test_desktop KASO_DIR GUESTS KIND: a Debian desktop in a window under Xvfb, driven as people do: keys of several layouts, pointer
positions at several scales, sizes, pictures, and the clipboard. pc-std, pc-cirrus, pc-virtio, virt; pc-heads: two windows."""

import os
import re
import shutil
import subprocess
import sys
import time

from desktop import Desktop, window_png
from patience import allow
from test_sdl import Xvfb, focus

AGENT = ["-device", "virtio-serial-pci", "-chardev", "qemu-vdagent,id=agent,clipboard=on", "-device",
         "virtserialport,chardev=agent,name=com.redhat.spice.0"]
# The text, and the keys that are pressed for it, by their names of a US keyboard; ^: with shift, ~: with AltGr.
TEXTS = {
    "us": ('Hello, "World" #1 @y-z', "^H E L L O COMMA SPACE ^APOSTROPHE ^W O R L D ^APOSTROPHE SPACE ^3 1 SPACE ^2 Y MINUS Z"),
    "de": ('Gr\xf6\xdfe: "yz" #\xe4_@', "^G R SEMICOLON MINUS E ^DOT SPACE ^2 Z Y ^2 SPACE BACKSLASH APOSTROPHE ^SLASH ~Q"),
    "jp": ('a@:[]^\\_"', "A LEFTBRACE APOSTROPHE RIGHTBRACE BACKSLASH EQUAL YEN|RO ^RO ^2"),
}

STEPS = ("picture", "click", "clipboard", "type us", "type de", "type jp", "scales", "follow")


def wait_for(condition, limit=60):
    end = time.monotonic() + allow(limit)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)


class Driver:
    def __init__(self, server, desktop, kind):
        self.server, self.desktop = server, desktop
        self.follows = kind in ("pc-virtio", "virt") # other cards cannot tell their guests of a size
        self.window = server.window()
        server.activate(self.window)
        # On a busy host keys stay down for longer than they are meant to.
        subprocess.run(["xset", "r", "off"], env=server.env, check=True)
        desktop.sh("xset r off")

    def geometry(self):
        return self.server.geometry(self.window)

    def size_to(self, width, height):
        wait_for(lambda: self.geometry()[2:] == (width, height))

    def keyboard(self):
        """The guest's device for the keyboard in use."""
        found = self.desktop.sh("grep -l -i keyboard /sys/class/input/event*/device/name").split()
        return "/dev/input/" + found[-1].split("/")[4]

    def type(self, layout):
        """Types a text, and compares what evtest in the guest tells."""
        text, wanted = TEXTS[layout]
        subprocess.run(["setxkbmap", layout], env=self.server.env, check=True)
        self.desktop.sh("rm -f /tmp/ev; (evtest --grab %s >/tmp/ev 2>&1 &); until grep -q Testing /tmp/ev; do sleep 0.2; done"
                        % self.keyboard())
        self.server.xdotool("type", "--delay", "40", text)
        pressed, shift, other = [], False, False
        wanted = wanted.split()
        end = time.monotonic() + allow(60)
        while len(pressed) < len(wanted) and time.monotonic() < end:
            time.sleep(0.5)
            events = re.findall(r"EV_KEY\), code \d+ \(KEY_(\w+)\), value ([01])", self.desktop.sh("cat /tmp/ev"))
            pressed = []
            for key, down in events:
                if key in ("LEFTSHIFT", "RIGHTSHIFT"):
                    shift = down == "1"
                elif key == "RIGHTALT":
                    other = down == "1"
                elif down == "1":
                    pressed.append(("^" if shift else "~" if other else "") + key)
        self.desktop.sh("pkill evtest; true")
        assert len(pressed) == len(wanted) and all(p in w.split("|") for p, w in zip(pressed, wanted)), (layout, pressed, wanted)
        print("%s: %d keys right" % (layout, len(pressed)))

    def pointer(self, what):
        """The farthest that the guest's pointer is from the place below the host's."""
        left, top, width, height = self.geometry()
        guest_width, guest_height = self.desktop.size()
        scale = min(width / guest_width, height / guest_height)
        scale = int(scale) if scale >= 1 and scale - int(scale) < 0.05 else scale
        x0, y0 = (width - guest_width * scale) // 2, (height - guest_height * scale) // 2
        worst = 0
        for x, y in ((0, 0), (1, 1), (17, 301), (guest_width // 2, guest_height // 3), (guest_width - 1, guest_height - 1)):
            at_x, at_y = int(x0 + (x + 0.5) * scale), int(y0 + (y + 0.5) * scale)
            self.server.xdotool("mousemove", "--window", self.window, at_x, at_y)
            wanted = int((at_x + 0.5 - x0) / scale), int((at_y + 0.5 - y0) / scale)
            end, got = time.monotonic() + allow(60), None
            while got != wanted and time.monotonic() < end:
                got = self.desktop.pointer()
            worst = max(worst, abs(got[0] - wanted[0]), abs(got[1] - wanted[1]))
            assert worst <= 1, (what, wanted, got)
        print("pointer at %s: off by %d at most" % (what, worst))

    def mode(self, width, height):
        self.desktop.sh("xrandr --output $(xrandr | sed -n 's/ connected.*//p' | head -n 1) --mode %dx%d" % (width, height))
        self.size_to(width, height)

    def scales(self):
        server = self.server
        subprocess.run(["setxkbmap", "us"], env=server.env, check=True)
        self.mode(640, 480)
        server.xdotool("windowmove", self.window, 20, 40)
        self.pointer("100 %")
        for zoom, width, height in (("150", 960, 720), ("200", 1280, 960)):
            server.xdotool("key", "ctrl+alt+equal")
            time.sleep(0.5)
            server.xdotool("key", "ctrl+alt+equal")
            self.size_to(width, height)
            self.pointer(zoom + " %")
        server.xdotool("key", "ctrl+alt+f")
        wait_for(lambda: self.geometry()[2] == 1600)
        if self.follows:
            wait_for(lambda: self.desktop.size() == (1600, 1200))
        self.pointer("full screen")
        server.xdotool("key", "ctrl+alt+f")
        wait_for(lambda: self.geometry()[2] != 1600)
        server.xdotool("key", "ctrl+alt+u")
        if not self.follows:
            self.size_to(640, 480)

    def click(self):
        """A click on the editor's window gives it the keyboard, and what is typed is in its file."""
        subprocess.run(["setxkbmap", "us"], env=self.server.env, check=True)
        x, y = self.desktop.sh("xdotool search --onlyvisible --class xedit windowraise getwindowgeometry --shell | sed -n 's/^[XY]=//p'").split()

        # The guest may not have found all its devices yet: what was done in vain is done again.
        def active():
            self.server.xdotool("mousemove", "--window", self.window, int(x) + 200, int(y) + 200, "click", 1)
            time.sleep(1)
            return "xedit" in self.desktop.guest.command("xdotool getactivewindow getwindowname")[1]
        wait_for(active)

        def saved():
            self.server.xdotool("type", "--delay", "60", "dear ")
            self.server.xdotool("key", "ctrl+x", "ctrl+s")
            time.sleep(2)
            return "dear" in self.desktop.sh("cat /root/letter.txt; echo")
        wait_for(saved, 120)

    def picture(self):
        dumped = self.desktop.settle()
        wait_for(lambda: self.server.picture(self.window) == self.desktop.settle())
        return dumped

    def heads(self):
        """A window for each head, with what the guest shows on it."""
        self.desktop.sh("xrandr --output Virtual-1 --mode 800x600; xrandr --output Virtual-2 --mode 640x480 --right-of Virtual-1")
        other = self.server.window("Kaso: gpu.1")
        self.size_to(800, 600)
        wait_for(lambda: self.server.geometry(other)[2:] == (640, 480))
        self.server.xdotool("windowmove", other, 900, 660) # what is behind another has no picture
        self.server.xdotool("windowmove", self.window, 10, 30)
        self.desktop.sh("xdotool search --class xterm windowmove 820 20")
        self.picture()

        def shown():
            self.desktop.qmp.run("screendump", filename=self.desktop.path("two.ppm"), device="gpu", head=1)
            with open(self.desktop.path("two.ppm"), "rb") as file:
                return file.read().split(b"\n", 3)[3]
        wait_for(lambda: len(set(shown())) > 3) # the terminal is there
        wait_for(lambda: self.server.picture(other)[2] == shown())

    def follow(self):
        """The guest takes the window's size."""
        self.server.xdotool("windowsize", self.window, 1000, 700)
        wait_for(lambda: self.desktop.size() == (1000, 700))
        self.size_to(1000, 700)
        self.picture()

    def clipboard(self):
        """Both ways, by spice-vdagent and xclip."""
        env = self.server.env
        subprocess.run(["xclip", "-selection", "clipboard", "-i"], input="from the host: \xe4\u20ac\n".encode(), env=env, check=True)
        focus(self.server, self.window)
        wait_for(lambda: "from the host: \xe4\u20ac" in
                 self.desktop.guest.command("timeout 5 xclip -selection clipboard -o -t UTF8_STRING; echo")[1])
        self.desktop.sh("echo from the guest | xclip -selection clipboard -i >/dev/null 2>&1")
        wait_for(lambda: subprocess.run(["timeout", "5", "xclip", "-selection", "clipboard", "-o", "-t", "UTF8_STRING"], env=env,
                                        stdout=subprocess.PIPE).stdout == b"from the guest\n")


def main():
    build, guests, kind = sys.argv[1:4]
    keep = sys.argv[4] if len(sys.argv) > 4 else None
    program = os.path.join(build, "kaso-system-aarch64" if kind == "virt" else "kaso-system-x86_64")
    with Xvfb(1600, 1200) as server, server.managed(), \
            Desktop(program, guests, kind, "-display", "sdl", *AGENT, env=server.env) as desktop:
        started = time.monotonic()
        desktop.boot()
        print("a desktop after %.0f s" % (time.monotonic() - started), flush=True)
        driver = Driver(server, desktop, kind)
        for step in STEPS if kind != "pc-heads" else ("heads",):
            if step == "follow" and not driver.follows:
                continue
            name, *arguments = step.split()
            getattr(driver, name)(*arguments)
            print(step, "%.0f s" % (time.monotonic() - started), flush=True)
            if keep:
                window_png(server, driver.window, "%s/%s-%s.png" % (keep, kind, step.replace(" ", "-")))


if __name__ == "__main__":
    for tool in ("Xvfb", "xdotool", "xwd", "xset", "openbox", "setxkbmap", "xclip"):
        if not shutil.which(tool):
            print("no %s (Debian packages xvfb, xdotool, x11-apps, x11-xserver-utils, openbox, x11-xkb-utils, xclip)" % tool)
            sys.exit(77)
    arch = "arm64" if sys.argv[3] == "virt" else "amd64"
    if not os.path.exists("%s/desktop-%s/root.img" % (sys.argv[2], arch)):
        print("no desktop-%s in %s: scripts/make-guest %s %s/desktop-%s desktop makes it" % (arch, sys.argv[2], arch, sys.argv[2], arch))
        sys.exit(77)
    main()
