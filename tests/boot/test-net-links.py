#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-net-links KASO GUEST_DIR LINK: Linux pings a guest of ours, and one of an installed QEMU where it has the back end, over a
stream, datagrams, and a hub; a peer that goes is told to QMP, and one that comes back is found."""
import os
import shutil
import socket
import sys
import tempfile

from guest import Guest
from ports import free_port
from qmp import Monitor

kaso, directory, link = sys.argv[1:]
kernel, initrd = os.path.join(directory, "kernel"), os.path.join(directory, "initrd.img")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/make-guest arm64 {directory} makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
FOLDER = folder.name


NIC = ["-device", "virtio-net-pci,netdev=n,mac=%s,romfile="]


def udp(port_a, port_b):
    return ["-netdev", f"dgram,id=n,local.type=inet,local.host=127.0.0.1,local.port={port_a},"
            f"remote.type=inet,remote.host=127.0.0.1,remote.port={port_b}", *NIC]


A, B = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
PORT = free_port(socket.SOCK_STREAM)
UNIX = f"stream,id=n,addr.type=unix,addr.path={FOLDER}/net"
# The first guest's options, and the second's.
LINKS = {
    "stream": (["-netdev", f"{UNIX},server=on", *NIC], ["-netdev", UNIX, *NIC]),
    "dgram": (udp(A, B), udp(B, A)),
    "hub": (["-net", "nic,model=virtio,macaddr=%s", "-net", f"socket,listen=127.0.0.1:{PORT}", "-net", "user,restrict=on"],
            ["-net", "nic,model=virtio,macaddr=%s", "-net", f"socket,connect=127.0.0.1:{PORT}"]),
}


def start(program, number, *more):
    mac = f"52:54:00:00:00:0{number}"
    options = [option.replace("%s", mac) for option in LINKS[link][number - 1]]
    return Guest([program, "-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-display", "none", "-serial", "stdio", "-monitor", "none",
                  "-kernel", kernel, "-initrd", initrd, "-append",
                  "console=ttyAMA0 panic=-1 loglevel=3 net.ifnames=0", "-no-reboot", *options, *more])


def prepare(guest, number):
    guest.expect(r"# ", 300)  # there is no disk: the initrd ends in a shell
    status, text = guest.command("ip link set eth0 up && ip addr add 10.8.0.%d/24 dev eth0" % number, 200)
    assert status == 0, text


def ping(guest, number):
    status, text = guest.command(f"ping -c 3 -W 20 10.8.0.{number} && ping -c 2 -s 1400 -W 20 10.8.0.{number}", 200)
    assert status == 0, text


def events(monitor, name, count):
    while sum(event["event"] == name for event in monitor.events) < count:
        monitor.run("query-status")
    return [event["data"] for event in monitor.events if event["event"] == name]


def run():
    with start(kaso, 1, "-qmp", f"unix:{FOLDER}/qmp,server=on,wait=off") as first:
        monitor = Monitor(f"{FOLDER}/qmp")
        peers = [kaso] + [found for found in [shutil.which("qemu-system-aarch64")] if found]
        for times, program in enumerate(peers, 1):
            with start(program, 2) as second:
                if times == 1:
                    prepare(first, 1)
                prepare(second, 2)
                ping(second, 1)
                ping(first, 2)
                if link == "stream":
                    data = events(monitor, "NETDEV_STREAM_CONNECTED", times)[-1]
                    assert data["netdev-id"] and data["addr"]["type"] == "unix", data
                second.line("poweroff -f")
                assert second.wait() == 0
            if link == "stream":
                events(monitor, "NETDEV_STREAM_DISCONNECTED", times)
        first.line("poweroff -f")
        assert first.wait() == 0


run()
