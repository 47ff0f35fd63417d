# SPDX-License-Identifier: MIT
"""Jobs, snapshots and bitmaps by QMP, as management programs use them, on a machine that stands still."""

import atexit
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

KASO, IMG, IO = map(os.path.abspath, sys.argv[1:4])
MIB = 1 << 20
LIMIT = 30


machines = []
atexit.register(lambda: [m.process.kill() for m in machines])


def run(*command):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=allow(60))
    assert result.returncode == 0, (command, result.stdout)
    return result.stdout.decode()


def io(image, *commands):
    return run(IO, *[a for c in commands for a in ("-c", c)], image)


def info(image):
    return json.loads(run(IMG, "info", "--output=json", "-U", image))


class Machine:
    def __init__(self, *arguments):
        if os.path.exists("qmp"):
            os.unlink("qmp")
        machines.append(self)
        self.process = subprocess.Popen([KASO, "-M", "virt", "-display", "none", "-S", "-nodefaults",
                                         "-qmp", "unix:qmp,server=on,wait=off", *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        end = time.monotonic() + allow(LIMIT)
        self.peer = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.peer.connect("qmp")
                break
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None
                time.sleep(0.02)
        self.rest, self.events = b"", []
        self.message()
        self.do("qmp_capabilities")

    def message(self):
        while b"\n" not in self.rest:
            assert select.select([self.peer], [], [], allow(LIMIT))[0], self.events
            data = self.peer.recv(65536)
            assert data, "the machine is gone"
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, execute, **arguments):
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        self.peer.sendall((json.dumps({"execute": execute, "arguments": arguments}) + "\n").encode())
        while True:
            message = self.message()
            if "event" not in message:
                return message
            self.events.append(message)

    def do(self, execute, **arguments):
        message = self.ask(execute, **arguments)
        assert "return" in message, (execute, message)
        return message["return"]

    def fails(self, execute, **arguments):
        message = self.ask(execute, **arguments)
        assert "error" in message, (execute, arguments, message)
        return message["error"]

    def wait(self, event, **data):
        while True:
            for found in self.events:
                if found["event"] == event and data.items() <= found["data"].items():
                    self.events.remove(found)
                    if event == "BLOCK_JOB_COMPLETED" and "error" not in found["data"]:
                        assert found["data"]["offset"] == found["data"]["len"], found
                    return found["data"]
            message = self.message()
            assert "event" in message, message
            self.events.append(message)

    def statuses(self, job):
        return [e["data"]["status"] for e in self.events
                if e["event"] == "JOB_STATUS_CHANGE" and e["data"]["id"] == job]

    def quit(self):
        start = time.monotonic()
        self.do("quit")
        assert self.process.wait(allow(LIMIT)) == 0 and time.monotonic() - start < allow(20)


def chain():
    for name in ("base", "top"):
        if os.path.exists(name):
            os.unlink(name)
    run(IMG, "create", "-q", "-f", "qcow2", "base", "8M")
    io("base", "write -P 1 0 4M")
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top")
    io("top", "write -P 2 1M 1M")


DRIVE = ("-drive", "file=top,if=none,id=d0,format=qcow2", "-device", "virtio-blk-pci,drive=d0,id=v")
NODES = ("-blockdev", "driver=file,filename=top,node-name=f0",
         "-blockdev", "driver=qcow2,file=f0,node-name=n0")
DEVICE = ("-device", "virtio-blk-pci,drive=n0,id=v")
CONTENT = ("read -P 1 0 1M", "read -P 2 1M 1M", "read -P 1 2M 2M", "read -P 0 4M 4M")


def inserted(machine):
    return machine.do("query-block")[0]["inserted"]


def active_commit():
    chain()
    m = Machine(*DRIVE)
    m.do("block-commit", device="d0")
    m.wait("BLOCK_JOB_READY")
    m.do("block-job-complete", device="d0")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED")
    assert inserted(m)["file"] == "base" and not inserted(m)["ro"]
    m.quit()
    io("base", *CONTENT)


def life():
    """The states of a job, and what may be asked of it in each."""
    chain()
    m = Machine(*NODES, *DEVICE)
    m.do("blockdev-snapshot-sync", node_name="n0", snapshot_file="s1", snapshot_node_name="n1")
    m.do("block-commit", device="n1", job_id="c", auto_finalize=False, auto_dismiss=False)
    m.wait("BLOCK_JOB_READY")
    assert [j["status"] for j in m.do("query-jobs")] == ["ready"]
    assert "'dismiss'" in m.fails("job-dismiss", id="c")["desc"]
    m.do("job-complete", id="c")
    m.wait("BLOCK_JOB_PENDING", id="c")
    assert inserted(m)["file"] == "s1"
    m.do("job-finalize", id="c")
    assert [j["status"] for j in m.do("query-jobs")] == ["concluded"]
    assert inserted(m)["file"] == "base"
    m.do("job-dismiss", id="c")
    assert m.do("query-jobs") == []
    assert m.statuses("c") == ["created", "running", "ready", "waiting", "pending", "concluded", "null"]
    assert m.fails("block-job-cancel", device="c")["class"] == "DeviceNotActive"
    assert m.fails("job-cancel", id="c")["class"] == "GenericError"
    assert "Invalid job ID" in m.fails("block-stream", device="n0", job_id="!x")["desc"]
    m.quit()


def slow():
    """A low limit does not keep anybody waiting."""
    chain()
    run(IMG, "create", "-q", "-f", "qcow2", "slow", "8M")
    m = Machine(*NODES, *DEVICE)
    m.do("blockdev-add", driver="qcow2", node_name="t",
         file={"driver": "file", "filename": "slow"})
    m.do("blockdev-backup", job_id="b", device="n0", target="t", sync="full", speed=1000)
    m.do("job-pause", id="b")
    m.wait("JOB_STATUS_CHANGE", id="b", status="paused")
    m.do("job-resume", id="b")
    m.do("block-job-cancel", device="b")
    m.wait("BLOCK_JOB_CANCELLED", device="b")
    for target in ("zz", "n0"):
        m.fails("blockdev-mirror", job_id="m", device="n0", target=target, sync="full")
    assert not os.path.exists("zz")
    m.do("blockdev-backup", job_id="b", device="n0", target="t", sync="full", speed=1000)
    m.quit()


def mirror_top():
    """The target of sync=top has what the source has below."""
    chain()
    m = Machine(*DRIVE)
    os.makedirs("else", exist_ok=True)
    m.do("drive-mirror", job_id="m", device="d0", target="else/x", sync="top", format="qcow2")
    m.wait("BLOCK_JOB_READY")
    m.do("block-job-complete", device="m")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED")
    assert inserted(m)["backing_file_depth"] == 1
    m.do("drive-backup", job_id="b", device="d0", target="else/y", sync="top", format="qcow2")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="b")
    m.quit()
    io("else/x", *CONTENT)
    io("else/y", *CONTENT)


def names():
    """What headers say leads back to the same files, wherever they lie."""
    chain()
    os.makedirs("sub/deep", exist_ok=True)
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "../top", "-F", "qcow2", "sub/c")
    m = Machine("-drive", "file=sub/c,if=none,id=d0,format=qcow2", "-device",
                "virtio-blk-pci,drive=d0,id=v")
    m.do("blockdev-snapshot-sync", device="d0", snapshot_file="sub/deep/s")
    m.do("block-stream", device="d0", base="sub/../base", job_id="s")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="s")
    m.quit()
    io("sub/deep/s", *CONTENT)
    assert len(json.loads(run(IMG, "info", "--backing-chain", "--output=json", "sub/deep/s"))) == 2


def overlays():
    chain()
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "top", "-F", "qcow2", "over")
    m = Machine(*NODES, *DEVICE)
    over = {"driver": "qcow2", "file": {"driver": "file", "filename": "over"}}
    m.do("blockdev-add", node_name="o", backing=None, **over)
    m.do("blockdev-snapshot", node="n0", overlay="o")
    assert "used as backing hd of 'o'" in m.fails("blockdev-snapshot", node="n0", overlay="o")["desc"]
    assert inserted(m)["node-name"] == "o" and inserted(m)["backing_file_depth"] == 2
    m.do("change-backing-file", device="v", image_node_name="o", backing_file="./top")
    m.do("block_resize", node_name="o", size=9 * MIB)
    m.fails("block_resize", size=9 * MIB)
    m.quit()
    assert info("over")["backing-filename"] == "./top" and info("over")["virtual-size"] == 9 * MIB


def incremental():
    """What is written while an incremental backup runs belongs to the next one."""
    chain()
    m = Machine(*NODES)
    m.do("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})
    m.do("block-export-add", type="nbd", id="e", node_name="n0", writable=True)
    url = "nbd+unix:///n0?socket=nbd"
    m.do("block-dirty-bitmap-add", node="n0", name="b", persistent=True)

    def count():
        node = [n for n in m.do("query-named-block-nodes") if n["node-name"] == "n0"][0]
        return {b["name"]: b["count"] for b in node["dirty-bitmaps"]}

    def backup(name, **more):
        run(IMG, "create", "-q", "-f", "qcow2", name, "8M")
        m.do("blockdev-add", driver="qcow2", node_name=name,
             file={"driver": "file", "filename": name})
        m.do("blockdev-backup", job_id=name, device="n0", target=name, bitmap="b", **more)

    io(url, "write -P 3 0 128k", "write -P 3 6M 64k")
    backup("i1", sync="incremental", speed=1000)
    backup_in_the_way = m.fails("block-dirty-bitmap-remove", node="n0", name="b")
    assert "in use" in backup_in_the_way["desc"]
    io(url, "write -P 4 64k 64k", "write -P 5 3M 64k")
    m.do("block-job-set-speed", device="i1", speed=0)
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="i1")
    m.do("blockdev-del", node_name="i1")
    io("i1", "read -P 3 0 128k")
    assert count() == {"b": 128 << 10}, count()
    backup("i2", sync="incremental", speed=1000)
    io(url, "write -P 6 5M 64k")
    m.do("block-job-cancel", device="i2")
    m.wait("BLOCK_JOB_CANCELLED", device="i2")
    assert count() == {"b": 192 << 10}, count()
    backup("i3", sync="bitmap", bitmap_mode="never")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="i3")
    assert count() == {"b": 192 << 10}, count()
    backup("i4", sync="bitmap", bitmap_mode="on-success")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="i4")
    assert count() == {"b": 0}, count()
    m.do("blockdev-del", node_name="i4")
    io("i4", "read -P 4 64k 64k", "read -P 5 3M 64k", "read -P 6 5M 64k")
    m.quit()


def amounts():
    """How much is copied, and is said to be; how jobs that do not end by themselves end."""
    chain()
    m = Machine(*NODES)
    m.do("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})
    m.do("block-export-add", type="nbd", id="e", node_name="n0", writable=True)
    m.do("block-dirty-bitmap-add", node="n0", name="b")
    io("nbd+unix:///n0?socket=nbd", "write -P 3 3M 64k", "write -P 4 5000k 1k")
    target(m, "t")
    m.do("blockdev-backup", job_id="i", device="n0", target="t", bitmap="b", sync="incremental")
    assert m.wait("BLOCK_JOB_COMPLETED", device="i")["len"] == 128 << 10
    m.do("blockdev-del", node_name="t")
    data = [(p["start"], p["length"]) for p in json.loads(run(IMG, "map", "--output=json", "t")) if p["data"]]
    assert data == [(3 << 20, 64 << 10), (4992 << 10, 64 << 10)], data
    target(m, "n")
    m.do("blockdev-backup", job_id="n", device="n0", target="n", sync="none")
    io("nbd+unix:///n0?socket=nbd", "write -P 9 3M 4k")
    m.do("block-job-cancel", device="n")
    cancelled = m.wait("BLOCK_JOB_CANCELLED", device="n")
    assert (cancelled["len"], cancelled["offset"]) == (8 << 20, 64 << 10), cancelled
    m.do("blockdev-del", node_name="n")
    io("n", "read -P 3 3M 64k")
    target(m, "u")
    m.do("blockdev-mirror", job_id="m", device="n0", target="u", sync="none")
    assert m.wait("BLOCK_JOB_READY", device="m")["len"] == 0
    m.do("block-job-pause", device="m")
    assert "paused" in m.fails("block-job-cancel", device="m")["desc"]
    m.wait("JOB_STATUS_CHANGE", id="m", status="standby")
    m.do("block-job-resume", device="m")
    m.wait("JOB_STATUS_CHANGE", id="m", status="ready")
    m.do("block-job-cancel", device="m")
    m.wait("BLOCK_JOB_COMPLETED", device="m")
    for sync in "top", "full":
        target(m, "copy-" + sync)
        m.do("blockdev-backup", job_id=sync, device="n0", target="copy-" + sync, sync=sync)
        m.wait("BLOCK_JOB_COMPLETED", device=sync)
    m.quit()


def transaction():
    """All actions of one instant, or none."""
    chain()
    run(IMG, "create", "-q", "-f", "qcow2", "full", "8M")
    m = Machine(*NODES, *DEVICE)
    m.do("blockdev-add", driver="qcow2", node_name="full", file={"driver": "file", "filename": "full"})

    def action(kind, **data):
        return {"type": kind, "data": {k.replace("_", "-"): v for k, v in data.items()}}

    def bitmaps():
        node = [n for n in m.do("query-named-block-nodes") if n["node-name"] == "n0"][0]
        return {b["name"]: (b["count"], b["recording"]) for b in node.get("dirty-bitmaps", [])}

    m.do("block-dirty-bitmap-add", node="n0", name="old")
    begin = [action("block-dirty-bitmap-add", node="n0", name="new"),
             action("block-dirty-bitmap-disable", node="n0", name="old"),
             action("block-dirty-bitmap-merge", node="n0", target="new", bitmaps=["old"]),
             action("blockdev-backup", device="n0", target="full", sync="full", job_id="b")]
    snapshot = action("blockdev-snapshot-sync", node_name="n0", snapshot_file="s2",
                      snapshot_node_name="n2")
    for last in (action("abort"), action("bogus"), action("block-dirty-bitmap-clear", node="n0", name="zz"),
                 action("blockdev-backup", device="n0", target="zz", sync="full", job_id="c")):
        m.fails("transaction", actions=begin + [snapshot, last])
        assert inserted(m)["node-name"] == "n0" and not inserted(m)["ro"]
        assert bitmaps() == {"old": (0, True)}, bitmaps()
        while m.do("query-jobs"):
            time.sleep(0.02)
    m.fails("transaction", actions=begin, properties={"completion-mode": "grouped"})
    m.do("transaction", actions=begin + [action("block-dirty-bitmap-remove", node="n0", name="old"), snapshot])
    m.events.clear()
    while m.do("query-jobs"):
        time.sleep(0.02)
    assert inserted(m)["node-name"] == "n2" and inserted(m)["backing_file_depth"] == 2
    assert bitmaps() == {"new": (0, True)}, bitmaps()
    m.do("blockdev-del", node_name="full")
    m.quit()
    io("full", *CONTENT)
    io("s2", *CONTENT)


def internal_snapshots():
    chain()
    run(IMG, "create", "-q", "-f", "raw", "flat", "1M")
    m = Machine(*NODES, *DEVICE, "-blockdev", "driver=file,filename=flat,node-name=flat")

    def make(name):
        m.do("blockdev-snapshot-internal-sync", device="n0", name=name)

    def delete(**which):
        return m.do("blockdev-snapshot-delete-internal-sync", device="n0", **which)

    def fails(command, **arguments):
        return m.fails("blockdev-snapshot-" + command + "internal-sync", **arguments)["desc"]

    for name in "one", "2", "three":
        make(name)
    assert fails("", device="n0", name="") == "Name is empty"
    assert fails("", device="n0", name="one") == "Snapshot with name 'one' already exists on device 'n0'"
    assert "does not support internal snapshots" in fails("", device="flat", name="x")
    assert "nobody" in fails("", device="nobody", name="x")
    assert fails("delete-", device="n0") == "Name or id must be provided"
    assert fails("delete-", device="n0", id="1", name="2") == (
        "Snapshot with id '1' and name '2' does not exist on device 'n0'")
    assert "id 'null' and name 'four'" in fails("delete-", device="n0", name="four")
    gone = delete(name="2")  # not the one with that id
    assert (gone["id"], gone["name"], gone["vm-state-size"]) == ("2", "2", 0), gone
    assert set(gone) == {"id", "name", "vm-state-size", "date-sec", "date-nsec", "vm-clock-sec", "vm-clock-nsec"}
    assert delete(id="1", name="one")["id"] == "1" and delete(id="3")["name"] == "three"
    make("last")
    reply = m.fails("transaction", actions=[
        {"type": "blockdev-snapshot-internal-sync", "data": {"device": "n0", "name": "t"}},
        {"type": "blockdev-snapshot-internal-sync", "data": {"device": "n0", "name": "last"}}])
    assert "already exists" in reply["desc"], reply
    m.quit()
    assert [s["name"] for s in info("top")["snapshots"]] == ["last"]


def shell_commit():
    """The monitor's commit ends when all is in the backing file; the drive keeps its image."""
    chain()
    m = Machine(*DRIVE)
    assert m.do("human-monitor-command", command_line="commit nobody").startswith("Error")
    for name in "d0", "all":
        said = m.do("human-monitor-command", command_line="commit " + name)
        assert said == "", said
        assert m.do("query-jobs") == [] and inserted(m)["file"] == "top"
    m.quit()
    io("base", *CONTENT)
    io("top", *CONTENT)
    assert {p["depth"] for p in json.loads(run(IMG, "map", "--output=json", "top")) if p["data"]} == {1}
    m = Machine("-drive", "file=base,if=none,id=d0,format=qcow2")
    assert "no backing file" in m.do("human-monitor-command", command_line="commit d0")
    assert m.do("human-monitor-command", command_line="commit all") == ""
    m.quit()


def objects():
    """A secret that comes while the machine runs opens an encrypted image."""
    chain()
    run(IMG, "create", "-q", "--object", "secret,id=s,data=words", "-f", "qcow2", "-o",
        "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "luks", "1M")
    m = Machine(*DRIVE)
    node = {"driver": "qcow2", "node_name": "l", "encrypt": {"format": "luks", "key-secret": "s"},
            "file": {"driver": "file", "filename": "luks"}}
    m.fails("blockdev-add", **node)
    m.do("object-add", qom_type="secret", id="s", data="words")
    assert "duplicate" in m.fails("object-add", qom_type="secret", id="s", data="words")["desc"]
    m.do("blockdev-add", **node)
    m.do("object-del", id="s")
    assert "not found" in m.fails("object-del", id="s")["desc"]

    def hmp(line):
        return m.do("human-monitor-command", command_line=line)

    assert hmp("object_add secret,id=t,data=a,,b") == "" and hmp("object_del t") == ""
    assert hmp("info block -n l").startswith("l: ") and "luks" in hmp("info block -n l"), hmp("info block -n l")
    assert "backing file: base" in hmp("info block -v d0"), hmp("info block -v d0")
    m.quit()


def target(machine, name, size="8M", **rule):
    """A new image as node `name`, whose requests fail by a rule."""
    run(IMG, "create", "-q", "-f", "qcow2", name, size)
    file = {"driver": "file", "filename": name}
    if rule:
        rule.setdefault("once", True)
        file = {"driver": "blkdebug", "image": file, "inject-error": [rule]}
    machine.do("blockdev-add", driver="qcow2", node_name=name, file=file)


def failures():
    """Who copies may wait for the user, go on, or end."""
    chain()
    m = Machine(*NODES, *DEVICE)
    for policy, errno, status in (("stop", 5, "failed"), ("enospc", 28, "nospace"), ("auto", 28, "nospace")):
        for kind in ("mirror", "backup"):
            name = f"{kind}-{policy}"
            target(m, name, iotype="write", errno=errno)
            m.do("blockdev-" + kind, job_id=name, device="n0", target=name, sync="full",
                 on_target_error=policy)
            m.wait("BLOCK_JOB_ERROR", device=name, operation="write", action="stop")
            job = m.do("query-block-jobs")[0]
            assert job["io-status"] == status and job["paused"] and job["status"] == "paused", job
            m.do("block-job-resume", device=name)
            if kind == "mirror":
                m.wait("BLOCK_JOB_READY", device=name)
                assert m.do("query-block-jobs")[0]["io-status"] == "ok"
                m.do("block-job-cancel", device=name)
            m.wait("BLOCK_JOB_COMPLETED", device=name)
            m.do("blockdev-del", node_name=name)
            io(name, *CONTENT)
    target(m, "r", iotype="write", errno=5)
    m.do("blockdev-mirror", job_id="r", device="n0", target="r", sync="full", on_target_error="enospc")
    m.wait("BLOCK_JOB_ERROR", device="r", action="report")
    assert "error" in m.wait("BLOCK_JOB_COMPLETED", device="r")
    target(m, "i", iotype="write", errno=5)
    m.do("blockdev-mirror", job_id="i", device="n0", target="i", sync="full", on_target_error="ignore")
    m.wait("BLOCK_JOB_ERROR", device="i", action="ignore")
    m.wait("BLOCK_JOB_READY", device="i")
    m.do("block-job-complete", device="i")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="i")
    m.quit()
    io("i", *CONTENT)


def stream_failures():
    """A stream that went on after a failure keeps its backing file."""
    chain()
    bad = {"driver": "qcow2", "node-name": "b0", "file": {
        "driver": "blkdebug", "image": {"driver": "file", "filename": "base"},
        "inject-error": [{"iotype": "read", "errno": 5, "sector": 1280, "once": True}]}}
    m = Machine("-blockdev", json.dumps(bad), "-blockdev", json.dumps(
        {"driver": "qcow2", "node-name": "n0", "backing": "b0", "file": {"driver": "file", "filename": "top"}}))
    m.do("block-stream", device="n0", job_id="s", on_error="ignore")
    event = m.wait("BLOCK_JOB_ERROR", device="s")
    assert event["operation"] == "read" and event["action"] == "ignore", event
    assert "error" in m.wait("BLOCK_JOB_COMPLETED", device="s")
    m.do("block-stream", device="n0", job_id="s", on_error="stop")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="s")
    m.quit()
    assert "backing-filename" not in info("top")
    # One whose writes fail is told of as a read that did.
    chain()
    m = Machine("-blockdev", json.dumps({"driver": "qcow2", "node-name": "n0", "file": {
        "driver": "blkdebug", "image": {"driver": "file", "filename": "top"}, "inject-error": [{"event": "write_aio", "errno": 28, "once": True}]}}))
    m.do("block-stream", device="n0", job_id="s", on_error="enospc")
    m.wait("BLOCK_JOB_ERROR", device="s", operation="read", action="stop")
    assert m.do("query-block-jobs")[0]["io-status"] == "nospace"
    m.do("block-job-resume", device="s")
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="s")
    m.quit()
    io("top", *CONTENT)


def choices():
    """What else jobs can be told."""
    chain()
    m = Machine(*NODES)
    m.do("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})
    m.do("block-export-add", type="nbd", id="e", node_name="n0", writable=True)
    url = "nbd+unix:///n0?socket=nbd"
    target(m, "t")
    bad = dict(device="n0", target="t", sync="full")
    assert "granularity" in m.fails("blockdev-mirror", job_id="m", granularity=1000, **bad)["desc"]
    m.fails("blockdev-backup", job_id="m", copy_mode="background", **bad)
    m.fails("blockdev-mirror", job_id="m", copy_mode="sideways", **bad)
    m.fails("blockdev-mirror", job_id="m", replaces="nobody", **bad)
    m.do("blockdev-mirror", job_id="m", granularity=4096, buf_size=65536, unmap=False, copy_mode="write-blocking",
         replaces="n0", **bad)
    m.wait("BLOCK_JOB_READY")
    for n in range(20):
        io(url, f"write -P {n + 10} {n * 256 + 1}k 3k")
        assert m.do("query-block-jobs")[0]["actively-synced"]
    m.do("block-job-cancel", device="m", force=True)  # what was written is there nevertheless
    m.wait("BLOCK_JOB_CANCELLED", device="m")
    io(url, "write -P 99 0 512")
    m.do("blockdev-del", node_name="t")
    io("t", *(f"read -P {n + 10} {n * 256 + 1}k 3k" for n in range(20)), "read -P 1 0 512")
    # The copy mode of a mirror that runs can be changed, once.
    target(m, "later")
    for command in ("blockdev-mirror", "block-commit", "block-stream", "blockdev-backup"):
        more = {"target": "later", "sync": "full"} if "blockdev" in command else {}
        assert m.fails(command, device="n0", **more)["desc"] == "Invalid job ID ''"  # a node's name is no job's
    m.do("blockdev-mirror", job_id="m", device="n0", target="later", sync="full")
    m.wait("BLOCK_JOB_READY")
    change = dict(id="m", type="mirror")
    m.do("block-job-change", copy_mode="background", **change)
    for _ in range(2):
        m.do("block-job-change", copy_mode="write-blocking", **change)
    assert "background" in m.fails("block-job-change", copy_mode="background", **change)["desc"]
    m.fails("block-job-change", copy_mode="sideways", **change)
    for n in range(20):
        io(url, f"write -P {n + 40} {n * 256 + 1}k 3k")
        assert m.do("query-block-jobs")[0]["actively-synced"]
    m.do("block-job-cancel", device="m", force=True)
    m.wait("BLOCK_JOB_CANCELLED", device="m")
    m.do("blockdev-del", node_name="later")
    io("later", *(f"read -P {n + 40} {n * 256 + 1}k 3k" for n in range(20)))
    target(m, "raw-or-not")
    m.do("drive-backup", job_id="c", device="n0", target="packed", sync="full", format="qcow2", compress=True)
    assert "error" not in m.wait("BLOCK_JOB_COMPLETED", device="c")
    assert "ompression" in m.fails("drive-backup", job_id="c", device="n0", target="flat", sync="full",
                                   format="raw", compress=True)["desc"]
    m.quit()
    checked = json.loads(run(IMG, "check", "--output=json", "packed"))
    assert checked["compressed-clusters"] == checked["allocated-clusters"] > 60, checked
    io("packed", "read -P 99 0 512", "read -P 2 1921k 127k")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (active_commit, life, slow, mirror_top, names, overlays, incremental, amounts, transaction,
                 internal_snapshots, shell_commit, objects, failures, stream_failures, choices):
        if len(sys.argv) < 5 or test.__name__ in sys.argv[4:]:
            test()
    os.chdir("/")
