#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-loader-device KASO-ARM KASO-PC: -device loader and guest-loader: formats, numbers, starts, resets, what is refused."""
import gzip
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from qmp import Monitor
from patience import allow

ARM, PC = sys.argv[1:3]
del sys.argv[1:]
RAM = 0x40000000


def elf(code, address, virtual, entry, bits=64, big=False, more=0):
    """One segment at `address`, linked for `virtual`."""
    order = '>' if big else '<'
    ident = b'\x7fELF' + bytes([2 if bits == 64 else 1, 2 if big else 1, 1]) + bytes(9)
    word = 'Q' if bits == 64 else 'I'
    header, table = (64, 56) if bits == 64 else (52, 32)
    head = ident + struct.pack(order + 'HHI' + word * 3 + 'IHHHHHH', 2, 183, 1, entry, header, 0, 0, header, table, 1, 0, 0, 0)
    at, size = header + table, len(code)
    if bits == 64:
        segment = struct.pack(order + 'IIQQQQQQ', 1, 7, at, virtual, address, size, size + more, 4)
    else:
        segment = struct.pack(order + 'IIIIIIII', 1, at, virtual, address, size, size + more, 7, 4)
    return head + segment + code


def uimage(data, load, entry, kind=2, compression=0):
    def header(crc):
        return struct.pack('>IIIIIIIBBBB32s', 0x27051956, crc, 0, len(data), load, entry, zlib.crc32(data), 5, 22, kind,
                           compression, b'test')
    return header(zlib.crc32(header(0))) + data


def hex_line(kind, address, data):
    body = struct.pack('>BHB', len(data), address, kind) + data
    return ':' + (body + bytes([-sum(body) & 255])).hex().upper() + '\n'


class Machine:
    """A paused machine with a monitor."""

    def __init__(self, folder, *options, program=ARM, machine='virt'):
        path = os.path.join(folder, 'qmp')
        self.process = subprocess.Popen([program, '-M', machine, '-display', 'none', '-monitor', 'none', '-serial', 'none',
                                         '-nodefaults', '-m', '64', '-S', '-qmp', f'unix:{path},server=on,wait=off', *options])
        self.monitor = Monitor(path)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.monitor.socket.close()

    def hmp(self, line, cpu=0):
        return self.monitor.run('human-monitor-command', **{'command-line': line, 'cpu-index': cpu})

    def bytes(self, address, count):
        text = self.hmp(f'xp /{count}xb {address:#x}')
        return bytes(int(word, 16) for line in text.splitlines() for word in line.split(':')[-1].split())

    def pc(self, cpu=0):
        return int(re.search(r'\bPC *= *(?:0x)?([0-9a-f]+)', self.hmp('info registers', cpu), re.I)[1], 16)


class LoaderTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, content, name='image'):
        path = os.path.join(self.folder.name, name)
        with open(path, 'wb') as out:
            out.write(content)
        return path

    def start(self, *loaders, **more):
        options = [text for loader in loaders for text in ('-device', 'loader,' + loader)]
        return Machine(self.folder.name, *options, *more.pop('options', ()), **more)

    def refused(self, *arguments, says):
        result = subprocess.run([ARM, '-M', 'virt', '-display', 'none', '-S', '-m', '64', *arguments], capture_output=True, text=True,
                                timeout=allow(60))
        self.assertEqual(result.returncode, 1)
        self.assertIn(says, result.stderr)

    def test_numbers(self):
        with self.start(f'addr={RAM:#x},data=0x0123456789abcdef,data-len=8', f'addr={RAM + 8:#x},data=0x1234,data-len=4,data-be=on',
                        f'addr={RAM + 12:#x},data=0x11223344,data-len=2') as machine:
            self.assertEqual(machine.bytes(RAM, 14).hex(), 'efcdab8967452301' '00001234' '4433')

    def test_elf(self):
        code = bytes(range(1, 33))
        for bits in 32, 64:
            for big in False, True:
                path = self.file(elf(code, RAM + 0x1000, 0x80001000, 0x80001010, bits, big, more=16))
                with self.subTest(bits=bits, big=big), self.start(f'file={path},cpu-num=0') as machine:
                    self.assertEqual(machine.bytes(RAM + 0x1000, 48), code + bytes(16))
                    self.assertEqual(machine.pc(), RAM + 0x1010)

    def test_raw(self):
        path = self.file(elf(b'abcd', RAM, RAM, RAM))
        with self.start(f'file={path},addr={RAM + 0x2000:#x},force-raw=on') as machine:
            self.assertEqual(machine.bytes(RAM + 0x2000, 4), b'\x7fELF')
            self.assertEqual(machine.pc(), 0)
        with self.start(f'file={self.file(b"any thing")},addr={RAM + 0x2000:#x},cpu-num=1', options=['-smp', '2']) as machine:
            self.assertEqual(machine.bytes(RAM + 0x2000, 9), b'any thing')
            self.assertEqual(machine.pc(1), RAM + 0x2000)
            self.assertEqual(machine.pc(0), 0)

    def test_uimage(self):
        path = self.file(uimage(b'kernel!!', RAM + 0x100, RAM + 0x104))
        with self.start(f'file={path},cpu-num=0') as machine:
            self.assertEqual(machine.bytes(RAM + 0x100, 8), b'kernel!!')
            self.assertEqual(machine.pc(), RAM + 0x104)
        packed = self.file(uimage(gzip.compress(b'x' * 70000), RAM + 0x100, RAM, compression=1))
        with self.start(f'file={packed}') as machine:
            self.assertEqual(machine.bytes(RAM + 0x100 + 69998, 4), b'xx\0\0')
        ramdisk = self.file(uimage(b'disk', 0, 0, kind=3))
        with self.start(f'file={ramdisk},addr={RAM + 0x300:#x}') as machine:
            self.assertEqual(machine.bytes(RAM + 0x300, 4), b'disk')
        with open(path, 'r+b') as image:
            image.seek(66)
            image.write(b'?')
        self.refused('-device', f'loader,file={path}', says='checksums')
        self.refused('-device', f'loader,file={self.file(uimage(b"", 0, 0, compression=5))}', says='compression 5')

    def test_hex(self):
        text = (hex_line(4, 0, struct.pack('>H', RAM + 0x100000 >> 16)) + hex_line(0, 0x10, b'one') + hex_line(0, 0x13, b'two')
                + hex_line(0, 0x40, b'three') + hex_line(5, 0, struct.pack('>I', RAM + 0x100040)) + hex_line(1, 0, b''))
        with self.start(f'file={self.file(text.encode())},cpu-num=0') as machine:
            self.assertEqual(machine.bytes(RAM + 0x100010, 8), b'onetwo\0\0')
            self.assertEqual(machine.bytes(RAM + 0x100040, 5), b'three')
            self.assertEqual(machine.pc(), RAM + 0x100040)
        # What only begins like one is a file as any other.
        with self.start(f'file={self.file(text.encode()[:-5])},addr={RAM:#x}') as machine:
            self.assertEqual(machine.bytes(RAM, 3), b':02')

    def test_reset(self):
        """A guest overwrites what was loaded, and finds it as it was."""
        data = RAM + 0x100000
        # movz x1, #0x4010, lsl #16; str xzr, [x1]; b .
        program = struct.pack('<III', 0xd2a80201, 0xf900003f, 0x14000000)
        with self.start(f'file={self.file(program)},addr={RAM + 0x1000:#x},cpu-num=0',
                        f'addr={data:#x},data=0x55aa55aa,data-len=4') as machine:
            for _ in range(2):
                self.assertEqual(machine.bytes(data, 4).hex(), 'aa55aa55')
                machine.monitor.run('cont')
                deadline = time.monotonic() + allow(30)
                while machine.bytes(data, 4) != bytes(4):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.05)
                machine.monitor.run('stop')
                self.assertEqual(machine.pc(), RAM + 0x1008)
                machine.monitor.run('system_reset')
                machine.monitor.event('RESET')
                self.assertEqual(machine.pc(), RAM + 0x1000)

    def test_wins_over_kernel(self):
        kernel = self.file(elf(b'kern', RAM + 0x1000, RAM + 0x1000, RAM + 0x1000), 'kernel')
        with self.start(f'addr={RAM + 0x1000:#x},data=0x21,data-len=1', f'addr={RAM + 0x3000:#x},cpu-num=0',
                        options=['-kernel', kernel]) as machine:
            self.assertEqual(machine.bytes(RAM + 0x1000, 4), b'!ern')
            self.assertEqual(machine.pc(), RAM + 0x3000)

    def test_pc(self):
        """Also into the firmware's ROM, which a guest could not write."""
        loaders = ['addr=0x100000,data=0x1234,data-len=2', 'addr=0xfffffff0,data=0xf4,data-len=1']
        for machine in 'pc', 'isapc':
            with self.subTest(machine), self.start(*loaders, program=PC, machine=machine) as guest:
                self.assertEqual(guest.bytes(0x100000, 2).hex(), '3412')
                self.assertEqual(guest.bytes(0xfffffff0, 1), b'\xf4')

    def test_guest_loader(self):
        kernel, initrd = self.file(b'a kernel', 'kernel'), self.file(b'disk', 'initrd')
        tree = os.path.join(self.folder.name, 'tree')
        loaders = ['-device', f'guest-loader,addr={RAM + 0x10000:#x},kernel={kernel},bootargs=console=hvc0 quiet', '-device',
                   f'guest-loader,addr={RAM + 0x20000:#x},initrd={initrd}']
        with Machine(self.folder.name, *loaders) as machine:
            self.assertEqual(machine.bytes(RAM + 0x10000, 8), b'a kernel')
            self.assertEqual(machine.bytes(RAM + 0x20000, 4), b'disk')
        subprocess.run([ARM, '-M', f'virt,dumpdtb={tree}', '-display', 'none', '-m', '64', *loaders], check=True, timeout=allow(60),
                       stderr=subprocess.DEVNULL)
        with open(tree, 'rb') as file:
            blob = file.read()
        for name in (b'module@40010000\0', b'multiboot,module\0multiboot,kernel\0', b'console=hvc0 quiet\0', b'module@40020000\0',
                     b'multiboot,module\0multiboot,ramdisk\0', struct.pack('>QQ', RAM + 0x20000, 4)):
            self.assertIn(name, blob)

    def test_refused(self):
        path = self.file(b'text')
        for arguments, says in (
                ('', 'needs file='), ('data=1', 'needs file='), ('addr=1', 'needs file='), ('cpu-num=1,addr=0', 'this machine has 1 CPUs'),
                (f'file={path},data=1,data-len=1', 'two loaders'), (f'file={path},data=1', 'two loaders'),
                ('data=1,data-len=9', 'data-len=9'), ('force-raw=on', 'needs file='), ('file=/nonexistent/x', '/nonexistent/x'),
                (f'file={self.file(b"", "empty")}', 'is empty'), (f'file={path},addr=0x90000000', 'no memory at 0x90000000'),
                (f'file={path},addr=0xfffffffffffffffe', 'no memory'), (f'file={self.file(elf(b"", RAM, 0, 0)[:100], "cut")}', 'truncated'),
                (f'file={self.file(elf(b"", RAM, 0, 0), "object")}', 'without anything'),
                (f'file={self.file(elf(b"abcd", RAM + 0x3fffffe, 0, 0), "high")}', 'no memory at 0x44000000')):
            with self.subTest(arguments):
                self.refused('-device', 'loader,' + arguments, says=says)
        self.refused('-device', 'guest-loader,addr=1', says='needs one of')
        twice = f'guest-loader,addr={RAM:#x},kernel={path}'
        self.refused('-device', twice, '-device', twice, says='device tree')
        with self.start(f'addr={RAM:#x},data=1,data-len=1') as machine:
            self.assertIn('hotplug', machine.monitor.failure('device_add', driver='loader', addr=RAM, data=1, **{'data-len': 1})['desc'])


if __name__ == '__main__':
    unittest.main()
