# SPDX-License-Identifier: MIT
"""Character back ends with a monitor at their front end, and what goes wrong with them."""

import os
import re
import signal
import socket
import struct
import tempfile
import time

from harness import Hmp, Kaso, Qmp, read_until
from patience import allow


def tcp_server():
    with Kaso("-chardev", "socket,id=c,host=127.0.0.1,port=0,server=on,wait=off", "-mon",
              "chardev=c", "-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        name = [c["filename"] for c in qmp.command("query-chardev") if c["label"] == "c"][0]
        port = int(re.match(r"disconnected:tcp:127.0.0.1:(\d+),server=on", name).group(1))
        for _ in range(2):  # a server takes the next client after one has left
            peer = socket.create_connection(("127.0.0.1", port), timeout=allow(20))
            assert "VM status" in Hmp(peer).command("info status")
            name = [c["filename"] for c in qmp.command("query-chardev") if c["label"] == "c"][0]
            assert " <-> 127.0.0.1:" in name
            peer.close()
        with Kaso("-monitor", "tcp:127.0.0.1:%d,server=on,wait=off" % port) as second:
            _, err = second.finish(status=1)
            assert str(port) in err and "port" in err
        qmp.command("quit")
        kaso.finish()


def client():
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(allow(20))
    with Kaso("-monitor", "tcp:127.0.0.1:%d" % server.getsockname()[1]) as kaso:
        peer, _ = server.accept()
        peer.settimeout(allow(20))
        hmp = Hmp(peer)
        assert "VM status" in hmp.command("info status")
        peer.sendall(b"quit\n")
        kaso.finish()
    server.close()


def reconnecting_client():
    with Kaso("-chardev", "socket,id=c,path=@/peer,reconnect-ms=50", "-mon",
              "chardev=c,mode=control") as kaso:
        server = socket.socket(socket.AF_UNIX)
        server.bind(kaso.path("peer"))
        server.listen()
        server.settimeout(allow(20))
        for _ in range(2):
            peer = server.accept()[0]
            peer.settimeout(allow(20))
            Qmp(peer)
            peer.close()
        peer, _ = server.accept()
        peer.settimeout(allow(20))
        Qmp(peer).command("quit")
        kaso.finish()


def waiting_server():
    """wait=on holds the start until somebody comes, or until a signal ends it."""
    with Kaso("-qmp", "unix:@/q,server=on") as kaso:
        read_until(kaso.process.stderr.fileno(), "wait=off")
        Qmp(kaso.connect("q")).command("quit")
        kaso.finish()
    with Kaso("-qmp", "unix:@/q,server=on") as kaso:
        read_until(kaso.process.stderr.fileno(), "wait=off")
        kaso.process.terminate()
        kaso.finish(status=-signal.SIGTERM)


def inherited_socket():
    """As libvirt does: it makes the listening socket and connects before the start."""
    with tempfile.TemporaryDirectory() as folder:
        server = socket.socket(socket.AF_UNIX)
        server.bind(folder + "/q")
        server.listen()
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(allow(20))
        peer.connect(folder + "/q")
        with Kaso("-chardev", "socket,id=q,fd=%d,server=on,wait=off" % server.fileno(), "-mon",
                  "chardev=q,mode=control", pass_fds=[server.fileno()]) as kaso:
            Qmp(peer).command("quit")
            kaso.finish()
        server.close()
    with Kaso("-chardev", "socket,id=q,fd=77,server=on,wait=off") as kaso:
        assert "fd=77" in kaso.finish(status=1)[1]


def telnet():
    with Kaso("-monitor", "telnet:127.0.0.1:0,server=on,wait=off", "-qmp",
              "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        name = qmp.command("query-chardev")[0]["filename"]
        port = int(re.search(r"127.0.0.1:(\d+)", name).group(1))
        peer = socket.create_connection(("127.0.0.1", port), timeout=allow(20))
        read_until(peer.fileno(), "(qemu) ")
        # The server echoes, as it has offered; a return is CR NUL.
        peer.sendall(b"\xff\xfd\x01info st\x00atus\r\x00")
        got = read_until(peer.fileno(), "VM status")
        assert "info st" in got
        qmp.command("quit")
        kaso.finish()


def pty():
    with Kaso("-monitor", "pty") as kaso:
        line = kaso.process.stdout.readline().decode()
        name = re.match(r"char device redirected to (/dev/pts/\d+) \(label compat_monitor0\)",
                        line).group(1)
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        read_until(fd, "(qemu) ")
        os.write(fd, b"info statu\t\r")
        read_until(fd, "VM status: paused")
        os.close(fd)
        time.sleep(0.2)
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"q\r")
        kaso.finish()
        os.close(fd)


def files_and_pipes():
    with Kaso("-chardev", "file,id=f,path=@/log,append=on,logfile=@/copy", "-chardev", "null,id=n", "-mon",
              "chardev=f", "-mon", "chardev=n", "-qmp", "unix:@/q,server=on,wait=off") as kaso:
        Qmp(kaso.connect("q")).command("quit")
        kaso.process.wait(allow(20))
        with open(kaso.path("log"), encoding="ascii") as file:
            text = file.read()
        assert "(qemu) " in text
        with open(kaso.path("copy"), encoding="ascii") as file:
            assert file.read() == text
        kaso.finish()
    with Kaso("-chardev", "null,id=n,logfile=@/copy,logtimestamp=on", "-mon", "chardev=n", "-qmp", "unix:@/q,server=on,wait=off") as kaso:
        Qmp(kaso.connect("q")).command("quit")
        kaso.process.wait(allow(20))
        with open(kaso.path("copy"), encoding="ascii") as file:
            lines = file.read().splitlines()
        assert lines and all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S", line) for line in lines if line), lines
        kaso.finish()
    with Kaso("-monitor", "pipe:/nonexistent/p") as kaso:
        assert "mkfifo" in kaso.finish(status=1)[1]
    with Kaso("-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        path = kaso.path("pipe")
        os.mkfifo(path + ".in")
        os.mkfifo(path + ".out")
        qmp.command("chardev-add", id="p", backend={"type": "pipe", "data": {"device": path}})
        qmp.command("quit")
        kaso.finish()


def device_files():
    """A monitor on /dev/null, as those start guests who want none."""
    with Kaso("-monitor", "/dev/null", "-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        assert [c["filename"] for c in qmp.command("query-chardev") if c["label"] == "compat_monitor0"] == [
            "serial:/dev/null"]
        qmp.command("quit")
        kaso.finish()


def datagrams():
    """A monitor in datagrams both ways; nobody who listens, and an empty datagram, end nothing."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(allow(20))
    unused = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    unused.bind(("127.0.0.1", 0))
    here, there = peer.getsockname()[1], unused.getsockname()[1]
    unused.close()
    with Kaso("-chardev", "udp,id=u,host=127.0.0.1,port=%d,localaddr=127.0.0.1,localport=%d" % (here, there), "-mon",
              "chardev=u", "-qmp", "unix:@/q,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("q"))
        peer.sendto(b"", ("127.0.0.1", there))
        peer.sendto(b"info status\n", ("127.0.0.1", there))
        text = b""
        while b"VM status" not in text:
            text += peer.recv(65536)
        assert "udp:127.0.0.1:%d" % here in [c["filename"] for c in qmp.command("query-chardev")]
        peer.close()
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(3):  # the first answer comes back as an error of the host's
            other.sendto(b"info version\n", ("127.0.0.1", there))
            time.sleep(0.1)
        assert not qmp.command("query-status")["running"]
        qmp.command("quit")
        kaso.finish()
    with Kaso("-chardev", "udp,id=u") as kaso:
        assert "port=PORT" in kaso.finish(status=1)[1]


def mistakes():
    for arguments, part in (
            (("-monitor", "tcp:127.0.0.1:1"), "cannot connect"),
            (("-monitor", "unix:/nonexistent/s,server=on,wait=off"), "/nonexistent/s"),
            (("-monitor", "sdtio"), "sdtio"),
            (("-monitor", "file:/nonexistent/x"), "/nonexistent/x"),
            (("-monitor", "chardev:nobody"), "nobody"),
            (("-chardev", "socket,id=a"), "port=PORT"),
            (("-chardev", "socket,id=a,host=127.0.0.1,port=65536,server=on,wait=off"), "65535"),
            (("-netdev", "socket,id=a,udp=127.0.0.1:65536,localaddr=127.0.0.1:1"), "65535"),
            (("-drive", "driver=nbd,id=a,if=none,server.type=inet,server.host=127.0.0.1,server.port=65536"), "65535"),
            (("-incoming", "tcp:127.0.0.1:65536"), "65535"),
            (("-chardev", "sokcet,id=a,port=1"), "did you mean 'socket'"),
            (("-chardev", "null,id=a", "-chardev", "null,id=a"), "already"),
            (("-chardev", "stdio,id=a", "-chardev", "stdio,id=b"), "stdio"),
            (("-chardev", "stdio,id=a", "-mon", "chardev=a", "-serial", "chardev:a", "-mon",
              "chardev=a"), "mux=on"),
            (("-chardev", "spicevmc,id=a"), "not yet")):
        with Kaso(*arguments) as kaso:
            _, err = kaso.finish(status=1)
            assert part in err, (arguments, err)


def by_line():
    """chardev-add and its like of HMP, and another back end for a UART that runs."""
    with Kaso("-serial", "chardev:c", "-chardev", "ringbuf,id=c,size=1024", "-monitor", "unix:@/m,server=on,wait=off",
              "-qmp", "unix:@/q,server=on,wait=off", machine="virt") as kaso:
        hmp, qmp = Hmp(kaso.connect("m")), Qmp(kaso.connect("q"))
        assert hmp.command("chardev-add null,id=n") == ""
        assert "n: filename=null" in hmp.command("info chardev")
        for line, part in (("chardev-add null,id=n", "already"), ("chardev-add null", "no id"),
                           ("chardev-add nope,id=o", "nope"), ("chardev-add", "args"),
                           ("chardev-add file,id=o", "path"), ("chardev-change nope null", "does not exist"),
                           ("chardev-change n nope", "nope"), ("chardev-change n", "args"),
                           ("chardev-remove c", "busy"), ("chardev-remove nope", "not found")):
            assert part in hmp.command(line), line
        assert "char device redirected to /dev/pts/" in hmp.command("chardev-add backend=pty,id=p")
        # A server does not hold the monitor.
        assert hmp.command("chardev-add socket,id=s,path=%s,server=on" % kaso.path("s")) == ""
        assert hmp.command("chardev-change n ringbuf,size=64") == ""
        assert "n: filename=ringbuf" in hmp.command("info chardev")
        assert hmp.command("chardev-remove n") == ""
        assert hmp.command("chardev-change c file,path=%s" % kaso.path("out")) == ""
        assert "c: filename=file" in hmp.command("info chardev")
        user = [c["label"] for c in qmp.command("query-chardev") if "/q" in c["filename"]][0]
        assert "does not support" in hmp.command("chardev-change %s null" % user)
        qmp.command("chardev-change", id="c", backend={"type": "ringbuf", "data": {"size": 512}})
        assert "busy" in hmp.command("chardev-remove c")
        qmp.command("quit")
        kaso.finish()


def exchanged():
    """A guest that returns each byte goes on with another back end: all that it was sent, and answered, is there."""
    echo = struct.pack("<8I", 0xd2a12001,  # movz x1, #0x900, lsl #16: the UART
                       0x52806023,  # mov w3, #0x301
                       0xb9003023,  # str w3, [x1, #0x30]: on
                       0xb9401822,  # ldr w2, [x1, #0x18]
                       0x3727ffe2,  # tbnz w2, #4, .-4: nothing has come
                       0xb9400020,  # ldr w0, [x1]
                       0xb9000020,  # str w0, [x1]
                       0x17fffffc)  # b .-16
    with tempfile.NamedTemporaryFile() as code:
        code.write(echo)
        code.flush()
        with Kaso("-chardev", "socket,id=c,path=@/a,server=on,wait=off", "-serial", "chardev:c", "-qmp", "unix:@/q,server=on,wait=off",
                  "-device", f"loader,file={code.name},addr=0x40000000,force-raw=on,cpu-num=0", machine="virt", paused=False) as kaso:
            qmp = Qmp(kaso.connect("q"))
            peers = []
            for name in "abc":
                if peers:
                    address = {"type": "unix", "data": {"path": kaso.path(name)}}
                    qmp.command("chardev-change", id="c", backend={"type": "socket", "data": {"addr": address, "wait": False}})
                    assert peers[-1].recv(1) == b"", "the one before is closed"
                peers.append(kaso.connect(name))
                for text in (b"first of " + name.encode(), bytes(range(32, 127)) * 20):
                    peers[-1].sendall(text)
                    answer = b""
                    while len(answer) < len(text):
                        answer += peers[-1].recv(4096)
                    assert answer == text, answer
            qmp.command("quit")
            kaso.finish()


tcp_server()
client()
exchanged()
by_line()
reconnecting_client()
waiting_server()
inherited_socket()
telnet()
pty()
files_and_pipes()
device_files()
datagrams()
mistakes()
