#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Values that cannot be meant: each is refused by one clear line and status 1, soon and without much memory.
Usage: test-nonsense.py FOLDER (that holds kaso's links)."""
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

FOLDER = os.path.abspath(sys.argv[1])
PROGRAMS = {'virt': 'kaso-system-aarch64', 'pc': 'kaso-system-x86_64', 'q35': 'kaso-system-x86_64', 'none': 'kaso-system-x86_64'}
ADDRESS_SPACE = 4 << 30

# Options that read a file as a whole. /dev/zero has no end.
WHOLE_FILES = [
    *[('virt', f'{option}/dev/zero') for option in [
        '-kernel ', '-bios ', '-dtb ', '-option-rom ', '-readconfig ', '-kernel kernel -initrd ', '-device loader,addr=0,file=',
        '-object secret,id=a,file=', '-trace events=', '-device VGA,romfile=', '-fw_cfg opt/x,file=',
        '-blockdev driver=blkdebug,node-name=x,image.driver=null-co,config=']],
    *[('pc', f'{option}/dev/zero') for option in [
        '-kernel ', '-bios ', '-acpitable data=', '-acpitable file=', '-smbios file=', '-smbios type=11,path=', '-device e1000,romfile=']],
]
# machine, options, what standard error says
CASES = [
    *[(machine, options, r'too large|no memory for') for machine, options in WHOLE_FILES],
    *[(machine, options.replace('/dev/zero', '.'), 'is a directory') for machine, options in WHOLE_FILES],
    *[(machine, options.replace('/dev/zero', 'nobody'), '(?i)no such file') for machine, options in WHOLE_FILES],
    ('pc', '-acpitable data=large', 'too large'),
    ('pc', '-acpitable file=kernel,sig=ABCD,rev=256', 'rev=256'),
    *[(machine, '-S', 'there is no machine') for machine in [
        'pc-q35-99.9', 'pc-i440fx-0.1', 'pc-i440fx-11.2', 'pc-q35-2.3', 'pc-q35-11.1.1', 'q35-1', 'none-3.1', 'virt-2.5', 'virt-11.2', 'virt-99.9']],
    ('q35', '-device pcie-root-port -device pcie-root-port', r"chassis=0,slot=0 is that of 'pcie-root-port"),
    ('q35', '-device ioh3420,id=a,chassis=1,slot=2 -device pcie-root-port,chassis=1,slot=2', "chassis=1,slot=2 is that of 'a'"),
    ('q35', '-device pcie-root-port,id=a,chassis=1 -device x3130-upstream,bus=a,id=b -device xio3130-downstream,bus=b,chassis=1', "is that of 'a'"),
    ('q35', '-device pcie-root-port,chassis=256', "'256' is no value"),
    ('pc', '-fw_cfg opt/a,string=1 -fw_cfg opt/a,string=2', "a file 'opt/a' already"),
    ('pc', '-fw_cfg opt/a,gen_id=x', 'gen_id=: not yet'),
    *[(machine, f'-m {size}', words) for machine in ('pc', 'q35', 'virt') for size, words in [
        ('5000T', 'MiB of RAM, not 5242880000 MiB'), ('16E', 'is no size'), ('-1', 'is no size'), ('1K', 'MiB of RAM, not 0 MiB')]],
    ('virt', f'-kernel image -append {"a" * 2048}', "-append has 2048 characters; the kernel 'image' takes 2047"),
    *[(machine, f'-smp 4,{level}=2', f'have no {level}') for machine, levels in [('pc', ['drawers', 'books', 'clusters']), ('q35', ['clusters']),
                                                                                ('virt', ['drawers', 'dies', 'modules'])] for level in levels],
    *[('pc', f'-smp {cpus}', words) for cpus, words in [('0', 'give a number'), ('99999999999', 'give a number'), ('1,maxcpus=0', 'give a number')]],
]
# What looks odd and is meant.
ACCEPTED = [
    ('virt', f'-kernel image -append {"a" * 2047}'), ('virt-2.6', ''), ('virt-11.1', ''), ('pc-q35-2.4', ''), ('pc-i440fx-1.4', ''),
    ('q35', '-device pcie-root-port,chassis=1 -device pcie-root-port,chassis=2 -device ioh3420,chassis=1,slot=1'),
]


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def run(machine, options):
    kind = machine if machine in PROGRAMS else machine.split('-')[0]
    program = PROGRAMS.get(kind, PROGRAMS['pc'])
    return subprocess.run([os.path.join(FOLDER, program), '-M', machine, '-display', 'none', '-nodefaults', '-S', '-monitor', 'stdio', *options.split()],
                          input='quit\n', capture_output=True, text=True, timeout=allow(120), preexec_fn=limit, check=False)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open('kernel', 'wb') as file:
        file.write(bytes(4096))
    with open('image', 'wb') as file: # as Linux's for arm64
        file.write(struct.pack('<56x4s', b'ARM\x64').ljust(4096, b'\0'))
    with open('large', 'wb') as file:
        file.truncate(1 << 30)
    for machine, options, wanted in CASES:
        result = run(machine, options)
        assert result.returncode == 1 and re.search(wanted, result.stderr) and result.stderr.count('\n') == 1, (machine, options, result)
    for machine, options in ACCEPTED:
        result = run(machine, options)
        assert result.returncode == 0, (machine, options, result)
