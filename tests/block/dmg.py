#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a small Apple disk image with every kind of chunk that is read: dmg.py FILE."""
import base64
import bz2
import random
import struct
import sys
import zlib

ZERO, RAW, IGNORE, ZLIB, BZIP2, END = 0, 1, 2, 0x80000005, 0x80000006, 0xffffffff


def content():
    """The disk's sectors and how each run of them is stored."""
    rand = random.Random(11)
    runs = []
    for kind, sectors in ((RAW, 3), (ZLIB, 64), (ZERO, 10), (BZIP2, 100), (IGNORE, 5), (ZLIB, 1),
                          (RAW, 9)):
        data = rand.randbytes(sectors * 256) * 2 if kind not in (ZERO, IGNORE) else bytes(sectors * 512)
        runs.append((kind, data))
    return runs


def build(runs, shorter=0):
    """shorter: how much of each run's end is not packed."""
    image, chunks, sector = b'', b'', 0
    for kind, data in runs:
        packed = {RAW: lambda d: d, ZLIB: zlib.compress, BZIP2: bz2.compress}.get(
            kind, lambda d: b'')(data[:len(data) - shorter])
        chunks += struct.pack('>IIQQQQ', kind, 0, sector, len(data) // 512, len(image), len(packed))
        image += packed
        sector += len(data) // 512
    chunks += struct.pack('>IIQQQQ', END, 0, sector, 0, len(image), 0)
    mish = struct.pack('>4sIQQQII24x', b'mish', 1, 0, sector, 0, 512, 0)
    mish = mish.ljust(200, b'\0') + struct.pack('>I', len(chunks) // 40) + chunks
    xml = ('<?xml version="1.0"?><plist version="1.0"><dict><key>resource-fork</key><dict>'
           '<key>blkx</key><array><dict><key>Data</key><data>%s</data></dict></array></dict></dict>'
           '</plist>' % base64.b64encode(mish).decode()).encode()
    trailer = bytearray(512)
    struct.pack_into('>4sII', trailer, 0, b'koly', 4, 512)
    struct.pack_into('>QQ', trailer, 24, 0, len(image))
    struct.pack_into('>QQ', trailer, 216, len(image), len(xml))
    struct.pack_into('>Q', trailer, 492, sector)
    return image + xml + bytes(trailer)


if __name__ == '__main__':
    with open(sys.argv[1], 'wb') as file:
        file.write(build(content()))
