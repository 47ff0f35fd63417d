#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keys that an option has twice: the last value holds, but the first id, and what is a list has both.
Usage: test-given-twice.py FOLDER (that holds kaso's links)."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

PC = os.path.join(os.path.abspath(sys.argv[1]), 'kaso-system-x86_64')

# options, a line for the monitor, what it answers
CASES = [
    ('-chardev null,id=a,id=b', 'info chardev', r'^a: filename=null'),
    ('-chardev null,backend=ringbuf,id=a', 'info chardev', r'^a: filename=ringbuf'),
    ('-chardev socket,id=a,path=s,server=off,server=on,wait=off', 'info chardev', r'^a: .*unix:s,server=on'),
    ('-drive driver=null-co,size=1M,size=2M,if=ide,if=none,id=x,id=y', 'info block', r'^x .*null-co'),
    ('-drive driver=null-co,if=ide,index=0,index=1', 'info block', r'^ide0-hd1 '),
    ('-drive driver=null-co,if=none,id=x,cache=none,cache=unsafe', 'info block', r'ignore flushes'),
    ('-blockdev driver=null-co,node-name=x,node-name=y', 'info block -n', r'^y: '),
    ('-device e1000,addr=5,addr=6', 'info pci', r'device   6, function 0:\n +Ethernet'),
    ('-device e1000,id=a,id=b', 'info network', r'^a: '),
    ('-netdev user,id=a,id=b,restrict=on,restrict=off', 'info network', r'^a: .*restrict=off'),
    ('-netdev user,id=a,net=10.0.3.0/24,net=10.0.4.0/24', 'info network', r'net=10\.0\.4\.0'),
    ('-netdev hubport,id=a,hubid=1,hubid=2', 'info network', r'hub=2'),
    ('-netdev user,id=a,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:23', 'info usernet', r'10\.0\.2\.15 +22 (.|\n)*10\.0\.2\.15 +23 |'
     r'10\.0\.2\.15 +23 (.|\n)*10\.0\.2\.15 +22 '),
    ('-nic user,model=e1000,model=rtl8139', 'info network', r'model=rtl8139'),
    ('-object memory-backend-ram,id=a,id=b,size=1M,size=2M', 'info memdev', r'^memory backend: a\n +size: +2097152'),
    # Of these the last id counts.
    ('-audiodev none,id=a,id=b -device AC97,audiodev=b', 'info status', r'paused'),
    ('-netdev dgram,id=a,id=b,local.type=inet,local.host=127.0.0.1,local.port=0,remote.type=inet,remote.host=127.0.0.1,remote.port=9', 'info network',
     r'^b: '),
    ('-drive driver=null-co,if=none,id=x,read-only=on,read-only=off', 'info block', r'^x [^\n]*null-co\)'),
    ('-object rng-random,id=a,filename=/dev/zero,filename=/dev/urandom', 'qom-get /objects/a filename', r'urandom'),
    ('-m 64,size=128', 'info memory_size_summary', r'base memory: 134217728'),
    ('-smp 1,cpus=2', 'info cpus', r'CPU #1'),
    ('-smp cores=2 -smp 2', 'info cpus', r'CPU #1'),
    ('-M pc,usb=off,usb=on', 'info pci', r'USB controller'),
    ('-accel tcg,tb-size=16,tb-size=32', 'info status', r'paused'),
    ('-boot order=c,order=d', 'info status', r'paused'),
    ('-name a,guest=b', 'info name', r'^b$'),
    ('-audiodev none,id=a,out.frequency=8000,out.frequency=44100', 'info status', r'paused'),
    ('-fsdev local,id=a,path=/nonexistent,path=/,security_model=none', 'info status', r'paused'),
    # + and - of a CPU's features are stronger than =, wherever they stand.
    *[(f'-cpu qemu64,{features}', 'qom-get cpu0 svm', f'^{value}$') for features, value in [
        ('svm=off,svm=on', '"?(on|true)"?'), ('+svm,svm=off', '"?(on|true)"?'), ('-svm,svm=on', '"?(off|false)"?'), ('+svm,-svm', '"?(off|false)"?'),
        ('-svm,+svm', '"?(off|false)"?')]],
]
# What does not count is not even judged: these start.
CASES += [(options, 'info status', r'paused') for options in [
    '-device e1000,mac=BAD,mac=52:54:00:12:34:56',
    '-device e1000,addr=x,addr=5',
    '-device e1000,bus=x,bus=pci.0',
    '-device e1000,bootindex=x,bootindex=1',
    '-device x,driver=e1000',
    '-device virtio-blk-pci,drive=x,drive=a -drive driver=null-co,if=none,id=a',
    '-device isa-serial,chardev=x,chardev=y -chardev null,id=y',
    '-action panic=x,panic=none',
    '-action exit-status.panic=x,exit-status.panic=3',
    '-M pc,usb=x,usb=on',
    '-M pc,hpet=x,hpet=on',
    '-M pc,smp-cache=x,smp-cache=off',
    '-M pc,graphics=x,graphics=off',
    '-smbios type=1,uuid=bad,uuid=550e8400-e29b-41d4-a716-446655440000',
    '-compat deprecated-input=x,deprecated-input=accept',
    '-object memory-backend-ram,id=a,size=BAD,size=1M',
    '-object iothread,id=a,poll-max-ns=x,poll-max-ns=3',
    '-netdev user,id=a,net=x,net=10.0.4.0/24',
    '-drive driver=null-co,if=x,if=none,id=a,werror=x,werror=stop,read-only=x,read-only=on',
    '-fw_cfg name=opt/a,file=/nonexistent,file=/dev/null',
    '-rtc base=x,base=utc',
    '-smp cpus=x,cpus=1',
    '-m size=x,size=64',
    '-m 128,maxmem=x,maxmem=256M',
    '-boot menu=x,menu=on',
]]
# options, what standard error says
REFUSED = [
    ('-smp 2 -smp cores=4', 'makes 4 CPUs, not the 2'),
    ('-chardev socket,id=a,path=s,server=on,server=off', 'cannot connect'),
    ('-audiodev none,id=a,id=b -device AC97,audiodev=a', "audiodev 'a'"),
    # Two names of one key.
    ('-drive driver=null-co,if=none,readonly=on,read-only=off', "'read-only' and its alias 'readonly' can't be used at the same time"),
    ('-drive driver=null-co,if=none,throttling.iops-total=20,iops=10', "'throttling.iops-total' and its alias 'iops' can't be used at the same time"),
    ('-drive driver=null-co,if=none,throttling.group=g,group=h,iops=10', "'throttling.group' and its alias 'group' can't be used at the same time"),
    ('-device e1000,netdev=x,netdev=y', "no netdev 'y'"),
    ('-device {"driver":"e1000","id":"a","id":"b"}', 'duplicate object key'),
]


def run(options, line):
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([PC, '-M', 'pc', '-display', 'none', '-nodefaults', '-S', '-monitor', 'stdio', *options.split()], cwd=folder,
                              input=f'{line}\nquit\n', capture_output=True, text=True, timeout=allow(120), check=False)


for options, line, wanted in CASES:
    result = run(options, line)
    assert result.returncode == 0, (options, result.stderr)
    # Behind the prompt there is the echo of the line, then its answer.
    answer = re.search(rf'\(qemu\) {re.escape(line)}\n((.|\n)*)\(qemu\) quit\n', result.stdout)
    assert answer and re.search(wanted, answer.group(1), re.MULTILINE), (options, wanted, result.stdout)
for options, wanted in REFUSED:
    result = run(options, '')
    assert result.returncode == 1 and wanted in result.stderr, (options, wanted, result.stderr)
