# SPDX-License-Identifier: MIT
"""VNC as clients see it: every encoding against screendump, input, who is let in, and clients that misbehave."""

import base64
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import rfb
from patience import allow
from rfb import Client, Format
from screen import Screen
from ports import free_port

ALL = (rfb.RAW, rfb.HEXTILE, rfb.ZLIB, rfb.TIGHT, rfb.TIGHT_PNG, rfb.ZRLE)
FORMATS = {
    "32 little": Format(),
    "32 big, high bytes": Format(32, 24, 1, (255, 255, 255), (24, 16, 8)),
    "32 blue first": Format(32, 24, 0, (255, 255, 255), (0, 8, 16)),
    "32 deep": Format(32, 30, 0, (1023, 1023, 1023), (20, 10, 0)),
    "16": Format(16, 16, 0, (31, 63, 31), (11, 5, 0)),
    "16 big": Format(16, 15, 1, (31, 31, 31), (10, 5, 0)),
    "8": Format(8, 8, 0, (7, 7, 3), (0, 3, 6)),
}


def rough(picture, form):
    """What is left of colours in a format."""
    out = bytearray()
    for i, value in enumerate(picture):
        m = form.maxima[i % 3]
        out.append((((value * m + 127) // 255) * 255 + m // 2) // m)
    return bytes(out)


def paint_test_picture(screen, seed=1):
    """Noise, few colours, runs, one colour, edges that fit no tile."""
    rnd = random.Random(seed)
    screen.mode(200, 149)
    # The card's lines are as long as its mode says.
    screen.paint(0, 0, 200, screen.rgb(*([0x204060] * (200 * 149))))
    screen.paint(10, 10, 70, screen.rgb(*[rnd.randrange(1 << 24) for _ in range(70 * 40)]))
    screen.paint(90, 3, 61, screen.rgb(*[rnd.choice((0xff0000, 0xffffff)) for _ in range(61 * 33)]))
    screen.paint(127, 60, 73, screen.rgb(*[rnd.choice((1, 2, 3, 4, 5, 6, 7)) for _ in range(73 * 50)]))
    screen.paint(0, 70, 120, screen.rgb(*[0x010200 * (i // 17 % 80) for i in range(120 * 79)]))
    screen.paint(125, 115, 70, screen.rgb(*[(i % 70) * 0x030201 + (i // 70) * 0x010300 for i in range(70 * 30)]))


def test_encodings():
    with Screen("-vnc", "unix:@/vnc") as screen:
        paint_test_picture(screen)
        width, height, picture = screen.dump()
        assert (width, height) == (200, 149)
        for name, form in FORMATS.items():
            wanted = rough(picture, form)
            for encoding in ALL:
                client = Client(screen.vnc(), (encoding,), form=form)
                assert (client.width, client.height) == (width, height)
                rects = client.update(False)
                assert set(rects) == {encoding}, rects
                got = bytes(client.picture)
                # PNG has colours of its own; pieces of one colour have the client's.
                if encoding != rfb.TIGHT_PNG or form.bits == 32:
                    assert got == wanted, (name, encoding)
                client.peer.close()
        levels(screen, picture)
        colour_map(screen)
        screen.end()


def levels(screen, picture):
    """The level of compression changes between updates of one stream."""
    for encoding in (rfb.ZLIB, rfb.TIGHT, rfb.ZRLE):
        client = Client(screen.vnc(), (encoding, -247))
        for level in (-247, -256, -250):
            client.set_encodings(encoding, level)
            client.picture = bytearray(len(client.picture))
            client.update(False)
            assert bytes(client.picture) == picture


def colour_map(screen):
    client = Client(screen.vnc(), (rfb.RAW,))
    client.send(b"\0\0\0\0" + struct.pack(">BBBBHHHBBBxxx", 8, 8, 0, 0, 0, 0, 0, 0, 0, 0))
    assert client.wait("map") is None and len(client.map) == 256 * 6


def test_jpeg():
    """A photograph's colours may be off by some where the user allows that."""
    if not shutil.which("djpeg"):
        print("no djpeg (libjpeg-turbo-progs): JPEG is not looked at")
        return
    with Screen("-vnc", "unix:@/vnc,lossy=on") as screen:
        screen.mode(256, 128)
        screen.paint(0, 0, 256, screen.rgb(*[(i % 256) << 16 | (i // 256) << 8 | (i % 256 * 3 & 255) // 2
                                             for i in range(256 * 128)]))
        _, _, picture = screen.dump()
        client = Client(screen.vnc(), (rfb.TIGHT, -23))
        client.update(False)
        assert client.counts.get("jpeg"), client.counts
        worst = max(abs(a - b) for a, b in zip(client.picture, picture))
        assert worst < 60 and sum(abs(a - b) for a, b in zip(client.picture, picture)) < 6 * len(picture), worst
        client = Client(screen.vnc(), (rfb.TIGHT,))
        client.update(False)
        assert bytes(client.picture) == picture


def follow(client, screen):
    """Looks until the client sees what there is."""
    end = time.monotonic() + allow(20)
    while bytes(client.picture) != screen.dump()[2]:
        assert time.monotonic() < end
        client.update(False)


def test_updates():
    """What changes comes, only that, and a size that changes."""
    with Screen("-vnc", "unix:@/vnc") as screen:
        screen.mode(320, 200)
        client = Client(screen.vnc(), (rfb.RAW, rfb.EXTENDED_SIZE, rfb.LEDS, rfb.NAME))
        fences = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        assert fences.wait("fence") == (1 << 31, b""), "noVNC leaves when the first fence is no request"
        fences.peer.close()
        other = Client(screen.vnc(), (rfb.ZRLE, rfb.SIZE))
        fixed = Client(screen.vnc(), (rfb.RAW,))
        for one in (client, other, fixed):
            one.update(False)
        assert client.name == "Kaso"
        before = client.received
        screen.paint(100, 100, 2, screen.rgb(*[0xffffff] * 4))
        client.update()
        assert client.received - before < 32 * 32 * 4 + 200, client.received - before
        follow(client, screen)
        follow(other, screen)
        # A part of the screen.
        screen.paint(0, 0, 2, screen.rgb(*[0xff00] * 4))
        screen.paint(300, 190, 2, screen.rgb(*[0xff00] * 4))
        client.update(True, (250, 150, 70, 50))
        assert bytes(client.picture) != screen.dump()[2]
        follow(client, screen)
        # Another size.
        screen.mode(400, 300)
        screen.paint(0, 0, 400, screen.rgb(*range(400 * 20)))
        for one in (client, other):
            while (one.width, one.height) != (400, 300):
                one.request()
                one.message()
            follow(one, screen)
        fixed.update(False)
        _, _, big = screen.dump()
        assert bytes(fixed.picture[:3 * 320]) == big[:3 * 320]
        # 16 bits a pixel, converted.
        screen.mode(64, 64, 16)
        screen.paint(0, 0, 64, struct.pack("<4096H", *range(0, 65536, 16)))
        while client.width != 64:
            client.request()
            client.message()
        follow(client, screen)
        wish(client)
        screen.end()


def wish(client):
    """A client asks for a size; this card's guest cannot be asked."""
    client.events.clear()
    client.send(struct.pack(">BxHHBxIHHHHI", 251, 800, 600, 1, 0, 0, 0, 800, 600, 0))
    client.request()
    client.message()
    reason = [e for e in client.events if e[0] == rfb.EXTENDED_SIZE]
    assert reason[0][1][:2] == (1, 1), client.events


def scrolled(screen, random, box, rows):
    """Moves the picture of a box up (rows: positive) or down, with new rows at the end, as a terminal does."""
    x, y, width, height = box
    whole = screen.dump()[2]
    kept = [whole[3 * (screen.width * (y + i) + x):3 * (screen.width * (y + i) + x + width)] for i in range(height)]
    new = [bytes(random.randrange(256) for _ in range(3 * width)) for _ in range(abs(rows))]
    lines = kept[rows:] + new if rows > 0 else new + kept[:rows]
    colours = b"".join(lines)
    words = bytearray(4 * width * height)
    words[0::4], words[1::4], words[2::4] = colours[2::3], colours[1::3], colours[0::3]
    # In the half of the memory that is not shown, and then at once.
    screen.top ^= screen.height
    screen.paint(0, screen.top, screen.width, frame(screen, whole))
    screen.paint(x, screen.top + y, width, bytes(words))
    screen.dispi(9, screen.top)


def frame(screen, colours):
    words = bytearray(4 * screen.width * screen.height)
    words[0::4], words[1::4], words[2::4] = colours[2::3], colours[1::3], colours[0::3]
    return bytes(words)


def test_scroll():
    """What scrolls is copied by the clients that can, also when they have not seen the last of it, or only a part."""
    random = __import__("random").Random(1)
    with Screen("-name", "red", "-vnc", "unix:@/vnc") as screen:
        screen.mode(160, 120)
        screen.top = 0
        screen.paint(0, 0, 160, screen.rgb(*[random.randrange(1 << 24) for _ in range(160 * 120)]))
        client = Client(screen.vnc(), (rfb.RAW, rfb.COPY, rfb.NAME, rfb.SIZE))
        plain = Client(screen.vnc(), (rfb.ZRLE, rfb.SIZE))
        assert client.name == "Kaso (red)", client.name
        for one in (client, plain):
            one.update(False)
            follow(one, screen)
        for box, rows in (((40, 20, 100, 90), 16), ((0, 0, 160, 120), -13), ((7, 3, 61, 70), 1)):
            before, copies = client.received, client.counts.get(rfb.COPY, 0)
            scrolled(screen, random, box, rows)
            for one in (client, plain):
                one.update()
                follow(one, screen)
            assert client.counts.get(rfb.COPY, 0) > copies, (box, rows)
            assert client.received - before < 4 * 160 * 60, client.received - before
        # Several movements that the client has not asked for yet, and changes before, between and after them.
        for i in range(7):
            scrolled(screen, random, (40, 20, 100, 90), 8 if i % 3 else -8)
            screen.paint(60, screen.top + 30 + i, 4, screen.rgb(*[random.randrange(1 << 24) for _ in range(16)]))
            time.sleep(0.06)
            if i % 5 == 2:
                client.update()
                follow(client, screen)
        follow(client, screen)
        follow(plain, screen)
        # A part of what moves.
        scrolled(screen, random, (40, 20, 100, 90), 16)
        client.update(True, (50, 30, 40, 60))
        follow(client, screen)
        # Another size in between.
        scrolled(screen, random, (40, 20, 100, 90), 16)
        screen.mode(152, 100)
        screen.top = 0
        time.sleep(0.1)
        scrolled(screen, random, (40, 20, 80, 70), 16)
        follow(client, screen)
        screen.end()


def film(width, height, number):
    """A frame: each row moves at a speed of its own."""
    line = [(x * 3 & 255) << 16 | (x * x // 97 & 255) << 8 | (255 - x & 255) ^ (x * 1103515245 + 12345 & 0x7fffffff) >> 28
            for x in range(1024)] * 2
    rows = [(y * y // 61 + number * (11 + y % 29)) % 1024 for y in range(height)]
    return [colour for at in rows for colour in line[at:at + width]]


def test_bytes():
    """How much comes for what changes: no pixels around it, and films packed with some effort."""
    letter = [0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0, 0, 0, 0]
    with Screen("-vnc", "unix:@/vnc") as screen:
        screen.mode(320, 200)
        screen.top = 0
        picture = film(320, 200, 0)
        clients = [Client(screen.vnc(), encodings) for encodings in ((rfb.TIGHT, -254), (rfb.TIGHT,), (rfb.ZRLE,))]
        for client in clients:
            client.update(False)

        def costs(*limits):
            """The picture comes at once, as it is in the half of the memory that was not shown."""
            screen.top ^= 200
            screen.paint(0, screen.top, 320, screen.rgb(*picture))
            screen.dispi(9, screen.top)
            for client, limit in zip(clients, limits):
                before = client.received
                client.update()
                assert bytes(client.picture) == screen.dump()[2]
                assert client.received - before <= limit, (client.encodings, client.received - before, limit)

        for number in range(3):
            picture[:] = film(320, 200, number)
            costs(1 << 20, 1 << 20, 1 << 20)
        picture[:] = film(320, 200, 4)
        costs(6200, 6200, 9000)
        # Letters as terminals draw them, on other colours and on white.
        for column in range(3):
            for y in range(16):
                at = 320 * (100 + y) + 43 + 8 * column
                picture[at:at + 8] = [0 if letter[y] >> 7 - x & 1 else 0xffffff for x in range(8)]
            costs(60, 60, 60)
        picture[:] = [0xffffff] * len(picture)
        costs(1 << 20, 1 << 20, 1 << 20)
        for y in range(16):
            at = 320 * (100 + y) + 43
            picture[at:at + 8] = [0 if letter[y] >> 7 - x & 1 else 0xffffff for x in range(8)]
        costs(60, 60, 60)
        screen.end()


def test_no_display():
    """A machine without any screen: a black one, of which nothing can be wished."""
    with Screen("-vnc", "unix:@/vnc", devices=()) as screen:
        client = Client(screen.vnc(), (rfb.RAW, rfb.NAME, rfb.EXTENDED_SIZE, rfb.CURSOR, rfb.LEDS, rfb.FENCE))
        client.update(False)
        assert not any(client.picture) and client.name == "Kaso: no display"
        wish(client)
        client.tap(0xffe3, 0xffe9, ord("1"))
        client.pointer(1, 5, 5)
        client.update(False)
        screen.end()


def test_flow():
    """Fences, continuous updates."""
    with Screen("-vnc", "unix:@/vnc") as screen:
        screen.mode(320, 200)
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE, rfb.CONTINUOUS))
        client.wait("continuous")
        assert client.wait("fence") == (1 << 31, b"")
        client.send(struct.pack(">BxxxIB", 248, 1 << 31 | 5, 4) + b"kaso")
        assert client.wait("fence") == (5, b"kaso")
        client.send(struct.pack(">BBHHHH", 150, 1, 0, 0, 320, 200))
        client.wait("update")
        for i in range(5):
            screen.paint(10 * i, 5, 8, screen.rgb(*[0xff0000 + i] * 64))
            client.wait("update")
        while bytes(client.picture) != screen.dump()[2]:
            client.wait("update")
        client.send(struct.pack(">BBHHHH", 150, 0, 0, 0, 320, 200))
        client.wait("continuous")
        screen.end()


def keys_of(screen):
    """What the PC's keyboard (set 1) and mouse have sent; bytes take their time."""
    codes, empty = [], 0
    while empty < 4:
        if int(screen.do("clock_step 2000000", "inb 0x64")[0], 16) & 1:
            codes.append(int(screen.do("inb 0x60")[0], 16))
            empty = 0
        else:
            empty += 1
    return codes


def settle(client):
    """All that was sent before this has been done."""
    mark = os.urandom(8)
    client.send(struct.pack(">BxxxIB", 248, 1 << 31, len(mark)) + mark)
    while client.wait("fence")[1] != mark:
        pass
    client.events.clear()


def start_keyboard(screen):
    screen.do("outb 0x64 0x60", "outb 0x60 0x41", "outb 0x60 0xf4")
    assert keys_of(screen) == [0xfa]


def test_keys():
    """Keysyms by layout, keys by code, none stays down."""
    with Screen("-vnc", "unix:@/vnc") as screen:
        start_keyboard(screen)
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE, rfb.KEYS, rfb.LEDS))

        def typed(*keysyms):
            client.tap(*keysyms)
            settle(client)
            return keys_of(screen)

        assert typed(ord("a")) == [0x1e, 0x9e]
        assert typed(0xffe1, ord("A")) == [0x2a, 0x1e, 0x9e, 0xaa]
        assert typed(ord("!")) == [0x2a, 0x02, 0xaa, 0x82], "shift is added for the moment"
        assert typed(0xffe1, ord("a")) == [0x2a, 0xaa, 0x1e, 0x2a, 0x9e, 0xaa], "and taken away"
        assert typed(0xff0d) == [0x1c, 0x9c]
        assert typed(0xffe4) == [0xe0, 0x1d, 0xe0, 0x9d]
        assert typed(0x12345678) == []
        # By code: 0x9d is right control, whatever the keysym.
        for down in (1, 0):
            client.send(struct.pack(">BBHII", 255, 0, down, ord("x"), 0x9d))
        settle(client)
        assert keys_of(screen) == [0xe0, 0x1d, 0xe0, 0x9d]
        client.key(ord("q"), 1)
        settle(client)
        assert keys_of(screen) == [0x10]
        client.peer.close()
        wait_for(lambda: not screen.qmp.command("query-vnc")["clients"])
        assert keys_of(screen) == [0x90], "let go when the client goes"
        # Caps lock is lit: a letter that comes without shift needs it.
        screen.do("outb 0x60 0xed", "outb 0x60 4")
        assert keys_of(screen) == [0xfa, 0xfa]
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE, rfb.LEDS))
        client.update(False)
        assert (rfb.LEDS, 4) in client.events or client.update(False) and (rfb.LEDS, 4) in client.events
        assert typed(ord("A")) == [0x1e, 0x9e]
        assert typed(ord("a")) == [0x2a, 0x1e, 0xaa, 0x9e]
        screen.end()
    with Screen("-vnc", "unix:@/vnc,lock-key-sync=off") as screen:
        start_keyboard(screen)
        screen.do("outb 0x60 0xed", "outb 0x60 4")
        assert keys_of(screen) == [0xfa, 0xfa]
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        client.tap(ord("a"))
        settle(client)
        assert keys_of(screen) == [0x1e, 0x9e], "what is lit does not matter"
        screen.end()


EURO, EURO_ON_4 = [0xe0, 0x38, 0x12, 0xe0, 0xb8, 0x92], [0xe0, 0x38, 0x05, 0xe0, 0xb8, 0x85]


def test_layouts():
    for layout, keysym, codes in (("de", ord("z"), [0x15, 0x95]), ("ja", ord("@"), [0x1a, 0x9a]),
                                  ("fr", ord("a"), [0x10, 0x90]), ("de", 0x20ac, EURO), ("de", 0x10020ac, EURO), ("en-gb", 0x20ac, EURO_ON_4),
                                  ("de", ord("("), [0x2a, 0x09, 0xaa, 0x89]), ("de", 0x10000fc, [0x1a, 0x9a]), ("de(neo)", ord("x"), [0x10, 0x90])):
        with Screen("-vnc", "unix:@/vnc", "-k", layout) as screen:
            start_keyboard(screen)
            client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
            client.tap(keysym)
            settle(client)
            got = keys_of(screen)
            assert layout == "de(neo)" or got == codes, (layout, got)
    out = subprocess.run([os.sys.argv[1], "-M", "none", "-vnc", "unix:/nowhere/x", "-k", "klingon"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert out.returncode == 1 and b"keyboard layout 'klingon'" in out.stderr, out.stderr


def test_pointer():
    with Screen("-vnc", "unix:@/vnc") as screen:
        screen.mode(320, 200)
        # Auxiliary port on, mouse reports.
        screen.do("outb 0x64 0xa8", "outb 0x64 0x60", "outb 0x60 0x42", "outb 0x64 0xd4", "outb 0x60 0xf4")
        keys_of(screen)
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        client.pointer(0, 100, 100)
        client.pointer(1, 105, 97)
        settle(client)
        assert keys_of(screen) == [0x09, 5, 3] or keys_of(screen) == [], "moved by 5, 3 with the left button"
        client.pointer(0, 105, 97)
        settle(client)
        wait_for(lambda: not keys_of(screen) + keys_of(screen))
        # Two hold the button: it is up when both have let go; one that only moves does not touch it, one that leaves does.
        other = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        for one, buttons in ((client, 1), (other, 0), (other, 1), (client, 0)):
            one.pointer(buttons, 105, 97)
            settle(one)
        got = keys_of(screen) + keys_of(screen)
        assert got == [0x09, 0, 0], "down, and nothing else: %s" % got
        client.key(True, 0x61)
        other.key(True, 0x61)
        settle(client)
        settle(other)
        wait_for(lambda: not keys_of(screen))
        other.peer.close()
        wait_for(lambda: len(screen.qmp.command("query-vnc")["clients"]) == 1)
        wait_for(lambda: keys_of(screen) == [0x08, 0, 0])
        client.peer.close()
        client = None
        motion = Client(screen.vnc(), (rfb.RAW, rfb.FENCE, rfb.MOTION))
        motion.update(False)
        assert (rfb.MOTION, 0) in motion.events or motion.update(False)
        motion.pointer(0, 0x7fff + 3, 0x7fff - 2)
        settle(motion)
        assert keys_of(screen) == [0x08, 3, 2]
        screen.end()


def test_consoles():
    """Ctrl-Alt-2 is the monitor: what is typed there arrives, and shows; nothing of it is the guest's."""
    with Screen("-vnc", "unix:@/vnc", "-monitor", "vc:80Cx25C", "-serial", "vc") as screen:
        start_keyboard(screen)
        client = Client(screen.vnc(), (rfb.ZRLE, rfb.FENCE, rfb.SIZE, rfb.NAME))
        client.update(False)

        def tap(*keysyms):
            client.tap(*keysyms)
            client.send(struct.pack(">BxxxIB", 248, 1 << 31, 0))
            client.wait("fence")

        tap(0xffe3, 0xffe9, ord("2"))
        assert keys_of(screen) == [0x1d, 0x38, 0x9d, 0xb8], "both are let go"
        while client.width != 720:
            client.request()
            client.message()
        assert (rfb.NAME, "Kaso: compat_monitor1") in client.events and client.height == 450
        before = bytes(client.picture)
        for key in b"stop\r":
            tap(key if key != 13 else 0xff0d)
        screen.qmp.wait_event("STOP")
        while bytes(client.picture) == before:
            client.update(False)
        assert set(client.picture) == {0, 0xaa}, "grey on black"
        assert keys_of(screen) == []
        tap(0xffe3, 0xffe9, ord("9"))
        tap(0xffe3, 0xffe9, ord("1"))
        while client.width == 720:
            client.request()
            client.message()
        assert screen.qmp.command("query-display-options") == {"type": "vnc"}
        listed = screen.qmp.command("human-monitor-command", **{"command_line": "info display"})
        assert [line.split()[1] for line in listed.splitlines()] == ["vga", "compat_monitor1", "serial0"], listed
        screen.end()


def wait_for(condition):
    end = time.monotonic() + allow(20)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(connect):
    try:
        connect()
    except PermissionError as error:
        return str(error)
    raise AssertionError("let in")


def test_password():
    with Screen("-vnc", "unix:@/vnc,password=on") as screen:
        vnc = lambda **more: Client(screen.vnc(), **more)  # noqa: E731
        assert refused(lambda: vnc(password="")) == "Authentication failed"
        screen.qmp.command("change-vnc-password", password="hunter2")
        client = vnc(password="hunter2")
        assert client.offered == [2]
        client.update(False)
        assert refused(lambda: vnc(password="hunter3"))
        assert refused(lambda: vnc(password="hunter"))
        vnc(password="hunter2", version=b"RFB 003.003\n").update(False)
        vnc(password="hunter2", version=b"RFB 003.007\n").update(False)
        assert refused(lambda: vnc(password="hunter2", security=1)), "a kind that was not offered"
        screen.qmp.command("set_password", protocol="vnc", password="longer than eight")
        vnc(password="longer t").update(False)
        screen.qmp.command("expire_password", protocol="vnc", time="now")
        assert refused(lambda: vnc(password="longer t"))
        screen.qmp.command("expire_password", protocol="vnc", time="+60")
        vnc(password="longer t").update(False)
        assert "'keep'" in screen.qmp.failure("set_password", protocol="vnc", password="x", connected="fail")["desc"]
        assert screen.qmp.failure("expire_password", protocol="vnc", time="soon")
        assert screen.qmp.failure("set_password", protocol="spice", password="x")
        assert [e["event"] for e in screen.qmp.events][:2] == ["VNC_CONNECTED", "VNC_DISCONNECTED"]
        screen.end()
    with Screen("-object", "secret,id=s,data=sesame", "-vnc", "unix:@/vnc,password-secret=s") as screen:
        Client(screen.vnc(), password="sesame").update(False)
        assert refused(lambda: Client(screen.vnc(), password="barley"))


def make_certificates(folder):
    def run(*command):
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-keyout", "ca-key.pem", "-out", "ca-cert.pem", "-subj", "/CN=test authority")
    for name in ("server", "client"):
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", name + "-key.pem", "-out", name + ".csr", "-subj", "/CN=localhost")
        run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem",
            "-CAcreateserial", "-days", "2", "-out", name + "-cert.pem")


def test_tls():
    if not shutil.which("openssl"):
        print("no openssl: TLS is not looked at")
        return

    def anonymous(peer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
        return context.wrap_socket(peer)

    with Screen("-object", "tls-creds-anon,id=t,endpoint=server", "-vnc", "unix:@/vnc,tls-creds=t,password=on") as screen:
        paint_test_picture(screen)
        screen.qmp.command("change-vnc-password", password="hunter2")
        client = Client(screen.vnc(), (rfb.ZRLE,), password="hunter2", tls=anonymous)
        assert (client.offered, client.subtype) == ([19], 258)
        client.update(False)
        assert bytes(client.picture) == screen.dump()[2]
        assert refused(lambda: Client(screen.vnc(), password="wrong", tls=anonymous))
        try:
            Client(screen.vnc(), version=b"RFB 003.003\n")
            raise AssertionError("without TLS")
        except AssertionError as error:
            assert "TLS" in str(error)
        assert screen.qmp.command("query-vnc-servers")[0]["vencrypt"] == "tls-vnc"
        screen.end()
    certificates(Screen)


def certificates(screen_type):
    with tempfile.TemporaryDirectory() as path:
        make_certificates(path)

        def certified(with_client):
            def wrap(peer):
                context = ssl.create_default_context(cafile=os.path.join(path, "ca-cert.pem"))
                context.check_hostname = False
                if with_client:
                    context.load_cert_chain(os.path.join(path, "client-cert.pem"), os.path.join(path, "client-key.pem"))
                return context.wrap_socket(peer)
            return wrap

        with screen_type("-object", "tls-creds-x509,id=t,endpoint=server,verify-peer=on,dir=" + path,
                         "-vnc", "unix:@/vnc,tls-creds=t") as screen:
            paint_test_picture(screen)
            client = Client(screen.vnc(), (rfb.RAW,), tls=certified(True))
            assert client.subtype == 260
            client.update(False)
            assert bytes(client.picture) == screen.dump()[2]
            try:
                Client(screen.vnc(), (rfb.RAW,), tls=certified(False)).update(False)
                raise AssertionError("without a certificate")
            except (ssl.SSLError, EOFError, ConnectionError):
                pass
            screen.qmp.command("display-reload", type="vnc", tls_certs=True)
            Client(screen.vnc(), (rfb.RAW,), tls=certified(True)).update(False)
            client.update(False)
            screen.end()


def test_sharing():
    with Screen("-vnc", "unix:@/vnc") as screen:
        one, two = (Client(screen.vnc(), (rfb.RAW,)) for _ in range(2))
        one.update(False)
        alone = Client(screen.vnc(), (rfb.RAW,), shared=False)
        for gone in (one, two):
            assert is_gone(gone)
        alone.update(False)
        try:
            Client(screen.vnc(), (rfb.RAW,)).update(False)
            raise AssertionError("beside one that wants to be alone")
        except (EOFError, ConnectionError):
            pass
        alone.update(False)
        info = screen.qmp.command("human-monitor-command", **{"command_line": "info vnc"})
        assert "Client:" in info, info
    with Screen("-vnc", "unix:@/vnc,share=ignore,connections=2") as screen:
        one, two = (Client(screen.vnc(), (rfb.RAW,), shared=False) for _ in range(2))
        one.update(False)
        try:
            Client(screen.vnc(), (rfb.RAW,)).update(False)
            raise AssertionError("a third of two")
        except (EOFError, ConnectionError):
            pass


def is_gone(client):
    try:
        client.request(False)
        while True:
            client.message()
    except (EOFError, ConnectionError):
        return True
    except socket.timeout:
        return False


def test_addresses():
    """TCP: numbers, to=, websocket=, reverse, a warning for all addresses, display-update."""
    with Screen("-vnc", "127.0.0.1:40,to=99") as screen:
        port = int(screen.qmp.command("query-vnc")["service"])
        assert 5940 <= port <= 5999
        with Screen("-vnc", "127.0.0.1:%d,to=99" % (port - 5900)) as second:
            assert int(second.qmp.command("query-vnc")["service"]) > port
        Client(socket.create_connection(("127.0.0.1", port)), (rfb.RAW,)).update(False)
        screen.qmp.command("display-update", type="vnc", addresses=[{"type": "unix", "path": screen.path("new")}])
        Client(screen.vnc("new"), (rfb.RAW,)).update(False)
        assert screen.qmp.failure("display-update", type="vnc", addresses=[{"type": "inet", "host": "x", "port": "1"}])
        screen.end()
    listener = socket.create_server(("127.0.0.1", 0))
    with Screen("-vnc", "127.0.0.1:%d,reverse=on" % listener.getsockname()[1]):
        peer, _ = listener.accept()
        Client(peer, (rfb.RAW,)).update(False)
    for options, message in (("nowhere", "'nowhere': where VNC listens"), ("127.0.0.1:x", "VNC display 'x'"),
                             ("127.0.0.1:0,share=yes", "share policy"), ("127.0.0.1:0,acl=on", "tls-authz"),
                             ("127.0.0.1:0,tls-creds=none", "No TLS credentials"),
                             ("127.0.0.1:0,frobnicate=1", "frobnicate"), ("unix:/dev/null", "not a socket")):
        out = subprocess.run([os.sys.argv[1], "-M", "none", "-vnc", options], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert out.returncode == 1 and message in out.stderr, (options, out.stderr)


class WebSocket:
    """Looks like a socket; frames underneath."""

    def __init__(self, peer, path="/", fields=()):
        self.peer = peer
        key = base64.b64encode(os.urandom(16)).decode()
        peer.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                      "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Protocol: binary\r\n%s\r\n" % (path, key, "".join(f + "\r\n" for f in fields))).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = peer.recv(1)
            assert got, head
            head += got
        assert head.startswith(b"HTTP/1.1 101 "), head

    def settimeout(self, seconds):
        self.peer.settimeout(seconds)

    def frame(self, opcode, data, fin=0x80, masked=0x80):
        mask = os.urandom(4)
        size = bytes([masked | len(data)]) if len(data) < 126 else bytes([masked | 126]) + struct.pack(">H", len(data))
        self.peer.sendall(bytes([fin | opcode]) + size + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def sendall(self, data):
        # In pieces, with a ping between.
        half = len(data) // 2
        self.frame(2, data[:half], fin=0)
        self.frame(9, b"there?")
        self.frame(0, data[half:])

    def exactly(self, size):
        data = b""
        while len(data) < size:
            got = self.peer.recv(size - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def recv(self, size):
        while True:
            opcode, length = self.exactly(2)
            length = struct.unpack(">H", self.exactly(2))[0] if length == 126 else struct.unpack(
                ">Q", self.exactly(8))[0] if length == 127 else length
            data = self.exactly(length)
            if opcode == 0x8a:
                assert data == b"there?"
                continue
            if opcode == 0x88:
                return b""
            assert opcode == 0x82, opcode
            return data

    def close(self):
        self.peer.close()


def test_websocket():
    port = free_port()
    with Screen("-vnc", "127.0.0.1:41,to=99,websocket=127.0.0.1:%d" % port) as screen:
        Client(WebSocket(socket.create_connection(("127.0.0.1", port))), (rfb.RAW,)).update(False)
    with Screen("-vnc", "127.0.0.1:41,to=99,websocket=%d" % port) as screen:
        paint_test_picture(screen)
        client = Client(WebSocket(socket.create_connection(("127.0.0.1", port))), (rfb.TIGHT,))
        client.update(False)
        assert bytes(client.picture) == screen.dump()[2]
        assert [c["websocket"] for c in screen.qmp.command("query-vnc")["clients"]] == [True]
        client.peer.frame(8, b"\x03\xe8")
        assert client.peer.recv(1) == b""
        for bad in (b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
                    b"x" * 20000):
            peer = socket.create_connection(("127.0.0.1", port))
            peer.settimeout(allow(20))
            try:
                peer.sendall(bad)
                assert peer.recv(100)[:12] in (b"HTTP/1.1 400", b"")
            except ConnectionError:
                pass
        unmasked = WebSocket(socket.create_connection(("127.0.0.1", port)))
        unmasked.exactly(2 + 12)
        unmasked.frame(2, b"RFB 003.008\n", masked=0)
        unmasked.peer.settimeout(allow(20))
        assert unmasked.peer.recv(100) == b""
        screen.end()


def fetch(port, path, *fields):
    """Status, fields and body of one answer."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(allow(20))
        peer.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n" % (
            path, port, "".join(f + "\r\n" for f in fields))).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            got = peer.recv(65536)
            assert got, data
            data += got
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(fields.get("Content-Length", 0)):
            body += peer.recv(65536)
        return lines[0].split(" ", 1)[1], fields, body


def test_web():
    """A browser comes in with the printed address, once; then with its cookie; nobody else does."""
    if not os.path.exists("/usr/share/novnc/vnc.html"):
        print("no novnc: the web display is not looked at")
        return
    port = free_port()
    with Screen("-display", "web=127.0.0.1:%d" % port) as screen:
        paint_test_picture(screen)
        line = screen.process.stderr.readline().decode()
        token = line.split("?token=")[1].split()[0]
        assert "http://127.0.0.1:%d/" % port in line
        for path in ("/", "/vnc.html", "/?token=", "/?token=" + token[:-1], "/?token=" + "x" * len(token)):
            assert fetch(port, path)[0] == "403 Forbidden", path
        status, fields, _ = fetch(port, "/?token=" + token)
        assert status == "302 Found" and fields["Location"].startswith("/vnc.html?"), (status, fields)
        assert "HttpOnly" in fields["Set-Cookie"] and "SameSite=Strict" in fields["Set-Cookie"]
        cookie = "Cookie: other=1; " + fields["Set-Cookie"].split(";")[0]
        assert fetch(port, "/?token=" + token)[0] == "403 Forbidden", "once"
        status, fields, body = fetch(port, "/vnc.html", cookie)
        with open("/usr/share/novnc/vnc.html", "rb") as file:
            assert (status, body) == ("200 OK", file.read())
        assert fetch(port, "/app/ui.js", cookie)[1]["Content-Type"].startswith("text/javascript")
        for path in ("/../../etc/passwd", "/app/../../../etc/passwd", "/nothing", "/app", "/%2e%2e/x"):
            assert fetch(port, path, cookie)[0] == "404 Not Found", path
        assert fetch(port, "/vnc.html", cookie, "Origin: http://elsewhere")[0] == "403 Forbidden"
        peer = WebSocket(socket.create_connection(("127.0.0.1", port)), "/websockify", (cookie,))
        client = Client(peer, (rfb.TIGHT,))
        client.update(False)
        assert bytes(client.picture) == screen.dump()[2]
        try:
            WebSocket(socket.create_connection(("127.0.0.1", port)), "/websockify")
            raise AssertionError("without the cookie")
        except AssertionError as error:
            assert "403" in str(error), error
        screen.end()


def test_other_clients():
    """vncsnapshot sees what screendump sees."""
    if not shutil.which("vncsnapshot") or not shutil.which("djpeg"):
        print("no vncsnapshot or djpeg: other clients are not tried")
        return
    with Screen("-vnc", "127.0.0.1:50,to=99") as screen:
        screen.mode(320, 200)
        screen.paint(0, 0, 320, screen.rgb(*[(x * 3 & 255) << 16 | (y & 255) << 8 | 64
                                             for y in range(200) for x in range(320)]))
        display = int(screen.qmp.command("query-vnc")["service"]) - 5900
        path = screen.path("shot.jpg")
        subprocess.run(["vncsnapshot", "-quality", "100", "127.0.0.1:%d" % display, path], check=True, timeout=allow(30),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, "rb") as file:
            got = rfb.picture_of(file.read(), 320, 200)
        wanted = screen.dump()[2]
        assert sum(abs(a - b) for a, b in zip(got, wanted)) < 3 * len(wanted)
        screen.end()


class Agent:
    """spice-vdagent's side of its protocol, behind a serial port."""

    def __init__(self, screen):
        self.screen, self.data = screen, b""

    def send(self, kind, data):
        message = struct.pack("<IIQI", 1, kind, 0, len(data)) + data
        for byte in struct.pack("<II", 1, len(message)) + message:
            self.screen.do("outb 0x3f8 %d" % byte)

    def take(self, size):
        end = time.monotonic() + allow(20)
        while len(self.data) < size:
            assert time.monotonic() < end, self.data
            if int(self.screen.do("inb 0x3fd")[0], 16) & 1:
                self.data += bytes([int(self.screen.do("inb 0x3f8")[0], 16)])
            else:
                self.screen.do("clock_step 1000000")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def message(self):
        body = b""
        while len(body) < 20 or len(body) < 20 + struct.unpack("<I", body[16:20])[0]:
            _, size = struct.unpack("<II", self.take(8))
            body += self.take(size)
        return struct.unpack("<I", body[4:8])[0], body[20:]


def test_clipboard():
    """From the guest's agent to clients and back, by the extended clipboard and by cut text."""
    with Screen("-vnc", "unix:@/vnc", "-chardev", "qemu-vdagent,id=agent,clipboard=on", "-device",
                "isa-serial,chardev=agent") as screen:
        agent = Agent(screen)
        agent.send(6, struct.pack("<II", 1, 1 << 5 | 1 << 6))
        assert agent.message()[0] == 6
        client = Client(screen.vnc(), (rfb.RAW, rfb.CLIPBOARD, rfb.FENCE))
        old = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        kind, data = client.wait("cut")
        assert kind == "extended" and struct.unpack(">I", data[:4])[0] & 1 << 24
        # The guest copies: it grabs, is asked, and gives.
        agent.send(7, struct.pack("<II", 0, 1))
        assert agent.message() == (8, struct.pack("<II", 0, 1))
        agent.send(4, struct.pack("<II", 0, 1) + "Grüße\n€".encode())
        assert struct.unpack(">I", client.wait("cut")[1])[0] == 1 << 27 | 1
        assert old.wait("cut") == "Grüße\n?".encode("latin-1")
        client.send(struct.pack(">BxxxiI", 6, -4, 1 << 25 | 1))
        data = client.wait("cut")[1]
        plain = rfb.zlib.decompressobj().decompress(data[4:])
        assert plain[4:] == "Grüße\r\n€\0".encode() and struct.unpack(">I", plain[:4])[0] == len(plain) - 4
        # A client copies.
        client.send(struct.pack(">BxxxiI", 6, -4, 1 << 27 | 1))
        assert struct.unpack(">I", client.wait("cut")[1])[0] == 1 << 25 | 1
        packed = rfb.zlib.compress(struct.pack(">I", 6) + b"a\r\nb!\0")
        client.send(struct.pack(">BxxxiI", 6, -4 - len(packed), 1 << 28 | 1) + packed)
        assert agent.message() == (7, struct.pack("<II", 0, 1))
        agent.send(8, struct.pack("<II", 0, 1))
        assert agent.message() == (4, struct.pack("<II", 0, 1) + b"a\nb!")
        assert old.wait("cut") == b"a\nb!"
        old.send(struct.pack(">BxxxI", 6, 4) + "caf\xe9".encode("latin-1"))
        assert agent.message()[0] == 7
        # Nonsense from either side is no more than that.
        for data in (b"", b"\0" * 3, struct.pack(">I", 1 << 28 | 1) + b"no zlib", struct.pack(">I", 0xffffffff)):
            client.send(struct.pack(">Bxxxi", 6, -max(len(data), 1)) + (data or b"x"))
        for data in (b"\xff" * 40, struct.pack("<II", 1, 20) + b"\xff" * 20):
            for byte in data:
                screen.do("outb 0x3f8 %d" % byte)
        settle(client)
        screen.end()


def test_agents_mouse():
    """Where the pointer is goes to the guest's agent in pixels, while there is one."""
    with Screen("-vnc", "unix:@/vnc", "-chardev", "qemu-vdagent,id=agent,mouse=on", "-device",
                "isa-serial,chardev=agent") as screen:
        screen.mode(320, 200)
        assert not [m for m in screen.qmp.command("query-mice") if m["absolute"]]
        agent = Agent(screen)
        agent.send(6, struct.pack("<II", 1, 1))
        kind, data = agent.message()
        assert kind == 6 and struct.unpack("<II", data) == (0, 1), data
        assert screen.qmp.command("query-mice")[0]["name"] == "vdagent mouse"
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        client.update(False)
        for x, y in ((0, 0), (319, 199), (123, 45)):
            client.pointer(0, x, y)
            assert agent.message() == (1, struct.pack("<IIIB", x, y, 0, 0))
        client.pointer(1, 123, 45)
        assert agent.message() == (1, struct.pack("<IIIB", 123, 45, 2, 0))
        client.pointer(4, 123, 45)
        assert agent.message() == (1, struct.pack("<IIIB", 123, 45, 8, 0))
        screen.end()


def test_misbehaviour():
    """Clients that send nonsense, or nothing, or never read: the guest and others go on."""
    with Screen("-vnc", "unix:@/vnc") as screen:
        screen.mode(640, 480)
        rnd = random.Random(7)
        for _ in range(40):
            peer = screen.vnc()
            try:
                peer.sendall(rnd.choice((b"RFB 003.008\n", b"GET / HTTP", b"RFB 999.999\n", b"")) +
                             bytes(rnd.randrange(256) for _ in range(rnd.randrange(60))))
            except ConnectionError:
                pass
            peer.close()
        for message in (bytes([99]), b"\0\0\0\0" + bytes(16), struct.pack(">BxxxI", 6, 1 << 31),
                        struct.pack(">BxxxIB", 248, 1 << 31, 255) + bytes(255), struct.pack(">BB", 255, 9)):
            client = Client(screen.vnc(), (rfb.RAW,))
            client.send(message)
            assert is_gone(client), message
        # A large clipboard is read and forgotten.
        client = Client(screen.vnc(), (rfb.RAW, rfb.FENCE))
        client.send(struct.pack(">BxxxI", 6, 3 << 20))
        client.send(bytes(3 << 20))
        settle(client)
        never_reads(screen)
        # Strangers push out the oldest of them, not those who are in.
        strangers = [screen.vnc() for _ in range(80)]
        client.update(False)
        assert strangers[0].recv(100) == b"RFB 003.008\n" and strangers[0].recv(100) == b""
        screen.end()


def never_reads(screen):
    deaf = screen.vnc()
    client = Client(deaf, (rfb.RAW, rfb.FENCE))
    deaf.setblocking(False)
    request = struct.pack(">BBHHHH", 3, 0, 0, 0, 640, 480) + struct.pack(">BxxxIB", 248, 1 << 31, 64) + bytes(64)
    sent = 0
    try:
        for _ in range(200000):
            sent += deaf.send(request)
    except BlockingIOError:
        pass
    assert sent < 64 << 20, "the server stopped to read"
    other = Client(screen.vnc(), (rfb.ZRLE,))
    start = time.monotonic()
    for i in range(5):
        screen.paint(i, 0, 16, screen.rgb(*[0x123400 + i] * 16))
        other.update()
    assert time.monotonic() - start < allow(20)
    with open("/proc/%d/status" % screen.process.pid) as status:
        resident = [line for line in status if line.startswith("VmRSS")][0]
    assert int(resident.split()[1]) < 400 << 10, resident
    deaf.close()
    del client


def test_power():
    with Screen("-vnc", "unix:@/vnc,power-control=on") as screen:
        client = Client(screen.vnc(), (rfb.RAW, rfb.POWER, rfb.FENCE))
        assert client.wait("power") == b"\0\1\0"
        client.send(b"\xfa\0\1\4")
        assert screen.qmp.wait_event("RESET")["data"]["guest"] is False
        client.send(b"\xfa\0\1\x63")
        assert client.wait("power") == b"\0\1\0"
        screen.end()


def cpu_of_still(screen):
    """Seconds of the processor that 2.5 seconds take."""
    def cpu():
        with open("/proc/%d/stat" % screen.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu()
    time.sleep(2.5)
    return cpu() - before


def test_idle():
    """A viewer of a still screen costs next to nothing: here the message of a BIOS that finds no disk."""
    if not os.path.exists("/usr/share/seabios/bios-256k.bin"):
        print("no SeaBIOS: what a still screen costs is not looked at")
        return
    with Screen("-vnc", "unix:@/vnc", accel="tcg") as screen:
        client = Client(screen.vnc(), (rfb.ZRLE, rfb.SIZE))
        wait_for(lambda: "No bootable device" in screen.qmp.command(
            "human-monitor-command", **{"command_line": "info text"}))
        client.update(False)
        client.request()
        watched = cpu_of_still(screen)
        print("CPU with a viewer of a still screen: %.1f %%" % (watched / 2.5 * 100))
        assert watched <= 0.05, watched
        screen.end()


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(os.sys.argv) < 3 or name in os.sys.argv[2:]):
            started = time.monotonic()
            test()
            print("%s: %.1f s" % (name, time.monotonic() - started), flush=True)
