# SPDX-License-Identifier: MIT
"""
fat:DIR: folders of the host as FAT disks, read back by a small reader of FAT and, where they are there, checked
by fsck.fat and listed by mtools.

usage: vvfat.py KASO KASO_IMG KASO_IO
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

KASO, IMG, IO = map(os.path.abspath, sys.argv[1:4])


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=allow(60))
    text = result.stdout.decode(errors="replace")
    assert result.returncode == status, (command, result.returncode, text)
    return text


class Fat:
    """A file system that begins at byte `start` of a file."""

    def __init__(self, name, start, bits):
        self.file = open(name, "rb")
        self.start, self.bits = start, bits
        boot = self.at(0, 512)
        (self.sector, self.cluster, reserved, fats, roots, small, _, self.fat) = struct.unpack_from(
            "<HBHBHHBH", boot, 11)
        hidden, large = struct.unpack_from("<II", boot, 28)
        assert hidden * 512 == start and boot[510:] == b"\x55\xaa"
        self.fat = self.fat or struct.unpack_from("<I", boot, 36)[0]
        self.table = self.at(reserved * 512, self.fat * 512)
        assert self.table == self.at((reserved + self.fat) * 512, self.fat * 512)
        self.root_at = (reserved + fats * self.fat) * 512
        self.data = self.root_at + roots * 32
        self.clusters = ((small or large) - self.data // 512) // self.cluster
        kind = 12 if self.clusters < 4085 else 16 if self.clusters < 65525 else 32
        assert kind == bits and (self.clusters + 2) * bits <= self.fat * 512 * 8, (kind, self.clusters)
        self.used = set()
        self.root = (self.chain(struct.unpack_from("<I", boot, 44)[0]) if bits == 32
                     else self.at(self.root_at, roots * 32))

    def at(self, offset, size):
        self.file.seek(self.start + offset)
        return self.file.read(size)

    def next(self, cluster):
        if self.bits == 32:
            return struct.unpack_from("<I", self.table, cluster * 4)[0] & 0xfffffff
        if self.bits == 16:
            return struct.unpack_from("<H", self.table, cluster * 2)[0]
        pair, = struct.unpack_from("<H", self.table, cluster * 3 // 2)
        return pair >> 4 if cluster % 2 else pair & 0xfff

    def chain(self, cluster):
        data = b""
        end = (1 << min(self.bits, 28)) - 8
        while cluster and cluster < end:
            assert 2 <= cluster < self.clusters + 2 and cluster not in self.used, cluster
            self.used.add(cluster)
            size = self.cluster * 512
            data += self.at(self.data + (cluster - 2) * size, size)
            cluster = self.next(cluster)
        return data

    def tree(self, entries, own=0, parent=0):
        found, long, short = {}, [], set()
        for i in range(0, len(entries), 32):
            entry = entries[i:i + 32]
            if entry[0] == 0:
                break
            if entry[11] == 0x0f:
                if entry[0] & 0x40:
                    long, checksum = [], entry[13]
                assert entry[13] == checksum
                long.insert(0, entry[1:11] + entry[14:26] + entry[28:32])
                continue
            name = entry[:8].decode().rstrip() + "." + entry[8:11].decode().rstrip()
            assert entry[:11] not in short
            short.add(entry[:11])
            if long:
                total = 0
                for byte in entry[:11]:
                    total = ((total >> 1 | total << 7) + byte) & 0xff
                assert total == checksum
                name = b"".join(long).decode("utf-16-le").split("\0")[0].rstrip("\uffff")
            name, long = name.rstrip("."), []
            cluster = struct.unpack_from("<H", entry, 20)[0] << 16 | struct.unpack_from("<H", entry, 26)[0]
            size, = struct.unpack_from("<I", entry, 28)
            if entry[:2] == b". ":
                assert cluster == own
            elif entry[:2] == b"..":
                assert cluster == parent
            elif entry[11] == 0x10:
                found[name] = self.tree(self.chain(cluster), cluster, own)
            elif entry[11] == 0x20:
                data = self.chain(cluster)
                assert len(data) >= size and not any(data[size:])
                found[name] = data[:size]
        return found


def host_tree(path):
    found = {}
    for name in os.listdir(path):
        full = os.path.join(path, name)
        if os.path.isdir(full) and not os.path.islink(full):
            found[name] = host_tree(full)
        elif os.path.isfile(full):
            with open(full, "rb") as file:
                found[name] = file.read()
    return found


def make():
    rand = random.Random(1)
    names = ["A.TXT", "a.b", "lower.txt", "A long name with spaces.text", "nine_char", "TWELVE12.ABC",
             "two.dots.gz", ".hidden", "\u00e4\u00f6\u00fc \u20ac \U0001f40d", "x" * 150, "EXACT8CH.EXT", "empty",
             "sixteen-plus-one"] + ["collision name %d" % i for i in range(15)]
    for folder in ("t", "t/sub", "t/sub/Deeper Folder", "t/EMPTY"):
        os.mkdir(folder)
    for folder in ("t", "t/sub", "t/sub/Deeper Folder"):
        for name in names:
            with open(os.path.join(folder, name), "wb") as file:
                size = 0 if name == "empty" else rand.choice([1, 511, 512, 8192, 8193, 30000])
                file.write(rand.randbytes(size))
    os.symlink("A.TXT", "t/link")
    os.symlink(".", "t/loop")
    os.symlink("nowhere", "t/broken")
    os.mkfifo("t/pipe")
    for i in range(200):
        with open("t/sub/many %d" % i, "wb") as file:
            file.write(b"%d" % i)


def main():
    with tempfile.TemporaryDirectory(prefix="kaso-vvfat-") as folder:
        os.chdir(folder)
        make()
        for name, bits, start in (("fat:t", 16, 63), ("fat:16:t", 16, 63),
                                  ("fat:32:t", 32, 63), ("fat:12:t", 12, 63),
                                  ("fat:floppy:t", 12, 0), ("fat:floppy:12:t", 12, 0)):
            run(IMG, "convert", "-f", "raw", "-O", "raw", name, "disk")
            fat = Fat("disk", start * 512, bits)
            found = fat.tree(fat.root)
            assert found == host_tree("t"), (name, set(found) ^ set(os.listdir("t")))
            for cluster in range(2, fat.clusters + 2):
                assert bool(fat.next(cluster)) == (cluster in fat.used), cluster
            fat.file.close()
            if shutil.which("fsck.fat"):
                part = f"driver=raw,offset={start * 512},file.driver=file,file.filename=disk"
                run(IMG, "convert", "--image-opts", "-O", "raw", part, "part")
                run("fsck.fat", "-n", "part")
            if shutil.which("mdir"):
                assert "volume in drive" in run("mdir", "-i", "disk@@%d" % (start * 512)).lower()
        run(IMG, "compare", "-f", "raw", "-F", "raw", "fat:floppy:t", "disk")
        run(IO, "--image-opts", "-r", "-c", "read -v 0 512", "driver=vvfat,dir=t,label=MY DISK")
        for options in ("dir=t,fat-type=15", "dir=none", "label=x", "dir=t,label=123456789012",
                        "dir=t,floppy=on,fat-type=32"):
            run(IO, "--image-opts", "-r", "-c", "quit", "driver=vvfat," + options, status=1)
        assert "rw" in run(IO, "-r", "-f", "raw", "-c", "quit", "fat:wr:t", status=1)
        with open("t/big", "wb") as file:
            file.truncate(3 << 20)
        assert "does not fit" in run(IMG, "info", "fat:floppy:t", status=1)
        drive = "if=none,id=f,format=raw,file=fat:rw:t"
        with subprocess.Popen([KASO, "-M", "virt", "-display", "none", "-serial", "none", "-S", "-drive",
                               drive, "-device", "virtio-blk-pci,drive=f", "-monitor", "stdio"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as machine:
            text = machine.communicate(b"info block\nquit\n", timeout=allow(60))[0].decode()
        assert machine.returncode == 0 and "fat:rw:t (raw)" in text, text
        os.chdir("/")


main()
