#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-net-tap KASO BOOT_DIR VARIANT: Linux's virtio_net on a TAP device whose descriptors are handed over: it pings, fetches a file from the host
and gives one, and large segments go both ways unsegmented where offloads are on."""
import hashlib
import http.server
import os
import socket
import sys
import threading

import namespace
from guest import Guest

MIB = 1 << 20
# queues, header for offloads, options of the back end, options of the device, options of the machine
VARIANTS = {
    "plain": (1, False, "", "", []),
    "offloads": (1, True, "", "", []),
    "queues": (2, True, ",vhost=on", ",mq=on,vectors=6", ["-smp", "2"]),
    "legacy": (1, True, "", ",disable-modern=on,mrg_rxbuf=off", []),
}
kaso, boot, variant = sys.argv[1:]
queues, header, netdev, device, machine = VARIANTS[variant]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    namespace.skip(f"no {kernel}: scripts/dev check makes it")


class Handler(http.server.BaseHTTPRequestHandler):
    data = os.urandom(8 * MIB)

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *unused):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("10.9.0.1", 8000), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def take():
    """Listens for one connection; a function that waits for all that it brings."""
    parts = []

    def receive():
        with socket.create_server(("10.9.0.1", 8001)) as server, server.accept()[0] as peer:
            while data := peer.recv(65536):
                parts.append(data)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()

    def wait():
        thread.join(240)
        return b"".join(parts)

    return wait


def run(guest, command):
    status, output = guest.command(command, 240)
    assert status == 0, (command, status, output)
    return output


def check(guest):
    run(guest, "mount -t sysfs sys /sys; modprobe virtio_pci; modprobe virtio_net")
    run(guest, "ip link set eth0 up && ip addr add 10.9.0.2/24 dev eth0")
    run(guest, "ping -c 3 10.9.0.1")
    run(guest, "ping -c 1 -s 4000 10.9.0.1")
    names = run(guest, "find /sys/class/net/eth0/ /sys/class/net/eth0/queues/ -name '?x-*'").split()
    assert len({os.path.basename(name) for name in names}) == 2 * queues, names
    before = namespace.counters("kaso0")
    for _ in range(2):
        output = run(guest, "wget -q -O /tmp/file http://10.9.0.1:8000/file && sha256sum /tmp/file")
        assert output.split()[0] == hashlib.sha256(Handler.data).hexdigest(), output
    took = take()
    run(guest, "nc 10.9.0.1 8001 </tmp/file")
    assert took() == Handler.data
    after = namespace.counters("kaso0")
    for way, least in (("sent", 2), ("received", 1)):
        size, packets = (after[way][i] - before[way][i] for i in (0, 1))
        print(f"{way}: {size} bytes in {packets} packets")
        assert size > least * len(Handler.data), after
        # Unsegmented, a packet has more than an Ethernet frame has room for. What the guest sends depends on its scheduling.
        assert not header or way == "received" or size / packets > 1600, (way, size, packets)


namespace.enter()
descriptors = namespace.open_tap("kaso0", queues, header)
namespace.up("kaso0", "10.9.0.1")
serve()
socket.setdefaulttimeout(240)
fds = f"fd={descriptors[0]}" if queues == 1 else "fds=" + ":".join(map(str, descriptors))
with Guest([kaso, "-M", "pc", "-m", "512", *machine, "-nographic", "-nodefaults", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
            "-append", "console=ttyS0 quiet rdinit=/kaso-shell", "-netdev", f"tap,id=n0,{fds}{netdev}", "-device",
            f"virtio-net-pci,netdev=n0,mac=52:54:00:00:00:09{device}"], pass_fds=descriptors) as machine_run:
    machine_run.expect("Type poweroff to end", 240)
    machine_run.line("")
    check(machine_run)
