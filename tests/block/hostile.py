#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that lie about themselves end with a message that names the field; dmg chunks of all kinds.

usage: hostile.py KASO_IMG KASO_IO
"""
import os
import struct
import subprocess
import sys
import tempfile

import dmg


def image(size, *fields):
    """A file with (offset, format, value) fields in it."""
    data = bytearray(size)
    for offset, form, value in fields:
        struct.pack_into(form, data, offset, value)
    return bytes(data)


VDI = ((0x40, '<I', 0xbeda107f), (0x44, '<I', 0x10001), (0x4c, '<I', 1), (0x154, '<I', 512),
       (0x158, '<I', 1024), (0x168, '<I', 512))
CASES = [
    # format, image, what the message must name
    ('vdi', image(1024, *VDI, (0x170, '<Q', 1 << 40), (0x178, '<I', 1 << 20), (0x180, '<I', 1 << 20)),
     'block map'),
    ('vdi', image(1024, *VDI, (0x170, '<Q', 1 << 62), (0x178, '<I', 1 << 20), (0x180, '<I', 1)),
     'disk size'),
    ('parallels', image(1024, (0, '16s', b'WithouFreSpacExt'), (16, '<I', 2), (28, '<I', 2048),
                        (32, '<I', 0x0fffffff), (36, '<Q', 1 << 30)), 'block allocation table'),
    ('qcow', image(1024, (0, '>I', 0x514649fb), (4, '>I', 1), (24, '>Q', 1 << 40), (32, 'B', 12),
                   (33, 'B', 9), (40, '>Q', 1 << 50)), 'L1 table'),
    ('qed', image(4096, (0, '4s', b'QED\0'), (4, '<I', 65536), (8, '<I', 3)), 'table_size'),
    ('vpc', image(1024, (0, '8s', b'conectix'), (28, '4s', b'win '), (48, '>Q', 1 << 63), (60, '>I', 3)),
     'size'),
    ('vmdk', b'# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType="custom"\n' +
     b'RW 9007199254740991 ZERO\n' * 4, 'extents'),
    ('vhdx', image(400000, (0, '8s', b'vhdxfile')), 'header'),
    ('dmg', image(1024, (512, '4s', b'koly'), (512 + 216, '>Q', 0), (512 + 224, '>Q', 1 << 60)),
     'property list'),
    ('qcow2', image(1024, (0, '>I', 0x514649fb), (4, '>I', 3), (20, '>I', 16), (24, '>Q', 1 << 60)), ''),
]


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=30)
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def main():
    img, io = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix='kaso-hostile-') as folder:
        path = os.path.join(folder, 'image')
        for form, data, word in CASES:
            with open(path, 'wb') as file:
                file.write(data)
            said = run(img, 'info', '-f', form, path, status=1)
            if word.lower() not in said.lower():
                sys.exit(f'{form}: the message does not name "{word}": {said}')
        # An L1 entry that owns an L2 table (bit 63) but names none.
        run(img, 'create', '-f', 'qcow2', path, '1M')
        with open(path, 'r+b') as file:
            file.seek(40)
            file.seek(struct.unpack('>Q', file.read(8))[0])
            file.write(struct.pack('>Q', 1 << 63))
        run(io, '-f', 'qcow2', '-c', 'write -P 3 0 4k', '-c', 'read -P 3 0 4k', path)
        run(img, 'check', path)
        runs = dmg.content()
        with open(path, 'wb') as file:
            file.write(dmg.build(runs))
        out = os.path.join(folder, 'out')
        run(img, 'convert', '-f', 'dmg', '-O', 'raw', path, out)
        with open(out, 'rb') as file:
            if file.read() != b''.join(data for _, data in runs):
                sys.exit('dmg: content differs')


main()
