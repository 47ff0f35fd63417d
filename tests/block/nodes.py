# SPDX-License-Identifier: MIT
"""Nodes, filters and drives of a running machine: who shares them, and what changes them."""

import json
import os
import socket
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow
from running import IMG, IO, MIB, Machine, blockdev, create, harness, image, io, run


def refused(*arguments):
    """What the program says when it does not start."""
    with harness.Kaso(*arguments, machine="virt", cwd=os.getcwd()) as kaso:
        return kaso.finish(1)[1]


def sharing():
    """A drive is everybody's until a device has it; then others write only with share-rw=on."""
    create("a")
    create("r.raw", "8M", format="raw")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2") as m:
        m.serve()
        m.do("nbd-server-add", device="d", writable=True)
        io("nbd+unix:///d?socket=nbd", "write -P 7 0 64k")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2", "-device", "virtio-blk-pci,drive=d,id=v") as m:
        m.serve()
        text = m.fails("nbd-server-add", device="d", writable=True)
        assert "Permission conflict on node" in text and "'write'" in text, text
        assert "unshared by block device '/machine/" in text, text
        m.do("nbd-server-add", device="d")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2", "-device",
                 "virtio-blk-pci,drive=d,id=v,share-rw=on") as m:
        m.serve()
        m.do("nbd-server-add", device="d", writable=True)
        io("nbd+unix:///d?socket=nbd", "write -P 8 0 64k")
    two = [a for i in "vw" for a in ("-device", f"virtio-blk-pci,drive=n,id={i}")]
    assert "Permission conflict on node 'n'" in refused(*blockdev(
        driver="file", filename="r.raw", node_name="n"), *two)
    with Machine(*blockdev(driver="file", filename="r.raw", node_name="n"),
                 *[a + ",share-rw=on" if a[0] != "-" else a for a in two]) as m:
        assert len(m.do("query-block")) == 2
    # The lock of a raw image is the device's, too: who has none lets others in.
    with Machine("-drive", "file=r.raw,if=none,id=d,format=raw"):
        run(IO, "-f", "raw", "-c", "write 0 512", "r.raw")
    text = refused("-drive", "file=a,if=none,id=d,format=qcow2",
                   "-device", "virtio-blk-pci,drive=d", "-device", "virtio-blk-pci,drive=d")
    assert "already in use by another device" in text, text


def write_cache():
    create("a")
    drive, device = "file=a,if=none,id=d,format=qcow2", "virtio-blk-pci,drive=d"
    for cache, option, expected in (("", "", True), (",cache=writethrough", "", False),
                                    (",cache=writethrough", ",write-cache=on", True),
                                    ("", ",write-cache=off", False), ("", ",write-cache=auto", True)):
        with Machine("-drive", drive + cache, "-device", device + option) as m:
            assert m.writeback() == [expected], (cache, option)
    assert "scsi=on" in refused("-drive", drive, "-device", device + ",scsi=on")


def io_status(image, *commands, options=()):
    result = subprocess.run([IO, *options, *[a for c in commands for a in ("-c", c)], image],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=allow(60))
    return result.returncode, result.stdout.decode()


def debug_rules():
    """Rules by name of a file, events and states."""
    create("a")
    with open("rules", "w") as file:
        file.write('# two failures in turn\n[inject-error]\nevent = "write_aio"\nerrno = "28"\nonce = "on"\n\n'
                   '[set-state]\nevent = "write_aio"\nstate = "1"\nnew_state = "2"\n\n'
                   '[inject-error]\nevent = "read_aio"\niotype="read"\nstate="2"\nerrno = "5"\n')
    name = "blkdebug:rules:a"
    status, text = io_status(name, "write 0 64k", "write 0 64k", "read 0 64k")
    assert status == 1 and "No space left" in text and "wrote 65536/65536" in text, text
    assert "read failed: Input/output error" in text, text
    # In state 1 reads are served; a rule of an event is asleep until the event comes.
    status, text = io_status(name, "read 0 64k")
    assert status == 0, text
    status, text = io_status("blkdebug::a", "read 0 64k")
    assert status == 0, text
    for bad, message in (('[inject-error]\nevent = "l9"\n', "l9"), ("[other]\n", "[other]"), ("x\n", "neither"),
                         ('[set-state]\nevent="none"\n', "new_state"), ("[inject-error]\nevent = x\n", "quotes")):
        with open("bad", "w") as file:
            file.write(bad)
        status, text = io_status("blkdebug:bad:a", "read 0 64k")
        assert status == 1 and message in text, text
    assert "config file" in io_status("blkdebug:nowhere:a", "read 0 1k")[1]
    # Each event is reached.
    create("b", "8M", "-b", "a", "-F", "qcow2")
    for event, command, kind in (("l2_load", "read 0 1k", "read"), ("cow_read", "write 1k 1k", None),
                                 ("cluster_alloc", "write 2M 64k", "write"), ("write_aio", "write 3M 64k", "write"),
                                 ("l2_alloc_write", "write 0 64k", "write"), ("pwritev", "write 4M 64k", "write"),
                                 ("write_compressed", "write -c 5M 64k", "write"), ("flush_to_disk", "flush", "flush")):
        os.path.exists("c") and os.unlink("c")
        create("c", "8M", *(("-b", "a", "-F", "qcow2") if event != "l2_load" else ()))
        if event in ("l2_load", "flush_to_disk"):
            io("c", "write 0 64k")
        rule = {"event": event, "errno": 5, "immediately": True}
        if kind:
            rule["iotype"] = kind
        node = {"driver": "qcow2", "file": {"driver": "blkdebug", "inject-error": [rule],
                                            "image": {"driver": "file", "filename": "c"}}}
        status, text = io_status("json:" + json.dumps(node), command, *(["flush"] if kind == "flush" else []))
        assert "Input/output error" in text, (event, text)


def debugged(event, image, **rule):
    """The name of an image with a rule: after that event the next request fails."""
    rule = {"event": event, "errno": 5, "once": True, **rule}
    return "json:" + json.dumps({"driver": "qcow2", "file": {
        "driver": "blkdebug", "inject-error": [rule], "image": {"driver": "file", "filename": image}}})


def rare_events():
    """Those that only some commands reach: each is followed by a failure, which is shown where the event belongs."""
    create("base")
    io("base", "write -P 1 0 1M")

    def failed(*command):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=allow(60))
        text = result.stdout.decode()
        assert "Input/output error" in text, (command, text)
        return text

    for event, command in (("reftable_load", ("read 0 1k",)), ("l2_update_compressed", ("write -c 0 64k", "flush")),
                           ("l1_shrink_write_table", ("truncate 4M",)),
                           ("l2_load", ("read 6M 1k",))):
        os.path.exists("c") and os.unlink("c")
        create("c")
        io("c", "write 6M 64k")
        text = failed(IO, *[a for c in command for a in ("-c", c)], debugged(event, "c"))
        assert ("refcount table" in text) == (event == "reftable_load"), text
        run(IMG, "check", "-q", "-r", "leaks", "c")
    for event, text in (("refblock_update", "Could not write a refcount block"), ("reftable_update", "")):
        assert text in failed(IMG, "amend", "-o", "refcount_bits=32", debugged(event, "c"))
        run(IMG, "check", "-q", "-r", "leaks", "c")
    # What is free is not worth a failure; that the event came shows by the state that it leads to.
    for event, command in (("l1_shrink_free_l2_clusters", (IO, "-c", "truncate 2M", "-c", "write 0 64k")),
                           ("empty_image_prepare", (IMG, "commit"))):
        create("d", "8M", "-b", os.path.abspath("base"), "-F", "qcow2")
        io("d", "write -P 2 6M 64k")
        node = json.loads(debugged("write_aio", "d", state=2)[5:])
        node["file"]["set-state"] = [{"event": event, "state": 1, "new_state": 2}]
        if event == "empty_image_prepare":
            node["file"]["inject-error"][0]["event"] = "l2_update"
        failed(*command, "json:" + json.dumps(node))
    # The reader has its data, though it could not be kept.
    for kept in (False, True):
        create("d", "8M", "-b", os.path.abspath("base"), "-F", "qcow2")
        rule = [] if kept else [{"event": "cor_write", "errno": 5, "iotype": "write"}]
        run(IO, "-c", "read -P 1 0 64k", "json:" + json.dumps({"driver": "copy-on-read", "file": {
            "driver": "blkdebug", "inject-error": rule,
            "image": {"driver": "qcow2", "file": {"driver": "file", "filename": "d"}}}}))
        assert (json.loads(run(IMG, "map", "--output=json", "d"))[0]["depth"] == 0) == kept


def filters():
    create("a")
    # compress: all that is written, whole clusters or not, is stored compressed.
    over = {"driver": "compress", "file": {"driver": "qcow2", "file": {"driver": "file", "filename": "a"}}}
    io("json:" + json.dumps(over), "write -P 1 0 256k", "write -P 2 1000 3000", "write -P 3 100k 100k", "flush")
    io("a", "read -P 1 0 1000", "read -P 2 1000 3000", "read -P 1 4000 98400", "read -P 3 100k 100k", "read -P 1 200k 56k")
    kinds = {m.get("compressed") for m in json.loads(run(IMG, "map", "--output=json", "a")) if m["data"]}
    assert kinds == {True}, kinds
    run(IMG, "check", "a")
    create("r.raw", "8M", format="raw")
    assert io_status("json:" + json.dumps({"driver": "compress", "file": {"driver": "file", "filename": "r.raw"}}),
                     "read 0 1k")[0] == 1
    # blkverify: equal until one of them changes behind its back.
    create("b", "8M")
    status, text = io_status("blkverify:r.raw:b", "write -P 5 0 64k", "read -P 5 0 64k", "read -P 0 64k 64k", options=("-f", "raw"))
    assert status == 0, text
    io("b", "write -P 6 4k 512")
    status, text = io_status("blkverify:r.raw:b", "read 0 64k", options=("-f", "raw"))
    assert status == 1 and "contents mismatch at offset 4096" in text, text


def old_content():
    """copy-before-write keeps what snapshot-access shows, whoever writes above."""
    create("a")
    create("t")
    io("a", "write -P 1 0 4M")
    with Machine(*image("a"), *image("t"),
                 *blockdev(driver="copy-before-write", node_name="cbw", file="a", target="t"),
                 *blockdev(driver="snapshot-access", node_name="old", file="cbw")) as m:
        m.serve()
        m.do("block-export-add", type="nbd", id="w", node_name="cbw", writable=True)
        m.do("block-export-add", type="nbd", id="o", node_name="old")
        assert "read-only" in m.fails("block-export-add", type="nbd", id="x", name="x", node_name="old", writable=True)
        assert "Permission conflict" in m.fails("block-export-add", type="nbd", id="y", name="y", node_name="a",
                                                writable=True)
        io("nbd+unix:///cbw?socket=nbd", "write -P 2 100k 200k", "discard 1M 64k", "write -z 2M 4k")
        io("nbd+unix:///cbw?socket=nbd", "read -P 2 100k 200k", "read -P 0 2M 4k")
        run(IO, "-r", "-c", "read -P 1 0 4M", "-c", "read -P 0 4M 4M", "nbd+unix:///old?socket=nbd")
        m.fails("blockdev-add", driver="snapshot-access", node_name="bad", file="a")


def late_copies():
    """cbw-timeout: a copy that takes too long has failed; on-cbw-error says what that does."""
    for policy in "break-guest-write", "break-snapshot":
        create("a")
        create("t", "8M")
        io("a", "write -P 1 0 2M")
        cbw = {"driver": "copy-before-write", "node_name": "cbw", "file": "a", "target": "slow", "on_cbw_error": policy}
        with Machine(*image("a"), *image("t"),
                     *blockdev(driver="throttle", node_name="slow", file="t", limits={"bps-write": 65536}),
                     *blockdev(**cbw, cbw_timeout=1, min_cluster_size=131072),
                     *blockdev(driver="snapshot-access", node_name="old", file="cbw")) as m:
            assert "wrote 65536/65536" in m.hmp('qemu-io cbw "write -P 2 0 64k"')
            text = m.hmp('qemu-io cbw "write -P 3 512k 64k"')
            broken = policy == "break-snapshot"
            assert ("wrote 65536/65536" if broken else "Connection timed out") in text, text
            assert f"read 65536/65536" in m.hmp(f'qemu-io a "read -P {3 if broken else 1} 512k 64k"')
            text = m.hmp('qemu-io old "read -P 1 0 1M"')
            assert ("Permission denied" if broken else "read 1048576/1048576") in text, text
            assert "verification" not in text, text
            if not broken:  # later copies have their own time
                m.do("blockdev-reopen", options=[{"driver": "throttle", "node-name": "slow", "file": "t",
                                                  "limits": {"bps-write": 1 << 30}}])
                assert "wrote 65536/65536" in m.hmp('qemu-io cbw "write -P 4 1M 64k"')
                assert "read 2097152/2097152" in m.hmp('qemu-io old "read -P 1 0 2M"')
            for bad, message in (({"cbw-timeout": 1 << 40}, "cbw-timeout"),
                                 ({"min-cluster-size": 100000}, "power of 2"), ({"on-cbw-error": "cry"}, "on-cbw-error")):
                assert message in m.fails("blockdev-add", **{"driver": "copy-before-write", "node-name": "no",
                                                             "file": "a", "target": "t", **bad}), bad


def made(m, job, **options):
    """The end of a blockdev-create."""
    m.do("blockdev-create", job_id=job, options={k.replace("_", "-"): v for k, v in options.items()})
    while [j for j in m.do("query-jobs") if j["id"] == job][0]["status"] != "concluded":
        m.qmp.wait_event("JOB_STATUS_CHANGE")
    found = [j for j in m.do("query-jobs") if j["id"] == job][0]
    assert found["type"] == "create" and found["current-progress"] == found["total-progress"] == 1, found
    assert m.do("query-block-jobs") == []
    m.do("job-dismiss", id=job)
    return found.get("error")


def vmdk_extents(m):
    """A descriptor and its extents are nodes; names in it begin at its folder."""
    os.mkdir("other")
    for name in ("e0", "e1", "e2", "other/e3"):
        assert made(m, "d", driver="file", filename=name, size=0) is None
        m.do("blockdev-add", driver="file", node_name=os.path.basename(name), filename=name)
    size = 3 << 30
    for subformat, extents, kind in (("twoGbMaxExtentSparse", ["e0", "e1"], "SPARSE"), ("twoGbMaxExtentFlat", ["e0", "e1"], "FLAT"),
                                     ("monolithicFlat", ["e3"], "FLAT")):
        assert made(m, "c", driver="vmdk", file="f", size=size, subformat=subformat, extents=extents) is None
        with open("new", "rb") as file:
            lines = [line.split() for line in file.read().decode().splitlines() if line.startswith("RW ")]
        assert [line[2] for line in lines] == [kind] * len(extents), lines
        assert sum(int(line[1]) for line in lines) * 512 == size
        names = [line[3].strip('"') for line in lines]
        assert names == (extents if len(extents) == 2 else ["other/e3"]), names
        io("new", "write -P 7 2147418112 128k", "read -P 7 2147418112 128k")
    for subformat, extents, message in (("monolithicFlat", [], "Extent [0] not specified"), ("twoGbMaxExtentFlat", ["e0"], "Extent [1] not"),
                                        ("twoGbMaxExtentFlat", ["e0", "e1", "e2"], "unused extents"),
                                        ("monolithicSparse", ["e0"], "unused extents"), ("monolithicFlat", ["none"], "node-name='none'"),
                                        ("monolithicFlat", ["f"], "f"), ("twoGbMaxExtentFlat", ["e0", "e0"], "e0")):
        failure = made(m, "c", driver="vmdk", file="f", size=size, subformat=subformat, extents=extents)
        assert failure and message in failure, (subformat, extents, failure)
    assert os.path.getsize("e2") == 0
    options = {"driver": "vmdk", "file": "f", "size": size, "extents": "e0"}
    assert "options.extents" in m.fails("blockdev-create", job_id="b", options=options)


def described_places(m):
    """Nodes that are described where others are named are opened for the job, and are gone with it."""
    before = [n["node-name"] for n in m.do("query-named-block-nodes")]
    files = []
    for name in ("i0", "i1", "i2"):
        open(name, "w", encoding="ascii").close()
        files.append({"driver": "file", "filename": name})
    assert made(m, "i", driver="qcow2", file=files[0], data_file=files[1], size=MIB) is None
    io("i0", "write -P 3 0 64k", "read -P 3 0 64k")
    assert os.path.getsize("i1") >= 65536
    assert made(m, "i", driver="vmdk", file=files[0], size=MIB, subformat="monolithicFlat", extents=[files[2]]) is None
    io("i0", "write -P 4 0 64k", "read -P 4 0 64k")
    assert os.path.getsize("i2") == MIB
    bad = {"driver": "qcow2", "file": {"driver": "file", "filename": "none"}, "size": MIB}
    assert "No such file" in m.fails("blockdev-create", job_id="b", options=bad)
    assert [n["node-name"] for n in m.do("query-named-block-nodes")] == before


def creation():
    create("busy")
    with Machine(*image("busy")) as m:
        assert made(m, "c1", driver="file", filename="new", size=0) is None
        m.do("blockdev-add", driver="file", node_name="f", filename="new")
        for driver, more in (("qcow2", {"cluster_size": 4096, "version": "v2"}), ("vdi", {}), ("vmdk", {}),
                             ("vpc", {"force_size": True}), ("vhdx", {}), ("qed", {}), ("parallels", {}), ("qcow2", {"extended_l2": True})):
            failure = made(m, "c", driver=driver, file="f", size=4 * MIB, **more)
            assert failure is None, (driver, failure)
            m.do("blockdev-add", driver=driver, node_name="n", file="f")
            assert m.node("n")["image"]["virtual-size"] == 4 * MIB
            m.do("blockdev-del", node_name="n")
        # A data file is a node, too; the header has its name.
        for size in 0, MIB:
            assert made(m, f"d{size}", driver="file", filename=f"data{size}", size=size) is None
            m.do("blockdev-add", driver="file", node_name=f"df{size}", filename=f"data{size}")
        io("data1048576", "write -P 5 0 1M")
        for node, raw, prealloc in (("df0", False, "off"), ("df1048576", True, "off"), ("df1048576", True, "full")):
            more = {"data_file_raw": raw, "preallocation": prealloc}
            assert made(m, "c", driver="qcow2", file="f", data_file=node, size=4 * MIB, **more) is None
            name = "data" + node[2:]
            m.do("blockdev-add", driver="qcow2", node_name="n", file="f", data_file=node)
            assert m.node("n")["image"]["format-specific"]["data"]["data-file"] == name
            assert m.node("n")["image"]["format-specific"]["data"]["data-file-raw"] == raw
            m.hmp('qemu-io n "write -P 6 1M 64k"')
            m.do("blockdev-del", node_name="n")
            assert os.path.getsize(name) == 4 * MIB
            io("new", "read -P 6 1M 64k", f"read -P {5 if raw else 0} 0 1M")
        for data, message in (("f", "the image itself"), ("none", "node-name='none'")):
            assert message in made(m, "c", driver="qcow2", file="f", data_file=data, size=MIB), data
        assert "requires data-file" in made(m, "c", driver="qcow2", file="f", data_file_raw=True, size=MIB)
        vmdk_extents(m)
        described_places(m)
        # Choices that drivers know by other names, and those of files.
        assert made(m, "c", driver="vdi", file="f", size=4 * MIB, preallocation="metadata") is None
        assert os.path.getsize("new") > 4 * MIB
        assert made(m, "c", driver="file", filename="hint", size=MIB, extent_size_hint=65536, preallocation="full") is None
        assert os.stat("hint").st_blocks * 512 >= MIB
        for driver, more, message in (("vpc", {}, "CHS geometry"), ("vpc", {"subformat": "fixed"}, "CHS geometry"),
                                      ("vhdx", {"log_size": 1}, "Log size must be a multiple"), ("vhdx", {"log_size": 0}, "Log size must be"),
                                      ("vhdx", {"block_size": 0}, "Block size must be a multiple")):
            assert message in (made(m, "c", driver=driver, file="f", size=MIB, **more) or ""), (driver, more)
        assert made(m, "c", driver="vpc", file="f", size=301 * 4 * 17 * 512) is None
        for driver, key, value in (("qcow2", "version", "v4"), ("qcow2", "version", "1.1"), ("qcow2", "preallocation", "some"),
                                   ("qcow2", "compression-type", "lz4"), ("qcow2", "backing-fmt", "nope"), ("vpc", "subformat", "some"),
                                   ("vhdx", "subformat", "some"), ("vmdk", "subformat", "some"), ("vmdk", "adapter-type", "some"),
                                   ("vdi", "preallocation", "some"), ("luks", "preallocation", "some")):
            bad = {"driver": driver, "file": "f", "size": MIB, key: value}
            assert f"'{key}' does not accept value '{value}'" in m.fails("blockdev-create", job_id="b", options=bad), bad
        m.do("object-add", qom_type="secret", id="s", data="x")
        assert made(m, "c", driver="luks", file="f", key_secret="s", iter_time=10, size=MIB, preallocation="full") is None
        assert os.stat("new").st_blocks * 512 > MIB
        assert "multiple of 512" in made(m, "c", driver="qcow2", file="f", size=1000)
        assert "power of two" in made(m, "c", driver="qcow2", file="f", size=MIB, cluster_size=1000).lower()
        assert "nodename" in made(m, "c", driver="qcow2", file="nodename", size=MIB)
        for bad, message in ((dict(driver="qcow2", file="f"), "options.size' is missing"),
                             (dict(driver="nope", file="f", size=1), "nope"),
                             (dict(driver="qcow2", file="f", size=MIB, zz=1), "options.zz' is unexpected"),
                             (dict(driver="null-co", file="f", size=MIB), "null-co"),
                             (dict(driver="qcow2", size=MIB), "options.file' is missing")):
            assert message in m.fails("blockdev-create", job_id="b", options=bad), bad
        assert "lock" in made(m, "c", driver="file", filename="busy", size=MIB)
    assert json.loads(run(IMG, "info", "--output=json", "new"))["format"] == "luks"
    # The way to a node leads nowhere else.
    assert io_status("format-target:f", "read 0 1k")[0] == 1
    file = {"driver": "file", "filename": "busy", "node-name": "bf"}
    with Machine(*blockdev(driver="qcow2", node_name="b", file=file)) as m:
        assert "Permission conflict on node 'bf'" in made(m, "c", driver="qcow2", file="bf", size=MIB)
    run(IMG, "check", "busy")


def detached_header():
    """A LUKS header in one node, and the disk that goes with it in another."""
    for name in ("h", "p"):
        open(name, "w").close()
    files = [a for n in ("h", "p") for a in blockdev(driver="file", node_name=n, filename=n)]
    options = {"driver": "luks", "size": 2 * MIB, "key-secret": "s", "iter-time": 10}
    with Machine("-object", "secret,id=s,data=abc", *files) as m:
        bad = {**options, "header": "h", "preallocation": "full"}
        assert "requires 'file'" in m.fails("blockdev-create", job_id="b", options=bad)
        assert "options.file" in m.fails("blockdev-create", job_id="b", options=options)
        made(m, "c", **options, header="h", file="p")
        assert (os.path.getsize("h"), os.path.getsize("p")) == (2068480, 2 * MIB)
        m.do("blockdev-add", driver="luks", node_name="l", header="h", file="p", key_secret="s")
        for command in ("write -P 3 0 2M", "read -P 3 0 2M"):
            assert "failed" not in m.hmp(f'qemu-io l "{command}"')
    with open("p", "rb") as disk:
        assert bytes([3]) * 512 not in disk.read()


def threads():
    create("a")
    with Machine(*image("a"), "-object", "iothread,id=io0", "-device", "virtio-blk-pci,drive=a,iothread=io0") as m:
        m.do("object-add", qom_type="iothread", id="io1", poll_max_ns=100)
        assert "duplicate" in m.fails("object-add", qom_type="iothread", id="io1")
        listed = {t["id"]: t for t in m.do("query-iothreads")}
        assert set(listed) == {"io0", "io1"} and listed["io1"]["poll-max-ns"] == 100, listed
        assert listed["io1"]["thread-id"] != listed["io0"]["thread-id"]
        assert "Node a is in use" in m.fails("x-blockdev-set-iothread", node_name="a", iothread="io1")
        assert "zz" in m.fails("x-blockdev-set-iothread", node_name="a", iothread="zz", force=True)
        m.do("x-blockdev-set-iothread", node_name="a", iothread=None, force=True)
        assert "io1:" in m.hmp("info iothreads")
        m.do("object-del", id="io1")
        assert "in use" in m.fails("object-del", id="io0")
        assert m.hmp("object_add iothread,id=io2,poll-max-ns=5") == "" and m.hmp("object_del io2") == ""
        assert [t["id"] for t in m.do("query-iothreads")] == ["io0"]
        m.do("object-add", qom_type="rng-random", id="r")
        m.do("object-del", id="r")
        m.do("quit")
        m.kaso.finish()


def monitor_io():
    """HMP's qemu-io: kaso-io's commands on the images of a machine."""
    create("a")
    create("b")
    with Machine("-drive", "file=a,if=none,id=d,format=qcow2", "-device", "virtio-blk-pci,drive=d,id=v",
                 *image("b")) as m:
        assert "wrote 65536/65536 bytes at offset 0" in m.hmp('qemu-io d "write -P 7 0 64k"')
        assert "read 65536/65536" in m.hmp('qemu-io -d v "read -P 7 0 64k"')
        assert "Pattern verification failed" in m.hmp('qemu-io d "read -P 8 0 512"')
        assert "wrote" in m.hmp('qemu-io b "aio_write -P 3 0 4k"')
        assert "64 KiB" in m.hmp('qemu-io b "map"'), m.hmp('qemu-io b "map"')
        assert "cluster size: 64 KiB" in m.hmp("qemu-io b info")
        assert 'command "frob" not found' in m.hmp("qemu-io b frob")
        assert "nope" in m.hmp('qemu-io nope "read 0 512"')
        assert "'nope' not found" in m.hmp('qemu-io -d nope "read 0 512"')
        assert "aio_read" in m.hmp("qemu-io b help") and "reopen" not in m.hmp("qemu-io b help")
    # It writes only where nobody minds.
    with Machine(*image("b"), "-device", "virtio-blk-pci,drive=b,id=v") as m:
        for command in ("write 0 4k", "aio_write 0 4k", "discard 0 64k", "truncate 16M"):
            assert "Permission conflict on node 'b'" in m.hmp(f'qemu-io b "{command}"'), command
        assert "read 4096/4096" in m.hmp('qemu-io b "read -P 3 0 4k"')
        assert "wrote 4096/4096" in m.hmp('qemu-io -d v "write -P 3 0 4k"')


def tool_words():
    """What kaso-io says of ranges beyond the end, of images that are read-only and of sizes."""
    create("a", "1M")
    for command, words, options in (
            ("alloc 0 2M", "0/1048576 bytes allocated at offset 0 bytes", ()), ("alloc 2M", "0/0 bytes allocated at offset 2 MiB", ()),
            ("info", "vm state offset: ", ()), ("write 0 512", "Block node is read-only", ("-r",)),
            ("discard 0 64k", "Block node is read-only", ("-r",)), ("aio_write 0 512", "Block node is read-only", ("-r",)),
            ("truncate 2M", "Block node is read-only", ("-r",))):
        assert words in io_status("a", command, options=options)[1], (command, io_status("a", command, options=options))
    assert "cluster size: 0 bytes\n" in io_status("json:{'driver':'raw','file.filename':'a'}", "info")[1]
    info = json.loads(run(IMG, "info", "--output=json", "file:a"))
    assert info["filename"] == info["children"][0]["info"]["filename"] == "a", info
    create("file:b:c", "1M")
    assert json.loads(run(IMG, "info", "--output=json", "file:b:c"))["filename"] == "file:b:c"
    for bad in ("", ",", ",,", "cluster_size=4k,", ",cluster_size=4k"):
        result = subprocess.run([IMG, "create", "-f", "qcow2", "-o", bad, "z", "1M"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert result.returncode == 1 and b"Invalid option list" in result.stderr, (bad, result)
    run(IMG, "create", "-q", "-f", "qcow2", "-o", "backing_fmt=raw,backing_file=x,,", "-u", "z", "1M")
    result = subprocess.run([IMG, "bench", "-w", "-c", "2", "-d", "4", "--flush-interval=1", "a"], stderr=subprocess.PIPE)
    assert result.returncode == 1 and b"smaller than depth" in result.stderr, result


def breakpoints():
    """Requests stand at blkdebug's breakpoints until they are told to go on."""
    create("a")
    suspended, going = "blkdebug: Suspended request '%s'\n", "blkdebug: Resuming request '%s'\n"
    for commands, words, end in (
            (("break write_aio A", "aio_write -q 0 4k", "wait_break A", "resume A", "aio_flush"),
             suspended % "A" + going % "A", 0),
            (("break write_aio A", "break write_aio B", "aio_write -q 0 4k", "wait_break A", "resume A", "resume B", "aio_flush"),
             suspended % "B" + suspended % "A" + going % "A" + going % "B", 0),
            (("break write_aio A", "aio_write -q 0 4k", "wait_break A", "write -q 64k 4k", "remove_break A", "aio_flush"),
             suspended % "A" + going % "A" + "Could not remove breakpoint A: nothing has this tag\n", 1),
            (("break write_aio A", "remove_break A", "write -q 0 4k"), "", 0),
            (("break elsewhere A",), "Could not set breakpoint: there is no event 'elsewhere'\n", 1),
            # Nobody could tell it to go on.
            (("break write_aio A", "aio_write -q 0 4k", "wait_break A"), suspended % "A" + going % "A", 0),
            (("resume A",), "Could not resume request: nothing has this tag\n", 1),
            (("break write_aio",), "bad argument count 1 to break, expected 2 arguments\n", 1)):
        status, text = io_status("blkdebug::a", *commands)
        assert sorted(text.splitlines()) == sorted(words.splitlines()) and status == end, (commands, text, status)
    assert "Could not set breakpoint: no node here has the driver 'blkdebug'" in io_status("a", "break write_aio A")[1]
    debugged_node = dict(driver="qcow2", node_name="b", file={
        "driver": "blkdebug", "image": {"driver": "file", "filename": "a"}})
    with Machine(*blockdev(**debugged_node), "-device", "virtio-blk-pci,drive=b,id=v,share-rw=on") as m:
        # The line is at its end while its request is not.
        assert m.hmp('qemu-io b "break write_aio A"') == ""
        assert m.hmp('qemu-io b "aio_write -P 5 0 4k"') == ""
        assert m.hmp('qemu-io b "wait_break A"') == ""
        assert "wrote" in m.hmp('qemu-io b "write 1M 4k"')
        assert m.hmp('qemu-io b "resume A"') == ""
        assert "read 4096/4096" in m.hmp('qemu-io b "read -P 5 0 4k"')
        # A backup stands, and goes on.
        create("t")
        m.do("blockdev-add", **{"driver": "qcow2", "node-name": "t", "file": {"driver": "file", "filename": "t"}})
        m.hmp('qemu-io b "break read_aio B"')
        m.do("blockdev-backup", job_id="j", device="b", target="t", sync="full")
        assert m.hmp('qemu-io b "wait_break B"') == ""
        assert m.do("query-block-jobs")[0]["device"] == "j"
        m.hmp('qemu-io b "remove_break B"')
        m.completed("j")
        # Nothing that stands holds an end.
        m.hmp('qemu-io b "break write_aio C"')
        m.hmp('qemu-io b "aio_write 0 4k"')
        m.do("quit")
        m.kaso.finish()


def throttle_groups():
    """Objects whose limits are read and changed while they are in use."""
    create("a")
    with Machine("-object", "throttle-group,id=g,x-bps-total=1000000", *image("a"),
                 *blockdev(driver="throttle", node_name="t", throttle_group="g", file="a")) as m:
        path = "/objects/g"
        limits = m.do("qom-get", path=path, property="limits")
        assert limits["bps-total"] == 1000000 and limits["bps-total-max-length"] == 1 and len(limits) == 19, limits
        m.do("qom-set", path=path, property="limits", value={"iops-total": 7, "bps-total": 0})
        assert m.do("qom-get", path=path, property="x-iops-total") == 7
        assert m.do("qom-get", path=path, property="x-bps-total") == 0
        assert "after initialization" in m.fails("qom-set", path=path, property="x-bps-total", value=5)
        for bad in ({"bps-nope": 5}, {"iops-read": 5}, {"iops-total-max": 1}, 7, "x"):
            m.fails("qom-set", path=path, property="limits", value=bad)
        assert m.do("qom-get", path=path, property="limits")["iops-total"] == 7
        assert {"name": "g", "type": "child<throttle-group>"} in m.do("qom-list", path="/objects")
        assert "in use" in m.fails("object-del", id="g")
        m.do("blockdev-del", node_name="t")
        m.do("object-del", id="g")
        assert "not found" in m.fails("object-del", id="g")
        m.do("object-add", **{"qom-type": "throttle-group", "id": "g", "limits": {"bps-read": 9}})
        assert m.do("qom-get", path=path, property="limits")["bps-read"] == 9
        # All that the block layer keeps is among the objects.
        m.do("object-add", **{"qom-type": "secret", "id": "s", "data": "x"})
        assert "child<secret>" in m.hmp("qom-list /objects")
        m.fails("object-add", **{"qom-type": "rng-random", "id": "s"})
        m.do("object-del", id="s")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (sharing, write_cache, debug_rules, rare_events, filters, old_content, late_copies, creation,
                 detached_header, threads, monitor_io, tool_words, breakpoints, throttle_groups):
        print(test.__name__, flush=True)
        test()
    os.chdir("/")
