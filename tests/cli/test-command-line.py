#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line: what it refuses and how, what it accepts, help, and how runs end.
Usage: test-command-line.py FOLDER (that holds kaso and its links)."""
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

FOLDER = os.path.abspath(sys.argv.pop(1))
KASO = os.path.join(FOLDER, 'kaso-system-aarch64')
PC = os.path.join(FOLDER, 'kaso-system-x86_64')
VIRT = ['-M', 'virt', '-accel', 'tcg,interp=on', '-display', 'none', '-m', '64']

# SYSTEM_OFF, SYSTEM_RESET by PSCI, and an endless loop.
POWER_OFF = struct.pack('<4I', 0x52800100, 0x72B08000, 0xD4000002, 0x14000000)
RESET = struct.pack('<4I', 0x52800120, 0x72B08000, 0xD4000002, 0x14000000)
LOOP = struct.pack('<I', 0x14000000)
# With highmem=off and pvpanic-pci at addr=1: places its BAR, lets it answer, writes the event of a panic.
PANIC = struct.pack('<9I', 0xD2A7E000, 0xF2900000, 0x52A20001, 0xB9001001, 0x52800042, 0x79000802, 0x52800023, 0x39000023,
                    0x14000000)


def serial_program(text, tail):
    """Code that writes text to the first serial port, then goes on with the instructions of tail."""
    code = [0xD2A12000, 0x10000001, 0x38401422, 0x34000062, 0x39000002, 0x17FFFFFD, *struct.unpack(f'<{len(tail) // 4}I', tail)]
    code[1] |= (len(code) - 1) << 5 # adr x1, text
    return struct.pack(f'<{len(code)}I', *code) + text.encode() + b'\0'


# arguments -> what standard error must say; the status must not be 0
REFUSED = [
    (['-netdv', 'user'], r"-netdv: there is no such option; did you mean '-netdev'\?"),
    (['-qqqqqqqq'], r'there is no such option'),
    (['-monitor'], r'-monitor needs an argument'),
    (['-vnc', ':1,frobnicate=on'], r'frobnicate'),
    ([*VIRT, '-object', 'secret,id=s,data=x', '-vnc', 'unix:/nonexistent/v,password=on,password-secret=s'], r'leave password=on out'),
    ([*VIRT, '-vnc', 'unix:/nonexistent/v,audiodev=nope'], r'audiodev=nope: there is no -audiodev'),
    ([*VIRT, '-vnc', 'unix:/nonexistent/v,to=3'], r'to=3: unix:/nonexistent/v has no number'),
    ([*VIRT, '-vnc', '127.0.0.1:1,websocket=host:'], r'websocket=host:'),
    (['-display', 'none,foo=on'], r"-display none has no option 'foo'"),
    (['-M', 'microvm'], r"not yet: machine 'microvm' is not built; use pc"),
    ([*VIRT, '-cpu', 'cortex-a15'], r"not yet: CPU model 'cortex-a15' is not built; it runs 32-bit code only"),
    ([*VIRT, '-device', 'virtio-gpu-gl-pci'], r"not yet: device 'virtio-gpu-gl-pci' is not built; use virtio-gpu-pci"),
    (['-M', 'pseries-9.0'], r"not yet: machine 'pseries-9.0' is not built; its processor is not, either"),
    ([*VIRT, '-cpu', 'max,mte=on'], r"CPU 'max': mte=on: not yet: memory tagging$"),
    ([*VIRT, '-device', 'virtio-blk-ccw'], r"not yet: device 'virtio-blk-ccw' is not built$"),
    ([*VIRT, '-device', 'nvme,serial=x,zoned=on'], r"device 'nvme': not yet: property 'zoned' is not built; namespaces are plain"),
    (['-dump-vmstate', 'x'], r'not yet: snapshots'),
    (['-icount', 'sleep=off'], r'-icount.*: give shift=0 to 10, or shift=auto'),
    (['-icount', '11'], r'shift=11: give 0 to 10, or auto'),
    (['-icount', 'shift=3,align=maybe'], r'align=maybe: give on or off'),
    (['-icount', '3,align=on,sleep=off'], r'give one of them'),
    (['-icount', '3,rr=record,rrfile=f'], r'rr=: not yet: record and replay'),
    (['-icount', '3,speed=1'], r'-icount.*speed'),
    ([*VIRT[:2], '-accel', 'tcg,thread=multi', '-icount', '3'], r'thread=multi: with -icount CPUs take turns'),
    ([*VIRT[:2], '-accel', 'qtest', '-icount', '3'], r"accelerator 'qtest' does not count instructions"),
    (['-compat', 'deprecated-input=reject'], r'deprecated-input=reject: not yet'),
    ([*VIRT, '-acpitable', 'file=/nonexistent/t'], r'/nonexistent/t'),
    (['-acpitable', 'sig=SSDT'], r'give either file= .* or data='),
    (['-acpitable', 'file=/dev/null'], r'begins with a header of 36 bytes, and there are 0'),
    (['-acpitable', 'data=/dev/null,rev=256'], r'rev=256: give a number from 0 to 255'),
    ([*VIRT, '-acpitable', 'data=/dev/null'], r"machine 'virt' gives its guest no ACPI tables"),
    (['-M', 'none,dumpdtb=f'], r'dumpdtb=f: not yet: a device tree'),
    (['-M', 'virt,confidential-guest-support=sev0'], r'not yet: guests that the host cannot read'),
    ([*VIRT, '-M', 'virt,smp.cpus=x'], r'cpus=x'),
    ([*VIRT, '-netdev', '{"type": "user", "id": "n", "hostfwd": [{"str": "tcp:"}]}'], r'tcp:'),
    ([*VIRT, '-netdev', '{"type": "user", "id": "n", "hostfwd": [{"text": "tcp:"}]}'], r'hostfwd.0.text'),
    (['-usbdevice', 'braille'], r'not yet: braille'),
    (['-usbdevice', 'toaster'], r'give mouse, tablet'),
    (['-usbdevice', 'disk:/nowhere/at/all'], r'/nowhere/at/all'),
    (['-M', 'virt,usb=off', '-usbdevice', 'tablet'], r"no 'usb-bus' bus"),
    ([*VIRT, '-device', 'ide-cd'], r"no 'ide' bus .*; give -device ahci before it"),
    ([*VIRT, '-device', 'nvme-ns'], r"no 'nvme-bus' bus .*; give -device nvme,serial=TEXT before it"),
    (['-overcommit', 'mem-lock=perhaps'], r"mem-lock"),
    (['-balloon', 'virtio'], r'-balloon: this option is gone; use -device virtio-balloon'),
    (['-audiodev', 'none'], r'it needs a driver and id=NAME'),
    (['-audiodev', 'oss,id=a'], r"not yet: audio driver 'oss'"),
    (['-audiodev', 'wav,id=a,out.frequency=1'], r'out.frequency=1: give'),
    (['-audiodev', 'wav,id=a,out.format=s8'], r'a WAVE file has no s8'),
    (['-audiodev', 'none,id=a,out.fixed-settings=off,out.format=s32'], r'out.format does not go with out.fixed-settings=off'),
    (['-audiodev', 'none,id=a,in.mixing-engine=off,in.fixed-settings=on'], r'in.mixing-engine=off goes with in.fixed-settings=off'),
    (['-audiodev', 'none,id=a,out.mixing-engine=off,out.format=s32'], r'out.format does not go with out.fixed-settings=off'),
    (['-display', 'none,gl=on'], r'-display none draws nothing: gl=on'),
    (['-display', 'none,gll=off'], r"-display none has no option 'gll'; did you mean 'gl'"),
    (['-audiodev', 'none,id=a', '-audiodev', 'none,id=a'], r"already an audiodev 'a'"),
    (['-audio', 'none,model=gus'], r"not yet: audio device model 'gus'"),
    (['-soundhw', 'ac97'], r'this option is gone; use -audio'),
    (['-spice', 'port=1'], r'not yet: SPICE'),
    (['-vga', 'qxl'], r"not yet: graphics card 'qxl' is not built"),
    (['-redir', 'tcp:2222::22'], r'-redir: this option is gone; use -nic user,hostfwd='),
    (['-curses'], r'not yet: the display on a terminal; use -nographic'),
    (['-display', 'gtk'], r"-display gtk: not yet: display 'gtk' is not built; use -display sdl"),
    (['-display', 'gtk,gl=on'], r"-display gtk,gl=on: not yet: display 'gtk' is not built; use -display sdl"),
    (['-display', 'curses'], r"not yet: display 'curses' is not built; use -nographic"),
    (['-display', 'gtk'], r'not yet'),
    (['-display', 'nnoe'], r"did you mean 'none'"),
    ([*VIRT, '-M', 'q35'], r'this machine does not run aarch64 processors'),
    (['-M', 'pc-i440fx-2.3'], r'this machine does not run aarch64 processors'),
    (['-M', 'pc,x-change-vmfd-on-reset=on'], r'x-change-vmfd-on-reset=on: not yet'),
    ([*VIRT, '-M', 'virt,secure=on'], r'secure=on: not yet: EL3'),
    ([*VIRT, '-cpu', 'host'], r"not yet: CPU model 'host' is not built; it needs KVM; use -cpu max"),
    ([*VIRT, '-cpu', 'neoverse-v1'], r"not yet: CPU model 'neoverse-v1' .* SVE; the nearest is -cpu neoverse-n1"),
    ([*VIRT, '-cpu', 'cortex-a710'], r"needs SVE2; the nearest is -cpu cortex-a76"),
    ([*VIRT, '-cpu', 'a64fx'], r"needs SVE; the nearest is -cpu neoverse-n1"),
    ([*VIRT, '-cpu', 'max,sve128=on'], r"sve128=on: not yet: scalable vectors"),
    ([*VIRT, '-cpu', 'max,sve-max-vq=4'], r"sve-max-vq=4: not yet: scalable vectors"),
    ([*VIRT, '-cpu', 'max,lpa2=on'], r"lpa2=on: not yet: 52-bit addresses"),
    ([*VIRT, '-cpu', 'max,x-rme=on'], r"x-rme=on: not yet: the realm"),
    ([*VIRT, '-cpu', 'max,x-rme-l0gptsz=30'], r"x-rme-l0gptsz=30: not yet: the realm"),
    ([*VIRT, '-cpu', 'max,pauth-qarma5=on'], r"pauth-qarma5=on: not yet: pointers signed by QARMA5"),
    ([*VIRT, '-cpu', 'max,has_gcie=on'], r"has_gcie=on: not yet: the GICv5"),
    ([*VIRT, '-cpu', 'max,midr=7'], r"midr=7: not yet: another identification"),
    ([*VIRT, '-cpu', 'max,kvm-steal-time=on'], r"kvm-steal-time=on: not yet: KVM for Arm guests"),
    (['-enable-hax'], r'-enable-hax: this option is gone; use -accel kvm or -accel tcg'),
    (['-tdf'], r'-tdf: this option is gone; use -rtc driftfix=slew'),
    ([*VIRT, '-object', 'monitor-qmp,id=m'], r"not yet: object 'monitor-qmp' is not built"),
    ([*VIRT, '-object', 'tls-creds-x509,id=t,dir=/nonexistent'], r"/nonexistent/ca-cert.pem"),
    ([*VIRT, '-object', 'tls-creds-x509,id=t'], r"tls-creds-x509 't' needs dir=FOLDER"),
    ([*VIRT, '-object', 'tls-creds-psk,id=t,dir=/nonexistent'], r"/nonexistent/keys.psk"),
    ([*VIRT, '-object', 'tls-creds-anon,id=t,dri=/tmp'], r"does not support the option 'dri'"),
    ([*VIRT, '-netdev', 'user,id=n,hostfwd='], r"host forwarding rule '' is not"),
    ([*VIRT, '-netdev', 'user,id=n,hostfwd=tcp::0-:22,hostfwd='], r"host forwarding rule '' is not"),
    ([*VIRT, '-netdev', 'user,id=n,guestfwd='], r"guest forwarding rule '' is not"),
    ([*VIRT, '-nic', 'user,hostfwd='], r"host forwarding rule '' is not"),
    ([*VIRT, '-netdev', 'user,id=1n'], r"Parameter 'id' expects an identifier, not '1n'"),
    ([*VIRT, '-device', 'virtio-rng-pci,id=-r'], r"Parameter 'id' expects an identifier, not '-r'"),
    ([*VIRT, '-device', '{"driver":"virtio-rng-pci","id":""}'], r"Parameter 'id' expects an identifier, not ''"),
    ([*VIRT, '-fsdev', 'local,id=a b,path=/tmp,security_model=none'], r"Parameter 'id' expects an identifier, not 'a b'"),
    ([*VIRT, '-cpu', 'max,cntfrq=7'], r"cntfrq=7 does not divide"),
    ([*VIRT, '-cpu', 'cortex-a53', '-m', '1T'], r"has 40 address bits, .* but -m gives 1048576 MiB"),
    ([*VIRT, '-smp', '600', '-M', 'gic-version=3'], r'takes up to 512 CPUs, not 600'),
    ([*VIRT, '-rtc', 'driftfix=fast'], r'driftfix=fast: give none or slew'),
    ([*VIRT, '-rtc', 'clock=sundial'], r'clock=sundial: give host, rt or vm'),
    ([*VIRT, '-cpu', 'cortex-a9'], r"not yet: CPU model 'cortex-a9'"),
    (['-M', 'virt', '-enable-kvm'], r"-accel kvm: the host's processor does not run code of target 'aarch64'; use -accel tcg"),
    (['-M', 'virt', '-accel', 'tcg,split-wx=on'], r'split-wx=on: not yet'),
    ([*VIRT, '-d', 'op_opt'], r"not yet: log item 'op_opt' is not built; use ir_opt"),
    ([*VIRT, '-d', 'nochain'], r"not yet: log item 'nochain'"),
    ([*VIRT, '-device', 'pvscsi'], r"not yet: device 'pvscsi' is not built; use virtio-blk-pci\n"),
    ([*VIRT, '-device', 'ads7846'], r"not yet: device 'ads7846' is not built\n"),
    ([*VIRT, '-device', 'igb,help'], r"not yet: device 'igb' is not built; use virtio-net-pci"),
    ([*VIRT, '-object', 'filter-rewriter,id=f'], r"not yet: object 'filter-rewriter'"),
    ([*VIRT, '-object', 'filter-dump,id=f'], r"object 'f': give netdev=ID and file=FILE"),
    ([*VIRT, '-object', 'filter-dump,id=f,netdev=n7,file=/dev/null'], r"there is no netdev 'n7'"),
    ([*VIRT, '-netdev', 'user,id=n', '-object', 'filter-dump,id=f,netdev=n,file=/nonexistent/x'], r"cannot write file '/nonexistent/x'"),
    ([*VIRT, '-watchdog', 'i6300esb'], r'this option is gone; use -device i6300esb'),
    ([*VIRT, '-writeconfig', '-'], r'this option is gone'),
    (['-option-rom', '/etc/hostname'], r"'/etc/hostname' is no option ROM"),
    ([*VIRT, '-serial', '/dev/nonexistent'], r"cannot open serial port '/dev/nonexistent'"),
    (['-sandbox', 'on,spawn=maybe'], r'spawn=maybe: give allow or deny'),
    (['-sandbox', 'on,spwan=deny'], r"-sandbox has no option 'spwan'; did you mean 'spawn'"),
    (['-run-with', 'exit-with-parent=perhaps'], r'exit-with-parent'),
    (['-M', 'virt-11.2'], r"there is no machine 'virt-11.2': the last release that is known is 11.1"),
    (['-M', 'pc-i440fx-12.0'], r"'pc-i440fx-12.0': the last release that is known is 11.1"),
    (['-M', 'pc-1.3'], r"machine 'pc-1.3' is not built; the oldest is pc-i440fx-1.4"),
    (['-M', 'pc-0.10'], r"machine 'pc-0.10' is not built; the oldest is pc-i440fx-1.4"),
    (['-M', 'vrit'], r"-machine vrit: there is no machine 'vrit'; did you mean 'virt'\?"),
    (['-M', 'virt', '-M', 'virt,usb=perhaps'], r'usb'),
    ([*VIRT, '-M', 'virt,colour=red'], r"machine 'virt' has no property 'colour'"),
    ([*VIRT, '-cpu', 'cotrex-a57'], r"no CPU model 'cotrex-a57'; did you mean 'cortex-a57'"),
    ([*VIRT, '-cpu', 'max,levitation=on'], r"has no property 'levitation'"),
    ([*VIRT, '-cpu', 'cortex-a57,pmu=perhaps'], r"'perhaps' is no value for property 'pmu'"),
    (['-M', 'virt', '-accel', 'tgc'], r"no accelerator 'tgc'; did you mean 'tcg'"),
    (['-M', 'virt', '-accel', 'tcg,sped=1'], r"accelerator 'tcg' has no property 'sped'"),
    (['-M', 'virt', '-accel', 'kvm'], r'-accel kvm'),
    ([*VIRT, '-m', '1'], r'16 MiB to \d+ MiB of RAM, not 1 MiB'),
    ([*VIRT, '-m', 'lots'], r"'lots' is no size"),
    ([*VIRT, '-m', '99999999999999999999'], r'no size'),
    ([*VIRT, '-m', '1G,maxmem=512M'], r'maxmem is less'),
    ([*VIRT, '-m', '128,maxmem=256'], r'maxmem is less .*bytes'),
    ([*VIRT, '-m', '128,maxmem=0'], r'maxmem is less'),
    ([*VIRT, '-m', '128,slots=2'], r'give maxmem= with it'),
    ([*VIRT, '-m', '128,slots=0'], r'give maxmem= with it'),
    ([*VIRT, '-m', '128', '-m', 'slots=2'], r'give maxmem= with it'),
    ([*VIRT, '-m', '128,slots=1,maxmem=128M'], r'nothing for the 1 slot:'),
    ([*VIRT, '-m', '128,slots=257,maxmem=1G'], r'a number from 0 to 256'),
    ([*VIRT, '-m', '128,slots=-1,maxmem=1G'], r'a number from 0 to 256'),
    ([*VIRT, '-m', '128,slots=2,maxmem=300000001'], r'no multiple of 4096'),
    ([*VIRT, '-m', '128,max-size=1G'], r"no option 'max-size'"),
    (['-M', 'virt,memory.size=128M,memory.slots=2'], r'give maxmem= with it'),
    (['-M', 'virt,memory.maxmem=1G'], r"-machine memory has no option 'maxmem'"),
    (['-M', 'virt,smp=2'], r"'smp' has several parts; .*smp\.cpus="),
    (['-M', 'virt,boot=d'], r"'boot' has several parts; .*boot\.order="),
    (['-M', 'virt,memory=64M'], r"'memory' has several parts; .*memory\.size="),
    (['-M', 'virt,smp=2,smp.cores=2'], r"'smp' has several parts"),
    (['-M', 'virt,graphics=x'], r"'x' is no value for graphics"),
    (['-M', 'none', '-m', '64,maxmem=128M,slots=1'], r"machine 'none' takes no slots="),
    ([*VIRT, '-m', '1G,slost=2'], r"did you mean 'slots'"),
    ([*VIRT, '-smp', '0'], r'give a number from 1'),
    ([*VIRT, '-smp', '99'], r'takes up to 8 CPUs with gic-version=2, not 99'),
    ([*VIRT, '-smp', '4,sockets=3'], r'not the 4 of maxcpus'),
    ([*VIRT, '-smp', '2,maxcpus=1'], r'cpus=2 is more than maxcpus=1'),
    ([*VIRT, '-smp', '4,sockets=1,cores=1,threads=1'], r'makes 1 CPU, not the 4'),
    ([*VIRT, '-smp', '4,croes=4'], r"did you mean 'cores'"),
    ([*VIRT, '-kernel', '/nonexistent/k'], r"could not load kernel '/nonexistent/k': No such file"),
    ([*VIRT, '-initrd', '/nonexistent/i'], r"could not load initrd '/nonexistent/i'"),
    ([*VIRT, '-dtb', '/nonexistent/d'], r"could not load device tree '/nonexistent/d'"),
    ([*VIRT, '-bios', 'nonexistent.fd'], r"nonexistent\.fd"),
    ([*VIRT, '-append', 'x'], r'-append needs -kernel'),
    ([*VIRT, '-device', 'virtio-bkl-pci'], r"no device 'virtio-bkl-pci'; did you mean 'virtio-blk-pci'"),
    ([*VIRT, '-device', 'pl011'], r'part of boards'),
    ([*VIRT, '-device', 'virtio-rng-pci,bus=pcie.7'], r"there is no bus 'pcie.7'"),
    ([*VIRT, '-device', 'virtio-rng-pci,addr=99'], r"'99' is no value for property 'addr'"),
    ([*VIRT, '-device', 'virtio-rng-pci,adr=3'], r"has no property 'adr'; did you mean 'addr'"),
    ([*VIRT, '-device', 'virtio-rng-pci,addr=3', '-device', 'virtio-rng-pci,addr=3'], r'-device virtio-rng-pci,addr=3: '),
    ([*VIRT, '-device', 'virtio-rng-pci,id=a', '-device', 'virtio-rng-pci,id=a'], r"already a device with id 'a'"),
    ([*VIRT, '-device', 'virtio-blk-pci,drive=none-such'], r'none-such'),
    ([*VIRT, '-device', 'virtio-blk-pci'], r'drive'),
    ([*VIRT, '-device', 'virtio-net-pci,netdev=n7'], r"there is no netdev 'n7'"),
    ([*VIRT, '-device', '{"driver": "virtio-rng-pci"'], r'JSON object does not parse'),
    ([*VIRT, '-device', '{"driver": ["virtio-rng-pci"]}'], r'does not name a device'),
    ([*VIRT, '-drive', 'file=/nonexistent/disk'], r"'/nonexistent/disk': No such file"),
    ([*VIRT, '-drive', 'file=/dev/null,if=ide'], r"not yet: drive interface 'ide'"),
    ([*VIRT, '-drive', 'file=/dev/null,if=vrtio'], r"did you mean 'virtio'"),
    ([*VIRT, '-drive', 'file=/dev/null,media=tape'], r'give disk or cdrom'),
    ([*VIRT, '-drive', 'file=/dev/null,format=raw,chache=none'], r'chache'),
    ([*VIRT, '-drive', 'media=cdrom,fiel=x'], r"-drive has no option 'fiel'; did you mean 'file'"),
    ([*VIRT, '-drive', 'if=none,throttling.iops-total=1'], r'A block device must be specified'),
    ([*VIRT, '-drive', 'file=/dev/null,format=warp'], r'warp'),
    ([*VIRT, '-blockdev', 'driver=file,filename=/nonexistent/d,node-name=n'], r'/nonexistent/d'),
    ([*VIRT, '-netdev', 'user'], r'needs a type and id='),
    ([*VIRT, '-netdev', 'usr,id=n'], r"did you mean 'user'"),
    ([*VIRT, '-netdev', 'l2tpv3,id=n'], r"not yet: network back end 'l2tpv3' is not built; use user, tap, stream or dgram"),
    ([*VIRT, '-netdev', 'stream,id=n'], r"netdev 'n': it needs addr.type=inet"),
    ([*VIRT, '-netdev', 'stream,id=n,addr.type=inet,addr.host=x'], r'it needs addr.host= and addr.port='),
    ([*VIRT, '-netdev', 'stream,id=n,addr.type=unix,addr.path=/nonexistent/s'], r"cannot connect to socket '/nonexistent/s'"),
    ([*VIRT, '-netdev', 'stream,id=n,server=on,reconnect-ms=5,addr.type=unix,addr.path=s'], r'reconnect-ms= is for clients'),
    ([*VIRT, '-netdev', 'stream,id=n,addr.type=fd,addr.str=nobody'], r'addr.str=nobody'),
    ([*VIRT, '-netdev', 'dgram,id=n'], r'it needs remote.type=inet'),
    ([*VIRT, '-netdev', 'dgram,id=n,remote.type=inet,remote.host=127.0.0.1,remote.port=9'], r'it needs local.type=inet'),
    ([*VIRT, '-netdev', 'dgram,id=n,remote.type=unix,remote.path=s,local.type=unix'], r'local: it needs path='),
    ([*VIRT, '-netdev', 'dgram,id=n,local.type=fd,local.str=0'], r'local.str=0 is no datagram socket'),
    ([*VIRT, '-netdev', 'socket,id=n,fd=0'], r'fd=0 is no datagram socket and no stream'),
    ([*VIRT, '-netdev', 'hubport,id=h,hubid=0,netdev=n'], r'netdev=n: there is no such back end'),
    ([*VIRT, '-netdev', 'user,id=n,hostfwd=nonsense'], r'hostfwd|nonsense'),
    ([*VIRT, '-nic', 'user,model=rtl8193'], r'rtl8193'),
    ([*VIRT, '-chardev', 'stido,id=c'], r"did you mean 'stdio'"),
    ([*VIRT, '-chardev', 'file,id=c'], r'path'),
    ([*VIRT, '-chardev', 'file,id=c,path=/nonexistent/x'], r'/nonexistent/x'),
    ([*VIRT, '-serial', 'carrier:pigeon'], r'carrier:pigeon'),
    ([*VIRT, '-serial', 'chardev:nobody'], r'nobody'),
    ([*VIRT, '-mon', 'chardev=nobody'], r"there is no chardev 'nobody'"),
    ([*VIRT, '-chardev', 'null,id=c', '-mon', 'c,mode=telepathy'], r'give readline or control'),
    ([*VIRT, '-serial', 'stdio', '-monitor', 'stdio'], r'stdio'),
    ([*VIRT, '-object', 'rng-radnom,id=r'], r"did you mean 'rng-random'"),
    ([*VIRT, '-object', 'rng-random,id=r,filename=/nonexistent/rng'], r"cannot open '/nonexistent/rng'"),
    ([*VIRT, '-object', 'memory-backend-ram,id=m'], r'needs size='),
    ([*VIRT, '-object', 'memory-backend-ram,id=m,size=32M', '-M', 'virt,memory-backend=m'], r'holds 32 MiB, but -m asks for 64'),
    ([*VIRT, '-object', 'memory-backend-ram,id=m,size=64M,policy=bind'], r'policy=bind needs host-nodes='),
    ([*VIRT, '-object', 'memory-backend-ram,id=m,size=64M,host-nodes=0'], r"host-nodes= needs policy=, which is 'default'"),
    ([*VIRT, '-object', 'memory-backend-ram,id=m,size=64M,host-nodes=4-2,policy=bind'], r'host-nodes=4-2: give N or N-M'),
    ([*VIRT, '-object', 'memory-backend-ram,id=m,size=64M,host-nodes=99,policy=bind', '-M', 'memory-backend=m'], r'does not put memory'),
    ([*VIRT, '-numa', 'node,cpus=1\n2'], r'cpus=1\\x0a2: give a number'),
    ([*VIRT, '-numa', 'nodule'], r'it begins with node, cpu or dist'),
    ([*VIRT, '-numa', 'node,size=1'], r"-numa node has no option 'size'"),
    ([*VIRT, '-numa', 'node,mem=10M', '-numa', 'node,mem=10M'], r'the nodes have 20 MiB in all, but -m gives 64 MiB'),
    ([*VIRT, '-numa', 'node,mem=64M,memdev=m'], r'give mem= or memdev=, not both'),
    ([*VIRT, '-numa', 'node,mem=64M', '-object', 'memory-backend-ram,id=m,size=1M', '-numa', 'node,memdev=m'], r'mem= and memdev= do not mix'),
    ([*VIRT, '-numa', 'node,memdev=nobody'], r"there is no memory back end 'nobody'"),
    ([*VIRT, '-numa', 'node,memdev=m', '-numa', 'node,memdev=m', '-object', 'memory-backend-ram,id=m,size=32M'], r"'m' is node 0's already"),
    ([*VIRT, '-numa', 'node,memdev=m', '-object', 'memory-backend-ram,id=m,size=64M', '-M', 'memory-backend=m'], r'both say where RAM is'),
    ([*VIRT, '-numa', 'node,nodeid=1'], r'node 0 is missing'),
    ([*VIRT, '-numa', 'node,nodeid=128'], r'nodeid=128: give a number from 0 to 127'),
    ([*VIRT, '-numa', 'node', '-numa', 'node,nodeid=0'], r'node 0 was given before'),
    ([*VIRT, '-numa', 'node,cpus=0-1'], r'cpus=0-1: give FIRST or FIRST-LAST; -smp makes CPUs 0 to 0'),
    ([*VIRT, '-smp', '2', '-numa', 'node,cpus=0-1', '-numa', 'node,cpus=1'], r'CPU 1 is in node 0 already'),
    ([*VIRT, '-numa', 'node', '-numa', 'cpu,node-id=1,core-id=0'], r'node-id=1: there is no such node'),
    ([*VIRT, '-numa', 'node', '-numa', 'cpu,core-id=0'], r'it needs node-id='),
    ([*VIRT, '-numa', 'node', '-numa', 'cpu,node-id=0,socket-id=3'], r'no CPU of -smp is at this place'),
    ([*VIRT, '-numa', 'node', '-numa', 'node', '-numa', 'dist,src=0,dst=1,val=9'], r'val=9: a distance is from 10'),
    ([*VIRT, '-numa', 'node', '-numa', 'node', '-numa', 'dist,src=0,dst=0,val=11'], r'the distance of node 0 to itself is 10'),
    ([*VIRT, *3 * ['-numa', 'node'], '-numa', 'dist,src=0,dst=1,val=11'], r'from node 0 to node 2 is missing'),
    ([*VIRT, *3 * ['-numa', 'node'], '-numa', 'dist,src=0,dst=1,val=11', '-numa', 'dist,src=1,dst=0,val=12', '-numa', 'dist,src=2,dst=0,val=12',
      '-numa', 'dist,src=2,dst=1,val=12'], r'from node 0 to node 2 is missing: where one pair of nodes has two'),
    ([*VIRT, '-numa', 'hmat-lb,initiator=0'], r'not yet: the table of latencies'),
    (['-M', 'none', '-numa', 'node'], r"machine 'none' has no way to tell its guest of nodes"),
    ([*VIRT, '-object', 'secret,id=s'], r"either 'data' or 'file'"),
    ([*VIRT, '-d', 'in_asn'], r"did you mean 'in_asm'"),
    ([*VIRT, '-D', '/nonexistent/log'], r"'/nonexistent/log'"),
    ([*VIRT, '-dfilter', 'everything'], r'no address range'),
    ([*VIRT, '-rtc', 'base=yesterday'], r'give utc, localtime, or a date'),
    ([*VIRT, '-uuid', '123'], r'-uuid 123'),
    ([*VIRT, '-set', 'device.x=y'], r'-set device.x=y: write it as GROUP.ID.KEY=VALUE'),
    ([*VIRT, '-set', 'machine.x.y=z'], r"'machine' is no group of options with ids"),
    ([*VIRT, '-set', 'device.r.y=z', '-device', 'virtio-rng-pci,id=r'], r'there is no -device with id=r before it'),
    ([*VIRT, '-device', 'virtio-rng-pci,id=r', '-set', 'device.r.max-bites=5'], r"did you mean 'max-bytes'"),
    ([*VIRT, '-global', 'nonsense'], r'-global nonsense'),
    ([*VIRT, '-action', 'panic=scream'], r"'scream' is no action for panic; give one of shutdown, pause"),
    ([*VIRT, '-action', 'pnic=none'], r"-action has no option 'pnic'; did you mean 'panic'"),
    ([*VIRT, '-action', 'exit-status=many'], r"'many' is no action for exit-status; give one of plain, distinct"),
    ([*VIRT, '-action', 'exit-status.panc=1'], r"did you mean 'exit-status.panic'"),
    ([*VIRT, '-action', 'exit-status.panic=256'], r'a number from 0 to 255'),
    ([*VIRT, '-action', 'console-match=(,exit'], r"'\(' is no regular expression"),
    ([*VIRT, '-action', 'console-match=,exit'], r'needs a regular expression'),
    ([*VIRT, '-action', 'console-match=x,exit=1,stop'], r'give one of exit=N'),
    ([*VIRT, '-action', 'console-match=x,leave'], r"has no option 'leave'"),
    ([*VIRT, '-action', 'silence=never'], r'silence=never: give the seconds'),
    ([*VIRT, '-fw_cfg', 'opt/x'], r'file= or string='),
    ([*VIRT, '-fw_cfg', 'opt/x,file=/nonexistent/f'], r'/nonexistent/f'),
    ([*VIRT, '-readconfig', '/nonexistent/c'], r'/nonexistent/c'),
    ([*VIRT, '-pidfile', '/nonexistent/p'], r"'/nonexistent/p'"),
    ([*VIRT, '-daemonize', '-serial', 'stdio'], r'has no terminal'),
    ([*VIRT, '-runas', 'nobody-at-all'], r'there is no such user'),
    ([*VIRT, '-pflash', '/nonexistent/flash'], r'/nonexistent/flash'),
    ([*VIRT, '-drive', 'driver=null-co,if=pflash,index=2'], r"room for 2 drives with if=pflash"),
    ([*VIRT, '-drive', 'driver=null-co,if=pflash', '-drive', 'driver=null-co,if=pflash,unit=0,id=x'], r"if=pflash,index=0 has an image already"),
    ([*VIRT, '-drive', 'driver=null-co,if=virtio', '-drive', 'driver=null-co,if=virtio,index=0,id=x'], r"if=virtio,index=0 has an image already"),
    ([*VIRT, '-drive', 'driver=null-co,index=1,unit=2'], r'leave out bus= and unit='),
    (['-M', 'none', '-drive', 'driver=null-co,if=virtio'], r"no drive interface 'virtio'"),
    ([*VIRT, '-object', 'secrt,id=s'], r"there is no object 'secrt'; did you mean 'secret'"),
    ([*VIRT, '-object', 'rng-builtin'], r'it needs a type and id=NAME'),
    ([*VIRT, '-object', 'rng-builtin,id=r', '-object', 'rng-builtin,id=r'], r"duplicate property 'r'"),
    ([*VIRT, '-boot', 'ordr=c'], r"did you mean 'order'"),
    ([*VIRT, '-parallel', 'stdio'], r"no 'isa' bus"),
]

HELP = [
    (['-h'], r'-netdev TYPE'),
    (['-help', 'smp'], r'-smp \[cpus=\]N'),
    (['-h', 'device'], r'virtio-blk-pci'),
    (['-version'], r'^QEMU emulator version \d+\.\d+\.\d+ \(Kaso \d'),
    (['-h'], r'^QEMU emulator version \d+\.\d+\.\d+ \(Kaso \d.*\nusage: '),
    (['-M', 'help'], r'(?m)^virt +ARM Virtual Machine'),
    (['-M', 'help'], r'^virt '),
    (['-machine', 'virt,help'], r'gic-version='),
    (['-cpu', 'max,help'], r'pauth=<OnOffAuto> .*default on'),
    (['-cpu', 'cortex-a57,help'], r'pauth=<OnOffAuto> .*default off'),
    (['-accel', 'tcg,help'], r'tb-size='),
    (['-cpu', 'help'], r'cortex-a57'),
    (['-cpu', 'help'], r'^Available CPUs:\n(?:  \S+\n)+$'),
    (['-device', 'help'], r'^Network devices:\nname "(.|\n)*^name "virtio-net-pci", bus PCI, desc "'),
    (['-device', 'virtio-blk-pci,help'], r'drive=<drive id>'),
    (['-accel', 'help'], r'\AAccelerators supported.*\n(?:.*\n)*tcg\n'),
    (['-nic', 'help'], r'\AAvailable netdev backend types:\n(?:.*\n)*user\n'),
    (['-display', 'help'], r'\AAvailable display backend types:\nnone '),
    (['-action', 'help'], r'panic='),
    (['-boot', 'help'], r'order='),
    (['-global', 'help'], r'-global '),
    (['-msg', 'help'], r'timestamp='),
    (['-overcommit', 'help'], r'mem-lock='),
    (['-rtc', 'help'], r'driftfix='),
    (['-run-with', 'help'], r'chroot='),
    (['-smp', 'help'], r'maxcpus='),
    (['-vnc', 'help'], r'unix:PATH'),
    (['-netdev', 'user,help'], r'hostfwd='),
    (['-chardev', 'socket,help'], r'path='),
    (['-object', 'rng-random,help'], r'filename='),
    (['-chardev', 'help'], r'^stdio '),
    (['-netdev', 'help'], r'\AAvailable netdev backend types:\n(?:.*\n)*user\n'),
    (['-object', 'help'], r'^rng-random '),
    (['-object', 'help'], r'^throttle-group '),
    (['-object', 'secret,help'], r'keyid='),
    (['-d', 'help'], r'^in_asm '),
    (['-L', 'help'], r'^/usr/share/qemu-efi-aarch64$'),
    (['-display', 'help'], r'^none'),
    (['-drive', 'help'], r'if=none'),
    (['-trace', 'help'], r'DEVICE'),
]

# Each is given with -S and a monitor that is told to quit.
ACCEPTED = [
    ['-icount', 'shift=6,align=off,sleep=off'],
    ['-icount', 'auto,align=on', '-accel', 'tcg,thread=single'],
    ['-smp', 'cpus=4,sockets=1,cores=2,threads=2,maxcpus=4'],
    ['-smp', '2,clusters=2'],
    ['-m', 'size=128M,slots=2,maxmem=1G'],
    ['-m', '128,slots=0,maxmem=128M'],
    ['-m', 'slots=2', '-m', 'size=128M', '-m', 'maxmem=1G'],
    ['-M', 'virt,memory.size=67108864,memory.max-size=128M,memory.slots=1'],
    ['-name', 'guest=joe,process=kaso-joe', '-uuid', '550e8400-e29b-41d4-a716-446655440000'],
    ['-rtc', 'base=2024-02-29T12:00:00,clock=vm', '-rtc', 'base=localtime'],
    ['-boot', 'order=cd,menu=on', '-boot', 'strict=on'],
    ['-global', 'virtio-rng-pci.addr=7', '-device', 'virtio-rng'],
    ['-object', 'rng-random,id=r,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=r'],
    ['-object', 'rng-builtin,id=r', '-object', 'iothread,id=t'],
    ['-object', 'memory-backend-memfd,id=m,size=64M', '-M', 'virt,memory-backend=m'],
    ['-mem-path', '/tmp'],
    ['-object', '{"qom-type": "memory-backend-ram", "id": "m", "size": 67108864, "host-nodes": [0], "policy": "preferred"}', '-numa',
     'node,nodeid=0,cpus=0,memdev=m'],
    ['-smp', '4,sockets=2', '-numa', 'node', '-numa', 'node', '-numa', 'cpu,node-id=1,socket-id=0', '-numa', 'cpu,node-id=0,socket-id=1'],
    ['-mem-prealloc'],
    ['-drive', 'file.driver=null-co,file.size=1M,format=raw,if=none'],
    ['-object', '{"qom-type": "rng-builtin", "id": "r"}', '-device', '{"driver": "virtio-rng-pci", "rng": "r", "addr": "5"}'],
    ['-device', 'virtio-rng-device'],
    ['-netdev', 'user,id=n0,restrict=on', '-device', 'virtio-net-pci,netdev=n0,mac=52:54:00:aa:bb:cc'],
    ['-netdev', '{"type": "user", "id": "n0"}', '-device', 'virtio-net-device,netdev=n0'],
    ['-nic', 'none'],
    ['-netdev', '{"type": "user", "id": "n0", "hostfwd": [{"str": "tcp:127.0.0.1:0-:22"}, {"str": "udp:127.0.0.1:0-:53"}],'
     ' "dnssearch": [{"str": "a.example"}, {"str": "b.example"}]}', '-device', 'virtio-net-pci,netdev=n0'],
    ['-m', '0'],
    ['-M', 'virt,smp.cpus=2,smp.cores=2,memory.size=64M,boot.menu=off,default-bus-bypass-iommu=on'],
    ['-M', 'virt', '-no-fd-bootchk', '-win2k-hack', '-singlestep', '-compat', 'deprecated-input=accept'],
    ['-device', 'pcie-pci-bridge,io-reserve=4k,mem-reserve=1m,pref64-reserve=1m,bus-reserve=2'],
    ['-device', '{"driver": "virtio-rng-pci", "id": "r"}', '-set', 'device.r.max-bytes=5', '-set', 'device.r.period=7'],
    ['-drive', 'driver=null-co,id=d,if=none,size=1x', '-set', 'drive.d.size=1M', '-device', 'virtio-blk-device,drive=d'],
    ['-nic', 'user,model=virtio-net-pci,mac=52:54:00:aa:bb:cd'],
    ['-net', 'nic,model=virtio-net-pci', '-net', 'user'],
    ['-net', 'nic,model=virtio', '-net', 'user'],
    ['-net', 'nic', '-net', 'nic', '-net', 'user', '-net', 'socket,listen=127.0.0.1:0'],
    ['-netdev', 'user,id=u', '-netdev', 'hubport,id=h,hubid=1,netdev=u', '-nic', 'hubport,hubid=1', '-nic', 'hubport,hubid=1'],
    ['-nic', 'stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=0'],
    ['-netdev', '{"type": "stream", "id": "n", "reconnect-ms": 500, "addr": {"type": "unix", "path": "/nonexistent/s"}}'],
    ['-netdev', 'dgram,id=n,remote.type=inet,remote.host=239.1.2.3,remote.port=0'],
    ['-nic', 'user,model=virtio'],
    ['-net', 'none'],
    ['-blockdev', 'driver=null-co,node-name=disk,size=1M', '-device', 'virtio-blk-pci,drive=disk'],
    ['-blockdev', 'driver=null-co,node-name=disk,size=1M', '-global', 'virtio-blk-device.drive=disk', '-device', 'virtio-blk-device'],
    ['-blockdev', 'driver=null-co,node-name=disk,size=64M', '-M', 'virt,pflash0=disk'],
    ['-drive', 'driver=null-co,if=virtio,size=1M', '-drive', 'driver=null-co,size=1M,index=3', '-device', 'virtio-blk-pci,drive=v',
     '-drive', 'driver=null-co,if=none,id=v,size=1M'],
    ['-object', 'secret,id=s,data=x', '-object', 'throttle-group,id=t'],
    ['-drive', 'driver=null-co,id=d,if=none,size=1M', '-device', 'virtio-blk-device,drive=d'],
    ['-drive', 'driver=null-co,if=virtio,size=1M', '-snapshot'],
    ['-chardev', 'null,id=c0,mux=on', '-serial', 'chardev:c0', '-mon', 'chardev=c0'],
    ['-chardev', 'ringbuf,id=c1', '-device', 'virtio-serial', '-device', 'virtconsole,chardev=c1'],
    ['-serial', 'null', '-serial', 'none', '-parallel', 'none'],
    ['-serial', '/dev/null', '-chardev', 'serial,id=z,path=/dev/zero'],
    ['-chardev', 'udp,id=u,port=9', '-serial', 'chardev:u', '-serial', 'udp:127.0.0.1:9@127.0.0.1:0'],
    ['-object', 'filter-dump,id=f,netdev=n,file=/dev/null,queue=rx,maxlen=64,status=off', '-netdev', 'user,id=n'],
    ['-display', 'default,show-cursor=on'],
    ['-serial', 'vc', '-qmp', 'null'],
    ['-nodefaults', '-no-user-config', '-no-reboot', '-no-shutdown', '-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny', '-k', 'de', '-vga', 'none'],
    ['-action', 'reboot=shutdown,shutdown=pause,panic=exit-failure', '-watchdog-action', 'none'],
    ['-fw_cfg', 'name=opt/joe/x,string=hello', '-fw_cfg', 'opt/joe/y,file=/etc/hostname'],
    ['-d', 'guest_errors,unimp,int', '-D', '/dev/null', '-dfilter', '0x0..0xffff,0x40000000+0x1000'],
    ['-trace', 'pl011*', '-msg', 'timestamp=on', '-echr', '0x14'],
    ['-M', 'virt-8.2,gic-version=3,accel=tcg'],
    ['-M', 'type=virt,dump-guest-core=off,mem-merge=on,usb=off'],
    ['-cpu', 'max,pauth=off', '-M', 'gic-version=2'],
    ['-cpu', 'cortex-a72,-pmu'],
    ['-rtc', 'base=2024-02-29T12:00:00,clock=rt,driftfix=slew', '-device', 'virtio-rtc-pci'],
    ['-rtc', 'localtime,driftfix=none,clock=vm', '-device', 'virtio-rtc-device'],
    ['-cpu', 'max,lpa2=off,backcompat-cntfrq=off,x-rme=off,sve-max-vq=0,sve128=off,sme=off,vfp=on,pauth-qarma5=off,has_gcie=off,start-powered-off=off'],
    ['-cpu', 'neoverse-n1,cntfrq=1000000000'],
    ['-cpu', 'cortex-a76'],
    ['-M', 'gic_version=3,dump_guest_core=off,kernel_irqchip=on,highmem_ecam=off', '-smp', '9', '-m', '300G'],
    ['-accel', 'tcg,tb_size=64,one_insn_per_tb=off'],
    ['-accel', 'tcg,thread=single,one-insn-per-tb=off,split-wx=off', '-M', 'virt,secure=off,mte=off'],
]


# The same of the PC.
REFUSED_PC = [
    (['-M', 'pc,wdat=on'], r"wdat=on: not yet: ACPI's table"),
    (['-M', 'pc,x-south-bridge=piix4-isa'], r"'piix4-isa' is no value .*PIIX3"),
    (['-M', 'q35,x-south-bridge=PIIX3'], r"no property 'x-south-bridge'"),
    (['-M', 'isapc,x-south-bridge=PIIX3'], r"no property 'x-south-bridge'"),
    (['-M', 'isapc', '-m', '64,maxmem=128M,slots=1'], r"machine 'isapc' takes no slots="),
    (['-M', 'pc,x-oem-id=ABCDEFG'], r'more than 6 bytes'),
    (['-M', 'pc,x-oem-table-id=ABCDEFGHI'], r'more than 8 bytes'),
    (['-M', 'pc,dumpdtb=x'], r'dumpdtb=x: not yet: a device tree'),
    (['-cpu', 'max,avx10-version=1'], r"avx10-version=1: not yet: AVX10"),
    (['-cpu', 'max,lbr-fmt=5'], r"lbr-fmt=5: not yet: last branch records"),
    (['-drive', 'if=none,id=d,readonly=maybe'], r"Parameter 'readonly' expects 'on' or 'off'"),
    (['-drive', 'if=none,id=d,snapshot=1'], r"Parameter 'snapshot' expects 'on' or 'off'"),
    (['-drive', 'if=none,format=nfs,file=/etc/hostname'], r"Unknown driver 'nfs': not yet"),
]


def run(*arguments, stdin='', timeout=20, program=KASO):
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout)


def wait_for_handler(process, number):
    """Until the process catches the signal, or has it blocked for a thread that waits for it."""
    for _ in range(1200):
        with open(f'/proc/{process.pid}/status', encoding='utf-8') as status:
            masks = re.findall(r'^Sig(?:Blk|Cgt):\s*(\w+)$', status.read(), re.M)
        if any(int(mask, 16) >> (number - 1) & 1 for mask in masks):
            return
        time.sleep(0.05)
    raise AssertionError(f'no handler for signal {number} in a minute')


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def file(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path, 'wb') as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def test_refused(self):
        for arguments, wanted in REFUSED:
            with self.subTest(arguments=arguments):
                result = run(*arguments, *(['-S'] if len(arguments) > len(VIRT) else []))
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertRegex(result.stderr, wanted)
                self.assertRegex(result.stderr, r'^kaso-system-aarch64: ')
                self.assertEqual(result.stdout, '')

    def test_refused_by_the_pc(self):
        for arguments, wanted in REFUSED_PC:
            with self.subTest(arguments=arguments):
                result = run('-display', 'none', '-S', *arguments, program=PC)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertRegex(result.stderr, wanted)

    def test_empty_disc(self):
        for drive in (['-cdrom', ''], ['-drive', 'file=,media=cdrom'], ['-drive', 'media=cdrom']):
            result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', *drive, stdin='info block\nquit\n',
                         program=os.path.join(os.path.dirname(KASO), 'kaso-system-x86_64'))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn('-cd0: [not inserted]', result.stdout)

    def test_preallocated(self):
        """All of the memory is there at the start, in huge pages if the host has some."""
        with open('/sys/kernel/mm/transparent_hugepage/enabled', encoding='ascii') as file:
            huge = '[never]' not in file.read()
        for more in (['-mem-prealloc'], ['-object', 'memory-backend-ram,id=m,size=64M,prealloc=on', '-M', 'memory-backend=m']):
            with subprocess.Popen([KASO, '-M', 'virt', '-m', '64', '-display', 'none', '-serial', 'none', '-S', '-monitor', 'stdio',
                                   *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                process.stdout.read(1)
                with open(f'/proc/{process.pid}/smaps_rollup', encoding='ascii') as file:
                    sizes = dict(re.findall(r'^(\w+): +(\d+) kB', file.read(), re.M))
                process.communicate('quit\n', timeout=allow(20))
            self.assertGreaterEqual(int(sizes['Rss']), 64 << 10)
            if huge:
                self.assertGreaterEqual(int(sizes['AnonHugePages']), 32 << 10)

    def test_help(self):
        for arguments, wanted in HELP:
            with self.subTest(arguments=arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stderr, '')
                self.assertTrue(re.search(wanted, result.stdout, re.M), result.stdout)

    def test_accepted(self):
        for arguments in ACCEPTED:
            with self.subTest(arguments=arguments):
                result = run(*VIRT, *arguments, '-S', '-monitor', 'stdio', stdin='quit\n')
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_memory_of_machine(self):
        """A bare number counts bytes there and MiB with -m, which holds wherever it stands."""
        for arguments, size in [(['-M', 'none,memory.size=67108864'], 64 << 20), (['-m', '128', '-M', 'none,memory.size=64M'], 128 << 20),
                                (['-M', 'none,memory.size=64M', '-m', '128'], 128 << 20), (['-M', 'none,memory.size=64M', '-m', 'maxmem=64M'], 64 << 20)]:
            done = run(*arguments, '-S', '-display', 'none', '-monitor', 'stdio', stdin='info memory_size_summary\nquit\n')
            self.assertIn(f'base memory: {size}\n', done.stdout, (arguments, done.stderr))

    def test_models_as_tools_read_them(self):
        text = run('-cpu', 'help', program=os.path.join(FOLDER, 'kaso-system-x86_64')).stdout
        models, flags = re.fullmatch(r'Available CPUs:\n((?:  \S+ +.*\n)+)\nRecognized CPUID flags:\n((?:  \S.*\n)+)', text).groups()
        names = [re.match(r'^  (\S+)  ', f'{line}  ').group(1) for line in models.splitlines()]
        self.assertEqual(names[-3:], ['base', 'host', 'max'])
        self.assertEqual(names[:-3], sorted(names[:-3]))
        self.assertIn('aes', flags.split())
        self.assertRegex(models, r'\n  Cascadelake-Server-noTSX  \(alias of ')

    def test_cirrus_on_isa(self):
        """Another chip on another bus than cirrus-vga, with 2 MiB; extended registers are there when unlocked."""
        registers = [(0x3d4, 0x27, 0xa0), (0x3c4, 0x17, 0x38), (0x3c4, 0xf, 0x18), (0x3c4, 0x15, 3), (0x3c4, 0x1f, 0x22), (0x3ce, 0x18, 0)]
        lines = ['o /b 0x3c2 0x1', 'o /b 0x3c4 6', 'o /b 0x3c5 0x12']
        lines += [line for port, index, _ in registers for line in (f'o /b {port:#x} {index:#x}', f'i /b {port + 1:#x}')]
        for arguments in (['-M', 'pc', '-vga', 'none', '-device', 'isa-cirrus-vga'], ['-M', 'isapc', '-vga', 'cirrus']):
            done = run(*arguments, '-nodefaults', '-S', '-display', 'none', '-monitor', 'stdio', stdin='\n'.join([*lines, 'quit', '']),
                       program=os.path.join(FOLDER, 'kaso-system-x86_64'))
            values = [int(value, 16) for value in re.findall(r'portb\[0x\w+\] = 0x?(\w+)', done.stdout)]
            self.assertEqual(values, [value for _, _, value in registers], (arguments, done.stdout, done.stderr))

    def test_whole_pages(self):
        result = run(*VIRT, '-m', '65.1M', '-S', '-monitor', 'stdio', stdin='info memory_size_summary\nquit\n')
        self.assertIn('base memory: 68263936', result.stdout, result)

    def test_companions(self):
        """USB controllers that share ports with a device at them end, together and one before the other."""
        usb = ['-device', 'ich9-usb-ehci1,id=usb', '-device', 'ich9-usb-uhci1,masterbus=usb.0,firstport=0,id=c',
               '-device', 'usb-mouse,bus=usb.0']
        for commands in ['quit\n', 'device_del c\ninfo usb\nquit\n', 'device_del usb\ninfo usb\nquit\n']:
            result = run('-M', 'pc', '-display', 'none', '-m', '64', '-monitor', 'stdio', *usb, stdin=commands,
                         program=os.path.join(FOLDER, 'kaso-system-x86_64'))
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_ends(self):
        off, reset, loop = (self.file(n, c) for n, c in [('off', POWER_OFF), ('reset', RESET), ('loop', LOOP)])
        result = run(*VIRT, '-kernel', off)
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        result = run(*VIRT, '-kernel', reset, '-no-reboot')
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            process = subprocess.Popen([KASO, *VIRT, '-kernel', loop], stderr=subprocess.PIPE, text=True)
            wait_for_handler(process, number)
            process.send_signal(number)
            _, text = process.communicate(timeout=allow(60))
            self.assertEqual(process.returncode, 0)
            self.assertRegex(text, rf'^kaso: ended by a signal: terminating on signal {int(number)} from pid {os.getpid()} \(.+\)\n$')
        result = run(*VIRT, '-kernel', loop, '-monitor', 'stdio', stdin='info status\nquit\n')
        self.assertEqual(result.returncode, 0)
        self.assertIn('VM status: running', result.stdout)
        result = run(*VIRT, '-kernel', off, '-no-shutdown', '-monitor', 'stdio', timeout=20,
                     stdin='info version\n' * 200 + 'quit\n')
        self.assertEqual(result.returncode, 0)

    def test_last_line_on_terminal(self):
        """An ordinary end is told to people only."""
        for content, options, wanted in [(POWER_OFF, [], 'kaso: guest powered off'), (RESET, ['-no-reboot'], 'kaso: guest reset')]:
            master, slave = os.openpty()
            with subprocess.Popen([KASO, *VIRT, '-kernel', self.file('k', content), *options], stdin=subprocess.DEVNULL,
                                  stderr=slave) as process:
                self.assertEqual(process.wait(timeout=allow(20)), 0)
            os.close(slave)
            text = b''
            with contextlib.suppress(OSError):  # EIO after the last line
                while True:
                    text += os.read(master, 65536)
            os.close(master)
            self.assertIn(wanted, text.decode())

    def test_exit_statuses(self):
        off, reset, loop = (self.file(n, c) for n, c in [('off', POWER_OFF), ('reset', RESET), ('loop', LOOP)])
        quits = ['-kernel', loop, '-monitor', 'stdio']
        for arguments, plain, distinct in [(['-kernel', off], 0, 0), (['-kernel', reset, '-no-reboot'], 0, 10), (quits, 0, 13)]:
            for option, wanted in [('exit-status=plain', plain), ('exit-status=distinct', distinct),
                                   ('exit-status.poweroff=41,exit-status.reset=41,exit-status.quit=41', 41)]:
                with self.subTest(arguments=arguments, option=option):
                    self.assertEqual(run(*VIRT, *arguments, '-action', option, stdin='quit\n').returncode, wanted)
        for option, wanted in [('exit-status=plain', 0), ('exit-status=distinct', 128 + signal.SIGTERM), ('exit-status.signal=42', 42)]:
            self.assertEqual(self.end_by_signal('-action', option), wanted)

    def test_panic(self):
        panic = ['-M', 'virt,highmem=off', '-device', 'pvpanic-pci,addr=1', '-nic', 'none', '-kernel', self.file('panic', PANIC)]
        for options, wanted in [([], 0), (['-action', 'panic=exit-failure'], 1), (['-action', 'exit-status=distinct'], 11),
                                (['-action', 'exit-status.panic=99'], 99)]:
            result = run(*VIRT, *panic, *options)
            self.assertEqual((result.returncode, result.stderr), (wanted, 'kaso: guest panicked\n'))

    def end_by_signal(self, *arguments):
        """The status after SIGTERM, which is sent once the guest has written to its console."""
        kernel = self.file('talk', serial_program('x', LOOP))
        with subprocess.Popen([KASO, *VIRT, '-kernel', kernel, '-serial', 'stdio', *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.read(1)
            process.send_signal(signal.SIGTERM)
            return process.wait(timeout=allow(20))

    def test_console_match(self):
        talk = self.file('talk', serial_program('booting\r\n\x1b[1;32mOK\x1b[0m done\nlogin: ', LOOP))
        for rules, status, text in [
            (['console-match=booting,exit=5'], 5, ''),
            (['console-match=^OK done$,exit=6'], 6, ''),  # without colours and line ends
            (['console-match=login: $,exit'], 0, ''),     # a prompt without a line end
            (['console-match=boot.*done,exit=9', 'console-match=login,exit=7'], 7, ''), # one line at a time
            (['console-match=boo,log', 'console-match=OK,log', 'console-match=login,exit=8'], 8, "console-match 'boo' in 'boo"),
            (['console-match=booting,exit=1,chardev=other', 'console-match=login,exit=3,chardev=serial0'], 3, 'chardev=other: there is no such'),
        ]:
            with self.subTest(rules=rules):
                result = run(*VIRT, '-kernel', talk, '-serial', 'null', *(part for rule in rules for part in ('-action', rule)))
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(text, result.stderr)
        with subprocess.Popen([KASO, *VIRT, '-kernel', talk, '-serial', 'null', '-action', 'console-match=login,stop', '-qmp', 'stdio'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write('{"execute": "qmp_capabilities"}')
            process.stdin.flush()
            self.assertTrue(any('"STOP"' in line for line in process.stdout)) # it ends at the first
            process.stdin.write('{"execute": "quit"}')
            process.stdin.close()
            process.stdout.read()
            self.assertEqual(process.wait(timeout=allow(60)), 0)

    def test_silence(self):
        loop, talk = self.file('loop', LOOP), self.file('talk', serial_program('x', LOOP))
        for kernel, options, wanted in [(loop, ['silence=1'], True), (loop, ['silence=off'], False), (talk, ['silence=3'], False)]:
            with self.subTest(kernel=kernel, options=options):
                process = subprocess.Popen([KASO, *VIRT, '-kernel', kernel, '-serial', 'file:' + os.path.join(self.folder.name, 'out'),
                                            '-action', options[0]], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                if wanted:
                    self.assertIn('console=ttyAMA0', process.stderr.readline())
                else:
                    time.sleep(3.5 if kernel == talk else 1.5)
                process.terminate()
                _, text = process.communicate(timeout=allow(60))
                self.assertNotIn('console=', text)

    def test_cut_off_kernel(self):
        """A kernel for x86 says how long it is, and what is missing would be noticed late and without a word."""
        image = bytearray(1024 + 4096)
        image[0x1f1], image[0x211], image[0x202:0x206] = 1, 1, b'HdrS'
        image[0x206:0x208] = (0x204).to_bytes(2, 'little')
        for paragraphs, whole in ((256, True), (257, False)):
            image[0x1f4:0x1f8] = paragraphs.to_bytes(4, 'little')
            result = run('-display', 'none', '-kernel', self.file('kernel', bytes(image)), '-S', '-monitor', 'stdio',
                         stdin='quit\n', program=PC)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual('is cut off: of 5136 bytes 5120 are there' in result.stderr, not whole, result.stderr)

    def test_pipes(self):
        """Nobody writes to it: who waited for that could not be interrupted, either."""
        pipe = self.file('pipe', b'')
        os.unlink(pipe)
        os.mkfifo(pipe)
        for arguments, program in [((pipe,), KASO), (('-cdrom', pipe), PC), (('-hda', pipe), PC),
                                   (('-drive', f'file={pipe},format=raw,readonly=on,if=virtio'), PC)]:
            result = run('-display', 'none', *arguments, program=program)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertRegex(result.stderr, 'requires a regular file|is a pipe')

    def test_unlikely_kernels(self):
        elf = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHI', 2, 62, 1) + bytes(100)
        efi = b'MZ' + bytes(58) + struct.pack('<I', 64) + b'PE\0\0' + struct.pack('<H', 0x8664) + bytes(100)
        for name, content, wanted, status in [
            ('script', '#!/bin/sh\necho hello\n', 'looks like a script', 0),
            ('page', '<html><body>404</body></html>\n', 'looks like a web page', 0),
            ('text', 'hello, world\n' * 3, 'looks like text', 0),
            ('bzimage', bytes(0x202) + b'HdrS' + bytes(100), 'a Linux kernel for x86', 0),
            ('zimage', bytes(0x24) + b'\x18\x28\x6f\x01' + bytes(100), 'a Linux kernel for 32-bit ARM', 0),
            ('uimage', b'\x27\x05\x19\x56' + bytes(100), 'a uImage of type 0', 1),
            ('elf', elf, 'an ELF file for x86-64', 1),
            ('efi', efi, 'an EFI program for x86-64', 0),
            ('disk', b'QFI\xfb' + bytes(100), 'a qcow2 disk image', 0),
            ('code', LOOP, None, 0),
        ]:
            with self.subTest(name=name):
                result = run(*VIRT, '-kernel', self.file(name, content), '-S', '-monitor', 'stdio', stdin='quit\n')
                self.assertEqual(result.returncode, status, result.stderr)
                if wanted:
                    self.assertIn(wanted, result.stderr)
                else:
                    self.assertEqual(result.stderr, '')

    def test_signal_while_waiting(self):
        path = os.path.join(self.folder.name, 'serial')
        process = subprocess.Popen([KASO, *VIRT, '-serial', f'unix:{path},server=on,wait=on'], stderr=subprocess.PIPE)
        for _ in range(1200):
            if os.path.exists(path):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=allow(60))
        self.assertNotEqual(process.returncode, 0)

    def test_signal_while_made(self):
        """What a machine is made of may never come: a pipe that nobody writes to, a server that says nothing."""
        pipe = os.path.join(self.folder.name, 'pipe')
        os.mkfifo(pipe)
        with socket.create_server(('127.0.0.1', 0)) as silent:
            port = silent.getsockname()[1]
            for number, more, *arguments in [
                (signal.SIGINT, [], PC, '-kernel', pipe), (signal.SIGTERM, [], PC, '-bios', pipe),
                (signal.SIGHUP, [], KASO, '-M', 'virt', '-kernel', pipe), (signal.SIGINT, [], PC, '-device', f'loader,file={pipe}'),
                (signal.SIGTERM, ['-action', 'exit-status=distinct'], KASO, '-M', 'virt', '-dtb', pipe, '-kernel', self.file('off', POWER_OFF)),
                (signal.SIGTERM, [], PC, '-drive', f'file=nbd://127.0.0.1:{port},format=raw'),
                (signal.SIGINT, [], PC, '-drive', f'file=http://127.0.0.1:{port}/x,format=raw,readonly=on'),
            ]:
                with self.subTest(arguments=arguments):
                    process = subprocess.Popen([*arguments, *more, '-display', 'none'], stderr=subprocess.PIPE)
                    self.addCleanup(process.kill)
                    self.await_sleep(process)
                    process.send_signal(number)
                    text = process.communicate(timeout=allow(60))[1].decode()
                    self.assertEqual(process.returncode, 128 + number if more else 0, text)
                    self.assertIn(f'ended by a signal before the machine ran: terminating on signal {int(number)} from pid', text)

    def await_sleep(self, process):
        """It waits: no time passes for it any more, and signals are its own already."""
        used = None
        for _ in range(600):
            time.sleep(0.3)
            with open(f'/proc/{process.pid}/stat', encoding='ascii') as stat:
                now = stat.read().rsplit(')', 1)[1].split()[11:13]
            with open(f'/proc/{process.pid}/status', encoding='ascii') as status:
                blocked = int(re.search(r'SigBlk:\s*(\w+)', status.read()).group(1), 16)
            if now == used and blocked >> signal.SIGTERM - 1 & 1:
                return
            used = now
        self.fail('it does not wait')

    def test_pid_file_of_another(self):
        path = os.path.join(self.folder.name, 'pid')
        process = subprocess.Popen([KASO, *VIRT, '-S', '-pidfile', path], stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        for _ in range(1200):
            if os.path.exists(path) and os.path.getsize(path):
                break
            time.sleep(0.05)
        result = run(*VIRT, '-S', '-pidfile', path)
        self.assertEqual(result.returncode, 1)
        self.assertIn('belongs to a running process', result.stderr)
        self.assertTrue(os.path.exists(path))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=allow(60))
        self.assertEqual(process.returncode, 0)
        self.assertFalse(os.path.exists(path))

    def test_resident(self):
        with open(os.path.join(FOLDER, 'meson-info', 'intro-buildoptions.json'), encoding='utf-8') as options:
            if 'address' in json.dumps([o['value'] for o in json.load(options) if o['name'] == 'b_sanitize']):
                self.skipTest('sanitizers need memory of their own')
        process = subprocess.Popen([KASO, '-M', 'virt', '-display', 'none', '-m', '256', '-kernel',
                                    self.file('off', POWER_OFF)], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertLess(usage.ru_maxrss, 25 * 1024)

    def test_mux(self):
        loop = self.file('loop', LOOP)
        process = subprocess.Popen([KASO, *VIRT, '-kernel', loop, '-serial', 'mon:stdio'], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for keys in [b'\x01c', b'info status\n', b'\x01x']:
            process.stdin.write(keys)
            process.stdin.flush()
            time.sleep(0.5)
        out, text = process.communicate(timeout=allow(60))
        self.assertEqual(process.returncode, 0, text)
        self.assertIn(b'VM status: running', out)
        self.assertEqual(text, b'')

    def test_bad_images(self):
        for name, content in [('empty', b''), ('short', b'\x7fELF'), ('gzip', b'\x1f\x8b\x08' + b'\0' * 20)]:
            path = self.file(name, content)
            for option in ['-kernel', '-bios', '-dtb']:
                with self.subTest(name=name, option=option):
                    result = run(*VIRT, option, path, '-S', '-monitor', 'stdio', stdin='quit\n')
                    self.assertIn(result.returncode, [0, 1])
                    if name == 'empty' or option == '-dtb':
                        self.assertEqual(result.returncode, 1, result.stderr)
                        self.assertIn(path, result.stderr)

    def test_config_file(self):
        off = self.file('off', POWER_OFF)
        config = self.file('config', f'''# a machine
[machine]
  type = "virt"
  kernel = "{off}"
[memory]
  size = "64M"
[device "r0"]
  driver = "virtio-rng-pci"
''')
        result = run('-accel', 'tcg,interp=on', '-display', 'none', '-readconfig', config)
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        broken = self.file('broken', '[machine\n')
        result = run('-readconfig', broken)
        self.assertIn('line 1: write [option]', result.stderr)

    def test_daemon(self):
        pid_file = os.path.join(self.folder.name, 'pid')
        monitor = os.path.join(self.folder.name, 'monitor')
        result = run(*VIRT, '-daemonize', '-pidfile', pid_file, '-monitor', f'unix:{monitor},server=on,wait=off',
                     '-kernel', self.file('loop', LOOP))
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(pid_file, encoding='ascii') as file:
            pid = int(file.read())
        os.kill(pid, 0)
        busy = run(*VIRT, '-pidfile', pid_file, '-S')
        self.assertIn('belongs to a running process', busy.stderr)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(monitor)
            client.sendall(b'quit\n')
            client.settimeout(allow(60))
            while client.recv(4096):
                pass
        for _ in range(600):
            if not os.path.exists(pid_file):
                break
            time.sleep(0.1)
        self.assertFalse(os.path.exists(pid_file))
        failing = run(*VIRT, '-S', '-daemonize', '-device', 'no-such-device')
        self.assertEqual(failing.returncode, 1)
        self.assertIn('no-such-device', failing.stderr)

    def test_accelerators(self):
        off = self.file('off', POWER_OFF)
        result = run('-M', 'virt,accel=kvm:tcg', '-display', 'none', '-S', '-kernel', off, '-monitor', 'stdio', stdin='quit\n')
        self.assertIn('trying the next', result.stderr)

    def test_perfmap(self):
        process = subprocess.Popen([KASO, '-M', 'virt', '-display', 'none', '-perfmap', '-kernel', self.file('off', POWER_OFF)])
        self.assertEqual(process.wait(allow(20)), 0)
        path = f'/tmp/perf-{process.pid}.map'
        with open(path) as lines:
            names = [line.split()[2] for line in lines]
        os.remove(path)
        self.assertEqual(names[0], 'thunks')
        self.assertIn('guest-40', names[1])

    def test_one_instruction_units(self):
        """Each instruction is entered by itself, in order."""
        off = self.file('off', POWER_OFF)
        for program in (['-accel', 'tcg,one-insn-per-tb=on'], ['-singlestep'], ['-one-insn-per-tb', '-accel', 'tcg']):
            result = run('-M', 'virt', '-display', 'none', *program, '-d', 'exec', '-kernel', off)
            self.assertEqual(result.returncode, 0, result.stderr)
            entries = [int(text, 16) for text in re.findall(r'^exec cpu0 (\w+)', result.stderr, re.M)]
            self.assertEqual(entries[-3:], [entries[-1] - 8, entries[-1] - 4, entries[-1]])

    def test_cpu_identity(self):
        """A CPU has a property that is called model, like the first word of -cpu in our tables."""
        result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', '-cpu', 'qemu64,vendor=GenuineIntel,family=6,model=2,stepping=3',
                     program=PC, stdin='quit\n')
        self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_nic_help(self):
        for option in ['-net', 'nic,model=help'], ['-nic', 'user,model=help'], ['-nic', 'model=help']:
            result = run('-M', 'virt', *option)
            self.assertEqual((result.returncode, result.stderr), (0, ''))
            self.assertIn('virtio-net-pci', result.stdout)
            self.assertNotIn('virtio-blk-pci', result.stdout)

    def test_triple_fault(self):
        # lidt of zeroes, then int3
        rom = b'\x0f\x01\x1e\x20\x00\xcc'.ljust(0xfff0, b'\x90') + b'\xea\x00\x00\x00\xf0'.ljust(16, b'\x00')
        result = run('-M', 'pc', '-nodefaults', '-display', 'none', '-no-reboot', '-bios', self.file('rom', rom),
                     program=os.path.join(FOLDER, 'kaso-system-x86_64'))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('triple fault\n', result.stderr)
        self.assertRegex(result.stderr, r'(?s)cpu0: triple fault.*E?IP ?= ?0*5')

    def test_none(self):
        result = run('-machine', 'none,accel=kvm:tcg', '-nodefaults', '-nographic', '-no-user-config', '-S',
                     '-qmp', 'stdio', stdin='{"execute": "qmp_capabilities"}{"execute": "quit"}')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('"return"', result.stdout)

    def test_default_drives(self):
        """A PC has an empty CD and an empty floppy drive, unless something else is in their places."""
        image = self.file('image', bytes(512 * 2880))
        raw = f'format=raw,file={image}'
        for options, wanted in [([], 'ide1-cd0 floppy0'), (['-nodefaults'], ''), (['-cdrom', image], 'ide1-cd0 floppy0'),
                                (['-drive', f'if=floppy,{raw}'], 'floppy0 ide1-cd0'), (['-device', 'ide-cd'], 'floppy0'),
                                (['-drive', f'index=2,{raw}', '-device', '{"driver": "floppy"}'], 'ide1-hd0'),
                                (['-drive', f'if=floppy,index=1,{raw}', '-M', 'isapc'], 'floppy1 ide1-cd0 floppy0')]:
            with self.subTest(options=options):
                result = run('-M', 'pc', '-display', 'none', '-S', '-qmp', 'stdio', *options, program=PC,
                             stdin='{"execute": "qmp_capabilities"}{"execute": "query-block"}{"execute": "quit"}')
                self.assertEqual(result.returncode, 0, result.stderr)
                blocks = json.loads(result.stdout.splitlines()[2])['return']
                self.assertEqual(' '.join(sorted(b['device'] for b in blocks if b['device'])), ' '.join(sorted(wanted.split())))

    def test_pc_refusals(self):
        """What a PC says of files and properties that it does not have."""
        for arguments, wanted in [(['-boot', 'splash=/nonexistent/s.jpg'], r"cannot read the splash picture '/nonexistent/s.jpg': .*No such file"),
                                  (['-boot', 'splash=nonexistent.jpg'], r"cannot read the splash picture 'nonexistent.jpg': .*No such file")]:
            with self.subTest(arguments=arguments):
                result = run('-M', 'pc', '-display', 'none', '-S', *arguments, program=PC)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertRegex(result.stderr, wanted)
        result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', '-dtb', self.file('tree', b'x'), '-global',
                     'PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off', program=PC, stdin='quit\n')
        self.assertEqual((result.returncode, result.stderr), (0, "machine 'pc-i440fx-11.1': -dtb is of no use without -kernel\n"))
        result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', '-global', 'PIIX4_PM.acpi-pci-hotplug-with-bridge-support=on',
                     program=PC, stdin='quit\n')
        self.assertRegex(result.stderr, r'^kaso: warning: -global .*not yet: hot plug behind bridges\n$')

    def test_audio_and_display(self):
        """Options that say what is so anyway, as scripts give them."""
        for arguments in (['-audiodev', 'none,id=a,in.mixing-engine=off,out.mixing-engine=off'],
                          ['-display', 'none,gl=off,show-cursor=on,window-close=off,full-screen=off']):
            with self.subTest(arguments=arguments):
                result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', *arguments, program=PC, stdin='quit\n')
                self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_no_screen(self):
        """Where no window can be opened, one line on the terminal tells how the screen is seen, and the text screen."""
        terminal, end = os.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in ('DISPLAY', 'WAYLAND_DISPLAY')}
        with subprocess.Popen([PC, '-S', '-monitor', 'none', '-serial', 'none'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=end, env=environment) as process:
            os.close(end)
            with open(terminal, 'rb', buffering=0) as file:
                line = file.readline().decode()
                process.terminate()
        self.assertRegex(line, r"-vnc 127.0.0.1:0 .*'info text' prints a text screen .*-display none")

    def test_unused_globals(self):
        """What is for a device that may be plugged later is no slip; for a type that there is not, it is."""
        for name, wanted in [('virtio-blk-pci.scsi=off', r'^$'), ('virtio-blk-pcj.scsi=off', r"-global virtio-blk-pcj.*no such device")]:
            result = run(*VIRT, '-S', '-monitor', 'stdio', '-global', name, stdin='quit\n')
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr, wanted)

    def test_flash_of_nodes(self):
        """libvirt names the firmware's flash by nodes, and wants each at one place."""
        for machine, program, code, variables in (('pc', PC, '1M', '512K'), ('virt', KASO, '64M', '64M')):
            nodes = [word for name, size in (('code', code), ('vars', variables)) for word in ('-blockdev', f'driver=null-co,node-name={name},size={size}')]
            result = run('-M', f'{machine},pflash0=code,pflash1=vars', '-display', 'none', '-S', '-monitor', 'stdio', *nodes, program=program,
                         stdin='info block\nquit\n')
            self.assertEqual(result.returncode, 0, result.stderr)
            for name in ('code', 'vars'):
                self.assertEqual(len(re.findall(rf'\b{name}: .*\(null-co\)', result.stdout)), 1, result.stdout)

    def test_cpu_spellings(self):
        """Features may be spelt with underscores, with + and - before them, and by older names."""
        for cpu in ['qemu64,+lahf_lm,+sse4_1,-sse4_2,+cmp_legacy,kvm_pv_eoi=off', 'max,l3_cache=off,hv_relaxed,hv_spinlocks=0x1fff',
                    'Nehalem,xd=on,i64=on,+pclmuldq']:
            with self.subTest(cpu=cpu):
                result = run('-M', 'pc', '-display', 'none', '-S', '-monitor', 'stdio', '-cpu', cpu, program=PC, stdin='quit\n')
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_programs(self):
        link = os.path.join(self.folder.name, 'qemu-system-i386')
        os.symlink(os.path.join(FOLDER, 'kaso'), link)
        result = run('-display', 'none', '-S', '-monitor', 'stdio', program=link, stdin='info cpus\nquit\n')
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        result = run('-M', 'virt', '-accel', 'tcg,interp=on', '-display', 'none', '-kernel', self.file('off', POWER_OFF),
                     program=os.path.join(FOLDER, 'kaso'))
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        result = run(program=os.path.join(FOLDER, 'kaso'))
        self.assertIn('which machine?', result.stderr)

    def test_huge_pages(self):
        """Where the host has too few, it is said at the start; the guest's first access to a lacking one would end everything."""
        with open('/proc/meminfo', encoding='utf-8') as file:
            memory = dict(line.split(':') for line in file)
        size = (int(memory.get('HugePages_Free', '0')) + 8) * 2048
        backend = f'memory-backend-memfd,id=m,size={size}K,hugetlb=on,hugetlbsize=2M'
        result = run(*VIRT[:-2], '-m', f'{size}K', '-S', '-monitor', 'stdio', '-object', backend, '-M', 'virt,memory-backend=m', stdin='quit\n')
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, 'nr_hugepages has how many|cannot create its memory')


if __name__ == '__main__':
    unittest.main()
