# SPDX-License-Identifier: MIT
"""Formats that are only read: bochs and cloop, found by what they begin with, and what they refuse."""
import os
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import bochs_cloop as make
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=allow(60))
    assert result.returncode == status, (command, result.returncode, result.stdout)
    return result.stdout


def put(data):
    with open('i', 'wb') as file:
        file.write(data)


def reads_as(form, wanted):
    """By its name, and found out; and in pieces that begin and end anywhere."""
    assert f'file format: {form}' in run(IMG, 'info', 'i')
    for arguments in (['-f', form], []):
        run(IMG, 'convert', *arguments, '-O', 'raw', 'i', 'out')
        with open('out', 'rb') as file:
            assert file.read() == wanted, form
    with open('wanted', 'wb') as file:
        file.write(wanted)
    run(IMG, 'compare', '-f', form, '-F', 'raw', 'i', 'wanted')
    for at, size in ((0, 512), (700, 3000), (len(wanted) - 1000, 1000), (511, 2)):
        run(IMG, 'dd', '-f', form, '-O', 'raw', 'if=i', 'of=out', 'bs=1', f'skip={at}', f'count={size}')
        with open('out', 'rb') as file:
            assert file.read()[:size] == wanted[at:at + size], (form, at, size)
    said = run(IO, '-f', form, '-c', 'write 0 512', 'i', status=1)
    assert 'can only be read' in said, said


def refused(form, data, *changes):
    """Each change is of one field, as (offset, layout, value), and what the message names."""
    for (at, layout, value), word in changes:
        image = bytearray(data)
        struct.pack_into(layout, image, at, value)
        put(bytes(image))
        said = run(IMG, 'info', '-f', form, 'i', status=1)
        assert word in said, (form, at, value, said)


def cut(form, data, wanted):
    """What is missing is said and reads as zeros, and what is there is copied."""
    put(data[:(len(data) - 5000) // 512 * 512])
    said = run(IMG, 'convert', '-f', form, '-O', 'raw', 'i', 'out', status=1)
    assert 'is cut off' in said, said
    with open('out', 'rb') as file:
        copy = file.read()
    assert len(copy) == len(wanted)
    kept = [copy[i:i + 512] == wanted[i:i + 512] for i in range(0, len(wanted), 512)]
    assert 0 < kept.count(False) < len(kept) and all(ok or not any(copy[512 * i:512 * i + 512]) for i, ok in enumerate(kept)), form
    put(data[:100])
    said = run(IMG, 'info', '-f', form, 'i', status=1)
    assert 'is cut off' in said, said


def bochs():
    for version in (1, 2):
        for extent, bitmap, header in ((4096, 1, 512), (65536, 16, 512), (512, 1, 1024), (4096, 600, 512)):
            disk = make.sectors(version, 301)
            put(make.bochs(disk, version, extent, bitmap, header))
            reads_as('bochs', make.content(disk))
    put(make.bochs([None] * 40))
    reads_as('bochs', bytes(40 * 512))
    disk = make.sectors(3, 100)
    data = make.bochs(disk)
    refused('bochs', data, ((64, '<I', 0x30000), 'not in Bochs format'), ((0, 'B', 0x62), 'not in Bochs format'),
            ((32, 'B', 0), 'not in Bochs format'), ((48, '4s', b'Flat'), 'not in Bochs format'),
            ((72, '<I', 0x100001), 'Catalog size'), ((72, '<I', 12), 'Catalog size'), ((72, '<I', 0x100000), 'is cut off'),
            ((68, '<I', 0xfffffe00), 'is cut off'), ((80, '<I', 256), 'Extent size'), ((80, '<I', 3000), 'Extent size'),
            ((80, '<I', 0x1000000), 'Extent size'), ((76, '<I', 0), 'Bitmap size'), ((76, '<I', 0xffffffff), 'Bitmap size'),
            ((88, '<Q', 1 << 62), 'Catalog size'))
    cut('bochs', data, make.content(disk))


def cloop():
    for block in (512, 4096, 65536):
        disk = make.content(make.sectors(block, 384))
        put(make.cloop(disk, block))
        reads_as('cloop', disk)
    data = make.cloop(disk, 4096)
    refused('cloop', data, ((128, '>I', 0), 'block_size'), ((128, '>I', 513), 'block_size'), ((128, '>I', 0x8000000), 'block_size'),
            ((132, '>I', 0xffffffff), 'table of offsets'), ((132, '>I', 0x100000), 'table of offsets'),
            ((136 + 8, '>Q', 0), 'offsets not monotonically'), ((136 + 48 * 8, '>Q', 1 << 40), 'compressed block size'))
    broken = bytearray(data)
    broken[len(data) - 3000] ^= 0xff
    put(bytes(broken))
    assert 'error' in run(IMG, 'convert', '-f', 'cloop', '-O', 'raw', 'i', 'out', status=1)
    cut('cloop', data, disk)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        bochs()
        cloop()
        os.chdir('/')


main()
