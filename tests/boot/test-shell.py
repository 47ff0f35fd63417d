#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-shell KASO BOOT_DIR MACHINE [OPTION...]: boots Debian's installer kernel to a shell, uses it, powers off.
MACHINE: virt, pc, or pc-i386 for the 32-bit PC.
"""
import hashlib
import os
import sys

from guest import Guest

# Program beside kaso (None: kaso itself), machine, console, what uname -m says.
MACHINES = {
    "virt": (None, "virt", "ttyAMA0", "aarch64"),
    "pc": (None, "pc", "ttyS0", "x86_64"),
    "pc-i386": ("kaso-system-i386", "pc", "ttyS0", "i686"),
}
# What a kernel's log has when something went wrong: not the "loops" of its calibration.
TROUBLE = "Call Trace:\\|Oops:\\|BUG: \\|WARNING: \\|nexpected"
kaso, boot, machine, *options = sys.argv[1:]
program, machine, console, architecture = MACHINES[machine]
if program:
    kaso = os.path.join(os.path.dirname(kaso), program)
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)

argv = [kaso, "-M", machine, "-m", "512", "-nographic", "-kernel", kernel, "-initrd", initrd]
argv += ["-append", f"console={console} quiet init=/kaso-shell panic=-1", "-no-reboot"] + options
with Guest(argv) as guest:
    guest.expect(r"Type poweroff to end", 120)
    guest.expect(r"# ")
    status, output = guest.command("uname -m")
    assert (status, output) == (0, architecture), (status, output)
    status, output = guest.command("grep -c ^processor /proc/cpuinfo")
    wanted = options[options.index("-smp") + 1] if "-smp" in options else "1"
    assert output == wanted, output
    status, output = guest.command("echo kaso | sha256sum")
    assert output.split()[0] == hashlib.sha256(b"kaso\n").hexdigest(), output
    status, output = guest.command(f"dmesg | grep -c '{TROUBLE}'")
    if output != "0":
        raise AssertionError(guest.command("dmesg")[1])
    guest.line("poweroff")
    status = guest.wait()
    assert status == 0, f"exit status {status} after poweroff"
print(f"boot to shell and poweroff: {' '.join(options) or 'defaults'}")
