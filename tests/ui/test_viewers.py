# SPDX-License-Identifier: MIT
"""Other people's viewers: gvnccapture (gtk-vnc) and TigerVNC's under Xvfb, driven by xdotool. Pictures, keys, passwords and certificates, right and wrong."""

import os
import pty
import shutil
import subprocess
import sys
import termios
import time

from screen import Screen
from patience import allow
from test_sdl import Xvfb
from test_vnc import keys_of, make_certificates, paint_test_picture, start_keyboard, wait_for

LISTEN = "127.0.0.1:60,to=199"


def port_of(screen):
    return int(screen.qmp.command("query-vnc")["service"])


def password(screen):
    screen.qmp.command("change-vnc-password", password="hunter2")


def ppm_of(path):
    data = subprocess.run(["pngtopnm", path], check=True, stdout=subprocess.PIPE).stdout
    head = data.split(b"\n", 3)
    width, height = map(int, head[1].split())
    return width, height, head[3]


def capture(screen, typed=None, home=None):
    """gvnccapture's picture; typed: what it gets when it asks for a password, for which it wants a terminal. None: it was not let in."""
    path = screen.path("shot.png")
    if os.path.exists(path):
        os.unlink(path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["gvnccapture", "localhost:%d" % (port_of(screen) - 5900), path], stdin=theirs, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env={**os.environ, "HOME": home or screen.folder.name})
    os.close(theirs)
    if typed:
        # What is typed before it asks is thrown away; while it listens, nothing is echoed.
        wait_for(lambda: process.poll() is not None or not termios.tcgetattr(ours)[3] & termios.ECHO)
        os.write(ours, typed.encode() + b"\n")
    process.communicate(timeout=allow(60))
    os.close(ours)
    return ppm_of(path) if process.returncode == 0 else None


def test_capture():
    with Screen("-vnc", LISTEN) as screen:
        paint_test_picture(screen)
        assert capture(screen) == screen.dump()
        screen.end()
    with Screen("-vnc", LISTEN + ",password=on") as screen:
        paint_test_picture(screen)
        password(screen)
        assert capture(screen, "hunter2") == screen.dump()
        assert capture(screen, "hunter3") is None
        screen.end()


def test_snapshot():
    """vncsnapshot, by each encoding that it knows: its picture is a JPEG, which is never exact."""
    with Screen("-vnc", LISTEN) as screen:
        paint_test_picture(screen)
        width, height, wanted = screen.dump()
        for encoding in ("tight", "zrle", "zlib", "hextile", "raw"):
            path = screen.path("shot.jpg")
            subprocess.run(["vncsnapshot", "-encodings", encoding, "-quality", "100", "localhost:%d" % (port_of(screen) - 5900), path],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=allow(60))
            got = subprocess.run(["jpegtopnm", path], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split(b"\n", 3)
            assert got[1].split() == [b"%d" % width, b"%d" % height], got[1]
            error = sum(abs(a - b) for a, b in zip(got[3], wanted)) / len(wanted)
            print("vncsnapshot by %s: off by %.2f" % (encoding, error))
            assert error < 8, encoding
        screen.end()


class Tiger:
    """TigerVNC's viewer. words: its parameters."""

    def __init__(self, server, screen, *words):
        self.server = server
        self.process = subprocess.Popen(
            ["xtigervncviewer", "-AlertOnFatalError=0", "-ReconnectOnError=0", "-RemoteResize=0", "-NoJPEG", *words,
             "localhost::%d" % port_of(screen)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**server.env, "HOME": screen.folder.name})

    def window(self):
        try:
            return self.server.window("TigerVNC", 60)
        except AssertionError as error:
            status = self.process.poll()
            self.close()
            raise AssertionError("%s; the viewer %s and said: %s" % (
                error, "is there" if status is None else "ended with %d" % status, self.process.stdout.read())) from error

    def shows(self, screen):
        """Whether its window has the guest's picture in it."""
        window = self.window()
        wanted = screen.dump()
        end = time.monotonic() + allow(60)
        while self.server.picture(window) != wanted:
            assert time.monotonic() < end, "the viewer shows something else"
            time.sleep(0.1)
        return window

    def ends(self):
        """Its last words."""
        try:
            return self.process.communicate(timeout=allow(60))[0]
        except subprocess.TimeoutExpired:
            self.close()
            raise

    def close(self):
        if self.process.poll() is None:
            self.process.kill() # it does not always heed a request
        self.process.wait()


def test_tiger():
    with Xvfb() as server, Screen("-vnc", LISTEN) as screen:
        paint_test_picture(screen)
        start_keyboard(screen)
        for encoding in ("Tight", "ZRLE", "Hextile", "Raw"):
            viewer = Tiger(server, screen, "-AutoSelect=0", "-PreferredEncoding=" + encoding)
            window = viewer.shows(screen)
            screen.paint(20, 20, 50, screen.rgb(*[0x00ff80] * (50 * 50)))
            viewer.shows(screen)
            paint_test_picture(screen)
            viewer.shows(screen)
            server.xdotool("windowfocus", window)
            server.xdotool("mousemove", "--window", window, 30, 30)
            keys_of(screen)
            server.xdotool("key", "a", "Right")
            codes = []
            wait_for(lambda: codes.extend(keys_of(screen)) or len(codes) >= 6)
            assert codes == [0x1e, 0x9e, 0xe0, 0x4d, 0xe0, 0xcd], codes
            viewer.close()
            wait_for(lambda: not screen.qmp.command("query-vnc")["clients"])
        screen.end()


def test_tiger_password():
    with Xvfb() as server, Screen("-vnc", LISTEN + ",password=on") as screen:
        paint_test_picture(screen)
        password(screen)
        for word, right in (("hunter2", True), ("hunter3", False)):
            path = screen.path(word)
            with open(path, "wb") as file:
                file.write(subprocess.run(["tigervncpasswd", "-f"], input=word.encode() + b"\n", check=True, stdout=subprocess.PIPE).stdout)
            viewer = Tiger(server, screen, "-SecurityTypes=VncAuth", "-PasswordFile=" + path)
            if right:
                viewer.shows(screen)
                viewer.close()
            else:
                assert "Authentication failed" in viewer.ends()
        screen.end()


def test_tiger_certificates():
    """The server's certificate, for a viewer that knows its authority, and for one that knows another."""
    with Xvfb() as server, Screen("-S") as other:
        folder, wrong = other.path("right"), other.path("wrong")
        for path in (folder, wrong):
            os.mkdir(path)
            make_certificates(path)
        with Screen("-object", "tls-creds-x509,id=t,endpoint=server,verify-peer=off,dir=" + folder,
                    "-vnc", LISTEN + ",tls-creds=t") as screen:
            paint_test_picture(screen)
            viewer = Tiger(server, screen, "-SecurityTypes=X509None", "-X509CA=%s/ca-cert.pem" % folder)
            viewer.shows(screen)
            viewer.close()
            viewer = Tiger(server, screen, "-SecurityTypes=X509None", "-X509CA=%s/ca-cert.pem" % wrong)
            assert "Invalid status of server certificate" in viewer.ends()
            viewer = Tiger(server, screen, "-SecurityTypes=None")
            assert "No matching security types" in viewer.ends()
            screen.end()


if __name__ == "__main__":
    for tools, package in (("gvnccapture", "gvncviewer"), ("vncsnapshot", "vncsnapshot"), ("xtigervncviewer", "tigervnc-viewer"), ("tigervncpasswd", "tigervnc-tools"),
                           ("pngtopnm jpegtopnm", "netpbm"), ("Xvfb xdotool xwd", "xvfb, xdotool, x11-apps"), ("openssl", "openssl")):
        for tool in tools.split():
            if not shutil.which(tool):
                print("no %s (Debian package %s)" % (tool, package))
                sys.exit(77)
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 3 or name in sys.argv[2:]):
            started = time.monotonic()
            test()
            print("%s: %.1f s" % (name, time.monotonic() - started), flush=True)
