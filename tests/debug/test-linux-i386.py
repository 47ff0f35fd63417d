#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-linux-i386 KASO BOOT_DIR: a Linux of 32 bits, on a PC of 64 and of 32 bits, with no console and no file: its symbols, log and stack; a
break from before its first instruction.
"""
import os
import sys

from machine import Kaso, target
from patience import allow

kaso, boot = sys.argv[1:]
kernel = os.path.join(boot, "linux")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)


def check(program):
    with Kaso(program, "-M", "pc", "-m", "256", "-kernel", kernel, "-append", "console=null panic=0", "-serial", "null") as machine:
        machine.hmp("break panic")
        machine.hmp("c")
        text = ""
        while "Breakpoint 1" not in text:
            machine.monitor.settimeout(allow(200))
            text += machine.told()
        assert "panic" in text, text
        symbols = machine.qmp("x-query-symbols")["return"]
        assert symbols[0]["kind"] == "kallsyms" and symbols[0]["count"] > 30000, symbols
        log = machine.hmp("info dmesg")
        assert "Linux version" in log and "List of all partitions" in log, log[-1000:]
        frames = [f.get("symbol", "?").split("+")[0] for f in machine.qmp("x-backtrace")["return"][0]["frames"]]
        assert frames[:3] == ["panic", "mount_block_root", "mount_root"] and frames[-1] == "ret_from_fork", frames
        physical = machine.qmp("x-translate", address=machine.qmp("x-symbols-find", what="panic")["return"][0]["address"])["return"]["physical"]
        assert physical < 256 << 20, physical
        # Debian's has no types in memory.
        assert "symbols add VMLINUX" in machine.hmp("info tasks")
        assert "no root file system" in machine.qmp("x-explain")["return"]["text"] or "panic" in machine.qmp("x-explain")["return"]["text"]


for name in "x86_64", "i386":
    check(target(kaso, name))
print("ok")
