#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which code a guest has executed: by source lines as lcov reads them, by functions where there are only symbols, in ranges, with single steps
and in the interpreter.

test-coverage.py KASO COMPILER LINES.C LINES-START.S pc|virt [KERNEL]
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from machine import Kaso, need, target
from program import BOARDS, Program, Session


def read_info(path):
    """{source: ({line: hits}, {function: hits})} of a tracefile of lcov."""
    sources, lines, functions = {}, {}, {}
    with open(path, encoding='utf-8') as file:
        for text in file.read().splitlines():
            name, _, value = text.partition(':')
            if name == 'SF':
                lines, functions = {}, {}
                sources[value] = (lines, functions)
            elif name == 'DA':
                line, hits = value.split(',')
                assert int(line) not in lines, text
                lines[int(line)] = int(hits)
            elif name == 'FNDA':
                hits, function = value.split(',')
                functions[function] = int(hits)
    return sources


def stop(session, path, what=r'\d+ instructions were executed'):
    session.expect(f'coverage stop {path}', what)
    return read_info(path)


def check_lines(session, folder):
    number = session.program.line
    path, source = os.path.join(folder, 'lines.info'), os.path.realpath(os.path.join(folder, 'lines.c'))
    session.expect('info coverage', 'Error: no coverage')
    session.expect('coverage start nosuch', "Error: 'nosuch' is no range")
    session.expect('coverage start', '')
    # Up to the first call of leaf: its lines are not executed yet.
    session.expect('tbreak *leaf', 'at')
    session.expect('cont', r'cpu0 at 0x[0-9a-f]+ leaf', told=True)
    session.expect(f'coverage stop -k {path}', r'2 of 3 functions')
    lines, functions = read_info(path)[source]
    assert functions == {'leaf': 0, 'visit_node': 1, 'start': 1}, functions
    assert lines[number('leaf')] == lines[number('inlined')] == lines[number('dark')] == 0, lines
    assert lines[number('visit')] == lines[number('call')] == lines[number('loop')] == 1, lines
    # By single steps.
    session.expect('stepi 8', 'cpu0 at', told=True)
    lines, functions = stop(session, path)[source]
    assert functions['leaf'] == 1 and lines[number('leaf opens')] == 1 and lines[number('dark')] == 0, lines
    if shutil.which('genhtml'):
        subprocess.run(['genhtml', '--quiet', '--output-directory', os.path.join(folder, 'html'), path], check=True)
    session.expect('info coverage', 'Error: no coverage')


def check_ranges(session, folder):
    """Only what is asked for is noted and counted; code that runs for long is noted, too."""
    path, source = os.path.join(folder, 'ranges.info'), os.path.realpath(os.path.join(folder, 'lines.c'))
    session.expect('coverage start leaf', '')
    session.expect(f'tbreak lines.c:{session.program.line("dark")}', 'at')
    session.expect('cont', 'start', told=True)
    for _ in range(3):
        session.expect(f'until lines.c:{session.program.line("round")}', 'start', told=True)
    lines, functions = stop(session, path)[source]
    assert functions == {'leaf': 1} and set(lines.values()) == {1} and len(lines) == 5, (lines, functions)
    session.expect('coverage start lines.c', '')
    session.expect('tbreak dark', 'at')
    session.expect('cont', 'dark', told=True)
    session.expect('finish', 'start', told=True)
    listed = os.path.join(folder, 'functions.txt')
    session.expect(f'coverage stop {listed}', r', 0 of them where no symbols are')
    with open(listed, encoding='utf-8') as file:
        text = file.read()
    assert re.search(r'executed  leaf \[program\]', text) and 'dark' not in text, text
    address = re.search(r'\b0*([0-9a-f]+) T _start', session.expect('symbols find _start', '_start')).group(1)
    session.expect(f'coverage start 0x{address}..0x{address}', '')
    session.expect('info coverage', r'\A0 instructions')
    answer = session.kaso.qmp('x-coverage-start', what='leaf')
    assert answer == {'return': {}}, answer
    answer = session.kaso.qmp('x-query-coverage')['return']
    assert answer['instructions'] == answer['lines-executed'] == 0 and answer['full'] is False, answer
    session.expect('coverage stop', '0 instructions')


def check_whole_run(program, built, folder, options, board):
    """Everything the program has is executed soon; the symbols of a file without lines stand in a list. Breakpoints go on working."""
    stripped = os.path.join(folder, 'plain')
    subprocess.run(['objcopy' if board == 'pc' else 'aarch64-linux-gnu-objcopy', '--strip-debug', built.elf, stripped], check=True)
    with Kaso(target(program, BOARDS[board][0]), '-M', board, *options, '-kernel', built.elf) as kaso:
        session = Session(kaso, built)
        session.expect(f'symbols add {stripped}', '')
        session.expect('coverage start', '')
        session.expect('break dark', '')
        session.expect('ignore 1 2000', '')
        session.expect('cont', 'dark', told=True)
        session.expect('delete', '')
        path = os.path.join(folder, 'plain.info')
        sources = stop(session, path)
        lines, functions = sources[path + '.plain.txt']
        assert functions['leaf'] == functions['visit_node'] == functions['start'] == functions['dark'] == 1, functions
        with open(path + '.plain.txt', encoding='utf-8') as file:
            assert len(file.read().splitlines()) == len(lines) == len(functions), (lines, functions)


def check_kernel(program, board, kernel, folder):
    """A kernel without any file, from its first instruction on."""
    with Kaso(target(program, BOARDS[board][0]), '-M', board, *BOARDS[board][2], '-m', '512', '-kernel', kernel,
              '-append', 'console=null panic=0') as kaso:
        session = Session(kaso, None)
        session.expect('coverage start', '')
        session.expect('tbreak panic', '')
        session.expect('cont', 'panic', told=True)
        path = os.path.join(folder, 'kernel.info')
        sources = stop(session, path)
        _, functions = next(value for name, value in sources.items() if name.endswith('.kernel.txt'))
        for name in ('start_kernel', 'rest_init', 'kernel_init', 'schedule'):
            assert functions[name] == 1, name
        assert functions['kernel_restart'] == 0 and 3000 < sum(functions.values()) < len(functions) / 2, sum(functions.values())


def main():
    program, compiler, *sources, board = sys.argv[1:6]
    kernel = sys.argv[6] if len(sys.argv) > 6 else None
    if kernel and not os.path.exists(kernel):
        print(f'no {kernel}: scripts/dev check makes it')
        sys.exit(77)
    if board == 'virt':
        compiler = need('aarch64-linux-gnu-gcc')
    with tempfile.TemporaryDirectory() as folder:
        if kernel:
            check_kernel(program, board, kernel, folder)
            return
        for name in sources:
            shutil.copy(name, folder)
        built = Program(compiler, folder, board)
        options = BOARDS[board][2]
        with Kaso(target(program, BOARDS[board][0]), '-M', board, *options, '-kernel', built.elf) as kaso:
            session = Session(kaso, built)
            session.expect(f'symbols add {built.elf}', '')
            check_lines(session, folder)
            check_ranges(session, folder)
        check_whole_run(program, built, folder, options, board)
        check_whole_run(program, built, folder, [*options, '-accel', 'tcg,interp=on'], board)


main()
