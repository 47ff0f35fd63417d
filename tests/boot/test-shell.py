#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-shell KASO BOOT_DIR [OPTION...]: boots Debian's installer kernel to a shell, uses it, powers off."""
import hashlib
import os
import sys

from guest import Guest

kaso, boot, *options = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev boot makes it")
    sys.exit(77)

argv = [kaso, "-M", "virt", "-m", "512", "-nographic", "-kernel", kernel, "-initrd", initrd]
argv += ["-append", "console=ttyAMA0 quiet init=/kaso-shell panic=-1", "-no-reboot"] + options
with Guest(argv) as guest:
    guest.expect(r"Type poweroff to end", 120)
    guest.expect(r"# ")
    status, output = guest.command("uname -m")
    assert (status, output) == (0, "aarch64"), (status, output)
    status, output = guest.command("grep -c ^processor /proc/cpuinfo")
    wanted = options[options.index("-smp") + 1] if "-smp" in options else "1"
    assert output == wanted, output
    status, output = guest.command("echo kaso | sha256sum")
    assert output.split()[0] == hashlib.sha256(b"kaso\n").hexdigest(), output
    status, output = guest.command("dmesg | grep -ci 'call trace\\|oops\\|unexpected'")
    assert output == "0", output
    guest.line("poweroff")
    status = guest.wait()
    assert status == 0, f"exit status {status} after poweroff"
print(f"boot to shell and poweroff: {' '.join(options) or 'defaults'}")
