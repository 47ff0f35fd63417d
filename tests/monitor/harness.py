# SPDX-License-Identifier: MIT
"""Starts Kaso without a guest and talks to its monitors."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

TIMEOUT = 60.0


class Kaso:
    """One run of the program in a folder of its own."""

    def __init__(self, *arguments, machine="none", stdin=subprocess.DEVNULL, output=subprocess.PIPE, paused=True, **more):
        self.folder = tempfile.TemporaryDirectory()
        command = [sys.argv[1], "-M", machine, "-accel", "tcg,interp=on", "-nodefaults",
                   "-display", "none"]
        if paused:
            command.append("-S")
        command += [a.replace("@", self.folder.name) for a in arguments]
        self.process = subprocess.Popen(command, stdin=stdin, stdout=output,
                                        stderr=subprocess.PIPE, **more)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def connect(self, name):
        """Connects to a UNIX socket in the folder as soon as it is there."""
        end = time.monotonic() + allow(TIMEOUT)
        while True:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(self.path(name))
                peer.settimeout(allow(TIMEOUT))
                return peer
            except (FileNotFoundError, ConnectionRefusedError):
                peer.close()
                if self.process.poll() is not None:
                    raise AssertionError(self.process.stderr.read().decode())
                assert time.monotonic() < end, "no socket " + name
                time.sleep(0.01)

    def finish(self, status=0):
        """Waits for the end; returns what the program wrote."""
        out, err = self.process.communicate(timeout=allow(TIMEOUT))
        assert self.process.returncode == status, (self.process.returncode, out, err)
        self.folder.cleanup()
        return out.decode(), err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.folder.cleanup()


class Qmp:
    """A QMP session; events are kept aside."""

    def __init__(self, peer, negotiate=True):
        self.peer = peer
        self.buffer = b""
        self.events = []
        self.greeting = self.message()
        if negotiate:
            self.command("qmp_capabilities")

    def message(self):
        while b"\n" not in self.buffer:
            data = self.peer.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def reply(self):
        while True:
            message = self.message()
            if "event" not in message:
                return message
            self.events.append(message)

    def raw(self, text):
        self.peer.sendall(text.encode())
        return self.reply()

    @staticmethod
    def spell(name, arguments):
        """Commands with underscores have arguments with underscores."""
        return arguments if "_" in name else {
            k.replace("_", "-"): v for k, v in arguments.items()}

    def command(self, name, /, **arguments):
        """The value returned; a failure is an AssertionError."""
        request = {"execute": name}
        if arguments:
            request["arguments"] = self.spell(name, arguments)
        reply = self.raw(json.dumps(request))
        assert "return" in reply, reply
        return reply["return"]

    def failure(self, name, /, **arguments):
        request = {"execute": name, "arguments": self.spell(name, arguments)}
        reply = self.raw(json.dumps(request))
        assert "error" in reply, reply
        return reply["error"]

    def wait_event(self, name):
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            self.events.append(self.message())


class Hmp:
    """An HMP session over a plain stream."""

    PROMPT = "(qemu) "

    def __init__(self, peer):
        self.peer = peer
        self.read_to_prompt()

    def read_to_prompt(self):
        text = ""
        while not text.endswith(self.PROMPT):
            data = self.peer.recv(65536).decode()
            assert data, text
            text += data
        return text[:-len(self.PROMPT)].replace("\r\n", "\n")

    def command(self, line):
        self.peer.sendall(line.encode() + b"\n")
        echo, answer = self.read_to_prompt().split("\n", 1)
        assert echo == line, echo
        return answer


def read_until(fd, text, seconds=TIMEOUT):
    """Reads a descriptor until text comes; returns all."""
    got = b""
    end = time.monotonic() + allow(seconds)
    while text.encode() not in got:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        assert ready, "waited for %r, got %r" % (text, got)
        data = os.read(fd, 65536)
        assert data, "waited for %r, got %r" % (text, got)
        got += data
    return got.decode(errors="replace")
