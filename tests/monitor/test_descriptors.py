# SPDX-License-Identifier: MIT
"""Descriptors that are passed: over the monitor's socket (getfd, add-fd) and by whoever starts us (-add-fd)."""

import json
import os
import socket

from harness import Kaso, Qmp
from patience import allow


def send(qmp, name, descriptors, **arguments):
    request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
    socket.send_fds(qmp.peer, [json.dumps(request).encode()], descriptors)
    return qmp.reply()


def named():
    with Kaso("-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        ours, theirs = socket.socketpair()
        assert "SCM_RIGHTS" in qmp.failure("getfd", fdname="a")["desc"]
        assert "digit" in send(qmp, "getfd", [theirs.fileno()], fdname="7a")["error"]["desc"]
        assert "return" in send(qmp, "getfd", [theirs.fileno()], fdname="a")
        assert "return" in send(qmp, "getfd", [theirs.fileno()], fdname="a")  # the first one is closed
        theirs.close()
        assert "nothing" in qmp.failure("closefd", fdname="nothing")["desc"]
        backend = {"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "a"}}, "server": False}}
        qmp.command("chardev-add", id="c", backend=backend)
        qmp.command("chardev-remove", id="c")
        assert ours.recv(1) == b""
        assert "a" in qmp.failure("chardev-add", id="c", backend=backend)["desc"]  # it was taken
        read_end, write_end = os.pipe()
        send(qmp, "getfd", [write_end], fdname="b")
        os.close(write_end)
        qmp.command("closefd", fdname="b")
        assert os.read(read_end, 1) == b""
        os.close(read_end)
        # A card's cable by name, as managers plug it in: what is passed here is no TAP device, and is said to be none.
        read_end, write_end = os.pipe()
        send(qmp, "getfd", [write_end], fdname="cable")
        os.close(write_end)
        why = qmp.failure("netdev_add", type="tap", id="n", fd="cable")["desc"]
        assert "of that name" not in why and "TAP" in why.upper(), why
        assert "of that name" in qmp.failure("netdev_add", type="tap", id="n", fd="cable")["desc"]
        assert os.read(read_end, 1) == b""  # it was closed
        os.close(read_end)
        # A client that leaves takes what it has sent and nobody asked for with it.
        read_end, write_end = os.pipe()
        socket.send_fds(qmp.peer, [b'{"execute":"query-name"}'], [write_end] * 20)
        qmp.reply()
        os.close(write_end)
        qmp.peer.close()
        assert os.read(read_end, 1) == b""
        os.close(read_end)


def viewers():
    """A manager brings a viewer by its socket, with or without the password."""
    with Kaso("-qmp", "unix:@/q,server=on,wait=off", "-vnc", "unix:@/vnc,password=on", "-device", "VGA", machine="pc") as kaso:
        qmp = Qmp(kaso.connect("q"))
        assert "not yet" in qmp.failure("add_client", protocol="spice", fdname="v")["desc"]
        assert "of that name" in qmp.failure("add_client", protocol="vnc", fdname="v")["desc"]
        for trusted, security in (True, 1), (False, 2):
            ours, theirs = socket.socketpair()
            ours.settimeout(allow(60))
            send(qmp, "getfd", [theirs.fileno()], fdname="v")
            theirs.close()
            qmp.command("add_client", protocol="vnc", fdname="v", skipauth=trusted)
            assert ours.recv(12) == b"RFB 003.008\n"
            ours.sendall(b"RFB 003.008\n")
            assert ours.recv(2) == bytes([1, security])
            ours.close()
        qmp.command("quit")
        kaso.finish()


def sets():
    with Kaso("-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        path = kaso.path("disk")
        with open(path, "wb") as file:
            file.write(b"x" * 65536)
        reader, writer = os.open(path, os.O_RDONLY), os.open(path, os.O_RDWR)
        first = send(qmp, "add-fd", [reader], opaque="ro:" + path)["return"]
        second = send(qmp, "add-fd", [reader], fdset_id=7)["return"]
        assert (first["fdset-id"], second["fdset-id"]) == (0, 7)
        assert "SCM_RIGHTS" in qmp.failure("add-fd")["desc"]
        listed = qmp.command("query-fdsets")
        assert listed == [{"fdset-id": 0, "fds": [{"fd": first["fd"], "opaque": "ro:" + path}]},
                          {"fdset-id": 7, "fds": [{"fd": second["fd"]}]}], listed
        node = {"driver": "file", "node_name": "n", "filename": "/dev/fdset/0"}
        assert "ermission" in qmp.failure("blockdev-add", **node)["desc"]
        qmp.command("blockdev-add", **node, read_only=True)
        qmp.command("blockdev-del", node_name="n")
        send(qmp, "add-fd", [writer], fdset_id=0)
        qmp.command("blockdev-add", **node)
        qmp.command("remove-fd", fdset_id=0)  # what is open stays open
        assert len(qmp.command("query-named-block-nodes")) == 1
        assert "not found" in qmp.failure("remove-fd", fdset_id=0)["desc"]
        assert "not found" in qmp.failure("remove-fd", fdset_id=7, fd=9999)["desc"]
        qmp.command("remove-fd", fdset_id=7, fd=second["fd"])
        assert qmp.command("query-fdsets") == []
        for descriptor in (reader, writer):
            os.close(descriptor)


def inherited():
    read_end, write_end = os.pipe()
    with Kaso("-add-fd", f"fd={write_end},set=3,opaque=log", "-chardev", "ringbuf,id=r,logfile=/dev/fdset/3,logappend=on",
              "-qmp", "unix:@/q,server=on,wait=off", pass_fds=[write_end]) as kaso:
        os.close(write_end)
        qmp = Qmp(kaso.connect("q"))
        assert qmp.command("query-fdsets")[0]["fds"][0]["opaque"] == "log"
        qmp.command("ringbuf-write", device="r", data="hello")
        assert os.read(read_end, 5) == b"hello"
    for option, part in ((f"fd={read_end}", "set="), (f"fd={read_end},sets=1", "sets"), ("fd=1,set=0", "fd=1"),
                         ("fd=999,set=0", "fd=999"), ("fd=x,set=0", "fd=x")):
        with Kaso("-add-fd", option, pass_fds=[read_end]) as kaso:
            _, err = kaso.finish(status=1)
            assert part in err, err
    os.close(read_end)


# What fails late, with its descriptors open.
REFUSED = (
    ("object-add", {"qom_type": "memory-backend-memfd", "size": str(1 << 63)}),
    ("object-add", {"qom_type": "memory-backend-ram", "size": str(1 << 63), "share": True}),
    ("object-add", {"qom_type": "memory-backend-file", "mem_path": "@", "size": 1 << 62}),
    ("netdev_add", {"type": "dgram", "local": {"type": "unix", "path": "@/memory"}, "remote": {"type": "unix", "path": "@/x"}}),
    ("netdev_add", {"type": "dgram", "local": {"type": "inet", "host": "192.0.2.1", "port": "9"},
                    "remote": {"type": "inet", "host": "127.0.0.1", "port": "9"}}),
    ("netdev_add", {"type": "stream", "server": True, "addr": {"type": "unix", "path": "@/memory"}}),
    ("netdev_add", {"type": "stream", "server": True, "addr": {"type": "inet", "host": "192.0.2.1", "port": "0"}}),
    ("netdev_add", {"type": "stream", "addr": {"type": "unix", "path": "@/none"}}),
    ("netdev_add", {"type": "socket", "listen": "192.0.2.1:0"}),
    ("netdev_add", {"type": "socket", "mcast": "127.0.0.1:9"}),
    ("netdev_add", {"type": "user", "hostfwd": [{"str": "tcp:192.0.2.1:9-:9"}]}),
    ("netdev_add", {"type": "tap", "ifname": "x" * 40}),
    ("chardev-add", {"backend": {"type": "file", "data": {"in": "@/none", "out": "@/out"}}}),
    ("chardev-add", {"backend": {"type": "pipe", "data": {"device": "@/none"}}}),
    ("chardev-add", {"backend": {"type": "ringbuf", "data": {"size": 3}}}),
    ("chardev-add", {"backend": {"type": "null", "data": {"logfile": "@"}}}),
    ("chardev-add", {"backend": {"type": "socket", "data": {"server": True, "addr": {"type": "unix", "data": {"path": "@/memory"}}}}}),
    ("blockdev-add", {"driver": "qcow2", "file": {"driver": "file", "filename": "@/memory"}}),
    ("blockdev-add", {"driver": "vmdk", "file": {"driver": "file", "filename": "@/memory"}}),
    ("blockdev-add", {"driver": "file", "filename": "@"}),
)


def in_folder(value, folder):
    if isinstance(value, dict):
        return {key: in_folder(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [in_folder(item, folder) for item in value]
    return value.replace("@", folder) if isinstance(value, str) else value


def refused():
    """A command that fails leaves no descriptor behind, and no file of the user's is touched."""
    with Kaso("-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        with open(kaso.path("memory"), "w") as file:
            file.write("letter")
        identity = {"object-add": "id", "netdev_add": "id", "chardev-add": "id", "blockdev-add": "node_name"}
        left = {}
        for command, arguments in REFUSED:
            arguments = in_folder(arguments, kaso.folder.name)
            if command in identity:
                arguments[identity[command]] = "x"
            for round in range(2):  # what the first opens for good may stay
                before = sorted(os.listdir(f"/proc/{kaso.process.pid}/fd"))
                qmp.failure(command, **arguments)
                if round and sorted(os.listdir(f"/proc/{kaso.process.pid}/fd")) != before:
                    left[command, str(arguments)] = before
        assert not left, left
        with open(kaso.path("memory")) as file:
            assert file.read() == "letter"


named()
viewers()
sets()
inherited()
refused()
