#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who has the machine and its disks when something fails between two processes, at each step of handing over; a snapshot that does not fit changes
nothing; memory that nobody has written is not filled by sending it."""

import os
import re
import socket
import subprocess
import sys
import threading

from harness import Qmp
from migrating import machine, qmp, state, status_of
from patience import allow

LOADED, GO, TAKEN = b"L", b"G", b"K"


class Between:
    """A connection through which both sides speak, until a word that does not get through. cut: then it ends; else all is held."""

    def __init__(self, folder, stop_at, cut):
        self.stop_at, self.cut, self.reached = stop_at, cut, threading.Event()
        self.path = os.path.join(folder, "between")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.target = os.path.join(folder, "in")
        self.ends = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        source, _ = self.listener.accept()
        destination = socket.socket(socket.AF_UNIX)
        destination.connect(self.target)
        self.ends = [source, destination]
        loaded = threading.Event()

        def forward(start, end, words):
            while True:
                data = start.recv(1 << 16)
                if not data:
                    break
                # The destination only ever says words; the source's come after the stream, when it has heard one.
                word = data if words or loaded.is_set() else None
                if word == self.stop_at:
                    self.reached.set()
                    if self.cut:
                        break
                    return
                if words and word == LOADED:
                    loaded.set()
                end.sendall(data)
            self.close()

        threading.Thread(target=forward, args=(source, destination, False), daemon=True).start()
        forward(destination, source, True)

    def close(self):
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def with_disk(store):
    disk = store.path("disk.qcow2")
    if not os.path.exists(disk):
        subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
    return disk, ["-drive", f"if=none,id=d,format=qcow2,file={disk}", "-device", "virtio-blk-pci,drive=d"]


def writes(session):
    return "wrote" in session.command("human-monitor-command", command_line='qemu-io d "write -P 1 0 64k"')


# The word that does not arrive, what happens then, and who has the machine afterwards.
CASES = [(word, how, "destination" if word == TAKEN else "source" if word == LOADED else "nobody")
         for word in (LOADED, GO, TAKEN) for how in ("cut", "cancel")]


def one_case(word, how, owner):
    with machine() as store:
        disk, drive = with_disk(store)
        with machine(*drive, paused=False) as source, machine(*drive, "-incoming", "unix:@/in", paused=False) as destination:
            s, d = qmp(source), qmp(destination)
            between = Between(destination.folder.name, word, how == "cut")
            s.command("migrate", uri="unix:" + between.path)
            assert between.reached.wait(allow(60)), (word, how)
            if how == "cancel":
                assert state(s) == "finish-migrate", state(s)
                s.command("migrate_cancel")
            answer = status_of(s, "failed", "cancelled", "completed")
            assert answer["status"] == ("cancelled" if owner == "source" and how == "cancel" else "failed"), (word, how, answer)
            between.close()
            if owner == "destination":
                status_of(d, "completed")
                assert state(d) == "running" and writes(d), (word, how)
            else:
                _, errors = destination.finish(1)
                assert "has not handed over the machine" in errors, errors
            if owner == "source":
                assert state(s) == "running" and writes(s), (word, how)
            else:
                # It cannot know: it keeps out of the disks, even of those that it could have, until it is told.
                assert "'cont' takes them back" in answer["error-desc"] and state(s) == "postmigrate", (answer, state(s))
                assert not s.command("query-block")[0]["inserted"]["active"] and not writes(s), (word, how)
                if owner == "destination":
                    assert "in use elsewhere" in s.failure("cont")["desc"]
                    d.command("quit")
                    destination.finish()
                s.command("cont")
                assert state(s) == "running" and writes(s), (word, how)
            s.command("quit")
            source.finish()
        subprocess.run([sys.argv[2], "check", "-q", disk], check=True)


def test_each_step():
    for case in CASES:
        one_case(*case)


def test_destination_cannot_have_the_disk():
    """It says so, after it was told to go: the source has all again."""
    with machine() as store:
        _, drive = with_disk(store)
        with machine(*drive, paused=False) as source:
            s = qmp(source)
            other = store.path("other")
            with open(other, "wb") as file:
                file.truncate(16 << 20)
            with machine("-drive", f"if=none,id=d,format=raw,file={other}", *drive[2:], "-incoming", "unix:@/in", paused=False) as destination:
                qmp(destination)
                holder = machine("-drive", f"if=none,id=h,format=raw,file={other}", "-device", "virtio-blk-pci,drive=h")
                with holder:
                    qmp(holder)
                    s.command("migrate", uri="unix:" + destination.path("in"))
                    answer = status_of(s, "failed", "completed")
                    assert "refused" in answer["error-desc"], answer
                    assert "lock" in destination.finish(1)[1]
            assert state(s) == "running" and writes(s)
            s.command("quit")


def test_snapshot_that_does_not_fit():
    """Nothing has changed when it is refused, be it for the options, a device, or damage of the state: the machine runs on, its disk is as it was."""
    with machine() as store:
        disk, drive = with_disk(store)
        with machine(*drive, paused=False) as kaso:
            s = qmp(kaso)
            assert s.command("human-monitor-command", command_line="savevm x") == ""
            assert writes(s)
            s.command("quit")
            kaso.finish()
        for options, what in ((["-m", "32M"], "-m 16777216"), (["-smp", "2"], "-smp 1"), (["-device", "virtio-rng-pci"], "give the same options"),
                              (["-device", "edu"], "without the device"), (None, "damaged")):
            if options is None:
                spoil(disk)
            with machine(*drive, *(options or []), paused=False) as kaso:
                s = qmp(kaso)
                before = s.command("query-cpus-fast"), s.command("query-block")[0]["inserted"]["active"]
                answer = s.command("human-monitor-command", command_line="loadvm x")
                assert what in answer and "was reset" not in answer, answer
                assert state(s) == "running" and (s.command("query-cpus-fast"), True) == before
                answer = s.command("human-monitor-command", command_line='qemu-io d "read -P 1 0 64k"')
                assert "read 65536" in answer and "failed" not in answer, answer
                s.command("quit")
                assert "RESET" not in [event["event"] for event in s.events]
                kaso.finish()
            subprocess.run([sys.argv[2], "check", "-q", disk], check=True)


def spoil(disk):
    """A byte of the machine's devices in the image."""
    with open(disk, "r+b") as file:
        content = file.read()
        at = content.index(b"KASOSTA1") + 1000
        file.seek(at)
        file.write(bytes([content[at] ^ 1]))


def test_bitmaps():
    """Both kinds go along with their contents; a disk that both see has brought one already, a disk that was copied has not."""
    for shared in True, False:
        with machine() as store:
            disks = [store.path("a.qcow2"), store.path("a.qcow2" if shared else "b.qcow2")]
            for disk in set(disks):
                subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
            drives = [["-drive", f"if=none,id=d,format=qcow2,file={disk}", "-device", "virtio-blk-pci,drive=d"] for disk in disks]
            with machine(*drives[0], paused=False) as source, machine(*drives[1], "-incoming", "unix:@/in", paused=False) as destination:
                s, d = qmp(source), qmp(destination)
                for name, persistent in (("kept", True), ("passing", False), ("still", False)):
                    s.command("block-dirty-bitmap-add", node="d", name=name, persistent=persistent, granularity=65536)
                s.command("block-dirty-bitmap-disable", node="d", name="still")
                assert writes(s)
                s.command("migrate-set-capabilities", capabilities=[{"capability": "dirty-bitmaps", "state": True}])
                s.command("migrate", uri="unix:" + destination.path("in"))
                status_of(s, "completed")
                status_of(d, "completed")
                there = {b["name"]: b for b in d.command("query-block")[0]["inserted"]["dirty-bitmaps"]}
                assert {name: (b["count"], b["persistent"], b["recording"]) for name, b in there.items()} == {
                    "kept": (65536, True, True), "passing": (65536, False, True), "still": (0, False, False)}, there
                assert "wrote" in d.command("human-monitor-command", command_line='qemu-io d "write 1M 64k"')
                there = {b["name"]: b["count"] for b in d.command("query-block")[0]["inserted"]["dirty-bitmaps"]}
                assert there == {"kept": 131072, "passing": 131072, "still": 0}, there
                s.command("quit")
                d.command("quit")
                source.finish()
                destination.finish()
            info = subprocess.run([sys.argv[2], "info", disks[1]], check=True, capture_output=True, text=True).stdout
            assert "kept" in info and "passing" not in info, info
            subprocess.run([sys.argv[2], "check", "-q", disks[1]], check=True)


def node(name, disk):
    return ["-blockdev", f"qcow2,node-name={name},file.driver=file,file.filename={disk}", "-device", f"virtio-blk-pci,drive={name},share-rw=on"]


def mapping(name, *bitmaps):
    """(name, alias) or (name, alias, persistent) each."""
    return [{"node-name": name, "alias": "disk", "bitmaps": [
        {"name": b[0], "alias": b[1], **({"transform": {"persistent": b[2]}} if len(b) > 2 else {})} for b in bitmaps]}]


def test_bitmap_mapping():
    """Nodes and bitmaps have other names here and there, and may be kept in the image there; what is not listed stays."""
    with machine() as store:
        disks = [store.path("a.qcow2"), store.path("b.qcow2")]
        for disk in disks:
            subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        with machine(*node("here", disks[0]), paused=False) as source, machine(
                *node("there", disks[1]), "-incoming", "unix:@/in", paused=False) as destination:
            s, d = qmp(source), qmp(destination)
            for wrong in ({}, [{}], [{"node-name": "a", "alias": "b"}], mapping("a", ("b", "c"), ("b", "d")), mapping("a", ("b", "c"), ("d", "c")),
                          mapping("a", ("b", "c", 7)), mapping("a", ("b", "c")) * 2, mapping("a" * 256), [{**mapping("a")[0], "x": 1}]):
                assert "Invalid mapping" in s.failure("migrate-set-parameters", block_bitmap_mapping=wrong)["desc"], wrong
            assert "block-bitmap-mapping" not in s.command("query-migrate-parameters")
            for name in ("one", "two", "unlisted"):
                s.command("block-dirty-bitmap-add", node="here", name=name, granularity=65536)
            s.command("human-monitor-command", command_line='qemu-io here "write 1M 64k"')
            for session, name, bitmaps in ((s, "here", (("one", "1"), ("two", "2"))),
                                           (d, "there", (("eins", "1", True), ("zwei", "2")))):
                session.command("migrate-set-capabilities", capabilities=[{"capability": "dirty-bitmaps", "state": True}])
                session.command("migrate-set-parameters", block_bitmap_mapping=mapping(name, *bitmaps))
                assert session.command("query-migrate-parameters")["block-bitmap-mapping"] == mapping(name, *bitmaps)
            text = s.command("human-monitor-command", command_line="info migrate_parameters")
            assert "block-bitmap-mapping:\n  'here' -> 'disk'\n    'one' -> '1'" in text.replace("\r", ""), text
            s.command("migrate", uri="unix:" + destination.path("in"))
            status_of(s, "completed")
            status_of(d, "completed")
            there = d.command("query-block")[0]["inserted"]["dirty-bitmaps"]
            assert {b["name"]: (b["count"], b["persistent"]) for b in there} == {"eins": (65536, True), "zwei": (65536, False)}, there
            s.command("quit")
            d.command("quit")
            source.finish()
            destination.finish()
        info = subprocess.run([sys.argv[2], "info", disks[1]], check=True, capture_output=True, text=True).stdout
        assert "eins" in info and "zwei" not in info, info
        # An alias that the destination does not know: it takes nothing, and the source goes on.
        with machine(*node("here", disks[0]), paused=False) as source, machine(
                *node("there", disks[1]), "-incoming", "unix:@/in", paused=False) as destination:
            s, d = qmp(source), qmp(destination)
            for session, name in ((s, "here"), (d, "there")):
                session.command("migrate-set-capabilities", capabilities=[{"capability": "dirty-bitmaps", "state": True}])
            s.command("block-dirty-bitmap-add", node="here", name="one")
            s.command("migrate-set-parameters", block_bitmap_mapping=mapping("here", ("one", "1")))
            d.command("migrate-set-parameters", block_bitmap_mapping=mapping("there", ("eins", "other")))
            s.command("migrate", uri="unix:" + destination.path("in"))
            status_of(s, "failed")


def shared_kib(kaso):
    with open(f"/proc/{kaso.process.pid}/smaps", encoding="utf-8") as file:
        text = file.read()
    part = re.search(r"memfd:[^\n]*\n(?:.*\n)*?Rss: *(\d+)", text)
    return int(part[1])


def test_holes():
    """Guest memory of a memfd of which little is used takes as little at both sides after a migration."""
    memory = ["-m", "256M", "-object", "memory-backend-memfd,id=m,size=256M", "-M", "memory-backend=m"]
    with machine(*memory) as source:
        s = qmp(source)
        s.command("migrate", uri="file:" + source.path("state"))
        status_of(s, "completed")
        assert shared_kib(source) < 16 << 10, shared_kib(source)
        with machine(*memory, "-incoming", "file:" + source.path("state")) as destination:
            d = Qmp(destination.connect("qmp"))
            status_of(d, "completed")
            assert shared_kib(destination) < 16 << 10, shared_kib(destination)
            d.command("quit")
        s.command("quit")


test_each_step()
test_destination_cannot_have_the_disk()
test_snapshot_that_does_not_fit()
test_bitmaps()
test_bitmap_mapping()
test_holes()
