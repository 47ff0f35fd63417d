#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compressed clusters of qcow2: what is written compressed reads back, here and with QEMU.

usage: qcow2-compressed.py KASO_IMG KASO_IO
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

SIZE = 5 * 1024 * 1024 + 1536


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or 'failed' in done.stdout:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def make_content(path):
    """Runs of zeroes, text and noise of odd lengths: batches of clusters are of all kinds."""
    rand = random.Random(2)
    content = bytearray(SIZE)
    at = 0
    while at < SIZE:
        length = min(rand.choice((700, 5000, 70000, 300000)), SIZE - at)
        kind = rand.randrange(3)
        if kind == 1:
            content[at:at + length] = (b'line %d of text\n' % at * length)[:length]
        elif kind == 2:
            content[at:at + length] = rand.randbytes(length)
        at += length
    with open(path, 'wb') as out:
        out.write(content)


def converts(img, folder, qemu):
    raw, image, back = (os.path.join(folder, n) for n in ('raw', 'image.qcow2', 'back'))
    make_content(raw)
    for kind in ('zlib', 'zstd'):
        for cluster in ('512', '4k', '64k', '2M'):
            run(img, 'convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o',
                'cluster_size=%s,compression_type=%s' % (cluster, kind), raw, image)
            run(img, 'check', image)
            run(img, 'compare', raw, image)
            run(img, 'convert', '-f', 'qcow2', '-O', 'raw', image, back)
            run('cmp', raw, back)
            if qemu:
                run(qemu, 'check', image)
                run(qemu, 'compare', '-f', 'raw', '-F', 'qcow2', raw, image)
            print('ok', kind, cluster)


def freed_cluster_is_not_filled_up(img, io, folder):
    """The host cluster that compressed data were to be appended to is freed and used again."""
    image = os.path.join(folder, 'reused.qcow2')
    run(img, 'create', '-q', '-f', 'qcow2', image, '64M')
    run(io, '-f', 'qcow2', '-c', 'write -c -P 1 0 64k', '-c', 'flush', '-c', 'write -P 2 0 64k',
        '-c', 'flush', '-c', 'write -P 3 1M 64k', '-c', 'flush', '-c', 'write -P 5 1280k 64k',
        '-c', 'flush', '-c', 'write -c -P 4 2M 64k', '-c', 'read -P 3 1M 64k',
        '-c', 'read -P 5 1280k 64k', '-c', 'read -P 4 2M 64k', image)
    run(img, 'check', image)
    print('ok reused cluster')


def main():
    img, io = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='kaso-compressed-') as folder:
        converts(img, folder, shutil.which('qemu-img'))
        freed_cluster_is_not_filled_up(img, io, folder)


main()
