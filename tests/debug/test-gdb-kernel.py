#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gdb-multiarch on a Linux kernel with two CPUs and KASLR: from the reset vector to user space.

test-gdb-kernel.py KASO FOLDER BOARD
"""
import os
import re
import sys
import tempfile
import time

from machine import Gdb, Kaso, need, target
from patience import allow

BOARDS = {
    'virt': ('aarch64', ['-M', 'virt', '-cpu', 'max'], 'console=ttyAMA0', 'svc'),
    'pc': ('x86_64', ['-M', 'pc', '-cpu', 'max', '-m', '512'], 'console=ttyS0', None),
}
SHELL = ' rdinit=/bin/sh'


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


def in_user_space(gdb, exception):
    return gdb.value('($cpsr >> 2) & 3') == 0 if exception else gdb.value('$cs & 3') == 3


def step_into_system_call(gdb, exception):
    if exception:
        # Behind the instruction, in the kernel's entry.
        gdb.expect(f'monitor tbreak on exception {exception}', 'event')
        gdb.expect('continue', 'SIGTRAP', timeout=90)
        before = gdb.value('$pc')
        gdb.call('stepi')
        assert gdb.value('$pc') != before
        assert gdb.value('($cpsr >> 2) & 3') == 1
        assert gdb.value('($SPSR_EL1 >> 2) & 3') == 0
        return
    # A place that calls again and again: before the instruction, and into the kernel by a step.
    entry = address(gdb, 'entry_SYSCALL_64')
    gdb.call(f'break *{entry:#x}')
    places = []
    while not places or places.count(places[-1]) < 2:
        assert len(places) < 100, places
        gdb.expect('continue', 'Breakpoint', timeout=90)
        places.append(gdb.value('$rcx') - 2)
    place = places[-1]
    gdb.call('delete')
    gdb.call(f'break *{place:#x}')
    gdb.expect('continue', 'Breakpoint', timeout=90)
    assert gdb.value('$pc') == place and in_user_space(gdb, exception)
    gdb.call('delete')
    gdb.call('stepi')
    assert gdb.value('$pc') & (1 << 64) - 1 == entry and not in_user_space(gdb, exception)


def interrupt(gdb):
    gdb.send('continue')
    text = gdb.interrupt(60)
    assert 'SIGINT' in text, text


def interrupt_user_space(gdb, kaso, path, exception):
    """A shell that loops by itself: Ctrl-C finds a CPU in it."""
    serial = kaso.connect(path, 60)
    serial.setblocking(False)
    deadline = time.monotonic() + allow(120)
    seen = b''
    while b'# ' not in seen:
        # The guest runs between two stops.
        assert time.monotonic() < deadline, seen
        interrupt(gdb)
        try:
            serial.sendall(b'\n')
            seen += serial.recv(65536)
        except BlockingIOError:
            pass
    serial.sendall(b'while :; do :; done\n')
    while time.monotonic() < deadline:
        interrupt(gdb)
        for thread in 1, 2:
            gdb.expect(f'thread {thread}', f'Switching to thread {thread}')
            if in_user_space(gdb, exception):
                gdb.expect('x/i $pc', '=> 0x')
                return
    raise AssertionError('no CPU was found in user space')


def main():
    program, folder, board = sys.argv[1:]
    name, options, append, exception = BOARDS[board]
    gdb_program = need('gdb-multiarch')
    kernel = os.path.join(folder, 'linux')
    if not os.path.exists(kernel):
        print('skipped: there is no kernel; scripts/dev makes it')
        sys.exit(77)
    with tempfile.TemporaryDirectory() as sockets, \
            Kaso(target(program, name), *options, '-smp', '2', '-kernel', kernel, '-initrd', os.path.join(folder, 'initrd.gz'),
                 '-append', append + SHELL, '-serial', f'unix:{sockets}/serial,server=on,wait=off') as kaso:
        with Gdb(gdb_program, kaso) as gdb:
            follow(gdb, exception)
            step_into_system_call(gdb, exception)
            interrupt_user_space(gdb, kaso, f'{sockets}/serial', exception)
            gdb.expect('detach', 'detached')
        time.sleep(0.2)
        assert 'running' in kaso.hmp('info status')
    print('ok')


main()
