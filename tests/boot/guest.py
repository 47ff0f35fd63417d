# SPDX-License-Identifier: MIT
"""Drives a guest over its serial console: spawn, expect, send. Used by the boot tests and by scripts/bench."""
import glob
import os
import re
import selectors
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow


def threads_of_process(pid):
    """Of each thread the file that says how long it has run, and waited for a processor (proc(5), schedstat)."""
    return glob.glob(f"/proc/{pid}/task/*/schedstat")


class Patience:
    """Seconds for which the busiest of some threads had a processor or wanted none: so limits do not depend on what else the
    host does, and a busy host is not taken for a hang. A thread that is let run counts, and so each limit comes to its end."""

    def __init__(self, threads):
        """threads: names the files of those that there are now."""
        self.threads, self.known, self.waited, self.since = threads, {}, 0, time.monotonic()
        self.seconds()
        self.waited = 0

    def seconds(self):
        busiest = (0, 0)
        for thread in self.threads():
            try:
                with open(thread, encoding="ascii") as file:
                    ran, waited, _ = map(int, file.read().split())
            except (OSError, ValueError):
                continue  # it has just ended
            old_ran, old_waited = self.known.get(thread, (0, 0))
            self.known[thread] = (ran, waited)
            busiest = max(busiest, (ran - old_ran, waited - old_waited))
        self.waited += busiest[1] / 1e9
        return time.monotonic() - self.since - self.waited


class Deadline:
    """A limit, in seconds of patience, for what a process does."""

    def __init__(self, pid, seconds):
        self.seconds = allow(seconds)
        self.patience = Patience(lambda: threads_of_process(pid))
        self.end = time.monotonic() + self.seconds

    def left(self):
        """Seconds, none or fewer when it is over."""
        left = self.end - time.monotonic()
        return left if left > 0 else self.seconds - self.patience.seconds()


class GuestError(Exception):
    """What was waited for did not come; the message ends with the console's last lines."""


class Guest:
    """A running emulator with the guest's first serial port on stdin and stdout."""

    def __init__(self, argv, echo=None, **more):
        self.argv = [str(a) for a in argv]
        self.text = ""
        self.position = 0  # what expect has consumed of text
        self.echo = os.environ.get("KASO_TEST_ECHO") if echo is None else echo
        self.started = self.last_read = time.monotonic()
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
        )
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def fail(self, what):
        """Raises with the end of the console output."""
        tail = "\n    ".join(self.text[-3000:].splitlines()[-40:])
        raise GuestError(f"{what}\n  command: {' '.join(self.argv)}\n  console:\n    {tail}")

    def read_some(self, timeout):
        """Reads what is there; false at the end of the output."""
        if not self.selector.select(timeout):
            return True
        data = os.read(self.process.stdout.fileno(), 65536)
        self.last_read = time.monotonic()
        if self.echo:
            sys.stderr.write(data.decode("utf-8", "replace"))
        self.text += data.decode("utf-8", "replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, timeout=120):
        """Waits for a regular expression after what was matched last; returns the match."""
        deadline = Deadline(self.process.pid, timeout)
        regex = re.compile(pattern, re.MULTILINE)
        while True:
            match = regex.search(self.text, self.position)
            if match:
                self.position = match.end()
                return match
            left = deadline.left()
            if left <= 0:
                self.fail(f"no /{pattern}/ within {deadline.seconds:.0f} s")
            if not self.read_some(min(left, 1)):
                self.fail(f"the emulator ended (status {self.process.wait()}) before /{pattern}/")

    def send(self, text):
        """Types text, as it is."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def line(self, text):
        self.send(text + "\n")

    def command(self, text, timeout=120):
        """Runs a shell command in the guest; returns (status, output), whether or not the terminal echoes."""
        mark = time.monotonic_ns()
        self.line(f"echo s''{mark}; {text}; echo e''{mark}=$?")
        self.expect(rf"^s{mark}\n", timeout)
        start = self.position
        match = self.expect(rf"^e{mark}=(\d+)\n", timeout)
        return int(match[1]), self.text[start : match.start()].strip()

    def wait(self, timeout=60):
        """Waits for the end of the emulator; returns its exit status."""
        deadline = Deadline(self.process.pid, timeout)
        while deadline.left() > 0:
            if not self.read_some(0.5):
                return self.process.wait(timeout=allow(60))
        return self.fail(f"the emulator did not end within {deadline.seconds:.0f} s")
