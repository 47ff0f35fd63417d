# SPDX-License-Identifier: MIT
"""
Which folder a relative name begins at, for each name in headers and options: the table of
docs/design/block.md. Images lie in a folder, tools run above it.

usage: names.py KASO_IMG KASO_IO
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])


def run(*command, status=0, cwd=None):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=allow(60), cwd=cwd)
    text = result.stdout.decode()
    assert result.returncode == status, (command, result.returncode, text)
    return text


def fill(name, pattern):
    run(IMG, "create", "-q", "-f", "raw", name, "1M")
    run(IO, "-f", "raw", "-c", "write -P %d 0 1M" % pattern, name)


def reads(image, pattern, *options, cwd=None, status=0):
    run(IO, *options, "-r", "-c", "read -P %d 0 64k" % pattern, image, cwd=cwd, status=status)


def backing(kind, *more):
    """From the image's folder, whoever writes the name."""
    image = "sub/i." + kind
    fill("base", 1)
    fill("sub/base", 2)
    create = ("create", "-q", "-f", kind, "-F", "raw", *more)
    run(IMG, *create, "-b", "base", image)
    reads(image, 2)
    reads("i." + kind, 2, cwd="sub")
    run(IMG, *create, "-b", "../base", image)
    reads(image, 1)
    run(IMG, *create, "-b", os.path.abspath("base"), image)
    reads(image, 1)
    run(IMG, *create, "-b", "sub/base", image, status=1)
    if kind != "qcow":  # whose header has no format
        run(IMG, *create, "-b", "file:sub/base", image)  # with a protocol: from the current folder
        reads(image, 2)
        reads("i." + kind, 2, cwd="sub", status=1)
    run(IMG, "convert", "-f", "raw", "-O", kind, "-b", "base", "-F", "raw", "sub/base", image)
    reads(image, 2)


def rebase():
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "sub/i")
    run(IMG, "rebase", "-b", "../base", "-F", "raw", "sub/i")
    reads("sub/i", 2)  # as it read before
    run(IMG, "rebase", "-u", "-b", "../base", "-F", "raw", "sub/i")
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "sub/i")
    run(IMG, "rebase", "-u", "-b", "../base", "-F", "raw", "sub/i")
    reads("sub/i", 1)
    run(IMG, "rebase", "-b", "sub/base", "-F", "raw", "sub/i", status=1)


def data_files():
    """From the current folder; beside the image when there is none."""
    for name, where in (("sub/d", "sub/d"), ("e", "e"), ("file:f", "f"),
                        (os.path.abspath("other/g"), "other/g")):
        run(IMG, "create", "-q", "-f", "qcow2", "-o", "data_file=" + name, "sub/i", "1M")
        assert os.path.getsize(where) == 1 << 20 or os.path.getsize(where) == 0
        run(IO, "-c", "write -P 7 0 64k", "sub/i")
        reads("sub/i", 7)
        reads(where, 7, "-f", "raw")
        data = json.loads(run(IMG, "info", "--output=json", "sub/i"))["format-specific"]["data"]
        assert data["data-file"] == name.replace("file:", ""), data
    assert not os.path.exists("sub/sub") and not os.path.exists("sub/e")
    run(IMG, "create", "-q", "-f", "qcow2", "-o", "data_file=h", "sub/i", "1M")
    reads("i", 0, cwd="sub", status=1)
    os.rename("h", "sub/h")
    reads("sub/i", 0)
    reads("i", 0, cwd="sub")
    run(IMG, "convert", "-f", "raw", "-O", "qcow2", "-o", "data_file=sub/c", "base", "sub/i")
    reads("sub/i", 1)
    run(IMG, "amend", "-o", "data_file=sub/base", "sub/i")
    reads("sub/i", 2)
    reads("sub/i", 7, "--image-opts", status=1)
    run(IO, "--image-opts", "-r", "-c", "read -P 1 0 64k",
        "driver=qcow2,file.filename=sub/i,data-file.driver=file,data-file.filename=base")


def extents():
    """Beside the descriptor, by their bare names: the whole folder may move."""
    for kind, parts in (("monolithicFlat", ["-flat"]), ("twoGbMaxExtentFlat", ["-f001", "-f002"]),
                        ("twoGbMaxExtentSparse", ["-s001", "-s002"])):
        run(IMG, "create", "-q", "-f", "vmdk", "-o", "subformat=" + kind, "sub/v.vmdk",
            "3G" if len(parts) > 1 else "1G")
        run(IO, "-c", "write -P 4 0 64k", "sub/v.vmdk")
        for part in parts:
            assert os.path.exists("sub/v%s.vmdk" % part), os.listdir("sub")
        os.rename("sub", "moved")
        reads("moved/v.vmdk", 4)
        reads("v.vmdk", 4, cwd="moved")
        os.rename("moved", "sub")
    run(IMG, "create", "-q", "-f", "vmdk", "sub/p.vmdk", "1M")
    run(IO, "-c", "write -P 4 0 64k", "sub/p.vmdk")
    run(IMG, "create", "-q", "-f", "vmdk", "-b", "p.vmdk", "-F", "vmdk", "sub/o.vmdk")
    reads("sub/o.vmdk", 4)
    reads("o.vmdk", 4, cwd="sub")
    assert "vmdk image" in run(IMG, "create", "-f", "vmdk", "-b", "base", "-F", "raw",
                               "sub/o.vmdk", status=1)


def options():
    """From the current folder: what is no header's."""
    reads("json:{'driver':'raw','file':{'driver':'file','filename':'sub/base'}}", 2)
    run(IO, "--image-opts", "-r", "-c", "read -P 1 0 64k", "driver=raw,file.filename=base")
    run(IMG, "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
        'json:{"driver":"raw","file":{"driver":"file","filename":"sub/base"}}', "sub/i")
    reads("sub/i", 2)
    run(IO, "--image-opts", "-r", "-c", "read -P 1 0 64k",
        "driver=qcow2,file.filename=sub/i,backing.driver=raw,backing.file.filename=base")
    with open("key", "w", encoding="ascii") as file:
        file.write("secret")
    run(IMG, "create", "-q", "--object", "secret,id=s,file=key", "-f", "luks", "-o",
        "key-secret=s,iter-time=10", "sub/l", "1M")
    run(IO, "--object", "secret,id=s,file=../key", "--image-opts", "-c", "read 0 512",
        "driver=luks,key-secret=s,file.filename=l", cwd="sub")


def main():
    with tempfile.TemporaryDirectory(prefix="kaso-names-") as folder:
        os.chdir(folder)
        os.mkdir("sub")
        os.mkdir("other")
        for kind in ("qcow2", "qed", "qcow"):
            backing(kind)
        for test in (rebase, data_files, extents, options):
            test()
        os.chdir("/")


main()
