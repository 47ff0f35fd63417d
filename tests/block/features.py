# SPDX-License-Identifier: MIT
"""Features of images that kaso-img and kaso-io reach: preallocation ahead, copying of bitmaps."""

import json
import os
import subprocess
import sys
import tempfile

IMG, IO = map(os.path.abspath, sys.argv[1:3])
MIB = 1 << 20


def run(*command, status=0, text=None):
    result = subprocess.run([str(c) for c in command], input=text, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == status, (command, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def io(options, *commands):
    return run(IO, "--image-opts", options, *[a for c in commands for a in ("-c", c)])


def preallocate():
    """The file is long while it is written to, and exact afterwards."""
    run(IMG, "create", "-q", "-f", "qcow2", "p.qcow2", "64M")
    options = ("driver=qcow2,file.driver=preallocate,file.prealloc-size=4M,"
               "file.prealloc-align=64k,file.file.driver=file,file.file.filename=p.qcow2")
    process = subprocess.Popen([IO, "--image-opts", options], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, bufsize=1)
    process.stdin.write("write -P 3 0 100k\nwrite -z 1M 64k\n")
    process.stdin.flush()
    for _ in range(4):
        process.stdout.readline()
    assert os.path.getsize("p.qcow2") >= 4 * MIB
    process.stdin.write("quit\n")
    process.communicate(timeout=60)
    assert os.path.getsize("p.qcow2") < MIB
    assert "No errors" in run(IMG, "check", "p.qcow2")
    io("driver=qcow2,file.filename=p.qcow2", "read -P 3 0 100k", "read -P 0 1M 64k")
    raw = ("driver=raw,file.driver=preallocate,file.file.driver=file,"
           "file.file.filename=r.raw")
    run(IMG, "create", "-q", "-f", "raw", "r.raw", "1M")
    io(raw, "truncate 3M", "write -P 5 2M 1M", "write -z 1M 512k", "truncate 2560k")
    assert os.path.getsize("r.raw") == 2560 << 10
    io("driver=raw,file.driver=preallocate,file.file.filename=r.raw", "read -P 5 2M 512k")
    io("driver=throttle,limits.iops-total=1000,file.filename=p.qcow2", "read -P 3 0 100k")
    assert "prealloc-align" in run(IO, "--image-opts", raw + ",file.prealloc-align=0", "-c", "quit",
                                   status=1)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        preallocate()
        os.chdir("/")


main()
