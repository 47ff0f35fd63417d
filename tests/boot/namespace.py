# SPDX-License-Identifier: MIT
"""A network namespace of the test's own, with TAP devices in it, and what a launcher such as libvirt does: it opens them and hands over their
descriptors."""
import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
TUNSETIFF, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS = 0x400454CA, 0x8916, 0x891C, 0x8914
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
IFF_UP = 0x1


def try_enter():
    """From here on this process has a network of its own; why that is not to be had, else None."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return f"no network namespace: {os.strerror(ctypes.get_errno())}"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    up("lo", "127.0.0.1", "255.0.0.0")
    return None


def enter():
    """The same; the test ends as skipped where it is not to be had."""
    why = try_enter()
    if why:
        skip(why)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def open_tap(name, queues=1, header=True):
    """Makes the device; the descriptors of its queues."""
    flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if header else 0) | (IFF_MULTI_QUEUE if queues > 1 else 0)
    fds = []
    for _ in range(queues):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fds.append(fd)
    return fds


def up(name, address, mask="255.255.255.0"):
    """Gives the host's end an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, text in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
            packed = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(text))
            fcntl.ioctl(control, request, packed)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), IFF_UP))


def counters(name):
    """Bytes and packets that the host's end has sent and received."""
    with open("/proc/net/dev", encoding="ascii") as table:
        for line in table:
            if line.strip().startswith(name + ":"):
                fields = [int(field) for field in line.split(":")[1].split()]
                return {"received": (fields[0], fields[1]), "sent": (fields[8], fields[9])}
    raise KeyError(name)
