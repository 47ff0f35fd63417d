#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-9p KASO GUEST_DIR BOARD MODEL CACHE [plug]: Linux mounts a folder of the host and does in it what folder-check.py does; then we look
at what is in the folder. MODEL: a security model, or "root": the guest's system is in the folder. plug: the device goes and comes back.
"""
import gzip
import hashlib
import os
import random
import shutil
import stat
import sys
import tempfile

from guest import Guest
from qmp import Monitor

kaso, guest_dir, board, model, cache = sys.argv[1:6]
if not os.path.exists(f"{guest_dir}/root.img"):
    print(f"no {guest_dir}/root.img: scripts/make-guest makes it")
    sys.exit(77)
OPTIONS = f"trans=virtio,version=9p2000.L,msize=512000,cache={cache}"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module" 2>/dev/null; done
until disk=$(findfs LABEL=root); do sleep 0.1; done
mount -t ext4 -o ro "$disk" /root
for module in 9pnet_virtio 9p; do chroot /root /sbin/modprobe $module; done
umount /root
mount -t 9p -o {OPTIONS} host /root
exec switch_root /root /bin/busybox sh /init
"""


def archive(name, data):
    """A cpio archive (newc) with one file, to lie over the initial RAM disk."""
    out = b""
    for text, content, mode in ((name, data, 0o100755), ("TRAILER!!!", b"", 0)):
        fields = [1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(text) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + text.encode() + b"\0"
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return gzip.compress(out)


def command(folder, security, extra=()):
    console = "ttyAMA0" if board == "virt" else "ttyS0"
    argv = [kaso, "-M", board, "-cpu", "max", "-m", "512", "-smp", "2", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    argv += ["-kernel", f"{guest_dir}/kernel", "-append", f"console={console} quiet panic=-1"]
    argv += ["-drive", f"if=virtio,format=raw,snapshot=on,file={guest_dir}/root.img"]
    argv += ["-fsdev", f"local,id=fs,path={folder},security_model={security},multidevs=remap"]
    return argv + ["-device", "virtio-9p-pci,id=share,fsdev=fs,mount_tag=host", *extra]


def note(path, name):
    """What is noted of a file's uid or gid or mode beside it."""
    if model == "mapped-file":
        folder, base = os.path.split(path)
        with open(f"{folder}/.virtfs_metadata/{base}", encoding="ascii") as file:
            return int(dict(line.strip().split("=") for line in file)[f"virtfs.{name}"])
    return int.from_bytes(os.getxattr(path, f"user.virtfs.{name}"), "little")


def look(folder):
    """What the guest did, seen from here."""
    with open(f"{folder}/big", "rb") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(random.Random(1).randbytes(24 << 20)).digest()
    with open(f"{folder}/e/x", "rb") as file:
        assert file.read() == b"moved"
    assert len([name for name in os.listdir(f"{folder}/many") if not name.startswith(".")]) == 10
    assert os.stat(f"{folder}/b").st_nlink == 2
    if model.startswith("mapped"):
        assert (note(f"{folder}/owned", "uid"), note(f"{folder}/owned", "gid")) == (1234, 4321)
        assert note(f"{folder}/fifo", "mode") == stat.S_IFIFO | 0o644
        assert stat.S_ISREG(os.lstat(f"{folder}/fifo").st_mode) and stat.S_ISREG(os.lstat(f"{folder}/soft").st_mode)
        with open(f"{folder}/soft", encoding="ascii") as file:
            assert file.read() == "b"
    else:
        assert stat.S_ISFIFO(os.lstat(f"{folder}/fifo").st_mode) and os.readlink(f"{folder}/soft") == "b"
    if model == "passthrough":
        assert (os.stat(f"{folder}/owned").st_uid, os.stat(f"{folder}/owned").st_gid) == (1234, 4321)


def run(guest, text, timeout=120):
    status, output = guest.command(text, timeout)
    assert status == 0, (text, output)
    return output


def replug(guest, path):
    run(guest, "busybox umount /tmp/host")
    monitor = Monitor(path, 60)
    monitor.run("device_del", id="share")
    monitor.event("DEVICE_DELETED")
    monitor.run("device_add", driver="virtio-9p-pci", id="again", fsdev="fs", mount_tag="again")
    run(guest, f"until busybox mount -t 9p -o {OPTIONS} again /tmp/host; do sleep 0.2; done; test -d /tmp/host/work/many")


def work_in_folder(folder):
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "folder-check.py"), folder)
    os.mkdir(f"{folder}/work")
    os.symlink("/etc", f"{folder}/out")
    extra = ["-initrd", f"{guest_dir}/initrd.img"]
    if "plug" in sys.argv:
        extra += ["-qmp", f"unix:{folder}.qmp,server=on,wait=off"]
    roles = {"none": "", "passthrough": "owners special"}.get(model, "owners special")
    with Guest(command(folder, model, extra)) as guest:
        guest.expect("^bench-ready", 300)
        guest.line("shell")
        guest.expect("^shell-ready", 60)
        run(guest, "modprobe 9pnet_virtio && modprobe 9p && mkdir /tmp/host")
        run(guest, f"busybox mount -t 9p -o {OPTIONS} host /tmp/host")
        if cache == "none" and not model.startswith("mapped"):
            assert run(guest, "readlink /tmp/host/out") == "/etc"  # and what is there is the guest's own
        guest.line(f"python3 /tmp/host/folder-check.py /tmp/host/work {roles}")
        result = guest.expect("^checks (passed|failed).*", 900)
        if result[1] != "passed":
            guest.fail("not all checks passed")
        if "plug" in sys.argv:
            replug(guest, f"{folder}.qmp")
        run(guest, "busybox umount /tmp/host")
    look(f"{folder}/work")


def boot_from_folder(folder):
    """virtme's way: the initial RAM disk goes over to a system that is a folder."""
    with gzip.open(f"{guest_dir}/initrd.img") as file:
        data = file.read()
    for name in ("bin", "dev", "proc", "tmp"):
        os.mkdir(f"{folder}/{name}")
    with open(f"{folder}/bin/busybox", "wb") as file:
        file.write(member(data, "bin/busybox"))
    os.chmod(f"{folder}/bin/busybox", 0o755)
    with open(f"{folder}/init", "w", encoding="ascii") as file:
        file.write("/bin/busybox mount -t proc proc /proc\n/bin/busybox --install -s /bin\necho root-is $(grep ' / ' /proc/mounts)\nexec sh\n")
    with tempfile.NamedTemporaryFile(suffix=".initrd") as initrd:
        with open(f"{guest_dir}/initrd.img", "rb") as file:
            shutil.copyfileobj(file, initrd)
        initrd.write(archive("init", INIT.encode()))
        initrd.flush()
        with Guest(command(folder, "mapped-xattr", ["-initrd", initrd.name])) as guest:
            guest.expect("^root-is host / 9p", 300)
            guest.line("chown 7:8 /tmp; cp /bin/busybox /tmp/busybox && /tmp/busybox cmp /tmp/busybox /bin/busybox && echo same''-bytes; sync")
            guest.expect("^same-bytes", 120)
    assert os.getxattr(f"{folder}/tmp", "user.virtfs.uid") == b"\7\0\0\0"
    with open(f"{folder}/bin/ls", encoding="ascii") as file:
        assert file.read() == "/bin/busybox"


def member(data, name):
    """A file of a cpio archive (newc)."""
    at = 0
    while True:
        size, length = int(data[at + 54 : at + 62], 16), int(data[at + 94 : at + 102], 16)
        start = at + 110 + length
        start += -start % 4
        found = data[at + 110 : at + 110 + length - 1].decode()
        if found.removeprefix("./") == name:
            return data[start : start + size]
        assert found != "TRAILER!!!", name
        at = start + size + -size % 4


def has_attributes(folder):
    """Whether its file system has attributes, which a tmpfs of older kernels has not."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.probe", b"x")
    except OSError:
        return False
    return True


places = [place for place in (tempfile.gettempdir(), os.getcwd()) if has_attributes(place)]
if not places or (model == "passthrough" and os.geteuid() != 0):
    print("no folder with extended attributes" if not places else "passthrough needs root")
    sys.exit(77)
with tempfile.TemporaryDirectory(prefix="kaso-9p-", dir=places[0]) as top:
    (boot_from_folder if model == "root" else work_in_folder)(top)
