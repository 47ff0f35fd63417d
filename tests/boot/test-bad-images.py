#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-bad-images KASO: each wrong file or size ends at once, with a message that names it, and status 1."""
import gzip
import os
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

kaso = os.path.abspath(sys.argv[1])
failures = 0


def image(image_size, size=4096):
    """An arm64 Image with nothing in it."""
    return (bytes(8) + struct.pack("<QQ", 0, image_size) + bytes(32) + b"ARM\x64").ljust(size, b"\0")


def expect(words, *options):
    global failures
    argv = [kaso, "-M", "virt", "-nographic", *options]
    try:
        run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(20))
    except subprocess.TimeoutExpired:
        print(f"{' '.join(options)}: does not end")
        failures += 1
        return
    missing = [word for word in words if word not in run.stderr]
    if run.returncode != 1 or missing:
        print(f"{' '.join(options)}: status {run.returncode}, no {missing} in: {run.stderr}")
        failures += 1


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for name, content in {
        "empty": b"",
        "good": image(8192),
        "large": image(100 << 20),
        "odd": image(1 << 50),
        "packed": gzip.compress(os.urandom(100000))[:50000],
        "zboot": b"MZ\0\0zimg" + struct.pack("<II", 64, 1 << 30) + bytes(8) + b"gzip".ljust(40, b"\0"),
        "elf": b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + struct.pack("<H", 62) + bytes(100),
        "tree": struct.pack(">I", 0xD00DFEED) + bytes(100),
    }.items():
        with open(name, "wb") as f:
            f.write(content)
    with open("vast", "wb") as f:
        f.truncate(65 << 20)
    os.mkdir("folder")

    expect(["nothing to run"])
    expect(["none-such", "No such file"], "-kernel", "none-such")
    expect(["empty"], "-kernel", "empty")
    expect(["folder"], "-kernel", "folder")
    expect(["packed", "truncated"], "-kernel", "packed")
    expect(["zboot", "truncated"], "-kernel", "zboot")
    expect(["elf", "ELF file for x86-64"], "-kernel", "elf")
    expect(["odd", "damaged"], "-kernel", "odd")
    expect(["large", "too little RAM"], "-kernel", "large", "-m", "64")
    expect(["none-such"], "-kernel", "good", "-initrd", "none-such")
    expect(["empty"], "-kernel", "good", "-initrd", "empty")
    expect(["vast", "too little RAM"], "-kernel", "good", "-initrd", "vast", "-m", "64")
    expect(["tree", "not a valid blob"], "-kernel", "good", "-dtb", "tree")
    expect(["vast"], "-kernel", "good", "-dtb", "vast")
    expect(["none-such"], "-kernel", "good", "-dtb", "none-such")
    expect(["vast", "67108864"], "-bios", "vast")
    expect(["empty"], "-bios", "empty")
    expect(["none-such.fd"], "-bios", "none-such.fd")
    expect(["vast", "67108864"], "-drive", "if=pflash,format=raw,file=vast")
    expect(["good", "readonly=on"], "-drive", "if=pflash,format=raw,file=good")
    expect(["exclude each other"], "-bios", "good", "-drive", "if=pflash,format=raw,readonly=on,file=good")
    expect(["-append"], "-append", "quiet", "-bios", "good")
    expect(["16 MiB"], "-kernel", "good", "-m", "8")
    expect(["gic-version"], "-kernel", "good", "-M", "virt,gic-version=1")
    expect(["highmem=off"], "-kernel", "good", "-M", "virt,highmem=off", "-m", "4G")
sys.exit(1 if failures else 0)
