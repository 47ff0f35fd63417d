#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines with hardly a guest go from process to process: addresses, refusals, run states, events, snapshots, damaged streams, TLS, announcements,
guests that write too fast."""

import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

from harness import Hmp
from migrating import machine, qmp, state, status_of
from patience import allow



def test_addresses():
    """Each kind of address; the destination goes on as the source ran, and the source is in postmigrate."""
    with machine() as store:
        for address in ("file:@/state", "file:@/state,offset=0x1000", "exec:cat > @/state", "unix:@/socket", "tcp:127.0.0.1:0"):
            address = address.replace("@", store.folder.name)
            stored = address.startswith(("file:", "exec:"))
            for paused in (False, True):
                with machine(paused=paused) as source:
                    s = qmp(source)
                    with machine("-incoming", "defer" if stored else address, paused=False) as destination:
                        d = qmp(destination)
                        assert state(d) == "inmigrate", state(d)
                        if address.startswith("tcp:"):
                            port = d.command("query-migrate")["socket-address"][0]["port"]
                            s.command("migrate", uri="tcp:127.0.0.1:" + port)
                        else:
                            s.command("migrate", uri=address)
                        answer = status_of(s, "completed")
                        assert answer["ram"]["total"] >= 16 << 20 and answer["ram"]["remaining"] == 0, answer
                        assert answer["downtime"] >= 0 and answer["total-time"] >= answer["setup-time"], answer
                        assert state(s) == "postmigrate"
                        if stored:
                            d.command("migrate-incoming", uri=address.replace("cat > ", "cat "))
                        status_of(d, "completed")
                        assert state(d) == ("prelaunch" if paused else "running"), (address, paused, state(d))
                        statuses = [e["data"]["status"] for e in s.events if e["event"] == "MIGRATION"]
                        assert statuses == ["setup", "active", "device", "completed"], statuses
                        s.command("quit")
                        d.command("quit")


def test_refusals():
    """A machine that is not the same refuses, by its name for what differs; the source goes on."""
    with machine(paused=False) as source:
        s = qmp(source)
        for arguments, what in ((["-m", "32M"], "-m 16777216"), (["-smp", "2"], "-smp 1"), (["-cpu", "Nehalem"], "-cpu qemu64"),
                                (["-device", "virtio-rng-pci"], "give the same options")):
            with machine("-incoming", "unix:@/in", *arguments, paused=False) as destination:
                d = qmp(destination)
                s.command("migrate", uri="unix:" + destination.path("in"))
                end = time.monotonic() + allow(60)
                while s.command("query-migrate")["status"] not in ("failed", "completed"):
                    assert time.monotonic() < end
                    time.sleep(0.02)
                answer = s.command("query-migrate")
                _, errors = destination.finish(1)
                assert what in errors, errors
                # What was loaded is taken back by an answer: no destination that fails takes the source's machine with it.
                assert answer["status"] == "failed" and answer["error-desc"], answer
                assert state(s) == "running", state(s)
                del d
        for uri in ("nonsense", "rdma:x", "tcp:nowhere", "fd:none", "file:/nonexistent/x", "unix:/nonexistent/x"):
            request = {"uri": uri}
            if uri.startswith("unix:"):
                s.command("migrate", **request)
                status_of(s, "failed")
            else:
                s.failure("migrate", **request)
        s.failure("migrate")
        s.failure("migrate-incoming", uri="tcp:127.0.0.1:0")
        assert state(s) == "running"
        s.command("quit")


def test_compression():
    """Pages that are compressed take less of the channel and are the same there; with several channels it is refused."""
    with machine() as store:
        with open(store.path("text"), "wb") as file:
            file.write(b"all work and no play " * 100000)
        device = ("-device", f"loader,addr=0x100000,force-raw=on,file={store.path('text')}")
        sizes = []
        for level in (None, 0, 1, 9):
            with machine(*device) as source, machine("-incoming", "defer", *device) as destination:
                s, d = qmp(source), qmp(destination)
                if level is not None:
                    s.command("migrate-set-capabilities", capabilities=[{"capability": "compress", "state": True}, {"capability": "events", "state": True}])
                    s.command("migrate-set-parameters", **{"compress-level": level, "compress-threads": 2, "decompress-threads": 2})
                s.command("migrate", uri="file:" + store.path("state"))
                status_of(s, "completed")
                sizes.append(os.path.getsize(store.path("state")))
                d.command("migrate-incoming", uri="file:" + store.path("state"))
                status_of(d, "completed")
                for side, name in ((s, "here"), (d, "there")):
                    side.command("pmemsave", val=0, size=16 << 20, filename=store.path(name))
                with open(store.path("here"), "rb") as here, open(store.path("there"), "rb") as there:
                    assert here.read() == there.read(), level
                s.command("quit")
                d.command("quit")
        assert sizes[1] > sizes[0] > 8 * sizes[2] and sizes[2] >= sizes[3], sizes
        with machine() as source:
            s = qmp(source)
            s.command("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in ("compress", "multifd")])
            assert "multifd" in s.failure("migrate", uri="unix:" + store.path("nobody"))["desc"]
            assert "from 0 to 9" in s.failure("migrate-set-parameters", **{"compress-level": 10})["desc"]
            s.command("quit")


def test_a_person_waits():
    """At the prompt migrate is answered when it is over, and the monitor goes on."""
    with machine("-monitor", "unix:@/m,server=on,wait=off") as kaso:
        hmp = Hmp(kaso.connect("m"))
        assert "65535" in hmp.command("migrate tcp:127.0.0.1:65536")
        assert "No space left" in hmp.command("migrate file:/dev/full")
        assert "failed" in hmp.command("info migrate")
        assert "Error" not in hmp.command("migrate file:" + kaso.path("state"))
        assert "completed" in hmp.command("info migrate")
        assert "status" in hmp.command("info status")


def test_cancel():
    """Nobody reads: it is cancelled, and the machine goes on; and with pause-before-switchover it waits."""
    with machine(paused=False) as source:
        s = qmp(source)
        s.command("migrate-set-parameters", max_bandwidth=4096, downtime_limit=0)
        parameters = s.command("query-migrate-parameters")
        assert parameters["max-bandwidth"] == 4096 and parameters["downtime-limit"] == 0 and parameters["tls-creds"] == "", parameters
        s.command("migrate", uri="exec:sleep 1000")
        status_of(s, "active")
        assert "in progress" in s.failure("migrate", uri="exec:cat > /dev/null")["desc"]
        assert "in progress" in s.failure("migrate-set-capabilities", capabilities=[{"capability": "events", "state": False}])["desc"]
        assert "not while" in s.failure("device_add", driver="virtio-rng-pci")["desc"]
        s.command("migrate_cancel")
        status_of(s, "cancelled")
        assert state(s) == "running"
        s.command("migrate-set-parameters", max_bandwidth=0, downtime_limit=300)
        s.command("migrate-set-capabilities", capabilities=[{"capability": "pause-before-switchover", "state": True}])
        s.command("migrate", uri="exec:cat > /dev/null")
        status_of(s, "pre-switchover")
        assert state(s) == "finish-migrate"
        assert "not finalized" in s.failure("cont")["desc"]
        s.command("migrate-continue", state="pre-switchover")
        status_of(s, "completed")
        s.command("cont")  # it is taken back
        assert state(s) == "running"
        s.command("migrate", uri="exec:cat > /dev/null; exit 3")
        s.command("migrate-continue", state="pre-switchover") if status_of(s, "pre-switchover") else None
        assert "3" in status_of(s, "failed")["error-desc"]
        assert state(s) == "running"
        s.command("quit")


def test_cancelled_at_once():
    """Before it has begun, or at whatever moment of its first milliseconds: it has not failed."""
    with machine(paused=False) as source:
        s = qmp(source)
        for delay in range(20):
            s.peer.sendall(b'{"execute": "migrate", "arguments": {"uri": "exec:cat > /dev/null"}}\n' + (b"" if delay else b'{"execute": "migrate_cancel"}\n'))
            assert s.reply() == {"return": {}}
            time.sleep(delay / 1000)
            s.command("migrate_cancel") if delay else s.reply()
            if status_of(s, "cancelled", "completed")["status"] == "completed":
                s.command("cont")
            assert state(s) == "running"
        s.command("quit")


def test_disks():
    """The image is the destination's from then on; a source whose migration failed writes on."""
    with machine() as store:
        disk = store.path("disk.qcow2")
        subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        drive = ["-drive", f"if=none,id=d,format=qcow2,file={disk}", "-device", "virtio-blk-pci,drive=d"]
        with machine(*drive) as source:
            s = qmp(source)
            write = "qemu-io d \"write -P {} 0 64k\""
            s.command("human-monitor-command", command_line=write.format(1))
            with machine(*drive, "-incoming", "unix:@/in", "-smp", "2") as destination:
                qmp(destination)
                s.command("migrate", uri="unix:" + destination.path("in"))
                status_of(s, "failed")
                destination.finish(1)
            assert "wrote" in s.command("human-monitor-command", command_line=write.format(2))
            with machine(*drive, "-incoming", "unix:@/in") as destination:
                d = qmp(destination)
                assert not d.command("query-block")[0]["inserted"]["active"]
                assert "wrote" not in d.command("human-monitor-command", command_line=write.format(7))
                s.command("migrate", uri="unix:" + destination.path("in"))
                status_of(s, "completed")
                status_of(d, "completed")
                assert d.command("query-block")[0]["inserted"]["active"]
                assert not s.command("query-block")[0]["inserted"]["active"]
                assert "wrote" not in s.command("human-monitor-command", command_line=write.format(7))
                answer = d.command("human-monitor-command", command_line="qemu-io d \"read -P 2 0 64k\"")
                assert "read 65536" in answer and "failed" not in answer, answer
                assert "wrote" in d.command("human-monitor-command", command_line=write.format(3))
                assert "in use elsewhere" in s.failure("cont")["desc"]
                d.command("quit")
                destination.finish()
            s.command("cont")
            assert state(s) == "running"
            assert "wrote" in s.command("human-monitor-command", command_line="qemu-io d \"write -P 4 64k 64k\"")
            answer = s.command("human-monitor-command", command_line="qemu-io d \"read -P 3 0 64k\"")
            assert "read 65536" in answer and "failed" not in answer, answer
            s.command("quit")
            source.finish()
        subprocess.run([sys.argv[2], "check", "-q", disk], check=True)


def test_copied_disk():
    """A disk of a machine that waits is exported and written, then the machine comes and has it; who still exports it keeps it from nobody."""
    with machine() as store:
        disk, content = store.path("disk.qcow2"), store.path("content")
        subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
        with open(content, "wb") as file:
            file.write(b"\x05" * (1 << 20))
        drive = ["-blockdev", "qcow2,node-name=d,file.driver=file,file.filename=@", "-device", "virtio-blk-pci,drive=d"]
        with machine(*[word.replace("@", disk) for word in drive], "-incoming", "defer") as destination:
            d = qmp(destination)
            nbd = destination.path("nbd")
            d.command("nbd-server-start", addr={"type": "unix", "data": {"path": nbd}})
            d.command("block-export-add", type="nbd", id="e", node_name="d", writable=True)
            subprocess.run([sys.argv[2], "convert", "-n", "-f", "raw", "-O", "raw", content, f"nbd+unix:///d?socket={nbd}"], check=True)
            with machine("-blockdev", "null-co,node-name=d,size=1M,read-zeroes=on", *drive[2:]) as source:
                s = qmp(source)
                s.command("migrate", uri="file:" + source.path("state"))
                status_of(s, "completed")
                d.command("migrate-incoming", uri="file:" + source.path("state"))
                status_of(d, "completed")
                s.command("quit")
            d.command("nbd-server-stop")
            answer = d.command("human-monitor-command", command_line="qemu-io d \"read -P 5 0 1M\"")
            assert "read 1048576" in answer and "failed" not in answer, answer
            assert "wrote" in d.command("human-monitor-command", command_line="qemu-io d \"write 0 64k\"")
            d.command("quit")
            destination.finish()
        subprocess.run([sys.argv[2], "check", "-q", disk], check=True)


def test_snapshots():
    """savevm and its like, the jobs, and what cannot have snapshots."""
    with machine() as store:
        disks = [store.path(name) for name in ("a.qcow2", "b.qcow2")]
        for disk in disks:
            subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        external = store.path("external.qcow2")
        subprocess.run([sys.argv[2], "create", "-q", "-f", "qcow2", "-o", "data_file=" + store.path("data"), external, "1M"], check=True)

        def listing_of(disk):
            found = subprocess.run([sys.argv[2], "info", "-U", "--output=json", disk], check=True, stdout=subprocess.PIPE, text=True)
            return json.dumps(json.loads(found.stdout)["snapshots"])

        drives = []
        for name, disk in zip("ab", disks):
            drives += ["-blockdev", f"qcow2,node-name={name},file.driver=file,file.filename={disk}",
                       "-device", f"virtio-blk-pci,drive={name},share-rw=on"]
        with machine(*drives) as kaso:
            s = qmp(kaso)

            def hmp(line):
                return s.command("human-monitor-command", command_line=line)

            def io(node, line):
                return hmp(f'qemu-io {node} "{line}"')

            assert "no snapshot available" in hmp("info snapshots")
            io("a", "write -P 1 0 64k")
            assert hmp("savevm one") == ""
            io("a", "write -P 2 0 64k")
            io("b", "write -P 2 0 64k")
            assert hmp("savevm two") == "" and hmp("savevm two") == ""
            text = hmp("info snapshots")
            assert text.count("one") == 1 and text.count("two") == 1, text
            assert hmp("loadvm one") == "" and state(s) == "prelaunch"
            assert "failed" not in io("a", "read -P 1 0 64k") and "failed" not in io("b", "read -P 0 0 64k")
            assert hmp("loadvm two") == "" and "failed" not in io("b", "read -P 2 0 64k")
            s.command("cont")
            assert hmp("loadvm one") == "" and state(s) == "running"
            assert "does not have" in hmp("loadvm three") and hmp("delvm three") == hmp("delvm 1") == ""

            def job(command, error=None, **arguments):
                s.command(command, job_id="j", **arguments)
                end = time.monotonic() + allow(60)
                while True:
                    jobs = s.command("query-jobs")
                    if jobs[0]["status"] == "concluded":
                        break
                    assert time.monotonic() < end, jobs
                    time.sleep(0.01)
                assert jobs[0].get("error", None) is None if error is None else error in jobs[0]["error"], jobs
                s.command("job-dismiss", id="j")

            both = {"tag": "three", "devices": ["a", "b"]}
            job("snapshot-save", vmstate="b", **both)
            job("snapshot-save", vmstate="b", error="already exists", **both)
            job("snapshot-save", vmstate="x", error="x", tag="four", devices=["a"])
            io("a", "write -P 9 0 64k")
            job("snapshot-load", vmstate="b", **both)
            assert "failed" not in io("a", "read -P 1 0 64k") and state(s) == "running"
            job("snapshot-delete", **both)
            job("snapshot-delete", **both)  # what is not there is gone
            job("snapshot-load", vmstate="b", error="does not have", **both)
            assert hmp("delvm two") == ""
            s.command("blockdev-add", driver="raw", node_name="r", file={"driver": "null-co", "size": 512})
            assert "'r' is writable but does not support snapshots" in hmp("savevm x")
            assert state(s) == "running"
            text = hmp("info snapshots")
            assert "all disks:\nNone" in text and "'a':\nID      TAG               VM_SIZE" in text and "one" in text, text
            # What cannot be made in all is made in none, and takes no other with it whose id is its name.
            s.command("blockdev-del", node_name="r")
            s.command("blockdev-add", driver="qcow2", node_name="e", file={"driver": "file", "filename": external})
            before = listing_of(disks[0])
            assert '"id": "1"' in before and '"name": "one"' in before, before
            assert "external data file" in hmp("savevm 1") and listing_of(disks[0]) == before
            s.command("quit")
            kaso.finish()
        listing = subprocess.run([sys.argv[2], "snapshot", "-l", disks[0]], check=True, capture_output=True, text=True).stdout
        assert "one" in listing and "two" not in listing and " KiB " in listing, listing
        for disk in disks:
            subprocess.run([sys.argv[2], "check", "-q", disk], check=True)
        with machine(*drives, "-loadvm", "one") as kaso:
            s = qmp(kaso)
            assert state(s) == "prelaunch", state(s)
            s.command("quit")
        with machine(*drives, "-loadvm", "none") as kaso:
            assert "does not have" in kaso.finish(1)[1]
        with machine(*drives, "-loadvm", "one", "-m", "32M") as kaso:
            assert "-m 16777216" in kaso.finish(1)[1]


def test_damaged_streams():
    """A stream that ends too early, or is another one, gives an error and no more."""
    with machine("-device", "virtio-rng-pci") as source:
        s = qmp(source)
        whole = source.path("state")
        s.command("migrate", uri="file:" + whole)
        status_of(s, "completed")
        with open(whole, "rb") as file:
            data = file.read()
        seed = int.from_bytes(os.urandom(4), "little")
        print("seed", seed)
        choose = random.Random(seed)
        damaged = [b"", data[:10], data[:40], data[:-1], data[:len(data) // 2], b"QEVM" + bytes(100), bytes(4096)]
        for _ in range(4):
            at = choose.randrange(len(data))
            damaged.append(data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1:])
        for content in damaged:
            with open(source.path("bad"), "wb") as file:
                file.write(content)
            with machine("-device", "virtio-rng-pci", "-incoming", "file:" + source.path("bad")) as destination:
                _, errors = destination.finish(1)
                assert "incoming migration: " in errors, errors
        s.command("quit")


def test_names():
    """All capabilities and parameters that scripts know are known, and those that are not there say why."""
    with machine("-monitor", "unix:@/m,server=on,wait=off") as kaso:
        s = qmp(kaso)
        for name in ("xbzrle", "postcopy-ram", "mapped-ram", "x-ignore-shared", "zero-copy-send"):
            s.command("migrate-set-capabilities", capabilities=[{"capability": name, "state": False}])
            assert name in s.failure("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}])["desc"]
        assert "none of that name" in s.failure("migrate-set-capabilities", capabilities=[{"capability": "nonsense", "state": False}])["desc"]
        before = s.command("query-migrate-parameters")
        for name, value in (("multifd-compression", "zlib"), ("multifd-channels", 0), ("xbzrle-cache-size", 4096), ("zero-page-detection", "legacy"), ("nonsense", 1)):
            assert name in s.failure("migrate-set-parameters", **{"announce-rounds": 7, name: value})["desc"]
        assert "from 1 to 99" in s.failure("migrate-set-parameters", **{"cpu-throttle-initial": 100})["desc"]
        assert s.command("query-migrate-parameters") == before
        s.command("migrate-set-parameters", **{"tls-creds": "", "tls-hostname": "", "max-bandwidth": 1 << 40})
        hmp = Hmp(kaso.connect("m"))
        assert "99" in hmp.command("migrate_set_parameter max-cpu-throttle 0")
        assert "Error" not in hmp.command("migrate_set_parameter tls-hostname there")
        # What is so anyway may be asked for.
        s.command("migrate-set-parameters", **{"mode": "normal", "direct-io": False, "multifd-compression": "none"})
        for name, value in (("mode", "cpr-reboot"), ("direct-io", True), ("multifd-compression", "zstd")):
            assert name in s.failure("migrate-set-parameters", **{name: value})["desc"]
        assert "Error" not in hmp.command("migrate_set_parameter max-bandwidth 3K")
        text = hmp.command("info migrate_parameters")
        assert "tls-hostname: 'there'" in text and "max-bandwidth: 3072 bytes/second" in text, text
        assert "savevm" in hmp.command("help savevm") and "No block device" in hmp.command("savevm x")
        s.command("quit")


def test_silence():
    """Who connects and says nothing holds nobody up."""
    for said in (b"", b"KASO"):
        with machine("-incoming", "unix:@/in") as destination:
            d = qmp(destination)
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(destination.path("in"))
            peer.sendall(said)
            status_of(d, "active")
            assert state(d) == "inmigrate"
            d.command("quit")
            destination.finish()
            peer.close()


class Wire:
    """What a NIC sends into -netdev socket."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.options = ["-netdev", f"socket,id=n,connect=127.0.0.1:{self.listener.getsockname()[1]}"]

    def accept(self):
        self.peer = self.listener.accept()[0]
        self.peer.settimeout(allow(60))

    def frame(self):
        size = struct.unpack(">I", self.peer.recv(4, socket.MSG_WAITALL))[0]
        return self.peer.recv(size, socket.MSG_WAITALL)


def test_announcements():
    """A RARP request of each NIC, as often as is wanted; at the command, and after a migration."""
    mac = bytes.fromhex("525400aabbcc")
    for nic in ("e1000", "virtio-net-pci", "rtl8139"):
        wire = Wire()
        device = [*wire.options, "-device", f"{nic},netdev=n,id=nic,mac=52:54:00:aa:bb:cc"]
        with machine("-incoming", "defer", *device, paused=False) as destination:
            d = qmp(destination)
            wire.accept()
            with machine("-netdev", "user,id=n", *device[2:], paused=False) as source:
                s = qmp(source)
                s.command("migrate", uri="file:" + source.path("state"))
                status_of(s, "completed")
                d.command("migrate-set-parameters", **{"announce-initial": 1, "announce-step": 1, "announce-rounds": 3})
                d.command("migrate-incoming", uri="file:" + source.path("state"))
                status_of(d, "completed")
                s.command("quit")
            d.command("announce-self", interfaces=["other"])
            d.command("announce-self", interfaces=["nic"], rounds=2, initial=1)
            for _ in range(2):  # the rounds of the command may end those of the migration before their end
                frame = wire.frame()
                assert frame[:14] == b"\xff" * 6 + mac + b"\x80\x35" and frame[20:28] == b"\0\x03" + mac, frame.hex()
            d.failure("announce-self", rounds=-1)
            d.command("quit")


def test_tls():
    """With keys that both know; another key, no TLS at the other side, and what is no socket are refused."""
    with machine() as store:
        for name, key in (("right", "11" * 32), ("wrong", "22" * 32)):
            os.mkdir(store.path(name))
            with open(os.path.join(store.path(name), "keys.psk"), "w", encoding="utf-8") as file:
                file.write(f"qemu:{key}\n")

        def credentials(name, end):
            return ["-object", f"tls-creds-psk,id=t,dir={store.path(name)},endpoint={end},username=qemu"]

        for name, works in (("wrong", False), (None, False), ("right", True)):
            with machine(*credentials("right", "client"), paused=False) as source:
                s = qmp(source)
                s.command("migrate-set-parameters", **{"tls-creds": "t"})
                assert "TLS is for sockets" in s.failure("migrate", uri="exec:cat > /dev/null")["desc"]
                with machine("-incoming", "defer", *(credentials(name, "server") if name else []), paused=False) as destination:
                    d = qmp(destination)
                    if name:
                        d.command("migrate-set-parameters", **{"tls-creds": "t"})
                    d.command("migrate-incoming", uri="unix:" + destination.path("in"))
                    s.command("migrate", uri="unix:" + destination.path("in"))
                    status_of(s, "completed" if works else "failed")
                    if works:
                        status_of(d, "completed")
                        assert state(d) == "running"
                        d.command("quit")
                    else:
                        destination.finish(1)
                        assert state(s) == "running"
                s.command("quit")
        with machine() as kaso:
            s = qmp(kaso)
            s.command("migrate-set-parameters", **{"tls-creds": "none"})
            assert "none" in s.failure("migrate", uri="unix:/nonexistent")["desc"]
            s.command("quit")


# mov bx, 1000h; 1: mov es, bx; xor di, di; mov cx, 8000h; rep stosw; inc ax; add bx, 1000h; cmp bx, 8000h; jb 1b; jmp 0
WRITER = bytes.fromhex("bb00108ec331ffb90080f3ab4081c3001081fb008072eceb" "e7")


def test_auto_converge():
    """A guest that writes faster than it can be sent is held back more and more; all its time is its own again when that ends."""
    with machine() as store:
        with open(store.path("floppy"), "wb") as file:
            file.write(WRITER.ljust(510, b"\0") + b"\x55\xaa" + bytes(1474560 - 512))
        floppy = ["-drive", f"if=floppy,format=raw,snapshot=on,file={store.path('floppy')}", "-boot", "a"]
        with machine(*floppy, paused=False) as source:
            s = qmp(source)
            s.command("migrate-set-capabilities", capabilities=[{"capability": "auto-converge", "state": True}])
            end = time.monotonic() + allow(60)
            while s.command("human-monitor-command", command_line="xp /2xb 0x70000").split(":")[1].split() == ["0x00", "0x00"]:
                assert time.monotonic() < end
                time.sleep(0.1)
            s.command("migrate-set-parameters", **{"max-bandwidth": 8 << 20, "downtime-limit": 0, "cpu-throttle-increment": 40})
            s.command("migrate", uri="exec:cat > /dev/null")
            seen, end = set(), time.monotonic() + allow(60)
            while not seen >= {20, 60, 99}:
                seen.add(s.command("query-migrate").get("cpu-throttle-percentage", 0))
                assert time.monotonic() < end, seen
                time.sleep(0.01)
            s.command("migrate_cancel")
            status_of(s, "cancelled")
            assert "cpu-throttle-percentage" not in s.command("query-migrate")
            s.command("quit")


test_addresses()
test_refusals()
test_compression()
test_a_person_waits()
test_cancel()
test_cancelled_at_once()
test_disks()
test_copied_disk()
test_snapshots()
test_damaged_streams()
test_names()
test_silence()
test_announcements()
test_tls()
test_auto_converge()
