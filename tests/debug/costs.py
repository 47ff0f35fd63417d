#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the debugger costs, on a boot sector that counts in a loop: the code of what is not looked at is the same as without a debugger, and what
is looked at is judged so many times a second of the CPU's time. Only the former is judged here; rates are printed.

costs.py KASO COMPILER SOURCE
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from machine import Kaso, build_modes, target
from patience import allow


def symbols(elf):
    text = subprocess.run(['nm', elf], check=True, capture_output=True, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


def code(program, image, at, lines, log):
    """The instructions that the loop's units are made of, without where they lie."""
    script = '\n'.join(['wait-for -s -t 60 on mode long', *lines, 'wait-for -t 60 on time +100ms', 'quit\n'])
    subprocess.run([*shutil.which('setarch').split(), '-R', target(program, 'x86_64'), '-M', 'pc', '-nodefaults', '-display', 'none',
                    '-drive', f'file={image},format=raw,if=floppy', '-boot', 'a', '-S', '-monitor', 'stdio', '-d', 'out_asm', '-D', log,
                    '-dfilter', f'{at["loop"]:#x}+0x40'], input=script, check=True, capture_output=True, text=True, timeout=allow(120))
    with open(log) as file:
        text = file.read()
    units = set()
    for unit in re.split(r'^OUT: ', text, flags=re.M)[1:]:
        units.add(re.sub(r'^ +[0-9a-f]+:|0x7f[0-9a-f]+|rip \+ 0x[0-9a-f]+', '', unit, flags=re.M))
    assert len(units) >= 3, text
    return units


def cpu_seconds(kaso):
    thread = re.search(r'thread_id=(\d+)', kaso.hmp('info cpus')).group(1)
    with open(f'/proc/{kaso.process.pid}/task/{thread}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def process_seconds(kaso):
    """What all threads have used."""
    with open(f'/proc/{kaso.process.pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def rate(kaso, at, seconds=1.0, clock=cpu_seconds):
    """Rounds of the loop in a second of the CPU's time."""
    def counter():
        return int(kaso.hmp(f'xp/1xg {at["counter"]:#x}').split(':')[1], 16)
    before, start = counter(), clock(kaso)
    kaso.hmp('cont')
    time.sleep(seconds)
    kaso.hmp('stop')
    return (counter() - before) / max(clock(kaso) - start, 0.01)


def best(kaso, at, count=5):
    return max(rate(kaso, at) for _ in range(count))


def main():
    program, compiler, source = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        elf, image = build_modes(compiler, source, folder)
        at = symbols(elf)
        log = os.path.join(folder, 'log')
        if shutil.which('setarch'):
            plain = code(program, image, at, [], log)
            watched = code(program, image, at, ['break 0x500 if 0', 'watch 0x9000', 'break on exception pf', 'break on dma 0x9000..0x9fff',
                                                'break on console /never/', 'break on time +1000s'], log)
            assert watched == plain, (watched - plain, plain - watched)
            print(f'{len(plain)} units of code are the same with breakpoints, watchpoints and events elsewhere')
        with Kaso(target(program, 'x86_64'), '-M', 'pc', '-drive', f'file={image},format=raw,if=floppy', '-boot', 'a') as kaso:
            kaso.hmp(f'until {at["loop"]:#x}')
            if 'running' in kaso.hmp('info status'):
                kaso.told()
            plain = best(kaso, at)
            kaso.hmp('break 0x500')
            kaso.hmp('break on exception pf')
            print(f'loop: {plain / 1e6:.1f} M rounds/s; with a breakpoint in another page and an event '
                  f'{best(kaso, at) / plain:.3f} of that')
            kaso.hmp('delete')
            kaso.hmp(f'break {at["loop"]:#x} if *(u64 *){at["counter"]:#x} == 1')
            print(f'breakpoint with a condition, judged and gone on: {best(kaso, at, 3):.0f}/s')
            kaso.hmp('delete')
            kaso.hmp(f'break {at["loop"]:#x} do silent; cont')
            print(f'breakpoint that stops, runs a command list and goes on: {rate(kaso, at, 2, process_seconds):.0f}/s of all threads\' time')
            kaso.hmp('delete')
            kaso.hmp('stop')
            start = cpu_seconds(kaso)
            text = kaso.hmp('stepi 1000000')
            if 'cpu0 at' not in text:
                kaso.told()
            print(f'single steps: {1000000 / max(cpu_seconds(kaso) - start, 0.01):.0f}/s')
    print('ok')


main()
