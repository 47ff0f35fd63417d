#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-inside-guest KASO KASO_IMG CC ROOT [CLASS…]: tests that want a /dev/kvm on the real KVM of scripts/kvm-guest, with as much of Python as they import: the classes
of test-kvm.py (what needs gdb is left out), and "Libvirt", whose launcher passes descriptors of TAP and vhost-net."""
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile

from inner import need_programs, run

KASO, KASO_IMG, CC, ROOT, *CLASSES = sys.argv[1:]
SOURCES = [f"{ROOT}/tests/kvm/{name}" for name in ("start.S", "programs.c", "storm.c", "bars.c", "fail-ioctl.c")]
TEST = f"{ROOT}/tests/kvm/test-kvm.py"
LIBVIRT = [f"{ROOT}/tests/boot/{name}.py" for name in ("test-pc-libvirt", "namespace", "guest", "qmp")]
PATIENCE = f"{ROOT}/tests/patience.py"
ROMS = ["/usr/share/seabios/vgabios-cirrus.bin", "/usr/lib/ipxe/qemu/efi-virtio.rom"]
BOOT = f"{ROOT}/build/boot/quick/amd64"
IMPLICIT = ("ctypes", "encodings.ascii", "encodings.idna", "encodings.latin_1", "locale", "unittest.main")  # Python asks for these by itself
folder = tempfile.TemporaryDirectory()


def imported(files):
    """Modules of Python's own that the files import, at the top or in a function."""
    nodes = []
    for file in files:
        with open(file, encoding="utf-8") as source:
            nodes += ast.walk(ast.parse(source.read()))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return sorted(names & sys.stdlib_module_names)


def python_home(home):
    """A folder with the modules; the interpreter, and those modules that may need libraries."""
    modules = {"sys", *IMPLICIT, *imported(file for file in (TEST, PATIENCE, *LIBVIRT, *SOURCES) if file.endswith(".py"))}
    listed = subprocess.run([sys.executable, "-S", "-c", f"import {', '.join(sorted(modules))}\nprint(sys.prefix)\n"
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
    if not CLASSES:
        CLASSES.extend(["Programs", "Options", "Moves", "States", "Faults", *(["Libvirt"] if os.path.exists(f"{BOOT}/linux") else [])])
    files = [file for file in (KASO_IMG, BOOT, *LIBVIRT, *ROMS) if os.path.exists(file)] if "Libvirt" in CLASSES else []
    built, script = os.path.join(folder.name, "built"), os.path.join(folder.name, "run.sh")
    os.mkdir(built)
    subprocess.run([sys.executable, TEST, KASO, CC, *SOURCES, "build", built], check=True)
    home = os.path.join(folder.name, "python")
    python, *modules = python_home(home)
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexport KASO_KVM_TEST=strict KASO_TEST_PATIENCE=10 PYTHONDONTWRITEBYTECODE=1 PYTHONHOME={home}\n")
        for name in CLASSES:
            test = f"{TEST} {os.path.abspath(KASO)} {built} {' '.join(SOURCES)} {name}"
            if name == "Libvirt":
                file.write("mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; export KASO_TEST_ACCEL=kvm\n")
                test = f"{LIBVIRT[0]} {os.path.abspath(KASO)} {os.path.abspath(KASO_IMG)} {BOOT}"
            file.write(f"echo '== {name}'; {python} -S {test} 2>&1; echo status $?\n")
    text = run(KASO, f"{ROOT}/scripts", script, [KASO, TEST, PATIENCE, built, f"{ROOT}/tests/kvm/start.S", shutil.which("env"), home, *modules, python, *files], 3600, 2048 if files else 1536,
               line=lambda line: re.search(r" \.\.\. |^(FAIL|ERROR|Ran|status|==)", line) and print(line, flush=True))
    failed = re.findall(r"^(?:FAIL|ERROR): .*|^status [^0].*", text, re.MULTILINE)
    if text.count("\nstatus ") != len(CLASSES):
        failed.append("a class did not come to its end")
    if failed:
        print(text[-20000:])
    assert not failed, failed


main()
