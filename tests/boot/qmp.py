# SPDX-License-Identifier: MIT
"""A QMP connection of the boot tests."""
import json
import socket
import time


class Monitor:
    """Commands and events of a running machine, through its unix socket."""

    def __init__(self, path):
        self.events = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        for _ in range(200):
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.run("qmp_capabilities")

    def read(self):
        """The next answer; None for an event, which is kept."""
        message = json.loads(self.file.readline())
        if "event" in message:
            self.events.append(message)
            return None
        return message

    def run(self, command, **arguments):
        """Runs a command; returns what it returns."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = self.read()
            if answer is None:
                continue
            assert "error" not in answer, answer
            return answer["return"]

    def failure(self, command, **arguments):
        """The error of a command that must fail."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
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
