#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc-libvirt KASO KASO_IMG BOOT_DIR: the command line of a cloud's older libvirt, with Debian's kernel to a shell. Its network is a TAP device
and, where the host has it, vhost-net, whose descriptors are opened here and handed over; the guest pings, fetches a file and gives it back. KASO_TEST_ACCEL
is another accelerator than tcg."""
import gzip
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import namespace
from guest import GuestError
from patience import allow
from qmp import Monitor

kaso, kaso_img, boot = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)
ACCEL = os.environ.get("KASO_TEST_ACCEL", "tcg")
FILE = os.urandom(4 << 20)
UUID = "5a1f25c8-8e8f-4b58-a1b1-e3c2a4f1d001"
folder = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(folder.name, name)


def goes_directly():
    """Whether files here can be opened with O_DIRECT, which those in memory cannot."""
    try:
        os.close(os.open(path("disk"), os.O_RDWR | os.O_DIRECT))
        return True
    except OSError:
        return False


def line():
    """Libvirt's words; the guest's first program is a shell instead of what is on a root file system."""
    cache = "none" if goes_directly() else "writeback"
    return [
        kaso, "-machine", f"pc-i440fx-2.3,accel={ACCEL},usb=off", "-m", "512", "-realtime", "mlock=off", "-smp",
        "1,sockets=1,cores=1,threads=1", "-uuid", UUID, "-smbios",
        "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,version=2015.1.0,serial=1234-5678,"
        f"uuid={UUID},family=Virtual Machine", "-no-user-config", "-nodefaults", "-chardev",
        f"socket,id=charmonitor,path={path('monitor')},server,nowait", "-mon", "chardev=charmonitor,id=monitor,mode=control",
        "-rtc", "base=utc,driftfix=slew", "-global", "kvm-pit.lost_tick_policy=discard", "-no-hpet", "-no-shutdown", "-boot",
        "strict=on", "-kernel", kernel, "-initrd", path("initrd"), "-append",
        "root=/dev/vda console=tty0 console=ttyS0 no_timer_check init=/kaso-net", "-drive",
        f"file={path('disk')},if=none,id=drive-virtio-disk0,format=qcow2,cache={cache}", "-device",
        "virtio-blk-pci,scsi=off,bus=pci.0,addr=0x4,drive=drive-virtio-disk0,id=virtio-disk0,bootindex=1", "-drive",
        f"file={path('disk.config')},if=none,id=drive-ide0-1-1,readonly=on,format=raw,cache={cache}", "-device",
        "ide-cd,bus=ide.1,unit=1,drive=drive-ide0-1-1,id=ide0-1-1", "-chardev", f"file,id=charserial0,path={path('console.log')}",
        "-device", "isa-serial,chardev=charserial0,id=serial0", "-chardev", "pty,id=charserial1", "-device",
        "isa-serial,chardev=charserial1,id=serial1", "-device", "cirrus-vga,id=video0,bus=pci.0,addr=0x2", "-device",
        "virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x5", "-msg", "timestamp=on"]


SCRIPT = """#!/bin/sh
modprobe virtio_pci; modprobe virtio_net
nic=$(ls /sys/class/net | grep -v lo)
ip link set $nic up; ip addr add 10.9.0.2/24 dev $nic
ping -c 3 10.9.0.1 && echo pinged
nc 10.9.0.1 8000 >/tmp/file
sha256sum /tmp/file
nc 10.9.0.1 8001 </tmp/file
exec /kaso-shell
"""


def newc(name, data, mode):
    """One file of a cpio archive, as initial file systems have it."""
    def padded(text):
        return text + bytes(-len(text) % 4)

    raw = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
    return padded(b"070701" + "".join(f"{field:08x}" for field in fields).encode() + raw) + padded(data)


def write_initrd():
    with open(path("initrd"), "wb") as out, open(initrd, "rb") as debians:
        out.write(debians.read())
        out.write(gzip.compress(newc("kaso-net", SCRIPT.encode(), 0o100755) + newc("TRAILER!!!", b"", 0)))


class Network:
    """What libvirt makes before it starts the machine: None of it where the host has no namespaces."""

    def __init__(self):
        self.why_not = namespace.try_enter()
        self.fds, self.words, self.given = [], [], b""
        if self.why_not:
            print(f"without network: {self.why_not}")
            return
        self.fds = namespace.open_tap("vnet0")
        namespace.up("vnet0", "10.9.0.1")
        netdev = f"tap,fd={self.fds[0]},id=hostnet0"
        if os.path.exists("/dev/vhost-net"):
            self.fds.append(os.open("/dev/vhost-net", os.O_RDWR))
            netdev += f",vhost=on,vhostfd={self.fds[1]}"
        self.words = ["-netdev", netdev, "-device", "virtio-net-pci,netdev=hostnet0,id=net0,mac=fa:16:3e:00:00:01,bus=pci.0,addr=0x3"]
        threading.Thread(target=self.give, daemon=True).start()
        self.taker = threading.Thread(target=self.take, daemon=True)
        self.taker.start()

    def give(self):
        with socket.create_server(("10.9.0.1", 8000)) as server, server.accept()[0] as peer:
            peer.sendall(FILE)

    def take(self):
        with socket.create_server(("10.9.0.1", 8001)) as server, server.accept()[0] as peer:
            while data := peer.recv(65536):
                self.given += data

    def check(self):
        if self.why_not:
            return
        wait_for_text(None, "pinged")
        wait_for_text(None, hashlib.sha256(FILE).hexdigest())
        self.taker.join(allow(200))
        assert self.given == FILE, len(self.given)


def wait_for_text(run, text, timeout=280):
    end = time.monotonic() + allow(timeout)
    seen = ""
    while text not in seen:
        ended = run and run.poll() is not None
        if ended or time.monotonic() > end:
            raise GuestError(f"no '{text}': {seen[-2000:]} {run.stderr.read() if ended else ''}")
        time.sleep(0.2)
        if os.path.exists(path("console.log")):
            with open(path("console.log"), encoding="latin-1") as log:
                seen = log.read()


def boots(network):
    run = subprocess.Popen([*line(), *network.words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           pass_fds=network.fds)
    try:
        wait_for_text(run, "Type poweroff to end")
        network.check()
        monitor = Monitor(path("monitor"))
        assert monitor.run("query-status")["status"] == "running"
        assert monitor.run("query-uuid")["UUID"] == UUID
        drives = {drive["device"]: drive for drive in monitor.run("query-block")}
        assert drives["drive-virtio-disk0"]["inserted"]["cache"]["direct"] == goes_directly(), drives
        assert drives["drive-ide0-1-1"]["inserted"]["ro"] and drives["drive-ide0-1-1"]["removable"]
        assert monitor.run("query-balloon") == {"actual": 512 << 20}
        ports = {port["label"]: port["filename"] for port in monitor.run("query-chardev")}
        assert ports["charserial1"].startswith("pty:/dev/pts/"), ports
        monitor.run("system_powerdown")  # nobody in this guest listens
        monitor.run("quit")
        error = run.communicate(timeout=allow(60))[1]
        assert run.returncode == 0, (run.returncode, error)
        for text in error.splitlines():
            assert "kvm-pit" in text or "charserial1" in text or "features" in text, error
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()


def misspelled():
    """A line that went round with a letter lost is taken, too."""
    words = [word.replace(",scsi=off", ",csi=off") for word in line()]
    run = subprocess.Popen([*words, "-S"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        monitor = Monitor(path("monitor"))
        assert monitor.run("query-status")["status"] == "prelaunch"
        monitor.run("quit")
        assert run.wait(allow(60)) == 0
    finally:
        run.kill()
        run.communicate()


def refused():
    """What libvirt opens for it and hands over, when it has not."""
    words = ["-netdev", "tap,fd=24,id=hostnet0,vhost=on,vhostfd=25"]
    run = subprocess.run([*line(), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(60))
    assert run.returncode == 1 and "fd=24 is no open descriptor" in run.stderr, run


subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", path("disk"), "64M"], check=True)
with open(path("disk.config"), "wb") as image:
    image.truncate(1 << 20)
write_initrd()
refused()
misspelled()
boots(Network())
