#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-pc-ends KASO: how the run of a PC ends, told apart by status and words; and firmware and option ROMs that are none."""

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from qmp import Monitor
from patience import allow

kaso = sys.argv[1]
TIMEOUT = 60
folder = tempfile.TemporaryDirectory()
ROM_BYTES = 0x10000


def path(name, content=None):
    full = os.path.join(folder.name, name)
    if content is not None:
        with open(full, "wb") as file:
            file.write(content)
    return full


def out(port, value, size=1):
    """Real-mode code: a value to a port."""
    load = {1: b"\xb0", 2: b"\xb8", 4: b"\x66\xb8"}[size] + value.to_bytes(size, "little")
    return b"\xba" + struct.pack("<H", port) + load + {1: b"\xee", 2: b"\xef", 4: b"\x66\xef"}[size]


def config(slot_function, register, value):
    return out(0xcf8, 0x80000000 | slot_function << 8 | register, 4) + out(0xcfc, value, 4)


HALT = b"\xf4\xeb\xfd"
CODE = {
    "poweroff": config(0x0b, 0x40, 0x601) + config(0x0b, 0x80, 1) + out(0x604, 0x2000, 2),
    "reset": out(0xcf9, 2) + out(0xcf9, 6),
    "keyboard": out(0x64, 0xfe),
    "port92": out(0x92, 1),
    "panic": out(0x505, 1),
    "shutdown": out(0x505, 4),
    # An interrupt table of no length, and an interrupt.
    "triple": b"\x66\xb8\x78\x56\x34\x12" + b"\x2e\x0f\x01\x1e\x80\x00" + b"\xcc",
    "exit": out(0x501, 0x10),
    "idle": b"",
}


def firmware(kind):
    rom = bytearray(ROM_BYTES)
    rom[:len(CODE[kind] + HALT)] = CODE[kind] + HALT
    rom[0xfff0:0xfff5] = b"\xea\x00\x00\x00\xf0"
    return path(kind, bytes(rom))


def command(kind, *options):
    return [kaso, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-device", "pvpanic", "-device", "isa-debug-exit", "-bios",
            firmware(kind), *options]


def end(kind, status, *options, words=""):
    run = subprocess.run(command(kind, *options), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(TIMEOUT), check=False)
    assert run.returncode == status and words in run.stderr, (kind, options, run)
    return run.stderr


DISTINCT = ("-action", "exit-status=distinct")


def guest_ends():
    # Ordinary ends are told on a terminal only.
    for kind, plain, distinct, words in (("poweroff", 0, 0, ""), ("reset", 0, 10, ""),
                                         ("keyboard", 0, 10, ""), ("port92", 0, 10, ""),
                                         ("panic", 0, 11, "guest panicked"), ("shutdown", 0, 0, ""),
                                         ("exit", 0x21, 0x21, "")):
        for status, more in ((plain, ()), (distinct, DISTINCT)):
            text = end(kind, status, "-no-reboot", *more, words=words)
            assert words or not text, (kind, text)
    for triple in ((), DISTINCT):
        text = end("triple", 10 if triple else 0, "-no-reboot", *triple, words="riple fault")
        assert "12345678" in text and "CS" in text.upper(), text
    for name, status in (("poweroff", 31), ("reset", 32), ("panic", 33)):
        end(name, status, "-no-reboot", "-action", f"exit-status.{name}={status}")
    end("reset", 0, "-action", "reboot=shutdown")


def story(kind, *options, commands=(), state=None):
    """The events from the start on, with what they carry, and the state where the run does not end."""
    socket = path("qmp")
    run = subprocess.Popen(command(kind, "-S", *options, "-qmp", f"unix:{socket},server=on,wait=off"), stderr=subprocess.DEVNULL)
    monitor = Monitor(socket)
    for name in commands or ("cont",):
        monitor.run(name)
    last = "SHUTDOWN" if state in (None, "prelaunch") else "STOP"
    while last not in [e["event"] for e in monitor.events]:
        monitor.read()
    seen = [(e["event"], e.get("data")) for e in monitor.events if e["event"] not in ("RESUME", "STOP")]
    if state:
        assert monitor.run("query-status")["status"] == state, (kind, options)
        monitor.run("quit")
    assert run.wait(allow(TIMEOUT)) == 0
    return seen


def stories():
    """Whose end it was, and what -no-shutdown makes of it."""
    guest = ("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
    user = ("SHUTDOWN", {"guest": False, "reason": "host-qmp-system-reset"})
    panic = ("SHUTDOWN", {"guest": True, "reason": "guest-panic"})
    assert story("shutdown") == [("GUEST_PVSHUTDOWN", None), guest]
    assert story("shutdown", "-no-shutdown", state="shutdown") == [("GUEST_PVSHUTDOWN", None), guest]
    assert story("idle", "-no-reboot", commands=("system_reset",)) == [user]
    assert story("idle", "-no-reboot", "-no-shutdown", commands=("system_reset",), state="prelaunch") == [user]
    assert story("idle", "-no-reboot", "-no-shutdown", commands=("cont", "system_reset"), state="shutdown") == [user]
    assert story("panic", "-no-shutdown", state="guest-panicked") == [("GUEST_PANICKED", {"action": "pause"})]
    assert story("panic", "-action", "shutdown=pause,panic=exit-failure", state="shutdown") == [("GUEST_PANICKED", {"action": "poweroff"}), panic]


def panic_actions():
    end("panic", 0, "-action", "panic=shutdown", words="guest panicked")
    end("panic", 1, "-action", "panic=exit-failure", words="guest panicked")
    for action, state, event in (("pause", "guest-panicked", "pause"), ("none", "running", "run")):
        socket = path("qmp")
        run = subprocess.Popen(command("panic", "-S", "-action", "panic=" + action, "-qmp", f"unix:{socket},server=on,wait=off"),
                               stderr=subprocess.PIPE)
        monitor = Monitor(socket)
        monitor.run("cont")
        assert monitor.event("GUEST_PANICKED")["action"] == event
        for _ in range(1200):
            if monitor.run("query-status")["status"] == state:
                break
            time.sleep(0.05)
        assert monitor.run("query-status")["status"] == state
        monitor.run("quit")
        assert run.wait(allow(TIMEOUT)) == 0
        run.stderr.close()


def host_ends():
    for distinct in ((), DISTINCT):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None):
            socket = path("qmp")
            run = subprocess.Popen(command("idle", "-qmp", f"unix:{socket},server=on,wait=off", *distinct), stderr=subprocess.PIPE)
            monitor = Monitor(socket)
            if number:
                run.send_signal(number)
            else:
                monitor.run("quit")
            status = 0 if not distinct else 128 + number if number else 13
            assert run.wait(allow(TIMEOUT)) == status, (number, distinct, run.returncode, run.stderr.read())
            run.stderr.close()


def survives(options, seconds, log=None, until=None):
    """Whatever the guest does: the emulator goes on until it is told to end."""
    run = subprocess.Popen([kaso, "-M", "pc", "-m", "32", "-display", "none", "-serial", "none", "-monitor", "none", *options],
                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + (allow(seconds) if until else seconds)
    while time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)
        if until and os.path.exists(log):
            with open(log, encoding="latin-1") as lines:
                if until in lines.read():
                    break
    else:
        assert not until, (options, until)
    run.terminate()
    error = run.communicate(timeout=allow(TIMEOUT))[1]
    assert run.returncode == 0, (options, run.returncode, error[-2000:])


def all_survive(machines, seconds):
    """At the same time."""
    with ThreadPoolExecutor(len(machines)) as pool:
        list(pool.map(lambda options: survives(options, seconds), machines))


def bad_firmware():
    numbers = random.Random(1)
    with open("/usr/share/seabios/bios-256k.bin", "rb") as file:
        good = file.read()
    zero, ones = bytes(ROM_BYTES), b"\xff" * ROM_BYTES
    shot = bytearray(good)
    for _ in range(2000):
        shot[numbers.randrange(len(shot))] = numbers.getrandbits(8)
    contents = {"zero": zero, "ones": ones, "half": good[:len(good) // 2], "shot": bytes(shot), "random1": numbers.randbytes(0x20000),
                "random2": numbers.randbytes(0x40000)}
    all_survive([["-bios", path(name, content)] for name, content in contents.items()], 2)
    for name, content, words in (("odd", good[:100001], "no multiple of 64 KiB"), ("empty", b"", "is empty"),
                                 ("large", bytes(9 << 20), "is too large")):
        run = subprocess.run([kaso, "-M", "pc", "-display", "none", "-bios", path(name, content)], capture_output=True, text=True,
                             timeout=allow(TIMEOUT), stdin=subprocess.DEVNULL, check=False)
        assert run.returncode == 1 and words in run.stderr, (name, run)


def bad_roms():
    """SeaBIOS finds five cards whose ROMs are nothing, and goes on to the end; random code that is sound by its sum may do as it likes."""
    numbers = random.Random(2)
    header = b"\x55\xaa"

    def with_sum(rom):
        rom = bytearray(rom)
        rom[-1] = -sum(rom[:-1]) & 0xff
        return bytes(rom)

    sound = with_sum(header + b"\x08\xcb" + bytes(4096 - 4))
    roms = {"zeros": bytes(4096), "noise": numbers.randbytes(4096), "short": sound[:700], "sum": sound[:100] + b"x" + sound[101:],
            "long": header + b"\xff" + numbers.randbytes(2045), "tiny": header, "pcir": header + b"\x08" + b"\xff" * 4093}
    log = path("log", b"")
    cards = [word for name, rom in roms.items() for word in ("-device", "e1000,romfile=" + path(name + ".rom", rom))]
    survives(["-nodefaults", "-chardev", "file,id=log,path=" + log, "-device", "isa-debugcon,iobase=0x402,chardev=log", *cards], TIMEOUT,
             log, "No bootable device.")
    codes = [path("code%d.rom" % i, with_sum(header + b"\x08" + numbers.randbytes(4093))) for i in range(4)]
    all_survive([["-nodefaults", "-device", "e1000,rombar=0,romfile=" + code] for code in codes], 3)
    run = subprocess.run([kaso, "-M", "pc", "-display", "none", "-device", "e1000,romfile=" + path("none.rom", b"")], capture_output=True,
                         text=True, timeout=allow(TIMEOUT), stdin=subprocess.DEVNULL, check=False)
    assert run.returncode == 1 and "expansion ROM" in run.stderr, run


guest_ends()
stories()
panic_actions()
host_ends()
if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
    print("SKIP: the package seabios is not installed")
    sys.exit(77)
bad_firmware()
bad_roms()
