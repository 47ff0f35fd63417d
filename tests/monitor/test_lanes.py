#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pages that go over several channels (multifd), with a guest that writes meanwhile; who may come in (tls-authz); machines that are told apart
(validate-uuid)."""

import functools
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import migrating
from migrating import qmp, state, status_of
from patience import allow

machine = functools.partial(migrating.machine, memory="48M")
# mov bx, 1000h; 1: mov es, bx; xor di, di; mov cx, 8000h; rep stosw; inc ax; add bx, 1000h; cmp bx, 8000h; jb 1b; jmp 0
WRITER = bytes.fromhex("bb00108ec331ffb90080f3ab4081c3001081fb008072eceb" "e7")


def memory(kaso, session):
    path = kaso.path("memory")
    session.command("pmemsave", val=0, size=48 << 20, filename=path)
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def writer(store):
    with open(store.path("floppy"), "wb") as file:
        file.write(WRITER.ljust(510, b"\0") + b"\x55\xaa" + bytes(1474560 - 512))
    return ["-drive", f"if=floppy,format=raw,snapshot=on,file={store.path('floppy')}", "-boot", "a"]


def test_pages():
    """All of memory is there in the end, whatever channel a page came by, and however often."""
    with machine() as store:
        floppy = writer(store)
        for address, channels in (("unix:@/in", 1), ("unix:@/in", 3), ("tcp:127.0.0.1:0", 4), ("tcp:[::1]:0", 2)):
            with machine(*floppy, paused=False) as source, machine(*floppy, "-incoming", "defer") as destination:
                s = qmp(source, "multifd", **{"multifd-channels": channels, "max-bandwidth": 30 << 20, "downtime-limit": 2000})
                d = qmp(destination, "multifd")
                end = time.monotonic() + allow(60)
                while s.command("human-monitor-command", command_line="xp /2xb 0x70000").split(":")[1].split() == ["0x00", "0x00"]:
                    assert time.monotonic() < end
                    time.sleep(0.1)
                address = address.replace("@", destination.folder.name)
                d.command("migrate-incoming", uri=address)
                if address.startswith("tcp:"):
                    address = address[:-1] + d.command("query-migrate")["socket-address"][0]["port"]
                s.command("migrate", uri=address)
                answer = status_of(s, "completed")
                assert answer["ram"]["dirty-sync-count"] >= 2, answer
                status_of(d, "completed")
                assert memory(source, s) == memory(destination, d), (address, channels)
                d.command("cont")
                assert state(d) == "running"
                s.command("quit")
                d.command("quit")


def test_refusals():
    """A side that has one channel, an address that has one, somebody else on the other's: words, and the source goes on."""
    with machine(paused=False) as source:
        s = qmp(source, "multifd")
        for uri in ("file:" + source.path("state"), "exec:cat > /dev/null"):
            assert "multifd is for several" in s.failure("migrate", uri=uri)["desc"]
        with machine("-incoming", "unix:@/in", paused=False) as destination:
            qmp(destination)
            s.command("migrate", uri="unix:" + destination.path("in"))
            said = status_of(s, "failed")["error-desc"]
            assert "multifd" in said, said
            assert "set the capability multifd here" in destination.finish(1)[1]
        assert state(s) == "running"
        with machine("-incoming", "defer", paused=False) as destination:
            d = qmp(destination, "multifd")
            d.command("migrate-incoming", uri="unix:" + destination.path("in"))
            # The first channel is the source's; the first of the others is a stranger's.
            s.command("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": False}])
            first, path = socket.socket(socket.AF_UNIX), destination.path("in")
            first.connect(path)
            first.sendall(head_with_lanes(source, s))
            stranger = socket.socket(socket.AF_UNIX)
            stranger.connect(path)
            stranger.sendall(b"KASOLANE" + bytes(12))
            assert "not the source of this machine" in destination.finish(1)[1]
        s.command("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
        assert state(s) == "running"
        # Somebody else in the destination's place.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(source.path("other"))
            listener.listen()
            s.command("migrate", uri="unix:" + source.path("other"))
            first, lane = listener.accept()[0], listener.accept()[0]
            assert lane.recv(20, socket.MSG_WAITALL)[:8] == b"KASOLANE"
            lane.sendall(b"?")
            said = status_of(s, "failed")["error-desc"]
            assert "not the destination" in said and "0x3f" in said, said
            first.close()
            lane.close()
        assert state(s) == "running"
        # A cancel ends all of them, at both sides.
        s.command("migrate-set-capabilities", capabilities=[{"capability": "pause-before-switchover", "state": True}])
        with machine("-incoming", "defer", paused=False) as destination:
            d = qmp(destination, "multifd")
            d.command("migrate-incoming", uri="unix:" + destination.path("in"))
            s.command("migrate", uri="unix:" + destination.path("in"))
            status_of(s, "pre-switchover")
            s.command("migrate_cancel")
            status_of(s, "cancelled")
            destination.finish(1)
        assert state(s) == "running"
        s.command("quit")


def head_with_lanes(source, session):
    """The beginning of the source's own stream, which is said to have two more channels."""
    path = source.path("head")
    session.command("migrate", uri="file:" + path)
    status_of(session, "completed")
    session.command("cont")
    with open(path, "rb") as file:
        data = file.read(65536)
    size = int.from_bytes(data[20:28], "little")
    content = data[32:32 + size] + b"lanes=2\nlanes-id=77\n"
    return data[:20] + len(content).to_bytes(8, "little") + zlib.crc32(content).to_bytes(4, "little") + content


def certificates(store):
    """A certificate authority, and a server and two clients of it."""
    def run(*words):
        subprocess.run(["openssl", *words], cwd=store.folder.name, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca-cert.pem")
    for name in "server", "good", "bad":
        kind = "server" if name == "server" else "client"
        os.mkdir(store.path(name))
        with open(store.path("names"), "w", encoding="utf-8") as file:
            file.write(f"subjectAltName=DNS:{name}\n")
        run("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}/{kind}-key.pem", "-out", "request.pem")
        run("x509", "-req", "-in", "request.pem", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "names",
            "-out", f"{name}/{kind}-cert.pem")
        shutil.copy(store.path("ca-cert.pem"), store.path(name))


def test_who_may_come():
    """Of those that have a certificate; over one channel, and over several."""
    if not shutil.which("openssl"):
        print("no openssl: tls-authz is not looked at")
        return
    with machine() as store:
        certificates(store)
        rules = ["-object", "authz-simple,id=a,identity=CN=good"]
        for name, several in (("good", False), ("bad", False), ("good", True)):
            tls = ["-object", f"tls-creds-x509,id=t,dir={store.path(name)},endpoint=client"]
            capabilities = ["multifd"] if several else []
            with machine(*tls, paused=False) as source, machine("-object", f"tls-creds-x509,id=t,dir={store.path('server')},endpoint=server,verify-peer=on", *rules,
                                                                "-incoming", "defer", paused=False) as destination:
                s = qmp(source, *capabilities, **{"tls-creds": "t", "tls-hostname": "server"})
                d = qmp(destination, *capabilities, **{"tls-creds": "t", "tls-authz": "a"})
                assert d.command("query-migrate-parameters")["tls-authz"] == "a"
                d.command("migrate-incoming", uri="unix:" + destination.path("in"))
                s.command("migrate", uri="unix:" + destination.path("in"))
                if name == "good":
                    status_of(s, "completed")
                    status_of(d, "completed")
                    assert state(d) == "running"
                    d.command("quit")
                else:
                    status_of(s, "failed")["error-desc"]
                    assert "CN=bad" in destination.finish(1)[1]
                    assert state(s) == "running"
                s.command("quit")


def test_uuid():
    """Another -uuid is refused when the source says its own."""
    one, other = "11111111-2222-3333-4444-555555555555", "66666666-2222-3333-4444-555555555555"
    for wanted, there, fits in ((True, one, True), (True, other, False), (True, None, False), (False, other, True)):
        with machine("-uuid", one, paused=False) as source:
            s = qmp(source, *(["validate-uuid"] if wanted else []))
            with machine(*(["-uuid", there] if there else []), "-incoming", "unix:@/in", paused=False) as destination:
                qmp(destination)
                s.command("migrate", uri="unix:" + destination.path("in"))
                if fits:
                    status_of(s, "completed")
                else:
                    status_of(s, "failed")["error-desc"]
                    assert one in destination.finish(1)[1]
                    assert state(s) == "running"
            s.command("quit")


test_pages()
test_refusals()
test_uuid()
test_who_may_come()
