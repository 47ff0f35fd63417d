# SPDX-License-Identifier: MIT
"""Drives and their devices: who goes with whom, what is told before the answer, and jobs that end together."""

import os
import tempfile

from running import MIB, Machine, create, image, io

SCSI = ("-device", "virtio-scsi-pci,id=bus")


def raw(name, size=MIB):
    with open(name, "wb") as file:
        file.truncate(size)


def drives(m):
    return {d["device"] or d.get("qdev"): d for d in m.do("query-block")}


def goes_with_its_device():
    """A drive of -drive or drive_add goes when its device does; a node of -blockdev stays."""
    raw("a")
    raw("b")
    with Machine(*SCSI, "-drive", "if=none,id=d,file=a,format=raw", "-device", "scsi-hd,id=h,drive=d",
                 "-blockdev", "file,node-name=n,filename=b", "-device", "scsi-hd,id=h2,drive=n") as m:
        m.do("device_del", id="h")
        assert set(drives(m)) == {"h2"}, drives(m)
        assert "not found" in m.hmp("drive_del d")
        m.do("device_del", id="h2")
        assert not drives(m) and m.node("n")
        assert m.hmp("drive_del n") == "" and not m.node("n")
        # One that could not be made leaves its drive.
        assert m.hmp("drive_add 0 if=none,id=d,file=a,format=raw") == "OK\n"
        assert "logical_block_size=3" in m.hmp("device_add scsi-hd,id=h,drive=d,logical_block_size=3")
        assert "Removable device: not locked, tray closed" in m.hmp("info block d")
        m.do("device_add", driver="scsi-hd", id="h", drive="d")
        m.do("device_del", id="h")
        assert not drives(m)


def taken_from_its_device():
    """drive_del of a drive in use: the image goes, the device stays without one, and its name is free."""
    raw("a")
    with Machine(*SCSI, "-drive", "if=none,id=d,file=a,format=raw,werror=stop,rerror=stop",
                 "-device", "scsi-hd,id=h,drive=d") as m:
        assert m.hmp("drive_del d") == ""
        found = drives(m)
        assert set(found) == {"h"} and "inserted" not in found["h"], found
        assert m.hmp("info block") == "h: [not inserted]\n    Attached to:      h\n"
        assert not m.do("query-named-block-nodes")
        assert "not found" in m.hmp("drive_del d")
        assert m.hmp("drive_add 0 if=none,id=d,file=a,format=raw") == "OK\n"
        m.do("device_del", id="h")
        assert set(drives(m)) == {"d"}
        assert m.hmp("drive_del d") == "" and not drives(m)


def with_a_job():
    """A job keeps its drive from drive_del; it is cancelled when the drive goes with its device."""
    raw("a")
    raw("b")
    with Machine(*SCSI, "-drive", "if=none,id=d,file=a,format=raw", "-device", "scsi-hd,id=h,drive=d") as m:
        m.do("drive-mirror", device="d", target="b", format="raw", sync="full", mode="existing")
        m.qmp.wait_event("BLOCK_JOB_READY")
        assert "block job: mirror" in m.hmp("drive_del d")
        m.do("device_del", id="h")
        m.completed("d")
        assert not drives(m) and not m.do("query-block-jobs")


def told_before_the_answer():
    raw("a")
    create("i")
    with Machine(*SCSI, "-drive", "if=none,id=c,file=a,format=raw,media=cdrom", "-device", "scsi-cd,id=cd,drive=c",
                 *image("i")) as m:
        del m.qmp.events[:]
        m.do("blockdev-open-tray", id="cd")
        m.do("blockdev-close-tray", id="cd")
        moves = [e["data"]["tray-open"] for e in m.qmp.events if e["event"] == "DEVICE_TRAY_MOVED"]
        assert moves == [True, False], m.qmp.events
        for command, arguments in (("block-stream", {"device": "i"}),
                                   ("blockdev-create", {"options": {"driver": "file", "filename": "n", "size": 512}})):
            del m.qmp.events[:]
            m.do(command, job_id="j", **arguments)
            told = [e["data"]["status"] for e in m.qmp.events if e["event"] == "JOB_STATUS_CHANGE"]
            assert told[:2] == ["created", "running"], (command, told)
            if command == "blockdev-create":
                while {"id": "j", "status": "concluded"} not in [e["data"] for e in m.qmp.events]:
                    m.qmp.events.append(m.qmp.message())
                m.do("job-dismiss", id="j")
            while {"id": "j", "status": "null"} not in [e["data"] for e in m.qmp.events]:
                m.qmp.events.append(m.qmp.message())


def backups(**more):
    return [{"type": "blockdev-backup", "data": {"job-id": "j" + n, "device": "s" + n, "target": "t" + n, "sync": "full",
                                                 **more.get("j" + n, {})}} for n in "12"]


def grouped(m, **more):
    del m.qmp.events[:]
    m.do("transaction", actions=backups(**more), properties={"completion-mode": "grouped"})


def collect(m, count):
    """So many ends of jobs, with all that was told until then."""
    while sum(e["event"] in ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED") for e in m.qmp.events) < count:
        m.qmp.events.append(m.qmp.message())
    return [(e["data"].get("device") or e["data"]["id"], e["data"].get("status", e["event"])) for e in m.qmp.events
            if "JOB" in e["event"]]


def ends_together():
    for name in ("s1", "s2", "t1", "t2"):
        create(name)
        io(name, "write -P 7 0 4M")
    with Machine(*[a for n in ("s1", "s2", "t1", "t2") for a in image(n)]) as m:
        # Nothing changes before all have done their work.
        grouped(m)
        told = collect(m, 2)
        last_wait = max(i for i, (_, what) in enumerate(told) if what == "waiting")
        assert last_wait < min(i for i, (_, what) in enumerate(told) if what == "pending"), told
        # One that is cancelled cancels the others, one that has done all included; bitmaps keep what they held.
        m.do("block-dirty-bitmap-add", node="s1", name="b")
        m.hmp('qemu-io s1 "write 0 64k"')
        grouped(m, j1={"sync": "incremental", "bitmap": "b"}, j2={"speed": 1})
        while ("j1", "waiting") not in [(e["data"].get("id"), e["data"].get("status")) for e in m.qmp.events]:
            m.qmp.events.append(m.qmp.message())
        m.do("job-cancel", id="j2")
        told = collect(m, 2)
        assert {w for w in told if w[1].startswith("BLOCK")} == {("j1", "BLOCK_JOB_CANCELLED"), ("j2", "BLOCK_JOB_CANCELLED")}
        bitmap = m.node("s1")["dirty-bitmaps"][0]
        assert bitmap["count"] == 65536 and not bitmap["busy"], bitmap
        m.do("block-dirty-bitmap-remove", node="s1", name="b")
        # One that waits for the user makes all wait; one word is for all.
        grouped(m, j1={"auto-finalize": False})
        m.qmp.wait_event("BLOCK_JOB_PENDING")
        assert {j["status"] for j in m.do("query-jobs")} == {"pending"}
        m.do("job-finalize", id="j2")
        collect(m, 2)
        assert "grouped" in m.fails("transaction", properties={"completion-mode": "grouped"}, actions=[
            {"type": "block-dirty-bitmap-add", "data": {"node": "s1", "name": "x"}}])


def never_began():
    """Jobs of a transaction that fails have not run, and their names are free at once."""
    for name in ("s1", "s2", "t1", "t2"):
        create(name)
    with Machine(*[a for n in ("s1", "s2", "t1", "t2") for a in image(n)]) as m:
        for _ in range(3):
            del m.qmp.events[:]
            m.fails("transaction", actions=[backups()[0], {"type": "abort", "data": {}}])
            told = [e["data"].get("status", e["event"]) for e in m.qmp.events]
            assert told == ["created", "aborting", "concluded", "null"], told


def sizes():
    """All sizes of a drive's properties take suffixes."""
    raw("a")
    with Machine(*SCSI, "-drive", "if=none,id=d,file=a,format=raw", "-device", "scsi-hd,id=h,drive=d,logical_block_size=4k,"
                 "physical_block_size=8K,min_io_size=64k,opt_io_size=1M,discard_granularity=2M,max_unmap_size=1G") as m:
        got = {p: m.do("qom-get", path="/machine/peripheral/h", property=p) for p in (
            "logical_block_size", "physical_block_size", "min_io_size", "opt_io_size", "discard_granularity", "max_unmap_size")}
        assert list(got.values()) == [4096, 8192, 65536, MIB, 2 * MIB, 1024 * MIB], got
        for wrong in "4x", "4G", "-1":
            assert f"'{wrong}'" in m.hmp("device_add scsi-hd,opt_io_size=" + wrong), wrong


def main():
    for test in (goes_with_its_device, taken_from_its_device, with_a_job, told_before_the_answer, ends_together,
                 never_began, sizes):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            test()
            os.chdir("/")


main()
