#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The gdb stub packet by packet, on both targets: answers that scripts rely on, and bad packets before and after.

test-gdb-packets.py KASO [COMMAND]: with a command that runs QEMU ("qemu-system-", which a target's name follows) its answers, too, are compared: those that
are to be the same, and those of which docs/howto/debug-with-gdb.md says that they are not.
"""
import os
import shlex
import subprocess
import sys
import tempfile
import time

from machine import Kaso, target
from patience import allow
from rsp import Remote

# What QEMU 11.1 answers, too.
SAME = [
    ('vMustReplyEmpty', ''), ('!', 'OK'), ('Hg0', 'OK'), ('qTStatus', ''), ('Hc-1', 'OK'),
    ('qAttached', '1'), ('qAttached:1', '1'), ('qfThreadInfo', 'mp01.01'), ('qsThreadInfo', 'mp01.02'),
    ('qsThreadInfo', 'l'), ('qC', 'QCp01.01'),
    ('qqemu.sstepbits', 'ENABLE=1,NOIRQ=2,NOTIMER=4'), ('qqemu.sstep', '0x7'), ('Qqemu.sstep=1', 'OK'),
    ('qqemu.sstep', '0x1'), ('Qqemu.sstep=0x7', 'OK'), ('qqemu.PhyMemMode', '0'), ('Qqemu.PhyMemMode:1', 'OK'),
    ('qqemu.PhyMemMode', '1'), ('Qqemu.PhyMemMode:0', 'OK'), ('qqemu.Supported', 'sstepbits;sstep;PhyMemMode'),
    ('T1', 'OK'), ('Tp1.1', 'OK'), ('Tp1.2', 'OK'), ('Tp1.9', 'E22'), ('T9', 'E22'), ('Hgp1.1', 'OK'), ('Hg9', 'E22'),
    ('H', 'E22'), ('Hx1', 'E22'), ('M{ram},4:01020304', 'OK'), ('m{ram},4', '01020304'), ('M{ram},4:0102', 'E22'),
    ('M{ram},4', 'E22'), ('m{ram},0', ''), ('m{ram},100000', 'E22'), ('p', 'E14'), ('pfff', 'E14'),
    ('P0=1122334400000000', 'OK'), ('P0', 'E22'),
    ('Z0,{ram},1', 'OK'), ('Z0,{ram},1', 'OK'), ('z0,{ram},1', 'OK'), ('Z1,{ram},1', 'OK'), ('z1,{ram},1', 'OK'),
    ('Z2,{ram},4', 'OK'), ('z2,{ram},4', 'OK'), ('z2,{ram},4', 'E22'), ('Z3,{ram},4', 'OK'), ('z3,{ram},4', 'OK'),
    ('Z4,{ram},4', 'OK'), ('z4,{ram},4', 'OK'), ('Z5,{ram},4', ''), ('Z0,1000', 'E22'), ('Z0', 'E22'), ('Z', 'E22'),
    ('z', 'E22'), ('vCont;x', ''), ('vCont;s:p1.9', 'E22'), ('vFile:open:1', ''), ('qfoo', ''), ('Qfoo', ''), ('A', ''),
    ('qXfer:features:read:foo.xml:0,10', 'E00'), ('qXfer:features:read:target.xml:ffffff,10', 'E00'),
    ('qXfer:features:read:target.xml', 'E22'), ('qXfer:exec-file:read:1:0,100', ''), ('qCRC:0,4', ''),
    ('qRegisterInfo0', ''), ('jThreadsInfo', ''), ('s', 'T05thread:p01.01;'), ('vCont;s:p1.1', 'T05thread:p01.01;'),
]
# Beyond QEMU.
OURS = [
    ('X{ram},0:', 'OK'), ('X{ram},3:a}\x03*', 'OK'), ('m{ram},3', '61232a'), ('X{ram},3:ab', 'E22'), ('M{ram},4:zz', 'E22'),
    ('mzz,4', 'E22'), ('Pfff=11', 'E14'), ('P0=1', 'E22'), ('Qqemu.sstep=9', 'E22'), ('vCont', ''), ('vCont;', ''),
    ('vCont;t', 'E22'), ('vCont;r', 'E22'), ('vCont;r1,', 'E22'), ('qRcmd,zz', 'E22'), ('Z2,{ram},0', 'E22'),
    ('p00000000000000000', 'E14'), ('T', 'E22'), ('T-1', 'E22'), ('Hgp2.1', 'E22'), ('Hcp1.-1', 'OK'), ('vKilL', ''),
    ('m{ram},4junk', '61232a04'),
]
# What QEMU 11.1 answers otherwise: ours, its own; None: it does not answer, or ends.
DIFFERENT = [
    ('?', 'T05thread:p01.01;', 'T05core:01;'), ('vAttach;1', 'T05thread:p01.01;', 'T05core:01;'), ('vAttach;2', 'T05thread:p01.01;', 'E22'),
    ('vCont?', 'vCont;c;C;s;S;t;r', 'vCont;c;C;s;S'), ('S05', 'T05thread:p01.01;', ''), ('X{ram},0:', 'OK', ''), ('mzz,4', 'E22', ''), ('m,', 'E22', ''),
    ('Pfff=11', 'E14', 'OK'), ('P0=1', 'E22', 'OK'), ('vCont;t', 'E22', ''), ('vCont;r1,', 'E22', ''), ('qRcmd,zz', 'E22', 'OK'),
    ('T-1', 'E22', 'OK'), ('D', 'OK', 'E22'), ('bc', '', 'E22'), ('bs', '', 'E22'), ('vCont', '', None), ('v', '', None), ('q', '', None), ('Q', '', None),
    ('k1', '', None), ('F0', '', None), ('qThreadExtraInfo,p1.9', 'E22', None),
]
# Bits of system registers, here and there, where they are not the same.
WIDTHS = {'i386': (64, 32), 'aarch64': (32, 64)}
TARGETS = {
    'x86_64': (['-M', 'pc'], 0x1000, 'i386:x86-64', 'rip', ['cr0', 'efer', 'fs_base', 'k_gs_base', 'xmm15', 'mxcsr', 'cs']),
    'i386': (['-M', 'pc'], 0x1000, 'i386', 'eip', ['cr0', 'xmm7', 'mxcsr', 'st7', 'cs_base']),
    'aarch64': (['-M', 'virt', '-cpu', 'max'], 0x40000000, 'aarch64', 'pc',
                            ['SCTLR_EL1', 'v31', 'fpcr', 'cpsr', 'TTBR1_EL1', 'pauth_cmask_high']),
}


def check_answers(remote, ram):
    for packet, answer in SAME + OURS:
        try:
            got = remote.call(packet.replace('{ram}', f'{ram:x}'))
        except TimeoutError:
            got = None
        assert got == answer, f'{packet}: {got!r} instead of {answer!r}'
    assert remote.call('p0') in ('11223344', '1122334400000000')


def check_description(remote, architecture, pc, names):
    assert f'<architecture>{architecture}</architecture>' in remote.xfer('features', 'target.xml')
    registers = remote.description()
    for name in [pc] + names:
        assert name in registers, name
    # Each register can be read, in its size; g has the first of them.
    values = {}
    for name, (number, bits) in registers.items():
        values[name] = remote.call(f'p{number:x}')
        assert len(values[name]) == bits // 4, (name, values[name])
    ordered = sorted(registers, key=lambda name: registers[name][0])
    whole = remote.call('g')
    assert ''.join(values[name] for name in ordered).startswith(whole) and len(whole) > 600
    assert remote.call('G' + whole) == 'OK' and remote.call('g') == whole
    assert remote.call('G00') == 'OK'
    assert 'CPU#1' in remote.xfer('threads') and 'type="ram"' in remote.xfer('memory-map')


def check_pointer_masks(remote):
    """48 bits of address in both halves; the top byte of data pointers, and of code in the upper half, is ignored."""
    registers = remote.description()
    tcr = 1 << 51 | 3 << 37 | 16 << 16 | 16  # TBID0, TBI1, TBI0, T1SZ, T0SZ
    assert remote.call(f'P{registers["TCR_EL1"][0]:x}={tcr.to_bytes(8, "little").hex()}') == 'OK'
    for name, mask in (('dmask', 0x007f << 48), ('cmask', 0xff7f << 48), ('dmask_high', 0x007f << 48), ('cmask_high', 0x007f << 48)):
        assert remote.register(registers['pauth_' + name][0], 8) == mask, name


def check_running(kaso, remote):
    """Ctrl-C, twice; what the monitor does; a stop that comes from elsewhere."""
    for _ in range(2):
        remote.send('vCont;c')
        time.sleep(0.1)
        remote.raw(b'\x03')
        assert remote.receive().startswith('T02thread:p01.'), 'Ctrl-C'
    remote.send('c')
    time.sleep(0.1)
    assert 'running' in kaso.hmp('info status')
    kaso.hmp('stop')
    assert remote.receive().startswith('T02')
    remote.raw(b'\x03')  # nothing runs: nothing happens
    remote.send('qRcmd,' + b'info status'.hex())
    assert bytes.fromhex(remote.receive()[1:]) == b'VM status: paused\n'
    assert remote.receive() == 'OK'
    remote.send('qRcmd,' + b'nonsense'.hex())
    assert bytes.fromhex(remote.receive()[1:]).startswith(b'Error: ')
    assert remote.receive() == 'OK'


def check_framing(remote):
    remote.raw(b'garbage\x04\xff+++$qC#00')
    assert remote.byte() == b'-'
    remote.raw(b'$g$qC#b4')  # a packet that was cut off
    assert remote.receive() == 'QCp01.01'
    assert remote.call('x' * 300000) == 'E22'
    remote.raw(b'$qC#b4')
    assert remote.receive() == 'QCp01.01'
    remote.raw(b'-')  # once more
    assert remote.receive() == 'QCp01.01'
    remote.raw(b'$#00$}#7d$}}#fa')
    assert [remote.receive() for _ in range(3)] == ['', '', '']


def check(kaso_program, name, options):
    arguments, ram, architecture, pc, names = options
    with Kaso(target(kaso_program, name), '-smp', '2', *arguments) as kaso:
        remote = Remote(kaso.gdb_socket)
        supported = remote.call('qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386')
        for feature in ('PacketSize=20020', 'qXfer:features:read+', 'multiprocess+', 'vContSupported+'):
            assert feature in supported.split(';'), supported
        assert remote.call('?') == 'T05thread:p01.01;'
        check_framing(remote)
        remote.no_ack()
        check_answers(remote, ram)
        check_description(remote, architecture, pc, names)
        if 'pauth_cmask_high' in names:
            check_pointer_masks(remote)
        check_running(kaso, remote)
        remote.call(f'Z0,{ram:x},1')
        remote.raw(b'$m')
        remote.close()
        # The next one begins afresh, without the other's breakpoint and modes.
        remote = Remote(kaso.gdb_socket)
        assert remote.call('?') == 'T05thread:01;'
        assert remote.call('qC') == 'QC01'
        assert remote.call('D') == 'OK'
        assert 'running' in kaso.hmp('info status')
        remote.send('k')
        kaso.process.wait(allow(10))
        assert kaso.process.returncode == 0, kaso.process.returncode
    print(name, 'ok')


class Other:
    """A stub of another program, started anew when it has stopped to answer."""

    def __init__(self, command):
        self.command, self.folder = command, tempfile.TemporaryDirectory()
        self.process = self.remote = None

    def start(self):
        path = os.path.join(self.folder.name, 'gdb')
        self.process = subprocess.Popen([*self.command, '-nodefaults', '-display', 'none', '-S', '-gdb', f'unix:{path},server=on,wait=off'],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.remote = Remote(path)
        self.remote.socket.settimeout(5)
        self.remote.call('qSupported:multiprocess+;swbreak+')
        self.remote.call('?')

    def call(self, packet):
        if not self.process:
            self.start()
        try:
            return self.remote.call(packet)
        except (OSError, EOFError, AssertionError):
            self.stop()
            return None

    def stop(self):
        if self.process:
            self.remote.close()
            self.process.kill()
            self.process.wait()
            self.process = None


def compare(kaso, command, name):
    arguments, ram, *_ = TARGETS[name]
    others = [Other([*program, *arguments, '-smp', '2']) for program in ([target(kaso, name)], shlex.split(command + name))]
    packets = [(packet, (answer, answer)) for packet, answer in SAME] + [(packet, answers) for packet, *answers in DIFFERENT]
    for packet, wanted in packets:
        got = [other.call(packet.replace('{ram}', f'{ram:x}')) for other in others]
        assert got == list(wanted), f'{name}: {packet}: ours and the other: {got} instead of {list(wanted)}'
    registers = [other.remote.description() if other.process or not other.start() else {} for other in others]
    for other in others:
        other.stop()
    sizes = {n: (registers[0][n][1], registers[1][n][1]) for n in registers[0].keys() & registers[1].keys()}
    wrong = {n: s for n, s in sizes.items() if s[0] != s[1] and s != WIDTHS.get(name)}
    assert not wrong, wrong
    print(f'{name}: {len(SAME)} answers are the same, {len(DIFFERENT)} differ as written, {len(sizes)} registers agree; only in the other: '
          f'{sorted(registers[1].keys() - registers[0].keys())}')


def main():
    for name, options in TARGETS.items():
        if sys.argv[2:]:
            compare(sys.argv[1], sys.argv[2], name)
        else:
            check(sys.argv[1], name, options)


main()
