# SPDX-License-Identifier: MIT
"""Guests of a few instructions that go wrong in known ways."""
import gzip
import struct


def a64(*words):
    return struct.pack(f"<{len(words)}I", *words)


def sector(code):
    """A disk whose boot sector is that code."""
    return code + bytes(510 - len(code)) + b"\x55\xaa" + bytes(511 * 512)


FILES = {
    "sleep.bin": a64(0xD503207F, 0x17FFFFFF),                 # wfi; b .-4
    "poll.bin": a64(0xD2A12001, 0xB9401820, 0x17FFFFFF),      # mov x1, #0x9000000; ldr w0, [x1, #0x18]; b .-4
    "fault.bin": a64(0xD2C02001, 0xF9400020, 0x14000000),     # mov x1, #1 << 40; ldr x0, [x1]: no vectors are set up
    "reset.bin": a64(0xD2800120, 0xF2B08000, 0xD4000002, 0x14000000),  # SYSTEM_RESET by PSCI
    "halt.img": sector(b"\xfa\xf4\xeb\xfd"),                  # cli; hlt; jmp .-1
    "triple.img": sector(b"\x0f\x01\x1e\x10\x7c\xcc"),        # lidt [0x7c10], which is zeros; int3
    # A handler of #UD that returns to the ud2: for ever.
    "storm.img": sector(bytes.fromhex("31c08ed8c70618000f7ca31a000f0bcf")),
    # Protected mode and paging of the first 4 MiB, no IDT, and a read of 0x12345678.
    "page-fault.img": sector(bytes.fromhex(
        "fa31c08ed88ec0bf0080b90004fc66b88300000066ab6631c0b9ff0366f3ab660f0116707c660f011e767c66b8100000000f22e066b8008000000f22d8"
        "66b8010000800f22c0ea4b7c080066b810008ed8a178563412f4900000000000000000ffff0000009bcf00ffff00000093cf001700587c000000000000"
        "0000")),
    "broken.gz": gzip.compress(bytes(range(256)) * 200)[:300] + bytes(100),
}
