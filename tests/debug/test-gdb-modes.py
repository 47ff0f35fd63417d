#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gdb-multiarch follows a boot sector from real mode to long mode, with one connection and one description.

test-gdb-modes.py KASO COMPILER SOURCE
"""
import sys
import tempfile

from machine import Gdb, Kaso, build_modes, need, target
from patience import allow


def follow(gdb):
    gdb.expect('info registers rip', '0xfffffff0')
    for place in ('real', 'protected', 'long_mode'):
        gdb.call(f'hbreak *{place}')
    # Real mode: the pc is the linear address, so symbols, disassembly and breakpoints agree.
    gdb.expect('continue', r'Breakpoint 1, .*in real \(\)')
    assert gdb.value('$cs') == 0x7b0
    gdb.expect('p $cr0', r'\[ ET .*\]')
    gdb.expect('info symbol $pc', 'real in section .text')
    gdb.call('watch *(int *)&counter')
    gdb.expect('continue', r'Old value = 0\s+New value = 1')
    # A step into a call, and back out of it.
    gdb.expect('stepi', r'in shout \(\)')
    gdb.expect('stepi', r'in shout \(\)')
    gdb.expect('stepi', r'in real \(\)')
    assert gdb.value('*(int *)&shouted') == 0x11
    gdb.expect('continue', r'Breakpoint 2, .*in protected \(\)')
    gdb.expect('p $cr0', r'\[ PE .*\]')
    assert gdb.value('$eflags & 0x20000') == 0
    gdb.expect('continue', r'Old value = 1\s+New value = 2')
    gdb.expect('continue', r'Breakpoint 3, .*in long_mode \(\)')
    gdb.expect('p $efer', r'LME.*LMA')
    gdb.expect('continue', r'Old value = 2\s+New value = 3')
    assert gdb.value('$r15') == 0x1122334455667788
    gdb.call('delete')


def go_on(gdb):
    """In long mode: software breakpoints, steps over and out of calls, accesses, Ctrl-C, registers that are set."""
    gdb.call('break *step1')
    gdb.expect('continue', r'Breakpoint 5, .*in step1 \(\)')
    gdb.expect('stepi', r'in inner \(\)')
    gdb.call('tbreak *inner')
    gdb.expect('continue', r'in inner \(\)|step1')
    if 'inner' not in gdb.call('info symbol $pc'):
        gdb.expect('continue', r'in inner \(\)')
    before = gdb.value('*(long *)&counter')
    gdb.expect('stepi', 'inner')
    assert gdb.value('$rax') == before
    gdb.call('delete')
    gdb.call('rwatch *(long *)&counter')
    gdb.expect('continue', r'Value = \d+')
    gdb.call('delete')
    gdb.call('awatch *(long *)&counter')
    gdb.expect('continue', r'(Old value|Value) = \d+')
    gdb.call('delete')
    gdb.call('set var *(long *)&counter = 1000000')
    gdb.call('set var $r14 = 0x55aa')
    gdb.call('break *step1 if *(long *)&counter == 1000020')
    gdb.expect('continue', r'Breakpoint \d+, .*in step1 \(\)')
    assert gdb.value('$r14') == 0x55aa
    gdb.call('delete')
    gdb.send('continue')
    text = gdb.interrupt()
    assert 'SIGINT' in text, text
    # 16-bit disassembly is gdb's to choose; the registers stay what they are.
    gdb.call('set architecture i8086')
    gdb.expect('x/1i real', 'mov')
    gdb.call('set architecture i386:x86-64')
    gdb.expect('info registers r15', '0x1122334455667788')


def attach_again(kaso, program, elf):
    with Gdb(program, kaso, elf) as gdb:
        before = gdb.value('*(long *)&counter')
        gdb.call('break *loop')
        gdb.expect('continue', 'Breakpoint 1, ')
        assert gdb.value('*(long *)&counter') >= before
        gdb.expect('monitor info status', 'paused')
        # A reset under the debugger: breakpoints stay, and the sector is loaded over what was there.
        gdb.call('delete')
        gdb.call('hbreak *real')
        gdb.call('monitor system_reset')
        gdb.expect('continue', r'Breakpoint 2, .*in real \(\)')
        gdb.expect('kill', 'killed')
    kaso.process.wait(allow(10))


def main():
    program, compiler, source = sys.argv[1:]
    gdb_program = need('gdb-multiarch')
    with tempfile.TemporaryDirectory() as folder:
        elf, image = build_modes(compiler, source, folder)
        with Kaso(target(program, 'x86_64'), '-M', 'pc', '-drive', f'file={image},format=raw,if=floppy', '-boot', 'a') as kaso:
            with Gdb(gdb_program, kaso, elf) as gdb:
                follow(gdb)
                go_on(gdb)
                gdb.expect('detach', 'detached')
            assert 'running' in kaso.hmp('info status')
            attach_again(kaso, gdb_program, elf)
    print('ok')


main()
