#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-firmware KASO uboot|edk2: symbols of firmware for arm64. Debian's firmware has none, so it gets some: a U-Boot's ELF file names for what looks like
functions, an EDK2 module an ELF file made of its image in memory.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

from machine import Kaso, need, target
from patience import allow

UBOOT = '/usr/lib/u-boot/qemu_arm64'
EDK2 = '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd'


def functions_of(code):
    """Offsets of instructions that set up a frame record: stp x29, x30, [sp, #-N]!"""
    words = struct.unpack(f'<{len(code) // 4}I', code[:len(code) // 4 * 4])
    return [4 * i for i, word in enumerate(words) if word & 0xffe07fff == 0xa9a07bfd]


def until(kaso, line, pattern):
    """Asks again until the answer is that."""
    deadline = time.monotonic() + allow(90)
    while True:
        text = kaso.hmp(line)
        if re.search(pattern, text):
            return text
        assert time.monotonic() < deadline, (line, pattern, text[:1000])
        time.sleep(0.3)


def name_functions(objcopy, elf, named, section, offsets):
    subprocess.run([objcopy, *[f'--add-symbol=f_{at:x}={section}:{at:#x},function,global' for at in offsets], elf, named], check=True)


def check_uboot(program, objcopy, folder):
    """Its relocation is followed: breakpoints on its names are where it runs, and so is what is told of addresses."""
    elf, named = os.path.join(UBOOT, 'uboot.elf'), os.path.join(folder, 'u-boot')
    code = os.path.join(folder, 'code')
    subprocess.run([objcopy, '-O', 'binary', '-j', '.text_rest', elf, code], check=True)
    with open(code, 'rb') as file:
        offsets = functions_of(file.read())
    name_functions(objcopy, elf, named, '.text_rest', offsets[::8])
    with Kaso(target(program, 'aarch64'), '-M', 'virt', '-cpu', 'cortex-a57', '-bios', os.path.join(UBOOT, 'u-boot.bin'), '-net', 'none',
              '-serial', 'null') as kaso:
        assert kaso.hmp(f'symbols add {named}') == ''
        kaso.hmp('cont')
        text = until(kaso, 'info symbols', r'moved by 0x[0-9a-f]+, where its code is in RAM')
        moved = int(re.search(r'moved by (0x[0-9a-f]+)', text).group(1), 16)
        assert 0x40000000 < moved < 0x48000000, text
        # Its prompt is somewhere in these: what runs, runs there.
        until(kaso, 'bt', r'#0 .* f_[0-9a-f]+\+0x[0-9a-f]+ \[u-boot\]')


def check_edk2(program, objcopy, folder):
    """A module's .debug file is found in a folder by the path that its image has; one of another build is not taken."""
    with Kaso(target(program, 'aarch64'), '-M', 'virt', '-m', '256', '-bios', EDK2, '-net', 'none', '-serial', 'null', paused=False) as kaso:
        deadline = time.monotonic() + allow(90)
        while True:
            answer = kaso.qmp('x-query-uefi')
            images = {i['name']: i for i in answer['return']['images']} if 'return' in answer else {}
            if 'DxeCore' in images and 'BdsDxe' in images:
                break
            assert time.monotonic() < deadline, answer
            time.sleep(0.3)
        core = images['DxeCore']
        memory, elf = os.path.join(folder, 'memory'), os.path.join(folder, 'elf')
        kaso.hmp(f'pmemsave {core["base"]:#x} {core["size"]:#x} "{memory}"')
        with open(memory, 'rb') as file:
            offsets = [at for at in functions_of(file.read()) if at >= 0x1000]
        subprocess.run([objcopy, '-I', 'binary', '-O', 'elf64-littleaarch64', '-B', 'aarch64', '--rename-section',
                        '.data=.text,alloc,load,readonly,code,contents', '--strip-all', memory, elf], check=True)
        os.makedirs(os.path.join(folder, 'symbols', 'AARCH64'))
        debug = os.path.join(folder, 'symbols', 'AARCH64', os.path.basename(core['pdb']).rsplit('.', 1)[0] + '.debug')
        name_functions(objcopy, elf, debug, '.text', offsets[::4])
        assert 'not a folder' in kaso.hmp(f'symbols folder {folder}/nosuch')
        tail = [part for part in core['pdb'].split('/') if part]
        assert 'AARCH64' in tail, core
        # The folder has what is behind .../AARCH64/ of the path, or more of it.
        where = os.path.join(folder, 'symbols', *tail[tail.index('AARCH64'):-1])
        os.makedirs(where, exist_ok=True)
        os.rename(debug, os.path.join(where, os.path.basename(debug)))
        kaso.hmp(f'symbols folder {folder}/symbols')
        text = until(kaso, 'info symbols', r'by ELF  DxeCore: ')
        address = core['base'] + offsets[4] + 4
        assert f'f_{offsets[4]:x}+0x4' in kaso.hmp(f'symbols find {address:#x}'), text
        # Of another build: only the image's name is left.
        with open(os.path.join(where, os.path.basename(debug)), 'r+b') as file:
            data = bytearray(file.read())
            data[0x1000:-0x4000] = bytes(b ^ 0x55 for b in data[0x1000:-0x4000])
            file.seek(0)
            file.write(data)
        kaso.hmp('stop')
        kaso.hmp(f'symbols folder {folder}')
        assert re.search(r'by PE  DxeCore', kaso.hmp('info symbols')), kaso.hmp('info symbols')


def main():
    program, which = sys.argv[1:]
    objcopy = need('aarch64-linux-gnu-objcopy')
    if not os.path.exists(UBOOT if which == 'uboot' else EDK2):
        print(f'skipped: no firmware for {which}')
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        (check_uboot if which == 'uboot' else check_edk2)(program, objcopy, folder)


main()
