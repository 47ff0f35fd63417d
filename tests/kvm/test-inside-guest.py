#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-inside-guest KASO CC ROOT [CLASS…]: test-kvm.py, which wants a /dev/kvm, on the real KVM of scripts/kvm-guest, with as much of Python as it imports.
What needs gdb is left out there."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from inner import need_programs, run

KASO, CC, ROOT, *CLASSES = sys.argv[1:]
SOURCES = [f"{ROOT}/tests/kvm/{name}" for name in ("start.S", "programs.c", "storm.c", "bars.c", "fail-ioctl.c")]
TEST = f"{ROOT}/tests/kvm/test-kvm.py"
MODULES = ("contextlib ctypes encodings.ascii encodings.idna encodings.latin_1 json locale os re resource shutil signal subprocess sys tempfile time traceback unittest unittest.main")
folder = tempfile.TemporaryDirectory()


def python_home(home):
    """A folder with the modules; the interpreter, and those modules that may need libraries."""
    listed = subprocess.run([sys.executable, "-S", "-c", f"import sys, {MODULES.replace(' ', ', ')}\nprint(sys.prefix)\n"
                             "for m in list(sys.modules.values()):\n  print(getattr(m, '__file__', None) or '')"], capture_output=True, text=True, check=True)
    prefix, *files = listed.stdout.split("\n")
    files = sorted({file for file in files if file.startswith(prefix) and os.path.exists(file)})
    for file in files:
        to = home + file[len(prefix):]
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(file, to)
    return [os.path.realpath(sys.executable), *(file for file in files if file.endswith(".so"))]


def main():
    need_programs()
    built, script = os.path.join(folder.name, "built"), os.path.join(folder.name, "run.sh")
    os.mkdir(built)
    subprocess.run([sys.executable, TEST, KASO, CC, *SOURCES, "build", built], check=True)
    home = os.path.join(folder.name, "python")
    python, *modules = python_home(home)
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexport KASO_KVM_TEST=strict KASO_TEST_SLOW=10 PYTHONDONTWRITEBYTECODE=1 PYTHONHOME={home}\n")
        for name in CLASSES or ["Programs", "Options", "Moves", "States", "Faults"]:
            file.write(f"echo '== {name}'; {python} -S {TEST} {os.path.abspath(KASO)} {built} {' '.join(SOURCES)} {name} 2>&1; echo status $?\n")
    text = run(KASO, f"{ROOT}/scripts", script, [KASO, TEST, built, f"{ROOT}/tests/kvm/start.S", shutil.which("env"), home, *modules, python], 3600, 1536,
               line=lambda line: re.search(r" \.\.\. |^(FAIL|ERROR|Ran|status|==)", line) and print(line, flush=True))
    failed = re.findall(r"^(?:FAIL|ERROR): .*", text, re.MULTILINE)
    if failed:
        print(text[-20000:])
    assert not failed and len(re.findall(r"^status 0$", text, re.MULTILINE)) == len(re.findall("^== ", text, re.MULTILINE)), failed


main()
