# SPDX-License-Identifier: MIT
"""howto.py PAGE COMPILER...: carries out docs/howto/add-an-ir-op.md on a copy of the sources and runs the tests of ops.

A step is a line "In `FILE`, behind|before `BEGINNING OF A LINE`:" and the block of C that follows.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ['base', 'accel/tcg/ir', 'accel/tcg/opt', 'accel/tcg/host', 'tests/ir', 'tests/unit']
SOURCES = ['base/*.c', 'accel/tcg/ir/*.c', 'accel/tcg/opt/*.c', 'accel/tcg/host/x86_64/*.c', 'tests/ir/test-ops.c']
ONLY_COMPILED = ['tests/unit/random-unit.c']
STEP = re.compile(r'^In `([^`]+)`, (behind|before) `([^`]+)`:\n\n```c\n(.*?)^```$', re.M | re.S)


def apply(folder, file, where, anchor, code):
    path = folder / file
    lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    at = next((i for i, line in enumerate(lines) if line.startswith(anchor)), None)
    if at is None:
        sys.exit(f'{file}: no line begins with "{anchor}"')
    lines.insert(at + (where == 'behind'), code)
    path.write_text(''.join(lines), encoding='utf-8')


def main():
    page, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    flags = subprocess.run(['pkg-config', '--cflags', 'glib-2.0', 'jansson'], check=True, capture_output=True,
                           text=True).stdout.split()
    libraries = subprocess.run(['pkg-config', '--libs', 'glib-2.0', 'jansson'], check=True, capture_output=True,
                               text=True).stdout.split()
    with tempfile.TemporaryDirectory(prefix='kaso-howto-') as name:
        folder = pathlib.Path(name)
        for part in FOLDERS:
            shutil.copytree(ROOT / part, folder / part)
        steps = STEP.findall(page.read_text(encoding='utf-8'))
        for step in steps:
            apply(folder, *step)

        def build(source):
            subprocess.run([*compiler, '-std=gnu11', '-O1', '-D_GNU_SOURCE', '-DKASO_VERSION=""', '-fno-strict-aliasing', '-Wall', '-Werror',
                            '-I', name, *flags, '-c', source, '-o', source.with_suffix('.o')], check=True)
            return source.with_suffix('.o')

        sources = [path for pattern in SOURCES for path in folder.glob(pattern)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(build, sources + [folder / path for path in ONLY_COMPILED]))[:len(sources)]
        program = folder / 'test-ops'
        subprocess.run([*compiler, '-o', program, *objects, *libraries, '-lm'], check=True)
        print(f'{len(steps)} steps')
        return subprocess.run([program]).returncode


sys.exit(main())
