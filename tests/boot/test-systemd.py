#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-systemd KASO GUEST_DIR KIND [OPTION...]: a Debian root boots to a systemd login, gets an address by DHCP and fetches a
file from a web server on this host's loopback. virt: Arm; pc-virtio and q35-virtio: a PC, with -kernel; pc-ide and q35-ahci: a
PC whose firmware starts GRUB from the disk."""
import functools
import http.server
import os
import subprocess
import sys
import tempfile
import threading

from guest import Guest

CONTENT = os.urandom(300000)


def serve(folder):
    """A web server on a free port of the loopback; returns it running."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *unused: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def check(guest, port):
    guest.expect(r"kaso-guest login:", 240)
    guest.line("root")
    guest.expect(r"[#$] $", 60)
    guest.line("stty cols 500; PS1='# '")
    status, output = guest.command("until ip -4 addr show scope global | grep inet; do sleep 1; done", 90)
    assert "10.0.2." in output, f"no address by DHCP: {output}"
    status, output = guest.command(f"wget -q -O /tmp/f http://10.0.2.2:{port}/f && cksum </tmp/f", 60)
    assert status == 0, f"wget failed: {output}"
    wanted = subprocess.run(["cksum"], input=CONTENT, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    assert output.split()[-2:] == wanted, (output, wanted)
    status, output = guest.command("systemctl is-system-running --wait; systemctl --failed --no-legend | cat", 120)
    print("systemd:", output.replace("\n", "; "))
    guest.line("poweroff")
    status = guest.wait(120)
    assert status == 0, f"exit status {status} after poweroff"


def machine(kind, guest_dir):
    kernel = ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img", "-append"]
    virtio = ["-device", "virtio-blk-pci,drive=disk", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"]
    if kind == "virt":
        return ["-M", "virt", "-cpu", "cortex-a57", *kernel, "console=ttyAMA0 quiet panic=-1", *virtio]
    if kind == "pc-virtio":
        return ["-M", "pc", "-cpu", "max", *kernel, "console=ttyS0 quiet panic=-1", *virtio]
    if kind == "q35-virtio":
        return ["-M", "q35", "-cpu", "max", *kernel, "console=ttyS0 quiet panic=-1", *virtio]
    board = "q35" if kind == "q35-ahci" else "pc"
    return ["-M", board, "-device", "ide-hd,drive=disk", "-netdev", "user,id=net", "-device", "e1000,netdev=net"]


def main():
    kaso, guest_dir, kind, *options = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/root.img"):
        arch = "arm64" if kind == "virt" else "amd64"
        print(f"no {guest_dir}: scripts/make-guest {arch} {guest_dir} systemd makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/f", "wb") as file:
            file.write(CONTENT)
        server = serve(folder)
        argv = [kaso, *machine(kind, guest_dir), "-m", "1G", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        argv += ["-snapshot", "-drive", f"if=none,id=disk,format=raw,file={guest_dir}/root.img"] + options
        with Guest(argv) as guest:
            check(guest, server.server_address[1])
        server.shutdown()


main()
