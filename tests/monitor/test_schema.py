# SPDX-License-Identifier: MIT
"""Every answer of every command that asks is what query-qmp-schema says of it: machines with disks of all formats, jobs,
exports, bitmaps, displays. Usage: test_schema.py KASO"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from harness import Kaso, Qmp
from schema import Types

SERVER = "unix:@/qmp,server=on,wait=off"
SECRET = ("--object", "secret,id=s,data=x")
IMAGES = (("-f", "qcow2", "base", "2M"), ("-f", "qcow2", "-b", "base", "-F", "qcow2", "top"), ("-f", "vmdk", "vmdk", "4M"),
          (*SECRET, "-f", "luks", "-o", "key-secret=s,iter-time=10", "luks", "4M"),
          (*SECRET, "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "secret", "4M"),
          ("-f", "vmdk", "-o", "subformat=twoGbMaxExtentFlat", "flat", "1M"), ("-f", "qcow2", "-o", "data_file=data", "ext", "4M"),
          *(("-f", f, f, "4M") for f in ("vdi", "vhdx", "vpc", "qed", "qcow", "parallels", "raw")))
# A variant that says more, and members that are there only sometimes.
SEEN = {"query-block": ("luks", "backing-image", "dirty-bitmaps", "encrypt", "extents", "snapshots", "bitmaps", "tray_open", "group",
                        "bps_max"),
        "query-blockstats": ("l2-cache", "backing", "rd_latency_histogram", "interval_length"), "query-jobs": ("mirror",),
        "query-block-jobs": ("actively-synced",), "query-block-exports": ("shutting-down",), "query-cpus-fast": ("socket-id",),
        "query-mice": ("absolute",), "query-name": ("joe",)}


def ask_all(qmp, types):
    """All commands that ask; what they said."""
    said = {}
    for name in sorted(types.returns):
        if not name.startswith(("query-", "x-query-", "qom-list-types")):
            continue
        reply = qmp.raw(json.dumps({"execute": name}))
        if "return" in reply:
            types.check_answer(name, reply["return"])
            said[name] = json.dumps(reply["return"])
    return said


def check_events(types):
    """Each event that some source tells is in the schema."""
    folder = os.path.join(os.path.dirname(__file__), "..", "..")
    for part in ("accel", "backends", "block", "hw", "machine", "monitor", "target", "ui"):
        for path in glob.glob(os.path.join(folder, part, "**", "*.c"), recursive=True):
            with open(path, encoding="utf-8") as file:
                for name in re.findall(r'(?:machine|client|block)_event\([^;"]*"([A-Z_]+)"', file.read()):
                    assert name in types.events, (path, name)


def look_at_virtio(qmp, types):
    """Devices that no driver has found yet."""
    assert [f["name"] for f in qmp.command("query-rx-filter")] == ["nic"]
    types.check_answer("query-rx-filter", qmp.command("query-rx-filter", name="nic"))
    for name, reason in (("old", "does not tell"), ("u0", "no network card"), ("nix", "does not exist")):
        answer = qmp.raw(json.dumps({"execute": "query-rx-filter", "arguments": {"name": name}}))
        assert reason in answer["error"]["desc"], answer
    devices = {d["path"]: d["name"] for d in qmp.command("x-query-virtio")}
    assert devices["/machine/peripheral/nic/virtio-backend"] == "virtio-net", devices
    for path, name in devices.items():
        status = qmp.command("x-query-virtio-status", path=path)
        types.check_answer("x-query-virtio-status", status)
        assert status["name"] == name and not status["started"], status
        assert "unknown-dev-features" not in status["host-features"], status
        queue = qmp.command("x-query-virtio-queue-status", path=path, queue=0)
        types.check_answer("x-query-virtio-queue-status", queue)
        for command in ("x-query-virtio-queue-element", "x-query-virtio-vhost-queue-status"):
            assert "error" in qmp.raw(json.dumps({"execute": command, "arguments": {"path": path, "queue": 0}})), path
        text = qmp.command("human-monitor-command", command_line=f"info virtio-status {path}")
        assert text.startswith(f"{path}:\n  device_name:             {name}\n  device_id: "), text
        assert "  status:\n" in text and "  Host features:\n\tVIRTIO_" in text, text
        text = qmp.command("human-monitor-command", command_line=f"info virtio-queue-status {path} 0")
        assert "  VRing:\n    num: " in text, text


def check_variants(types):
    """What a driver, a network back end and an object take is found by its name, as tools look for it."""
    for command, variant, wanted in (("blockdev-add", "nbd", {"server", "tls-creds", "tls-hostname"}), ("blockdev-add", "qcow2", {"file", "backing", "encrypt"}),
                                     ("blockdev-add", "blkdebug", {"image", "inject-error"}), ("netdev_add", "user", {"hostfwd"}),
                                     ("netdev_add", "stream", {"addr", "reconnect-ms"}), ("object-add", "iothread", {"poll-max-ns"})):
        entry = types.types[types.arguments[command]]
        found = [types.types[v["type"]]["members"] for v in entry["variants"] if v["case"] == variant]
        assert len(found) == 1 and wanted <= {m["name"] for m in found[0]}, (command, variant, found)


def main():
    img = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "block", "kaso-img")
    sys.argv[1] = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for image in IMAGES:
            subprocess.run([img, "create", "-q", *image], check=True, cwd=folder)
        subprocess.run([img, "snapshot", "-c", "s1", "base"], check=True, cwd=folder)
        subprocess.run([img, "bitmap", "--add", "top", "b1"], check=True, cwd=folder)
        drives = [f"file={n},format={f},if=none,id={n}" for n, f in (("vmdk", "vmdk"), ("flat", "vmdk"), ("ext", "qcow2"), ("vdi", "vdi"),
                                                                    ("vhdx", "vhdx"), ("vpc", "vpc"), ("qed", "qed"),
                                                                    ("qcow", "qcow"), ("parallels", "parallels"))]
        drives += ["file=top,format=qcow2,id=top,if=ide,index=1,bps=1000000,bps_max=2000000,stats-intervals.0=1",
                   "file=luks,driver=luks,key-secret=s,id=luks,if=none", "file=secret,driver=qcow2,encrypt.key-secret=s,id=sec,if=none",
                   "file=raw,format=raw,id=raw,if=none", "media=cdrom,id=cd"]
        arguments = [a for d in drives for a in ("-drive", d)]
        with Kaso("-qmp", SERVER, "-object", "secret,id=s,data=x", *arguments, "-device", "virtio-blk,drive=vdi", "-device",
                  "virtio-balloon", "-device", "vmgenid,guid=auto", "-object", "iothread,id=io", "-smp", "4,sockets=2,cores=2",
                  "-name", "joe", "-device", "virtio-tablet", "-netdev", "user,id=u0", "-device", "virtio-net,netdev=u0,id=nic",
                  "-netdev", "user,id=u1", "-device", "e1000,netdev=u1,id=old", "-device", "virtio-scsi,id=hba", "-chardev", "ringbuf,id=ring", machine="pc", cwd=folder) as kaso:
            qmp = Qmp(kaso.connect("qmp"))
            types = Types(qmp.command("query-qmp-schema"))
            qmp.command("block-dirty-bitmap-add", node="top", name="b0", persistent=True)
            qmp.command("block-latency-histogram-set", id="top", boundaries=[10, 100])
            qmp.command("drive-mirror", device="top", target="copy", sync="full", job_id="j0", speed=1)
            qmp.command("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})
            qmp.command("block-export-add", type="nbd", id="e0", node_name=(
                [n for n in qmp.command("query-named-block-nodes") if n["drv"] == "vpc"][0]["node-name"]))
            check_events(types)
            check_variants(types)
            look_at_virtio(qmp, types)
            assert qmp.command("query-dirty-rate")["status"] == "unstarted"
            qmp.command("calc-dirty-rate", calc_time=50, calc_time_unit="millisecond", sample_pages=128)
            said = ask_all(qmp, types)
            while qmp.command("query-dirty-rate")["status"] != "measured":
                time.sleep(0.01)
            assert qmp.command("query-dirty-rate", calc_time_unit="millisecond") == {
                **qmp.command("query-dirty-rate"), "calc-time": 50, "calc-time-unit": "millisecond", "dirty-rate": 0}
            qmp.command("cont")
            ask_all(qmp, types)
            for command, wanted in SEEN.items():
                for text in wanted:
                    assert text in said[command], (command, text, said[command][:2000])
            for path in ("/", "/machine", "/machine/peripheral-anon"):
                types.check_answer("qom-list", qmp.command("qom-list", path=path))
            values = qmp.command("qom-list-get", paths=["/machine/peripheral/nic", "/objects", "/"])
            types.check_answer("qom-list-get", values)
            assert {"name": "type", "type": "string", "value": "virtio-net-pci"} in values[0]["properties"], values[0]
            assert qmp.raw('{"execute": "qom-list-get", "arguments": {"paths": ["/nix"]}}')["error"]["class"] == "DeviceNotFound"
            types.check_answer("device-list-properties", qmp.command("device-list-properties", typename="virtio-blk-pci"))
            types.check_answer("human-monitor-command", qmp.command("human-monitor-command", command_line="info status"))
            qmp.command("quit")
            kaso.finish()


main()
