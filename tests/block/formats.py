#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images of foreign formats that QEMU writes must read the same here. Skipped without QEMU.

usage: formats.py KASO_IMG KASO_IO
"""
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile

FORMATS = [
    ('qcow', ''), ('qed', ''), ('vdi', ''), ('vdi', 'static=on'), ('vpc', ''),
    ('vpc', 'subformat=fixed,force_size=on'), ('vpc', 'force_size=on'), ('vhdx', ''),
    ('vhdx', 'subformat=fixed'), ('parallels', ''), ('vmdk', ''),
    ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'subformat=monolithicFlat'),
    ('vmdk', 'subformat=twoGbMaxExtentFlat'), ('vmdk', 'subformat=streamOptimized'),
    ('qcow2', 'compat=0.10'), ('qcow2', 'preallocation=full'),
]
SIZE = 9 * 1024 * 1024


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


WRITABLE = [('vdi', ''), ('vdi', 'static=on'), ('vpc', ''), ('vpc', 'force_size=on'),
            ('vpc', 'subformat=fixed,force_size=on'), ('vmdk', ''),
            ('parallels', ''), ('parallels', 'cluster_size=64k'),
            ('qed', ''), ('qed', 'cluster_size=4k,table_size=2'),
            ('vhdx', ''), ('vhdx', 'block_size=1M'), ('vhdx', 'block_state_zero=off,block_size=2M'),
            ('vhdx', 'subformat=fixed')]


def written_reads_the_same(kaso, io, qemu, folder, raw):
    """Images made here or by QEMU and written here, as QEMU reads them."""
    rand = random.Random(6)
    for maker, (format_name, options) in itertools.product(([kaso], qemu), WRITABLE):
        image = os.path.join(folder, 'image.' + format_name)
        same = os.path.join(folder, 'same.raw')
        run(*maker, 'convert', '-f', 'raw', '-O', format_name, *(['-o', options] if options else []),
            raw, image)
        run(kaso, 'convert', '-f', format_name, '-O', 'raw', image, same)
        commands = []
        for _ in range(30):
            length = rand.randrange(1, 400000)
            commands += ['-c', 'write -P %d %d %d' % (rand.randrange(256),
                                                      rand.randrange(SIZE - length), length)]
        run(io, '-f', format_name, *commands, image)
        run(io, '-f', 'raw', *commands, same)
        run(*qemu, 'compare', '-f', format_name, '-F', 'raw', image, same)
        if format_name in ('vdi', 'vmdk', 'parallels', 'qed', 'vhdx'):
            run(*qemu, 'check', '-f', format_name, image)
        os.unlink(image)
        print('ok writing', maker[0], format_name, options)


def main():
    kaso, io = sys.argv[1:3]
    qemu = os.environ.get('QEMU_IMG') or shutil.which('qemu-img')
    if not qemu:
        sys.exit(77)
    qemu = qemu.split()
    with tempfile.TemporaryDirectory(prefix='kaso-formats-') as folder:
        raw = os.path.join(folder, 'in.raw')
        rand = random.Random(5)
        data = bytearray(SIZE)
        for _ in range(20):
            length = rand.randrange(1, 200000)
            offset = rand.randrange(0, SIZE - length)
            data[offset:offset + length] = rand.randbytes(length)
        with open(raw, 'wb') as file:
            file.write(data)
        written_reads_the_same(kaso, io, qemu, folder, raw)
        for format_name, options in FORMATS:
            image = os.path.join(folder, 'image.' + format_name)
            command = [*qemu, 'convert', '-f', 'raw', '-O', format_name]
            if options:
                command += ['-o', options]
            run(*command, raw, image)
            out = os.path.join(folder, 'out.raw')
            run(kaso, 'convert', '-f', format_name, '-O', 'raw', image, out)
            with open(out, 'rb') as file:
                result = file.read()
            if result[:SIZE] != data or any(result[SIZE:]):
                sys.exit('%s %s: content differs' % (format_name, options))
            if ('virtual size' not in run(kaso, 'info', '-f', format_name, image) or
                    'format: ' + format_name not in run(kaso, 'info', '-f', format_name, image)):
                sys.exit('%s: info' % format_name)
            # Cut short, it must fail or read, but not crash.
            with open(image, 'r+b') as file:
                file.truncate(os.path.getsize(image) * 2 // 3)
            done = subprocess.run([kaso, 'convert', '-O', 'raw', image, out], capture_output=True)
            if done.returncode not in (0, 1):
                sys.exit('%s: a short image ends with status %d' % (format_name, done.returncode))
            for name in os.listdir(folder):
                if name.startswith('image'):
                    os.unlink(os.path.join(folder, name))
            print('ok', format_name, options)


main()
