# SPDX-License-Identifier: MIT
"""Every command of QMP and HMP with absent, empty, wrong, over-long and nonsense arguments. The commands and their
arguments come from query-qmp-schema and help. Each is answered, and the machine lives on.

test_arguments.py KASO [SEED [ROUNDS]]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading

from harness import Kaso, Qmp
from patience import allow
from schema import Types

SERVER = "unix:@/%s,server=on,wait=off"
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 1
PATIENCE = 300  # seconds for one answer: a hang, not a loaded host
ENDS = {"quit", "set-action", "q"}  # what answers by ending, or lets the next reset end
WAITS = {"x-wait-for", "wait-for"}  # what answers when something has happened

# Things that the machines have, so that commands get beyond looking a name up.
THINGS = ["d0", "n0", "t0", "file0", "raw0", "ring", "mon", "net0", "nic", "disk", "rng0", "io0", "tg", "sec", "j0", "e0",
          "b0", "snap", "virtio-blk-pci", "virtio-net-pci", "/machine", "/machine/peripheral/disk", "type", "all", "0",
          "qcow2", "top", "full", "none", "unix", "nbd", "null-co", "user", "ringbuf", "stdio", "secret", "on", "1M"]
STRINGS = ["", " ", "x", "-1", "a" * 300, "b" * 70000, "%s%n%p", "\u00e9\u4e2d\U0001f600", "\x01\x1b[31m", ",", "=", "a=b,c=d",
           ":", "::", "tcp:", "tcp::", "udp::-:", "tcp::1-", ":::-::", "unix:", "nbd:", "nbd://", "http://", "file:", "fd:",
           "json:", "json:{", "json:{}", "json:[]", "/", "//", "..", "./", "@", "x@", "@:", "#", "!", "'", '"', "\\", "\t", "\n",
           "0x", "1e999", "99999999999999999999", "-", "--", "/i", "$", "$x", "(", "((((1", "1/0", "0/0", "*", "**", "null",
           "driver", "id=", "driver=", "help", "?", "file.filename=x", ".", "a.b.c.d", "a..b", ".a", "a.", "a." * 200]
NUMBERS = [0, 1, -1, 7, 512, 4096, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, -(1 << 63)]
NESTED = json.loads("[" * 90 + "]" * 90)
VALUES = [None, [], {}, [[]], [{}], [None], ["", 1], {"": ""}, {"a": {"b": {"c": []}}}, NESTED, 1.5, [1] * 300,
          {"type": "unix", "data": {}}, {"type": "unix", "data": {"path": ""}}, {"type": "inet", "data": {"host": "", "port": ""}},
          {"type": "inet", "host": "", "port": "x"}, {"type": "file", "data": {"out": ""}}, {"type": "", "data": None},
          [{"type": "block-dirty-bitmap-add", "data": {"node": "n0", "name": ""}}], [{"type": "blockdev-backup", "data": {}}],
          [{"type": "abort", "data": {}}], [{"type": "", "data": 1}], [{"node": "n0"}], ["b0"], [""]]


# What an argument's name suggests: with these most commands do something.
HINTS = {
    "device": ["d0", "n0", "d0", "j0", "ring", "disk"], "id": ["disk", "nic", "j0", "e0", "net0", "ring", "sec", "new0", "io1"],
    "node": ["n0", "raw0"], "node-name": ["n0", "raw0", "t0", "new0"], "target": ["raw0", "copy", "t0"], "job-id": ["j0", "j1"],
    "format": ["qcow2", "raw", "utf8"], "sync": ["full", "top", "none"], "path": ["/machine", "disk", "/machine/peripheral/disk"],
    "property": ["type", "realized", "drive"], "name": ["b0", "b1", "snap", "net0", "d0"], "driver": ["null-co", "virtio-rng-pci"],
    "type": ["nbd", "user"], "base": ["base"], "top": ["top"], "snapshot-file": ["over"], "overlay": ["raw0"], "filename": ["out"],
    "typename": ["virtio-blk-pci"], "qom-type": ["secret", "iothread"], "command-line": ["info block", "help"], "netdev": ["net0"],
    "rule": ["tcp::5555-:22", "net0 tcp::5556-:22"], "image-node-name": ["n0"], "backing-file": ["base"], "bitmap": ["b0"],
    "image-node": ["n0"], "items": ["int"], "uri": ["unix:nbd2"],
}


def string(r, name=None):
    if name in HINTS and r.random() < 0.6:
        return r.choice(HINTS[name])
    return r.choice(THINGS) if r.random() < 0.5 else r.choice(STRINGS)


def value(r, kind, name=None):
    """A value that fits the schema's type, mostly."""
    if kind == "int":
        return r.choice(NUMBERS)
    if kind == "bool":
        return r.random() < 0.5
    if kind == "str":
        return string(r, name)
    if isinstance(kind, list):
        return r.choice(kind) if r.random() < 0.9 else string(r)
    return r.choice(VALUES) if r.random() < 0.6 else string(r)


class Schema:
    def __init__(self, entries):
        self.types = {e["name"]: e for e in entries if e["meta-type"] not in ("command", "event")}
        self.answers = Types(entries)
        self.commands = {e["name"]: self.members(e["arg-type"]) for e in entries if e["meta-type"] == "command"}
        self.events = {e["name"]: self.members(e["arg-type"]) for e in entries if e["meta-type"] == "event"}

    def kind(self, name):
        entry = self.types[name]
        if entry["meta-type"] == "enum":
            return entry["values"]
        return name if entry["meta-type"] == "builtin" else "any"

    def check_events(self, qmp):
        for event in qmp.events:
            wanted = self.events[event["event"]]
            data = event.get("data", {})
            assert set(data) <= {n for n, _, _ in wanted} and {n for n, _, m in wanted if not m} <= set(data), (event, wanted)
        qmp.events.clear()

    def members(self, name):
        return [(m["name"], self.kind(m["type"]), "default" in m) for m in self.types[name]["members"]]


def cases(r, members):
    """Arguments to try a command with."""
    def some(optional):
        return {name: value(r, kind, name) for name, kind, may_miss in members if not may_miss or r.random() < optional}

    yield None
    yield {}
    yield {"nonsense": 1}
    for name, kind, _ in members:
        yield {n: v for n, v in some(0.3).items() if n != name}
        for wrong in ("", "z" * 5000, -1, True, None, [], {}):
            yield {**some(0.1), name: wrong}
        for thing in r.sample(THINGS, 4) + r.sample(STRINGS, 4):
            yield {**some(0.2), name: thing}
    for _ in range(6 + 4 * len(members)):
        yield some(r.random())
    for _ in range(3):
        yield {**some(0.3), string(r): r.choice(VALUES + STRINGS)}


def short(arguments):
    text = json.dumps(arguments)
    return text if len(text) < 300 else text[:300] + "..."


def try_qmp(qmp, r):
    schema = Schema(qmp.command("query-qmp-schema"))
    assert set(schema.commands) == {c["name"] for c in qmp.command("query-commands")}
    names = sorted(set(schema.commands) - ENDS - WAITS)
    r.shuffle(names)
    for name in names:
        if r.random() < 0.2:
            begin_work(qmp)
        for line in ("log none", "stop"):  # a guest without a program errs, and logs it, without end
            hmp(qmp, line)
        for arguments in cases(r, schema.commands[name]):
            request = {"execute": name} if arguments is None else {"execute": name, "arguments": arguments}
            try:
                reply = qmp.raw(json.dumps(request))
            except (EOFError, OSError) as problem:
                raise AssertionError(f"no answer to {name} {short(arguments)}") from problem
            assert ("return" in reply) != ("error" in reply), (name, short(arguments), reply)
            if "return" in reply:
                schema.answers.check_answer(name, reply["return"])
            if "error" in reply:
                assert reply["error"]["class"] and reply["error"]["desc"], (name, short(arguments), reply)
            schema.check_events(qmp)


def hmp(qmp, line):
    try:
        return qmp.command("human-monitor-command", command_line=line)
    except (EOFError, OSError) as problem:
        raise AssertionError(f"no answer to {line[:300]!r}") from problem


def try_hmp(qmp, r):
    lines = (hmp(qmp, "help") + hmp(qmp, "help info")).splitlines()
    usages = {}
    for line in lines:
        usage = line.split(" -- ")[0]
        names, _, rest = usage.partition(" ") if not usage.startswith("info ") else (
            " ".join(usage.split(" ")[:2]), "", " ".join(usage.split(" ")[2:]))
        for name in names.split("|"):
            usages[name if not usage.startswith("info ") or name.startswith("info ") else name] = rest.split()
    assert "info block" in usages and "cont" in usages, sorted(usages)
    for name in sorted(set(usages) - ENDS - WAITS):
        words = usages[name]
        tries = ["", " ", ' ""', " " + "x" * 5000, " " + "y " * 500, ' "', " /", " -", " /9999999999xb 0", " -x", " \x01"]
        for _ in range(4 + 6 * len(words)):
            count = r.randint(1, len(words) + 2)
            parts = [r.choice(["", "-f ", "-a ", "/4i ", "/x ", "/1s "])] if r.random() < 0.3 else []
            for _ in range(count):
                word = r.choice([string(r), str(r.choice(NUMBERS)), r.choice(["on", "off", "1M", "-1K", "0x40000000"])])
                parts.append(json.dumps(word) + " " if r.random() < 0.4 else word + " ")
            tries.append(" " + "".join(parts))
        for line in ("log none", "stop"):
            hmp(qmp, line)
        for rest in tries:
            hmp(qmp, (name + rest).replace("\n", " "))
            qmp.events.clear()


def one(r, folder, *arguments, machine, work=False):
    with Kaso("-qmp", SERVER % "qmp", *arguments, machine=machine, cwd=folder) as kaso:
        said = []
        reader = threading.Thread(target=lambda: said.extend(iter(lambda: kaso.process.stderr.read(65536), b"")))
        reader.start()
        try:
            qmp = Qmp(kaso.connect("qmp"))
            qmp.peer.settimeout(allow(PATIENCE))
            if work:
                begin_work(qmp)
            try_qmp(qmp, r)
            try_hmp(qmp, r)
            qmp.command("quit")
            assert kaso.process.wait(allow(PATIENCE)) == 0, kaso.process.returncode
        finally:
            kaso.process.kill()
            reader.join()
            text = b"".join(said).decode(errors="replace")
            found = [word for word in ("Sanitizer", "runtime error", "CRITICAL", "ssertion") if word in text]
            if found:
                print(text[max(0, text.index(found[0]) - 500):text.index(found[0]) + 4000], file=sys.stderr)
        assert not found


def begin_work(qmp):
    """Work that goes on for ever, an export, a bitmap: as far as they are not there, and can be made."""
    for name, arguments in (
            ("drive-mirror", {"device": "d0", "target": "copy", "sync": "full", "job-id": "j0", "speed": 1}),
            ("block-dirty-bitmap-add", {"node": "n0", "name": "b0"}),
            ("nbd-server-start", {"addr": {"type": "unix", "data": {"path": "nbd"}}}),
            ("block-export-add", {"type": "nbd", "id": "e0", "node-name": "n0"}),
            ("blockdev-snapshot-internal-sync", {"device": "n0", "name": "snap"}),
            ("chardev-add", {"id": "ring", "backend": {"type": "ringbuf", "data": {}}}),
            ("netdev_add", {"type": "user", "id": "net1"}),
            ("blockdev-add", {"driver": "null-co", "node-name": "raw0", "size": 1 << 20})):
        qmp.raw(json.dumps({"execute": name, "arguments": arguments}))


FULL = ("-drive", "file=top,if=none,id=d0,format=qcow2", "-device", "virtio-blk-pci,drive=d0,id=disk",
        "-blockdev", "driver=file,filename=node,node-name=file0", "-blockdev", "driver=qcow2,file=file0,node-name=n0",
        "-object", "throttle-group,id=tg,limits.iops-total=1000", "-blockdev", "driver=null-co,size=1M,node-name=raw0",
        "-blockdev", "driver=throttle,node-name=t0,throttle-group=tg,file=raw0",
        "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,id=nic", "-device", "virtio-rng-pci,id=rng0",
        "-chardev", "ringbuf,id=ring", "-chardev", "null,id=mon", "-object", "iothread,id=io0",
        "-object", "secret,id=sec,data=secret")


def main():
    r = random.Random(SEED)
    img = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "block", "kaso-img")
    sys.argv[1] = os.path.abspath(sys.argv[1])
    for _ in range(ROUNDS):
        for machine in "none", "virt":
            with tempfile.TemporaryDirectory() as folder:
                one(r, folder, machine=machine)
        with tempfile.TemporaryDirectory() as folder:
            for image in "base 2M", "node 2M", "-b base -F qcow2 top":
                subprocess.run([img, "create", "-q", "-f", "qcow2", *image.split()], check=True, cwd=folder)
            one(r, folder, *FULL, machine="virt", work=True)
    print(f"seed {SEED}, {ROUNDS} rounds")


main()
