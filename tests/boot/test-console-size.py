#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-console-size KASO BOOT_DIR: Linux on a virtconsole learns the size of the terminal, and its changes."""
import fcntl
import os
import struct
import sys
import termios
import time

from guest import Guest

kaso, boot = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)

master, slave = os.openpty()


def set_size(rows, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def wait_for_size(guest, wanted):
    """The message is on its way for a moment."""
    for _ in range(600):
        _, size = guest.command("stty -F /dev/hvc0 size")
        if size == wanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"{size} instead of {wanted}")


set_size(41, 121)
# The terminal is Kaso's standard output; the serial port, where the shell is, takes the pipes.
argv = [sys.executable, "-c", "import os, sys; os.dup2(1, 9); os.dup2(0, 8); os.dup2(int(sys.argv[1]), 1); os.dup2(1, 0); "
        "os.execv(sys.argv[2], sys.argv[2:])", str(slave), kaso]
argv += ["-M", "virt", "-m", "512", "-display", "none", "-kernel", kernel, "-initrd", initrd, "-no-reboot", "-monitor", "none"]
argv += ["-append", "console=ttyAMA0 quiet init=/kaso-shell panic=-1"]
argv += ["-chardev", "file,id=s,path=/dev/fd/9,input-path=/dev/fd/8", "-serial", "chardev:s"]
argv += ["-chardev", "stdio,id=c,mux=on", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c"]
os.set_inheritable(slave, True)
with Guest(argv, pass_fds=[slave]) as guest:
    guest.expect(r"Type poweroff to end", 120)
    guest.expect(r"# ")
    guest.command("modprobe virtio_console; until [ -c /dev/hvc0 ]; do sleep 0.2; done")
    wait_for_size(guest, "41 121")
    set_size(30, 90)
    guest.process.send_signal(28)  # as a terminal that is the controlling one does
    wait_for_size(guest, "30 90")
    guest.line("poweroff")
    assert guest.wait() == 0
print("the console has the terminal's size")
