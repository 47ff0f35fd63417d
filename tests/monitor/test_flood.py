# SPDX-License-Identifier: MIT
"""A guest that resets itself without end: the monitors are served, and one whose peer does not read loses events only."""

import json
import struct
import tempfile
import time

from harness import Kaso, Qmp

RESET = struct.pack("<4I", 0xD2800120, 0xF2B08000, 0xD4000002, 0x14000000)  # SYSTEM_RESET by PSCI, for ever
PENDING_MOST = 4 << 20  # what is kept for a peer that does not read (MONITOR_PENDING_MAX)


def size(events):
    return sum(len(json.dumps(event)) for event in events)


with tempfile.NamedTemporaryFile() as kernel:
    kernel.write(RESET)
    kernel.flush()
    with Kaso("-qmp", "unix:@/a,server=on,wait=off", "-qmp", "unix:@/b,server=on,wait=off", "-kernel", kernel.name,
              machine="virt", paused=False) as kaso:
        reader, sleeper = Qmp(kaso.connect("a")), Qmp(kaso.connect("b"))
        end, told = time.monotonic() + 5, 0
        while told < 3 * PENDING_MOST and (time.monotonic() < end or not told):
            assert reader.command("query-status")["running"]
            told += size(reader.events)
            reader.events.clear()
        assert sleeper.command("query-status")["running"]
        assert size(sleeper.events) < 2 * PENDING_MOST, (size(sleeper.events), told)
print("ok")
