#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-libvirt-migration KASO KASO_IMG BOOT_DIR: two libvirtds on this host send a running guest to and fro, by virsh.

Each daemon has folders, a host name and a host's UUID of its own, so that both believe to be alone. The guest counts, and what it has
written to its disk is read at the other side."""
import os
import re
import subprocess
import sys
import time

import libvirt
from libvirt import eventually, path, write
from patience import allow
from ports import free_port

# Absolute: who enters another view of files begins at its root.
kaso, kaso_img, boot = map(os.path.abspath, sys.argv[1:])
libvirt.enter(boot)
IMAGE = "/var/lib/libvirt/images/root.qcow2"  # each daemon sees another file there
NAME = "kaso-test"


class Host:
    """A libvirtd in namespaces of its own."""

    def __init__(self, name, number):
        self.name, self.port = name, free_port()
        self.log = path(name + ".log")
        sockets = path(name)
        os.mkdir(sockets)
        self.uri = f"qemu+tcp://127.0.0.1:{self.port}/system"
        configuration = write(name + ".conf", f'unix_sock_dir = "{sockets}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
                                              f'listen_tls = 0\nlisten_tcp = 1\ntcp_port = "{self.port}"\nlisten_addr = "127.0.0.1"\n'
                                              f'auth_tcp = "none"\nlog_outputs = "3:file:{self.log}"\n'
                                              f'host_uuid = "00000000-0000-4000-8000-00000000000{number}"\n')
        settings = write(name + "-qemu.conf", libvirt.settings(number))
        commands = libvirt.mounts()
        commands += [f"cp {settings} /etc/libvirt/qemu.conf", "mkdir -p /var/lib/libvirt/images", f"hostname {name}",
                     f"exec libvirtd -l -f {configuration} -p {path(name + '.pid')}"]
        self.daemon = subprocess.Popen(["unshare", "--mount", "--uts", "sh", "-c", " && ".join(commands)])
        eventually("libvirtd's socket", lambda: os.path.exists(sockets + "/libvirt-sock") or self.daemon.poll() is not None, 60)
        assert self.daemon.poll() is None, "libvirtd ended"

    def run(self, *command):
        """In the daemon's view of files."""
        return subprocess.run(["nsenter", "-t", str(self.daemon.pid), "-m", "-r", *command], check=True, capture_output=True, text=True).stdout

    def virsh(self, *arguments, status=0):
        answer = subprocess.run(["virsh", "-q", "-c", self.uri, *arguments], capture_output=True, text=True, timeout=allow(300),
                                stdin=subprocess.DEVNULL, check=False)
        assert answer.returncode == status, (self.name, arguments, answer)
        return answer.stdout if status == 0 else answer.stderr

    def words(self):
        """What it and its machine's program have logged, for who wonders."""
        text = ""
        for command in (["cat", self.log], ["sh", "-c", "cat /var/log/libvirt/qemu/*.log"]):
            try:
                text += self.run(*command)[-4000:]
            except subprocess.CalledProcessError:
                pass
        return text

    def state(self):
        return self.virsh("domstate", NAME).strip()


def domain(disk):
    return f"""<domain type='qemu'>
  <name>{NAME}</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{boot}/linux</kernel><initrd>{boot}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet init=/kaso-shell</cmdline></os>
  <features><acpi/><apic/></features>
  <cpu mode='custom'><model>Nehalem</model></cpu>
  <devices>
    <emulator>{kaso}</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='vga'/></video>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>"""


class Console(libvirt.Console):
    def __init__(self, host):
        super().__init__(host.virsh("ttyconsole", NAME))

    def checks(self):
        """What was written to the disk, read past the page cache."""
        self.text = ""
        self.say("echo s''um=$(dd if=/dev/vda iflag=direct bs=64k count=16 2>/dev/null | md5sum)")
        eventually("the sum", lambda: self.has("") and re.search(r"sum=[0-9a-f]{32}", self.text))
        return re.search(r"sum=([0-9a-f]{32})", self.text).group(1)


def start(host, disk):
    host.virsh("create", write("domain.xml", domain(disk)))
    console = Console(host)
    eventually("a shell", lambda: console.has("Type poweroff to end"))
    console.say("dd if=/dev/urandom of=/dev/vda oflag=direct bs=64k count=16 2>/dev/null; echo writ''ten")
    eventually("the disk", lambda: console.has("written"))
    known = console.checks()
    console.say("i=0; while :; do i=$((i+1)); echo n=$i; sleep 0.05; done &")
    return console, known


def moves(source, destination, console, known, *arguments):
    """Returns the console at the destination."""
    begun = time.monotonic()
    before = console.counts()
    way = [] if "--tunnelled" in arguments else ["tcp://127.0.0.1"]
    source.virsh("migrate", "--live", *arguments, NAME, destination.uri, *way)
    there = Console(destination)
    assert destination.state() == "running", destination.state()
    assert NAME not in source.virsh("list", "--all", "--name")
    after = there.counts()
    assert before < after, (before, after)
    assert there.checks() == known
    print(source.name, "to", destination.name, *arguments, f"{time.monotonic() - begun:.1f} s", flush=True)
    return there


def shared(one, two):
    disk = path("shared.qcow2")
    subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
    console, known = start(one, disk)
    console = moves(one, two, console, known, "--unsafe")
    console = moves(two, one, console, known, "--unsafe", "--p2p")
    console = moves(one, two, console, known, "--unsafe", "--p2p", "--tunnelled")
    console = moves(two, one, console, known, "--unsafe", "--auto-converge")
    one.virsh("suspend", NAME)
    one.virsh("migrate", "--live", "--unsafe", NAME, two.uri, "tcp://127.0.0.1")
    assert two.state() == "paused"
    two.virsh("resume", NAME)
    console = Console(two)
    console.counts()
    two.virsh("destroy", NAME)


def copied(one, two):
    """Each side has a disk of its own: it is copied over NBD while the guest runs."""
    for host in (one, two):
        host.run(kaso_img, "create", "-q", "-f", "qcow2", IMAGE, "64M")
    console, known = start(one, IMAGE)
    console = moves(one, two, console, known, "--copy-storage-all")
    moves(two, one, console, known, "--copy-storage-all", "--p2p")
    one.virsh("destroy", NAME)
    for host in (one, two):
        host.run(kaso_img, "check", "-q", IMAGE)


def main():
    hosts = []
    try:
        hosts = [Host("one", 1), Host("two", 2)]
        shared(*hosts)
        copied(*hosts)
    except AssertionError:
        for host in hosts:
            print(host.name, host.words())
        raise
    finally:
        for host in hosts:
            host.daemon.terminate()
            host.daemon.wait(allow(60))
    print("ok")


main()
