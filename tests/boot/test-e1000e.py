#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-e1000e KASO GUEST_DIR: Linux's e1000e on the q35, which is there without being asked for: an address, pings, megabytes both ways
with their sums, by MSI-X, MSI and a pin, with offloads and without, with headers apart; after a sleep
in RAM; plugged into a port and pulled out; tags of VLANs put in and taken out, by the card and without it."""
import base64
import hashlib
import os
import socket
import struct
import sys
import tempfile
import threading

from guest import Guest
from qmp import Monitor

kaso, directory = sys.argv[1:]
kernel, initrd, root = (os.path.join(directory, name) for name in ("kernel", "initrd.img", "root.img"))
if not os.path.exists(root):
    print(f"no {root}: scripts/make-guest makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
SOCKET = os.path.join(folder.name, "qmp")
MIB = 1 << 20
CONTENT = os.urandom(20 * MIB)

# "off" and "on": checksums, scatter/gather, TCP segmentation, merging, VLAN tags (ethtool's ioctl); "talk": bytes come, others go.
PROGRAM = r"""
import array, fcntl, hashlib, os, socket, struct, sys
def ethtool(card, command, value):
    request = array.array("B", struct.pack("II", command, value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8946, struct.pack("16sQ16x", card.encode(), request.buffer_info()[0]))
    return struct.unpack("II", request)[1]
def talk(port, size):
    with socket.create_connection(("10.0.2.2", port)) as s:
        s.sendall(struct.pack("<Q", size))
        come, data = hashlib.sha256(), s.makefile("rb")
        for _ in range(size >> 16):
            come.update(data.read(1 << 16))
        print("came", come.hexdigest())
        go = hashlib.sha256()
        for _ in range(size >> 16):
            piece = os.urandom(1 << 16)
            go.update(piece)
            s.sendall(piece)
        print("went", data.read(64).decode() == go.hexdigest())
if sys.argv[1] == "talk":
    talk(int(sys.argv[2]), int(sys.argv[3]))
else:
    on = sys.argv[1] == "on"
    order = [0x15, 0x17, 0x19, 0x1f, 0x25, 0x2c]
    for command in order:
        ethtool(sys.argv[2], command, on)
    ethtool(sys.argv[2], 0x26, 0x180 if on else 0)
    print([ethtool(sys.argv[2], command, 0) for command in (0x14, 0x16, 0x18, 0x1e)])
"""
DHCP = r"""[ "$1" = bound ] && ip addr replace $ip/24 dev $interface && ip route replace default via $router"""


def receive(connection, size):
    content = b""
    while len(content) < size:
        piece = connection.recv(size - len(content))
        if not piece:
            break
        content += piece
    return content


def serve(listener):
    """Sends as much as is asked for, and says the sum of as much that comes."""
    while True:
        connection, _ = listener.accept()
        with connection:
            size = int.from_bytes(receive(connection, 8), "little")
            connection.sendall(CONTENT[:size])
            total = hashlib.sha256()
            while size:
                piece = connection.recv(min(size, MIB))
                if not piece:
                    break
                total.update(piece)
                size -= len(piece)
            connection.sendall(total.hexdigest().encode())


def run(guest, command, timeout=200):
    status, text = guest.command(command, timeout)
    assert status == 0, (command, text)
    return text


def until(guest, condition):
    """The kernel, or a driver, gets there by itself."""
    run(guest, f"until {condition}; do sleep 0.2; done")


def write(guest, path, text):
    run(guest, f"echo {base64.b64encode(text.encode()).decode()} | base64 -d >{path} && chmod +x {path}")


def connect(guest, card="eth0"):
    run(guest, f"ip link set {card} up && busybox udhcpc -i {card} -n -q -t 10 -T 3 -s /tmp/dhcp")
    assert "2 packets received" in run(guest, "busybox ping -c 2 10.0.2.2")


def transfer(guest, port, size):
    text = run(guest, f"python3 /tmp/net.py talk {port} {size}", 600)
    assert f"came {hashlib.sha256(CONTENT[:size]).hexdigest()}" in text and "went True" in text, text


def interrupts(guest, wanted):
    """How many of which kind there were."""
    lines = [line.split() for line in run(guest, "grep eth /proc/interrupts").splitlines()]
    assert len(lines) == wanted[0] and all(wanted[1] in line for line in lines), lines
    assert any(int(line[1]) + int(line[2]) > 20 for line in lines), lines


MODES = {2: (3, "PCI-MSI"), 1: (1, "PCI-MSI"), 0: (1, "IO-APIC")}


def drive(guest, port):
    for mode, wanted in MODES.items():
        run(guest, f"modprobe e1000e IntMode={mode}")
        connect(guest)
        transfer(guest, port, 20 * MIB if mode == 2 else 4 * MIB)
        interrupts(guest, wanted)
        if mode == 2:
            assert run(guest, "python3 /tmp/net.py off eth0").endswith("[0, 0, 0, 0]")
            transfer(guest, port, 20 * MIB)
            assert run(guest, "python3 /tmp/net.py on eth0").endswith("[1, 1, 1, 1]")
            for _ in range(4):  # the link is made anew each time, for each that is switched
                run(guest, "python3 /tmp/net.py off eth0 && python3 /tmp/net.py on eth0")
                transfer(guest, port, 1 * MIB)
            run(guest, "ip link set eth0 down")
            run(guest, "ip link set eth0 mtu 9000")  # headers apart
            connect(guest)
            transfer(guest, port, 2 * MIB)
            assert "0 errors" not in run(guest, "ip -s link show eth0")
        run(guest, "ip link set eth0 down && ip addr flush dev eth0 && modprobe -r e1000e")
    run(guest, "modprobe e1000e")


def sleep(guest, monitor, port):
    """In RAM, with the card in use."""
    connect(guest)
    guest.line("echo mem >/sys/power/state; echo woken $?")
    monitor.event("SUSPEND")
    monitor.run("system_wakeup")
    guest.expect("woken 0", 120)
    until(guest, "[ $(cat /sys/class/net/eth0/carrier) = 1 ]")
    transfer(guest, port, 1 * MIB)
    run(guest, "ip link set eth0 down && ip addr flush dev eth0")


def plug(guest, monitor, port):
    cards = "[ $(cat /sys/bus/pci/devices/*/device | grep -c 0x10d3) = %d ]"
    for _ in range(2):
        monitor.run("device_add", driver="e1000e", netdev="m", id="nic", bus="port")
        until(guest, cards % 2 + " && [ -e /sys/class/net/eth1 ]")
        connect(guest, "eth1")
        transfer(guest, port, 1 * MIB)
        monitor.run("device_del", id="nic")
        assert monitor.event("DEVICE_DELETED")["device"] == "nic"
        until(guest, cards % 1 + " && ! [ -e /sys/class/net/eth1 ]")
        monitor.events.clear()


class Peer(threading.Thread):
    """At the other end of the cable: answers ARP and pings to 10.5.0.2 in the VLAN that they come from, and keeps of which VLANs they were."""

    MAC = bytes.fromhex("525400aabbcc")

    def __init__(self):
        super().__init__(daemon=True)
        self.here, self.guest = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.here, self.guest):
            one.bind(("127.0.0.1", 0))
        self.port, self.guest_port = (one.getsockname()[1] for one in (self.here, self.guest))
        self.guest.close()
        self.pings, self.mac = [], None

    def netdev(self, name):
        end = "{0}.type=inet,{0}.host=127.0.0.1,{0}.port={1}".format
        return f"dgram,id={name},{end('local', self.guest_port)},{end('remote', self.port)}"

    def send(self, tag, kind, body):
        frame = self.mac + self.MAC + (b"" if tag is None else struct.pack(">HH", 0x8100, tag)) + struct.pack(">H", kind) + body
        self.here.sendto(frame.ljust(60, b"\0"), ("127.0.0.1", self.guest_port))

    def run(self):
        while True:
            frame = self.here.recv(65536)
            tag = int.from_bytes(frame[14:16], "big") if frame[12:14] == b"\x81\0" else None
            at = 12 if tag is None else 16
            kind, body = frame[at:at + 2], frame[at + 2:]
            self.mac = frame[6:12]
            if kind == b"\x08\x06" and body[24:28] == bytes([10, 5, 0, 2]) and body[7] == 1:
                self.send(tag, 0x806, body[:7] + b"\2" + self.MAC + body[24:28] + body[8:18])
            elif kind == b"\x08\0" and body[9] == 1 and body[20] == 8:
                size = int.from_bytes(body[2:4], "big")
                echo = bytearray(body[:12] + body[16:20] + body[12:16] + body[20:size])
                echo[20] = 0
                total = int.from_bytes(echo[22:24], "big") + 0x800  # the type is in the sum's high byte
                echo[22:24] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
                self.pings.append(tag)
                self.send(tag, 0x800, bytes(echo))


def vlans(guest, monitor, peer):
    """Linux's driver leaves the card's filter of tags off, whatever it may be told: test-e1000.c has that."""
    monitor.run("device_add", driver="e1000e", netdev="v", id="nic", bus="port")
    run(guest, "modprobe e1000e")
    until(guest, "[ -e /sys/class/net/eth1 ]")
    run(guest, "modprobe 8021q && ip link set eth1 up && ip link add link eth1 name v5 type vlan id 5 && ip link set v5 up && ip addr add 10.5.0.1/24 dev v5")
    for offloads in ("on", "off", "on"):
        run(guest, f"python3 /tmp/net.py {offloads} eth1")
        # The link is made anew, which what lies upon it hears later.
        until(guest, "[ $(cat /sys/class/net/eth1/carrier) = 1 ] && busybox ping -c 1 -W 2 10.5.0.2")
        peer.pings.clear()
        assert "3 packets received" in run(guest, "busybox ping -c 3 -s 1400 10.5.0.2")
        assert peer.pings[:3] == [5, 5, 5], peer.pings
    monitor.run("device_del", id="nic")
    assert monitor.event("DEVICE_DELETED")["device"] == "nic"
    monitor.events.clear()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    peer = Peer()
    peer.start()
    with Guest([kaso, "-M", "q35", "-m", "512", "-smp", "2", "-display", "none", "-serial", "stdio", "-vga", "none", "-no-reboot", "-snapshot",
                "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 root=/dev/vda net.ifnames=0 quiet", "-nic", "user",
                "-netdev", "user,id=m", "-netdev", peer.netdev("v"), "-device", "pcie-root-port,id=port,chassis=1", "-drive", f"if=virtio,format=raw,file={root}",
                "-qmp", f"unix:{SOCKET},server=on,wait=off"]) as guest:
        monitor = Monitor(SOCKET)
        guest.expect("^bench-ready", 300)
        guest.line("shell")
        guest.expect("shell-ready", 60)
        guest.line("stty -echo; PS1=")
        write(guest, "/tmp/net.py", PROGRAM)
        write(guest, "/tmp/dhcp", "#!/bin/bash\n" + DHCP)
        drive(guest, port)
        sleep(guest, monitor, port)
        plug(guest, monitor, port)
        vlans(guest, monitor, peer)
        for word in ("Oops", "WARNING:", "Unit Hang", "transmit queue 0 timed out"):
            assert word not in run(guest, "dmesg"), run(guest, "dmesg | tail -50")
        monitor.run("quit")
        assert guest.wait() == 0
    print("e1000e: good")


main()
