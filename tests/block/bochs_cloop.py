#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes small images of the formats that are only read: bochs_cloop.py bochs|cloop FILE."""
import random
import struct
import sys
import zlib

SECTOR = 512
SCRIPT = b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n'


def sectors(seed, count):
    """A disk with data in some sectors; None: a sector that was never written."""
    rand = random.Random(seed)
    return [rand.randbytes(64) * 8 if rand.random() < .4 else None for _ in range(count)]


def content(disk):
    return b''.join(sector or bytes(SECTOR) for sector in disk)


def bochs(disk, version=2, extent=4096, bitmap=1, header=SECTOR):
    """A growing disk; extents are stored last first, and those that were never written not at all."""
    per_extent = extent // SECTOR
    extents = [disk[i:i + per_extent] for i in range(0, len(disk), per_extent)]
    catalog, stored = [0xffffffff] * len(extents), b''
    for i in reversed(range(len(extents))):
        if not any(extents[i]):
            continue
        catalog[i] = sum(entry != 0xffffffff for entry in catalog)
        bits = sum(1 << j for j, sector in enumerate(extents[i]) if sector)
        stored += bits.to_bytes(-(-bitmap // SECTOR) * SECTOR, 'little')
        # What the bitmap calls unwritten is not zero in the file.
        stored += b''.join(sector or b'\xee' * SECTOR for sector in extents[i]).ljust(extent, b'\xee')
    image = struct.pack('<32s16s16sIIIII', b'Bochs Virtual HD Image', b'Redolog', b'Growing', version << 16, header, len(extents),
                        bitmap, extent)
    image += struct.pack('<Q' if version == 1 else '<4xQ', len(disk) * SECTOR)
    return image.ljust(header, b'\0') + struct.pack(f'<{len(extents)}I', *catalog) + stored


def cloop(data, block=4096):
    blocks = [zlib.compress(data[i:i + block].ljust(block, b'\0')) for i in range(0, len(data), block)]
    offsets = [136 + 8 * (len(blocks) + 1)]
    for packed in blocks:
        offsets.append(offsets[-1] + len(packed))
    return SCRIPT.ljust(128, b'\0') + struct.pack('>II', block, len(blocks)) + struct.pack(f'>{len(offsets)}Q', *offsets) + b''.join(blocks)


if __name__ == '__main__':
    with open(sys.argv[2], 'wb') as file:
        file.write(bochs(sectors(1, 50)) if sys.argv[1] == 'bochs' else cloop(content(sectors(1, 50))))
