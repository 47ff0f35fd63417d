# SPDX-License-Identifier: MIT
"""What must not be done to a node while a job, an export or an overlay relies on it: all pairs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.argv[1:4] = map(os.path.abspath, sys.argv[1:4])
KASO, IMG, IO = sys.argv[1:4]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "monitor"))
import harness
from patience import allow

MIB = 1 << 20
# base <- mid <- top is the device's; t and x are images of their own.
CHAIN = (("base", None), ("mid", "base"), ("top", "mid"), ("t", None), ("x", None))
IDLE = {"speed": 1, "auto-finalize": False}


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=allow(60))
    assert result.returncode == 0, (command, result.stdout)
    return result.stdout.decode()


def images(folder):
    for name, below in CHAIN:
        more = ("-b", below, "-F", "qcow2") if below else ()
        run(IMG, "create", "-q", "-f", "qcow2", *more, os.path.join(folder, name), "8M")


EMPTY = tempfile.TemporaryDirectory()  # the images as each machine finds them
images(EMPTY.name)


class Machine:
    def __init__(self, read_only=("base", "mid"), device="virtio-blk-pci,drive=top,id=v"):
        self.folder = tempfile.TemporaryDirectory()
        shutil.copytree(EMPTY.name, self.folder.name, dirs_exist_ok=True)
        arguments = []
        for name, below in CHAIN:
            node = {"driver": "qcow2", "node-name": name, "read-only": name in read_only,
                    "file": {"driver": "file", "filename": os.path.join(self.folder.name, name),
                             "node-name": name + "-file", "read-only": name in read_only}}
            if below:
                node["backing"] = below
            arguments += ["-blockdev", json.dumps(node)]
        self.kaso = harness.Kaso(*arguments, "-device", device,
                                 "-qmp", "unix:@/qmp,server=on,wait=off", machine="virt")
        self.qmp = harness.Qmp(self.kaso.connect("qmp"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kaso.__exit__()
        self.folder.cleanup()

    def ask(self, command, arguments):
        return self.qmp.raw(json.dumps({"execute": command, "arguments": arguments}))

    def do(self, command, arguments):
        answer = self.ask(command, arguments)
        assert "return" in answer, (command, arguments, answer)
        return answer["return"]

    def serve(self):
        self.do("nbd-server-start", {"addr": {"type": "unix", "data": {
            "path": os.path.join(self.folder.name, "nbd")}}})


HOLDERS = {
    "nothing": None,
    "mirror": ("blockdev-mirror", {"job-id": "j", "device": "top", "target": "t", "sync": "full"}),
    "backup": ("blockdev-backup", {"job-id": "j", "device": "top", "target": "t", "sync": "none"}),
    "stream": ("block-stream", {"job-id": "j", "device": "top", **IDLE}),
    "stream-mid": ("block-stream", {"job-id": "j", "device": "mid", **IDLE}),
    "commit": ("block-commit", {"job-id": "j", "device": "top"}),
    "commit-mid": ("block-commit", {"job-id": "j", "device": "top", "top-node": "mid",
                                    "base-node": "base", **IDLE}),
    "export": ("block-export-add", {"type": "nbd", "id": "e", "node-name": "top"}),
    "export-t": ("block-export-add", {"type": "nbd", "id": "e", "node-name": "t", "writable": True}),
}


def operations(node, folder):
    job = {"job-id": "k"}
    return {
        "resize": ("block_resize", {"node-name": node, "size": 16 * MIB}),
        "commit": ("block-commit", {**job, "device": node}),
        "stream": ("block-stream", {**job, "device": node, **IDLE}),
        "mirror-from": ("blockdev-mirror", {**job, "device": node, "target": "x", "sync": "full"}),
        "mirror-to": ("blockdev-mirror", {**job, "device": "x", "target": node, "sync": "full"}),
        "backup-from": ("blockdev-backup", {**job, "device": node, "target": "x", "sync": "none"}),
        "backup-to": ("blockdev-backup", {**job, "device": "x", "target": node, "sync": "none"}),
        "snapshot": ("blockdev-snapshot-sync", {"node-name": node, "snapshot-node-name": "o",
                                                "snapshot-file": os.path.join(folder, "o")}),
        "internal": ("blockdev-snapshot-internal-sync", {"device": node, "name": "s"}),
        "backing": ("change-backing-file", {"device": node, "image-node-name": node,
                                            "backing-file": "zz"}),
        "delete": ("blockdev-del", {"node-name": node}),
        "export": ("block-export-add", {"type": "nbd", "id": "e2", "name": "e2", "node-name": node}),
        "export-w": ("block-export-add", {"type": "nbd", "id": "e3", "name": "e3",
                                          "node-name": node, "writable": True}),
        "resize-file": ("block_resize", {"node-name": node + "-file", "size": 32 * MIB}),
    }


BUSY = {"commit", "stream", "mirror-from", "mirror-to", "backup-from", "backup-to", "snapshot",
        "internal", "backing"}
BELOW = {"mirror-from", "mirror-to", "snapshot", "internal", "delete"}
# (holder, node): what is refused because of a job; of an overlay; what nobody may do, whoever holds.
JOBS = {
    ("mirror", "top"): BUSY, ("mirror", "t"): BUSY,
    ("backup", "top"): BUSY - {"backup-from", "stream", "snapshot"}, ("backup", "t"): BUSY | {"delete"},
    ("stream", "top"): BUSY, ("stream", "mid"): BUSY | {"delete"}, ("stream", "base"): BUSY | {"delete"},
    ("stream-mid", "mid"): BUSY, ("stream-mid", "base"): BUSY | {"delete"},
    ("stream-mid", "top"): {"stream", "commit"},
    ("commit", "top"): BUSY, ("commit", "mid"): BUSY | {"delete"}, ("commit", "base"): BUSY,
    ("commit-mid", "top"): {"commit", "stream", "internal", "backing"},
    ("commit-mid", "mid"): BUSY, ("commit-mid", "base"): BUSY,
}
DEVICE_DENIES = {"mirror-to", "backup-to", "export-w"}


def expected(holder, node, name):
    """The part of the message that must be there, or None: it works."""
    held = JOBS.get((holder, node), set())
    if name == "resize" and held & BUSY and (holder, node) not in (("stream-mid", "top"), ("commit-mid", "top")):
        return "is in use"
    if name in held:
        return "busy: block device is in use by block job: "
    if name == "resize":
        return "is in use" if node in ("base", "mid") else \
            "Permission conflict" if (holder, node) in (("export", "top"), ("export-t", "t")) else None
    if node in ("base", "mid") and name in BELOW:
        return "busy: " if (holder, node) in JOBS else "busy: node is used as backing hd of '%s'" % {
            "base": "mid", "mid": "top"}[node]
    if name == "resize-file":
        return "Permission conflict on node '%s-file': permissions 'resize'" % node
    if name == "delete":
        return "in use" if node == "top" or held or (holder, node) == ("export-t", "t") else None
    if node == "top" and name in DEVICE_DENIES:
        return "Permission conflict on node 'top': permissions "
    if node in ("base", "mid") and name in ("export-w", "backup-to"):
        return ""
    if (holder, node) == ("mirror", "t") and name.startswith("export"):
        return "Permission conflict on node 't'"
    if (holder, node, name) == ("export-t", "t", "mirror-to"):
        return "Permission conflict on node 't'"
    if name == "commit" and node == "mid" and JOBS.get((holder, "top")):
        return "Node 'top' is busy"
    if name == "commit" and node in ("base", "t"):
        return "cannot commit an image into itself"
    if name == "backing" and node in ("base", "t"):
        return "has no backing file"
    return None


def pairs():
    """What is refused changes nothing, so that one machine is asked all of it; what works gets its own."""
    wrong = []
    for holder, start in HOLDERS.items():
        machines = []

        def machine():
            if not machines:
                m = Machine()
                m.serve()
                if start:
                    m.do(*start)
                machines.append(m)
            return machines[0]

        for node in ("top", "mid", "base", "t"):
            for name in operations(node, ""):
                m = machine()
                command, arguments = operations(node, m.folder.name)[name]
                answer, want = m.ask(command, arguments), expected(holder, node, name)
                error = answer.get("error", {"desc": "", "class": "GenericError"})
                if ("error" in answer) != (want is not None) or (want or "") not in error["desc"] or \
                        error["class"] != "GenericError":
                    wrong.append((holder, node, name, want, answer))
                if "return" in answer:
                    machines.pop().__exit__()
        if machines:
            machines.pop().__exit__()
    assert not wrong, "\n".join(map(str, wrong))


def completed(m, job):
    while True:
        data = m.qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]
        if data["device"] == job:
            return data


def writable_layer():
    """A layer that was opened for writing, below a disk that others may write, is not written while a stream reads it, whoever
    comes first."""
    stream, export = HOLDERS["stream"], ("block-export-add", {"type": "nbd", "id": "e", "node-name": "mid", "writable": True})
    for first, second in ((stream, export), (export, stream)):
        with Machine(("base",), "virtio-blk-pci,drive=top,id=v,share-rw=on") as m:
            m.serve()
            m.do(*first)
            answer = m.ask(*second)
            assert "Permission conflict on node 'mid'" in answer["error"]["desc"], answer


def no_loss():
    """What a mirror has promised holds when it takes the disk's place."""
    with Machine() as m:
        m.do(*HOLDERS["mirror"])
        m.qmp.wait_event("BLOCK_JOB_READY")
        for node in ("top", "t"):
            m.ask("block_resize", {"node-name": node, "size": 4 * MIB if node == "t" else 16 * MIB})
        m.do("block-job-complete", {"device": "j"})
        assert "error" not in completed(m, "j")
        inserted = m.do("query-block", {})[0]["inserted"]
        assert inserted["image"]["virtual-size"] == 8 * MIB and inserted["node-name"] == "t", inserted
        # What has ended holds nothing.
        m.do("block_resize", {"node-name": "t", "size": 16 * MIB})
        m.do("blockdev-del", {"node-name": "top"})


def inner():
    """Streams and commits between layers that no device has itself; headers follow."""
    with Machine() as m:
        folder = m.folder.name
        m.do("block-stream", {"job-id": "s", "device": "mid"})
        data = completed(m, "s")
        assert "error" not in data, data
        assert "backing-filename" not in json.loads(run(IMG, "info", "-U", "--output=json", folder + "/mid"))
        nodes = {n["node-name"]: n for n in m.do("query-named-block-nodes", {})}
        assert nodes["mid"]["ro"] and not nodes["top"]["ro"]
        m.do("blockdev-del", {"node-name": "base"})
    with Machine() as m:
        folder = m.folder.name
        m.do("blockdev-snapshot-sync", {"node-name": "top", "snapshot-file": folder + "/o",
                                        "snapshot-node-name": "o"})
        m.do("block-commit", {"job-id": "c", "device": "o", "top-node": "mid", "base-node": "base"})
        assert "error" not in completed(m, "c")
        info = json.loads(run(IMG, "info", "-U", "--output=json", folder + "/top"))
        assert info["backing-filename"].endswith("/base"), info
        nodes = {n["node-name"]: n for n in m.do("query-named-block-nodes", {})}
        assert nodes["base"]["ro"] and nodes["top"]["ro"]
        m.do("blockdev-del", {"node-name": "mid"})


for test in (pairs, writable_layer, no_loss, inner):
    print(test.__name__, flush=True)
    test()
