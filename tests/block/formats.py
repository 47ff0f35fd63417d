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
SIZE = 5 * 1024 * 1024


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


WRITABLE = [('vdi', ''), ('vdi', 'static=on'), ('vpc', ''), ('vpc', 'force_size=on'),
            ('vpc', 'subformat=fixed,force_size=on'), ('vmdk', ''), ('vmdk', 'zeroed_grain=on'),
            ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'subformat=monolithicFlat'),
            ('vmdk', 'subformat=twoGbMaxExtentFlat,adapter_type=lsilogic'), ('qcow', ''),
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


# name, options, what is below
OVERLAYS = [('qcow', [], 'raw'), ('qcow', [], 'qcow'), ('vmdk', [], 'vmdk'),
            ('vmdk', ['-o', 'subformat=twoGbMaxExtentSparse'], 'vmdk')]


def overlays_take_turns(kaso, io, qemu, folder, raw):
    """Images above others, made by either and written in turns by both; then committed."""
    qemu_io = shutil.which('qemu-io')
    rand = random.Random(7)
    for (name, options, below), maker in itertools.product(OVERLAYS, ([kaso], qemu)):
        base, image = os.path.join(folder, 'base'), os.path.join(folder, 'top.' + name)
        model = os.path.join(folder, 'model')
        run(kaso, 'convert', '-f', 'raw', '-O', below, raw, base)
        shutil.copyfile(raw, model)
        run(*maker, 'create', '-q', '-f', name, *options, '-b', 'base', '-F', below, image)
        for turn in range(2):
            commands = []
            for _ in range(15):
                length = rand.randrange(1, 300000)
                offset = rand.randrange(SIZE - length)
                kind = rand.choice(['-z', '-P %d' % rand.randrange(1, 256)])
                commands += ['-c', 'write %s %d %d' % (kind, offset, length)]
            run(qemu_io if turn % 2 and qemu_io else io, '-f', name, *commands, image)
            run(io, '-f', 'raw', *commands, model)
            for tool in ([kaso], qemu):
                run(*tool, 'compare', '-f', name, '-F', 'raw', image, model)
        if name == 'qcow':
            run(kaso, 'commit', '-f', name, image)
            run(*qemu, 'compare', '-f', below, '-F', 'raw', base, model)
            run(*qemu, 'compare', '-f', name, '-F', 'raw', image, model)
        print('ok turns', name, options, below, maker[0])


def packed(kaso, io, qemu, folder, raw):
    """Compressed images, and what may be written into them afterwards."""
    image, model = os.path.join(folder, 'packed'), os.path.join(folder, 'model')
    run(kaso, 'convert', '-c', '-f', 'raw', '-O', 'qcow', raw, image)
    assert os.path.getsize(image) < SIZE / 2
    run(*qemu, 'compare', '-f', 'qcow', '-F', 'raw', image, raw)
    shutil.copyfile(raw, model)
    run(io, '-f', 'qcow', '-c', 'write -P 3 1000 70000', image)
    run(io, '-f', 'raw', '-c', 'write -P 3 1000 70000', model)
    run(*qemu, 'compare', '-f', 'qcow', '-F', 'raw', image, model)
    stream = ['-O', 'vmdk', '-o', 'subformat=streamOptimized']
    for maker in ([kaso], qemu):
        run(*maker, 'convert', '-f', 'raw', *stream, raw, image)
        for tool in ([kaso], qemu):
            run(*tool, 'compare', '-f', 'vmdk', '-F', 'raw', image, raw)
        run(*maker, 'create', '-q', '-f', 'vmdk', '-o', 'subformat=streamOptimized', image, '1M')
        run(io, '-f', 'vmdk', '-c', 'write -P 5 100 200000', image)
        run(io, '-f', 'vmdk', '-c', 'write -P 6 100 200', image, status=1) # a grain is written once
        run(io, '-f', 'vmdk', '-c', 'read -P 5 100 200000', '-c', 'read -P 0 200100 1000', image)
        if shutil.which('qemu-io'):
            run('qemu-io', '-f', 'vmdk', '-c', 'read -P 5 100 200000', image)
    secret = ['--object', 'secret,id=s,data=secret']
    opened = 'driver=%s,%skey-secret=s,file.filename=' + image
    for name, options, prefix in (
            ('qcow2', 'encrypt.format=luks,encrypt.iter-time=10,', 'encrypt.'),
            ('qcow2', 'encryption=on,', 'encrypt.'), ('qcow', 'encrypt.format=aes,', 'encrypt.'),
            ('luks', 'iter-time=10,', '')):
        run(kaso, 'convert', *secret, '-f', 'raw', '-O', name, '-o',
            '%s%skey-secret=s' % (options, prefix), raw, image)
        run(io, *secret, '--image-opts', opened % (name, prefix), '-c', 'write -P 3 1000 70000')
        for tool in ([kaso], qemu):
            run(*tool, 'compare', *secret, '--image-opts', opened % (name, prefix),
                'driver=raw,file.filename=' + model)
    print('ok packed and encrypted')


def main():
    kaso, io = sys.argv[1:3]
    qemu = os.environ.get('QEMU_IMG') or shutil.which('qemu-img')
    if not qemu:
        print('no qemu-img is installed')
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
        overlays_take_turns(kaso, io, qemu, folder, raw)
        packed(kaso, io, qemu, folder, raw)
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
