#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Breakpoints, set before the first instruction, in firmware that moves itself: all of it, or a part as SeaBIOS does.

test-moving.py KASO COMPILER SOURCE
"""
import os
import re
import subprocess
import sys
import tempfile

from machine import Kaso, target


def build(compiler, source, folder, options):
    elf, image = os.path.join(folder, 'moving'), os.path.join(folder, 'moving.bin')
    subprocess.run([compiler, '-m64', '-fuse-ld=bfd', '-nostdlib', '-static', '-no-pie', '-Wl,-N,--build-id=none',
                    '-Wl,-Ttext=0xf0000,-e0,--no-warn-rwx-segments', *options, '-o', elf, source], check=True)
    subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', elf, image], check=True)
    text = subprocess.run(['nm', elf], check=True, capture_output=True, text=True).stdout
    return elf, image, {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


def stops(kaso, line, address, function):
    text = kaso.hmp(line)
    while 'cpu0 at' not in text:
        text += kaso.told()
    assert re.search(rf'cpu0 at {address:#x} {function} ', text), (line, hex(address), text)


def check(program, compiler, source, folder, options, start, resident):
    """start: of what moves; resident: what `stays` is moved by."""
    elf, image, at = build(compiler, source, folder, options)
    moved = 0x300000 - at[start]
    with Kaso(target(program, 'i386'), '-M', 'pc', '-m', '16', '-bios', image) as kaso:
        assert kaso.hmp(f'symbols add {elf}') == ''
        kaso.hmp('break first')
        kaso.hmp('break second')
        kaso.hmp('break stays')
        stops(kaso, 'cont', at['first'] + moved, 'first')
        assert re.search(rf'moved by {moved:#x}, where its code is in RAM', kaso.hmp('info symbols'))
        stops(kaso, 'cont', at['second'] + moved, 'second')
        assert re.search(rf'^#1 .* first\+', kaso.hmp('bt'), re.M), kaso.hmp('bt')
        # Resident or called where it was linked: the symbol is where it belongs.
        if resident is not None:
            stops(kaso, 'cont', at['stays'] + resident, 'stays')
        table = kaso.hmp('info breakpoints')
        assert re.search(r'first = .* hits 1$', table, re.M) and re.search(r'second = .* hits 1$', table, re.M), table
        # After a reset it moves itself to the same place once more.
        kaso.hmp('delete 3')
        kaso.hmp('system_reset')
        stops(kaso, 'cont', at['first'] + moved, 'first')


def main():
    program, compiler, source = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        check(program, compiler, source, folder, [], 'start', None)
        check(program, compiler, source, folder, ['-DPART'], 'code32init_start', 0)


main()
