# SPDX-License-Identifier: MIT
"""What tests of a real libvirtd share. The daemon runs in namespaces of the test's own, so that a machine's own libvirt is neither seen nor
changed."""
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

ENTERED = "KASO_TEST_LIBVIRT"
FOLDERS = ("/var/lib/libvirt", "/var/cache/libvirt", "/run/libvirt", "/var/log/libvirt", "/etc/libvirt")
# What an account's line has behind its name, for those that the packages' scripts would make.
ACCOUNTS = {"/etc/passwd": "x:65534:65534::/nonexistent:/usr/sbin/nologin", "/etc/group": "x:65534:"}
folder = tempfile.TemporaryDirectory()


def skip(why):
    print(why)
    sys.exit(77)


def enter(boot):
    """Starts this test again in namespaces, unless it is there; skips it where that cannot be."""
    if ENTERED in os.environ:
        return
    for program in ("libvirtd", "virsh"):
        if not shutil.which(program):
            skip(f"no {program}: package libvirt-daemon or libvirt-clients")
    if os.geteuid() != 0:
        skip("libvirtd's system instance and a mount namespace for it need root")
    if not os.path.exists(os.path.join(boot, "linux")):
        skip(f"no {boot}/linux: scripts/dev check makes it")
    # The shell is the namespace's first process, which buries the programs that the daemons have started.
    sys.exit(subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh",
                             sys.executable, *sys.argv], env=dict(os.environ, **{ENTERED: "1"}), check=False).returncode)


def path(file):
    return os.path.join(folder.name, file)


def write(file, text):
    with open(path(file), "w", encoding="utf-8") as out:
        out.write(text)
    return path(file)


def eventually(what, condition, seconds=200):
    end = time.monotonic() + allow(seconds)
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.3)


def mounts():
    """Commands of the shell that give a daemon folders of its own, and the users and groups that it wants to find."""
    commands = [f"mkdir -p {directory} && mount -t tmpfs tmpfs {directory}" for directory in FOLDERS]
    for file, rest in ACCOUNTS.items():
        with open(file, encoding="utf-8") as text:
            known = text.read()
        missing = [name for name in ("libvirt-qemu", "tss") if not any(line.startswith(name + ":") for line in known.splitlines())]
        merged = write(os.path.basename(file), known + "".join(f"{name}:{rest}\n" for name in missing))
        commands.append(f"mount --bind {merged} {file}")
    return commands


def settings(number):
    """The text of qemu.conf for one of several daemons."""
    # Tests beside this one take display ports from 5900 on, between libvirt's look and ours.
    return ('user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\nremember_owner = 0\n'
            f'stdio_handler = "file"\nmigration_port_min = {49200 + number * 100}\nmigration_port_max = {49280 + number * 100}\n'
            f'remote_display_port_min = {15900 + number * 100}\nremote_display_port_max = {15980 + number * 100}\n')


class Console:
    """The guest's serial port, by the terminal that libvirt tells of."""

    def __init__(self, terminal):
        self.fd = os.open(terminal.strip(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.text = ""

    def has(self, text):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode("latin-1")
            except OSError:  # the guest has ended
                break
        return text in self.text

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def numbers(self):
        """Those that the guest has counted: n=1, n=2 …"""
        return [int(number) for number in re.findall(r"\bn=(\d+)\r?\n", self.text)]

    def counts(self, enough=10):
        """The guest goes on counting and leaves no number out; returns where it is."""
        self.text = ""
        eventually("numbers", lambda: self.has("") and len(self.numbers()) > enough)
        seen = self.numbers()
        assert seen == list(range(seen[0], seen[0] + len(seen))), seen
        return seen[-1]
