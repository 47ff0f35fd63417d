#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Semihosting: a bare program that asks for all of it; one that asks while it is off.

test-semihosting.py KASO SOURCE
"""
import os
import subprocess
import sys
import tempfile
import threading
import time

from machine import need, target
from patience import allow


def read_slowly(fifo, sizes):
    with open(fifo, 'rb') as file:
        time.sleep(0.3)
        sizes.append(len(file.read()))


def run(kaso, elf, *options, typed=b''):
    """Its status and outputs; whoever ends well has written a mebibyte into the pipe."""
    fifo, sizes = elf + '-pipe', []
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    kept = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    reader = threading.Thread(target=read_slowly, args=(fifo, sizes))
    reader.start()
    done = subprocess.run([target(kaso, 'aarch64'), '-M', 'virt', '-cpu', 'cortex-a57', '-m', '64', '-display', 'none', '-nodefaults',
                           '-action', 'silence=off', '-kernel', elf, *options], input=typed, capture_output=True, timeout=allow(100), check=False)
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))  # one who still waits for a writer ends
    reader.join()
    os.close(kept)
    assert done.returncode != 42 or sizes == [1 << 20], sizes
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors='replace')


def main():
    kaso, source = sys.argv[1:]
    compiler = need('aarch64-linux-gnu-gcc')
    with tempfile.TemporaryDirectory() as folder:
        elf, name = os.path.join(folder, 'program'), os.path.join(folder, 'file')
        subprocess.run([compiler, '-nostdlib', '-static', '-no-pie', '-Wl,-N,--build-id=none,-Ttext=0x40080000,--no-warn-rwx-segments', f'-DNAME="{name}"', f'-DPIPE="{elf}-pipe"', '-o', elf,
                        source], check=True)
        status, out, error = run(kaso, elf, '-append', 'one two', '-chardev', 'stdio,id=c', '-semihosting-config',
                                 'enable=on,target=native,chardev=c', typed=b'!')
        assert status == 42 and out == f'hello, host\n{elf} one two!' and not error, (status, out, error)
        with open(name, encoding='ascii') as file:
            assert file.read() == 'hello,'
        # Without a console: standard error, and nothing is ever typed.
        status, out, error = run(kaso, elf, '-semihosting-config', 'arg=a,arg=b c')
        assert status == 42 and out == '' and error.startswith('hello, host\na b c'), (status, out, error)
        status, out, error = run(kaso, elf, '-semihosting')
        assert status == 42 and 'hello, host' in error, (status, out, error)
        # Off: an undefined instruction, which the program does not handle.
        os.unlink(name)
        process = subprocess.Popen([target(kaso, 'aarch64'), '-M', 'virt', '-m', '64', '-display', 'none', '-nodefaults', '-kernel', elf],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            process.wait(2)
            raise AssertionError(process.stdout.read())
        except subprocess.TimeoutExpired:
            process.terminate()
        assert b'hello, host' not in process.communicate()[0] and not os.path.exists(name)
        for options, words in ((['-semihosting-config', 'enable=maybe'], 'maybe'), (['-semihosting-config', 'target=gdb'], 'gdb'),
                               (['-semihosting-config', 'chardev=none'], "'none'"), (['-semihosting-config', 'nonsense=1'], 'nonsense')):
            status, out, error = run(kaso, elf, *options)
            assert status == 1 and words in error, (options, status, error)
        done = subprocess.run([target(kaso, 'x86_64'), '-M', 'pc', '-semihosting', '-display', 'none'], capture_output=True, timeout=allow(100),
                              stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 1 and b'Arm' in done.stderr, done


main()
