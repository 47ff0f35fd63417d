#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gdb-multiarch on a Linux kernel with two CPUs and KASLR: from the reset vector to user space.

test-gdb-kernel.py KASO FOLDER BOARD
"""
import os
import re
import sys
import time

from machine import Gdb, Kaso, need, target

BOARDS = {
    'virt': ('aarch64', ['-M', 'virt', '-cpu', 'max'], 'console=ttyAMA0', 'svc'),
    'pc': ('x86_64', ['-M', 'pc', '-cpu', 'max'], 'console=ttyS0', None),
}


def address(gdb, name):
    """Where the kernel has a symbol, as the monitor finds it."""
    text = gdb.call(f'monitor print /x &{name}')
    match = re.search(r'0x[0-9a-f]+', text)
    assert match, f'{name}: {text}'
    return int(match.group(), 16)


def follow(gdb, exception):
    gdb.expect('monitor tbreak start_kernel', 'breakpoint')
    gdb.expect('continue', 'SIGTRAP', timeout=90)
    start = address(gdb, 'start_kernel')
    assert gdb.value('$pc') & (1 << 64) - 1 == start, hex(gdb.value('$pc'))
    gdb.call('stepi')
    assert gdb.value('$pc') & (1 << 64) - 1 != start
    threads = gdb.call('info threads')
    assert 'CPU#0' in threads and 'CPU#1' in threads, threads
    # A variable, then a function that all CPUs call.
    gdb.call(f'watch *(unsigned long *){address(gdb, "jiffies"):#x}')
    gdb.expect('continue', r'New value = \d+', timeout=90)
    gdb.call('delete')
    gdb.call(f'break *{address(gdb, "schedule"):#x}')
    gdb.expect('continue', 'Breakpoint', timeout=90)
    assert gdb.value('$pc') & (1 << 64) - 1 == address(gdb, 'schedule')
    gdb.call('delete')


def visit_user_space(gdb, exception):
    """Stops at the first system call, and steps in the kernel's entry; then Ctrl-C, wherever that is."""
    if exception:
        gdb.expect(f'monitor tbreak on exception {exception}', 'event')
        gdb.expect('continue', 'SIGTRAP', timeout=90)
        before = gdb.value('$pc')
        gdb.call('stepi')
        assert gdb.value('$pc') != before
        assert gdb.value('($cpsr >> 2) & 3') == 1
        assert gdb.value('($spsr_el1 >> 2) & 3') == 0
    for _ in range(3):
        gdb.send('continue')
        text = gdb.interrupt(60)
        assert 'SIGINT' in text, text
    gdb.expect('thread 2', 'Switching to thread 2')
    gdb.expect('info registers pc' if exception else 'info registers rip', '0x')


def main():
    program, folder, board = sys.argv[1:]
    name, options, append, exception = BOARDS[board]
    gdb_program = need('gdb-multiarch')
    kernel = os.path.join(folder, 'linux')
    if not os.path.exists(kernel):
        print('skipped: there is no kernel; scripts/dev makes it')
        sys.exit(77)
    with Kaso(target(program, name), *options, '-smp', '2', '-kernel', kernel, '-initrd', os.path.join(folder, 'initrd.gz'),
              '-append', append, '-serial', 'null') as kaso:
        with Gdb(gdb_program, kaso) as gdb:
            follow(gdb, exception)
            visit_user_space(gdb, exception)
            gdb.expect('detach', 'detached')
        time.sleep(0.2)
        assert 'running' in kaso.hmp('info status')
    print('ok')


main()
