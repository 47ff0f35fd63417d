#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-libvirtd KASO KASO_IMG BOOT_DIR: a real libvirtd finds out what Kaso has, starts Debian's kernel with it and works on it, by virsh.

The daemon runs in a mount namespace of its own, so that a machine's own libvirt is neither seen nor changed."""
import json
import os
import subprocess
import sys

import libvirt
from libvirt import Console, eventually, path, write
from patience import allow

# Absolute: who enters another view of files begins at its root.
kaso, kaso_img, boot = map(os.path.abspath, sys.argv[1:])
libvirt.enter(boot)
name = "kaso-test"
log = path("libvirtd.log")


def virsh(*arguments, status=0):
    answer = subprocess.run(["virsh", "-q", "-c", "qemu:///system", *arguments], capture_output=True, text=True, timeout=allow(120),
                            stdin=subprocess.DEVNULL, check=False)
    if answer.returncode != status:
        tail = ""
        for file in (f"/var/log/libvirt/qemu/{name}.log", log):
            if os.path.exists(file):
                with open(file, encoding="utf-8", errors="replace") as text:
                    tail += text.read()[-3000:]
        raise AssertionError((arguments, answer, tail))
    return answer.stdout if status == 0 else answer.stderr


def start_daemon():
    subprocess.run(" && ".join(libvirt.mounts()), shell=True, check=True)
    with open("/etc/libvirt/qemu.conf", "w", encoding="utf-8") as file:
        file.write(libvirt.settings(0))
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


def open_console():
    return Console(virsh("ttyconsole", name))


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


def backup(text, checkpoint):
    """Begins a backup of the disk and makes a checkpoint of the same moment."""
    begun = write("backup.xml", f"<domainbackup {text}</disks></domainbackup>")
    point = write("point.xml", f"<domaincheckpoint><name>{checkpoint}</name></domaincheckpoint>")
    virsh("backup-begin", name, begun, point)


def pushed(file, checkpoint, since=""):
    backup(f"mode='push'>{since}<disks><disk name='vda' backup='yes' type='file'><target file='{path(file)}'/>"
           "<driver type='qcow2'/></disk>", checkpoint)
    eventually("the backup's end", lambda: "Completed" in virsh("domjobinfo", name, "--completed", "--keep-completed") and
               "None" in virsh("domjobinfo", name))


def disk_changes(place):
    """128 KiB, as a guest would write them: the installer's kernel has no driver of disks."""
    for command in f"write -P {place} {place * 64}k 128k", "flush":
        answer = virsh("qemu-monitor-command", name, "--hmp", f'qemu-io -d virtio-disk0 "{command}"')
        assert "rror" not in answer and "failed" not in answer, answer


def image_tool(*arguments):
    done = subprocess.run([kaso_img, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done)
    return done.stdout


def backs_up():
    """Checkpoints and backups: full and incremental ones that are pushed, and one that a program pulls by NBD."""
    pushed("full", "c1")
    image_tool("compare", "-U", path("full"), path("root.qcow2"))
    disk_changes(3)
    pushed("increment", "c2", "<incremental>c1</incremental>")
    image_tool("rebase", "-u", "-b", "", path("increment"))  # libvirt has put it above the disk
    layers = json.loads(image_tool("map", "--output=json", path("increment")))
    assert sum(piece["length"] for piece in layers if piece["data"]) == 2 << 16, layers
    image_tool("rebase", "-u", "-b", path("full"), "-F", "qcow2", path("increment"))
    image_tool("compare", "-U", path("increment"), path("root.qcow2"))
    disk_changes(9)
    backup(f"mode='pull'><incremental>c2</incremental><server transport='unix' socket='{path('nbd')}'/><disks>"
           f"<disk name='vda' backup='yes' type='file' exportname='e' exportbitmap='b'><scratch file='{path('scratch')}'/></disk>", "c3")
    image_tool("convert", "-U", "-O", "qcow2", path("root.qcow2"), path("as-it-was"))
    disk_changes(20)
    export = f"driver=nbd,export=e,server.type=unix,server.path={path('nbd')}"
    dirty = json.loads(image_tool("map", "--output=json", "--image-opts", export + ",x-dirty-bitmap=qemu:dirty-bitmap:b"))
    assert [(piece["start"], piece["length"]) for piece in dirty if not piece["data"]] == [(9 << 16, 2 << 16)], dirty
    image_tool("compare", "--image-opts", export, "driver=qcow2,file.filename=" + path("as-it-was"))
    virsh("domjobabort", name)
    eventually("the job's end", lambda: "None" in virsh("domjobinfo", name))
    assert virsh("checkpoint-list", name, "--name").split() == ["c1", "c2", "c3"]
    for point in "c1", "c3", "c2":
        virsh("checkpoint-delete", name, point)
    assert not virsh("checkpoint-list", name, "--name").split()
    assert "dirty-bitmaps" not in virsh("qemu-monitor-command", name, '{"execute":"query-named-block-nodes"}')


def keeps(console):
    """save, managedsave and internal snapshots: each time the guest goes on where it was. Returns its console."""
    console.say("i=0; while :; do i=$((i+1)); echo n=$i; sleep 0.02; done &")
    before = console.counts(20)
    virsh("save", name, path("saved"))
    assert virsh("domstate", name).strip() == "shut off"
    virsh("restore", path("saved"))
    console = open_console()
    after = console.counts(20)
    assert before < after, (before, after)
    virsh("managedsave", name)
    assert virsh("domstate", name).strip() == "shut off"
    virsh("start", name)
    console = open_console()
    before, after = after, console.counts(20)
    assert before < after, (before, after)
    virsh("snapshot-create-as", name, "inside")
    before = console.counts(20)
    for _ in range(2):
        virsh("snapshot-revert", name, "inside")
        console = open_console()
        console.text = ""
        eventually("numbers again", lambda: console.has("") and len(console.numbers()) > 2)
        assert console.numbers()[0] <= before + 100, (console.numbers(), before)
    assert "inside" in virsh("snapshot-list", name)
    virsh("snapshot-delete", name, "inside")
    virsh("save", name, path("saved"), "--paused")
    virsh("restore", path("saved"))
    assert virsh("domstate", name).strip() == "paused"
    virsh("resume", name)
    console = open_console()
    console.counts(20)
    return console


def main():
    subprocess.run([kaso_img, "create", "-q", "-f", "qcow2", path("root.qcow2"), "64M"], check=True)
    daemon = start_daemon()
    try:
        finds_out()
        virsh("define", write("domain.xml", domain()))
        virsh("start", name)
        console = open_console()
        eventually("a shell", lambda: console.has("Type poweroff to end"))
        works_on_it()
        backs_up()
        console = keeps(console)
        virsh("reset", name)
        console.text = ""
        eventually("a shell after the reset", lambda: console.has("Type poweroff to end"))
        console.say("poweroff")
        eventually("the end of the guest", lambda: virsh("domstate", "--reason", name).strip() == "shut off (shutdown)")
        virsh("undefine", name)
    finally:
        daemon.terminate()
        daemon.wait(allow(60))
    print("ok")


main()
