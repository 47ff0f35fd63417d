# SPDX-License-Identifier: MIT
"""Compiles the samples in docs/howto: each C block that is a whole file (it begins with its licence)."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
            "-Wno-missing-field-initializers"]


def main():
    compiler = sys.argv[1:]
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0", "jansson", "pixman-1"], check=True,
                           capture_output=True, text=True).stdout.split()
    failed = 0
    for page in sorted((ROOT / "docs" / "howto").glob("*.md")):
        samples = re.findall(r"^```c\n(/\* SPDX.*?)^```$", page.read_text(encoding="utf-8"),
                             re.MULTILINE | re.DOTALL)
        for sample in samples:
            run = subprocess.run([*compiler, "-x", "c", "-std=gnu11", "-fsyntax-only", "-D_GNU_SOURCE",
                                  *WARNINGS, "-I", str(ROOT), *flags, "-"],
                                 input=sample, text=True, check=False)
            failed += run.returncode != 0
            print("ok" if run.returncode == 0 else "FAILED", page.name)
    return failed != 0


sys.exit(main())
