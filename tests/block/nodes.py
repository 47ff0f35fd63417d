# SPDX-License-Identifier: MIT
"""Nodes, filters and drives of a running machine: who shares them, and what changes them."""

import json
import os
import socket
import subprocess
import sys
import tempfile

sys.argv[1:4] = map(os.path.abspath, sys.argv[1:4])
KASO, IMG, IO = sys.argv[1:4]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "monitor"))
import harness

MIB = 1 << 20


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert result.returncode == 0, (command, result.stdout)
    return result.stdout.decode()


def io(image, *commands):
    return run(IO, *[a for c in commands for a in ("-c", c)], image)


def create(name, size="8M", *more, format="qcow2"):
    run(IMG, "create", "-q", "-f", format, *more, name, size)


def blockdev(**node):
    node = {k.replace("_", "-"): v for k, v in node.items()}
    return ("-blockdev", json.dumps(node))


def image(name, **more):
    return blockdev(driver="qcow2", node_name=name, file={"driver": "file", "filename": name}, **more)


class Machine:
    def __init__(self, *arguments):
        self.kaso = harness.Kaso(*arguments, "-qmp", "unix:@/qmp,server=on,wait=off", machine="virt",
                                 cwd=os.getcwd())
        self.qmp = harness.Qmp(self.kaso.connect("qmp"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kaso.__exit__()

    def ask(self, execute, **arguments):
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        return self.qmp.raw(json.dumps({"execute": execute, "arguments": arguments}))

    def do(self, execute, **arguments):
        answer = self.ask(execute, **arguments)
        assert "return" in answer, (execute, arguments, answer)
        return answer["return"]

    def fails(self, execute, **arguments):
        answer = self.ask(execute, **arguments)
        assert answer.get("error", {}).get("class") == "GenericError", (execute, arguments, answer)
        return answer["error"]["desc"]

    def hmp(self, line):
        return self.do("human-monitor-command", command_line=line)

    def serve(self):
        if os.path.exists("nbd"):
            os.unlink("nbd")
        self.do("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})

    def completed(self, job):
        while True:
            data = self.qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]
            if data["device"] == job:
                assert "error" not in data, data
                return data

    def node(self, name):
        return {n["node-name"]: n for n in self.do("query-named-block-nodes")}.get(name)

    def writeback(self):
        return [d["inserted"]["cache"]["writeback"] for d in self.do("query-block")]


def refused(*arguments):
    """What the program says when it does not start."""
    with harness.Kaso(*arguments, machine="virt", cwd=os.getcwd()) as kaso:
        return kaso.finish(1)[1]


def sharing():
    """A drive is everybody's until a device has it; then others write only with share-rw=on."""
    create("a")
    create("r.raw", "8M", format="raw")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2") as m:
        m.serve()
        m.do("nbd-server-add", device="d", writable=True)
        io("nbd+unix:///d?socket=nbd", "write -P 7 0 64k")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2", "-device", "virtio-blk-pci,drive=d,id=v") as m:
        m.serve()
        text = m.fails("nbd-server-add", device="d", writable=True)
        assert "Permission conflict on node" in text and "'write'" in text, text
        assert "unshared by block device '/machine/" in text, text
        m.do("nbd-server-add", device="d")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2", "-device",
                 "virtio-blk-pci,drive=d,id=v,share-rw=on") as m:
        m.serve()
        m.do("nbd-server-add", device="d", writable=True)
        io("nbd+unix:///d?socket=nbd", "write -P 8 0 64k")
    two = [a for i in "vw" for a in ("-device", f"virtio-blk-pci,drive=n,id={i}")]
    assert "Permission conflict on node 'n'" in refused(*blockdev(
        driver="file", filename="r.raw", node_name="n"), *two)
    with Machine(*blockdev(driver="file", filename="r.raw", node_name="n"),
                 *[a + ",share-rw=on" if a[0] != "-" else a for a in two]) as m:
        assert len(m.do("query-block")) == 2
    # The lock of a raw image is the device's, too: who has none lets others in.
    with Machine("-drive", "file=r.raw,if=none,id=d,format=raw"):
        run(IO, "-f", "raw", "-c", "write 0 512", "r.raw")
    text = refused("-drive", "file=a,if=none,id=d,format=qcow2",
                   "-device", "virtio-blk-pci,drive=d", "-device", "virtio-blk-pci,drive=d")
    assert "already in use by another device" in text, text


def write_cache():
    create("a")
    drive, device = "file=a,if=none,id=d,format=qcow2", "virtio-blk-pci,drive=d"
    for cache, option, expected in (("", "", True), (",cache=writethrough", "", False),
                                    (",cache=writethrough", ",write-cache=on", True),
                                    ("", ",write-cache=off", False), ("", ",write-cache=auto", True)):
        with Machine("-drive", drive + cache, "-device", device + option) as m:
            assert m.writeback() == [expected], (cache, option)
    assert "scsi=on" in refused("-drive", drive, "-device", device + ",scsi=on")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (sharing, write_cache):
        print(test.__name__, flush=True)
        test()
    os.chdir("/")
