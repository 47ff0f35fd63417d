# SPDX-License-Identifier: MIT
"""-display web in a real browser: noVNC in a Chromium without a screen, driven by WebDriver. Picture, keys, clipboard, wrong tokens."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import rfb
from patience import allow
from rfb import Client
from screen import Screen
from ports import free_port
from test_vnc import fetch, keys_of, paint_test_picture, start_keyboard

RETURN = "\ue006"
PIXELS = """const c = document.querySelector('canvas'), x = c && c.getContext('2d');
return c && c.width > 1 ? [c.width, c.height, Array.from(x.getImageData(0, 0, c.width, c.height).data)] : null"""


def told(body):
    """The driver's message, without the addresses of its frames."""
    try:
        value = json.loads(body)["value"]
        return "%s: %s" % (value["error"], value["message"])
    except (ValueError, KeyError, TypeError):
        return repr(body)


class Browser:
    """A session of WebDriver (W3C); everything in a folder of its own."""

    def __init__(self, folder):
        self.port = free_port()
        self.driver = subprocess.Popen(["chromedriver", "--port=%d" % self.port], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,700",
                     "--user-data-dir=" + folder]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        self.session = None
        self.wait(lambda: self.call("GET", "/status")["ready"], 60, OSError)
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.session = answer["sessionId"]

    def call(self, method, path, data=None):
        url = "http://127.0.0.1:%d%s" % (self.port, path)
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=allow(180)) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError("%s %s: %s" % (method, path, told(error.read()))) from error

    def do(self, command, **data):
        return self.call("POST", "/session/%s/%s" % (self.session, command), data)

    def run(self, script, *arguments):
        return self.do("execute/sync", script=script, args=list(arguments))

    def wait(self, condition, limit=90, ignored=()):
        end = time.monotonic() + allow(limit)
        while True:
            try:
                value = condition()
                if value:
                    return value
            except ignored:
                pass
            assert time.monotonic() < end, "the browser does not get on"
            time.sleep(0.2)

    def type(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.do("actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def close(self):
        try:
            os.killpg(self.driver.pid, signal.SIGKILL) # a group of its own: the driver and its browser
        except ProcessLookupError:
            pass
        self.driver.wait()


def shows(browser, picture):
    """Whether the canvas has the guest's colours."""
    got = browser.run(PIXELS)
    if not got or (got[0], got[1]) != picture[:2]:
        return False
    return bytes(v for i, v in enumerate(got[2]) if i % 4 != 3) == picture[2]


def test_browser(folder):
    port = free_port()
    with Screen("-display", "web=127.0.0.1:%d" % port, "-vnc", "unix:@/vnc") as screen:
        paint_test_picture(screen)
        start_keyboard(screen)
        token = screen.process.stderr.readline().decode().split("?token=")[1].split()[0]
        browser = Browser(folder)
        try:
            wrong = "http://127.0.0.1:%d/?token=%s" % (port, "x" * len(token))
            browser.do("url", url=wrong)
            assert not browser.run("return !!document.querySelector('#noVNC_container, canvas')")
            assert fetch(port, "/?token=" + "x" * len(token))[0] == "403 Forbidden"
            browser.do("url", url="http://127.0.0.1:%d/?token=%s" % (port, token))
            browser.wait(lambda: shows(browser, screen.dump()))
            print("picture", flush=True)
            screen.paint(20, 20, 50, screen.rgb(*[0x00ff80] * (50 * 50)))
            browser.wait(lambda: shows(browser, screen.dump()))
            browser.run("document.querySelector('canvas').focus()")
            browser.type("a", RETURN)
            typed = browser.wait(lambda: keys_of(screen))
            typed += keys_of(screen)
            assert typed == [0x1e, 0x9e, 0x1c, 0x9c], typed
            print("keys", flush=True)
            # The clipboard: noVNC's text field, and another viewer.
            other = Client(screen.vnc(), (rfb.RAW,))
            other.update(False)
            browser.run("""const t = document.getElementById('noVNC_clipboard_text'); t.value = arguments[0];
                           t.dispatchEvent(new Event('change'))""", "from the browser")
            kind, text = other.message()
            assert (kind, text) == ("cut", b"from the browser"), (kind, text)
            other.send(b"\6\0\0\0\0\0\0\x0d" + b"to the browse")
            browser.wait(lambda: browser.run("return document.getElementById('noVNC_clipboard_text').value") == "to the browse")
            print("clipboard", flush=True)
            if len(sys.argv) > 2:
                browser.do("window/rect", width=900, height=700)
                image = browser.call("GET", "/session/%s/screenshot" % browser.session)
                subprocess.run(["base64", "-d"], input=image.encode(), stdout=open(sys.argv[2], "wb"), check=True)
        finally:
            browser.close()
        screen.end()


if __name__ == "__main__":
    for needed in ("chromium", "chromedriver"):
        if not shutil.which(needed):
            print("no %s (Debian packages chromium, chromium-driver)" % needed)
            sys.exit(77)
    if not os.path.exists("/usr/share/novnc/vnc.html"):
        print("no novnc")
        sys.exit(77)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        test_browser(profile)
