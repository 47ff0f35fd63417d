# SPDX-License-Identifier: MIT
"""VHDX images whose log was not replayed: read in memory, replayed by a writer, refused when damaged.
Where a qemu-img is installed, its replay must give the same.

usage: vhdx-log.py KASO_IMG KASO_IO
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
QEMU = (os.environ.get('QEMU_IMG') or shutil.which('qemu-img') or '').split()
MIB = 1 << 20
LOG, BAT, DATA = MIB, 3 * MIB, 4 * MIB
LOG_GUID = bytes(range(1, 17))


def run(*command, status=0):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=allow(60))
    assert done.returncode == status, (command, done.returncode, done.stdout)
    return done.stdout


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def entry(sequence, tail, changes, file_size):
    """changes: (offset, 4096 bytes), or (offset, how many zeroes)."""
    head, sectors = b'', b''
    for offset, change in changes:
        if isinstance(change, int):
            head += struct.pack('<4sIQQQ', b'zero', 0, change, offset, sequence)
        else:
            head += struct.pack('<4s4s8sQQ', b'desc', change[-4:], change[:8], offset, sequence)
            sectors += struct.pack('<4sI4084sI', b'data', sequence >> 32, change[8:-4], sequence & 0xffffffff)
    length = (64 + len(head) + 4095) // 4096 * 4096
    body = struct.pack('<IIQII16sQQ', length + len(sectors), tail, sequence, len(changes), 0, LOG_GUID,
                       file_size, file_size)
    data = bytearray((b'loge\0\0\0\0' + body + head).ljust(length, b'\0') + sectors)
    struct.pack_into('<I', data, 4, crc32c(data))
    return bytes(data)


def put(image, offset, data):
    with open(image, 'r+b') as file:
        file.seek(offset)
        file.write(data)


def get(image, offset, size):
    with open(image, 'rb') as file:
        file.seek(offset)
        return file.read(size)


def put_log(image, pieces, guid=LOG_GUID):
    """pieces: (offset in the log, bytes), which may go around its end."""
    for offset, data in pieces:
        first = min(len(data), MIB - offset)
        put(image, LOG + offset, data[:first])
        put(image, LOG, data[first:])
    header = bytearray(get(image, 128 * 1024, 4096))  # the second one is the newer
    header[48:64] = guid
    header[4:8] = bytes(4)
    struct.pack_into('<Q', header, 8, struct.unpack_from('<Q', header, 8)[0] + 10)
    struct.pack_into('<I', header, 4, crc32c(header))
    put(image, 128 * 1024, bytes(header))


def make():
    """Two blocks of which the first is there, with ones; the log gives the second a place, with twos."""
    run(IMG, 'create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', 'x.vhdx', '2M')
    run(IO, 'x.vhdx', '-c', 'write -P 1 0 1M')
    with open('x.vhdx', 'r+b') as file:
        file.truncate(DATA + 2 * MIB)
    bat = bytearray(get('x.vhdx', BAT, 4096))
    assert struct.unpack_from('<Q', bat)[0] == DATA | 6, 'the layout of new images'
    struct.pack_into('<Q', bat, 8, (DATA + MIB) | 6)
    # Which header is the newer one: put_log changes the second.
    run(IO, 'x.vhdx', '-c', 'write -P 1 0 512')
    if struct.unpack('<Q', get('x.vhdx', 64 * 1024 + 8, 8)) > struct.unpack('<Q', get('x.vhdx', 128 * 1024 + 8, 8)):
        run(IO, 'x.vhdx', '-c', 'write -P 1 0 512')
    return bytes(bat)


def expect(reads, qemu=QEMU):
    """In memory first, the file untouched; then by QEMU, from the same; then replayed by a writer."""
    with open('x.vhdx', 'rb') as file:
        before = file.read()
    run(IO, '-r', 'x.vhdx', *[a for r in reads for a in ('-c', r)])
    run(IMG, 'convert', '-O', 'raw', 'x.vhdx', 'memory.raw')
    assert json.loads(run(IMG, 'info', '--output=json', 'x.vhdx'))['dirty-flag']
    with open('x.vhdx', 'rb') as file:
        assert file.read() == before
    if qemu:
        shutil.copy('x.vhdx', 'q.vhdx')
        run(*qemu, 'check', '-q', '-r', 'all', 'q.vhdx')
        run(*qemu, 'compare', '-f', 'vhdx', '-F', 'raw', 'q.vhdx', 'memory.raw')
    run(IO, 'x.vhdx', *[a for r in reads for a in ('-c', r)])
    assert not json.loads(run(IMG, 'info', '--output=json', 'x.vhdx'))['dirty-flag']
    run(IMG, 'compare', '-f', 'vhdx', '-F', 'raw', 'x.vhdx', 'memory.raw')
    run(IO, 'x.vhdx', '-c', 'write -P 7 1M 64k', '-c', 'read -P 7 1M 64k')
    for program in [[IMG]] + ([QEMU] if QEMU else []):
        run(*program, 'check', 'x.vhdx')


def sequences():
    size = DATA + 2 * MIB
    twos, threes = b'\2' * 4096, b'\3' * 4096
    bat = make()
    one = entry(5, 0, [(BAT, bat), (DATA + MIB, twos), (DATA, 8192)], size)
    put_log('x.vhdx', [(0, one)])
    reads = ['read -P 2 1M 4k', 'read -P 0 0 8k', 'read -P 1 8k 1016k']
    expect(reads + ['read -P 0 1028k 1020k'])
    # Several, around the end of the log; an older sequence, and one that is damaged, do not count.
    # (QEMU 11.1 takes what it finds at the log's start, although its tail is not there.)
    bat = make()
    start = MIB - 8192
    first = entry(100, start, [(BAT, bat), (DATA + MIB, twos)], size)
    at = (start + len(first)) % MIB
    second = entry(101, start, [(DATA + MIB, threes), (DATA, 4096)], size)
    broken = bytearray(entry(102, start, [(DATA, twos)], size))
    broken[100] ^= 1
    stale = entry(40, 65536, [(DATA, twos)], size)
    put_log('x.vhdx', [(start, first), (at, second), (at + len(second), bytes(broken)), (65536, stale)])
    expect(['read -P 3 1M 4k', 'read -P 0 0 4k', 'read -P 1 4k 4k'], qemu=None)
    # The newest entry needs none of the older ones. (QEMU 11.1 takes them all the same.)
    bat = make()
    put_log('x.vhdx', [(0, first), (len(first), entry(101, len(first), [(BAT, bat)], size))])
    expect(['read -P 0 1M 1M', 'read -P 1 0 1M'], qemu=None)


def damaged():
    size = DATA + 2 * MIB
    make()
    put_log('x.vhdx', [(0, entry(5, 0, [(DATA, 4096)], size + MIB))])
    assert 'cut off' in run(IMG, 'info', 'x.vhdx', status=1)
    make()
    put_log('x.vhdx', [(0, entry(5, 4096, [(DATA, 4096)], size))])  # a tail that is no entry: no log
    run(IO, 'x.vhdx', '-c', 'read -P 1 0 1M')
    # A log full of entries that are as long as it is, and wrong.
    make()
    wrong = bytearray(entry(5, 0, [(DATA, 4096)], size))
    struct.pack_into('<I', wrong, 8, MIB)
    put_log('x.vhdx', [(i, bytes(wrong)) for i in range(0, MIB, 4096)])
    run(IO, 'x.vhdx', '-c', 'read -P 1 0 1M')


def main():
    with tempfile.TemporaryDirectory(prefix='kaso-vhdx-') as folder:
        os.chdir(folder)
        sequences()
        damaged()
        for text, options in (('block_size', 'block_size=3M'), ('at most 64 TiB', 'size=65T'), ('larger block_size',
                              'block_size=1M,size=64T')):
            assert text in run(IMG, 'create', '-f', 'vhdx', '-o', options, 'y.vhdx',
                               *([] if 'size=6' in options else ['1M']), status=1)
        os.chdir('/')


main()
