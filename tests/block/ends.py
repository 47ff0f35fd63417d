# SPDX-License-Identifier: MIT
"""Nothing delays an end: quit, SIGTERM and a forced cancel while requests wait for limits, for servers that are lost or
do not answer, for slow disks. Each wait would last an hour; LIMIT only tells a hang from an end."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import waiting
from patience import allow
from waiting import LIMIT, start

KASO, IMG, NBD = map(os.path.abspath, sys.argv[1:4])  # and whether there is http; then names of tests


class Machine(waiting.Machine):
    def __init__(self, *nodes):
        nodes = ("driver=null-co,size=64M,node-name=null,read-zeroes=on", *nodes)
        super().__init__(KASO, "-M", "virt", "-S", *[a for n in nodes for a in ("-blockdev", n)])

    def job(self, source, target, **more):
        self.ask("blockdev-mirror", job_id="j", device=source, target=target, sync="full", **more)

    def ended(self, how, job=True):
        """Ends it by "quit" or a signal. The events of the end are all there, in order."""
        if how == "quit":
            self.send("quit")
        else:
            self.process.send_signal(how)
        names = self.last_events()
        assert self.process.wait(allow(LIMIT)) == 0, self.process.returncode
        assert "SHUTDOWN" in names, names
        if job:
            story = [e["data"].get("status", e["event"]) for e in self.events if "JOB" in e.get("event", "")]
            assert story[-4:] == ["aborting", "BLOCK_JOB_CANCELLED", "concluded", "null"], story
            assert names.index("SHUTDOWN") < names.index("BLOCK_JOB_CANCELLED"), names

    def cancelled(self, node, close=True):
        """A forced cancel ends the job, and its node may go."""
        self.ask("block-job-cancel", device="j", force=True)
        self.wait("BLOCK_JOB_CANCELLED")
        if close:
            self.ask("blockdev-del", node_name=node)


def Server():
    return waiting.Server(IMG, NBD)


NODE = "driver=nbd,node-name=n,server.type=unix,server.path=nbd,reconnect-delay=3600"
THROTTLE = ("driver=null-co,size=64M,node-name=t0",
            '{"driver": "throttle", "node-name": "n", "limits": {"bps-total": 1024}, "file": "t0"}')
EACH = ("quit", signal.SIGTERM, "cancel")


def end_or_cancel(machine, how, close=True):
    if how == "cancel":
        machine.cancelled("n", close)
        machine.ended("quit", job=False)
    else:
        machine.ended(how)


def limits():
    for how in EACH:
        m = Machine(*THROTTLE)
        m.job("null", "n") if how != signal.SIGTERM else m.job("n", "null")
        end_or_cancel(m, how)


def slow_disk():
    for how in EACH:
        m = Machine("driver=null-co,size=64M,node-name=n,latency-ns=3600000000000")
        m.job("null", "n")
        end_or_cancel(m, how)


def lost_server():
    for how in EACH:
        for source in False, True:
            server = Server()
            m = Machine(NODE)
            server.lose()
            m.job("n", "null") if source else m.job("null", "n")
            end_or_cancel(m, how)


def silent_server():
    """It neither answers requests nor, later, accepts new connections."""
    for how in EACH:
        for source in False, True:
            server = Server()
            m = Machine(NODE)
            server.stop()
            m.job("n", "null") if source else m.job("null", "n")
            end_or_cancel(m, how, close=False)  # closing flushes, which a slow server must be let do
            server.lose()


def mute_server():
    """What it finds instead of its server accepts, and says nothing."""
    for how in EACH:
        server = Server()
        m = Machine(NODE)
        server.lose()
        os.unlink("nbd")
        mute = socket.socket(socket.AF_UNIX)
        mute.bind("nbd")
        mute.listen(8)
        m.job("null", "n")
        mute.accept()
        end_or_cancel(m, how)
        mute.close()


def opening():
    """While a server is waited for on the command line, and while the monitor waits for one."""
    nowhere = "driver=nbd,node-name=x,server.type=unix,server.path=nowhere,open-timeout=3600"
    process = start(KASO, "-M", "virt", "-display", "none", "-nodefaults", "-pidfile", "pid", "-blockdev", nowhere,
                    stderr=subprocess.DEVNULL)
    end = time.monotonic() + allow(LIMIT)
    while not any("SigBlk" in line and int(line.split()[1], 16) & 1 << signal.SIGTERM - 1
                  for line in open(f"/proc/{process.pid}/status")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(allow(LIMIT)) in (0, 1)
    m = Machine()
    refusing = socket.socket(socket.AF_UNIX)
    refusing.bind("refusing")
    refusing.listen(8)
    m.send("blockdev-add", driver="nbd", node_name="x", open_timeout=3600, server={"type": "unix", "path": "refusing"})
    for _ in range(2):
        refusing.accept()[0].close()
    m.ended(signal.SIGTERM, job=False)


def web():
    """A web server that tells of its file and then sends nothing."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)

    def serve():
        held = []
        while True:
            peer = listener.accept()[0]
            held.append(peer)
            if peer.recv(65536).startswith(b"HEAD"):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\nAccept-Ranges: bytes\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    for how in EACH:
        m = Machine(f"driver=http,node-name=n,timeout=10000,read-only=on,url=http://127.0.0.1:{listener.getsockname()[1]}/x")
        m.job("n", "null")
        end_or_cancel(m, how)


def guest_write():
    """A write that waits for a mirror's target ends with the job."""
    m = Machine(*THROTTLE)
    m.ask("nbd-server-start", addr={"type": "unix", "data": {"path": "export"}})
    m.ask("block-export-add", type="nbd", id="e", node_name="null", writable=True)
    m.job("null", "n", copy_mode="write-blocking")
    writer = start(IMG, "bench", "-f", "raw", "-w", "-c", "4", "-d", "4", "-s", "1M", "nbd+unix:///null?socket=export",
                   stdout=subprocess.DEVNULL)
    time.sleep(0.3)  # so that some wait, mostly; it ends whether they do or not
    m.cancelled("n")
    assert writer.wait(allow(LIMIT)) == 0
    m.ended("quit", job=False)


def all_kinds_of_jobs():
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "fresh", "64M"], check=True)
    slow = json.dumps({"driver": "throttle", "node-name": "n", "limits": {"bps-write": 1024},
                       "file": {"driver": "qcow2", "file": {"driver": "file", "filename": "fresh"}}})
    for command, arguments in (("blockdev-backup", {"sync": "full", "target": "n"}),
                               ("blockdev-backup", {"sync": "none", "target": "n"}),
                               ("blockdev-mirror", {"sync": "full", "target": "n"})):
        for how in EACH:
            m = Machine(slow)
            m.ask(command, job_id="j", device="null", **arguments)
            end_or_cancel(m, how)
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "-b", "fresh", "-F", "qcow2", "top"], check=True)
    subprocess.run([IMG, "bench", "-q", "-f", "qcow2", "-w", "-c", "16", "-s", "1M", "fresh"], check=True, stdout=subprocess.DEVNULL)
    chain = json.dumps({"driver": "qcow2", "node-name": "n", "file": {
        "driver": "throttle", "limits": {"bps-write": 1024}, "file": {"driver": "file", "filename": "top"}}})
    for how in EACH:
        m = Machine(chain)
        m.ask("block-stream", job_id="j", device="n")
        end_or_cancel(m, how)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in limits, slow_disk, lost_server, silent_server, mute_server, opening, web, guest_write, all_kinds_of_jobs:
        if "no-web" in sys.argv and test == web:
            continue
        if not sys.argv[5:] or test.__name__ in sys.argv[5:]:
            began = time.monotonic()
            test()
            print(f"{test.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    os.chdir("/")
