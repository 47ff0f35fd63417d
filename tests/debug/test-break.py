#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breakpoints, watchpoints and moves from the monitor, on a boot sector that goes to long mode; then, where a kernel is
given, by name from before it is there.

test-break.py KASO COMPILER SOURCE [KERNEL INITRD]
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from machine import Kaso, build_modes, target


def symbols(elf):
    text = subprocess.run(['nm', elf], check=True, capture_output=True, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


def expect(kaso, line, pattern=None, told=None):
    """Runs a line whose answer has to match; told: what the monitor says when the machine has stopped."""
    text = kaso.hmp(line)
    if told:
        # Both may have come at once.
        if not text:
            text = kaso.told()
        pattern = told
    assert re.search(pattern if pattern is not None else r'\A\Z', text), f'{line}: {pattern!r} is not in {text!r}'
    return text


def hits(kaso, number):
    # What the machine tells by itself may come before the answer, with a prompt of its own.
    text = kaso.hmp('info breakpoints')
    while not re.search(r'hits \d+', text):
        text += kaso.told()
    return int(re.search(rf'^{number} .*hits (\d+)', text, re.M).group(1))


def counter(kaso, at):
    return int(kaso.hmp(f'xp/1xg {at["counter"]:#x}').split(':')[1], 16)


def cpu_seconds(kaso):
    """What the thread of the first CPU has used."""
    thread = re.search(r'thread_id=(\d+)', kaso.hmp('info cpus')).group(1)
    with open(f'/proc/{kaso.process.pid}/task/{thread}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def check_bad_input(kaso):
    for line, pattern in (
            ('break', 'needs the argument'), ('break 1 +', 'missing'), ('break 0x1000 if $nonsense', 'no register'),
            ('break 0x1000 if', ''), ('break 0x1000 if (1', 'missing'), ('break 0x1000 cpu x', 'no number'),
            ('watch 0x1000 size 0', 'LOCATION'), ('break 0x1000 if 1 1', 'does not belong'),
            ('delete 77', 'no breakpoint 77'), ('condition 77 1', 'no breakpoint'), ('stepi 0', 'at least one'),
            ('break 0x1000 if ' + '(' * 5000, 'too long'), ('break 0x1000 if ' + '1+' * 5000 + '1', 'too long')):
        expect(kaso, line, 'Error: .*' + pattern if pattern else '')
    kaso.hmp('delete')


def check_places(kaso, at):
    expect(kaso, f'break {at["real"]:#x}', f'at {at["real"]:#x}')
    expect(kaso, f'tbreak -p {at["protected"]:#x}', 'physical')
    expect(kaso, f'break {at["long_mode"]:#x} if $cr0 >> 31 && $cs == 24 && $sp == $rsp', 'at')
    expect(kaso, 'cont', told=f'cpu0 at {at["real"]:#x}')
    expect(kaso, 'stepi', told=r'cpu0 at 0x7c')
    expect(kaso, 'cont', told=f'cpu0 at {at["protected"]:#x}')
    assert 'once' not in kaso.hmp('info breakpoints')
    expect(kaso, 'cont', told=f'cpu0 at {at["long_mode"]:#x}')
    kaso.hmp('delete')


def check_watches(kaso, at):
    counter = at['counter']
    expect(kaso, f'watch {counter:#x}', 'write watchpoint')
    expect(kaso, 'cont', told=r'written: 0x2 -> 0x3')
    expect(kaso, 'cont', told=r'written: 0x3 -> 0x4')
    kaso.hmp('delete')
    expect(kaso, f'watch {counter:#x} size 4 if value == 0x30 && old == 0x2f', 'write')
    expect(kaso, 'cont', told=r'0x2f -> 0x30')
    kaso.hmp('delete')
    expect(kaso, f'rwatch -p {counter + 1:#x} size 1', 'read watchpoint')
    expect(kaso, 'cont', told=r'was read')
    kaso.hmp('delete')


def check_moves(kaso, at):
    expect(kaso, f'until {at["step1"]:#x}', told=f'at {at["step1"]:#x}')
    expect(kaso, 'nexti', told=f'at {at["step2"]:#x}')
    expect(kaso, 'nexti 3', told=f'at {at["step2"]:#x}')
    expect(kaso, 'stepi 3', told=f'at {at["inner"]:#x}')
    expect(kaso, 'finish', told=f'at {at["step2"]:#x}')
    expect(kaso, 'stepi 500000', told='cpu0 at')


def check_commands(kaso, at):
    expect(kaso, f'break {at["loop"]:#x} do silent; info registers; cont', 'breakpoint')
    number = int(re.search(r'^(\d+)', kaso.hmp('info breakpoints'), re.M).group(1))
    kaso.hmp(f'commands {number} silent; cont')
    kaso.hmp('cont')
    time.sleep(0.5)
    kaso.hmp('stop')
    seen = hits(kaso, number)
    assert seen > 10, seen
    # Conditions are judged where the CPU is: far more than 5000 a second of its time.
    kaso.hmp(f'condition {number} *(u64 *){at["counter"]:#x} == 0x12345678')
    before, start = counter(kaso, at), cpu_seconds(kaso)
    kaso.hmp('cont')
    time.sleep(0.5)
    kaso.hmp('stop')
    rate = (counter(kaso, at) - before) / max(cpu_seconds(kaso) - start, 0.01)
    print(f'{rate:.0f} conditional breakpoints a second of CPU time')
    assert rate > 5000
    kaso.hmp(f'commands {number}')
    kaso.hmp(f'condition {number}')
    kaso.hmp(f'ignore {number} 1000')
    before = hits(kaso, number)
    expect(kaso, 'cont', told='cpu0 at')
    assert hits(kaso, number) == before + 1001
    kaso.hmp(f'disable {number}')
    kaso.hmp('cont')
    time.sleep(0.1)
    assert 'running' in kaso.hmp('info status')
    text = kaso.hmp(f'enable {number}')  # while it runs; both may come at once
    assert 'cpu0 at' in text or 'cpu0 at' in kaso.told()
    # A reset loads the code anew: the breakpoint is still there.
    kaso.hmp('delete')
    expect(kaso, f'break {at["real"]:#x}', 'at')
    kaso.hmp('system_reset')
    time.sleep(0.2)
    expect(kaso, 'cont', told=f'cpu0 at {at["real"]:#x}')


def check_events(kaso, at):
    for line, pattern in (('break on nonsense', 'no event'),
                          ('break on reset 5', 'does not belong'), ('break on port 1 2 3', 'does not belong'),
                          ('break on mode x y', 'does not belong')):
        expect(kaso, line, 'Error: .*(' + pattern + ')')
    kaso.hmp('system_reset')
    time.sleep(0.2)
    kaso.hmp('stop')
    expect(kaso, 'until on port 0x70 write', told=r'port 0x70 <- 0x[0-9a-f]+, cpu0 at')
    expect(kaso, f'until {at["real"]:#x}', told='cpu0 at')
    expect(kaso, 'until on mode protected', told='mode protected, cpu0 at 0x7c')
    expect(kaso, 'until on register cr3', told=r'register cr3 <- 0x1000, cpu0 at 0x7c')
    expect(kaso, 'until on register efer if value & 0x100', told='register efer <- 0x100, cpu0 at 0x7c')
    expect(kaso, 'until on paging', told='paging 0x1000, cpu0 at 0x7c')
    expect(kaso, 'until on mode long', told='mode long, cpu0 at')
    # A page fault: the next one, and that there is no handler for it.
    kaso.hmp('delete')
    expect(kaso, 'break on exception pf', 'event')
    expect(kaso, 'break on triple-fault', 'event')
    kaso.hmp(f'gdbserver none')
    expect(kaso, 'info breakpoints', 'event at on exception pf, hits 0')
    kaso.hmp('delete')
    expect(kaso, 'break on reset', 'event')
    kaso.hmp('cont')
    text = kaso.hmp('system_reset')
    assert 'reset' in (text or kaso.told())
    kaso.hmp('delete')


def check_kernel(program, kernel, initrd):
    """A name of a kernel that has KASLR, from -S; a variable; all CPUs at their own places."""
    with Kaso(target(program, 'aarch64'), '-M', 'virt', '-cpu', 'max', '-smp', '2', '-kernel', kernel, '-initrd', initrd,
              '-append', 'console=ttyAMA0', '-serial', 'null') as kaso:
        expect(kaso, 'break start_kernel', 'breakpoint 1 at')
        expect(kaso, 'cont', told=r'Breakpoint 1, cpu0 at 0xffff[0-9a-f]+ start_kernel\n')
        expect(kaso, 'nexti 10', told=r'cpu0 at 0xffff[0-9a-f]+ start_kernel\+')
        expect(kaso, 'tbreak secondary_start_kernel', 'at')
        expect(kaso, 'cont', told=r'cpu1 at 0xffff[0-9a-f]+ secondary_start_kernel')
        # What is asked next is about the CPU that stopped.
        expect(kaso, 'bt', r'CPU #1, .*\n#0 .* secondary_start_kernel')
        expect(kaso, 'info cpus', r'\* CPU #1')
        expect(kaso, 'nexti', told=r'cpu1 at 0xffff')
        expect(kaso, 'watch jiffies_64 if value % 4 == 0', 'write')
        expect(kaso, 'cont', told=r'-> 0x[0-9a-f]*[048c]\n')
        expect(kaso, 'delete', '')
        # Before there are programs, which another CPU may go on with.
        for _ in range(5):
            expect(kaso, 'until on interrupt irq cpu 1', told=r'interrupt irq .*cpu1 at')
            interrupted = re.search(r'#1 +([0-9a-f]+)', kaso.hmp('bt')).group(1)
            expect(kaso, 'finish', told=f'cpu1 at 0x{interrupted}')
        kaso.hmp('system_reset')
        expect(kaso, 'until on psci 0xc4000003', told=r'psci 0xc4000003')
        expect(kaso, 'until on pl011.UARTCR write if value & 1', told=r'pl011.UARTCR <- 0x[0-9a-f]*[13579bdf], cpu\d at')
        # Those that translated code keeps in registers, too.
        expect(kaso, 'until on register tpidr_el1 read', told=r'register tpidr_el1 -> [0-9a-fx]+, cpu\d at 0xffff')
        expect(kaso, 'until on register daif', told=r'register daif <- [0-9a-fx]+, cpu\d at 0xffff')
        expect(kaso, 'until on register tpidr_el0', told=r'register tpidr_el0 <- [0-9a-fx]+, cpu\d at')
        expect(kaso, 'until on exception svc', told=r'exception svc 0x15 .*cpu\d at')
        expect(kaso, 'wait-for -s -t 60 on interrupt irq cpu 0', r'Reached: interrupt irq .*cpu0 at')
        expect(kaso, 'info cpus', r'\* CPU #0')


def check_later(program, folder):
    """A name of a kernel that has to decompress itself first, and moves to a random place."""
    with Kaso(target(program, 'x86_64'), '-M', 'pc', '-cpu', 'max', '-kernel', os.path.join(folder, 'linux'), '-initrd',
              os.path.join(folder, 'initrd.gz'), '-append', 'console=ttyS0', '-serial', 'null') as kaso:
        expect(kaso, 'break start_kernel', 'not known yet')
        kaso.hmp('cont')
        text = kaso.told()
        assert re.search(r'Breakpoint 1, cpu0 at 0xffffffff[0-9a-f]+ start_kernel\n', text), text
        # Out of an interrupt, and over entry code that saves registers on the stack in a function that it calls.
        expect(kaso, 'until asm_sysvec_apic_timer_interrupt', told='cpu0 at')
        number = int(re.search(r'#1 +([0-9a-f]+)', kaso.hmp('bt')).group(1), 16)
        expect(kaso, 'nexti 4', told=r'cpu0 at 0x[0-9a-f]+ asm_sysvec_apic_timer_interrupt')
        nameless = re.findall(r'^#\d+ +[0-9a-f]+ *$', kaso.hmp('bt'), re.M)
        assert not nameless, nameless  # what lies on the stack instead of an interrupt's frame
        expect(kaso, 'finish', told=rf'cpu0 at {number:#x}')


def main():
    program, compiler, source = sys.argv[1:4]
    if len(sys.argv) > 4:
        if not os.path.exists(sys.argv[4]):
            print('skipped: there is no kernel; scripts/dev makes it')
            sys.exit(77)
        check_kernel(program, *sys.argv[4:])
        if os.path.exists(os.path.join(os.path.dirname(sys.argv[4]), 'amd64/linux')):
            check_later(program, os.path.join(os.path.dirname(sys.argv[4]), 'amd64'))
        return
    with tempfile.TemporaryDirectory() as folder:
        elf, image = build_modes(compiler, source, folder)
        with Kaso(target(program, 'x86_64'), '-M', 'pc', '-drive', f'file={image},format=raw,if=floppy',
                  '-boot', 'a') as kaso:
            at = symbols(elf)
            check_bad_input(kaso)
            check_places(kaso, at)
            check_watches(kaso, at)
            check_moves(kaso, at)
            check_commands(kaso, at)
            check_events(kaso, at)
    print('ok')


main()
