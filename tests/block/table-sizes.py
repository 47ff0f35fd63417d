# SPDX-License-Identifier: MIT
"""
New images of sizes at, just below and just above multiples of what one entry of their tables holds: the
headers count exactly the entries that the disk needs, and the last sector can be written.

usage: table-sizes.py KASO_IMG KASO_IO
"""

import os
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
MIB = 1 << 20


def run(*command):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=allow(60), check=False)
    assert result.returncode == 0, (command, result.stdout.decode())
    return result.stdout.decode()


def words(file, at, form):
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def up(size, unit):
    return (size + unit - 1) // unit


def vpc(file, size):
    entries, block = words(file, 512 + 28, ">II")
    assert block == 2 * MIB and entries == up(size, block), (entries, size)
    table = words(file, 1536, ">%dI" % entries)
    assert set(table) == {0xffffffff}
    end = up(1536 + entries * 4, 512) * 512
    assert words(file, end, "8s")[0] == b"conectix" and os.fstat(file.fileno()).st_size == end + 512


def vdi(file, size):
    bmap, data = words(file, 0x154, "<II")
    block, = words(file, 0x178, "<I")
    blocks, = words(file, 0x180, "<I")
    assert block == MIB and blocks == up(size, block), (blocks, size)
    assert data == bmap + up(blocks * 4, 512) * 512


def parallels(file, size):
    tracks, entries = words(file, 28, "<II")
    assert entries == up(size, tracks * 512), (entries, size)


def vmdk(file, size):
    capacity, grain = words(file, 12, "<QQ")
    per_table, = words(file, 44, "<I")
    redundant, directory, overhead = words(file, 48, "<QQQ")
    tables = up(size, grain * 512 * per_table)
    assert capacity * 512 == size
    sectors = up(tables * 4, 512)
    for at in (redundant, directory):
        assert words(file, at * 512, "<%dI" % tables) == tuple(
            at + sectors + 4 * i for i in range(tables)), (size, tables)
    assert directory == redundant + sectors + 4 * tables
    assert overhead == up(directory + sectors + 4 * tables, grain) * grain


def vhdx(file, size):
    """The BAT of the region table holds each block and, after each chunk, a bitmap's entry."""
    assert words(file, 0, "8s")[0] == b"vhdxfile"
    for i in range(words(file, 192 * 1024 + 8, "<I")[0]):
        at = 192 * 1024 + 16 + 32 * i
        if words(file, at, "<I")[0] == 0x2dc27766:
            offset, length = words(file, at + 16, "<QI")
    blocks = up(size, 8 * MIB)
    entries = blocks + (blocks - 1) // 512
    assert length == up(entries * 8, MIB) * MIB and offset % MIB == 0


def qed(file, size):
    cluster, table = words(file, 4, "<II")
    assert words(file, 48, "<Q")[0] == size
    assert size <= (cluster * table // 8) ** 2 * cluster


def qcow2(file, size):
    bits, virtual = words(file, 20, ">IQ")
    l1_size, l1_at = words(file, 36, ">IQ")
    assert virtual == size and l1_size == max(1, up(size, 1 << (bits + bits - 3))), (size, l1_size)


def qcow(file, size):
    virtual, = words(file, 24, ">Q")
    table, = words(file, 40, ">Q")
    assert virtual == size
    assert os.fstat(file.fileno()).st_size == table + up(up(size, 1 << 21) * 8, 512) * 512


# name, options, what one entry covers
FORMATS = [(vpc, "force_size=on", 2 * MIB), (vdi, "", MIB), (parallels, "", MIB),
           (parallels, "cluster_size=64k", 65536), (vmdk, "", 32 * MIB), (vhdx, "block_size=8M", 8 * MIB),
           (qed, "", 65536), (qcow2, "", 512 * MIB), (qcow2, "cluster_size=512", 32768),
           (qcow2, "cluster_size=2M", 512 << 30), (qcow, "", 2 * MIB)]


def main():
    with tempfile.TemporaryDirectory(prefix="kaso-tables-") as folder:
        os.chdir(folder)
        for check, options, unit in FORMATS:
            name = check.__name__
            for count in (1, 2, 3, 128, 129, 512, 1024):
                if unit * count > 4 << 40 or (name in ("vmdk", "vdi", "vpc") and
                                              unit * count > 1 << 40):
                    continue
                for size in (unit * count - 512, unit * count, unit * count + 512):
                    run(IMG, "create", "-q", "-f", name, *(["-o", options] if options else []), "i", size)
                    with open("i", "rb") as file:
                        check(file, size)
                run(IO, "-f", name, "-c", "write -P 7 %d 512" % (size - 512), "-c",
                    "read -P 7 %d 512" % (size - 512), "i")
                if name not in ("vpc", "qcow"):
                    run(IMG, "check", "-f", name, "i")
        os.chdir("/")


main()
