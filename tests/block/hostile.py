#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that lie about themselves end with a message that names the field, and are not written; what
an image names is shown before it is opened, and can be forbidden; dmg chunks of all kinds.

usage: hostile.py KASO_IMG KASO_IO
"""
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import dmg
from patience import allow


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


# Fields of a qcow2 image, which is otherwise sound, and what the message must name.
QCOW2_CASES = [
    ((4, '>I', 9), 'version'),
    ((20, '>I', 40), 'cluster size'),
    ((24, '>Q', 1 << 63), 'virtual size'),
    ((32, '>I', 9), 'encryption method'),
    ((36, '>I', 0xffffffff), 'L1 table'),
    ((36, '>I', 0), 'L1 table'),
    ((40, '>Q', 1 << 62), 'L1 table offset'),
    ((40, '>Q', 0), 'L1 table at 0x0 overlaps the header'),
    ((40, '>Q', 0x10000), 'refcount table at 0x10000 overlaps the L1 table'),
    ((48, '>Q', 3), 'reference count table offset'),
    ((48, '>Q', 0), 'refcount table at 0x0 overlaps the header'),
    ((48, '>Q', 0x30000), 'refcount table at 0x30000 overlaps the L1 table'),
    ((56, '>I', 0x7fffffff), 'reference count table too large'),
    ((60, '>I', 0xffffffff), 'snapshot table too large'),
    ((64, '>Q', 77), 'snapshot table'),
    ((64, '>Q', 0), 'snapshot'),
    ((72, '>Q', 1 << 40), 'feature'),
    ((96, '>I', 9), 'reference count entry width'),
    ((100, '>I', 0x7fffffff), 'header'),
    ((8, '>Q', 1 << 40), 'backing file offset'),
    ((116, '>I', 0xffffff), 'extension'),
]
# Fields of the entry in its snapshot table.
SNAPSHOT_CASES = [
    ((0, '>Q', 0x12345), 'L1 table offset'),
    ((0, '>Q', 0), "L1 table of snapshot 'one' at 0x0 overlaps the header"),
    ((0, '>Q', 0x30000), "L1 table of snapshot 'one' at 0x30000 overlaps the L1 table"),
    ((8, '>I', 0x7fffffff), 'L1 table too large'),
    ((12, '>H', 0xffff), 'snapshot table'),
    ((36, '>I', 0xffffffff), 'extra metadata'),
]


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=allow(30))
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def expect(said, word, what):
    if word.lower() not in said.lower():
        sys.exit(f'{what}: the message does not name "{word}": {said}')


def lying_qcow2(img, io, path):
    """Each field in turn says what cannot be."""
    run(img, 'create', '-f', 'qcow2', path, '4M')
    run(io, '-c', 'write -P 3 0 128k', path)
    run(img, 'snapshot', '-c', 'one', path)
    with open(path, 'rb') as file:
        sound = file.read()
    table = struct.unpack_from('>Q', sound, 64)[0]
    cases = QCOW2_CASES + [((table + at, form, value), word)
                           for (at, form, value), word in SNAPSHOT_CASES]
    for (at, form, value), word in cases:
        data = bytearray(sound)
        struct.pack_into(form, data, at, value)
        with open(path, 'wb') as file:
            file.write(data)
        expect(run(img, 'info', path, status=1), word, f'qcow2 field at {at:#x}')
        run(io, '-c', 'write 1M 64k', path, status=1)
        with open(path, 'rb') as file:
            if file.read() != data:
                sys.exit(f'qcow2 field at {at:#x}: a refused image was written')


def chains(img, io, folder):
    """Backing files that bite their own tail, alone and in a ring."""
    first, second = os.path.join(folder, 'first'), os.path.join(folder, 'second')
    for path, backing in (first, first), (first, second), (second, first):
        run(img, 'create', '-q', '-f', 'qcow2', path, '1M')
        run(img, 'rebase', '-u', '-b', backing, '-F', 'qcow2', path)
        if path == backing:
            expect(run(io, '-c', 'read 0 512', path, status=1), 'cycle', 'own backing file')
    expect(run(io, '-c', 'read 0 512', first, status=1), 'cycle', 'ring of backing files')
    run(img, 'info', '--backing-chain', first, status=1)


def shown_and_forbidden(img, io, folder):
    """A terminal is told of a backing file before it is opened; backing= and null forbid it."""
    base, top = os.path.join(folder, 'base'), os.path.join(folder, 'top')
    run(img, 'create', '-q', '-f', 'raw', base, '1M')
    run(io, '-f', 'raw', '-c', 'write -q -P 7 0 4k', base)
    run(img, 'create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', top)
    read = [io, '-r', '-c', 'read -q -P 7 0 4k']
    run(*read, top)
    ours, theirs = pty.openpty()
    subprocess.run([*read, top], stderr=theirs, check=True, timeout=allow(30))
    expect(os.read(ours, 4096).decode(), f'opens its backing file {base} (raw)', 'terminal')
    silent = subprocess.run([*read, top], stderr=subprocess.PIPE, check=True, timeout=allow(30)).stderr
    if silent:
        sys.exit(f'not a terminal: {silent}')
    os.unlink(base)
    subprocess.run([*read, top], stderr=theirs, check=False, timeout=allow(30))
    said = os.read(ours, 4096).decode()
    if not 0 <= said.find('opens its') < said.find('Could not open backing file'):
        sys.exit(f'shown too late: {said}')
    zeroes = [io, '-r', '-c', 'read -q -P 0 0 4k']
    run(*zeroes, '--image-opts', f'driver=qcow2,backing=,file.filename={top}')
    run(*zeroes, 'json:' + json.dumps({'driver': 'qcow2', 'backing': None,
                                       'file': {'driver': 'file', 'filename': top}}))
    os.close(ours)
    os.close(theirs)


def main():
    img, io = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix='kaso-hostile-') as folder:
        path = os.path.join(folder, 'image')
        for form, data, word in CASES:
            with open(path, 'wb') as file:
                file.write(data)
            said = run(img, 'info', '-f', form, path, status=1)
            expect(said, word, form)
        # An L1 entry that owns an L2 table (bit 63) but names none.
        run(img, 'create', '-f', 'qcow2', path, '1M')
        with open(path, 'r+b') as file:
            file.seek(40)
            file.seek(struct.unpack('>Q', file.read(8))[0])
            file.write(struct.pack('>Q', 1 << 63))
        run(io, '-f', 'qcow2', '-c', 'write -P 3 0 4k', '-c', 'read -P 3 0 4k', path)
        run(img, 'check', path)
        lying_qcow2(img, io, path)
        chains(img, io, folder)
        shown_and_forbidden(img, io, folder)
        runs = dmg.content()
        with open(path, 'wb') as file:
            file.write(dmg.build(runs))
        out = os.path.join(folder, 'out')
        run(img, 'convert', '-f', 'dmg', '-O', 'raw', path, out)
        with open(out, 'rb') as file:
            if file.read() != b''.join(data for _, data in runs):
                sys.exit('dmg: content differs')
        for kind in dmg.ZLIB, dmg.BZIP2:
            with open(path, 'wb') as file:
                file.write(dmg.build([(kind, bytes(range(256)) * 64)], shorter=1))
            run(img, 'convert', '-f', 'dmg', '-O', 'raw', path, out, status=1)


main()
