# SPDX-License-Identifier: MIT
"""Features of images that kaso-img and kaso-io reach: preallocation ahead, copying of bitmaps."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
MIB = 1 << 20


def run(*command, status=0, text=None):
    result = subprocess.run([str(c) for c in command], input=text, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=allow(60))
    assert status is None or result.returncode == status, (command, result.returncode, result.stdout, result.stderr)
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
    process.communicate(timeout=allow(60))
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


def info(image):
    return json.loads(run(IMG, "info", "--output=json", image))


def bitmaps_of(image):
    return {b["name"]: b for b in info(image)["format-specific"]["data"].get("bitmaps", [])}


def bitmaps():
    """convert --bitmaps, --skip-broken-bitmaps; merging from another file; resizing."""
    run(IMG, "create", "-q", "-f", "qcow2", "s.qcow2", "4M")
    run(IMG, "bitmap", "--add", "-g", "64k", "s.qcow2", "b0")
    run(IMG, "bitmap", "--add", "-g", "1M", "--disable", "s.qcow2", "b1")
    io("driver=qcow2,file.filename=s.qcow2", "write -P 7 1M 1M")
    run(IMG, "convert", "-O", "qcow2", "--bitmaps", "s.qcow2", "d.qcow2")
    assert bitmaps_of("d.qcow2") == bitmaps_of("s.qcow2") and len(bitmaps_of("d.qcow2")) == 2
    assert "No errors" in run(IMG, "check", "d.qcow2")
    run(IMG, "create", "-q", "-f", "qcow2", "m.qcow2", "4M")
    run(IMG, "bitmap", "--add", "--merge", "b0", "-b", "d.qcow2", "-F", "qcow2", "m.qcow2", "new")
    assert bitmaps_of("m.qcow2")["new"]["flags"] == ["auto"]
    for size in ("9M", "3M"):
        run(IMG, "resize", "-q", "--shrink", "m.qcow2", size)
        assert "No errors" in run(IMG, "check", "m.qcow2")
        assert bitmaps_of("m.qcow2")["new"]["flags"] == ["auto"]
    assert "different sizes" in run(IMG, "bitmap", "--merge", "b0", "-b", "d.qcow2", "m.qcow2",
                                    "new", status=1)
    run(IMG, "bitmap", "--remove-all", "m.qcow2")
    assert not bitmaps_of("m.qcow2")
    assert "requires --bitmaps" in run(IMG, "convert", "--skip-broken-bitmaps", "s.qcow2",
                                       "x.raw", status=1)
    assert "does not support bitmaps" in run(IMG, "convert", "--bitmaps", "s.qcow2", "x.raw",
                                             status=1)
    # A writer that dies leaves them in use.
    process = subprocess.Popen([IO, "s.qcow2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, bufsize=1)
    process.stdin.write("write 0 64k\nflush\n")
    process.stdin.flush()
    process.stdout.readline()
    process.kill()
    process.communicate()
    assert "in-use" in bitmaps_of("s.qcow2")["b0"]["flags"]
    os.unlink("d.qcow2")
    assert "inconsistent bitmap" in run(IMG, "convert", "-O", "qcow2", "--bitmaps", "s.qcow2",
                                        "d.qcow2", status=1)
    assert "Skipping" in run(IMG, "convert", "-O", "qcow2", "--bitmaps", "--skip-broken-bitmaps",
                             "s.qcow2", "d.qcow2")
    assert not bitmaps_of("d.qcow2")


def amend():
    """Each width of refcounts, there and back."""
    for bits in (1, 8, 64):
        run(IMG, "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "a.qcow2", "16M")
        io("driver=qcow2,file.filename=a.qcow2", "write -P 1 0 3M")
        if bits > 1:
            run(IMG, "snapshot", "-c", "s", "a.qcow2")
        for width in (bits, 16):
            run(IMG, "amend", "-o", "refcount_bits=%d" % width, "a.qcow2")
            assert info("a.qcow2")["format-specific"]["data"]["refcount-bits"] == width
            assert "No errors" in run(IMG, "check", "a.qcow2")
            io("driver=qcow2,file.filename=a.qcow2", "read -P 1 0 2M", "write -P 2 2M 1M")
    assert "too few" in run(IMG, "amend", "-o", "refcount_bits=1", "a.qcow2", status=1)
    run(IMG, "resize", "-q", "--shrink", "a.qcow2", "1M")
    assert "No errors" in run(IMG, "check", "a.qcow2")
    run(IMG, "snapshot", "-a", "s", "a.qcow2")
    assert info("a.qcow2")["virtual-size"] == 16 * MIB
    io("driver=qcow2,file.filename=a.qcow2", "read -P 1 0 3M")
    assert "Invalid parameter" in run(IMG, "amend", "-o", "cluster_size=64k", "a.qcow2", status=1)


def content(image, snapshot=None):
    run(IMG, "convert", "-O", "raw", *(["-l", snapshot] if snapshot else []), image, "content.raw")
    with open("content.raw", "rb") as file:
        return file.read()


def downgrade():
    """compat=0.10: clusters of zeroes go, in snapshots, too; what version 2 cannot hold is refused."""
    run(IMG, "create", "-q", "-f", "qcow2", "v.base", "4M")
    run(IO, "v.base", "-c", "write -P 9 0 4M")
    for options, cluster in ((("-b", "v.base", "-F", "qcow2"), "4k"), ((), "64k")):
        run(IMG, "create", "-q", "-f", "qcow2", "-o", "cluster_size=%s,lazy_refcounts=on" % cluster, *options,
            "v.qcow2", "4M")
        run(IO, "v.qcow2", "-c", "write -P 1 0 1M", "-c", "write -z 1M 1M", "-c", "write -z -u 2M 64k")
        run(IMG, "snapshot", "-c", "one", "v.qcow2")
        run(IMG, "snapshot", "-c", "same", "v.qcow2")
        run(IO, "v.qcow2", "-c", "write -z 0 128k", "-c", "write -P 2 1M 64k", "-c", "write -P 3 3M 64k")
        run(IMG, "snapshot", "-c", "two", "v.qcow2")
        run(IO, "v.qcow2", "-c", "write -z 3M 64k", "-c", "write -z 512k 64k")
        before = [content("v.qcow2", s) for s in (None, "one", "same", "two")]
        run(IMG, "amend", "-o", "compat=0.10", "v.qcow2")
        for program in [[IMG]] + ([[shutil.which("qemu-img")]] if shutil.which("qemu-img") else []):
            assert "No errors" in run(*program, "check", "v.qcow2")
        assert info("v.qcow2")["format-specific"]["data"]["compat"] == "0.10"
        assert [content("v.qcow2", s) for s in (None, "one", "same", "two")] == before
        for snapshot, expected in (("two", 3), ("one", 1)):
            run(IMG, "snapshot", "-a", snapshot, "v.qcow2")
            assert content("v.qcow2") == before[expected]
        for snapshot in ("one", "same", "two"):
            run(IMG, "snapshot", "-d", snapshot, "v.qcow2")
        assert "No errors" in run(IMG, "check", "v.qcow2")
        assert content("v.qcow2") == before[1]
        run(IMG, "amend", "-o", "compat=1.1", "v.qcow2")
        assert content("v.qcow2") == before[1]
    for text, create, more in (("subclusters", "extended_l2=on", ""), ("data file", "data_file=v.data", ""),
                               ("refcount_bits", "refcount_bits=8", ""), ("zstd", "compression_type=zstd", ""),
                               ("Lazy", "lazy_refcounts=on", ",lazy_refcounts=on")):
        run(IMG, "create", "-q", "-f", "qcow2", "-o", create, "v.qcow2", "4M")
        if text == "zstd":
            run(IMG, "amend", "-o", "compat=0.10", "v.qcow2")
            run(IO, "v.qcow2", "-c", "write -c -P 1 0 64k", "-c", "read -P 1 0 64k")
            run(IMG, "create", "-q", "-f", "qcow2", "-o", create, "v.qcow2", "4M")
            run(IO, "v.qcow2", "-c", "write -c -P 1 0 64k")
        assert text in run(IMG, "amend", "-o", "compat=0.10" + more, "v.qcow2", status=1)
        assert info("v.qcow2")["format-specific"]["data"]["compat"] == "1.1"
    run(IMG, "create", "-q", "-f", "qcow2", "v.qcow2", "4M")
    run(IMG, "bitmap", "--add", "v.qcow2", "b")
    assert "--remove-all" in run(IMG, "amend", "-o", "compat=0.10", "v.qcow2", status=1)
    run(IMG, "bitmap", "--remove-all", "v.qcow2")
    run(IMG, "snapshot", "-c", "small", "v.qcow2")
    run(IMG, "resize", "-q", "v.qcow2", "8M")
    assert "'small'" in run(IMG, "amend", "-o", "compat=0.10", "v.qcow2", status=1)
    assert "No errors" in run(IMG, "check", "v.qcow2")


def killed_writer(image):
    """What is flushed is there, the file is as if the power had gone."""
    process = subprocess.Popen([IO, image], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    process.stdin.write("write -P 1 0 1M\nflush\nwrite -P 2 2M 64k\n")
    process.stdin.flush()
    for _ in range(4):
        process.stdout.readline()
    process.kill()
    process.communicate()


def qed():
    """Backing files, growing, and what the bit for unfinished changes of tables is for."""
    qemu = shutil.which("qemu-img")
    check = [[IMG], [qemu]] if qemu else [[IMG]]
    run(IMG, "create", "-q", "-f", "qed", "q.base", "3M")
    run(IO, "q.base", "-c", "write -P 9 0 3M")
    out = run(IMG, "create", "-f", "qed", "-o", "cluster_size=4k,table_size=2", "-b", "q.base", "-F", "qed", "q.qed", "2M")
    assert out == "Formatting 'q.qed', fmt=qed size=2097152 backing_file=q.base backing_fmt=qed " \
                  "cluster_size=4096 table_size=2\n", out
    run(IO, "q.qed", "-c", "write -P 1 1000 3000", "-c", "write -z 64k 10k", "-c", "write -P 2 2043k 4k",
        "-c", "read -P 9 0 1000", "-c", "read -P 9 4000 96", "-c", "read -P 0 64k 10k")
    run(IMG, "resize", "-q", "q.qed", "4M")
    run(IO, "q.qed", "-c", "read -P 1 1000 3000", "-c", "read -P 2 2043k 4k", "-c", "read -P 0 2M 2M",
        "-c", "read -P 0 64k 10k", "-c", "read -P 9 76k 1M")
    assert "only grow" in run(IMG, "resize", "--shrink", "q.qed", "1M", status=1)
    before = content("q.qed")
    run(IMG, "create", "-q", "-f", "raw", "q.raw", "3M")
    run(IMG, "rebase", "-f", "qed", "-b", "q.raw", "-F", "raw", "q.qed")
    assert content("q.qed") == before and info("q.qed")["backing-filename-format"] == "raw"
    for program in check:
        assert "No errors" in run(*program, "check", "q.qed")
    run(IMG, "commit", "-q", "q.qed")
    assert content("q.raw") == before
    run(IMG, "rebase", "-u", "-b", "", "q.qed")
    assert "backing-filename" not in info("q.qed")
    for options, text in (("cluster_size=1k", "cluster_size"), ("table_size=3", "table_size"),
                          ("cluster_size=4k,table_size=1", "at most 1073741824")):
        assert text in run(IMG, "create", "-f", "qed", "-o", options, "x.qed", "2G", status=1)
    for program in check:
        run(IMG, "create", "-q", "-f", "qed", "-o", "cluster_size=4k", "k.qed", "4M")
        killed_writer("k.qed")
        assert info("k.qed")["dirty-flag"]
        with open("k.qed", "r+b") as file:  # the last clusters never came
            file.truncate(os.path.getsize("k.qed") - 40960)
        run(IO, "-r", "k.qed", "-c", "read -P 1 0 1M", "-c", "read -P 2 2M 24k", "-c", "read -P 0 2072k 40k")
        run(*program, "check", "-r", "all", "k.qed", status=0 if program == [IMG] else None)
        run(IO, "k.qed", "-c", "read -P 1 0 1M", "-c", "read -P 2 2M 24k", "-c", "read -P 0 2072k 40k",
            "-c", "write -P 3 3M 64k", "-c", "read -P 0 2072k 40k")
        assert not info("k.qed")["dirty-flag"]
        for other in check:
            assert "No errors" in run(*other, "check", "k.qed")
    run(IMG, "create", "-q", "-f", "qed", "-o", "cluster_size=4k", "k.qed", "4M")
    killed_writer("k.qed")
    run(IO, "k.qed", "-c", "read -P 1 0 1M", "-c", "write -P 3 3M 64k")
    assert not info("k.qed")["dirty-flag"]


def messages():
    """What scripts notice: statuses and refusals."""
    run(IMG, "create", "-q", "-f", "qcow2", "base.qcow2", "8M")
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2")
    io("driver=qcow2,file.filename=base.qcow2", "write -P 1 0 1M")
    io("driver=qcow2,file.filename=top.qcow2", "write -P 2 4M 64k")
    # What the backing file has is not copied.
    run(IMG, "convert", "-O", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2", "same.qcow2")
    run(IMG, "compare", "top.qcow2", "same.qcow2")
    assert {e["depth"] for e in json.loads(run(IMG, "map", "--output=json", "same.qcow2"))
            if e["data"]} == {0, 1}
    run(IMG, "convert", "-S", "0", "-O", "qcow2", "top.qcow2", "full.qcow2")
    assert all(e["data"] for e in json.loads(run(IMG, "map", "--output=json", "full.qcow2")))
    run(IMG, "convert", "-O", "qcow2", "-o", "size=1M", "top.qcow2", "cut.qcow2")
    assert info("cut.qcow2")["virtual-size"] == MIB
    for name in ("vdi", "vmdk", "parallels"):
        run(IMG, "convert", "-O", name, "top.qcow2", "x." + name)
        assert "No errors" in run(IMG, "check", "-f", name, "x." + name)
    with open("x.vdi", "r+b") as file:  # the second block of the map names the first one's place
        file.seek(512)
        first = file.read(4)
        file.seek(512 + 16)
        file.write(first)
    assert "two places" in run(IMG, "check", "x.vdi", status=2)
    run(IMG, "create", "-q", "-f", "raw", "r.raw", "1M")
    for status, text, *command in (
            (1, "mutually exclusive", "info", "--image-opts", "-f", "raw", "file.filename=r.raw"),
            (1, "requires use of -n", "convert", "--target-is-zero", "r.raw", "y.raw"),
            (1, "requires use of -n", "convert", "--target-image-opts", "r.raw", "y.raw"),
            (1, "multiples of 512", "convert", "-S", "1000", "r.raw", "y.raw"),
            (1, "between 1 and 16", "convert", "-m", "17", "r.raw", "y.raw"),
            (1, "explicit backing format", "convert", "-O", "qcow2", "-b", "base.qcow2",
             "top.qcow2", "y.qcow2"),
            (1, "format must be specified", "rebase", "-u", "-b", "base.qcow2", "top.qcow2"),
            (1, "growing images", "resize", "--shrink", "--preallocation=full", "r.raw", "512k"),
            (1, "Try 'kaso-img bench --help'", "bench"),
            (1, "between 0 and 255", "bench", "-w", "--pattern=300", "r.raw"),
            (1, "only available in write", "bench", "--flush-interval=1", "r.raw"),
            (1, "Invalid aio option", "bench", "-i", "foo", "r.raw"),
            (1, "cache.direct=on", "bench", "-n", "-f", "raw", "r.raw"),
            (1, "Must be between 1", "dd", "if=r.raw", "of=y", "bs=0"),
            (1, "two image file names", "compare", "r.raw"),
            (2, "Could not open", "compare", "r.raw", "nope"),
            (63, "does not support checks", "check", "r.raw"),
            (0, "", "snapshot", "-l", "r.raw"),
            (1, "Operation not supported", "snapshot", "-c", "s", "r.raw"),
            (1, "unrecognized option", "info", "--foo")):
        assert text in run(IMG, *command, status=status), command


def reopening():
    """kaso-io: a layer that vanishes, and the same image with other options."""
    run(IMG, "create", "-q", "-f", "qcow2", "o.qcow2", "4M")
    run(IO, "o.qcow2", "-c", "write -P 1 0 128k")
    with open("o.qcow2", "rb") as file:
        before = file.read()
    run(IO, "-s", "o.qcow2", "-c", "write -P 2 64k 64k", "-c", "read -P 1 0 64k", "-c", "read -P 2 64k 64k",
        "-c", "truncate 8M", "-c", "write -z 0 64k", "-c", "reopen -r", "-c", "reopen -w", "-c", "discard 1M 64k",
        "-c", "read -P 2 64k 64k")
    run(IO, "-c", "open -s o.qcow2", "-c", "write -P 2 0 4M", "-c", "close", "-c", "open -r o.qcow2",
        "-c", "read -P 1 0 128k")
    assert "-r and -w" in run(IO, "-s", "o.qcow2", "-c", "reopen -c none", status=1)
    run(IO, "-s", "-r", "o.qcow2", "-c", "write 0 4k", status=1)
    with open("o.qcow2", "rb") as file:
        assert file.read() == before
    write = ("-c", "write -P 3 0 64k")
    run(IO, "-r", "o.qcow2", *write, status=1)
    run(IO, "-r", "o.qcow2", "-c", "reopen", *write, status=1)
    run(IO, "-r", "o.qcow2", "-c", "reopen -w", *write)
    run(IO, "o.qcow2", "-c", "reopen -r", *write, status=1)
    run(IO, "o.qcow2", "-c", "reopen -o read-only=on", *write, status=1)
    run(IO, "o.qcow2", "-c", "aio_write -P 4 64k 64k", "-c", "reopen -c unsafe -o lazy-refcounts=on",
        "-c", "read -P 4 64k 64k", "-c", "reopen -r", "-c", "reopen -c writeback -w", *write)
    for text, command in (("'foo'", "-o foo=1"), ("cache option", "-c foo"), ("'driver'", "-o driver=raw"),
                          ("'file.filename'", "-o file.filename=x"), ("Only one", "-r -w"),
                          ("either -c", "-c none -o cache.direct=on"),
                          ("either -r or -w", "-r -o read-only=on"), ("'bar'", "bar")):
        out = run(IO, "o.qcow2", "-c", "reopen " + command, *write, status=1)
        assert text in out and "wrote 65536" in out, (command, out)
    assert "No errors" in run(IMG, "check", "o.qcow2")


def signals():
    """SIGUSR1 asks for the progress."""
    run(IMG, "create", "-q", "-f", "raw", "big.raw", "8M")
    io("driver=raw,file.filename=big.raw", "write -P 1 0 8M")
    process = subprocess.Popen([IMG, "convert", "-r", "4M", "-f", "raw", "-O", "raw", "big.raw",
                                "copy.raw"], stderr=subprocess.PIPE, text=True)
    while not (os.path.exists("copy.raw") and os.path.getsize("copy.raw")):
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert "/100%)" in process.communicate(timeout=allow(60))[1]
    assert process.returncode == 0


def rate():
    """However many pieces are copied at once, no more than the limit gets through."""
    run(IMG, "create", "-q", "-f", "raw", "big.raw", "8M")
    io("driver=raw,file.filename=big.raw", "write -P 1 0 8M")
    for option in ("-p", "-W"):
        start = time.monotonic()
        run(IMG, "convert", option, "-r", "16M", "-f", "raw", "-O", "qcow2", "big.raw", "rated")
        assert time.monotonic() - start > 7 / 16, option


def impatient():
    """Somebody at a terminal sees that something happens; a file gets nothing that was not asked for."""
    run(IMG, "create", "-q", "-f", "raw", "big.raw", "8M")
    io("driver=raw,file.filename=big.raw", "write -P 1 0 8M")
    slow = [IMG, "convert", "-r", "4M", "-f", "raw", "-O", "qcow2", "big.raw", "seen"]
    for more, seen in (([], True), (["-q"], False)):
        ours, theirs = os.openpty()
        subprocess.run([*slow, *more], stdout=theirs, check=True, timeout=allow(60))
        os.close(theirs)
        try:
            text = os.read(ours, 4096)
        except OSError:  # nothing, and nobody left to write
            text = b""
        os.close(ours)
        assert (b"/100%)" in text) == seen, (more, text)
    assert run(*slow) == ""


def advice():
    """What is wrong, and what to write instead; one message for one reason."""
    for command, words in ((["create", "-f", "qcow2", "-o", "clustersize=4k", "n", "1M"], "did you mean 'cluster_size'"),
                           (["create", "-f", "qcow2", "n", "1Q"], "k, M, G"),
                           (["convert", "-O", "qcow3", "big.raw", "n"], "--help")):
        assert words in run(IMG, *command, status=1), command
    run(IMG, "create", "-q", "-f", "raw", "big.raw", "8M")
    io("driver=raw,file.filename=big.raw", "write -P 1 0 8M")
    run(IMG, "create", "-q", "-f", "raw", "target", "8M")
    text = run(IMG, "convert", "-n", "-f", "raw", "--target-image-opts", "big.raw",
               "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=target,"
               "file.inject-error.0.iotype=write,file.inject-error.0.errno=28", status=1)
    assert text.count("No space left") == 1, text


def patch(image, at, data):
    with open(image, "r+b") as file:
        file.seek(at)
        file.write(data)


def add_extension(image, kind, data):
    """In front of the end of the header's extensions."""
    with open(image, "rb") as file:
        header = file.read(65536)
    at = struct.unpack_from(">I", header, 100)[0]
    while (found := struct.unpack_from(">II", header, at))[0]:
        at += 8 + (found[1] + 7) // 8 * 8
    patch(image, at, struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8 + 8))


def strange_headers():
    """Features that others have added: named where somebody names them, given up where they would be wrong."""
    run(IMG, "create", "-q", "-f", "qcow2", "f.qcow2", "1M")
    patch("f.qcow2", 72, b"\xe0")
    assert "feature(s): Unknown incompatible feature: e000000000000000" in run(IMG, "info", "f.qcow2", status=1)
    add_extension("f.qcow2", 0x6803f857, b"\0\x3eflying")  # shorter than an entry
    text = run(IMG, "info", "f.qcow2", status=1)
    assert "feature(s): flying, Unknown incompatible feature: a000000000000000" in text, text
    run(IMG, "create", "-q", "-f", "qcow2", "f.qcow2", "1M")
    patch("f.qcow2", 88, b"\x80")
    run(IMG, "check", "f.qcow2")
    with open("f.qcow2", "rb") as file:
        assert file.read(96)[88] == 0x80
    run(IMG, "check", "-r", "all", "f.qcow2")  # writes the image, as far as others can know
    with open("f.qcow2", "rb") as file:
        assert file.read(96)[88:] == bytes(8)


def leaks_alone():
    """Repairing leaks leaves no flag behind that does not fit the lower counts."""
    run(IMG, "create", "-q", "-f", "qcow2", "l.qcow2", "1M")
    run(IO, "l.qcow2", "-c", "write -P 7 0 128k")
    run(IMG, "snapshot", "-c", "s", "l.qcow2")
    patch("l.qcow2", 60, bytes(12))  # as if there were no snapshot
    assert "leaked" in run(IMG, "check", "l.qcow2", status=3)
    text = run(IMG, "check", "-r", "leaks", "l.qcow2")
    assert "Repairing OFLAG_COPIED" in text and "No errors were found" in text, text
    run(IO, "l.qcow2", "-c", "read -P 7 0 128k")


def inactive_tables():
    """A write that a broken entry sends into a snapshot's L2 table is refused by who asks for that check."""
    for options, refused in (("overlap-check=all", True), ("overlap-check.template=constant,overlap-check.inactive-l2=on", True),
                             ("overlap-check=constant", False)):
        run(IMG, "create", "-q", "-f", "qcow2", "o.qcow2", "64M")
        run(IO, "-c", "write -P 1 0 512", "o.qcow2")
        run(IMG, "snapshot", "-c", "s", "o.qcow2")
        run(IO, "-c", "write -P 2 0 512", "o.qcow2")
        with open("o.qcow2", "r+b") as file:
            def number(at):
                file.seek(at)
                return struct.unpack(">Q", file.read(8))[0] & 0xfffffffffffe00
            active, inactive = number(number(40)), number(number(number(64)))
            assert active and inactive and active != inactive
            file.seek(active)
            file.write(struct.pack(">Q", 1 << 63 | inactive))
        text = run(IO, "--image-opts", "driver=qcow2,file.filename=o.qcow2," + options, "-c", "write -P 3 0 512", status=None)
        assert ("write failed" in text) == refused, (options, text)
        if refused:
            assert "corrupt: true" in run(IMG, "info", "o.qcow2")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        preallocate()
        bitmaps()
        amend()
        downgrade()
        strange_headers()
        leaks_alone()
        inactive_tables()
        qed()
        messages()
        reopening()
        signals()
        rate()
        impatient()
        advice()
        os.chdir("/")


main()
