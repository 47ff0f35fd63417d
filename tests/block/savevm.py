# SPDX-License-Identifier: MIT
"""Snapshots with the machine's state, made by a QEMU, in the hands of kaso-img: listed, applied, copied and
deleted with nothing lost; what is left loads in QEMU. QEMU_SYSTEM and QEMU_IMG name what is installed elsewhere."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
QEMU_IMG = (os.environ.get("QEMU_IMG") or shutil.which("qemu-img") or "").split()
SYSTEMS = [("qemu-system-aarch64", ["-M", "virt", "-cpu", "cortex-a57"], 0x41000000),
           ("qemu-system-arm", ["-M", "virt"], 0x41000000),
           ("qemu-system-x86_64", ["-M", "q35"], 0x1000000)]
KIB, MIB = 1 << 10, 1 << 20
RAM_SIZE, DISK = 6 * MIB, "64M"
CONFIGS = ["cluster_size=4k,refcount_bits=8", "cluster_size=64k,extended_l2=on", "compat=0.10"]
if "--thorough" in sys.argv:
    CONFIGS += ["cluster_size=64k", "lazy_refcounts=on,compat=1.1"]


def find_system():
    given = os.environ.get("QEMU_SYSTEM")
    for name, arguments, address in SYSTEMS:
        if given and name in given:
            return [*given.split(), *arguments], address
        if not given and shutil.which(name):
            return [name, *arguments], address
    return None, None


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=allow(60))
    assert result.returncode == status, (command, result.returncode, result.stdout, result.stderr)
    return result.stdout


class Machine:
    """A QEMU that has never started its processor, with the image as its disk."""

    def __init__(self, system, image, *arguments):
        self.process = subprocess.Popen(
            [*system, "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio",
             "-drive", f"if=none,id=disk,format=qcow2,file={image}", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        assert "QMP" in self.receive()
        self.execute("qmp_capabilities")
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        else:
            self.execute("quit")
        self.process.communicate(timeout=allow(60))

    def receive(self):
        line = " "
        while line and not line.startswith("{"):  # qemu-io talks between answers
            line = self.process.stdout.readline()
        assert line, "QEMU has ended"
        return json.loads(line)

    def execute(self, command, **arguments):
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            answer = self.receive()
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def monitor(self, line):
        answer = self.execute("human-monitor-command", **{"command-line": line})
        assert "rror" not in answer and "not exist" not in answer, (line, answer)
        return answer

    def ram(self, address):
        self.execute("pmemsave", val=address, size=RAM_SIZE, filename="dump")
        with open("dump", "rb") as dump:
            return dump.read()


def clean():
    run(IMG, "check", "-q", "i")
    if QEMU_IMG:
        run(*QEMU_IMG, "check", "-q", "i")


def snapshot_fields(text):
    """ID, tag, size and date; how the clock is printed differs among versions."""
    return [line.split()[:6] for line in text.splitlines()[2:]]


def listed(*names):
    text = run(IMG, "snapshot", "-l", "i")
    assert [fields[1] for fields in snapshot_fields(text)] == list(names), text
    if QEMU_IMG:
        theirs = run(*QEMU_IMG, "snapshot", "-l", "i")
        assert snapshot_fields(text) == snapshot_fields(theirs), (text, theirs)
    return json.loads(run(IMG, "info", "--output=json", "i"))


def content(pattern, *options):
    """The disk, of a snapshot maybe, through a copy."""
    run(IMG, "convert", *options, "-O", "raw", "i", "copy")
    assert "Pattern" not in run(IO, "-f", "raw", "-c", f"read -P {pattern} 0 3M", "-c",
                                f"read -P {pattern} 60M 1M", "-c", "read -P 0 3M 57M", "copy")


def fill(pattern):
    return [f'qemu-io disk "write -P {pattern} 0 3M"', f'qemu-io disk "write -P {pattern} 60M 1M"']


def loads(system, address, name, ram):
    with Machine(system, "i", "-loadvm", name) as machine:
        assert machine.ram(address) == ram, f"the memory in {name} is not what it was"


def turn(system, address, config):
    memory = [random.Random(n).randbytes(RAM_SIZE) for n in range(2)]
    run(IMG, "create", "-q", "-f", "qcow2", "-o", config, "i", DISK)
    for number, name in enumerate(("one", "two")):
        with open("ram", "wb") as file:
            file.write(memory[number])
        with Machine(system, "i", "-device", f"loader,file=ram,addr={address},force-raw=on") as machine:
            for line in [*fill(number + 1), f"savevm {name}"]:
                machine.monitor(line)
            for line in fill(7):
                machine.monitor(line)
    clean()
    snapshots = listed("one", "two")["snapshots"]
    assert all(s["vm-state-size"] > RAM_SIZE for s in snapshots), snapshots
    content(7)
    content(1, "-l", "one")
    content(2, "-l", "snapshot.name=two")

    run(IMG, "snapshot", "-a", "one", "i")
    clean()
    content(1)
    loads(system, address, "two", memory[1])
    content(2)  # loading has applied it
    run(IMG, "snapshot", "-c", "three", "i")
    run(IMG, "snapshot", "-d", "one", "i")
    clean()
    assert [s["vm-state-size"] > 0 for s in listed("two", "three")["snapshots"]] == [True, False]
    run(IO, "-f", "qcow2", "-c", "write -P 9 0 64M", "i")
    if "0.10" not in config:  # version 2 has no disk sizes of snapshots
        # The state that was loaded lies behind the disk: it is no part of a larger one.
        run(IMG, "resize", "-q", "i", "+1G")
        assert not any(e["data"] and e["start"] >= 64 * MIB
                       for e in json.loads(run(IMG, "map", "--output=json", "i")))
    clean()
    loads(system, address, "two", memory[1])
    run(IMG, "snapshot", "-d", "two", "i")
    run(IMG, "snapshot", "-d", "3", "i", status=1)  # an id, and names are meant
    run(IMG, "snapshot", "-d", "three", "i")
    listed()
    clean()


def main():
    system, address = find_system()
    if not system:
        print("no qemu-system-aarch64, -arm or -x86_64 is installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for config in CONFIGS:
            turn(system, address, config)
        os.chdir("/")


main()
