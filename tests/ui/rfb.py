# SPDX-License-Identifier: MIT
"""An RFB client for tests: every encoding that the server speaks, decoded to a picture."""

import io
import os
import struct
import subprocess
import sys
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

RAW, COPY, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG = 0, 1, 5, 6, 7, 16, -260
SIZE, CURSOR, MOTION, KEYS, LEDS, NAME, EXTENDED_SIZE = -223, -239, -257, -258, -261, -307, -308
FENCE, CONTINUOUS, CURSOR_ALPHA, POWER = -312, -313, -314, -309
CLIPBOARD = -0x3f5e1a32


class Format:
    """A pixel format of the client's choice."""

    def __init__(self, bits=32, depth=24, big=0, maxima=(255, 255, 255), shifts=(16, 8, 0)):
        self.bits, self.depth, self.big = bits, depth, big
        self.maxima, self.shifts = maxima, shifts
        self.bytes = bits // 8

    def pack(self):
        return struct.pack(">BBBBHHHBBBxxx", self.bits, self.depth, self.big, 1, *self.maxima,
                           *self.shifts)

    def rgb(self, data):
        """The colour of one pixel, as 8 bits each."""
        value = int.from_bytes(data, "big" if self.big else "little")
        return tuple(((value >> s & m) * 255 + m // 2) // m for m, s in zip(self.maxima, self.shifts))

    def compact(self):
        """Offset of the 3 bytes of ZRLE's pixels, or None."""
        if self.bits != 32 or self.depth > 24:
            return None
        values = [m << s for m, s in zip(self.maxima, self.shifts)]
        if all(v < 1 << 24 for v in values):
            return 1 if self.big else 0
        if not any(v & 0xff for v in values):
            return 0 if self.big else 1
        return None


class Client:
    def __init__(self, peer, encodings=(RAW,), password=None, shared=True, form=None, version=b"RFB 003.008\n",
                 security=None, tls=None, sasl=None, start=True):
        self.peer = peer
        self.peer.settimeout(allow(20))
        self.format = form or Format()
        self.encodings = encodings
        self.inflate = {}
        self.events = []
        self.password, self.version, self.shared, self.wanted = password, version, shared, security
        self.tls, self.sasl = tls, sasl
        self.buffer = b""
        self.counts = {}
        self.received = 0
        if start:
            self.start()

    # Bytes

    def read(self, size):
        while len(self.buffer) < size:
            data = self.peer.recv(max(65536, size - len(self.buffer)))
            if not data:
                raise EOFError
            self.received += len(data)
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def number(self, form):
        return struct.unpack(">" + form, self.read(struct.calcsize(">" + form)))[0]

    def send(self, data):
        self.peer.sendall(data)

    # Handshake

    def start(self):
        self.greeting = self.read(12)
        self.send(self.version)
        if self.version == b"RFB 003.003\n":
            security = self.number("I")
            assert security, self.read(self.number("I"))
        else:
            offered = list(self.read(self.number("B")))
            assert offered, self.read(self.number("I"))
            security = self.wanted or offered[0]
            self.offered = offered
            self.send(bytes([security]))
        self.authenticate(security)
        self.send(bytes([self.shared]))
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.server_format = self.read(16)
        self.name = self.read(self.number("I")).decode()
        self.picture = bytearray(3 * self.width * self.height)
        self.send(b"\0\0\0\0" + self.format.pack())
        self.set_encodings(*self.encodings)

    def authenticate(self, security):
        told = self.version == b"RFB 003.008\n"
        if security == 19:
            assert self.read(2) == b"\0\2"
            self.send(b"\0\2")
            assert self.read(1) == b"\0"
            subtypes = [self.number("I") for _ in range(self.number("B"))]
            self.subtype = subtypes[0]
            self.send(struct.pack(">I", self.subtype))
            assert self.read(1) == b"\1"
            self.peer = self.tls(self.peer)
            security = {258: 2, 261: 2, 263: 20, 264: 20}.get(self.subtype, 1)
            told = True
        if security == 2:
            self.send(response(self.password, self.read(16)))
            told = True
        if security == 20:
            self.converse(self.sasl)
            told = True
        if told:
            result = self.number("I")
            if result:
                reason = self.read(self.number("I")) if self.version == b"RFB 003.008\n" else b""
                raise PermissionError(reason.decode())
        if security == 20:
            self.peer = self.sasl.wrap(self.peer)

    def converse(self, sasl):
        """SASL, by tests/ui/sasl.py: strings have a zero behind them, none at all is empty."""
        self.mechanisms = self.read(self.number("I")).decode()
        name, text = sasl.choose(self.mechanisms)
        self.send(struct.pack(">I", len(name)) + name.encode())
        self.mechanism, complete = name, 0
        while True:
            self.send(struct.pack(">I", 0) if text is None else struct.pack(">I", len(text) + 1) + text + b"\0")
            size = self.number("I")
            answer = self.read(size)[:-1]
            complete = self.read(1)[0]
            if complete and not answer:
                break
            text = sasl.answer(answer)
            if complete:
                break

    # What a user does

    def set_encodings(self, *encodings):
        self.encodings = encodings
        self.send(struct.pack(">BxH", 2, len(encodings)) + b"".join(struct.pack(">i", e) for e in encodings))

    def request(self, incremental=True, area=None):
        x, y, width, height = area or (0, 0, self.width, self.height)
        self.send(struct.pack(">BBHHHH", 3, incremental, x, y, width, height))

    def key(self, keysym, down):
        self.send(struct.pack(">BBxxI", 4, down, keysym))

    def tap(self, *keysyms):
        for keysym in keysyms:
            self.key(keysym, 1)
        for keysym in reversed(keysyms):
            self.key(keysym, 0)

    def pointer(self, buttons, x, y):
        self.send(struct.pack(">BBHH", 5, buttons, x, y))

    # What comes

    def message(self):
        """Reads one message; its kind, and what it carries."""
        kind = self.number("B")
        if kind == 0:
            self.read(1)
            kinds = [self.rect() for _ in range(self.number("H"))]
            return "update", kinds
        if kind == 1:
            self.read(3)
            self.map = self.read(6 * self.number("H"))
            return "map", None
        if kind == 2:
            return "bell", None
        if kind == 3:
            self.read(3)
            size = struct.unpack(">i", self.read(4))[0]
            return "cut", self.read(abs(size)) if size >= 0 else ("extended", self.read(-size))
        if kind == 150:
            return "continuous", None
        if kind == 248:
            self.read(3)
            flags = self.number("I")
            return "fence", (flags, self.read(self.number("B")))
        if kind == 250:
            return "power", self.read(3)
        raise AssertionError("message %d" % kind)

    def update(self, incremental=True, area=None):
        """Asks, and reads until pixels have come."""
        self.request(incremental, area)
        while True:
            kind, rects = self.message()
            if kind == "update" and any(r in (RAW, COPY, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG) for r in rects):
                return rects
            if kind == "update":
                self.request(True, area)
            else:
                self.events.append((kind, rects))

    def wait(self, kind):
        for event in self.events:
            if event[0] == kind:
                self.events.remove(event)
                return event[1]
        while True:
            got = self.message()
            if got[0] == kind:
                return got[1]
            self.events.append(got)

    def rect(self):
        x, y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
        self.counts[encoding] = self.counts.get(encoding, 0) + 1
        handlers = {RAW: self.raw, COPY: self.copy, HEXTILE: self.hextile, ZLIB: self.zlib, ZRLE: self.zrle,
                    TIGHT: self.tight, TIGHT_PNG: self.tight}
        if encoding in handlers:
            handlers[encoding](x, y, width, height)
        else:
            self.extra(encoding, x, y, width, height)
        return encoding

    def extra(self, encoding, x, y, width, height):
        value = None
        if encoding == EXTENDED_SIZE:
            value = (x, y, self.screens())
        if encoding in (SIZE, EXTENDED_SIZE):
            if (width, height) != (self.width, self.height):
                self.width, self.height = width, height
                self.picture = bytearray(3 * width * height)
        elif encoding == CURSOR:
            value = (x, y, width, height, self.read(width * height * self.format.bytes),
                     self.read((width + 7) // 8 * height))
        elif encoding == CURSOR_ALPHA:
            assert self.read(4) == bytes(4)
            value = (x, y, width, height, self.read(4 * width * height))
        elif encoding == LEDS:
            value = self.number("B")
        elif encoding == NAME:
            value = self.read(self.number("I")).decode()
        elif encoding == MOTION:
            value = x
        elif encoding != KEYS:
            raise AssertionError("encoding %d" % encoding)
        self.events.append((encoding, value))

    def screens(self):
        count = self.read(4)[0]
        return [struct.unpack(">IHHHHI", self.read(16)) for _ in range(count)]

    # Encodings

    def put(self, x, y, width, pixels):
        """A row or rows of colours (3 bytes each)."""
        for row in range(len(pixels) // 3 // width):
            at = 3 * ((y + row) * self.width + x)
            self.picture[at:at + 3 * width] = pixels[3 * width * row:3 * width * (row + 1)]

    def fill(self, x, y, width, height, colour):
        for row in range(height):
            self.put(x, y + row, width, bytes(colour) * width)

    def colours(self, data, size=None):
        """Pixels of the client's format as colours."""
        size = size or self.format.bytes
        form = self.format
        if size == 4 and (form.bits, form.big, form.maxima, form.shifts) == (32, 0, (255,) * 3, (16, 8, 0)):
            out = bytearray(len(data) // 4 * 3)
            out[0::3], out[1::3], out[2::3] = data[2::4], data[1::4], data[0::4]
            return bytes(out)
        return b"".join(bytes(form.rgb(data[i:i + size])) for i in range(0, len(data), size))

    def raw(self, x, y, width, height):
        self.put(x, y, width, self.colours(self.read(width * height * self.format.bytes)))

    def copy(self, x, y, width, height):
        from_x, from_y = struct.unpack(">HH", self.read(4))
        rows = []
        for row in range(height):
            at = 3 * ((from_y + row) * self.width + from_x)
            rows.append(bytes(self.picture[at:at + 3 * width]))
        for row in range(height):
            self.put(x, y + row, width, rows[row])

    def inflated(self, stream, data):
        if stream not in self.inflate:
            self.inflate[stream] = zlib.decompressobj()
        return self.inflate[stream].decompress(data)

    def zlib(self, x, y, width, height):
        data = self.inflated("zlib", self.read(self.number("I")))
        self.put(x, y, width, self.colours(data))

    def hextile(self, x, y, width, height):
        background = foreground = None
        for top in range(y, y + height, 16):
            for left in range(x, x + width, 16):
                w, h = min(16, x + width - left), min(16, y + height - top)
                flags = self.number("B")
                if flags & 1:
                    self.raw(left, top, w, h)
                    background = foreground = None
                    continue
                if flags & 2:
                    background = self.colours(self.read(self.format.bytes))
                if flags & 4:
                    foreground = self.colours(self.read(self.format.bytes))
                self.fill(left, top, w, h, background)
                for _ in range(self.number("B") if flags & 8 else 0):
                    colour = self.colours(self.read(self.format.bytes)) if flags & 16 else foreground
                    at, size = self.read(2)
                    assert (at >> 4) + (size >> 4) < w and (at & 15) + (size & 15) < h
                    self.fill(left + (at >> 4), top + (at & 15), (size >> 4) + 1, (size & 15) + 1, colour)
                if flags & 16:
                    foreground = None

    def zrle(self, x, y, width, height):
        data = io.BytesIO(self.inflated("zrle", self.read(self.number("I"))))
        offset = self.format.compact()
        size = 3 if offset is not None else self.format.bytes

        def pixels(count):
            raw = data.read(size * count)
            assert len(raw) == size * count
            if size == 3 and self.format.bytes == 4:
                parts = [raw[i:i + 3] for i in range(0, len(raw), 3)]
                wide = b"".join(bytes(offset) + p + bytes(1 - offset) for p in parts)
                return self.colours(wide)
            return self.colours(raw)

        def length():
            total = 1
            while True:
                byte = data.read(1)[0]
                total += byte
                if byte != 255:
                    return total

        for top in range(y, y + height, 64):
            for left in range(x, x + width, 64):
                w, h = min(64, x + width - left), min(64, y + height - top)
                form = data.read(1)[0]
                if form == 0:
                    out = pixels(w * h)
                elif form == 1:
                    out = pixels(1) * (w * h)
                elif form <= 16:
                    palette = [pixels(1) for _ in range(form)]
                    bits = 1 if form <= 2 else 2 if form <= 4 else 4
                    out = b""
                    for _ in range(h):
                        row = data.read((w * bits + 7) // 8)
                        value = int.from_bytes(row, "big")
                        total = len(row) * 8
                        out += b"".join(palette[value >> (total - bits * (i + 1)) & ((1 << bits) - 1)] for i in range(w))
                else:
                    assert form >= 128 and form != 129
                    palette = [pixels(1) for _ in range(form - 128)]
                    out = b""
                    while len(out) < 3 * w * h:
                        if palette:
                            index = data.read(1)[0]
                            out += palette[index & 127] * (length() if index & 128 else 1)
                        else:
                            colour = pixels(1)
                            out += colour * length()
                assert len(out) == 3 * w * h
                self.put(left, top, w, out)
        assert not data.read()

    def compact_length(self):
        value = shift = 0
        for i in range(3):
            byte = self.number("B")
            value |= (byte & (0xff if i == 2 else 0x7f)) << shift
            shift += 7
            if not byte & 0x80 or i == 2:
                return value
        return value

    def tight_pixels(self, data):
        form = self.format
        if form.bits == 32 and form.depth == 24 and form.maxima == (255,) * 3:
            return data
        return self.colours(data)

    def tight(self, x, y, width, height):
        form = self.format
        size = 3 if form.bits == 32 and form.depth == 24 and form.maxima == (255,) * 3 else form.bytes
        control = self.number("B")
        kind = control >> 4
        for stream in range(4):
            if control >> stream & 1:
                self.inflate.pop("tight%d" % stream, None)
        if kind == 8:
            self.fill(x, y, width, height, self.tight_pixels(self.read(size)))
            return
        if kind in (9, 10):
            data = self.read(self.compact_length())
            self.counts["jpeg" if kind == 9 else "png"] = self.counts.get("jpeg" if kind == 9 else "png", 0) + 1
            self.put(x, y, width, picture_of(data, width, height))
            return
        assert kind < 8
        name = self.read(1)[0] if kind & 4 else 0
        stream = "tight%d" % (kind & 3)
        if name == 1:
            count = self.number("B") + 1
            palette = self.tight_pixels(self.read(size * count))
            palette = [palette[3 * i:3 * i + 3] for i in range(count)]
            row = (width + 7) // 8 if count == 2 else width
            data = self.tight_data(stream, row * height)
            if count == 2:
                out = b"".join(palette[data[row * j + i // 8] >> (7 - i % 8) & 1]
                               for j in range(height) for i in range(width))
            else:
                out = b"".join(palette[b] for b in data)
        else:
            assert name == 0
            out = self.tight_pixels(self.tight_data(stream, size * width * height))
        self.put(x, y, width, out)

    def tight_data(self, stream, size):
        data = self.read(size) if size < 12 else self.inflated(stream, self.read(self.compact_length()))
        assert len(data) == size
        return data


def picture_of(data, width, height):
    """A PNG or JPEG as colours; PNG by ourselves, JPEG by djpeg where there is one."""
    if data[:4] == b"\x89PNG":
        return png_rows(data, width, height)
    out = subprocess.run(["djpeg", "-pnm"], input=data, stdout=subprocess.PIPE, check=True).stdout
    head, rest = out[:out.index(b"\n255\n")], out[out.index(b"\n255\n") + 5:]
    assert head.split()[1:3] == [b"%d" % width, b"%d" % height], head
    return rest


def png_rows(data, width, height):
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += 12 + size
    rows = zlib.decompress(packed)
    stride = 1 + 3 * width
    assert len(rows) == stride * height and not any(rows[::stride])
    return b"".join(rows[stride * i + 1:stride * (i + 1)] for i in range(height))


def read_ppm(path):
    with open(path, "rb") as file:
        data = file.read()
    head = data.split(b"\n", 3)
    width, height = map(int, head[1].split())
    return width, height, head[3]


def response(password, challenge):
    """DES of the challenge, by OpenSSL's library or by our own few lines."""
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in (password.encode() + bytes(8))[:8])
    return des(key, challenge[:8]) + des(key, challenge[8:])


# DES (FIPS 46-3), as tables of its document.
IP = [58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32,
      24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55,
      47, 39, 31, 23, 15, 7]
FP = [IP.index(i) + 1 for i in range(1, 65)]
E = [32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20,
     21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11,
     4, 25]
PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63,
       55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55,
       30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = [[int(c, 16) for c in row] for row in (
    "e4d12fb83a6c5907" "0f74e2d1a6cb9538" "41e8d62bfc973a50" "fc8249175b3ea06d",
    "f18e6b34972dc05a" "3d47f28ec01a69b5" "0e7ba4d158c6932f" "d8a13f42b67c05e9",
    "a09e63f51dc7b428" "d709346a285ecbf1" "d6498f30b12c5ae7" "1ad069874fe3b52c",
    "7de3069a1285bc4f" "d8b56f03472c1ae9" "a690cb7df13e5284" "3f06a1d8945bc72e",
    "2c417ab6853fd0e9" "eb2c47d150fa3986" "421bad78f9c5630e" "b8c71e2d6f09a453",
    "c1af92680d34e75b" "af427c9561de0b38" "9ef528c3704a1db6" "432c95fabe17608d",
    "4b2ef08d3c975a61" "d0b7491ae35c2f86" "14bdc37eaf680592" "6bd814a7950fe23c",
    "d2846fb1a93e50c7" "1fd8a374c56b0e92" "7b419ce206adf358" "21e74a8dfc90356b")]


def des(key, block):
    def pick(bits, table):
        return [bits[i - 1] for i in table]

    def bits_of(data):
        return [b >> (7 - i) & 1 for b in data for i in range(8)]

    k = pick(bits_of(key), PC1)
    left, right = k[:28], k[28:]
    state = pick(bits_of(block), IP)
    l, r = state[:32], state[32:]
    for shift in SHIFTS:
        left, right = left[shift:] + left[:shift], right[shift:] + right[:shift]
        mixed = [a ^ b for a, b in zip(pick(r, E), pick(left + right, PC2))]
        out = []
        for box in range(8):
            b = mixed[6 * box:6 * box + 6]
            value = S[box][32 * b[0] + 16 * b[5] + 8 * b[1] + 4 * b[2] + 2 * b[3] + b[4]]
            out += [value >> (3 - i) & 1 for i in range(4)]
        l, r = r, [a ^ b for a, b in zip(l, pick(out, P))]
    final = pick(r + l, FP)
    return bytes(int("".join(map(str, final[i:i + 8])), 2) for i in range(0, 64, 8))
