#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""-seed: what a guest gets as random is the same with the same number, and another with another.
Usage: test-seed.py FOLDER (that holds kaso's links)."""
import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

FOLDER = os.path.abspath(sys.argv[1])
# Eight bytes of RDRAND and eight of RDSEED to port 0xe9, then the end by isa-debug-exit.
PROGRAM = bytes.fromhex('ba e9 00  b9 08 00  66 0f c7 f0  ee  e2 f9  b9 08 00  66 0f c7 f8  ee  e2 f9  ba 01 05  ee  f4')


def run(target, *arguments):
    return subprocess.run([os.path.join(FOLDER, f'kaso-system-{target}'), '-display', 'none', '-nodefaults', *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(60), check=False)


def content(path):
    with open(path, 'rb') as file:
        return file.read()


def of_pc(folder, *arguments):
    """What the instructions gave."""
    firmware, out = os.path.join(folder, 'firmware'), os.path.join(folder, 'out')
    with open(firmware, 'wb') as file:
        start = b'\xe9' + (-0xf3 & 0xffff).to_bytes(2, 'little')  # to 0xff00
        file.write(bytes(0xff00) + PROGRAM.ljust(0xf0, b'\xf4') + start.ljust(16, b'\xf4'))
    done = run('x86_64', '-M', 'pc', '-cpu', 'max', '-bios', firmware, '-debugcon', f'file:{out}', '-device', 'isa-debug-exit', *arguments)
    assert done.returncode & 1, (done.returncode, done.stderr)
    return content(out)


def of_virt(folder, *arguments):
    """The device tree, which has seeds."""
    out = os.path.join(folder, 'tree')
    done = run('aarch64', '-M', f'virt,dumpdtb={out}', *arguments)
    assert done.returncode == 0, done.stderr
    return content(out)


with tempfile.TemporaryDirectory() as scratch:
    for get in of_pc, of_virt:
        first = get(scratch, '-seed', '0x10')
        assert len(first) >= 16 and len(set(first)) > 8, first
        assert get(scratch, '-seed', '16') == first, get
        assert get(scratch, '-seed', '17') != first, get
        assert get(scratch) != get(scratch), get
for text in '', 'x', '-1', '5x', '99999999999999999999':
    refused = run('x86_64', '-M', 'pc', '-seed', text)
    assert refused.returncode == 1 and 'give a number of 64 bits' in refused.stderr, (text, refused.stderr)
