#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-shell KASO BOOT_DIR MACHINE [OPTION...]: boots Debian's installer kernel to a shell, uses it, powers off."""
import hashlib
import os
import sys

from guest import Guest

CONSOLES = {"virt": ("ttyAMA0", "aarch64"), "pc": ("ttyS0", "x86_64")}
kaso, boot, machine, *options = sys.argv[1:]
console, architecture = CONSOLES[machine]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev boot makes it")
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
    status, output = guest.command("dmesg | grep -ci 'call trace\\|oops\\|unexpected'")
    if output != "0":
        _, trace = guest.command("dmesg | grep -i -B 12 -A 24 'call trace\\|oops\\|unexpected' | head -n 120")
        raise AssertionError(trace)
    guest.line("poweroff")
    status = guest.wait()
    assert status == 0, f"exit status {status} after poweroff"
print(f"boot to shell and poweroff: {' '.join(options) or 'defaults'}")
