# SPDX-License-Identifier: MIT
"""A window under Xvfb: its picture against screendump, keys and pointer by xdotool, sizes, and a display server that goes."""

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import rfb
from patience import allow
from rfb import Client
from screen import Screen
from test_vnc import cpu_of_still, keys_of, start_keyboard, wait_for

WIDTH, HEIGHT = 1280, 1024


class Xvfb:
    def __init__(self, width=WIDTH, height=HEIGHT):
        read, write = os.pipe()
        # -noreset: when its last client goes (xdotool that has found no window yet) it would begin anew, and refuse who comes meanwhile.
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "%dx%dx24" % (width, height), "-nolisten", "tcp", "-noreset"],
            pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        number = b""
        while not number.endswith(b"\n"):
            got = os.read(read, 16)
            assert got, "Xvfb did not start"
            number += got
        os.close(read)
        self.env = {**os.environ, "DISPLAY": ":" + number.decode().strip(), "SDL_RENDER_DRIVER": "software",
                    "LIBGL_ALWAYS_SOFTWARE": "1"}
        self.env.pop("WAYLAND_DISPLAY", None)

    def xdotool(self, *words):
        return subprocess.run(["xdotool", *map(str, words)], env=self.env, check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def window(self, name="Kaso", limit=20):
        end = time.monotonic() + allow(limit)
        while time.monotonic() < end:
            out = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", name], env=self.env,
                                 stdout=subprocess.PIPE, text=True).stdout.split()
            if out:
                return out[0]
            time.sleep(0.05)
        raise AssertionError("no window " + name)

    @contextlib.contextmanager
    def managed(self):
        """With openbox, once it is up: a window that comes while it starts may never be shown."""
        with tempfile.TemporaryDirectory() as folder:
            up = os.path.join(folder, "up")
            manager = subprocess.Popen(["openbox", "--sm-disable", "--startup", "touch " + up], env=self.env,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                end = time.monotonic() + allow(20)
                while not os.path.exists(up):
                    assert time.monotonic() < end, "openbox does not start"
                    time.sleep(0.02)
                yield
            finally:
                manager.kill()
                manager.wait()

    def activate(self, window):
        """Once the window manager is there to do it."""
        end = time.monotonic() + allow(20)
        while subprocess.run(["xdotool", "windowactivate", "--sync", window], env=self.env, stderr=subprocess.DEVNULL).returncode:
            assert time.monotonic() < end, "no window manager"
            time.sleep(0.05)

    def geometry(self, window):
        out = self.xdotool("getwindowgeometry", "--shell", window)
        values = dict(line.split("=") for line in out.split())
        return tuple(int(values[k]) for k in ("X", "Y", "WIDTH", "HEIGHT"))

    def title(self, window):
        return self.xdotool("getwindowname", window).strip()

    def picture(self, window):
        """Width, height and colours of a window (XWD, as xwd writes it)."""
        data = subprocess.run(["xwd", "-silent", "-id", window], env=self.env, check=True, stdout=subprocess.PIPE).stdout
        head = struct.unpack(">25I", data[:100])
        width, height, stride, colours = head[4], head[5], head[12], head[19]
        rows = data[head[0] + 12 * colours:]
        out = bytearray(3 * width * height)
        for y in range(height):
            row = rows[y * stride:y * stride + 4 * width]
            at = slice(3 * width * y, 3 * width * (y + 1))
            line = bytearray(3 * width)
            line[0::3], line[1::3], line[2::3] = row[2::4], row[1::4], row[0::4]
            out[at] = line
        return width, height, bytes(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def start(server, *arguments, **more):
    # The window has the keyboard when the pointer is in it: there is no window manager.
    screen = Screen("-display", "sdl", *arguments, env=server.env, **more)
    window = server.window()
    server.xdotool("windowmove", window, 0, 0)
    server.xdotool("windowfocus", window)
    server.xdotool("mousemove", 5, 5)
    return screen, window


def paint(screen, width, height):
    screen.mode(width, height)
    screen.paint(0, 0, width, screen.rgb(*[(x * 5 & 255) << 16 | (y * 3 & 255) << 8 | (x ^ y) & 255
                                           for y in range(height) for x in range(width)]))


def sized(server, window, width, height):
    wait_for(lambda: server.geometry(window)[2:] == (width, height))


def shows(server, window, wanted):
    end = time.monotonic() + allow(60)
    while server.picture(window) != wanted:
        assert time.monotonic() < end, "the window shows something else"
        time.sleep(0.05)


def scaled(picture, by):
    width, height, data = picture
    rows = [data[3 * width * y:3 * width * (y + 1)] for y in range(height)]
    wide = [b"".join(row[3 * x:3 * x + 3] * by for x in range(width)) for row in rows]
    return width * by, height * by, b"".join(row * by for row in wide)


def test_picture():
    """What is in the window is what screendump says, pixel by pixel, also at twice the size and with a border."""
    with Xvfb() as server:
        screen, window = start(server, "-name", "red")
        with screen:
            wait_for(lambda: server.title(window) == "Kaso (red)")
            paint(screen, 320, 200)
            sized(server, window, 320, 200)
            shows(server, window, screen.dump())
            screen.paint(10, 20, 4, screen.rgb(*[0xffffff] * 16))
            shows(server, window, screen.dump())
            screen.mode(320, 200, 16)
            screen.paint(0, 0, 320, struct.pack("<3200H", *range(3200)))
            shows(server, window, screen.dump())
            paint(screen, 320, 200)
            server.xdotool("windowsize", window, 640, 400)
            sized(server, window, 640, 400)
            shows(server, window, scaled(screen.dump(), 2))
            # A border on both sides.
            server.xdotool("windowsize", window, 700, 400)
            sized(server, window, 700, 400)
            wait_for(lambda: server.picture(window)[2][:90] == bytes(90))
            _, _, twice = scaled(screen.dump(), 2)
            shown = server.picture(window)[2]
            for y in (0, 77, 399):
                assert shown[3 * (700 * y + 30):3 * (700 * y + 670)] == twice[3 * 640 * y:3 * 640 * (y + 1)]
            server.xdotool("key", "ctrl+alt+u")
            sized(server, window, 320, 200)
            screen.qmp.command("stop")
            wait_for(lambda: server.title(window) == "Kaso (red) - paused")
            screen.end()


def test_save():
    """Ctrl-Alt-S: the guest's picture as a file, whatever the window's size."""
    with Xvfb() as server, tempfile.TemporaryDirectory() as folder:
        screen, window = start(server, folder=folder)
        with screen:
            paint(screen, 320, 200)
            server.xdotool("windowsize", window, 640, 400)
            sized(server, window, 640, 400)
            shows(server, window, scaled(screen.dump(), 2))
            server.xdotool("key", "ctrl+alt+s")
            wait_for(lambda: len(os.listdir(folder)) == 1)
            saved = os.path.join(folder, os.listdir(folder)[0])
            screen.qmp.command("screendump", filename=screen.path("dump.png"), format="png")
            assert "the screen is in kaso-" in screen.end()
            with open(saved, "rb") as one, open(screen.path("dump.png"), "rb") as other:
                assert one.read() == other.read()


def second_card(screen, width, height):
    """A mode of a card whose registers are in its own memory (BAR 2), painted in one colour."""
    vram, registers, address = 0xe2000000, 0xe4000000, 0x80000000 | 3 << 11
    for at, value in ((0x10, vram), (0x18, registers), (0x04, 3)):
        screen.do("outl 0xcf8 %d" % (address | at), "outl 0xcfc %d" % value)
    screen.do("writeb %d 0x20" % (registers + 0x400))
    for index, value in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
        screen.do("writew %d %d" % (registers + 0x500 + 2 * index, value))
    screen.do("memset %d %d 0x55" % (vram, 4 * width * height))


def test_heads():
    """Each head has a window of its own."""
    with Xvfb() as server:
        screen, window = start(server, devices=("VGA,id=one,addr=2", "secondary-vga,id=two,addr=3"))
        with screen:
            paint(screen, 320, 200)
            second_card(screen, 400, 300)
            other = server.window("Kaso: two")
            sized(server, window, 320, 200)
            sized(server, other, 400, 300)
            shows(server, window, screen.dump())
            shows(server, other, (400, 300, b"\x55" * (3 * 400 * 300)))
            screen.end()


def test_keys():
    """Physical keys arrive as those of a PC's keyboard; ours do not; none stays down when the window loses them."""
    with Xvfb() as server:
        screen, window = start(server, "-monitor", "vc", "-serial", "vc")
        with screen:
            start_keyboard(screen)

            def typed(wanted, *words):
                server.xdotool(*words)
                end, codes = time.monotonic() + allow(60), []
                while codes[-len(wanted):] != wanted and time.monotonic() < end:
                    codes += keys_of(screen)
                assert codes == wanted, (words, codes)

            typed([0x1e, 0x9e], "key", "a")
            typed([0xe0, 0x4d, 0xe0, 0xcd], "key", "Right")
            typed([0x2a, 0x58, 0xaa, 0xd8], "key", "shift+F12")  # xdotool lets go in this order
            typed([0x2d], "keydown", "x")
            # Another console: what was down is let go, and the monitor gets the text.
            typed([0x1d, 0x38, 0x9d, 0xad, 0xb8], "key", "ctrl+alt+2")
            sized(server, window, 720, 432)
            keys_of(screen)
            server.xdotool("keyup", "x")
            server.xdotool("type", "stop")
            server.xdotool("key", "Return")
            screen.qmp.wait_event("STOP")
            assert keys_of(screen) == []
            wait_for(lambda: server.title(window) == "Kaso: compat_monitor1 - paused")
            server.xdotool("key", "ctrl+alt+1")
            wait_for(lambda: server.geometry(window)[2:] != (720, 432))
            screen.end()


def focus(server, window):
    """To no window, and back."""
    server.xdotool("windowfocus", 0, "windowfocus", window)


def test_clipboard():
    """What other windows have copied is told when the user comes to ours; what the guest copies is there at once."""
    if not shutil.which("xclip"):
        print("no xclip: the clipboard is not looked at")
        return
    with Xvfb() as server:
        screen, window = start(server, "-vnc", "unix:@/vnc")
        with screen:
            client = Client(screen.vnc(), (rfb.RAW,))
            xclip = ["xclip", "-selection", "clipboard"]
            subprocess.run([*xclip, "-i"], input="gr\xfcn\n".encode(), env=server.env, check=True)
            focus(server, window)
            assert client.wait("cut") == "gr\xfcn\n".encode("latin-1")
            client.send(struct.pack(">BxxxI", 6, 4) + "caf\xe9".encode("latin-1"))
            wait_for(lambda: subprocess.run([*xclip, "-o", "-t", "UTF8_STRING"], env=server.env, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, timeout=allow(20)).stdout == "caf\xe9".encode())
            # Now ours is gone, which is told at once.
            subprocess.run([*xclip, "-i"], input=b"red", env=server.env, check=True)
            assert client.wait("cut") == b"red"
            screen.end()


def test_full_screen():
    """With a window manager: the whole screen, letterboxed and smooth, and back."""
    if not shutil.which("openbox"):
        print("no openbox: full screen is not looked at")
        return
    with Xvfb() as server, server.managed(), Screen("-display", "sdl", env=server.env) as screen:
        window = server.window()
        paint(screen, 320, 200)
        sized(server, window, 320, 200)
        server.activate(window)
        server.xdotool("key", "ctrl+alt+f")
        sized(server, window, WIDTH, HEIGHT)
        # 1280 x 1024: four times as large, 112 rows of black above and below.
        _, _, large = scaled(screen.dump(), 4)
        wait_for(lambda: server.picture(window)[2][3 * WIDTH * 112:-3 * WIDTH * 112] == large)
        server.xdotool("key", "ctrl+alt+f")
        sized(server, window, 320, 200)
        shows(server, window, screen.dump())
        screen.end()


def mouse_of(screen, count):
    """Movements of the PC's mouse, added up, and the last buttons."""
    end, raw = time.monotonic() + allow(60), []
    while len(raw) < count and time.monotonic() < end:
        raw += keys_of(screen)
    return raw


def test_grab():
    """A mouse (not a tablet): the first click grabs, the title says how to let go."""
    with Xvfb() as server:
        screen, window = start(server, "-vga", "none")
        with screen:
            paint(screen, 320, 200)
            sized(server, window, 320, 200)
            screen.do("outb 0x64 0xa8", "outb 0x64 0x60", "outb 0x60 0x42", "outb 0x64 0xd4", "outb 0x60 0xf4")
            keys_of(screen)
            server.xdotool("mousemove", 100, 100, "click", 1)
            wait_for(lambda: "Ctrl-Alt-G releases" in server.title(window))
            keys_of(screen)
            server.xdotool("mousemove_relative", 7, 4)
            got = mouse_of(screen, 3)
            assert got[:1] == [0x28] and got[1] <= 7, got
            server.xdotool("key", "ctrl+alt+g")
            wait_for(lambda: "releases" not in server.title(window))
            screen.end()


def test_close():
    """Closing the window ends the run, unless told otherwise."""
    for options, ends in (("sdl", True), ("sdl,window-close=off", False)):
        with Xvfb() as server:
            screen = Screen("-display", options, env=server.env)
            with screen:
                window = server.window()
                close(server, window)
                if ends:
                    assert screen.process.wait(timeout=allow(20)) == 0
                else:
                    time.sleep(0.3)
                    screen.end()


def close(server, window):
    """What a window manager sends when its button is pressed."""
    subprocess.run([sys.executable, "-c", CLOSE, window], env=server.env, check=True)


CLOSE = """
import ctypes, sys
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
display = ctypes.c_void_p(x.XOpenDisplay(None))
x.XInternAtom.restype = ctypes.c_ulong
x.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
window = int(sys.argv[1])
class Message(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send", ctypes.c_int), ("display", ctypes.c_void_p),
                ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong), ("format", ctypes.c_int), ("data", ctypes.c_long * 5),
                ("room", ctypes.c_long * 24)]
message = Message(33, 0, 1, display, window, x.XInternAtom(display, b"WM_PROTOCOLS", 0), 32)
message.data[0] = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
x.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
x.XSync(display, 0)
"""


def test_idle():
    """A window on a still screen costs next to nothing: here the message of a BIOS that finds no disk."""
    if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
        print("no SeaBIOS: what a still screen costs is not looked at")
        return
    with Xvfb() as server:
        screen, _ = start(server, accel="tcg")
        with screen:
            wait_for(lambda: "No bootable device" in screen.qmp.command(
                "human-monitor-command", **{"command_line": "info text"}))
            time.sleep(1.5)
            used = cpu_of_still(screen)
            print("CPU with a window on a still screen: %.1f %%" % (used / 2.5 * 100))
            assert used <= 0.2, used # its cursor blinks, and software draws it
            screen.end()


def drop(server, file):
    xdnd = os.path.join(os.path.dirname(os.path.abspath(__file__)), "xdnd.py")
    subprocess.run([sys.executable, xdnd, file, "20", "20"], env=server.env, check=True)


def test_drop():
    """A disc goes into the drive, another file becomes a stick; what cannot be opened is told, and the window goes on."""
    with Xvfb() as server, tempfile.TemporaryDirectory() as folder:
        disc, stick = os.path.join(folder, "a disc.iso"), os.path.join(folder, "stick")
        with open(disc, "wb") as file:
            file.write(bytes(0x8001) + b"CD001" + bytes(0x8000))
        with open(stick, "wb") as file:
            file.write(bytes(1 << 20))
        screen, _ = start(server, "-drive", "if=none,id=cd,media=cdrom", "-device", "ide-cd,drive=cd", "-usb")
        with screen:
            drop(server, disc)
            wait_for(lambda: any(d.get("inserted", {}).get("file") == disc for d in screen.qmp.command("query-block")))
            drop(server, stick)
            wait_for(lambda: "Product QEMU USB MSD" in screen.qmp.command("human-monitor-command", **{"command-line": "info usb"}))
            drop(server, os.path.join(folder, "nothing"))
            paint(screen, 320, 200)
            assert "nothing" in screen.end()


def test_server_goes():
    """The display server is killed: the guest runs on, and a line says what happened."""
    with Xvfb() as server:
        screen, _ = start(server)
        with screen:
            paint(screen, 320, 200)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            time.sleep(0.5)
            screen.paint(0, 0, 4, screen.rgb(*[0xffffff] * 16))
            assert screen.dump()[0] == 320
            assert "the display server has gone" in screen.end()


DESTROY = """import ctypes, sys
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
x.XDestroyWindow.argtypes = ctypes.c_void_p, ctypes.c_ulong
x.XSync.argtypes = ctypes.c_void_p, ctypes.c_int
display = x.XOpenDisplay(None)
x.XDestroyWindow(display, int(sys.argv[1]))
x.XSync(display, 0)
"""


def test_refused_requests():
    """Requests for a window that another program has destroyed are refused by the display server: the guest runs on."""
    with Xvfb() as server:
        screen, window = start(server)
        with screen:
            paint(screen, 320, 200)
            subprocess.run([sys.executable, "-c", DESTROY, window], env=server.env, check=True)
            for colour in (0xffffff, 0x123456):
                screen.paint(0, 0, 4, screen.rgb(*[colour] * 16))
                time.sleep(0.3)
            assert screen.dump()[0] == 320
            out = screen.end()
            assert out.count("the display server refused request") == 1, out


def test_heads_and_errors():
    out = subprocess.run([sys.argv[1], "-M", "none", "-display", "sdl,gl=on"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env={**os.environ, "DISPLAY": ":65432", "SDL_VIDEODRIVER": "x11"})
    assert out.returncode == 1 and "no window can be opened" in out.stderr, out.stderr
    # SDL has drivers that show nothing, which are no windows unless somebody wants them.
    nowhere = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    out = subprocess.run([sys.argv[1], "-M", "none", "-display", "sdl"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=nowhere, timeout=allow(60))
    assert out.returncode == 1 and "no window can be opened" in out.stderr, out.stderr
    with Xvfb() as server:
        for options, message in (("sdl,gl=on", "-display sdl,gl=on: gl=on: not yet"), ("sdl,grab-mod=any", "grab-mod"),
                                 ("sdl,frob=1", "frob")):
            out = subprocess.run([sys.argv[1], "-M", "none", "-display", options], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=server.env)
            assert out.returncode == 1 and message in out.stderr, (options, out.stderr)


if __name__ == "__main__":
    listed = subprocess.run([sys.argv[1], "-display", "help"], stdout=subprocess.PIPE, text=True).stdout
    for tool in ("Xvfb", "xdotool", "xwd"):
        if not shutil.which(tool):
            print("no %s (Debian packages xvfb, xdotool, x11-apps)" % tool)
            sys.exit(77)
    if "sdl" not in listed:
        print("built without SDL")
        sys.exit(77)
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 3 or name in sys.argv[2:]):
            started = time.monotonic()
            test()
            print("%s: %.1f s" % (name, time.monotonic() - started), flush=True)
