#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-run-states KASO BOOT_DIR [OPTION...]: stops, continues and resets a booting machine at random moments, then
lets it boot: no lost wake-up, no dead vCPU, and the clock stands still while the machine is stopped."""
import os
import random
import sys
import tempfile
import time

from guest import Guest
from qmp import Monitor

kaso, boot, *options = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)

STORM_SECONDS = 60 if os.environ.get("KASO_LONG") else 6

seed = int.from_bytes(os.urandom(4), "little")
print(f"seed {seed}")
choose = random.Random(seed)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "qmp")
    argv = [kaso, "-M", "virt", "-m", "512", "-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd]
    argv += ["-append", "console=ttyAMA0 quiet init=/kaso-shell panic=-1", "-qmp", f"unix:{path},server=on,wait=off"]
    with Guest(argv + options) as guest:
        monitor = Monitor(path)
        commands = ["stop", "cont", "stop", "cont", "query-status", "query-cpus-fast", "system_reset"]
        end = time.monotonic() + STORM_SECONDS
        count = 0
        while time.monotonic() < end:
            monitor.run(choose.choice(commands))
            guest.read_some(choose.random() * 0.02)
            count += 1
        monitor.run("cont")
        monitor.run("system_reset")
        guest.position = len(guest.text)
        guest.expect(r"Type poweroff to end", 180)
        guest.expect(r"# ")
        began = time.monotonic()
        _, before = guest.command("cut -d. -f1 /proc/uptime")
        monitor.run("stop")
        stopped = time.monotonic()
        time.sleep(5)
        stopped = time.monotonic() - stopped
        monitor.run("cont")
        _, after = guest.command("cut -d. -f1 /proc/uptime")
        ran = time.monotonic() - began - stopped
        assert int(after) - int(before) < ran + 1, f"the guest's clock went on while it was stopped: {before} {after} {ran}"
        guest.line("poweroff")
        assert guest.wait() == 0
print(f"{count} commands: {' '.join(options) or 'defaults'}")
