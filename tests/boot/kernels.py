# SPDX-License-Identifier: MIT
"""The kernels of pc-kernels.S: what they are built of, and what they say when they were started rightly."""

import os
import subprocess

STATUS = 0x21  # of the emulator, from isa-debug-exit
DEVICES = ["-chardev", "stdio,id=out", "-device", "isa-debugcon,chardev=out", "-device", "isa-debug-exit"]


def build(cc, source, kind, folder):
    """The image of a format: LINUX, MULTIBOOT or PVH."""
    program = os.path.join(folder, kind)
    place = "-Wl,-Ttext=0" if kind == "LINUX" else "-Wl,-Ttext-segment=0x100000"
    subprocess.run([cc, "-m32", "-D" + kind, "-nostdlib", "-static", "-no-pie", "-Wl,-N,--no-warn-rwx-segments,--build-id=none",
                    place, "-o", program, source], check=True)
    if kind != "LINUX":
        return program
    subprocess.run(["objcopy", "-O", "binary", program, program + ".bin"], check=True)
    return program + ".bin"
