# SPDX-License-Identifier: MIT
"""Descriptors that are passed: over the monitor's socket (getfd, add-fd) and by whoever starts us (-add-fd)."""

import json
import os
import socket

from harness import Kaso, Qmp


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
            ours.settimeout(60)
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


named()
viewers()
sets()
inherited()
