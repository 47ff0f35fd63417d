# SPDX-License-Identifier: MIT
"""quorum: the same disk several times over, children that fail or say something else, and children that come and go."""

import os
import tempfile

from running import Machine, blockdev, create, image, io

COPIES = ("a", "b", "c")


def copies():
    for name in COPIES + ("d",):
        create(name)
        io(name, "write -P 1 0 1M")


def quorum(*children, threshold=2, **more):
    return blockdev(driver="quorum", node_name="q", vote_threshold=threshold, children=list(children), **more)


def nodes(*names):
    return [a for n in names for a in image(n)]


def failing(name, kind):
    """A node on which requests of a kind fail, on blkdebug above its image."""
    return blockdev(driver="blkdebug", node_name=name, image={"driver": "qcow2", "file": {"driver": "file", "filename": name}},
                    inject_error=[{"iotype": kind, "errno": 5}])


def told(m, name):
    m.do("query-status")
    found = [e["data"] for e in m.qmp.events if e["event"] == name]
    m.qmp.events = [e for e in m.qmp.events if e["event"] != name]
    return found


def votes():
    copies()
    io("c", "write -P 9 64k 64k")
    with Machine(*nodes(*COPIES), *quorum(*COPIES)) as m:
        assert "Pattern" not in m.hmp('qemu-io q "read -P 1 0 1M"')
        bad = told(m, "QUORUM_REPORT_BAD")
        assert bad == [{"type": "read", "node-name": "c", "sector-num": 0, "sectors-count": 2048}], bad
        assert "wrote" in m.hmp('qemu-io q "write -P 5 2M 1M"')
        m.hmp('qemu-io q "write -z 3M 64k"')
        m.hmp('qemu-io q "flush"')
    for name in COPIES:
        io(name, "read -P 5 2M 1M", "read -P 0 3M 64k")
    io("c", "read -P 9 64k 64k")
    # All differ: nobody knows.
    io("b", "write -P 8 64k 64k")
    with Machine(*nodes(*COPIES), *quorum(*COPIES)) as m:
        assert "failed" in m.hmp('qemu-io q "read 64k 64k"')
        assert told(m, "QUORUM_FAILURE") == [{"reference": "q", "sector-num": 128, "sectors-count": 128}]
    # What most say is written where something else is.
    io("b", "write -P 1 64k 64k")
    with Machine(*nodes(*COPIES), *quorum(*COPIES, rewrite_corrupted=True)) as m:
        assert "Pattern" not in m.hmp('qemu-io q "read -P 1 64k 64k"')
    io("c", "read -P 1 64k 64k")


def failures():
    copies()
    with Machine(*nodes("a", "b"), *failing("c", "write"), *quorum(*COPIES)) as m:
        assert "wrote" in m.hmp('qemu-io q "write -P 2 0 64k"')
        bad = told(m, "QUORUM_REPORT_BAD")
        assert bad == [{"type": "write", "node-name": "c", "error": os.strerror(5), "sector-num": 0, "sectors-count": 128}], bad
    with Machine(*nodes("a"), *failing("b", "write"), *failing("c", "write"), *quorum(*COPIES)) as m:
        assert "failed" in m.hmp('qemu-io q "write -P 2 0 64k"')
        assert len(told(m, "QUORUM_REPORT_BAD")) == 2 and len(told(m, "QUORUM_FAILURE")) == 1
    with Machine(*failing("a", "read"), *nodes("b", "c"), *quorum(*COPIES, threshold=1, read_pattern="fifo")) as m:
        assert "read 65536" in m.hmp('qemu-io q "read 0 64k"')
        assert [b["node-name"] for b in told(m, "QUORUM_REPORT_BAD")] == ["a"]


def verifies():
    copies()
    io("b", "write -P 3 0 64k")
    with Machine(*nodes("a", "b"), *quorum("a", "b", blkverify=True)) as m:
        assert "failed" in m.hmp('qemu-io q "read 0 64k"') and "read 65536" in m.hmp('qemu-io q "read 64k 64k"')


def comes_and_goes():
    copies()
    with Machine(*nodes(*COPIES, "d"), *quorum(*COPIES)) as m:
        def change(**arguments):
            return m.ask("x-blockdev-change", parent="q", **arguments).get("error", {}).get("desc", "")
        assert "must be specified" in change() and "conflict" in change(child="children.0", node="d")
        assert "not found" in change(node="nobody") and "does not have child" in change(child="children.9")
        assert "already has a parent" in change(node="a")
        assert not change(node="d")
        assert [c["child"] for c in m.node("q")["children"]] == ["children.0", "children.1", "children.2", "children.3"]
        m.hmp('qemu-io q "write -P 6 0 64k"')
        assert not change(child="children.0") and not change(child="children.1")
        assert "lower than the vote threshold 2" in change(child="children.2")
        m.do("blockdev-del", node_name="a")
        assert not change(node="b")
        assert [c["child"] for c in m.node("q")["children"]] == ["children.2", "children.3", "children.4"]
        assert "does not support" in m.fails("x-blockdev-change", parent="d", node="b")
    io("d", "read -P 6 0 64k")


def refusals():
    copies()
    with Machine(*nodes(*COPIES)) as m:
        for more, text in (({"vote-threshold": 4}, "vote-threshold"), ({"vote-threshold": 0}, "vote-threshold"),
                           ({"vote-threshold": 1, "children": []}, "children"),
                           ({"vote-threshold": 2, "blkverify": True}, "exactly two"),
                           ({"vote-threshold": 2, "read-pattern": "some"}, "read-pattern")):
            wanted = {"children": list(COPIES), **more}
            assert text in m.fails("blockdev-add", driver="quorum", node_name="q", **wanted), more
        m.do("blockdev-add", driver="quorum", node_name="q", children=list(COPIES), vote_threshold=2)
        m.do("blockdev-del", node_name="q")


for test in (votes, failures, verifies, comes_and_goes, refusals):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test()
        os.chdir("/")
