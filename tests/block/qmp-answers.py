# SPDX-License-Identifier: MIT
"""What management programs go by: classes and words of answers, what may be asked together, what is told at the end."""

import json
import os
import tempfile

from running import IMG, IO, MIB, Machine, blockdev, create, image, io, run


def chain():
    for name, below in (("base", None), ("mid", "base"), ("top", "mid"), ("t", None)):
        create(name, "8M", *(("-b", below, "-F", "qcow2") if below else ()))
    io("base", "write -P 1 0 4M")
    io("mid", "write -P 2 1M 1M")
    io("top", "write -P 3 4M 1M")


CONTENT = ("read -P 1 0 1M", "read -P 2 1M 1M", "read -P 1 2M 2M", "read -P 3 4M 1M")


def reaches(m, job, status):
    while True:
        data = m.qmp.wait_event("JOB_STATUS_CHANGE")["data"]
        if data["id"] == job and data["status"] == status:
            return


def refusals():
    chain()
    with Machine("-drive", "if=none,id=d0,file=top,format=qcow2") as m:
        for command, name in (("block-commit", "DeviceNotFound"), ("block-stream", "GenericError")):
            assert m.ask(command, device="nobody")["error"]["class"] == name
        for command, name in (("block-job-cancel", "DeviceNotActive"), ("job-cancel", "GenericError")):
            argument = "device" if command.startswith("block") else "id"
            assert m.ask(command, **{argument: "nobody"})["error"]["class"] == name
        assert m.ask("block-job-finalize", id="nobody")["error"]["class"] == "DeviceNotActive"
        # Commands of block jobs know no other jobs.
        m.do("blockdev-create", job_id="c", options={"driver": "file", "filename": "made", "size": 65536})
        reaches(m, "c", "concluded")
        for command, name in (("cancel", "device"), ("pause", "device"), ("complete", "device"), ("dismiss", "id")):
            assert m.ask(f"block-job-{command}", **{name: "c"})["error"]["class"] == "DeviceNotActive", command
        m.do("job-dismiss", id="c")
        for command, names in (("block-commit", ("base", "base-node")), ("block-commit", ("top", "top-node")),
                               ("block-stream", ("base", "base-node")), ("block-stream", ("base", "bottom")),
                               ("block-stream", ("base-node", "bottom"))):
            text = m.fails(command, device="d0", **{name: "base" for name in names})
            assert "at the same time" in text and all(f"'{name}'" in text for name in names), text
        # The name would be that of a layer that is gone, or of one that the top does not get.
        assert "backing-file" in m.fails("block-stream", device="d0", backing_file="x")
        assert "backing-file" in m.fails("block-commit", device="d0", backing_file="x")
        # Commands take either name: both for one thing would hide the other.
        assert "conflicting" in m.fails("blockdev-add", driver="null-co", node_name="d0")


def cancelled():
    """A job that was cancelled says so as long as it is there; one that waits for its end is not ready."""
    for command, more in (("block-stream", {}), ("block-commit", {"top": "mid"}), ("blockdev-backup", {"target": "t", "sync": "full"}),
                          ("blockdev-mirror", {"target": "t", "sync": "full"})):
        for waits in (False, True):
            chain()
            with Machine(*image("top"), *image("t")) as m:
                m.do(command, device="top", job_id="j", auto_dismiss=False, auto_finalize=not waits, speed=0 if waits else 4096, **more)
                if waits and command == "blockdev-mirror":
                    reaches(m, "j", "ready")
                    assert m.do("query-block-jobs")[0]["ready"]
                    m.do("job-complete", id="j")
                if waits:
                    reaches(m, "j", "pending")
                    assert not m.do("query-block-jobs")[0]["ready"]
                m.do("job-cancel", id="j")
                assert "error" not in m.qmp.wait_event("BLOCK_JOB_CANCELLED")["data"]
                reaches(m, "j", "concluded")
                for query in ("query-jobs", "query-block-jobs"):
                    assert m.do(query)[0]["error"] == "Operation canceled", query
                m.do("job-dismiss", id="j")


def other_sizes():
    """Backups, of each kind and by each command, to images that are larger or smaller than the disk."""
    chain()
    for name, size in (("small", "7M"), ("large", "9M")):
        create(name, size)
    with Machine(*image("top"), *image("small"), *image("large")) as m:
        m.do("block-dirty-bitmap-add", node="top", name="b")
        for name in ("small", "large"):
            for sync in ("full", "top", "none", "incremental"):
                more = {"bitmap": "b"} if sync == "incremental" else {}
                text = m.fails("blockdev-backup", job_id="b", device="top", target=name, sync=sync, **more)
                assert "Source and target image have different sizes: 8388608" in text, text
            action = {"job-id": "b", "device": "top", "target": name, "sync": "full"}
            assert "different sizes" in m.fails("transaction", actions=[{"type": "blockdev-backup", "data": action}])
            m.do("blockdev-del", node_name=name)
            assert "different sizes" in m.fails("drive-backup", job_id="b", device="top", target=name, mode="existing",
                                                format="qcow2", sync="full")


def unused():
    """Overlays of nodes that nobody uses."""
    chain()
    with Machine(*image("base"), *image("t")) as m:
        data = [{"node-name": n, "snapshot-file": "over-" + n, "snapshot-node-name": "o" + n} for n in ("base", "t")]
        m.do("transaction", actions=[{"type": "blockdev-snapshot-sync", "data": d} for d in data])
        m.do("blockdev-snapshot-sync", **{k.replace("-", "_"): v for k, v in data[0].items()})
        assert m.node("base") and m.node("t")


def ends():
    """The reason of a failure alone, and SHUTDOWN without a STOP."""
    chain()
    broken = {"driver": "blkdebug", "image": {"driver": "file", "filename": "t"},
              "inject-error": [{"iotype": "write", "errno": 5}]}
    with Machine(*image("top"), *blockdev(driver="qcow2", node_name="t", file=broken)) as m:
        m.do("blockdev-backup", job_id="b", device="top", target="t", sync="full")
        assert m.qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]["error"] == os.strerror(5)
        m.do("cont")
        m.do("quit")
        m.qmp.wait_event("SHUTDOWN")
        rest = b"".join(iter(lambda: m.qmp.peer.recv(4096), b""))
        assert b"STOP" not in rest, rest


def performance():
    chain()
    with Machine(*image("top"), *image("t", backing=None)) as m:
        backup = dict(job_id="b", device="top", target="t", sync="full")
        for wrong in ({"max-workers": 0}, {"max-chunk": 4096}, {"max-speed": 1}):
            assert list(wrong)[0] in m.fails("blockdev-backup", x_perf=wrong, **backup)
        m.do("blockdev-backup", x_perf={"max-workers": 4, "max-chunk": 65536, "use-copy-range": True}, **backup)
        m.completed("b")
    io("t", *CONTENT)


def patient_commit():
    """A commit that is to ignore failures leaves nothing out."""
    chain()
    fault = [{"iotype": "write", "errno": 5, "once": True}]
    base = blockdev(driver="qcow2", node_name="base", read_only=True, file={
        "driver": "blkdebug", "image": {"driver": "file", "filename": "base"}, "inject-error": fault})
    with Machine(*base, *image("mid", read_only=True, backing="base"), *image("top", backing="mid")) as m:
        m.do("block-commit", job_id="c", device="top", top_node="mid", base_node="base", on_error="ignore")
        assert m.qmp.wait_event("BLOCK_JOB_ERROR")["data"]["action"] == "ignore"
        m.completed("c")
    io("top", *CONTENT)


def pivot(m, job):
    m.qmp.wait_event("BLOCK_JOB_READY")
    m.do("block-job-complete", device=job)
    m.completed(job)


def shown_chain(m):
    node = [d for d in m.do("query-block") if d["device"] == "d0"][0]["inserted"]["image"]
    names = []
    while node:
        names.append(os.path.basename(node["filename"]))
        node = node.get("backing-image")
    return names


def paths():
    """Layers by the names that headers use, from the folder of the image above."""
    for folder in ("a", "b"):
        os.mkdir(folder)
    create("a/base", "8M")
    create("b/mid", "8M", "-b", "../a/base", "-F", "qcow2")
    create("top", "8M", "-b", "b/mid", "-F", "qcow2")
    io("a/base", "write -P 1 0 4M")
    io("b/mid", "write -P 2 1M 1M")
    io("top", "write -P 3 4M 1M")
    with Machine("-drive", "if=none,id=d0,file=top,format=qcow2") as m:
        assert "nowhere" in m.fails("block-commit", device="d0", top="nowhere")
        m.do("block-commit", job_id="c", device="d0", top="b/mid", base="../a/base")
        m.completed("c")
    assert json.loads(run(IMG, "info", "--output=json", "top"))["full-backing-filename"].endswith("a/base")
    io("top", *CONTENT)


def late_backing():
    """A copy of the top layer alone, to a file whose backing file comes later, in clusters larger than the job's pieces."""
    drive = ("-drive", "if=none,id=d0,file=top,format=qcow2", "-device", "virtio-blk-pci,drive=d0")
    chain()
    io("top", "write -P 5 6M 64k")
    run(IMG, "create", "-q", "-u", "-f", "qcow2", "-o", "cluster_size=2M", "-b", "later", "-F", "qcow2", "copy", "8M")
    with Machine(*drive) as m:
        m.do("drive-mirror", device="d0", target="copy", mode="existing", sync="top", granularity=65536)
        m.qmp.wait_event("BLOCK_JOB_READY")
        run("cp", "mid", "later")
        m.do("block-job-complete", device="d0")
        m.completed("d0")
        assert shown_chain(m) == ["copy", "later", "base"], shown_chain(m)
    io("copy", *CONTENT, "read -P 5 6M 64k")
    # Without format: what the file is, not what the source is.
    run(IMG, "create", "-q", "-f", "qed", "other", "8M")
    with Machine(*drive) as m:
        m.do("drive-backup", job_id="b", device="d0", target="other", mode="existing", sync="full")
        m.completed("b")
        # New ones over the source's backing file, and over the source itself.
        m.do("drive-mirror", device="d0", job_id="n", target="over", sync="none")
        pivot(m, "n")
        assert shown_chain(m) == ["over", "top", "mid", "base"], shown_chain(m)
        m.do("drive-mirror", device="d0", job_id="t", target="beside", sync="top")
        pivot(m, "t")
        assert shown_chain(m) == ["beside", "top", "mid", "base"], shown_chain(m)
    assert json.loads(run(IMG, "info", "--output=json", "other"))["format"] == "qed"
    for name in ("other", "beside"):
        io(name, *CONTENT, "read -P 5 6M 64k")


def backing_before_pivot():
    """libvirt's way: the target has no backing node at first, and gets one while the mirror is ready."""
    for way in ("blockdev-snapshot", "blockdev-reopen"):
        chain()
        create("copy", "8M", "-b", "mid", "-F", "qcow2")
        with Machine(*image("base", read_only=True), *image("mid", read_only=True, backing="base"),
                     *image("top", backing="mid"), "-device", "virtio-blk-pci,drive=top,id=v",
                     *image("copy", backing=None)) as m:
            m.do("blockdev-mirror", job_id="m", device="top", target="copy", sync="top")
            m.qmp.wait_event("BLOCK_JOB_READY")
            m.do("blockdev-add", driver="qcow2", node_name="below", read_only=True,
                 file={"driver": "file", "filename": "mid"})
            if way == "blockdev-snapshot":
                m.do(way, node="below", overlay="copy")
            else:
                file = [c["node-name"] for c in m.node("copy")["children"] if c["child"] == "file"]
                m.do(way, options=[{"driver": "qcow2", "node-name": "copy", "backing": "below", "file": file[0]}])
            m.do("block-job-complete", device="m")
            m.completed("m")
            for command in CONTENT:
                assert "failed" not in m.hmp(f'qemu-io copy "{command}"')
        io("copy", *CONTENT)


def units():
    """SCSI disks come and go."""
    with Machine("-device", "virtio-scsi-pci,id=s", *blockdev(driver="null-co", node_name="n", size=MIB)) as m:
        m.do("device_add", driver="scsi-hd", id="disk", bus="s.0", drive="n", lun=3)
        assert "in use" in m.fails("blockdev-del", node_name="n")
        m.do("device_del", id="disk")
        assert m.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "disk"
        m.do("blockdev-del", node_name="n")
        m.do("blockdev-add", driver="null-co", node_name="n", size=MIB)
        # Neither one that is refused keeps the image.
        m.fails("device_add", driver="scsi-hd", id="disk", bus="s.0", drive="n", lun=1 << 20)
        m.do("blockdev-del", node_name="n")


def refused_targets():
    """What is refused leaves the file alone that would have become a target."""
    create("d", "1M")
    create("r", "1M")
    backup = ({"compress": True, "format": "raw"}, {"sync": "incremental"}, {"sync": "incremental", "bitmap": "nope"},
              {"sync": "incremental", "bitmap": "b", "bitmap_mode": "always"}, {"sync": "bitmap", "bitmap": "b"}, {"bitmap": "b"},
              {"x_perf": {"max-workers": 0}}, {"format": "nope"}, {"format": "bochs"}, {"job_id": "!"}, {"speed": -1})
    mirror = ({"granularity": 3}, {"granularity": 256}, {"granularity": 1 << 30}, {"replaces": "nope"}, {"replaces": "r"},
              {"node_name": "n"}, {"node_name": "!"}, {"sync": "incremental"}, {"sync": "bitmap"}, {"buf_size": -1}, {"format": "nope"})
    snapshot = ({"snapshot_node_name": "!"}, {"snapshot_node_name": "n"}, {"snapshot_node_name": "d"}, {"mode": "nope"}, {"format": "raw"})
    cases = [("drive-backup", {"target": "v", "sync": "full", **more}) for more in backup]
    cases += [("drive-mirror", {"target": "v", "sync": "full", **more}) for more in mirror]
    cases += [("blockdev-snapshot-sync", {"snapshot_file": "v", **more}) for more in snapshot]
    with Machine("-drive", "if=none,id=d,file=d,format=qcow2,node-name=n", *image("r")) as m:
        m.do("block-dirty-bitmap-add", node="n", name="b")
        m.do("blockdev-add", driver="null-co", node_name="null", size=MIB)
        m.do("blockdev-backup", job_id="busy", device="null", target="r", sync="full", auto_finalize=False, auto_dismiss=False)
        for command, arguments in cases:
            with open("v", "wb") as file:
                file.write(b"precious" * 1000)
            m.fails(command, device="d", **arguments)
            with open("v", "rb") as file:
                assert file.read() == b"precious" * 1000, (command, arguments)
        bitmap = m.do("query-named-block-nodes")
        assert any(b["name"] == "b" and not b["busy"] for node in bitmap for b in node.get("dirty-bitmaps", ()))


def read_only_bitmaps():
    """What an image keeps of a bitmap is not changed while the image must not be."""
    create("p", "1M")
    with Machine(*image("p")) as m:
        for name in ("kept", "other"):
            m.do("block-dirty-bitmap-add", node="p", name=name, persistent=True)
        m.do("block-dirty-bitmap-add", node="p", name="passing")
        m.hmp('qemu-io p "write 0 64k"')
        file = {"driver": "file", "filename": "p"}
        m.do("blockdev-reopen", options=[{"driver": "qcow2", "node-name": "p", "read-only": True, "file": file}])
        for command in ("remove", "clear"):
            assert "readonly" in m.fails("block-dirty-bitmap-" + command, node="p", name="kept"), command
        m.do("block-dirty-bitmap-clear", node="p", name="passing")
        assert "readonly" in m.fails("block-dirty-bitmap-merge", node="p", target="kept", bitmaps=["other"])
        m.do("block-dirty-bitmap-remove", node="p", name="passing")
        m.do("blockdev-reopen", options=[{"driver": "qcow2", "node-name": "p", "file": file}])
        m.do("block-dirty-bitmap-remove", node="p", name="other")
        m.do("nbd-server-start", addr={"type": "unix", "data": {"path": "s"}})
        assert "Invalid block export id" in m.fails("block-export-add", type="nbd", id="!", node_name="p")
        m.do("quit")
        m.kaso.finish()
    bitmaps = json.loads(run(IMG, "info", "--output=json", "p"))["format-specific"]["data"]["bitmaps"]
    assert [b["name"] for b in bitmaps] == ["kept"], bitmaps


def main():
    for part in (refusals, cancelled, other_sizes, unused, ends, performance, patient_commit, paths, late_backing, backing_before_pivot, units,
                 refused_targets, read_only_bitmaps):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            part()
            os.chdir("/")


if __name__ == "__main__":
    main()
