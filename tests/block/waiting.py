# SPDX-License-Identifier: MIT
"""What tests of ends share: peers that do not accept, answer or read, and machines that are told to end meanwhile."""

import atexit
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

LIMIT = 30  # what waits does so for ever; this only tells a hang from an end
children, held = [], []
atexit.register(lambda: release())
for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)  # who started us may have turned them off, for us and our children


def start(*command, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.DEVNULL)
    child = subprocess.Popen(list(command), **more)
    children.append(child)
    return child


def release():
    """Ends the children, and what is held open for them."""
    for child in children:
        child.kill()
        child.wait()
    for peer in held:
        peer.close()
    children.clear()
    held.clear()


def connect(path):
    """A socket has its name before it listens."""
    end = time.monotonic() + allow(LIMIT)
    while True:
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(path)
            return peer
        except OSError:
            peer.close()
            assert time.monotonic() < end, path
            time.sleep(0.02)


def listen(path, backlog=8):
    """Somebody who accepts nothing."""
    peer = socket.socket(socket.AF_UNIX)
    peer.bind(path)
    peer.listen(backlog)
    held.append(peer)
    return peer


def full(path):
    """A listener whose queue is full: who comes now waits before it is connected."""
    listen(path, 0)
    for _ in range(8):
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        held.append(peer)
        try:
            peer.connect(path)
        except BlockingIOError:
            break


def fill(peer, message):
    """Sends it again and again until the other side takes no more."""
    peer.setblocking(False)
    try:
        while True:
            peer.send(message)
    except BlockingIOError:
        peer.setblocking(True)


def full_pipe():
    """The end for writing of a pipe that nobody reads and that takes no more."""
    read, write = os.pipe()
    held.append(open(read, "rb"))
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, bytes(4096))
    except BlockingIOError:
        os.set_blocking(write, True)
    return write


def nbd_client(path, name=b""):
    """One that has been given the export."""
    client = connect(path)
    held.append(client)
    client.recv(18)
    client.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, len(name)) + name)
    client.recv(10)
    return client


def nbd_request(kind, cookie, size):
    """0: a read, 1: a write, without its data."""
    return struct.pack(">IHHQQI", 0x25609513, 0, kind, cookie, 0, size)


class Machine:
    """Talks QMP; events are kept."""

    def __init__(self, *command, **more):
        for name in "qmp", "hmp", "qtest":
            if os.path.exists(name):
                os.unlink(name)
        more.setdefault("stderr", subprocess.DEVNULL)
        self.process = start(*command, "-display", "none", "-nodefaults", "-qmp", "unix:qmp,server=on,wait=off", **more)
        self.rest, self.events = b"", []
        self.peer = connect("qmp")
        self.message()
        self.ask("qmp_capabilities")

    def message(self):
        """None: there are no more."""
        while b"\n" not in self.rest:
            assert select.select([self.peer], [], [], allow(LIMIT))[0], ("nothing comes", self.events)
            try:
                data = self.peer.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def send(self, execute, **arguments):
        arguments = {k if "_" in execute else k.replace("_", "-"): v for k, v in arguments.items()}
        self.peer.sendall((json.dumps({"execute": execute, "arguments": arguments}) + "\n").encode())

    def ask(self, execute, **arguments):
        self.send(execute, **arguments)
        while True:
            message = self.message()
            assert message, (execute, "the machine ended")
            if "event" not in message:
                assert "return" in message, (execute, message)
                return message["return"]
            self.events.append(message)

    def wait(self, event):
        """Takes the event out of those that are kept."""
        while True:
            for found in self.events:
                if found["event"] == event:
                    self.events.remove(found)
                    return found
            self.events.append(self.message())

    def last_events(self):
        """All that come until the end."""
        while True:
            message = self.message()
            if not message:
                self.events = [e for e in self.events if "event" in e]
                return [e["event"] for e in self.events]
            self.events.append(message)


class Server:
    """kaso-nbd with an image of 64 MiB; the name is new each time, since requests for the old one may still be on their way."""

    def __init__(self, img, nbd):
        if not os.path.exists("disk"):
            subprocess.run([img, "create", "-q", "-f", "raw", "disk", "64M"], check=True)
        if os.path.exists("nbd"):
            os.unlink("nbd")
        self.process = start(nbd, "-k", os.path.abspath("nbd"), "-f", "raw", "-t", "-e", "4", "disk")
        connect("nbd").close()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def lose(self):
        self.process.kill()
        self.process.wait()
