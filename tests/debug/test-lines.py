#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the debugger knows from DWARF: source lines, steps by line, inlined functions, frames, types and variables; of a program without
a system, and where it is.

test-lines.py KASO COMPILER LINES.C LINES-START.S pc|virt
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from machine import Kaso, need, target
from program import BOARDS, Program, Session


def check_places(session):
    number = session.program.line
    session.expect('info symbols', r'symbols and lines by ELF')
    session.expect('break nosuch.c:7', 'not known yet')
    session.expect('delete', '')
    # In the prologue there are no arguments yet: behind it; and exactly there with *.
    session.expect('break leaf', rf'breakpoint 2 at 0x[0-9a-f]+: lines.c, line {number("leaf")}')
    session.expect('break *leaf', rf'breakpoint 3 at 0x[0-9a-f]+: lines.c, line {number("leaf opens")}')
    session.expect(f'break lines.c:{number("round")}', rf'at 0x[0-9a-f]+: lines.c, line {number("round")}')
    # The next line that has code.
    session.expect(f'break lines.c:{number("leaf closes") + 1}', rf'lines.c, line {number("visit")}')
    session.expect('delete', '')
    session.expect(f'info line lines.c:{number("leaf second")}', r'lines.c, line \d+: code from 0x[0-9a-f]+ <leaf\+0x')
    session.expect('list lines.c:1', r'\A  1\t/\* SPDX')
    session.expect('list', r'\A  11\t')
    session.expect('list leaf', rf'  {number("leaf opens")}\t{{ ')
    session.expect('list lines.c:9999', 'Error: .*no line')
    session.expect('list nosuch', 'Error: .*not known')


def check_moves(session):
    number = session.program.line
    session.expect('tbreak start', 'at')
    session.moves('cont', 'start', 'loop')
    session.moves('step', 'visit_node', 'visit')
    session.moves('step 2', 'visit_node', 'call')
    session.moves('step', 'leaf', 'leaf')
    session.expect('bt', rf'#0 .* leaf\+0x\w+ \[\w+\] at lines.c:{number("leaf")}\n'
                   rf'#1 .* visit_node.* at lines.c:{number("call")}\n#2 .* start.* at lines.c:{number("loop")}\n')
    session.expect('list', rf'=>{number("leaf")}\t')
    session.moves('next', 'leaf', 'leaf second')
    session.moves('finish', 'visit_node', 'call')
    session.expect(f'tbreak lines.c:{number("inlined")}', 'at')
    session.moves('cont', 'visit_node', 'inlined')
    session.expect('bt', rf'#0 .* twice at lines.c:{number("inlined")} \(inlined\)\n'
                   rf'#1 .* visit_node.* at lines.c:{number("inlining")}\n')
    # Twice round the loop with all that it calls, and out of it.
    session.expect(f'tbreak lines.c:{number("call")}', 'at')
    session.moves('cont', 'visit_node', 'call')
    session.moves('next', 'visit_node', 'inlining')
    session.moves('next', 'visit_node', 'next')
    # A function without lines is part of the line.
    session.expect(f'tbreak lines.c:{number("dark")}', 'at')
    session.moves('cont', 'start', 'dark')
    session.moves('step', 'start', 'round')
    session.expect(f'tbreak lines.c:{number("loop")}', 'at')
    session.moves('cont', 'start', 'loop')
    session.moves('next 2', 'start', 'round')
    # No lines: by instructions.
    session.expect('tbreak dark', 'at')
    session.expect('cont', r'cpu0 at 0x[0-9a-f]+ dark', told=True)
    session.expect('next', r'cpu0 at 0x[0-9a-f]+ dark\+', told=True)
    session.moves('finish', 'start', 'dark')
    session.expect('dis/s leaf 12', rf'; lines.c:{number("leaf second")}  +sum \+= points')


def check_types(session):
    session.expect('print head', r'\(Node\) \{\n  next = 0x[0-9a-f]+ <tail .*\n  name = "head",\n(.*\n)*  color = GREEN,\n  number = 77,')
    session.expect('print *head.next', r'small = 5,\n  wide = 1000,\n  color = BLUE,\n(.*\n)*  weight = 0.5,\n  done = false')
    session.expect('print points[2].y', r'\(int\) -6\n')
    session.expect('print &points', r'0x[0-9a-f]+ <points')
    session.expect('print ((struct node *)&tail)->name', r'"tail"')
    session.expect('print *resident', 'name = "tail"')
    session.expect('print *resident->nosuch', 'Error: .*has no member')
    session.expect('print (struct nosuch *)0', 'Error: there is no type')
    session.expect('print head.nosuch', "Error: 'Node' has no member")
    session.expect('info type Node', r'Node is struct node, 64 bytes\n(.*\n)* +/\* +24 +4 \*/  unsigned int wide : 13;')
    session.expect('info type enum color', r'GREEN = 5')
    session.expect('info type head', r'Node is struct node, 64 bytes\n')
    session.expect('ptype head.next', r'struct node, 64 bytes\n(.*\n)* +/\* +32 +8 \*/  union \{\n'
                   r' +/\* +32 +8 \*/      long int number;\n +/\* +32 +8 \*/      struct point place;\n +\};\n')
    session.expect('info type nosuch', 'Error: there is no type')


def check_formats(session):
    for line, answer in (('print/x head', r'color = 0x5,\n  number = 0x4d,'), ('print/x points[2].y', r'\(int\) 0xfffffffa\n'),
                         ('print greeting', r'\(char \*\) 0x[0-9a-f]+ <.*> "hello"\n'), ('print/s greeting', r'\(char \*\) "hello"\n'),
                         ('print head.name[1]', r"\(char\) 101 'e'\n"), ('print/a &points', r'0x[0-9a-f]+ <points \[program\]>\n'),
                         ('print/t 10', r'\A1010\n'), ('print/d 0x10', r'\A16\n'), ('print/a $pc', r'0x[0-9a-f]+ <\w+'),
                         ('x/4dw points', r':\s+1\s+2\s+3\s+4\n'), ('x/s greeting', r': "hello"\n'), ('x/s head.next->name', r': "tail"\n'),
                         ('x/1ag &head', r': 0x[0-9a-f]+ <tail \[program\]>\n'), ('x/2tb head.name', r': 01101000 01100101\n'),
                         ('dis head.visit 1', r'visit_node \[program\]:\n'), ('x/2xg $sp', r':( 0x[0-9a-f]{16}){2}\n')):
        session.expect(line, answer)


def check_sums(session):
    for line, answer in (('print points[1].x + 1', r'\(long int\) 4\n'), ('print points[2].y - 1', r'\(long int\) -7\n'),
                         ('print &points[2] - &points[0]', r'\(long int\) 2\n'), ('print &points[1] + 1', r'\(struct point \*\) .*<points\+0x10'),
                         ('print (head.number + 3) * 2', r'\(long int\) 160\n'), ('print points[head.color - 4].y', r'\(int\) 4\n'),
                         ('print *points@2', r'\(struct point \[2\]\) \{\{\n  x = 1,\n  y = 2,\n\}, \{\n  x = 3,'), ('print -points[2].y', r' 6\n'),
                         ('print !head.number', r'\) 0\n'), ('print head.number +', 'Error: an expression is missing'),
                         ('print points[1', r"Error: .*lacks a '\]'"), ('print (head.number', r"Error: .*lacks a '\)'"),
                         ('print *points@0', "Error: '@' stands"), ('print head.number / 0', 'Error: .*divides by zero'),
                         ('print head.weight + 1', 'Error: floating point'), ('print 5->x', "Error: what is before '->' has no type"),
                         ('print *(unsigned long *)&head.number', r'\(long unsigned int\) 77\n'),
                         ('print (char)0x161', r"\(char\) 97 'a'\n"),
                         ('print *(nosuch *)&head', r"Error: there is no type 'nosuch \*'"), ('print start.x', "Error: the type of 'start' is not known"),
                         ('print head.number points', "Error: 'points' is too much")):
        session.expect(line, answer)


def check_set(session):
    for line, answer in (('set head.number = 0x70 + 1', r'\(long int\) 113\n'), ('print head.number', r' 113\n'),
                         ('set var head.number = 77', r' 77\n'), ('set tail.wide = 999', r'\) 999\n'), ('print tail.small', r' 5\n'),
                         ('set tail.wide = 1000', r' 1000\n'), ('set points[1].x = -5', r'\(int\) -5\n'), ('set points[1].x = 3', r' 3\n'),
                         ('set *(int *)&points = 0x100', r'256\n'), ('print/x points[0].x', r' 0x100\n'), ('set points[0].x = 1', r' 1\n'),
                         ('set head = 1', 'Error: only numbers'), ('set head', "Error: .*has no '='"), ('set head.nosuch = 1', 'Error: .*no member'),
                         ('set head.number = nosuch', 'Error: there is no symbol'), ('set $nosuch = 1', 'Error: .* has no register'),
                         ('set head.number = 1 2', 'Error: .*too much'), ('set *(int *)0xfffffffffffffff0 = 1', 'Error: .*is no memory')):
        session.expect(line, answer)
    register = 'rbx' if session.program.board == 'pc' else 'x19'
    before = session.expect(f'print ${register}', '0x').strip()
    session.expect(f'set ${register} = 0x1234', r'\A0x1234\n')
    session.expect(f'print ${register}', r'\A0x1234\n')
    session.expect(f'set ${register} = {before}', before)


def check_answers(session):
    """What programs are told is what the schema says, and the same."""
    ask = session.kaso.qmp
    value = ask('x-print', expression='head')['return']
    members = {m['name']: m['value'] for m in value['value']['members']}
    assert value['type'] == 'Node' and members['name'] == {'kind': 'text', 'text': 'head'}, value
    assert members['color'] == {'kind': 'enumerator', 'integer': 5, 'name': 'GREEN'}, members
    assert members['next']['symbol'].startswith('tail') and members['done'] == {'kind': 'boolean', 'boolean': False}, members
    assert [e['kind'] for e in ask('x-print', expression='points')['return']['value']['elements']] == ['structure'] * 3
    assert ask('x-print', expression='1+1')['return']['value']['integer'] == 2
    assert ask('x-set', assignment='rounds = 7')['return']['value']['integer'] == 7
    address = int(session.expect('print &points', '0x').split('0x')[1].split()[0], 16)
    assert ask('x-read-memory', address=address, format='4dw')['return']['values'] == [1, 2, 3, 4]
    assert ask('x-read-physical-memory', address=address, format='2i')['return']['instructions']
    assert ask('x-read-memory', address=address, format='2s')['return']['texts'][0]['address'] == address
    assert ask('x-read-memory', address=address, format='2ag')['return']['symbols'] == ['', '']
    assert ask('x-disassemble', format='s')['return']['instructions'][0]['source-text']
    assert ask('x-list', location='leaf')['return']['lines'][0]['text']
    assert [v['name'] for v in ask('x-query-args')['return']] == ['first', 'second']
    assert ask('x-query-locals')['return'][0]['value']['kind'] == 'integer'
    assert len(ask('x-query-type', name='struct node')['return']['members']) == 9
    assert ask('x-query-type', name='enum color')['return']['enumerators'][1] == {'name': 'GREEN', 'value': 5}
    registers = ask('x-query-registers', all=True)['return'][0]['registers']
    assert any(r.get('fields') for r in registers) and all(r['value'].startswith('0x') for r in registers)
    assert ask('x-translate', address=address)['return']['physical'] == address
    for name, arguments in (('x-backtrace', {}), ('x-query-line', {}), ('x-query-symbols', {}), ('x-symbols-find', {'what': 'l*'}),
                            ('x-query-breakpoints', {}), ('x-symbols-source', {'from': '/a', 'to': '/b'}), ('x-symbols-source', {'from': '/a'}),
                            ('x-query-pagetable', {'address': address}), ('x-gdbserver', {'device': 'none'}), ('x-query-interrupt-controllers', {})):
        assert 'return' in ask(name, **arguments), name


def check_variables(session):
    session.expect('tbreak leaf', 'at')
    session.moves('cont', 'leaf', 'leaf')
    session.moves('next', 'leaf', 'leaf second')
    first = int(re.search(r'first = (\d+)\nsecond = 3\n', session.expect('info args', 'first')).group(1))
    session.expect('info locals', rf'sum = {first + 3}\n')
    session.expect('print sum', rf'\(int\) {first + 3}\n')
    session.expect('info args 1', r'node = 0x[0-9a-f]+ <(head|tail) .*\ndepth = 3\n')
    session.expect('info locals 1', r'total = ')
    session.expect('info locals 9', 'Error: there is no frame 9')


def check_conditions(session):
    """Conditions with variables and members, at a place whose variables are not those of where it was said."""
    session.expect('delete', '')
    session.expect('break leaf if nosuch_register == $nosuch', 'Error: ')
    session.expect(f'break lines.c:{session.program.line("call")} if node->small == 5 && depth == 3', 'at')
    session.moves('cont', 'visit_node', 'call')
    session.expect('print node->name', r'"tail"')
    session.expect('delete', '')
    session.expect(f'tbreak lines.c:{session.program.line("call")} if points[2].y < 0 && node->next && node->place.x > 70', 'at')
    session.moves('cont', 'visit_node', 'call')
    session.expect('print node->name', r'"head"')
    session.expect('break on reset if node->wide == 1', 'Error: variables and members are for conditions of locations')
    # It does not hold: nobody is told, and the machine runs; until it does.
    number = re.search(r'breakpoint (\d+) ', session.expect(
        f'break lines.c:{session.program.line("call")} if node->wide == 1', 'at')).group(1)
    session.expect('cont', '')
    session.expect('info breakpoints', r'hits 0')
    session.expect(f'condition {number} ((struct node *)node)->wide == 1000', 'cpu0 at', told=True)
    session.expect('print node->name', r'"tail"')
    session.expect('delete', '')


def check_frames(kaso, compiler, folder, board):
    """Code that keeps no frame pointers, found by the frame information alone; and at another place than it was linked for."""
    built = Program(compiler, folder, board, 'frames',
                    ['-O1', '-g', '-fomit-frame-pointer', '-fno-inline', '-fno-optimize-sibling-calls', '-fno-ipa-ra'])
    architecture, _, options = BOARDS[board]
    with Kaso(target(kaso, architecture), '-M', board, *options, '-kernel', built.elf) as machine:
        session = Session(machine, built)
        session.expect(f'symbols add {built.elf}', r'\A\Z')
        session.expect('tbreak leaf', 'at')
        session.moves('cont', 'leaf', 'leaf')
        session.expect('bt', r'#0 .* leaf.*\n#1 .* visit_node.*\n#2 .* start.*\n\Z')
        session.expect('info args 1', r'node = 0x[0-9a-f]+ <head .*\ndepth = 3\n')
        session.moves('finish', 'visit_node', 'call')
        # Where a statement begins, optimizing compilers have rows that begin none as well.
        for mark in ('next', 'call'):
            for _ in range(4):
                if f'lines.c:{built.line(mark)}\n' in session.expect('next', r'cpu0 at 0x[0-9a-f]+ visit_node(\+\S+)? ', told=True):
                    break
            else:
                raise AssertionError(mark)
        # A file that was linked for elsewhere is found by its code.
        moved = Program(compiler, folder, board, 'moved', ['-O1', '-g', '-fomit-frame-pointer', '-fno-inline',
                                                           '-fno-optimize-sibling-calls', '-fno-ipa-ra'])
        session.expect('symbols remove frames', '')
        subprocess.run(['objcopy' if board == 'pc' else 'aarch64-linux-gnu-objcopy', '--change-addresses=0x1000000', moved.elf],
                       check=True)
        session.expect(f'symbols add {moved.elf}', r'symbols 2: moved by 0xffffffffff000000, where its code is in RAM')
        session.expect('bt', r'#0 .* visit_node')


def check_sources(session, folder):
    elsewhere = os.path.join(folder, 'elsewhere')
    os.mkdir(elsewhere)
    session.expect(f'symbols source {folder} {elsewhere}', 'is at')
    session.expect('list leaf', 'Error: .*elsewhere/lines.c')
    with open(os.path.join(elsewhere, 'lines.c'), 'w', encoding='latin-1') as file:
        file.write('first\x1b[2J \xff\n' * 100)
    text = session.expect('list leaf', 'first')
    assert '\x1b' not in text
    session.expect(f'symbols source {folder}', 'where they were compiled')
    session.expect('list leaf', 'leaf opens')


def check_other_processor(session, folder, board):
    """A program of another processor is refused."""
    path = os.path.join(folder, 'other')
    with open(session.program.elf, 'rb') as file:
        data = bytearray(file.read())
    data[18:20] = (183 if board == 'pc' else 62).to_bytes(2, 'little')  # e_machine
    with open(path, 'wb') as file:
        file.write(data)
    session.expect(f'symbols add {path}', "Error: .*other' is for " + ('AArch64' if board == 'pc' else 'x86-64'))
    session.expect('x/99999999xb 0', 'Error: (?!.*neither)')


def check_variants(session, compiler, folder, board):
    """What other compilers and options write, looked up without a run."""
    variants = [('gcc4', compiler, ['-O2', '-gdwarf-4', '-gz']), ('gcc2', compiler, ['-O1', '-gdwarf-2', '-gstrict-dwarf']),
                ('sections', compiler, ['-O2', '-g', '-ffunction-sections', '-fno-dwarf2-cfi-asm'])]
    variants += [('split5', compiler, ['-O2', '-gdwarf-5', '-gsplit-dwarf']), ('split4', compiler, ['-O1', '-gdwarf-4', '-gsplit-dwarf'])]
    if board == 'pc' and shutil.which('clang'):
        variants += [('clang5', 'clang', ['-O1', '-gdwarf-5', '-Wl,-z,noexecstack']), ('clang4', 'clang', ['-O0', '-gdwarf-4'])]
    for name, program, options in variants:
        built = Program(program, folder, board, name, options)
        session.expect('symbols remove 1' if name == 'gcc4' else f'symbols remove {session.variant}', '')
        session.variant = name
        session.expect(f'symbols add {built.elf}', '')
        session.expect(f'info line lines.c:{built.line("leaf second")}', r'lines.c, line \d+: code from 0x[0-9a-f]+ <')
        text = session.expect('dis/s visit_node 40', r'; lines.c:\d+ ')
        assert re.search(rf'lines.c:{built.line("inlined") + 1} +rounds', text), text


def check_patched(kaso, compiler, folder, board):
    """What a tracer patches stands before a function's first line: it is part of that, also where the compiler does not say so."""
    architecture, _, options = BOARDS[board]
    for name, flags in (('patched', ['-O0']), ('apart', ['-O0', '-ffunction-sections'])):
        built = Program(compiler, folder, board, name, ['-g', '-fpatchable-function-entry=2', *flags])
        number = built.line
        with Kaso(target(kaso, architecture), '-M', board, *options, '-kernel', built.elf) as machine:
            session = Session(machine, built)
            session.expect(f'symbols add {built.elf}', r'\A\Z')
            opens = rf'lines.c, line ({number("leaf opens")}|{number("leaf")}): code from 0x[0-9a-f]+ <leaf'
            session.expect('info line *leaf', opens)
            session.expect('info line *leaf+1', opens)
            session.expect('tbreak *leaf', 'at')
            session.expect('cont', r'cpu0 at 0x[0-9a-f]+ leaf \[\w+\] at lines.c:', told=True)
            session.expect('bt', rf'#0 .* leaf.* at lines.c:.*\n#1 .* visit_node.* at lines.c:{number("call")}\n')
            session.moves('finish', 'visit_node', 'call')
            session.expect(f'tbreak lines.c:{number("call")}', 'at')
            session.moves('cont', 'visit_node', 'call')
            # Into it by a step; a breakpoint is where its arguments are.
            session.expect('step', r'cpu0 at 0x[0-9a-f]+ leaf', told=True)
            session.expect('tbreak leaf', 'at')
            session.expect('cont', r'cpu0 at 0x[0-9a-f]+ leaf', told=True)
            session.expect('info args', r'first = \d+\nsecond = 3\n')


def pack_dwp(_, built):
    """All .dwo files in one."""
    subprocess.run(['llvm-dwp', '-e', built.elf, '-o', built.elf + '.dwp'], check=True, cwd=os.path.dirname(built.elf))
    os.unlink(built.elf + '-lines.dwo')


def share_by_dwz(folder, built):
    """What two files have in common in a third."""
    shutil.copy(built.elf, built.elf + '-2')
    subprocess.run(['dwz', '-m', os.path.join(folder, 'common.debug'), '-M', 'common.debug', built.elf, built.elf + '-2'],
                   check=True, cwd=folder)


def check_elsewhere(kaso, compiler, folder, board):
    """Debugging information that is not in the file itself: all questions have the answers that they have else."""
    architecture, _, board_options = BOARDS[board]
    for name, options, tool, change in [('dwo5', ['-gdwarf-5', '-gsplit-dwarf'], None, None), ('dwo4', ['-gdwarf-4', '-gsplit-dwarf'], None, None),
                                        ('dwp5', ['-gdwarf-5', '-gsplit-dwarf'], 'llvm-dwp', pack_dwp),
                                        ('dwp4', ['-gdwarf-4', '-gsplit-dwarf'], 'llvm-dwp', pack_dwp),
                                        ('dwz4', ['-gdwarf-4'], 'dwz', share_by_dwz), ('dwz5', ['-gdwarf-5'], 'dwz', share_by_dwz)]:
        if tool and not shutil.which(tool):
            print(f'no {tool}: {name} left out')
            continue
        built = Program(compiler, folder, board, name, ['-O0', *options])
        if change:
            change(folder, built)
        with Kaso(target(kaso, architecture), '-M', board, *board_options, '-kernel', built.elf) as machine:
            session = Session(machine, built)
            session.expect(f'symbols add {built.elf}', r'\A\Z')
            session.expect(f'tbreak lines.c:{built.line("inlined")}', 'at')
            session.moves('cont', 'visit_node', 'inlined')
            session.expect('bt', r'#0 .* twice at .* \(inlined\)\n#1 .* visit_node')
            check_variables(session)
            check_types(session)
    os.unlink(os.path.join(folder, 'dwo5-lines.dwo'))
    with Kaso(target(kaso, architecture), '-M', board, *board_options, '-kernel', built.elf) as machine:
        session = Session(machine, built)
        session.expect(f'symbols add {os.path.join(folder, "dwo5")}', r'\A\Z')
        session.expect('tbreak leaf', 'at')
        session.expect('info symbols', r'of 1 units only lines are known: their .dwo files were not found')


def main():
    program, compiler, *sources, board = sys.argv[1:]
    if board == 'virt':
        compiler = need('aarch64-linux-gnu-gcc')
    architecture, _, options = BOARDS[board]
    with tempfile.TemporaryDirectory() as folder:
        for name in sources:
            shutil.copy(name, folder)
        built = Program(compiler, folder, board)
        with Kaso(target(program, architecture), '-M', board, *options, '-kernel', built.elf) as kaso:
            session = Session(kaso, built)
            session.expect(f'symbols add {built.elf}', '')
            check_places(session)
            check_moves(session)
            check_variables(session)
            check_types(session)
            check_formats(session)
            check_sums(session)
            check_set(session)
            check_answers(session)
            check_conditions(session)
            check_sources(session, folder)
            check_other_processor(session, folder, board)
            check_variants(session, compiler, folder, board)
        check_frames(program, compiler, folder, board)
        check_patched(program, compiler, folder, board)
        check_elsewhere(program, compiler, folder, board)


main()
