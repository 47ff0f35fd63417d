# SPDX-License-Identifier: MIT
"""The program of lines.c, which runs without a system, and the monitor of a machine that runs it."""
import os
import re
import subprocess

PLAIN = ['-fuse-ld=bfd', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-fno-pie', '-fno-stack-protector', '-Wl,-N',
         '-Wl,--build-id=none,--no-warn-rwx-segments']
BOARDS = {'pc': ('x86_64', ['-m64', '-mno-red-zone', '-fcf-protection=none', '-Wl,-Ttext=0x100000'], []),
          'virt': ('aarch64', ['-Wl,-Ttext=0x40100000'], ['-cpu', 'cortex-a57'])}
RESIDENT = {'pc': 'r15', 'virt': 'x28'}


class Program:
    """lines.c, built into a folder of its own; a line's number by its mark."""

    def __init__(self, compiler, folder, board, name='program', options=('-O0', '-g')):
        self.elf = os.path.join(folder, name)
        self.board = board
        # dark() is to have no lines.
        subprocess.run([compiler, *BOARDS[board][1][:-1], '-c', '-o', 'start.o', 'lines-start.S'], check=True, cwd=folder)
        own = [] if 'clang' in compiler else [f'-DRESIDENT="{RESIDENT[board]}"']  # clang gives no variable a register
        subprocess.run([compiler, *PLAIN, *BOARDS[board][1], *own, *options, '-o', self.elf, 'start.o', 'lines.c'],
                       check=True, cwd=folder)
        with open(os.path.join(folder, 'lines.c'), encoding='utf-8') as file:
            self.lines = file.read().splitlines()

    def line(self, mark):
        return next(i for i, text in enumerate(self.lines, 1) if f'mark: {mark} */' in text)


class Session:
    """A machine that runs the program, and its monitor."""

    def __init__(self, kaso, program):
        self.kaso, self.program = kaso, program

    def expect(self, line, pattern, told=False):
        text = self.kaso.hmp(line)
        while told and 'cpu0 at' not in text:
            text += self.kaso.told()
        assert re.search(pattern, text), f'{line}: {pattern!r} is not in {text!r}'
        return text

    def moves(self, line, function, mark):
        number = self.program.line(mark)
        self.expect(line, rf'cpu0 at 0x[0-9a-f]+ {function}(\+\S+)? \[\w+\] at lines.c:{number}\n{number}\t', told=True)
