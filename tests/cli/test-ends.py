#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-ends KASO IMG NBD [WAIT...]: nothing delays an end, whatever waits: a table of what a machine can wait for, and each way to end."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "block"))
import waiting
from patience import allow
from waiting import LIMIT, connect, fill, full, held, listen, nbd_client, nbd_request, start

KASO, IMG, NBD = map(os.path.abspath, sys.argv[1:4])
SHOW = os.environ.get("SHOW")
HALT = b"\xf4\xeb\xfd"


def out(port, value, size=1):
    """Real-mode code: a value to a port."""
    load = {1: b"\xb0", 2: b"\xb8", 4: b"\x66\xb8"}[size] + value.to_bytes(size, "little")
    return b"\xba" + struct.pack("<H", port) + load + {1: b"\xee", 2: b"\xef", 4: b"\x66\xef"}[size]


def config(slot_function, register, value):
    return out(0xcf8, 0x80000000 | slot_function << 8 | register, 4) + out(0xcfc, value, 4)


def firmware(code):
    rom = bytearray(0x10000)
    rom[:len(code)] = code
    rom[0xfff0:0xfff5] = b"\xea\x00\x00\x00\xf0"
    with open("rom", "wb") as file:
        file.write(rom)
    return ("-bios", "rom")


# All processors begin at F000:0000: the first one by a far jump, the others since it tells them so, by its x2APIC.
WAKE_ALL = bytes.fromhex("66b91b000000 0f32 f6c401 7421 660d000c0000 0f30 66b930080000 6631d2 66b800450c00 0f30 66b8f0460c00 0f30")


class Machine(waiting.Machine):
    """A machine with three monitors, and perhaps a test in place of the guest."""

    def __init__(self, *options, qtest=True, running=True, **more):
        self.unread, self.busy, self.console = False, False, None
        drive = ("-accel", "qtest", "-qtest", "unix:qtest,server=on,wait=off") if qtest else ()
        super().__init__(KASO, "-M", "pc", "-m", "16", "-no-reboot", *drive, *(() if running else ("-S",)), "-monitor",
                         "unix:hmp,server=on,wait=off", *options, **more)
        self.qtest = connect("qtest") if qtest else None

    def hmp(self, *lines):
        if not self.console:
            self.console = connect("hmp")
            held.append(self.console)
        self.console.sendall("".join(line + "\n" for line in lines).encode())

    def guest(self, *lines):
        self.qtest.sendall("".join(line + "\n" for line in lines).encode())

    def end(self, how):
        if how == "qmp":
            self.send("quit")
        elif how == "hmp":
            self.hmp("quit")
        elif how == "poweroff":
            self.guest("outl 0xcf8 0x80000b40", "outl 0xcfc 0x601", "outl 0xcf8 0x80000b80", "outl 0xcfc 1", "outw 0x604 0x2000")
        elif how == "reset":
            self.guest("outb 0xcf9 2", "outb 0xcf9 6")
        else:
            self.process.send_signal(how)
        return self.process.wait(allow(LIMIT))


def Server():
    return waiting.Server(IMG, NBD)


NULL = ("-blockdev", "driver=null-co,size=64M,node-name=null,read-zeroes=on")
SLOW = ("-blockdev", '{"driver": "throttle", "node-name": "n", "limits": {"bps-total": 1}, "file": {"driver": "null-co", "size": 67108864}}')
REMOTE = ("-blockdev", "driver=nbd,node-name=n,server.type=unix,server.path=nbd,reconnect-delay=3600")


def mirror(m, source="null", target="n", **more):
    m.ask("blockdev-mirror", job_id="j", device=source, target=target, sync="full", **more)


def job_waits():
    m = Machine(*NULL, *SLOW)
    mirror(m)
    return m


def job_paused():
    m = job_waits()
    m.ask("block-job-pause", device="j")
    return m


def job_ready():
    m = Machine(*NULL, "-blockdev", "driver=null-co,size=64M,node-name=n")
    mirror(m)
    m.wait("BLOCK_JOB_READY")
    return m


def job_ready_paused():
    m = job_ready()
    m.ask("block-job-pause", device="j")
    return m


def job_ready_lost(how="lose"):
    """The server goes when both are the same."""
    server = Server()
    m = Machine(*NULL, *REMOTE)
    mirror(m)
    m.wait("BLOCK_JOB_READY")
    getattr(server, how)()
    return m


def job_ready_stopped():
    return job_ready_lost("stop")


def job_completing():
    """It was told to complete, which it cannot."""
    m = job_ready_stopped()
    m.ask("block-job-complete", device="j")
    return m


def job_lost(how="lose"):
    server = Server()
    m = Machine(*NULL, *REMOTE)
    getattr(server, how)()
    mirror(m)
    return m


def job_stopped():
    return job_lost("stop")


def creation():
    """blockdev-create on what is slow."""
    subprocess.run([IMG, "create", "-q", "-f", "raw", "file", "1M"], check=True)
    m = Machine(*NULL, "-blockdev", '{"driver": "throttle", "node-name": "n", "limits": {"bps-write": 1}, "file": {"driver": "file", "filename": "file"}}')
    m.ask("blockdev-create", job_id="c", options={"driver": "qcow2", "file": "n", "size": 4 << 30, "preallocation": "full"})
    time.sleep(0.2)
    assert m.ask("query-jobs")[0]["status"] == "running"
    return m


def not_dismissed():
    """A job that is done and waits for being looked at."""
    m = Machine(*NULL, "-blockdev", "driver=null-co,size=64M,node-name=n")
    m.ask("blockdev-backup", job_id="j", device="null", target="n", sync="full", auto_dismiss=False, auto_finalize=False)
    m.wait("JOB_STATUS_CHANGE")
    return m


def export_with_client():
    m = Machine(*NULL)
    m.ask("nbd-server-start", addr={"type": "unix", "data": {"path": "export"}})
    m.ask("block-export-add", type="nbd", id="e", node_name="null", writable=True)
    return m, nbd_client("export", b"null")


def export():
    """An export with a client that asks for as much as it can and reads nothing."""
    m, client = export_with_client()
    fill(client, nbd_request(0, 1, 32 << 20))
    time.sleep(0.2)
    return m


def export_half():
    """A client that has begun a write of which the rest does not come."""
    m, client = export_with_client()
    client.sendall(nbd_request(1, 1, 1 << 20) + bytes(100))
    time.sleep(0.2)
    return m


def export_waits():
    """A client's request waits for the server that has gone."""
    server = Server()
    m = Machine(*REMOTE)
    m.ask("nbd-server-start", addr={"type": "unix", "data": {"path": "export"}})
    m.ask("block-export-add", type="nbd", id="e", node_name="n", writable=True)
    server.stop()
    start(IMG, "bench", "-f", "raw", "-w", "-c", "4", "nbd+unix:///n?socket=export", stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    return m


def reconnecting():
    m = Machine("-chardev", "socket,id=c,path=nowhere,reconnect=1", "-serial", "chardev:c", "-netdev",
                "stream,id=s,addr.type=unix,addr.path=nowhere2,reconnect-ms=1000", "-device", "e1000,netdev=s")
    return m


def chardev_full():
    """A serial port's peer does not read."""
    listen("serial")
    m = Machine("-chardev", "socket,id=c,path=serial", "-serial", "chardev:c")
    m.guest(*["outb 0x3f8 0x55"] * 300000)
    return m


def chardev_standard():
    """Nor does who has standard output."""
    read, write = os.pipe()
    held.append(open(read, "rb"))
    m = Machine("-serial", "stdio", stdout=write)
    os.close(write)
    m.guest(*["outb 0x3f8 0x55"] * 100000)
    return m


def chardev_pipe():
    os.mkfifo("pipe")
    m = Machine("-chardev", "pipe,id=c,path=pipe", "-serial", "chardev:c")
    m.guest(*["outb 0x3f8 0x55"] * 100000)
    return m


def chardev_added():
    """The monitor opens what is not opened."""
    os.mkfifo("fifo")
    m = Machine(*NULL)
    m.send("chardev-add", id="x", backend={"type": "file", "data": {"out": "fifo"}})
    time.sleep(0.3)
    return m


def chardev_added_full():
    full("full")
    m = Machine(*NULL)
    m.send("chardev-add", id="x", backend={"type": "socket", "data": {"server": False, "addr": {"type": "unix", "data": {"path": "full"}}}})
    time.sleep(0.3)
    return m


def chardev_added_wait():
    m = Machine(*NULL)
    m.send("chardev-add", id="x", backend={"type": "socket", "data": {"wait": True, "addr": {"type": "unix", "data": {"path": "s"}}}})
    time.sleep(0.3)
    return m


def screen_fifo():
    """A picture, memory, a core file go to a FIFO that nobody reads."""
    os.mkfifo("fifo")
    m = Machine("-device", "VGA")
    m.send("screendump", filename="fifo")
    time.sleep(0.3)
    return m


def save_fifo():
    os.mkfifo("fifo")
    m = Machine()
    m.send("pmemsave", val=0, size=1 << 20, filename="fifo")
    time.sleep(0.3)
    return m


def core_fifo():
    os.mkfifo("fifo")
    m = Machine()
    m.send("dump-guest-memory", paging=False, protocol="file:fifo", detach=True)
    time.sleep(0.3)
    return m


def core_read_by_nobody():
    read, write = os.pipe()
    held.append(open(read, "rb"))
    m = Machine("-add-fd", f"fd={write},set=1", pass_fds=[write])
    os.close(write)
    m.send("dump-guest-memory", paging=False, protocol="file:/dev/fdset/1")
    time.sleep(0.3)
    return m


def blockdev_fifo():
    os.mkfifo("fifo")
    m = Machine()
    m.send("blockdev-add", driver="file", node_name="x", filename="fifo")
    time.sleep(0.3)
    return m


def blockdev_mute():
    listen("mute")
    m = Machine()
    m.send("blockdev-add", driver="nbd", node_name="x", server={"type": "unix", "path": "mute"})
    time.sleep(0.3)
    return m


def blockdev_full():
    full("full")
    m = Machine()
    m.send("blockdev-add", driver="nbd", node_name="x", server={"type": "unix", "path": "full"})
    time.sleep(0.3)
    return m


def migrating(uri="unix:peer"):
    listen("peer")
    m = Machine("-m", "256")
    m.guest("memset 0x100000 0xa000000 0x5a")
    m.ask("migrate", uri=uri)
    time.sleep(0.3)
    return m


def migrating_to_command():
    return migrating("exec:sleep 3600")


def migrating_to_fifo():
    os.mkfifo("fifo")
    m = Machine("-m", "256")
    m.send("migrate", uri="file:fifo")
    time.sleep(0.3)
    return m


def migrating_full():
    full("full")
    m = Machine("-m", "256")
    m.send("migrate", uri="unix:full")
    time.sleep(0.3)
    return m


def migrating_paused():
    """Before it hands over."""
    m = Machine("-m", "32")
    m.ask("migrate-set-capabilities", capabilities=[{"capability": "pause-before-switchover", "state": True},
                                                    {"capability": "events", "state": True}])
    m.ask("migrate", uri="exec:cat >/dev/null")
    while m.ask("query-migrate").get("status") != "pre-switchover":
        time.sleep(0.02)
    return m


def incoming():
    return Machine("-incoming", "unix:from")


def incoming_half():
    """Its source has stopped."""
    m = Machine("-incoming", "unix:from")
    source = connect("from")
    held.append(source)
    source.sendall(b"QEVM" + bytes([0, 0, 0, 3]))
    time.sleep(0.2)
    return m


def incoming_command():
    m = Machine("-incoming", "exec:sleep 3600")
    return m


def saving():
    """savevm into a disk that is slow."""
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "saved", "64M"], check=True)
    m = Machine("-blockdev", '{"driver": "qcow2", "node-name": "n", "file": {"driver": "throttle", "limits": {"bps-write": 4096}, '
                '"file": {"driver": "file", "filename": "saved"}}}', "-device", "virtio-blk-pci,drive=n", "-m", "256")
    m.guest("memset 0x100000 0xa000000 0x5a")
    m.ask("snapshot-save", job_id="s", tag="t", vmstate="n", devices=["n"])
    time.sleep(0.3)
    return m


def saving_hmp():
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "saved", "64M"], check=True)
    m = Machine("-blockdev", '{"driver": "qcow2", "node-name": "n", "file": {"driver": "throttle", "limits": {"bps-write": 4096}, '
                '"file": {"driver": "file", "filename": "saved"}}}', "-device", "virtio-blk-pci,drive=n", "-m", "256")
    m.guest("memset 0x100000 0xa000000 0x5a")
    m.hmp("savevm t")
    time.sleep(0.5)
    return m


def monitor_unread():
    """A client of QMP, and one of HMP, that ask much and read nothing."""
    m = Machine(*NULL)
    m.hmp(*["info qom-tree"] * 2000)
    fill(m.peer, b'{"execute": "query-qmp-schema"}')
    m.unread = True
    return m


def qtest_unread():
    m = Machine()
    fill(m.qtest, b"read 0 4096\n")
    m.unread = True
    return m


def viewer():
    """A VNC client that asks for pictures and reads none."""
    m = Machine("-device", "VGA", "-vnc", "unix:vnc")
    client = connect("vnc")
    held.append(client)
    client.recv(12)
    client.sendall(b"RFB 003.008\n")
    client.recv(64)
    client.sendall(b"\1")
    client.recv(4)
    client.sendall(b"\1")
    for _ in range(1000):
        client.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 640, 400))
    return m


def debugger(running=False):
    m = Machine("-gdb", "unix:gdb,server=on,wait=off", *firmware(b"\xeb\xfe"), qtest=False, running=running)
    client = connect("gdb")
    held.append(client)
    client.sendall(b"$?#3f")
    time.sleep(0.2)
    return m


def stopped():
    return Machine(*firmware(b"\xeb\xfe"), qtest=False, running=False)


def panicked():
    m = Machine("-device", "pvpanic", "-action", "panic=pause", *firmware(out(0x505, 1) + HALT), qtest=False, running=False)
    m.ask("cont")
    m.wait("GUEST_PANICKED")
    return m


def powered_off_no_shutdown():
    m = Machine("-no-shutdown", *firmware(config(0x0b, 0x40, 0x601) + config(0x0b, 0x80, 1) + out(0x604, 0x2000, 2) + HALT), qtest=False,
                running=False)
    m.ask("cont")
    m.wait("SHUTDOWN")
    m.events.clear()
    return m


def loop(code, *options):
    m = Machine(*firmware(code), *options, qtest=False)
    time.sleep(0.3)
    return m


def loops():
    return loop(WAKE_ALL + b"\xfa\xeb\xfe", "-smp", "4", "-cpu", "max")


def loops_in_turn():
    return loop(WAKE_ALL + b"\xfa\xeb\xfe", "-smp", "4", "-cpu", "max", "-accel", "tcg,thread=single")


def halted():
    return loop(WAKE_ALL + b"\xfa\xf4\xeb\xfd", "-smp", "4", "-cpu", "max")


def loops_on_ports():
    return loop(b"\xfa\xba\x70\x00\xec\xeb\xfd")


def loops_counted():
    return loop(b"\xfa\xeb\xfe", "-icount", "shift=3")


def loops_interpreted():
    return loop(b"\xfa\xeb\xfe", "-accel", "tcg,interp=on")


def resets():
    """More resets than the monitor keeps events for who does not read them."""
    m = Machine(*firmware(out(0xcf9, 2) + out(0xcf9, 6)), "-action", "reboot=reset", qtest=False)
    m.unread = True
    time.sleep(0.2)
    return m


def breakpoint_():
    """A request of a device stands at blkdebug's breakpoint."""
    subprocess.run([IMG, "create", "-q", "-f", "qcow2", "b", "64M"], check=True)
    m = Machine("-blockdev", '{"driver": "qcow2", "node-name": "n", "file": {"driver": "blkdebug", "image": {"driver": "file", "filename": "b"}}}',
                *NULL, "-blockdev", "driver=raw,file=null,node-name=r")
    m.ask("human-monitor-command", command_line='qemu-io n "break write_aio A"')
    mirror(m, "null", "n")
    time.sleep(0.3)
    return m


def network():
    """A stream that listens and one whose peer reads nothing; a forwarded connection, a guest's command that hangs."""
    listen("net")
    m = Machine(
        "-netdev", "stream,id=a,server=on,addr.type=unix,addr.path=a", "-device", "e1000,netdev=a",
        "-netdev", "stream,id=b,addr.type=unix,addr.path=net", "-device", "e1000,netdev=b",
        "-netdev", "user,id=u,guestfwd=tcp:10.0.2.100:1234-cmd:sleep 3600", "-device", "e1000,netdev=u")
    return m


def script(name):
    with open(name, "w") as file:
        file.write("#!/bin/sh\nexec sleep 3600\n")
    os.chmod(name, 0o755)
    return os.path.abspath(name)


def tap_up():
    """What makes a network device hangs."""
    m = Machine()
    m.send("netdev_add", type="tap", id="t", script=script("up"), downscript="no")
    time.sleep(0.3)
    return m


def tap_helper():
    m = Machine()
    m.send("netdev_add", type="bridge", id="t", helper=script("helper"))
    time.sleep(0.3)
    return m


def tap_down():
    """What takes it down hangs, and is left alone."""
    return Machine("-netdev", "tap,id=t,script=no,downscript=" + script("down"))


def iothread():
    """A device with an I/O thread, and a server that says nothing to it."""
    server = Server()
    m = Machine(*REMOTE, "-object", "iothread,id=t", "-device", "virtio-blk-pci,drive=n,iothread=t")
    server.stop()
    return m


def waits_in_monitor():
    m = Machine(*firmware(b"\xeb\xfe"), qtest=False)
    m.hmp("wait-for stop")
    m.busy = True  # a "quit" behind it is its turn's
    return m


TAP = os.geteuid() == 0 and os.access("/dev/net/tun", os.R_OK | os.W_OK)
QUIT = ("qmp", "hmp")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GUEST = ("poweroff", "reset")
JOBS = (job_waits, job_paused, job_ready, job_ready_paused, job_ready_lost, job_ready_stopped, job_completing, job_lost, job_stopped)
ANY = (*JOBS, creation, not_dismissed, export, export_half, export_waits, reconnecting, chardev_full,
       chardev_standard, chardev_pipe, migrating, migrating_to_command, migrating_paused, incoming, incoming_half, incoming_command, viewer, network,
       iothread, debugger, stopped, panicked, powered_off_no_shutdown, loops, loops_in_turn, halted, loops_on_ports, loops_counted, loops_interpreted,
       resets, breakpoint_, waits_in_monitor, *((tap_down,) if TAP else ()))
PROMPT = {export: 5, creation: 5}  # what takes long without being a hang: seconds, of which a busy host may need the most
# The main loop itself waits, so that monitors are not heard, nor is a test in place of the guest.
HELD = (chardev_added, chardev_added_full, chardev_added_wait, screen_fifo, save_fifo, core_fifo, core_read_by_nobody, blockdev_fifo, blockdev_mute,
        blockdev_full, migrating_to_fifo, migrating_full, saving, saving_hmp, monitor_unread, qtest_unread, tap_helper, *((tap_up,) if TAP else ()))


def try_end(wait, how):
    machine = wait()
    if how in GUEST and not machine.qtest or how == "hmp" and machine.busy:
        how = signal.SIGTERM
    began = time.monotonic()
    try:
        status = machine.end(how)
    except subprocess.TimeoutExpired:
        raise AssertionError((wait.__name__, how, "no end")) from None
    took = time.monotonic() - began
    names = machine.last_events() if not machine.unread else ["SHUTDOWN"]
    if SHOW:
        print(wait.__name__, how, status, f"{took:.2f}", *names, flush=True)
    assert status == 0 and "SHUTDOWN" in names, (wait.__name__, how, status, names)
    assert took < allow(PROMPT.get(wait, LIMIT)), (wait.__name__, how, took)
    if wait in JOBS:
        assert names.index("SHUTDOWN") < names.index("BLOCK_JOB_CANCELLED"), names


def ways(wait, number):
    """Each kind of end; which one of the kind goes round from wait to wait, or with EVERY set they are all tried."""
    kinds = (SIGNALS,) if wait in HELD else (QUIT, SIGNALS, GUEST)
    return [h for kind in kinds for h in (kind if os.environ.get("EVERY") else [kind[number % len(kind)]])]


def hung_folder(path):
    """A file system that answers nothing, as that of a host that is gone. False: it cannot be had."""
    try:
        fuse = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        return False
    held.append(open(fuse, "rb", buffering=0))
    os.mkdir(path)
    if ctypes.CDLL(None, use_errno=True).mount(b"test", path.encode(), b"fuse", 0, f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()) != 0:
        return False

    # The first request is the kernel's; who asks waits for its answer, too.
    unique = struct.unpack("<8xQ", os.read(fuse, 1 << 17)[:16])[0]
    os.write(fuse, struct.pack("<IiQ", 16 + 64, 0, unique) + struct.pack("<IIIIHHI", 7, 31, 0, 0, 1, 1, 4096).ljust(64, b"\0"))
    return True


def second_signal():
    """A system call that no signal interrupts while its process lives: that is told of after a while, and then a signal ends it."""
    if not hung_folder("gone"):
        return
    try:
        machine = Machine("-device", "VGA", stderr=subprocess.PIPE)
        machine.send("screendump", filename="gone/x")
        time.sleep(0.3)
        machine.process.send_signal(signal.SIGTERM)
        told = machine.process.stderr.readline()
        assert b"another signal ends it" in told, told
        machine.process.send_signal(signal.SIGTERM)
        assert machine.process.wait(allow(LIMIT)) == -signal.SIGTERM, machine.process.returncode
    finally:
        ctypes.CDLL(None).umount2(b"gone", 2)


with tempfile.TemporaryDirectory() as folder:
    if not sys.argv[4:] or "second_signal" in sys.argv[4:]:
        os.chdir(folder)
        second_signal()
        waiting.release()
    for number, wait in enumerate(ANY + HELD):
        if sys.argv[4:] and wait.__name__ not in sys.argv[4:]:
            continue
        for how in ways(wait, number):
            os.chdir(tempfile.mkdtemp(dir=folder))
            try:
                try_end(wait, how)
            finally:
                waiting.release()
    os.chdir("/")
