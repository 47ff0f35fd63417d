#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-explain KASO: guests of a few instructions that go wrong in known ways, and what explain and the boot diagnosis say of them."""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from guests import FILES  # pylint: disable=wrong-import-position
from qmp import Monitor  # pylint: disable=wrong-import-position
from patience import allow

kaso = sys.argv[1]
folder = tempfile.TemporaryDirectory()


def path_of(name):
    path = os.path.join(folder.name, name)
    with open(path, "wb") as file:
        file.write(FILES[name])
    return path


def virt(name):
    return ["-M", "virt", "-kernel", path_of(name)]


def pc(name):
    path = path_of(name)
    return ["-M", "pc", "-m", "64", "-drive", f"file={path},format=raw,snapshot=on", "-net", "none"]


def explain(arguments, wanted, cpu=None, seconds=15, more=lambda answer: True):
    """Asks until the answer has all that is wanted: a busy host may show a guest that has hardly run."""
    socket = os.path.join(folder.name, "qmp")
    with subprocess.Popen([kaso, *arguments, "-nodefaults", "-display", "none", "-serial", "null", "-monitor", "none",
                           "-qmp", f"unix:{socket},server=on,wait=off"]) as process:
        try:
            monitor = Monitor(socket)
            deadline = time.monotonic() + allow(seconds)
            while True:
                answer = monitor.run("x-explain")
                if all(w in answer["text"] for w in wanted) and (cpu is None or answer["cpus"][0]["activity"] == cpu) and more(answer):
                    return answer
                assert time.monotonic() < deadline, (wanted, cpu, answer)
                time.sleep(0.1)
        finally:
            process.kill()
            os.unlink(socket)


explain(virt("sleep.bin"), ["CPU 0 waits for an interrupt", "EL1, MMU off", "mach-virt.ram"], "waits",
        more=lambda answer: answer["cpus"][0]["pc"] in (0x40080000, 0x40080004))
explain(virt("poll.bin"), ["goes round", "pl011.UARTFR (read"], "loops",
        more=lambda answer: answer["polled"][0]["name"] == "pl011.UARTFR" and answer["polled"][0]["count"] > 100)
explain(virt("fault.bin"), ["exception after exception", "VBAR_EL1 is 0"], "exception-storm")
explain(virt("reset.bin"), ["resets itself over and over", "-no-reboot"])
explain(pc("halt.img"), ["interrupts are off", "real mode"], "waits")
explain(pc("triple.img"), ["resets itself over and over (the last time: triple fault)"])
explain(pc("storm.img"), ["exception after exception", "exception 6 (invalid opcode)", "taken at 0x7c0d"], "exception-storm")
explain(pc("page-fault.img"), ["resets itself over and over", "exception 14 (page fault) at 0x7c", "an access to 0x12345678",
                               "has no entry for it"])

# The paragraph for a terminal, and none when it is not wanted.
for option, wanted in ("on", True), ("off", False):
    with subprocess.Popen([kaso, *virt("fault.bin"), "-nodefaults", "-display", "none", "-serial", "file:" + os.path.join(folder.name, "out"),
                           "-action", "silence=1", "-boot-diagnosis", option], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline()
        assert "has written nothing" in first, first
        second = process.stderr.readline() if wanted else ""
        process.terminate()
        rest = process.stderr.read()
        if wanted:
            assert "exception after exception" in second and "0x10000000000 (read" in second, second
        else:
            assert "exception" not in rest, rest
print("ok")
