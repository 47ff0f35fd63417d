# SPDX-License-Identifier: MIT
"""Drives in the monitor: what they are, statistics, limits; no guest runs."""

from harness import Kaso, Qmp

SERVER = "unix:@/%s,server=on,wait=off"


def drives():
    with Kaso("-qmp", SERVER % "qmp", "-drive",
              "driver=null-co,size=1M,if=none,id=d0,throttling.bps-total=1000000,"
              "throttling.group=g",
              "-object", "throttle-group,id=tg,limits.iops-total=100",
              "-blockdev", "driver=null-co,size=1M,node-name=n0",
              "-blockdev", "driver=throttle,node-name=t0,throttle-group=tg,file=n0",
              "-device", "virtio-blk-pci,drive=t0,id=disk", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        d0, disk = qmp.command("query-block")
        assert d0["device"] == "d0" and d0["inserted"]["group"] == "g", d0
        assert d0["inserted"]["bps"] == 1000000 and d0["inserted"]["drv"] == "null-co"
        assert d0["inserted"]["image"]["virtual-size"] == 1 << 20
        assert disk["device"] == "" and disk["inserted"]["node-name"] == "t0", disk
        stats = qmp.command("query-blockstats")
        assert [s["device"] for s in stats] == ["d0", ""], stats
        assert stats[1]["parent"]["node-name"] == "n0"
        assert stats[0]["stats"]["timed_stats"] == []
        assert stats[0]["stats"]["unmap_total_time_ns"] == 0
        nodes = qmp.command("query-blockstats", **{"query-nodes": True})
        assert {"n0", "t0"} <= {n["node-name"] for n in nodes}
        assert {"n0", "t0"} <= {
            n["node-name"] for n in qmp.command("query-named-block-nodes", flat=True)}
        for name in ("disk", stats[1]["qdev"], stats[1]["qdev"] + "/virtio-backend", "d0"):
            qmp.command("block-latency-histogram-set", id=name, boundaries=[10, 50])
        stats = qmp.command("query-blockstats")
        assert stats[1]["stats"]["rd_latency_histogram"] == {
            "boundaries": [10, 50], "bins": [0, 0, 0]}
        assert qmp.failure("block-latency-histogram-set", id="nope")["class"] == "DeviceNotFound"
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


drives()
