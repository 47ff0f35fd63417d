#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-kernels KASO KERNELS ARCH: kernels of other versions than the rest of the tests have, with no console: their symbols, log, tasks, stack
and types, all from memory. KERNELS: files named by version (scripts/fetch-kernels).
"""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from guest import Guest  # pylint: disable=wrong-import-position
from patience import allow
from qmp import Monitor  # pylint: disable=wrong-import-position

kaso, kernels, arch = sys.argv[1:]
versions = sorted(os.listdir(kernels)) if os.path.isdir(kernels) else []
if not versions:
    print(f"no kernels in {kernels}: scripts/fetch-kernels gets them")
    sys.exit(77)
machine = ["-M", "virt", "-cpu", "max"] if arch == "arm64" else ["-M", "pc"]


def hmp(monitor, line):
    return monitor.run("human-monitor-command", **{"command-line": line})


def check(version, folder):
    socket = os.path.join(folder, "qmp")
    with Guest([kaso, *machine, "-m", "512", "-kernel", os.path.join(kernels, version), "-append", "console=null panic=0", "-display", "none",
                "-serial", "null", "-monitor", "none", "-net", "none", "-qmp", f"unix:{socket},server=on,wait=off"]):
        monitor = Monitor(socket)
        deadline = time.monotonic() + allow(150)
        text = ""
        while "Unable to mount root fs" not in text:
            assert time.monotonic() < deadline, (version, text[-1000:])
            time.sleep(0.3)
            if any(f["kind"] == "kallsyms" for f in monitor.run("x-query-symbols")):
                text = hmp(monitor, "info dmesg")
        assert f"Linux version {version}" in text, text[:300]
        start = monitor.run("x-symbols-find", what="start_kernel")
        assert len(start) == 1, start
        assert "start_kernel" in hmp(monitor, "x/2i start_kernel")
        names = {t["name"] for t in monitor.run("x-query-tasks")}
        assert "kthreadd" in names and any(n.startswith("ksoftirqd") for n in names), names
        frames = [f.get("symbol", "?").split("+")[0] for f in monitor.run("x-backtrace", task=1)[0]["frames"]]
        assert frames.index("panic") < frames.index("kernel_init") and frames[-1].startswith("ret_from_fork"), frames
        assert '"swapper/0"' in hmp(monitor, "p ((struct task_struct *)&init_task)->comm")
        assert "Linux version" in monitor.run("x-explain")["text"]
        assert "module" in hmp(monitor, "info modules")
        print(f"{version}: {[f['count'] for f in monitor.run('x-query-symbols')]} symbols, {len(names)} names of tasks")


with tempfile.TemporaryDirectory() as work:
    for number in versions:
        check(number, work)
print("ok")
