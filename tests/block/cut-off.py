# SPDX-License-Identifier: MIT
"""Images whose end is missing, as a copy leaves them that has failed: nobody takes the zeroes for data."""

import os
import random
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
KIB, MIB = 1 << 10, 1 << 20
FORMATS = ["qcow2", "vmdk", "vdi", "vpc", "parallels"]


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=allow(60))
    assert result.returncode == status, (command, result.returncode, result.stdout, result.stderr)
    return result.stderr


def io(fmt, name, *commands, status=0, flags=()):
    return run(IO, "-f", fmt, *flags, *[a for c in commands for a in ("-c", c)], name,
               status=status)


def create(fmt, name, size="16M", options=()):
    run(IMG, "create", "-q", "-f", fmt, *options, name, size)


def cut(name, at):
    """Everything from byte `at` on is lost; a number below 1 is a part of the whole."""
    size = os.path.getsize(name)
    os.truncate(name, int(size * at) if at < 1 else at)


def convert(fmt, name, *options, status=0):
    errors = run(IMG, "convert", "-f", fmt, "-O", "raw", *options, name, "copy.raw", status=status)
    with open("copy.raw", "rb") as copy:
        return errors, copy.read()


def all_formats():
    for fmt in FORMATS:
        create(fmt, "i")
        io(fmt, "i", "write -P 7 0 10M")
        run(IMG, "dd", "-q", "-f", fmt, "if=i", "of=copy.raw", "bs=1M")
        cut("i", 0.5)
        errors, copy = convert(fmt, "i", status=1)
        # What is there has been copied; the message says what to do.
        assert copy[:4 * MIB] == b"\x07" * (4 * MIB) and copy[9 * MIB:10 * MIB] == bytes(MIB)
        assert errors.count("warning: 'i' is cut off") == 1, errors
        assert "--salvage" in errors, errors
        errors, copy = convert(fmt, "i", "--salvage")
        assert errors.count("is cut off") == 1 and copy[:4 * MIB] == b"\x07" * (4 * MIB)
        errors = run(IMG, "dd", "-f", fmt, "if=i", "of=copy.raw", "bs=1M", status=1)
        assert "is cut off" in errors
        run(IMG, "compare", "-f", fmt, "-F", fmt, "i", "i", status=4)
        assert "is cut off" in io(fmt, "i", "read 9M 512", flags=["-r"])
        assert "is cut off" not in io(fmt, "i", "read 1M 512", flags=["-r"])
        if fmt != "vpc":  # has no check
            run(IMG, "check", "-f", fmt, "i", status=2)
        if fmt != "qcow2":
            # A new block could take the place of a lost one.
            io(fmt, "i", "write -P 1 15M 4k", status=1)
            io(fmt, "i", "write -P 1 1M 4k")


def whole():
    """What is right as it is: a last cluster that is there in part, metadata without data."""
    for fmt in FORMATS:
        create(fmt, "i")
        io(fmt, "i", "write -P 7 3M 4k")
        if fmt in ("qcow2", "vmdk"):
            cut("i", os.path.getsize("i") - 4 * KIB)
        assert convert(fmt, "i")[0] == "", fmt
        io(fmt, "i", "read -P 7 3M 4k", "write -P 8 7M 4k", "read -P 8 7M 4k")
        assert convert(fmt, "i")[0] == "", fmt
    for options in ("preallocation=metadata", "preallocation=metadata,extended_l2=on",
                    "data_file=d", "data_file=d,preallocation=metadata", "data_file=d,data_file_raw=on",
                    "cluster_size=512", "compat=0.10"):
        create("qcow2", "i", options=("-o", options))
        assert convert("qcow2", "i")[0] == "", options
        assert io("qcow2", "i", "write -P 7 9M 2M", "discard 10M 64k", "write -z 9M 100k",
                  "read 0 16M") == "", options
        assert convert("qcow2", "i")[0] == "", options
        if os.path.exists("d"):
            os.unlink("d")
        os.unlink("i")


def tables():
    """Tables behind the end are data, too."""
    create("qcow2", "i", options=("-o", "cluster_size=4k"))
    io("qcow2", "i", "write -P 1 0 512", "write -P 2 4M 512", "write -P 3 8M 512")
    run(IMG, "snapshot", "-c", "s", "i")
    os.link("i", "keep")
    size = os.path.getsize("i")
    cut("i", size - 8 * KIB)  # the snapshot's L1 table, or what the table of snapshots is
    result = subprocess.run([IMG, "convert", "-l", "s", "-O", "raw", "i", "copy.raw"],
                            stderr=subprocess.PIPE, text=True, timeout=allow(60))
    assert result.returncode == 1, result
    os.unlink("keep")
    # All counts are lost: nothing may be written.
    create("qcow2", "i", options=("-o", "cluster_size=64k"))
    io("qcow2", "i", "write -P 1 0 512")
    with open("i", "r+b") as image:
        image.seek(64 * KIB)
        image.write((1 << 30).to_bytes(8, "big"))  # the refcount table names a block at 1 GiB
    assert "cannot be written" in io("qcow2", "i", "write 0 512", status=1)
    assert "cannot be written" not in convert("qcow2", "i")[0]
    # All L2 tables are lost.
    create("qcow2", "i", options=("-o", "cluster_size=64k"))
    io("qcow2", "i", "write -P 1 0 512")
    cut("i", 256 * KIB)
    assert "is cut off" in convert("qcow2", "i", status=1)[0]


def in_use():
    """Losses stay losses when an image grows again."""
    create("qcow2", "i")
    io("qcow2", "i", "write -P 7 0 4M")
    cut("i", 2 * MIB)
    assert "is cut off" in io("qcow2", "i", "write -P 8 6M 512", "read -P 8 6M 512", "read 3M 512")
    create("qcow2", "i", options=("-o", "data_file=d"))
    io("qcow2", "i", "write -P 7 0 4M")
    cut("d", 2 * MIB)
    assert "is cut off" in convert("qcow2", "i", status=1)[0]
    os.unlink("d")


def grown():
    """Data before and behind the end that the file had is read in one piece."""
    create("qcow2", "g", size="4M")
    io("qcow2", "g", "write -P 1 0 1M")
    assert not io("qcow2", "g", "write -P 2 1M 1M", "read -P 1 512k 512k", "read 512k 1M")


def chains():
    """A base keeps its data when what is to be committed is lost; so do images that are rebased."""
    create("raw", "base", "4M")
    io("raw", "base", "write -P 5 0 4M")
    create("qcow2", "top", options=("-b", "base", "-F", "raw"), size="4M")
    io("qcow2", "top", "write -P 6 0 4M")
    cut("top", 1 * MIB)
    errors = run(IMG, "commit", "-q", "-f", "qcow2", "top", status=1)
    assert "cannot be copied" in errors
    io("raw", "base", "read -P 5 2M 2M", flags=["-r"])
    create("qcow2", "old", size="4M")
    io("qcow2", "old", "write -P 6 0 4M")
    cut("old", 1 * MIB)
    create("qcow2", "top", options=("-b", "old", "-F", "qcow2"), size="4M")
    run(IMG, "rebase", "-b", "", "top", status=1)
    assert "is cut off" in convert("qcow2", "top", status=1)[0]


def headers():
    """What an image is opened by is not there: nothing is guessed, and no passphrase is called wrong."""
    secret = ("--object", "secret,id=s,data=abc")
    for fmt, points, words in (("qed", (64, 4096, 65536), "QED image is cut off"),
                               ("vpc", (1024, 1536), "VHD image is cut off"),
                               ("luks", (592, 4096, 100000), "LUKS header is cut off")):
        luks = fmt == "luks"
        create(fmt, "i", options=("-o", "key-secret=s,iter-time=10", *secret) if luks else ())
        with open("i", "rb") as whole_file:
            data = whole_file.read()
        for point in points:
            with open("i", "wb") as file:
                file.write(data[:point])
            assert words in run(IMG, "info", "-f", fmt, "i", status=1), (fmt, point)
            if luks:
                errors = run(IMG, "convert", *secret, "--image-opts", "-O", "raw",
                             "driver=luks,file.filename=i,key-secret=s", "copy.raw", status=1)
            else:
                errors = convert(fmt, "i", status=1)[0]
            assert words in errors, (fmt, point, errors)


def last_block():
    """Blocks of VHD are there in full."""
    create("vpc", "i")
    io("vpc", "i", "write -P 7 0 2M")
    cut("i", os.path.getsize("i") - 512)  # the footer alone, of which there is a copy
    assert convert("vpc", "i")[0] == ""
    cut("i", os.path.getsize("i") - 512)
    errors, copy = convert("vpc", "i", status=1)
    assert "is cut off" in errors and copy[:MIB] == b"\x07" * MIB


def packed():
    """Wherever an image of compressed blocks is cut off, it is said so, and nothing else comes out than what was put in."""
    rand = random.Random(1)
    data = b"".join(bytes(rand.choices(b"ABCD", k=4096)) * 4 + bytes(16 * KIB) for _ in range(32))
    with open("plain.raw", "wb") as file:
        file.write(data)
    for fmt, options in (("vmdk", ("-o", "subformat=streamOptimized")), ("qcow2", ("-c",)), ("qcow", ("-c",)),
                         ("qcow2", ("-c", "-o", "compression_type=zstd")), ("vmdk", ())):
        run(IMG, "convert", "-f", "raw", "-O", fmt, *options, "plain.raw", "whole")
        with open("whole", "rb") as file:
            image = file.read()
        size = len(image)
        points = {size * i // 24 for i in range(1, 24)} | {size - i for i in (1, 2, 7, 511, 512, 513, 1500)}
        if fmt == "vmdk":
            directory = struct.unpack_from("<Q", image, 56)[0] * 512
            table = struct.unpack_from("<I", image, directory)[0] * 512
            points |= {directory, directory + 2, table, table + 4, table + 6, table + 16}
        for point in sorted(points):
            with open("i", "wb") as file:
                file.write(image[:point])
            done = subprocess.run([IMG, "convert", "-f", fmt, "-O", "raw", "i", "copy.raw"], stderr=subprocess.PIPE, timeout=allow(60))
            with open("copy.raw", "rb") as copy:
                lost = done.returncode != 0 or copy.read() != data
            # The last block that is not packed may be there in part.
            assert done.returncode or not lost or (fmt == "vmdk" and not options and point > size - 64 * KIB), (fmt, options, point)
            if fmt != "qcow" and lost and point < size - 512:
                done = subprocess.run([IMG, "check", "-f", fmt, "i"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=allow(60))
                assert done.returncode in (1, 2), (fmt, options, point, done)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        all_formats()
        whole()
        tables()
        in_use()
        grown()
        chains()
        headers()
        last_block()
        packed()
        os.chdir("/")


main()
