# SPDX-License-Identifier: MIT
"""The kernels of pc-kernels.S: what they are built of, and what they say when they were started rightly."""

import os
import struct
import subprocess

STATUS = 0x21  # of the emulator, from isa-debug-exit
DEVICES = ["-chardev", "stdio,id=out", "-device", "isa-debugcon,chardev=out", "-device", "isa-debug-exit"]


def move_segments(program, offset):
    """An ELF32 file is to be loaded that much lower than it is linked, as kernels for the upper half are."""
    with open(program, "r+b") as file:
        data = bytearray(file.read())
        start, = struct.unpack_from("<I", data, 28)
        size, count = struct.unpack_from("<HH", data, 42)
        for place in range(start + 12, start + 12 + size * count, size):
            struct.pack_into("<I", data, place, struct.unpack_from("<I", data, place)[0] - offset & 0xffffffff)
        file.seek(0)
        file.write(data)


def build(cc, source, kind, folder, offset=0):
    """The image of a format: LINUX, MULTIBOOT or PVH; linked so much above where it is loaded."""
    program = os.path.join(folder, kind)
    place = "-Wl,-Ttext=0" if kind == "LINUX" else "-Wl,-Ttext-segment=%#x" % (offset + 0x100000)
    subprocess.run([cc, "-m32", "-D" + kind, "-DOFFSET=%#x" % offset, "-nostdlib", "-static", "-no-pie", "-Wl,-N,--no-warn-rwx-segments,--build-id=none",
                    place, "-o", program, source], check=True)
    if kind != "LINUX":
        move_segments(program, offset)
        return program
    subprocess.run(["objcopy", "-O", "binary", program, program + ".bin"], check=True)
    return program + ".bin"
