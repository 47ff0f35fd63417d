#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-libvirtd KASO KASO_IMG BOOT_DIR: a real libvirtd finds out what Kaso has, starts Debian's kernel with it and works on it, by virsh.

The daemon runs in a mount namespace of its own, so that a machine's own libvirt is neither seen nor changed."""
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

kaso, kaso_img, boot = sys.argv[1:]
NAMESPACE = "KASO_TEST_LIBVIRTD"
FOLDERS = ("/var/lib/libvirt", "/var/cache/libvirt", "/run/libvirt", "/var/log/libvirt", "/etc/libvirt")


def skip(why):
    print(why)
    sys.exit(77)


def enter():
    """Starts this test again in the namespace."""
    for program in ("libvirtd", "virsh"):
        if not shutil.which(program):
            skip(f"no {program}: package libvirt-daemon or libvirt-clients")
    if os.geteuid() != 0:
        skip("libvirtd's system instance and a mount namespace for it need root")
    if not os.path.exists(os.path.join(boot, "linux")):
        skip(f"no {boot}/linux: scripts/dev boot x86_64 makes it")
    environment = dict(os.environ, **{NAMESPACE: "1"})
    # The shell is the namespace's first process, which buries the programs that the daemon has started.
    sys.exit(subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh",
                             sys.executable, *sys.argv], env=environment, check=False).returncode)


if NAMESPACE not in os.environ:
    enter()
folder = tempfile.TemporaryDirectory()
name = "kaso-test"
log = os.path.join(folder.name, "libvirtd.log")


def path(file):
    return os.path.join(folder.name, file)


def write(file, text):
    with open(path(file), "w", encoding="utf-8") as out:
        out.write(text)
    return path(file)


def virsh(*arguments, status=0):
    answer = subprocess.run(["virsh", "-q", "-c", "qemu:///system", *arguments], capture_output=True, text=True, timeout=120,
                            stdin=subprocess.DEVNULL, check=False)
    if answer.returncode != status:
        tail = ""
        for file in (f"/var/log/libvirt/qemu/{name}.log", log):
            if os.path.exists(file):
                with open(file, encoding="utf-8", errors="replace") as text:
                    tail += text.read()[-3000:]
        raise AssertionError((arguments, answer, tail))
    return answer.stdout if status == 0 else answer.stderr


def eventually(what, condition, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.3)


def add_missing(file, rest):
    """The daemon's users, or groups, in that file of this mount namespace."""
    with open(file, encoding="utf-8") as text:
        known = text.read()
    missing = [user for user in ("libvirt-qemu", "tss") if not any(line.startswith(user + ":") for line in known.splitlines())]
    if missing:
        merged = write(os.path.basename(file), known + "".join(f"{user}:x:{rest}\n" for user in missing))
        subprocess.run(["mount", "--bind", merged, file], check=True)


def start_daemon():
    for directory in FOLDERS:
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    # The packages' scripts make these users and groups; the daemon wants to find them.
    add_missing("/etc/passwd", "65534:65534::/nonexistent:/usr/sbin/nologin")
    add_missing("/etc/group", "65534:")
    with open("/etc/libvirt/qemu.conf", "w", encoding="utf-8") as file:
        file.write('user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = [ ]\nnamespaces = [ ]\n'
                   'remember_owner = 0\nstdio_handler = "file"\n'
                   # Tests beside this one take ports from 5900 on, between libvirt's look and ours.
                   'remote_display_port_min = 15900\nremote_display_port_max = 15980\n')
    configuration = write("libvirtd.conf", 'unix_sock_dir = "/run/libvirt"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
                                           f'log_outputs = "3:file:{log}"\n')
    daemon = subprocess.Popen(["libvirtd", "-f", configuration, "-p", path("libvirtd.pid")], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        eventually("libvirtd's socket", lambda: os.path.exists("/run/libvirt/libvirt-sock") or daemon.poll() is not None, 60)
        assert daemon.poll() is None, "libvirtd ended"
    except AssertionError:
        with open(log, encoding="utf-8", errors="replace") as text:
            print(text.read()[-3000:])
        raise
    return daemon


def domain():
    return f"""<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>768</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{boot}/linux</kernel><initrd>{boot}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet init=/kaso-shell</cmdline></os>
  <features><acpi/><apic/></features>
  <cpu mode='host-model'/>
  <clock offset='utc'/>
  <devices>
    <emulator>{kaso}</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path("root.qcow2")}'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <sound model='ich6'/>
    <video><model type='vga'/></video>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>"""


def finds_out():
    for emulator, arch, machine in ((kaso, "x86_64", "pc"), (kaso.replace("x86_64", "aarch64"), "aarch64", "virt")):
        text = virsh("domcapabilities", "--emulatorbin", emulator, "--virttype", "qemu", "--arch", arch, "--machine", machine)
        assert f"<arch>{arch}</arch>" in text and "<value>qcow2</value>" not in text.split("<devices>")[0], text
        assert "<mode name='maximum' supported='yes'>" in text and "<value>virtio</value>" in text, text


class Console:
    """The guest's serial port, by the terminal that libvirt tells of."""

    def __init__(self):
        self.fd = os.open(virsh("ttyconsole", name).strip(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.text = ""

    def has(self, text):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.text += os.read(self.fd, 65536).decode("latin-1")
            except OSError:  # the guest has ended
                break
        return text in self.text


def disks():
    return dict(line.split(None, 1) for line in virsh("domblklist", name).splitlines() if line.strip())


def works_on_it():
    assert virsh("domstate", name).strip() == "running"
    virsh("screenshot", name, path("screen"))
    with open(path("screen"), "rb") as picture:
        assert picture.read(4) in (b"\x89PNG", b"P6\n7")
    virsh("send-key", name, "KEY_A")
    virsh("suspend", name)
    assert virsh("domstate", name).strip() == "paused"
    virsh("resume", name)
    assert "rd_req" in virsh("domblkstat", name, "vda")
    assert "vcpu.current=2" in virsh("domstats", name)
    virsh("domblkthreshold", name, "vda", "1000000000")
    virsh("blkdeviotune", name, "vda", "--total-bytes-sec", "500000000")
    assert "500000000" in virsh("blkdeviotune", name, "vda")
    subprocess.run([kaso_img, "create", "-q", "-f", "raw", path("second"), "8M"], check=True)
    virsh("attach-disk", name, path("second"), "vdb", "--targetbus", "virtio", "--live")
    assert disks()["vdb"] == path("second")
    virsh("detach-disk", name, "vdb", "--live")
    card = write("card.xml", "<interface type='user'><mac address='52:54:00:00:00:02'/><model type='virtio'/></interface>")
    virsh("attach-device", name, card, "--live")
    virsh("domif-setlink", name, "52:54:00:00:00:02", "down")
    virsh("domif-setlink", name, "52:54:00:00:00:01", "up")
    virsh("detach-device", name, card, "--live")
    virsh("change-media", name, "hdc", path("second"), "--insert", "--live")
    virsh("change-media", name, "hdc", "--eject", "--live")
    virsh("snapshot-create-as", name, "one", "--disk-only", "--no-metadata", "--diskspec", f"vda,file={path('overlay')}")
    assert disks()["vda"] == path("overlay")
    virsh("blockcommit", name, "vda", "--active", "--pivot", "--wait")
    assert disks()["vda"] == path("root.qcow2")
    virsh("dump", name, path("core"), "--memory-only", "--live")
    with open(path("core"), "rb") as core:  # ELF, 64 bit; a core file; of x86-64
        assert core.read(5) == b"\x7fELF\x02" and core.read(15)[11:] == b"\x04\0\x3e\0"
    os.unlink(path("core"))


def counts(console):
    """The guest goes on counting; returns where it is, and sees to it that no number is left out."""
    console.text = ""
    eventually("numbers", lambda: console.has("") and len(numbers(console)) > 20)
    seen = numbers(console)
    assert seen == list(range(seen[0], seen[0] + len(seen))), seen
    return seen[-1]


def numbers(console):
    return [int(number) for number in re.findall(r"\bn=(\d+)\r?\n", console.text)]


def keeps(console):
    """save, managedsave and internal snapshots: each time the guest goes on where it was. Returns its console."""
    os.write(console.fd, b"i=0; while :; do i=$((i+1)); echo n=$i; sleep 0.02; done &\n")
    before = counts(console)
    virsh("save", name, path("saved"))
    assert virsh("domstate", name).strip() == "shut off"
    virsh("restore", path("saved"))
    console = Console()
    after = counts(console)
    assert before < after, (before, after)
    virsh("managedsave", name)
    assert virsh("domstate", name).strip() == "shut off"
    virsh("start", name)
    console = Console()
    before, after = after, counts(console)
    assert before < after, (before, after)
    virsh("snapshot-create-as", name, "inside")
    before = counts(console)
    for _ in range(2):
        virsh("snapshot-revert", name, "inside")
        console = Console()
        console.text = ""
        eventually("numbers again", lambda: console.has("") and len(numbers(console)) > 2)
        assert numbers(console)[0] <= before + 100, (numbers(console), before)
    assert "inside" in virsh("snapshot-list", name)
    virsh("snapshot-delete", name, "inside")
    virsh("save", name, path("saved"), "--paused")
    virsh("restore", path("saved"))
    assert virsh("domstate", name).strip() == "paused"
    virsh("resume", name)
    console = Console()
    counts(console)
    return console


def main():
    subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", path("root.qcow2"), "64M"], check=True)
    daemon = start_daemon()
    try:
        finds_out()
        virsh("define", write("domain.xml", domain()))
        virsh("start", name)
        console = Console()
        eventually("a shell", lambda: console.has("Type poweroff to end"))
        works_on_it()
        console = keeps(console)
        virsh("reset", name)
        console.text = ""
        eventually("a shell after the reset", lambda: console.has("Type poweroff to end"))
        os.write(console.fd, b"poweroff\n")
        eventually("the end of the guest", lambda: virsh("domstate", "--reason", name).strip() == "shut off (shutdown)")
        virsh("undefine", name)
    finally:
        daemon.terminate()
        daemon.wait(60)
    print("ok")


main()
