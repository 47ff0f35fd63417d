# SPDX-License-Identifier: MIT
"""A QMP connection of the boot tests."""
import json
import os
import socket
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow


class Monitor:
    """Commands and events of a running machine, through its unix socket."""

    def __init__(self, path, timeout=120):
        self.events = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(allow(timeout))
        for _ in range(2400):
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        # For reading only: a text file that is written to forgets what it has read ahead.
        self.file = self.socket.makefile("r")
        self.file.readline()
        self.run("qmp_capabilities")

    def read(self):
        """The next answer; None for an event, which is kept."""
        message = json.loads(self.file.readline())
        if "event" in message:
            self.events.append(message)
            return None
        return message

    def send(self, command, arguments):
        """Sends a command, whose answer is among what comes."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def run(self, command, **arguments):
        """Runs a command; returns what it returns."""
        self.send(command, arguments)
        while True:
            answer = self.read()
            if answer is None:
                continue
            assert "error" not in answer, answer
            return answer["return"]

    def failure(self, command, **arguments):
        """The error of a command that must fail."""
        self.send(command, arguments)
        while True:
            answer = self.read()
            if answer is not None:
                assert "error" in answer, answer
                return answer["error"]

    def event(self, name):
        """The data of the first event of that name that has come or comes."""
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event.get("data")
            self.read()
