#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-queue-reset KASO GUEST_DIR MACHINE: Linux makes the rings of a virtio NIC anew, as `ethtool -G` does, while frames go both ways;
an older machine does not let it."""
import functools
import hashlib
import http.server
import os
import sys
import tempfile
import threading

from guest import Guest

MIB = 1 << 20
MACHINES = {
    "virt": ["-M", "virt", "-cpu", "cortex-a57"],
    "pc": ["-M", "pc"],
    "pc-7.1": ["-M", "pc-i440fx-7.1"],
}
# What ethtool -g and -G ask of the driver (linux/ethtool.h): prints the sizes, or the error of setting them.
RINGS = """
import array, fcntl, socket, struct, sys
rx, tx = int(sys.argv[1]), int(sys.argv[2])
def ask(*ring):
    ring = array.array('I', ring)
    request = struct.pack('16sQ16x', b'eth0', ring.buffer_info()[0])
    fcntl.ioctl(socket.socket(), 0x8946, request)
    return list(ring)
try:
    if rx:
        ask(0x11, 0, 0, 0, 0, rx, 0, 0, tx)
    print(*ask(0x10, *[0] * 8)[5::3])
except OSError as error:
    print('errno', error.errno)
"""


def serve(folder):
    """A web server on a free port of the loopback; returns it running."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *unused):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def run(guest, command, timeout=120):
    status, output = guest.command(command, timeout)
    assert status == 0, (command, status, output)
    return output


def start(guest):
    guest.expect(r"[#$] ", 300)
    for command in ("/bin/busybox --install -s /bin; export PATH=/bin; mkdir -p /tmp; mount -t proc proc /proc; mount -t sysfs sys /sys",
                    "mount -t devtmpfs dev /dev; for m in /modules/*; do insmod $m 2>/dev/null; done; until findfs LABEL=root; do sleep 0.2; done",
                    "mount -t ext4 -o ro $(findfs LABEL=root) /root && ln -s /root/lib /lib && mount -t tmpfs tmp /root/tmp",
                    "modprobe virtio_net; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0"):
        run(guest, command)
    for line in RINGS.strip().splitlines():
        run(guest, f"echo \"{line}\" >>/root/tmp/rings")


def rings(guest, rx=0, tx=0):
    return run(guest, f"chroot /root /usr/bin/python3 /tmp/rings {rx} {tx}")


def check(guest, port, wanted):
    fetch = f"wget -q -O - http://10.0.2.2:{port}/file | md5sum"
    assert rings(guest) == "256 256"
    assert run(guest, fetch).split()[0] == wanted
    for rx, tx in ((64, 128), (256, 32), (128, 256)):
        assert rings(guest, rx, tx) == f"{rx} {tx}"
        assert run(guest, fetch).split()[0] == wanted
    # While frames go both ways: TCP makes up for those that a ring lost.
    run(guest, f"({fetch} >/tmp/sum) & for turn in 1 2 3 4 5; do chroot /root /usr/bin/python3 /tmp/rings 64 64; "
        "chroot /root /usr/bin/python3 /tmp/rings 256 256; done; wait")
    assert run(guest, "cat /tmp/sum").split()[0] == wanted
    assert rings(guest) == "256 256"


def main():
    kaso, guest_dir, machine = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest makes it")
        sys.exit(77)
    console = "ttyAMA0" if machine == "virt" else "ttyS0"
    with tempfile.TemporaryDirectory() as folder:
        data = os.urandom(4 * MIB)
        with open(f"{folder}/file", "wb") as file:
            file.write(data)
        server = serve(folder)
        argv = [kaso, *MACHINES[machine], "-smp", "2", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        argv += ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img", "-append", f"console={console} quiet panic=-1 rdinit=/bin/busybox -- sh"]
        argv += ["-drive", f"if=none,id=root,file={guest_dir}/root.img,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=root"]
        argv += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"]
        with Guest(argv) as guest:
            start(guest)
            if machine == "pc-7.1":
                answer = rings(guest, 64, 64)
                assert answer.endswith("errno 2"), answer
            else:
                check(guest, server.server_address[1], hashlib.md5(data).hexdigest())
            troubles = run(guest, "dmesg | grep 'Call Trace\\|Oops\\|timed out' || true")
            assert not troubles, troubles
            guest.line("poweroff -f")
            assert guest.wait(120) == 0
        server.shutdown()
    print(f"queue reset on {machine}")


main()
