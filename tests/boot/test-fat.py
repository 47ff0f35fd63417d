#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-fat KASO GUEST_DIR: Linux mounts a folder of the host (fat:rw:DIR) and works in it; what it does appears in the folder, after a
sync and without one, and no file of the host's is lost in between.
"""
import os
import sys
import tempfile
import time

from guest import Guest

kaso, guest_dir = sys.argv[1:3]
if not os.path.exists(f"{guest_dir}/root.img"):
    print(f"no {guest_dir}/root.img: scripts/make-guest makes it")
    sys.exit(77)


def tree(folder):
    found = {}
    for root, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def wait_for(folder, wanted):
    for _ in range(900):
        found = tree(folder)
        if found == wanted:
            return
        time.sleep(0.1)
    raise AssertionError({n: len(v) for n, v in found.items()})


def main():
    with tempfile.TemporaryDirectory(prefix="kaso-fat-") as folder:
        os.mkdir(f"{folder}/Sub folder")
        files = {"letter.txt": b"from the host\n", "Sub folder/big": os.urandom(300000), "GONE": b"x" * 9000}
        for name, data in files.items():
            with open(f"{folder}/{name}", "wb") as file:
                file.write(data)
        argv = [kaso, "-M", "virt", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        argv += ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img"]
        argv += ["-append", "console=ttyAMA0 quiet panic=-1"]
        argv += ["-drive", f"if=none,id=root,format=raw,snapshot=on,file={guest_dir}/root.img"]
        argv += ["-device", "virtio-blk-pci,drive=root"]
        argv += ["-drive", f"if=none,id=fat,format=raw,file=fat:rw:{folder}", "-device", "virtio-blk-pci,drive=fat"]
        with Guest(argv) as guest:
            guest.expect("^bench-ready", 120)
            guest.line("shell")
            guest.expect("^shell-ready", 60)

            def run(command):
                status, output = guest.command(command, 60)
                assert status == 0, (command, output)
                return output

            run("(modprobe vfat || busybox modprobe vfat); (modprobe nls_cp437; modprobe nls_ascii; modprobe nls_utf8);  mkdir /tmp/m && busybox mount -t vfat -o utf8 /dev/vdb1 /tmp/m && cd /tmp/m")
            assert run("cat letter.txt") == "from the host"
            run("cp 'Sub folder/big' 'A copy of it' && rm GONE && mkdir -p new/deeper && mv 'Sub folder/big' new/deeper/"
                " && echo more >> letter.txt && echo ok > new/deeper/\u00e4\u20ac && sync")
            files["A copy of it"] = files["new/deeper/big"] = files.pop("Sub folder/big")
            del files["GONE"]
            files["letter.txt"] += b"more\n"
            files["new/deeper/\u00e4\u20ac"] = b"ok\n"
            wait_for(folder, files)
            # A file that is open keeps its clusters, in no folder: the rest goes on.
            run("exec 5< 'A copy of it'; rm 'A copy of it'; echo 2 > second; sync")
            files["second"] = b"2\n"
            wait_for(folder, dict(files))
            run("exec 5<&-; mv new moved; dd if=/dev/zero of=zeros bs=1000 count=77; sync")
            del files["A copy of it"]
            files = {name.replace("new/", "moved/"): data for name, data in files.items()}
            files["zeros"] = bytes(77000)
            wait_for(folder, files)
            run("echo 3 > third; cd /; busybox umount /tmp/m")
            files["third"] = b"3\n"
            wait_for(folder, files)
            guest.line("exit")
            guest.line("quit")
            assert guest.wait() == 0
            assert "vvfat" not in guest.text, guest.text[-2000:]
        assert tree(folder) == files
    print("a guest's files are the host's")


main()
