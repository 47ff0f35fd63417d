# SPDX-License-Identifier: MIT
"""blockdev-reopen: what of an open node may change, all of a command or nothing."""

import json
import os
import re
import tempfile

from running import IMG, IO, MIB, Machine, blockdev, create, image, io, run


def children():
    for name in ("a", "b"):
        create(name)
    io("a", "write -P 1 0 64k")
    io("b", "write -P 2 0 64k")
    create("top", "8M", "-b", "a", "-F", "qcow2")
    top = {"driver": "qcow2", "node-name": "top", "file": "top-file"}
    with Machine(*image("a", read_only=True), *image("b", read_only=True),
                 *blockdev(driver="file", node_name="top-file", filename="top"),
                 *blockdev(driver="qcow2", node_name="top", file="top-file", backing="a"),
                 *blockdev(driver="throttle", node_name="t", file="top", limits={"iops-total": 100000})) as m:
        m.serve()
        m.do("block-export-add", type="nbd", id="e", node_name="t")
        url = "nbd+unix:///t?socket=nbd"

        def read(pattern):
            run(IO, "-r", "-c", f"read -P {pattern} 0 64k", url)

        read(1)
        assert m.fails("blockdev-reopen", options=[top]) == "backing is missing for 'top'"
        m.do("blockdev-reopen", options=[{**top, "backing": "b"}])
        read(2)
        m.do("blockdev-reopen", options=[{**top, "backing": None, "read-only": True}])
        read(0)
        assert m.node("top")["ro"]
        m.do("blockdev-reopen", options=[{**top, "backing": "a", "discard": "unmap", "detect-zeroes": "unmap"}])
        read(1)
        assert not m.node("top")["ro"] and m.node("top")["detect_zeroes"] == "unmap"
        # All or none.
        nope = {"driver": "qcow2", "node-name": "nope"}
        assert "nope" in m.fails("blockdev-reopen", options=[{**top, "backing": "b"}, nope])
        read(1)
        assert m.node("top")["detect_zeroes"] == "unmap"
        for change, message in (({"driver": "raw"}, "'driver'"), ({"l2-cache-size": "many"}, "l2-cache-size"),
                                ({"backing": "t"}, "cycle"), ({"backing": "zz"}, "node-name='zz'")):
            assert message in m.fails("blockdev-reopen", options=[{**top, "backing": "a", **change}]), change
        assert "throttle-group" in m.fails("blockdev-reopen", options=[
            {"driver": "throttle", "node-name": "t", "file": "top"}])
        # A filter gets another image below it.
        m.do("blockdev-reopen", options=[{"driver": "throttle", "node-name": "t", "file": "b",
                                          "limits": {"iops-total": 100000}}])
        read(2)
        m.do("block-export-add", type="nbd", id="w", name="w", node_name="top", writable=True)
        assert "cannot support read-write users" in m.fails(
            "blockdev-reopen", options=[{**top, "backing": "a", "read-only": True}])
        m.do("block-stream", job_id="s", device="top", speed=1, auto_finalize=False)
        assert "Cannot change frozen 'backing' link from 'top' to 'a'" in m.fails(
            "blockdev-reopen", options=[{**top, "backing": "b"}])
        # Jobs' requests are inside of drivers at any time.
        for change in {"backing": "a", "l2-cache-size": 65536}, {"backing": "a", "file": "b"}:
            message = m.fails("blockdev-reopen", options=[{**top, **change}])
            assert "before all block jobs have ended" in message or "frozen 'file'" in message, message


FILE = {"driver": "file", "filename": "a"}


def reopen(m, *nodes):
    m.do("blockdev-reopen", options=list(nodes))


def options():
    """Of drivers, in each direction, while a client writes; what cannot change is refused by name."""
    create("a", "64M")
    a = {"driver": "qcow2", "node-name": "a", "file": FILE}
    with Machine(*image("a")) as m:
        m.serve()
        m.do("block-export-add", type="nbd", id="e", node_name="a", writable=True)

        def cache():
            stats = [s for s in m.do("query-blockstats", query_nodes=True) if s["node-name"] == "a"][0]
            return stats["driver-specific"]["l2-cache"]["max-bytes"]

        def dirty():
            return json.loads(run(IMG, "info", "-U", "--output=json", "a"))["dirty-flag"]

        usual, number = cache(), 0
        for changed in ({"l2-cache-size": 65536}, {"l2-cache-entry-size": 512, "cache-size": 131072},
                        {"lazy-refcounts": True}, {"refcount-cache-size": 65536, "cache-clean-interval": 0}, {},
                        {"overlap-check": "none", "pass-discard-other": True, "discard-no-unref": False},
                        {"overlap-check": {"template": "all", "inactive-l2": False}}, {"lazy-refcounts": True}, {}):
            reopen(m, {**a, **changed})
            number += 1
            io("nbd+unix:///a?socket=nbd", f"write -P {number} {number * 5}M 1M", "flush")
            assert (cache() == 65536) == ("l2-cache-size" in changed), (cache(), changed)
            assert dirty() == ("lazy-refcounts" in changed), changed
            for n in range(1, number + 1):
                io("nbd+unix:///a?socket=nbd", f"read -P {n} {n * 5}M 1M")
        assert cache() == usual
        # All of a command, or nothing.
        for bad, message in (({"l2-cache-size": 65536, "l2-cache-entry-size": 1000}, "l2-cache-entry-size (1000)"),
                             ({"l2-cache-size": 65536, "encrypt": {"format": "luks"}}, "'encrypt.format'"),
                             ({"l2-cache-size": 65536, "overlap-check": "much"}, "overlap-check"),
                             ({"l2-cache-size": 65536, "file": "b"}, "'b'"),
                             ({"l2-cache-size": 65536, "file": {**FILE, "filename": "c"}}, "'file.filename'")):
            assert message in m.fails("blockdev-reopen", options=[{**a, **bad}]), bad
            assert cache() == usual
        assert "nope" in m.fails("blockdev-reopen", options=[
            {**a, "l2-cache-size": 65536}, {"driver": "raw", "node-name": "nope", "file": "a"}])
        assert cache() == usual
        io("nbd+unix:///a?socket=nbd", "read -P 9 45M 1M")
    run(IMG, "check", "-q", "a")


def caching():
    """cache.direct and discard of a node are those of what was opened with it."""
    create("a")
    create("b")
    a = {"driver": "qcow2", "node-name": "a", "file": {**FILE, "node-name": "af"}}
    b = {"driver": "qcow2", "node-name": "b", "file": {**FILE, "filename": "b", "node-name": "bf",
                                                       "cache": {"direct": False}}}
    with Machine(*blockdev(**a), *blockdev(**b)) as m:
        def flags():
            opened = os.listdir(f"/proc/{m.kaso.process.pid}/fd")
            found = {}
            for fd in opened:
                try:
                    name = os.path.basename(os.readlink(f"/proc/{m.kaso.process.pid}/fd/{fd}"))
                    text = open(f"/proc/{m.kaso.process.pid}/fdinfo/{fd}").read()
                except FileNotFoundError:
                    continue
                found[name] = int(re.search(r"flags:\s*(\d+)", text).group(1), 8) & os.O_DIRECT != 0
            return found.get("a"), found.get("b")

        assert flags() == (False, False)
        direct = {"cache": {"direct": True}}
        reopen(m, {**a, **direct}, {**b, **direct})
        assert flags() == (True, False) and m.node("af")["cache"]["direct"] and not m.node("bf")["cache"]["direct"]
        m.hmp('qemu-io a "write -P 1 1000 3000"')
        assert "nope" in m.fails("blockdev-reopen", options=[a, {**a, "node-name": "nope"}])
        assert flags() == (True, False)
        reopen(m, a, b)
        assert flags() == (False, False)
        assert "1000" in m.hmp('qemu-io a "read -P 1 1000 3000"')


def limits():
    """A throttle node goes to another group."""
    create("a")
    group = ("-object", "throttle-group,id=slow,x-bps-total=1000", "-object", "throttle-group,id=fast")
    t = {"driver": "throttle", "node-name": "t", "file": "a"}
    with Machine(*image("a"), *group, *blockdev(**t, throttle_group="slow")) as m:
        reopen(m, {**t, "throttle-group": "fast"})
        assert "4 MiB" in m.hmp('qemu-io t "write 0 4M"')
        for bad, message in (({"throttle-group": "none"}, "'none' does not exist"), ({}, "throttle-group")):
            assert message in m.fails("blockdev-reopen", options=[{**t, **bad}])
        reopen(m, {**t, "limits": {"iops-total": 1000000}})


def files():
    """The file below an open format: a filter over it, another image of that size; else the old one stays."""
    for name, pattern in (("a", 1), ("b", 2)):
        create(name)
        io(name, f"write -P {pattern} 0 1M")
    create("small", "4M")
    create("raw", "8M", format="raw")
    nodes = [x for name in ("a", "b", "small", "raw")
             for x in blockdev(driver="file", node_name=name + "-file", filename=name)]
    a = {"driver": "qcow2", "node-name": "a"}
    with Machine(*nodes, *blockdev(driver="qcow2", node_name="a", file="a-file"),
                 *blockdev(driver="throttle", node_name="t", file="a-file", limits={"iops-total": 1000000})) as m:
        m.serve()
        m.do("block-export-add", type="nbd", id="e", node_name="a", writable=True)
        m.do("block-dirty-bitmap-add", node="a", name="own")
        m.do("block-dirty-bitmap-add", node="a", name="kept", persistent=True)
        url = "nbd+unix:///a?socket=nbd"

        def bitmaps():
            return {b["name"]: b["count"] for b in m.node("a").get("dirty-bitmaps", ())}

        io(url, "write -P 3 2M 64k")
        assert bitmaps() == {"own": 65536, "kept": 65536}
        reopen(m, {**a, "file": "t"})
        assert m.node("a")["children"] == [{"child": "file", "node-name": "t"}]
        assert bitmaps() == {"own": 65536, "kept": 65536}
        io(url, "read -P 1 0 1M", "read -P 3 2M 64k", "write -P 4 3M 64k")
        for file, message in (("small-file", "its image has 4194304 bytes, not 8388608"), ("a", "cycle"),
                              ("raw-file", "not in qcow2 format")):
            assert message in m.fails("blockdev-reopen", options=[{**a, "file": file}]), file
            io(url, "read -P 3 2M 64k", "write -P 4 3M 64k")
        reopen(m, {**a, "file": "b-file"})
        assert bitmaps() == {"own": 131072}
        io(url, "read -P 2 0 1M", "read -P 0 2M 2M", "write -P 5 2M 64k")
        assert "nope" in m.fails("blockdev-reopen", options=[{**a, "file": "a-file"}, {**a, "node-name": "nope"}])
        io(url, "read -P 5 2M 64k")
        reopen(m, {**a, "file": "a-file", "lazy-refcounts": True})
        io(url, "read -P 1 0 1M", "read -P 3 2M 64k", "read -P 4 3M 64k")
        m.do("block-export-del", id="e", mode="hard")
        m.do("blockdev-del", node_name="a")
    for name in ("a", "b"):
        run(IMG, "check", "-q", name)
    io("b", "read -P 5 2M 64k")


def mirrored_files():
    """A mirror puts its target below an open format: the content is the same."""
    create("a")
    io("a", "write -P 1 0 1M")
    create("copy", str(os.path.getsize("a")), format="raw")
    file = {"driver": "file", "node-name": "af", "filename": "a"}
    a = {"driver": "qcow2", "node-name": "a"}
    with Machine(*blockdev(**a, file=file, read_only=True),
                 *blockdev(driver="file", node_name="cf", filename="copy")) as m:
        m.do("blockdev-mirror", job_id="j", device="af", target="cf", sync="full")
        m.qmp.wait_event("BLOCK_JOB_READY")
        m.do("block-job-complete", device="j")
        m.completed("j")
        assert m.node("a")["children"][0]["node-name"] == "cf" and not m.node("af")
        reopen(m, {**a, "file": "cf"})
        m.hmp('qemu-io a "write -P 3 2M 1M"')
        m.do("blockdev-del", node_name="a")
    run(IMG, "check", "-q", "copy")
    io("copy", "read -P 1 0 1M", "read -P 0 1M 1M", "read -P 3 2M 1M")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (children, options, caching, limits, files, mirrored_files):
        test()
    os.chdir("/")
