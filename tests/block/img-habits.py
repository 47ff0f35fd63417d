# SPDX-License-Identifier: MIT
"""What scripts rely on in kaso-img: refusals that keep data, exit codes, fields of JSON, odd names."""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
MIB = 1 << 20


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=allow(60))
    text = (result.stdout + result.stderr).decode(errors="surrogateescape")
    assert result.returncode == status, (command, result.returncode, text)
    return text


def io(image, *commands, options=()):
    return run(IO, *options, *[a for c in commands for a in ("-c", c)], image)


def create(*arguments, status=0):
    return run(IMG, "create", "-q", "-f", "qcow2", *arguments, status=status)


def info(image):
    return json.loads(run(IMG, "info", "--output=json", image))


def versions():
    """Programs look for QEMU's words and its number before they trust what a tool can."""
    for program, word in ((IMG, "qemu-img"), (IO, "qemu-io")):
        for option in ("-V", "--version"):
            assert re.match(word + r" version \d+\.\d+\.\d+ \(Kaso \d", run(program, option))
    assert run(IMG, "--help").startswith(run(IMG, "--version"))


def creation():
    create("a", "1M")
    io("a", "write -P 3 0 64k")
    os.link("a", "hard")
    for name in ("a", "./a", "hard"):
        assert "same filename" in create("-b", "a", "-F", "qcow2", name, status=1)
        assert "same filename" in create("-u", "-b", "a", "-F", "qcow2", name, status=1)
    assert "image itself" in create("-o", "data_file=a", "hard", "1M", status=1)
    io("a", "read -P 3 0 64k")
    assert "-u" in create("-b", "none", "-F", "raw", "n", "1M", status=1)
    assert "only once" in create("-o", "size=2M", "n", "1M", status=1)
    assert "between 0 and" in create("n", "8E", status=1)
    assert "Formatting" not in run(IMG, "create", "-f", "qcow2", "x:y", "1M", status=1)
    assert not os.path.exists("n")
    create("-u", "-b", "none", "-F", "raw", "n", "1M")
    assert info("n")["backing-filename"] == "none"


def words():
    """What scripts search for, and the spellings that they use."""
    create("a", "1M")
    names = [line for line in run(IMG, "--help").splitlines() if "Supported formats:" in line]
    assert len(names) == 1 and {"qcow2", "raw", "vmdk"} <= set(names[0].split()), names
    assert "internal" not in names[0] and "temporary" not in names[0]
    single = "json:{'driver':'qcow2','file':{'driver':'file','filename':'a'}}"
    assert info(single)["format"] == info(single.replace("'", '"'))["format"] == "qcow2"
    run(IMG, "create", "-q", "it's \"a", "1M")
    for quoted in (r'json:{"driver":"raw","file.filename":"it\'s \"a"}',
                   r"json:{'driver':'raw','file.filename':'it\'s \"a'}",
                   "json:{'driver':\"raw\",'file.filename':\"it's \\\"a\"}"):
        assert info(quoted)["virtual-size"] == MIB, quoted
    run(IMG, "create", "-q", "-f", "raw", "r", "1M")
    assert "no effect" in run(IMG, "convert", "-n", "-O", "raw", "-o", "size=1M", "a", "r", status=1)
    run(IMG, "convert", "-n", "-O", "raw", "a", "r")
    for line in ("open -o driver=qcow2 a", "open -o lazy-refcounts=on a", "open a",
                 "open -o file.filename=a", "open -o driver=qcow2,file.filename=a", "open 'a'",
                 "open " + single, "open " + single.replace("'", '"'),
                 "open -o driver=raw,file.driver=null-co,file.size=1M",
                 "open -o driver=null-co,size=1M null-co://"):
        assert run(IO, "-f", "qcow2", "-c", line, "-c", "length", "-c", "reopen -r", "-c",
                   "length") == "1 MiB\n1 MiB\n", line
    assert run(IO, "-f", "qcow2", "-c", "open -o driver=raw,offset=64k r", "-c", "length") == \
        "960 KiB\n"
    # --image-opts is for what commands open, too.
    for line in ("open driver=qcow2,file.filename=a", "open -r driver=qcow2,file.filename=a"):
        assert run(IO, "--image-opts", "-c", line, "-c", "length", "-c", "reopen -r", "-c", "length") == "1 MiB\n1 MiB\n"
    # The prompt is there through pipes as well, with the program's name.
    os.symlink(IO, "qemu-io")
    for name in IO, "./qemu-io":
        done = subprocess.run([name, "-f", "qcow2", "a"], input="length\nquit\n", stdout=subprocess.PIPE, text=True, timeout=allow(60), check=True)
        assert done.stdout == "{0}> 1 MiB\n{0}> ".format(os.path.basename(name)), done.stdout
    with subprocess.Popen([IO, "-f", "qcow2", "a"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder:
        holder.stdin.write(b"length\n")
        holder.stdin.flush()
        holder.stdout.readline()
        text = run(IO, "-f", "qcow2", "-c", "length", "a", status=1)
        assert "Failed to get" in text and 'lock\nIs another process using the image [a]?' in text
        holder.communicate()


def data_files():
    run(IMG, "create", "-q", "d", "1M")
    raw = ("-f", "raw")
    io("d", "write -P 5 0 1M", options=raw)
    create("-o", "data_file=d,data_file_raw=on,keep_data_file=on", "k", "1M")
    io("k", "read -P 5 0 1M", "write -P 6 64k 64k")
    io("d", "read -P 5 0 64k", "read -P 6 64k 64k", options=raw)
    assert "No errors" in run(IMG, "check", "k")
    for options in ("data_file=d", "data_file=e,data_file_raw=on",
                    "data_file=d,preallocation=full"):
        create("-o", options + ",keep_data_file=on", "k2", "1M", status=1)
    io("d", "read -P 5 0 64k", options=raw)
    for how in ("data-file.driver=file,data-file.filename=d", "data-file.filename=d"):
        assert "data file: d" in run(IMG, "info", "--image-opts", "driver=qcow2,file.filename=k," + how)
    create("-o", "data_file=d,preallocation=metadata", "k3", "1M")  # the old content goes
    io("k3", "read -P 0 0 1M")


def sizes():
    run(IMG, "create", "-q", "-f", "vpc", "-o", "force_size=on", "vpc", "10M")
    for way, expected in (("chs", 301 * 4 * 17 * 512), ("current_size", 10 * MIB)):
        text = run(IMG, "info", "--output=json", "--image-opts", f"driver=vpc,force_size_calc={way},file.filename=vpc")
        assert json.loads(text)["virtual-size"] == expected, text
    create("r", "10M")
    for size in ("0", "-10M", "-11M"):
        assert "must be positive" in run(IMG, "resize", "--shrink", "r", size, status=1)
    assert info("r")["virtual-size"] == 10 * MIB
    assert "bogus" in run(IMG, "measure", "-O", "qcow2", "-o", "bogus=1", "--size", "1G", status=1)
    run(IMG, "measure", "--size", "1G", "-l", "s", status=1)
    for name in ("b", "bc"):
        run(IMG, "bitmap", "--add", "r", name)
    measured = json.loads(run(IMG, "measure", "-O", "qcow2", "--output=json", "r"))
    assert measured["bitmaps"] == 5 * 65536, measured
    with open("odd", "wb") as file:
        file.write(b"x" * 1000)
    run(IMG, "convert", "-f", "raw", "-O", "qcow2", "odd", "even")
    assert "Warning" not in run(IMG, "compare", "-s", "-f", "raw", "odd", "even")
    assert "Warning" not in run(IMG, "compare", "-f", "raw", "odd", "even")
    for arguments in (("-o", "10M"), ("-o", "10238k", "-S", "1k")):
        run(IMG, "bench", "-c", "8", *arguments, "r", status=1)


def tables():
    create("m", "1M")
    io("m", "write -c 64k 64k")
    assert "compressed" in run(IMG, "map", "m", status=1)
    run(IMG, "map", "--output=json", "m")
    run(IMG, "snapshot", "-c", b"\xff\xfe".decode(errors="surrogateescape"), "m")
    assert info("m")["snapshots"][0]["name"] == "\ufffd\ufffd"
    limits = json.loads(run(IMG, "info", "--limits", "--output=json", "m"))
    assert limits["limits"]["discard-alignment"] == 65536
    assert limits["children"][0]["info"]["limits"]["request-alignment"] == 1
    run(IMG, "create", "-q", "-f", "vmdk", "v", "1M")
    vmdk = info("v")["format-specific"]["data"]
    assert vmdk["create-type"] == "monolithicSparse" and vmdk["parent-cid"] == 0xffffffff
    assert vmdk["extents"] == [{"virtual-size": MIB, "filename": "v", "cluster-size": 65536, "format": ""}]
    name = "n, : =%20 ü"
    create("./" + name, "1M")
    assert info("./" + name)["filename"] == "./" + name
    assert info("json:" + json.dumps({"driver": "qcow2", "file": {"filename": name}}))


def chains():
    os.mkdir("sub")
    create("sub/a", "1M")
    create("-b", "a", "-F", "qcow2", "sub/b")
    create("-b", "b", "-F", "qcow2", "sub/c")
    assert "rate" in run(IMG, "commit", "-r", "foo", "sub/b", status=1)
    assert run(IMG, "commit", "-p", "-q", "-r", "1G", "sub/b") == ""
    io("sub/c", "write -P 7 0 64k")
    run(IMG, "commit", "-b", os.path.abspath("sub/a"), "sub/c")
    io("sub/a", "read -P 7 0 64k", "write -P 8 64k 100k")
    run(IMG, "rebase", "-c", "-b", "", "sub/b")
    pieces = json.loads(run(IMG, "map", "--output=json", "sub/b"))
    assert any(p["compressed"] for p in pieces)
    io("sub/b", "read -P 7 0 64k", "read -P 8 64k 100k", "read -P 0 164k 100k")
    assert "No errors" in run(IMG, "check", "sub/b")


def targets():
    """Nothing is copied onto what it comes from, by whatever name."""
    raw = ("-f", "raw")
    for name in ("src", "below", "ext"):
        run(IMG, "create", "-q", name, "1M")
        io(name, "write -P 3 0 1M", options=raw)
    os.symlink("src", "soft")
    os.link("src", "other")
    create("-b", "below", "-F", "raw", "over")
    create("-o", "data_file=ext,data_file_raw=on,keep_data_file=on", "withext", "1M")
    for source, target in (("src", "src"), ("src", "soft"), ("src", "other"), ("over", "below"),
                           ("withext", "ext")):
        form = raw if source == "src" else ()
        for share in ((), ("-U",)):
            for output in ("raw", "qcow2"):
                run(IMG, "convert", *form, *share, "-O", output, source, target, status=1)
                run(IMG, "dd", *form, *share, "-O", output, "if=" + source, "of=" + target, status=1)
        io(target, "read -P 3 0 1M", options=raw)
    run(IMG, "convert", *raw, "-O", "raw", "src", "soft", "twice")  # reading one image twice is fine
    assert os.path.getsize("twice") == 2 * MIB


def refused(image, line, words, *options):
    """kaso-io says why and ends with 1; nothing is written."""
    text = run(IO, *options, "-c", line, image, status=1)
    assert words in text, (line, text)


def io_commands():
    """What kaso-io refuses, and what it does beside reading and writing."""
    create("w", "4M")
    for line, words in (("discard 3M 2M", "discard failed: Input/output"), ("write 3M 2M", "write failed: Input/output"),
                        ("writev 3M 2M", "writev failed: "), ("readv 3M 2M", "readv failed: "),
                        ("write -u 0 64k", "-u requires -z"), ("write -n 0 64k", "-n requires -z"),
                        ("write -z -P 1 0 64k", "Only one of"), ("write -b -z 0 1k", "-b and -z"),
                        ("write -f -c 0 64k", "-f and -b or -c"), ("write 0 3G", "exceed"),
                        ("aio_write -z 0 4k 4k", "single length"), ("write 0", "argument count 1"),
                        ("read -s 5 0 1k", "require -P"), ("truncate -m x 9M", "-m off"),
                        ("read -P 0 -s 1020 -l 10 0 1k", "exceeds end"),
                        ("readv -z 0 4k", "invalid option"), ("flush -q", "expected 0 arguments"),
                        ("length x", "count 1 to length"), ("map x", "expected 0"), ("close x", "expected 0"),
                        ("aio_flush x", "expected 0"), ("help nope", "not found")):
        refused("w", line, words)
    refused("w", "length", "Invalid discard", "-d", "bogus")
    text = io("w", "aio_write -i 0 4k", "write -P 1 1M 1M", "aio_discard 1M 64k", "aio_flush",
              "alloc 3M 10M", "truncate -m falloc 5M", "info", "sleep 1", options=("-t", "directsync"))
    for words in ("injecting invalid write", "discard 65536/65536", "0/1048576 bytes allocated at "
                  "offset 3 MiB", "compression type: zlib"):
        assert words in text, (words, text)
    assert any(p["start"] <= 4 * MIB and p["present"] for p in
               json.loads(run(IMG, "map", "--output=json", "-s", "4M", "w")))
    assert "Usage" in run(IO, "--help") and "aio_discard" in run(IO, "-c", "help")
    create("-b", "w", "-F", "qcow2", "c")
    io("c", "read -P 1 1088k 512k", options=("-C",))
    assert json.loads(run(IMG, "map", "--output=json", "-s", "1088k", "-l", "512k", "c"))[0]["depth"] == 0
    run(IO, "-c", "write -P 9 0 64k", "-c", "abort", "w", status=-6)


def full_disks():
    """Space that did not suffice is given back: a disk that was not full before is not full behind it."""
    script = "mount -t tmpfs -o size=8m tmpfs . && cd $PWD && { $0 create -f $1 -o preallocation=$2 x 32M; echo status $?; du -k .; }"
    for format_ in ("raw", "qcow2"):
        for how in ("full", "falloc"):
            os.mkdir("small")
            result = subprocess.run(["unshare", "-m", "sh", "-c", script, IMG, format_, how], cwd="small", stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, timeout=allow(60))
            os.rmdir("small")
            if "status" not in result.stdout:
                print("full disks: not tried, a file system of its own needs root:", result.stderr.strip())
                return
            status, used = re.search(r"status (\d+)\n(\d+)", result.stdout).groups()
            assert status == "1" and "No space left" in result.stderr, result
            assert int(used) <= 256, result


def file_options():
    """How the file of an image is made is said by the same options in all formats."""
    for format in ("raw", "qcow2", "qcow", "qed", "vdi", "vhdx", "vpc", "parallels", "luks"):
        secret = ["--object", "secret,id=s,data=abc"] if format == "luks" else []
        more = ",key-secret=s,iter-time=10" if secret else ""
        for option in ("nocow=on", "extent_size_hint=2M", "preallocation=off"):
            run(IMG, "create", *secret, "-q", "-f", format, "-o", option + more, "f", "5M")
            run(IMG, "convert", *secret, "-f", "raw", "-O", format, "-o", option + more, IMG, "g")
            os.unlink("f")
            os.unlink("g")
        listed = run(IMG, "create", "-f", format, "-o", "help", "f")
        assert all(name in listed for name in ("nocow", "extent_size_hint", "preallocation")), listed
        if format not in ("luks", "qcow2"):
            assert "preallocation" in run(IMG, "create", "-q", "-f", format, "-o", "preallocation=metadata", "f", "5M",
                                          status=1)
    run(IMG, "create", "-q", "-f", "luks", "--object", "secret,id=s,data=abc", "-o",
        "preallocation=metadata,key-secret=s,iter-time=10", "f", "5M")


def left_behind():
    """What fails leaves no file behind, and no image is made that nothing could open."""
    run(IMG, "create", "-q", "-f", "qcow2", "below", "1M")
    for arguments in (("100P",), ("-o", "cluster_size=512", "2T"), ("-o", "extended_l2=on", "2P"), ("9223372036854775807",)):
        text = run(IMG, "create", "-q", "-f", "qcow2", "new", *arguments, status=1)
        assert "too large" in text and "cluster_size" in text, text
        assert not os.path.exists("new"), arguments
    run(IMG, "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "new", "16T")
    os.unlink("new")
    for format in ("qcow2", "qed", "vmdk"):
        more = ("-F", "nope", "-b", "below", "-u", "new", "1M")
        assert "nope" in run(IMG, "create", "-q", "-f", format, *more, status=1)
        assert not os.path.exists("new"), format
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "below", "-F", "qcow2", "new")
    assert "nope" in run(IMG, "rebase", "-u", "-b", "below", "-F", "nope", "new", status=1)
    assert json.loads(run(IMG, "info", "--output=json", "new"))["backing-filename-format"] == "qcow2"


def character_devices():
    """Devices are devices of the host whatever their kind."""
    found = json.loads(run(IMG, "info", "--output=json", "/dev/null"))
    assert found["virtual-size"] == 0 and found["format"] == "raw", found
    assert found["children"][0]["info"]["format"] == "host_device", found


def names_of_snapshots(image):
    return [(s["id"], s["name"]) for s in info(image).get("snapshots", ())]


def snapshots():
    """Names that look like ids: what is deleted has that name, what is applied or read that id, or else that name."""
    create("s", "1M")
    for name, pattern in (("3", 1), ("2", 2), ("1", 3), ("x", 4)):
        io("s", f"write -P {pattern} 0 64k")
        run(IMG, "snapshot", "-c", name, "s")
    for which, pattern in (("1", 1), ("snapshot.id=1", 1), ("snapshot.name=1", 3), ("x", 4), ("4", 4), ("snapshot.id=1,snapshot.name=3", 1)):
        run(IMG, "convert", "-O", "raw", "-l", which, "s", "copy")
        io("copy", f"read -P {pattern} 0 64k", options=("-f", "raw"))
        run(IMG, "measure", "-O", "raw", "-l", which, "s")
        os.unlink("copy")
    for which in ("snapshot.id=x", "snapshot.name=4", "snapshot.id=1,snapshot.name=1", "nope", "", "snapshot.nope=1"):
        for command in (("convert", "-O", "raw", "-l", which, "s", "copy"), ("measure", "-O", "raw", "-l", which, "s")):
            assert "Failed to load snapshot" in run(IMG, *command, status=1)
        assert not os.path.exists("copy"), which
    for which, pattern in (("1", 1), ("x", 4), ("2", 2)):
        run(IMG, "snapshot", "-a", which, "s")
        io("s", f"read -P {pattern} 0 64k")
    for which in ("4", "nope", ""):
        assert f"Could not delete snapshot '{which}': snapshot not found" in run(IMG, "snapshot", "-d", which, "s", status=1)
    for which, left in (("3", ["2", "3", "4"]), ("1", ["2", "4"]), ("2", ["4"]), ("x", [])):
        run(IMG, "snapshot", "-d", which, "s")
        assert [s[0] for s in names_of_snapshots("s")] == left, names_of_snapshots("s")


def refused_first():
    """What can be known to be impossible is said before the target is touched."""
    create("src", "3M")
    run(IMG, "bitmap", "--add", "src", "b")
    key = ("--object", "secret,id=s,data=x")
    cases = [("-c", "-O", format) for format in ("raw", "vdi", "vhdx", "vpc", "parallels", "qed")]
    cases += [(*key, "-c", "-O", "luks", "-o", "key-secret=s"), ("-c", "-O", "vmdk", "-o", "subformat=monolithicFlat"),
              ("-c", "-O", "qcow2", "-o", "data_file=d"), ("-O", "qcow2", "-o", "data_file=no/d"), ("-c", "-O", "qcow2", "-o", "preallocation=metadata"),
              (*key, "-c", "-O", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s"),
              (*key, "-c", "-O", "qcow", "-o", "encrypt.format=aes,encrypt.key-secret=s"),
              ("--bitmaps", "-O", "raw"), ("--bitmaps", "-O", "vdi"), ("--bitmaps", "-O", "qcow2", "-o", "compat=0.10"),
              ("-C", "-S", "4k"), ("-C", "-S", "0"), ("-C", "-c", "-O", "qcow2"), ("-B", "nope", "-F", "qcow2", "-O", "qcow2"),
              ("-t", "nope"), ("-T", "nope"), ("-O", "raw", "-o", "preallocation=metadata")]
    for options in cases:
        with open("target", "wb") as file:
            file.write(b"precious" * 1000)
        before = sorted(os.listdir("."))
        assert run(IMG, "convert", *options, "src", "target", status=1).startswith("kaso-img: "), options
        with open("target", "rb") as file:
            assert file.read() == b"precious" * 1000, options
        assert sorted(os.listdir(".")) == before, options
    # Sparse extents take data as it is when it need not be compressed.
    run(IMG, "create", "-q", "-f", "raw", "r", "3M")
    io("r", "write -P 3 0 2M", options=("-f", "raw"))
    for subformat in ("monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"):
        run(IMG, "convert", "-c", "-f", "raw", "-O", "vmdk", "-o", "subformat=" + subformat, "r", "out.vmdk")
        run(IMG, "compare", "-f", "raw", "r", "out.vmdk")


def option_help():
    """What -o takes is told in the form that scripts know, with what kind of value it is."""
    form = re.compile(r"  [\w.-]+=<(str|num|size|bool \(on/off\))> *- \S.*")
    for command in (("create", "-f"), ("convert", "-O"), ("amend", "-f")):
        for format in ("qcow2", "luks") if command[0] == "amend" else ("raw", "qcow2", "qcow", "qed", "vdi", "vhdx", "vpc", "vmdk", "luks"):
            lines = run(IMG, *command, format, "-o", "help").splitlines()
            assert format in lines[0] and len(lines) > 1, lines
            for line in lines[1:]:
                assert form.fullmatch(line), line
    listed = run(IMG, "convert", "-O", "vdi", "-o", "help")
    assert "  size=<size>            - " in listed and "  static=<bool (on/off)> - " in listed, listed


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (option_help, creation, versions, words, data_files, sizes, tables, chains, targets, io_commands, full_disks, file_options,
                 left_behind, character_devices, snapshots, refused_first):
        test()
    os.chdir("/")
