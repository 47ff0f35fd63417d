# SPDX-License-Identifier: MIT
"""Kaso on a terminal: Ctrl-A keys, and the terminal's mode after each way to end."""

import os
import pty
import re
import select
import signal
import struct
import tempfile
import termios
import time

from harness import Kaso, read_until
from patience import allow


class Terminal:
    """A pseudo terminal that Kaso has as its controlling terminal."""

    def __init__(self, *arguments, machine="none", controlling=True):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)

        def become_foreground():
            os.setsid()
            if controlling:
                fd = os.open(os.ttyname(slave), os.O_RDWR)
                os.close(fd)

        self.kaso = Kaso(*arguments, machine=machine, stdin=slave, preexec_fn=become_foreground)
        self.slave = slave

    def mode(self):
        return termios.tcgetattr(self.slave)

    def wait_raw(self):
        end = time.monotonic() + allow(20)
        while self.mode()[3] & termios.ECHO:
            assert time.monotonic() < end and self.kaso.process.poll() is None
            time.sleep(0.01)

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def out(terminal, text):
    return read_until(terminal.kaso.process.stdout.fileno(), text)


def keys():
    terminal = Terminal("-serial", "mon:stdio", machine="virt")
    terminal.wait_raw()
    assert not terminal.mode()[3] & termios.ISIG
    terminal.type("\x01h")
    help_text = out(terminal, "sends C-a")
    assert "C-a x" in help_text and "C-a c" in help_text
    terminal.type("\x01c")
    out(terminal, "(qemu) ")
    terminal.type("info statu\tx\x7f\r")
    out(terminal, "VM status: paused")
    terminal.type("\x1b[A")
    out(terminal, "info status")
    terminal.type("\x03\x01x")
    terminal.kaso.process.stdout.read()
    assert terminal.kaso.process.wait(allow(20)) == 0
    assert terminal.mode() == terminal.before
    terminal.close()


def escape_character():
    terminal = Terminal("-serial", "mon:stdio", "-echr", "0x02")
    terminal.wait_raw()
    terminal.type("\x01x\x02h")
    out(terminal, "C-b x")
    terminal.type("\x02x")
    assert terminal.kaso.process.wait(allow(20)) == 0
    assert terminal.mode() == terminal.before
    terminal.close()


def stopped_and_continued():
    """The shell sets its own mode while we are stopped; ours is back afterwards."""
    terminal = Terminal("-monitor", "stdio")
    terminal.wait_raw()
    out(terminal, "(qemu) ")
    terminal.kaso.process.send_signal(signal.SIGSTOP)
    os.waitpid(terminal.kaso.process.pid, os.WUNTRACED)
    termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)
    terminal.kaso.process.send_signal(signal.SIGCONT)
    terminal.wait_raw()
    terminal.type("q\r")
    assert terminal.kaso.process.wait(allow(20)) == 0
    assert terminal.mode() == terminal.before
    terminal.close()


def not_controlling():
    """A terminal that a program has made to drive us, and that is nobody's controlling terminal, has keys one by one, too."""
    terminal = Terminal("-monitor", "stdio", controlling=False)
    terminal.wait_raw()
    out(terminal, "(qemu) ")
    assert not terminal.mode()[3] & termios.ICANON
    terminal.type("q\r")
    assert terminal.kaso.process.wait(20) == 0
    assert terminal.mode() == terminal.before
    terminal.close()


def ends():
    """Ctrl-C with signals on, SIGTERM, SIGHUP, a crash: the terminal is as before."""
    for number in (None, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGSEGV):
        terminal = Terminal("-monitor", "stdio")
        terminal.wait_raw()
        out(terminal, "(qemu) ")
        if number is None:
            assert terminal.mode()[3] & termios.ISIG
            terminal.type("\x03")
        else:
            terminal.kaso.process.send_signal(number)
        terminal.kaso.process.wait(allow(20))
        assert terminal.mode() == terminal.before, number
        terminal.close()


class Screen(Terminal):
    """A terminal that has the output, too."""

    def __init__(self, *arguments, **more):
        def become_foreground():
            os.setsid()
            fd = os.open(os.ttyname(0), os.O_RDWR)
            os.close(fd)

        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.kaso = Kaso(*arguments, stdin=self.slave, output=self.slave, preexec_fn=become_foreground, **more)
        self.text = b""

    def read(self, wanted, timeout=20):
        """Until the regular expression matches what has come."""
        end = time.monotonic() + allow(timeout)
        while not re.search(wanted, self.text):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, (wanted, self.text)
            self.text += os.read(self.master, 65536)
        return self.text


def guest_that_says(text):
    """A kernel that writes text to the first serial port and then loops."""
    code = [0xD2A12000, 0x10000001, 0x38401422, 0x34000062, 0x39000002, 0x17FFFFFD, 0x14000000]
    code[1] |= (len(code) - 1) << 5
    file = tempfile.NamedTemporaryFile()
    file.write(struct.pack("<7I", *code) + text + b"\0")
    file.flush()
    return file


def escape_sequences():
    """Colours, a scroll region, the alternate screen and hidden cursors end with the program, also by a crash."""
    with guest_that_says(b"\x1b[?1049h\x1b[2;10r\x1b[31m\x1b[?7l\x1b[?25lmenu") as kernel:
        for number in (signal.SIGTERM, signal.SIGSEGV):
            screen = Screen("-kernel", kernel.name, "-serial", "stdio", machine="virt", paused=False)
            screen.read(rb"menu")
            screen.kaso.process.send_signal(number)
            screen.kaso.process.wait(allow(20))
            screen.read(rb"menu(?s:.)*\x1b\[\?1049l\x1b7\x1b\[r\x1b8\x1b\[m\x1b\[\?7h\x1b\[\?25h")
            assert screen.mode() == screen.before
            screen.close()


keys()
escape_character()
escape_sequences()
stopped_and_continued()
not_controlling()
ends()
