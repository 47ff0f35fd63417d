#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-clocks KASO BOOT_DIR SECONDS: Linux on a PC keeps time by each of its clock sources, all guests running at once.

The guest's monotonic clock is compared with this host's at the start and after SECONDS; halfway the machines are stopped for
a while, which their clocks may not see.
"""
import os
import re
import sys
import tempfile
import time

from guest import Guest
from qmp import Monitor

STOPPED_S = 3
SAMPLES = 20
MOST_PPM, MOST_S = 100, 0.05  # how far the clocks may drift, and what reading the guest's by a console costs in exactness

# Name: options, words of the kernel's command line.
GUESTS = {
    "tsc": ([], "clocksource=tsc tsc=reliable"),
    "tsc-deadline-smp4": (["-cpu", "max", "-smp", "4"], "clocksource=tsc tsc=reliable"),
    "hpet": ([], "clocksource=hpet"),
    "acpi_pm": (["-smp", "4"], "clocksource=acpi_pm"),
}


class Clock:
    """A guest, and what is known of its clock."""

    def __init__(self, kaso, boot, name, folder):
        self.name = name
        options, words = GUESTS[name]
        self.socket = f"{folder}/{name}"
        argv = [kaso, "-M", "pc", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"] + options
        argv += ["-qmp", f"unix:{self.socket},server=on,wait=off"]
        argv += ["-kernel", f"{boot}/linux", "-initrd", f"{boot}/initrd.gz"]
        argv += ["-append", f"console=ttyS0 quiet init=/kaso-shell panic=-1 {words}"]
        self.guest = Guest(argv)

    def prepare(self):
        self.guest.expect("Type poweroff to end", 300)
        self.guest.expect("# ", 60)
        self.qmp = Monitor(self.socket)
        _, source = self.guest.command("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        wanted = re.search(r"clocksource=(\w+)", GUESTS[self.name][1])[1]
        assert source == wanted, f"{self.name}: the clock source is {source}"
        self.first = self.sample()

    def sample(self):
        """(host's seconds, guest's seconds) of one moment: of some readings the one that took the shortest time."""
        best = None
        for _ in range(SAMPLES):
            before = time.monotonic()
            _, line = self.guest.command("grep '^now at' /proc/timer_list", 60)
            took = time.monotonic() - before
            if best is None or took < best[0]:
                best = took, before + took / 2, int(line.split()[2]) / 1e9
        return best[1:]

    def drift(self):
        """(seconds gone here, seconds that the guest's clock gained)."""
        last = self.sample()
        return last[0] - self.first[0], (last[1] - self.first[1]) - (last[0] - self.first[0])


def main():
    kaso, boot, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    if not os.path.exists(f"{boot}/linux"):
        print(f"no {boot}/linux: scripts/dev check makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        clocks = []
        try:
            for name in sys.argv[4:] or GUESTS:
                clocks.append(Clock(kaso, boot, name, folder))
                clocks[-1].prepare()
            time.sleep(seconds / 2)
            for clock in clocks:
                clock.qmp.run("stop")
                stopped = time.monotonic()
                time.sleep(STOPPED_S)
                clock.qmp.run("cont")
                clock.stopped = time.monotonic() - stopped
            time.sleep(seconds / 2)
            failed = []
            for clock in clocks:
                passed, gained = clock.drift()
                gained += clock.stopped
                print(f"{clock.name}: {gained * 1000:+.1f} ms in {passed:.0f} s ({gained / passed * 1e6:+.0f} ppm)", flush=True)
                if abs(gained) > MOST_S + passed * MOST_PPM / 1e6:
                    failed.append(clock.name)
            assert not failed, f"clocks that do not keep time: {failed}"
        finally:
            for clock in clocks:
                clock.guest.__exit__()


main()
