# SPDX-License-Identifier: MIT
"""Drives in the monitor: what they are, statistics, limits, exports by NBD; no guest runs."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from harness import Kaso, Qmp
from patience import allow

SERVER = "unix:@/%s,server=on,wait=off"


def owners():
    """A drive's device is named as QEMU names it, and qom-get takes these names."""
    with Kaso("-qmp", SERVER % "qmp", "-drive", "driver=null-co,size=1M,if=none,id=h0",
              "-device", "virtio-blk-pci,drive=h0,id=d0",
              "-blockdev", "{'driver':'null-co','size':1048576,'node-name':'n0'}",
              "-device", "virtio-blk-pci,drive=n0",
              "-blockdev", "driver=null-co,size=1M,node-name=n1",
              "-device", "virtio-blk-device,drive=n1,id=d1,serial=x",
              "-drive", "driver=null-co,size=1M,if=none,id=none", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        found = [(d["device"], d.get("qdev"), d["removable"]) for d in qmp.command("query-block")]
        assert found == [("h0", "/machine/peripheral/d0/virtio-backend", False),
                         ("none", None, True),
                         ("", "/machine/peripheral-anon/device[0]/virtio-backend", False),
                         ("", "d1", False)], found
        for (_, path, _), drive in zip(found, ("h0", None, "n0", "n1")):
            if path:
                assert qmp.command("qom-get", path=path, property="drive") == drive, path
                assert qmp.command("qom-get", path=path, property="logical_block_size") == 512
        assert qmp.command("qom-get", path="/machine/peripheral/d1", property="serial") == "x"
        assert [e["name"] for e in qmp.command("qom-list", path="/machine/peripheral")] == [
            "type", "d0", "d1"]
        assert "peripheral-anon" in [e["name"] for e in qmp.command("qom-list", path="/machine")]
        for name, arguments, error in (
                ("qom-get", {"path": "/machine/peripheral/x", "property": "a"}, "DeviceNotFound"),
                ("device_del", {"id": "x"}, "DeviceNotFound"),
                ("device-list-properties", {"typename": "x"}, "DeviceNotFound"),
                ("set_link", {"name": "x", "up": True}, "DeviceNotFound"),
                ("netdev_del", {"id": "x"}, "DeviceNotFound"),
                ("chardev-remove", {"id": "x"}, "GenericError"),
                ("object-del", {"id": "x"}, "GenericError"),
                ("block_resize", {"device": "x", "size": 512}, "GenericError"),
                ("blockdev-del", {"node-name": "x"}, "GenericError"),
                ("blockdev-snapshot-sync", {"device": "x", "snapshot-file": "y"}, "GenericError"),
                ("drive-backup", {"device": "x", "target": "y", "sync": "full"}, "GenericError"),
                ("drive-mirror", {"device": "x", "target": "y", "sync": "full"}, "GenericError"),
                ("block-stream", {"device": "x"}, "GenericError"),
                ("block-job-cancel", {"device": "x"}, "DeviceNotActive"),
                ("block-dirty-bitmap-add", {"node": "x", "name": "y"}, "GenericError"),
                ("block-dirty-bitmap-remove", {"node": "n0", "name": "y"}, "GenericError"),
                ("blockdev-add", {"driver": "x", "node-name": "y"}, "GenericError"),
                ("nbd-server-remove", {"name": "x"}, "GenericError")):
            assert qmp.failure(name, **arguments)["class"] == error, name
        qmp.command("quit")
        kaso.finish()
    text = tool(sys.argv[1], "-M", "virt", "-drive", "format=help")
    assert text.startswith("Supported formats: blkdebug "), text
    assert "\nSupported formats (read-only): " in text and " qcow2 " in text, text


def drives():
    with Kaso("-qmp", SERVER % "qmp", "-drive",
              "driver=null-co,size=1M,if=none,id=d0,throttling.bps-total=1000000,"
              "throttling.group=g,stats-intervals.0=2,stats-intervals.1=60",
              "-object", "throttle-group,id=tg,limits.iops-total=100",
              "-blockdev", "driver=null-co,size=1M,node-name=n0",
              "-blockdev", "driver=throttle,node-name=t0,throttle-group=tg,file=n0",
              "-device", "virtio-blk-pci,drive=t0,id=disk,account-failed=off", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        d0, disk = qmp.command("query-block")
        assert d0["device"] == "d0" and d0["inserted"]["group"] == "g", d0
        assert d0["inserted"]["bps"] == 1000000 and d0["inserted"]["drv"] == "null-co"
        assert d0["inserted"]["image"]["virtual-size"] == 1 << 20
        assert disk["device"] == "" and disk["inserted"]["node-name"] == "t0", disk
        stats = qmp.command("query-blockstats")
        assert [s["device"] for s in stats] == ["d0", ""], stats
        assert stats[1]["parent"]["node-name"] == "n0"
        assert stats[1]["stats"]["timed_stats"] == []
        assert [(s["stats"]["account_invalid"], s["stats"]["account_failed"]) for s in stats] == [(True, True), (True, False)], stats
        timed = stats[0]["stats"]["timed_stats"]
        assert [t["interval_length"] for t in timed] == [2, 60]
        assert set(timed[0]) == {"interval_length"} | {
            "%s_%s_latency_ns" % (a, b) for a in ("min", "max", "avg")
            for b in ("rd", "wr", "flush", "zone_append")} | {
            "avg_%s_queue_depth" % b for b in ("rd", "wr", "zone_append")}, timed
        assert stats[0]["stats"]["unmap_total_time_ns"] == 0
        nodes = qmp.command("query-blockstats", **{"query-nodes": True})
        assert {"n0", "t0"} <= {n["node-name"] for n in nodes}
        assert {"n0", "t0"} <= {
            n["node-name"] for n in qmp.command("query-named-block-nodes", flat=True)}
        for name in ("disk", stats[1]["qdev"], "/machine/peripheral/disk", "/machine/peripheral/disk/virtio-backend",
                     "d0"):
            qmp.command("block-latency-histogram-set", id=name, boundaries=[10, 50])
        stats = qmp.command("query-blockstats")
        assert stats[1]["stats"]["rd_latency_histogram"] == {
            "boundaries": [10, 50], "bins": [0, 0, 0]}
        assert qmp.failure("block-latency-histogram-set", id="nope")["class"] == "GenericError"
        limits = dict(bps=0, bps_rd=0, bps_wr=0, iops=7, iops_rd=0, iops_wr=0)
        qmp.command("block_set_io_throttle", device="d0", iops_max=9, iops_max_length=2, **limits)
        inserted = qmp.command("query-block")[0]["inserted"]
        assert (inserted["iops"], inserted["iops_max"], inserted["iops_max_length"],
                inserted["group"]) == (7, 9, 2, "g")
        assert "cannot be lower" in qmp.failure(
            "block_set_io_throttle", device="d0", iops_max=3, **limits)["desc"]
        assert "same time" in qmp.failure(
            "block_set_io_throttle", device="d0", **dict(limits, iops_rd=3))["desc"]
        text = qmp.command("human-monitor-command", **{"command-line": "info block"})
        assert "I/O throttling:   bps=0" in text and "group=g" in text, text
        text = qmp.command("human-monitor-command", **{"command-line": "info blockstats"})
        assert text.startswith("d0: idle_time_ns=0\n"), text
        qmp.command("human-monitor-command",
                    **{"command-line": "block_set_io_throttle d0 0 0 0 0 0 0"})
        assert "group" not in qmp.command("query-block")[0]["inserted"]
        qmp.command("quit")
        kaso.finish()


def graph():
    """Nodes, who uses them and for what."""
    with Kaso("-qmp", SERVER % "qmp", "-drive", "driver=null-co,size=1M,if=none,id=h0,node-name=n0", "-device", "virtio-blk-pci,drive=h0",
              "-blockdev", "driver=raw,node-name=r,file.driver=null-co,file.size=1M,file.node-name=f", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        graph = qmp.command("x-debug-query-block-graph")
        names = {node["id"]: node["name"] for node in graph["nodes"]}
        assert sorted((node["type"], node["name"]) for node in graph["nodes"]) == [
            ("block-backend", "h0"), ("block-driver", "f"), ("block-driver", "n0"), ("block-driver", "r")], graph
        edges = {(names[edge["parent"]], names[edge["child"]]): edge for edge in graph["edges"]}
        assert set(edges) == {("h0", "n0"), ("r", "f")}, graph
        assert edges["r", "f"]["name"] == "file" and "write" in edges["h0", "n0"]["perm"], graph
        qmp.command("quit")
        kaso.finish()


def yanked():
    """A server that does not answer any more is left; so is the other end of a socket."""
    with Kaso("-qmp", SERVER % "qmp", "-blockdev", "driver=null-co,size=1G,node-name=e") as server, \
            Kaso("-qmp", SERVER % "qmp", "-qmp", SERVER % "second", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        assert qmp.command("query-yank") == [{"type": "chardev", "id": "compat_monitor%d" % i} for i in range(2)], qmp.command("query-yank")
        served = Qmp(server.connect("qmp"))
        served.command("nbd-server-start", addr={"type": "unix", "data": {"path": server.path("n")}})
        served.command("nbd-server-add", device="e", writable=True)
        qmp.command("blockdev-add", driver="nbd", node_name="n", export="e", reconnect_delay=1000, server={"type": "unix", "path": server.path("n")})
        server.process.send_signal(signal.SIGSTOP)
        node = {"type": "block-node", "node-name": "n"}
        assert node in qmp.command("query-yank")
        for wrong in ([node, {"type": "chardev", "id": "x"}], [{"type": "migration"}], [{}], [1]):
            assert qmp.failure("yank", instances=wrong)["class"] == "DeviceNotFound", wrong
        qmp.command("blockdev-add", driver="null-co", node_name="t", size=1 << 30, read_zeroes=True)
        qmp.command("blockdev-mirror", job_id="j", device="n", target="t", sync="full")
        assert qmp.command("query-block-jobs")[0]["status"] == "running"
        qmp.command("yank", instances=[node])
        assert "error" in qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]
        server.process.send_signal(signal.SIGCONT)
        second = Qmp(kaso.connect("second"))
        qmp.command("yank", instances=[{"type": "chardev", "id": "compat_monitor1"}])
        try:
            second.message()
            assert False, "the session should have ended"
        except (EOFError, ConnectionError):
            pass
        Qmp(kaso.connect("second")).command("quit")
        kaso.finish()
        served.command("quit")
        server.finish()


def corrupted():
    """What is found to be wrong in an image is told, once."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "q")
        with Kaso("-qmp", SERVER % "qmp") as kaso:
            qmp = Qmp(kaso.connect("qmp"))
            with open(path, "wb"):
                pass
            qmp.command("blockdev-add", driver="file", filename=path, node_name="f")
            qmp.command("blockdev-create", job_id="c", options={"driver": "qcow2", "file": "f", "size": 1 << 20})
            while qmp.wait_event("JOB_STATUS_CHANGE")["data"]["status"] != "concluded":
                pass
            qmp.command("quit")
            kaso.finish()
        with open(path, "r+b") as file:
            file.seek(40)
            table = int.from_bytes(file.read(8), "big")
            file.seek(table)
            file.write((1 << 63 | table + 512).to_bytes(8, "big"))
        with Kaso("-qmp", SERVER % "qmp", "-drive", "if=none,id=d,format=qcow2,node-name=n,file=" + path) as kaso:
            qmp = Qmp(kaso.connect("qmp"))
            qmp.command("human-monitor-command", command_line='qemu-io d "read 0 512"')
            told = qmp.wait_event("BLOCK_IMAGE_CORRUPTED")["data"]
            assert (told["device"], told["node-name"], told["fatal"]) == ("d", "n", True) and "unaligned" in told["msg"], told
            qmp.command("quit")
            kaso.finish()


def activity():
    """An image that is not active is anybody's; one process after the other has it."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(1 << 20)
        with Kaso("-qmp", SERVER % "qmp", "-blockdev", "driver=file,filename=%s,node-name=f" % file.name,
                  "-blockdev", "driver=raw,file=f,node-name=r", "-device", "virtio-blk-pci,drive=r", machine="virt") as first, \
                Kaso("-qmp", SERVER % "qmp", "-blockdev", "driver=raw,file.driver=file,file.filename=%s,file.node-name=f,node-name=r,active=off" % file.name,
                     "-device", "virtio-blk-pci,drive=r", machine="virt") as second:
            here, there = Qmp(first.connect("qmp")), Qmp(second.connect("qmp"))

            def active(qmp):
                return {node["node-name"]: node["active"] for node in qmp.command("query-named-block-nodes")}
            assert active(there) == {"r": False, "f": False}, active(there)
            assert "lock" in there.failure("blockdev-set-active", active=True)["desc"]
            assert "lock" in there.failure("blockdev-set-active", node_name="r", active=True)["desc"]
            assert "lock" in there.failure("cont")["desc"]
            assert active(there) == {"r": False, "f": False}, active(there)
            assert "active parent" in here.failure("blockdev-set-active", node_name="f", active=False)["desc"]
            assert "find node" in here.failure("blockdev-set-active", node_name="x", active=False)["desc"]
            for node in ("r", "f", "r"):
                here.command("blockdev-set-active", node_name=node, active=False)
            assert active(here) == {"r": False, "f": False}, active(here)
            there.command("blockdev-set-active", node_name="r", active=True)
            assert active(there) == {"r": True, "f": True}, active(there)
            assert "lock" in here.failure("cont")["desc"] and active(here) == {"r": False, "f": False}
            there.command("blockdev-set-active", active=False)
            here.command("blockdev-set-active", active=True)
            assert active(here) == {"r": True, "f": True} and active(there) == {"r": False, "f": False}
            for qmp, kaso in ((here, first), (there, second)):
                qmp.command("quit")
                kaso.finish()


def tool(*command, status=0):
    """kaso-img and kaso-io lie in a folder beside the program."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=allow(30))
    assert done.returncode == status, (command, done.stdout)
    return done.stdout


def exports():
    block = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "block")
    img, io = os.path.join(block, "kaso-img"), os.path.join(block, "kaso-io")
    with Kaso("-qmp", SERVER % "qmp", "-drive", "driver=null-co,size=1M,if=none,id=other",
              machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        disk, copy = kaso.path("disk"), kaso.path("copy")
        uri = "nbd+unix:///%s?socket=" + kaso.path("nbd")
        tool(img, "create", "-q", "-f", "qcow2", disk, "4M")
        tool(io, "-c", "write -P 5 1M 1M", disk)
        assert "not running" in qmp.failure("nbd-server-stop")["desc"]
        assert "not running" in qmp.failure("nbd-server-add", device="other")["desc"]
        qmp.command("blockdev-add", driver="qcow2", node_name="n0",
                    file={"driver": "file", "filename": disk})
        qmp.command("block-dirty-bitmap-add", node="n0", name="dirty")
        address = {"type": "unix", "data": {"path": kaso.path("nbd")}}
        qmp.command("nbd-server-start", addr=address)
        assert "already running" in qmp.failure("nbd-server-start", addr=address)["desc"]
        qmp.command("nbd-server-add", device="n0", name="ro", bitmap="dirty")
        qmp.command("block-export-add", type="nbd", id="rw", node_name="n0", writable=True,
                    name="rw")
        assert "in use" in qmp.failure("nbd-server-add", device="n0", name="ro")["desc"]
        assert "not found" in qmp.failure("nbd-server-add", device="n0", name="x",
                                          bitmap="nope")["desc"]
        assert {e["id"] for e in qmp.command("query-block-exports")} == {"ro", "rw"}
        tool(io, "-f", "raw", "-c", "write -P 6 2M 1M", "-c", "flush", uri % "rw")
        tool(io, "-f", "raw", "-r", "-c", "read -P 5 1M 1M", "-c", "read -P 6 2M 1M", uri % "ro")
        tool(img, "convert", "-f", "raw", "-O", "raw", uri % "ro", copy)
        tool(io, "-f", "raw", "-c", "read -P 5 1M 1M", "-c", "read -P 6 2M 1M", copy)
        if shutil.which("nbdinfo"):
            text = tool("nbdinfo", "--list", uri % "")
            assert 'export="ro"' in text and 'export="rw"' in text, text
            assert "qemu:dirty-bitmap:dirty" in text, text
        if shutil.which("nbdcopy"):
            tool("nbdcopy", uri % "ro", copy)
            tool(io, "-f", "raw", "-c", "read -P 5 1M 1M", "-c", "read -P 6 2M 1M", copy)
        qmp.command("nbd-server-remove", name="ro")
        tool(io, "-f", "raw", "-r", "-c", "quit", uri % "ro", status=1)
        assert "not found" in qmp.failure("block-export-del", id="ro")["desc"]
        qmp.command("block-export-del", id="rw", mode="hard")
        assert qmp.command("query-block-exports") == []
        assert [e["data"]["id"] for e in qmp.events if e["event"] == "BLOCK_EXPORT_DELETED"] == [
            "ro", "rw"], qmp.events
        qmp.command("nbd-server-stop")
        assert not os.path.exists(kaso.path("nbd"))
        text = qmp.command("human-monitor-command",
                           **{"command-line": "nbd_server_start -a unix:" + kaso.path("nbd")})
        assert not text, text
        tool(img, "info", uri % "other")
        qmp.command("quit")
        kaso.finish()
        assert not os.path.exists(kaso.path("nbd"))


def write_threshold():
    with Kaso("-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        qmp.command("blockdev-add", driver="null-co", node_name="n", size=1 << 20)
        assert "nobody" in qmp.failure("block-set-write-threshold", node_name="nobody", write_threshold=1)["desc"]
        qmp.command("block-set-write-threshold", node_name="n", write_threshold=65536)
        assert qmp.command("query-named-block-nodes")[0]["write_threshold"] == 65536
        for command in ("write 0 64k", "write 64k 512", "write 128k 512"):
            qmp.command("human-monitor-command", command_line=f'qemu-io n "{command}"')
        assert qmp.wait_event("BLOCK_WRITE_THRESHOLD")["data"] == {
            "node-name": "n", "amount-exceeded": 512, "write-threshold": 65536}
        assert qmp.command("query-named-block-nodes")[0]["write_threshold"] == 0
        assert not [e for e in qmp.events if e["event"] == "BLOCK_WRITE_THRESHOLD"]


owners()
drives()
exports()
write_threshold()
graph()
yanked()
activity()
corrupted()
