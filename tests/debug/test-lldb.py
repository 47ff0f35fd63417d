#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lldb on both targets: connects, reads, breaks, steps, detaches.

test-lldb.py KASO COMPILER SOURCE
"""
import re
import subprocess
import sys
import tempfile

from machine import Kaso, build_modes, need, target
from patience import allow


def run(lldb, kaso, *commands):
    arguments = [lldb, '--batch', '-o', f'process connect unix-connect://{kaso.gdb_socket}']
    for command in commands:
        arguments += ['-o', command]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=allow(100), text=True)
    return result.stdout


def check(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text), f'{pattern!r} is not in: {text}'


def main():
    program, compiler, source = sys.argv[1:]
    lldb = need('lldb', 'lldb-14')
    with Kaso(target(program, 'aarch64'), '-M', 'virt', '-cpu', 'max', '-smp', '2') as kaso:
        text = run(lldb, kaso, 'thread list', 'register read x0 sp pc cpsr', 'memory read 0x40000000 0x40000010',
                   'thread step-inst', 'register read pc', 'register write x3 0x1234', 'register read x3',
                   'process detach')
        check(text, r'thread #2', r'cpsr = 0x000003c5', r'0x40000000: d0 0d fe ed', r'pc = 0x0000000000000200',
              r'x3 = 0x0000000000001234', 'Process 1 detached')
        assert 'running' in kaso.hmp('info status')
    with tempfile.TemporaryDirectory() as folder:
        _, image = build_modes(compiler, source, folder)
        with Kaso(target(program, 'x86_64'), '-M', 'pc', '-drive', f'file={image},format=raw,if=floppy',
                  '-boot', 'a') as kaso:
            text = run(lldb, kaso, 'breakpoint set -a 0x7c00', 'continue', 'register read rip',
                       'memory read 0x7dfe 0x7e00', 'process detach')
            check(text, r'stop reason = breakpoint 1', r'rip = 0x0000000000007c00', r'0x00007dfe: 55 aa',
                  'Process 1 detached')
    print('ok')


main()
