# SPDX-License-Identifier: MIT
"""filter-node-name: the nodes of jobs in the graph, while they run and afterwards."""

import os
import tempfile

from running import IO, MIB, Machine, blockdev, create, image, io, run

CONTENT = ("read -P 1 0 1M", "read -P 2 1M 1M", "read -P 1 2M 2M", "read -P 3 4M 1M")
IDLE = {"auto_finalize": False}


def chain():
    """base <- mid <- top, of which a drive reads by a throttle node."""
    for name, below in (("base", None), ("mid", "base"), ("top", "mid"), ("t", None)):
        create(name, "8M", *(("-b", below, "-F", "qcow2") if below else ()))
    io("base", "write -P 1 0 4M")
    io("mid", "write -P 2 1M 1M")
    io("top", "write -P 3 4M 1M")


DEVICE = ("-device", "virtio-blk-pci,drive=limit,id=v")


def machine(*more):
    return Machine(*image("base", read_only=True), *image("mid", read_only=True, backing="base"),
                   *image("top", backing="mid"), *image("t", backing=None),
                   *blockdev(driver="throttle", node_name="limit", file="top", limits={"iops-total": 100000}),
                   *more)


def root(m):
    return m.do("query-block")[0]["inserted"]


def users(m, name):
    """Which nodes have that one below them."""
    return {n["node-name"] for n in m.do("query-named-block-nodes")
            for c in n["children"] if c["node-name"] == name}


def check_held(m, kind):
    """The filter is neither to be deleted nor to be changed."""
    busy = f"Node 'flt' is busy: block device is in use by block job: {kind}"
    assert m.fails("blockdev-del", node_name="flt") == busy
    assert m.fails("blockdev-mirror", job_id="k", device="flt", target="t", sync="full").endswith(f"job: {kind}")
    assert m.fails("block_resize", node_name="flt", size=16 * MIB) == "Device 'flt' is in use"
    assert "flt" in m.fails("blockdev-reopen", options=[{
        "driver": m.node("flt")["drv"], "node-name": "flt", "file": "mid", "target": "t"}])


def ended(m, job="j"):
    while [j for j in m.do("query-jobs") if j["id"] == job]:
        m.qmp.wait_event("JOB_STATUS_CHANGE")


def pending(m):
    while m.do("query-jobs")[0]["status"] not in ("pending", "ready"):
        m.qmp.wait_event("JOB_STATUS_CHANGE")


def shown(command, kind, driver, below="limit", **arguments):
    """A job with a filter: what it shows, what it refuses; cancelled and run once more it leaves nothing behind."""
    chain()
    with machine(*DEVICE) as m:
        before = users(m, below)
        for good in (False, True):
            m.do(command, job_id="j", device="limit", filter_node_name="flt", **arguments, **IDLE)
            pending(m)
            filter = m.node("flt")
            assert filter["drv"] == driver and {"child": "file", "node-name": below} in filter["children"], filter
            assert users(m, below) == {"flt"}
            assert users(m, "flt") == before - {"flt"}
            if below == "limit":
                assert root(m)["node-name"] == "flt" and root(m)["drv"] == driver
            check_held(m, kind)
            if not good:
                m.do("block-job-cancel", device="j", force=True)
            elif m.do("query-jobs")[0]["status"] == "ready":
                m.do("block-job-complete", device="j")
                m.qmp.wait_event("BLOCK_JOB_PENDING")
                m.do("job-finalize", id="j")
            else:
                m.do("job-finalize", id="j")
            ended(m)
            assert m.node("flt") is None
        assert root(m)["node-name"] == "limit"
        assert "flt" not in str(m.do("query-named-block-nodes"))
        # The name is free; names of other nodes and bad ones are not taken, and nothing stays behind.
        if driver.startswith("copy-"):
            for name, message in (("top", "Duplicate nodes"), ("1x", "Invalid node-name"), ("n" * 40, "longer")):
                assert message in m.fails(command, job_id="j", device="limit", filter_node_name=name, **arguments)
            assert m.do("query-jobs") == []
            m.do("block_resize", node_name="t", size=16 * MIB)


def stream():
    shown("block-stream", "stream", "copy-on-read")
    io("top", *CONTENT)
    shown("block-stream", "stream", "copy-on-read", base_node="base")
    io("top", *CONTENT)


def mirror():
    shown("blockdev-mirror", "mirror", "mirror_top", target="t", sync="full")
    io("t", *CONTENT)


def backup():
    shown("blockdev-backup", "backup", "copy-before-write", target="t", sync="full")
    io("t", *CONTENT)


def commit():
    shown("block-commit", "commit", "mirror_top")
    io("base", *CONTENT)
    shown("block-commit", "commit", "commit_top", below="mid", top_node="mid")
    io("top", *CONTENT)


def writes():
    """Guests' writes pass a filter; two backups have one each, and go in any order."""
    chain()
    create("u")
    with machine(*image("u")) as m:
        m.serve()
        m.do("block-export-add", type="nbd", id="e", name="e", node_name="top", writable=True)
        url = "nbd+unix:///e?socket=nbd"
        for job, target in (("j", "t"), ("k", "u")):
            m.do("blockdev-backup", job_id=job, device="top", target=target, sync="none", filter_node_name="f" + job)
            io(url, f"write -P {ord(job)} 0 64k")
        assert users(m, "fk") == {"fj"} and users(m, "top") == {"fk"}
        m.do("block-job-cancel", device="j")
        ended(m, "j")
        io(url, "read -P 107 0 64k", "write -P 9 1M 64k")
        assert users(m, "top") == {"fk"}
        m.do("block-job-cancel", device="k")
        ended(m, "k")
        assert users(m, "top") == {"limit"}
        # A target above its source does not become a circle.
        m.do("blockdev-reopen", options=[{"driver": "qcow2", "node-name": "t", "backing": "top",
                                          "file": {"driver": "file", "filename": "t"}}])
        m.do("blockdev-backup", job_id="j", device="top", target="t", sync="none", filter_node_name="fj")
        assert users(m, "top") == {"fj", "t"}
        m.do("block-job-cancel", device="j")
        ended(m)
        for name in ("t", "u"):
            m.do("blockdev-del", node_name=name)
    io("u", "read -P 106 0 64k", "read -P 2 1M 64k")
    io("t", "read -P 1 0 64k")


def copied_reads():
    """With a stream's filter, what is read need not be read again; below `bottom` nothing is kept."""
    for base, kept in ({}, 1), ({"base_node": "base"}, 7):
        chain()
        io("mid", "write -P 2 5M 1M")
        with machine() as m:
            m.serve()
            m.do("block-export-add", type="nbd", id="e", name="e", node_name="limit")
            m.do("block-stream", job_id="j", device="limit", filter_node_name="flt", speed=1, **base)
            run(IO, "-r", "-c", "read -P 1 3M 64k", "-c", "read -P 2 5M 64k", "nbd+unix:///e?socket=nbd")
            m.do("block-job-cancel", device="j", force=True)
            ended(m)
            m.do("block-export-del", id="e", mode="hard")
            for name in ("limit", "top"):
                m.do("blockdev-del", node_name=name)
        # Changed behind the back of `top`, which has kept its own.
        io("base", "write -P 7 3M 64k")
        io("mid", "write -P 7 5M 64k")
        io("top", "read -P 2 5M 64k", f"read -P {kept} 3M 64k")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for test in (stream, mirror, backup, commit, writes, copied_reads):
        test()
    os.chdir("/")
