#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Events in the monitor: the four verbs (break, run-until, trace, wait-for) on what a PC with a boot sector does.

test-events.py KASO COMPILER SOURCE
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from machine import Kaso, build_modes, target
from patience import allow


def symbols(elf):
    text = subprocess.run(['nm', elf], check=True, capture_output=True, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in text.splitlines()}


def expect(kaso, line, pattern='', told=False):
    """Runs a line whose answer has to match; told: what the monitor says when the machine has stopped."""
    text = kaso.hmp(line)
    if told and not re.search(pattern, text):
        text += kaso.told()
    assert re.search(pattern or r'\A\Z', text), f'{line}: {pattern!r} is not in {text!r}'
    return text


def restart(kaso):
    kaso.hmp('delete')
    kaso.hmp('stop')
    kaso.hmp('system_reset')
    assert kaso.qmp_receive('RESET')


def check_bad_input(kaso):
    for line, pattern in (
            ('break on console /foo', 'regular expression'), ('break on console', 'regular expression'),
            ('break on console /(/', 'no regular expression'), ('break on log serial0 /x/', "'serial0' does not belong"),
            ('break on console a b /x/', "'b' does not belong"), ('break on execution', 'give a range'),
            ('break on execution 5..3', 'ends before'), ('break on execution 0..0xffffffffffffffff', 'all there is'),
            ('break on execution 1 size 0', 'not there'), ('break on execution 0xffffffffffffffff size 2', 'not there'),
            ('break on dma 5..nonsense_name', ''), ('break on dma 1 2 3', 'does not belong'),
            ('break on time', 'no time'), ('break on time soon', 'no time'), ('break on time 1e300', 'no time'),
            ('break on time -1', 'no time'), ('break on time +9e9', ''), ('break on time nan', 'no time'),
            ('break on instructions', 'no number'), ('break on instructions 0', 'no number'),
            ('break on instructions 99999999999G', 'no number'), ('break on instructions 5x', 'no number'),
            ('break on picture', 'give a file'), ('break on picture /nonexistent', 'cannot read'),
            ('break on picture /dev/zero', "no picture's file"), ('break on picture /etc/passwd', 'neither PNG nor PPM'),
            ('break on picture /etc/passwd nowhere', "no display 'nowhere'"),
            ('break on picture /etc/passwd tolerance 200', 'no percentage'), ('break on translation', 'give a range'),
            ('break on translation nonsense_name', ''), ('break on dma ' + 'x ' * 20, 'does not belong'), ('wait-for', 'needs the argument'),
            ('wait-for -t x on reset', 'no number'), ('wait-for -t -1 on reset', 'a time is'),
            ('wait-for -x 3 on reset', 'a time is'), ('wait-for on reset do cont', 'no commands'),
            ('trace nothing off', 'not traced by that name'), ('trace', 'needs the argument'),
            ('trace to /nonexistent/file', 'cannot open')):
        text = kaso.hmp(line)
        assert re.search('Error: .*' + pattern if pattern else '', text), f'{line}: {text}'
    kaso.hmp('delete')
    assert 'no breakpoints' in kaso.hmp('info breakpoints')
    answer = kaso.qmp('human-monitor-command', **{'command-line': 'wait-for on reset'})
    assert 'nobody can wait here' in answer['return'], answer


# What can never come: (line, why), on a PC and on virt.
NEVER = {
    'x86_64': [
        ('break on', "'' is no event"), ('tbreak on', "'' is no event"), ('break on exception zz', "'zz' is no exception of x86_64; there are de, db"),
        ('break on exception 300', '300 is no exception of x86_64; the last number is 255'), ('break on interrupt 999', 'no interrupt'),
        ('break on mode el1', "'el1' is no mode of x86_64; there are real, protected"), ('trace on register CR9', 'no register'),
        ('break on register sctlr_el1', 'no register'), ('break on port 70000', 'no port'), ('break on port com1', 'give its number'),
        ('break on psci', "no event 'psci'"), ('break on nothing.X', "no device has a register 'nothing.X'"),
        ('break on pl011.UARTC', "did you mean 'pl011.UARTCR'"), ('break on dma zz', "no device has the type or the id 'zz'"),
        ('break on console zz /a/', "no console 'zz'; there are debug"), ('wait-for on exception zz', 'no exception')],
    'aarch64': [
        ('break on exception pf', "'pf' is no exception of aarch64"), ('break on exception 64', 'the last number is 63'),
        ('break on interrupt 33', 'no interrupt'), ('break on mode long', 'there are el0, el1'), ('break on port', "no event 'port'"), ('break on register 5', 'give its name'),
        ('break on register sctrl_el1', "did you mean 'sctlr_el1'"), ('break on pl011.UARTXX', 'no device has a register')],
}
EVER = {
    'x86_64': ['exception pf', 'exception PF', 'exception 200', 'interrupt nmi', 'interrupt 0x80', 'mode long', 'register cr?', 'register efer',
               'register 0xc0000080', 'port 0x3f8 write', 'pl011.*', 'dma virtio*', 'console debug /x/', 'console * /x/', 'pl011.UARTCR'],
    'aarch64': ['exception svc', 'exception data-abort*', 'interrupt fiq', 'mode el0', 'register SCTLR_EL1', 'register tlbi* ', 'register daif',
                'register icc_*', 'psci', 'psci 0x84000008', 'pl011.UARTCR write', 'dma pcie* read'],
}


def check_names(kaso, name):
    """An event by a name that nothing has would be waited for in vain."""
    kaso.hmp('stop')  # what can come does not while it is asked for
    for line, pattern in NEVER[name]:
        text = kaso.hmp(line)
        assert re.search('Error: .*' + pattern, text, re.I), f'{line}: {text}'
    assert 'no breakpoints' in kaso.hmp('info breakpoints')
    for event in EVER[name]:
        text = kaso.hmp('break on ' + event)
        assert re.search(r'event \d+ on', text), f'{event}: {text}'
    kaso.hmp('delete')


def check_break(kaso, at):
    """What stops, in the order in which a boot does it."""
    restart(kaso)
    expect(kaso, 'until on console debug /SeaBIOS/', r"Breakpoint \d+, console debug '[^']*SeaBIOS", told=True)
    expect(kaso, 'break on dma 0x7c00..0x7dff i8257 write', 'event')
    expect(kaso, 'break on execution 0x7c00 size 0x200 if $pc >= 0x7c00', 'event')
    expect(kaso, 'cont', r'dma i8257 .*writes 0x7c00 size', told=True)
    assert kaso.qmp_receive('DEBUG_STOP')
    data = kaso.qmp_receive('DEBUG_STOP')['data']
    assert data['kind'] == 'event' and data['event']['kind'] == 'dma' and data['event']['who'] == 'i8257', data
    assert data['event']['number'] == 0x7c00 and data['event']['write'], data
    kaso.hmp('delete %d' % data['breakpoint'])
    expect(kaso, 'cont', rf'cpu0 at {at["real"] & ~0xff:#x}'[:-2], told=True)
    # The first execution was that; it does not count again until it is enabled.
    assert 'disabled at on execution' in kaso.hmp('info breakpoints')
    expect(kaso, 'until on time +5ms', r'Breakpoint \d+, time \d+\.\d+ s', told=True)
    listed = kaso.hmp('info breakpoints')
    assert 'hits 1' in listed and 'on time' not in listed, listed
    kaso.hmp('delete')
    expect(kaso, f'break on execution -1 if 0', 'Error|event')
    kaso.hmp('delete')


def check_processor(kaso, at):
    """Registers, tables, and counts of instructions."""
    restart(kaso)
    expect(kaso, f'until {at["real"]:#x}', 'cpu0 at', told=True)
    expect(kaso, 'tbreak on translation 0x200000', 'event')
    expect(kaso, 'tbreak on translation 0x100000', 'event')
    expect(kaso, 'until on register cr0 read', 'register cr0 -> 0x', told=True)
    # The way is other, where it leads is not.
    expect(kaso, 'cont', 'translation 0x200000 is not mapped, cpu0 at 0x7c', told=True)
    expect(kaso, 'until on translation 0x200000 if value == 0', 'translation 0x200000 is at 0, cpu0', told=True)
    listed = kaso.hmp('info breakpoints')
    assert '0x100000' in listed and '0x200000' not in listed, listed
    kaso.hmp('delete')
    # The loop has five instructions: the same place after five thousand.
    expect(kaso, f'until {at["step1"]:#x}', 'cpu0 at', told=True)
    before = int(kaso.hmp(f'xp/1xg {at["counter"]:#x}').split(':')[1], 16)
    expect(kaso, 'until on instructions 5k', f'instructions 5000, cpu0 at {at["step1"]:#x}', told=True)
    assert int(kaso.hmp(f'xp/1xg {at["counter"]:#x}').split(':')[1], 16) == before + 1000
    expect(kaso, 'break on instructions 5G', 'event')
    expect(kaso, 'break on instructions 5', 'counted for another')
    kaso.hmp('delete')


def check_picture(kaso, folder):
    """What is shown once is waited for when it is shown again."""
    path = os.path.join(folder, 'screen')
    restart(kaso)
    expect(kaso, 'wait-for -s -t 60 on console /Booting from Floppy/', 'Reached')
    kaso.hmp(f'screendump {path}.ppm')
    kaso.hmp(f'screendump -f png {path}.png')
    restart(kaso)
    expect(kaso, f'wait-for -t 60 on picture {path}.ppm VGA tolerance 2%', 'Reached: picture VGA')
    restart(kaso)
    expect(kaso, f'wait-for -s -t 60 on picture "{path}.png"', 'Reached: picture VGA')
    with open(path + '.png', 'rb') as file:
        png = file.read()
    for damage in (png[:100], png[:len(png) // 2], png.replace(b'IDAT', b'IDAX'), png[:16] + b'\xff' * 8 + png[24:],
                   b'P6 99999 99999 255\n', b'P6 2 2 255\nxxx', b'P6', b''):
        with open(path + '.bad', 'wb') as file:
            file.write(damage)
        expect(kaso, f'break on picture {path}.bad', 'Error: ')


def check_wait(kaso, at):
    """Scripts wait while the machine runs; what is typed meanwhile comes afterwards."""
    restart(kaso)
    expect(kaso, 'wait-for -t 60 on console debug /SeaBIOS/', r"Reached: console debug '.*SeaBIOS")
    # What came since is still there.
    expect(kaso, 'wait-for -t 60 on console debug /Machine UUID|Booting from/', 'Reached: console debug')
    expect(kaso, f'wait-for -t 60 {at["loop"]:#x} if $cr0 >> 31', f'Reached: cpu0 at {at["loop"]:#x}')
    assert 'running' in kaso.hmp('info status')
    kaso.monitor.sendall(b'wait-for -s -t 60 on time +10ms\ninfo status\n')
    text = kaso.until_prompt()
    while 'VM status' not in text:
        text += kaso.until_prompt()
    assert re.search('Reached: time.*VM status: paused', text, re.S), text
    expect(kaso, 'wait-for -t 60 on time +10ms', 'Reached: time')
    expect(kaso, 'wait-for -t 1 on console /never said/', 'Timed out: on console /never said/')
    kaso.monitor.sendall(b'wait-for -t 60 on time +200ms\ninfo status\n')
    text = kaso.until_prompt()
    while 'VM status' not in text:
        text += kaso.until_prompt()
    assert re.search('Reached: time.*VM status: running', text, re.S), text
    kaso.monitor.sendall(b'wait-for on console /never said/\ninfo status\n')
    kaso.monitor.sendall(b'\x03')
    assert 'VM status' not in kaso.until_prompt()
    assert 'no breakpoints' in kaso.hmp('info breakpoints')


def check_qmp(kaso):
    restart(kaso)
    kaso.qmp_send('x-wait-for', identity=1, location='on port 0x70 write', timeout=60)
    kaso.qmp_send('x-wait-for', identity=2, location='on console /never said/')
    kaso.qmp_send('query-status', identity=3)
    answers = {}
    while len(answers) < 2:
        message = kaso.qmp_receive('id')
        answers[message['id']] = message['return']
    assert answers[3]['running'] and answers[1]['reached'], answers
    assert answers[1]['event'] == {'kind': 'port', 'number': 0x70, 'write': True,
                                   'value': answers[1]['event']['value']}, answers[1]
    listed = kaso.qmp('x-query-breakpoints')['return']
    assert len(listed) == 1 and listed[0]['wait'], listed
    kaso.qmp('x-delete-breakpoint', number=listed[0]['number'])
    assert kaso.qmp('x-query-breakpoints')['return'] == []
    answer = kaso.qmp('x-wait-for', location='on console /never said/', timeout=1)['return']
    assert not answer['reached'] and answer['text'] == 'on console /never said/', answer


def check_trace(kaso, log, folder):
    restart(kaso)
    expect(kaso, 'trace on exception * if value == 0', 'event')
    expect(kaso, 'trace on dma write i8257', 'event')
    expect(kaso, 'trace on mode', 'event')
    expect(kaso, 'trace mc146818rtc on', r'\d+ registers are traced|no register')
    assert 'mc146818rtc' in kaso.hmp('info trace')
    expect(kaso, 'trace to ' + os.path.join(folder, 'trace.json'))
    expect(kaso, 'wait-for -t 60 on mode long', 'Reached')
    kaso.hmp('stop')
    kaso.hmp('trace to log')
    kaso.hmp('trace * off')
    with open(os.path.join(folder, 'trace.json')) as file:
        trace = json.load(file)
    names = {entry['name'] for entry in trace}
    assert 'on dma write i8257' in names and 'on mode' in names, names
    assert all(entry['ts'] >= 0 and entry['ph'] == 'i' for entry in trace)
    restart(kaso)
    expect(kaso, 'trace on mode', 'event')
    # A line of the log is an event, too; what the debugger writes itself is none.
    expect(kaso, 'break on log /breakpoint/', 'event')
    expect(kaso, 'wait-for -t 60 on mode long', 'Reached')
    assert 'running' in kaso.hmp('info status')
    kaso.hmp('delete')
    restart(kaso)
    expect(kaso, 'trace i8257 on', 'registers are traced')
    expect(kaso, 'wait-for -t 60 on log /i8257.* <- 0x/', r"Reached: log 'i8257\.\S+ <- 0x")
    kaso.hmp('trace * off')
    with open(log) as file:
        assert re.search(r'breakpoint \d+: cpu0 at 0x[0-9a-f]+: mode protected', file.read())
    kaso.hmp('delete')


def check_devices(kaso):
    """What devices keep, by name, of those whose registers are no memory; asking changes nothing."""
    for path, name in (('hpet', 'comparator[1].config'), ('ioapic', 'entry[2]'), ('apic', 'id'), ('i8042', None), ('mc146818rtc', None), ('VGA', None)):
        first, again = (kaso.qmp('x-query-device', path=path)['return'] for _ in range(2))
        names = {number['name'] for number in first['state']}
        assert names and (not name or name in names) and len(names) == len(first['state']), (path, sorted(names))
        assert [b['name'] for b in first['banks']] == [b['name'] for b in again['banks']], path
    assert re.search(r'state\n  config +0x[0-9a-f]{16}\n', kaso.hmp('info device hpet'))


def check_screen(program):
    """What a display shows in text mode is a console's text, too; found once, also when its row is told of again."""
    with Kaso(target(program, 'x86_64'), '-M', 'pc', '-vga', 'std', '-net', 'none') as kaso:
        expect(kaso, 'wait-for -s -t 60 on console VGA* /SeaBIOS/', r"Reached: console VGA\S* 'SeaBIOS")
        expect(kaso, 'wait-for -s -t 60 on console /No bootable/', r"Reached: console VGA\S* 'No bootable")
        expect(kaso, 'wait-for -t 1 on console /SeaBIOS/', 'Timed out')
        check_devices(kaso)


def check_end(program):
    """A script that waits in vain ends Kaso with the status that it chose."""
    script = 'wait-for -t 60 on port 0x70\nwait-for -t 1 -x 7 on console /never said/\n'
    run = subprocess.run([target(program, 'x86_64'), '-M', 'pc', '-nodefaults', '-display', 'none', '-S', '-monitor',
                          'stdio'], input=script, capture_output=True, text=True, timeout=allow(100))
    assert run.returncode == 7 and 'Reached: port' in run.stdout and 'Timed out' in run.stdout, run


def main():
    program, compiler, source = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        elf, image = build_modes(compiler, source, folder)
        log = os.path.join(folder, 'log')
        with Kaso(target(program, 'x86_64'), '-M', 'pc', '-drive', f'file={image},format=raw,if=floppy', '-boot', 'a', '-vga', 'std',
                  '-chardev', 'null,id=debug', '-device', 'isa-debugcon,iobase=0x402,chardev=debug', '-D', log) as kaso:
            at = symbols(elf)
            kaso.qmp('query-status')
            check_bad_input(kaso)
            check_names(kaso, 'x86_64')
            check_break(kaso, at)
            check_processor(kaso, at)
            check_picture(kaso, folder)
            check_wait(kaso, at)
            check_qmp(kaso)
            check_trace(kaso, log, folder)
        check_screen(program)
        check_end(program)
        with Kaso(target(program, 'aarch64'), '-M', 'virt,gic-version=3') as kaso:
            check_names(kaso, 'aarch64')
    print('ok')


main()
