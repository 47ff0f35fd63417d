#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-kvm-guest KASO KASO_IMG CC ROOT KERNEL [PATTERN]: the accelerator "kvm" on a real KVM, which scripts/kvm-guest makes: all in one guest. Bare-metal
programs, firmware and resets, and Linux to a shell, each with the interrupt controllers at all three places. PATTERN: only cases whose names
match it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from inner import CutOff, VIRTIO, initrd as initrd_with_modules, need_programs, run as run_in_guest
from patience import allow

KASO, KASO_IMG, CC, ROOT, KERNEL, *PATTERN = sys.argv[1:]
DONE = 33
folder = tempfile.TemporaryDirectory()
PLAIN = "-M pc -nodefaults -display none"
BARE = f"{PLAIN} -m 16 -device isa-debug-exit -debugcon stdio"
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off"
IRQCHIPS = ("on", "split", "off")
MEMTEST = "/boot/memtest86+ia32.bin"
OVMF = "/usr/share/ovmf/OVMF.fd"
ELF = os.path.join(ROOT, "build/boot/quick/amd64/linux")  # with a note that says where PVH begins
GUEST = os.path.join(ROOT, "build/guest/amd64")  # scripts/make-guest makes it
# A disk is written and compared; a file comes by TCP and goes back.
DEVICES = """
for disk in vda sda; do
  head -c 1048576 /dev/urandom >/random
  dd if=/random of=/dev/$disk bs=64k conv=fsync 2>/dev/null; echo 1 >/proc/sys/vm/drop_caches
  dd if=/dev/$disk bs=64k count=16 2>/dev/null | cmp - /random && echo "$disk as written by $(basename $(readlink -f /sys/block/$disk/device/driver))"
done
for card in eth0 eth1; do
  driver=$(basename $(readlink /sys/class/net/$card/device/driver))
  net=$([ $driver = e1000 ] && echo 10.1.0 || echo 10.2.0)
  ip link set $card up; ip addr add $net.15/24 dev $card
  ping -c 2 $net.2 | grep -c 'bytes from' | sed "s/^/$driver pings /"
  wget -q -O /file http://$net.2:8000/file && echo "$driver sum $(sha256sum </file)"
  ip link set $card down
done
poweroff -f
"""
HYPERV = ("hv-relaxed,hv-vapic,hv-time,hv-reset,hv-vpindex,hv-runtime,hv-synic,hv-stimer,hv-stimer-direct,hv-frequencies,hv-tlbflush,hv-ipi,"
          "hv-spinlocks=0x1fff")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def path(name, content=None):
    full = os.path.join(folder.name, name)
    if content is not None:
        with open(full, "wb") as file:
            file.write(content)
    return full


def program(name):
    """The ROM of a bare-metal program."""
    elf, image = path(name + ".elf"), path(name + ".bin")
    subprocess.run([CC, "-m32", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector", "-nostdlib", "-static", "-mno-sse",
                    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-O1", "-Wl,-N,-Ttext=0xf0000,--build-id=none,-e,start", "-w",
                    "-I", ROOT, "-o", elf, f"{ROOT}/tests/kvm/start.S", f"{ROOT}/tests/kvm/{name}.c"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["objcopy", "-O", "binary", elf, image], check=True)
    with open(image, "rb") as file:
        return path(name + ".rom", file.read().ljust(0xfff0, b"\0") + b"\xea\0\0\0\xf0".ljust(16, b"\0"))


def reference(rom, *options):
    """What a program prints on the translator."""
    done = subprocess.run([KASO, *BARE.split(), "-cpu", "max", "-bios", rom, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=allow(120), check=False)
    assert done.returncode == DONE, done
    return done.stdout


CONTROLLERS = "wait-for -s -t 100 on console /ready/\nstop\ninfo pic\ninfo lapic\ninfo irq 3\ninfo irq 4\nquit\n"
SHOWN = "-M pc -m 16 -nodefaults -display none -serial null -serial null -debugcon null -cpu qemu64 -S -monitor stdio -bios"


def controllers(rom):
    """What the monitor shows of the translator's interrupt controllers."""
    done = subprocess.run([KASO, *SHOWN.split(), rom], input=CONTROLLERS, capture_output=True, text=True, timeout=allow(120), check=False)
    assert done.returncode == 0, done
    return done.stdout[done.stdout.index("pic0:"):]


def resetting_sector():
    """'r' to port 0xe9; the clock's memory counts to ten; the keyboard controller resets, or port 0x501 ends."""
    sector = bytes.fromhex("b072e6e9 b040e670e471fec0e671 3c0a 7405 b0fee664f4 ba0105b010eef4")
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def floppy():
    return path("floppy", resetting_sector().ljust(1440 << 10, b"\0"))


def initrd():
    """A shell script as the first program: what CPUs, devices and time there are."""
    tree = path("tree")
    for name in "bin", "proc", "dev", "sys":
        os.makedirs(os.path.join(tree, name))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    with open(os.path.join(tree, "init"), "w", encoding="utf-8") as file:
        file.write("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev\n"
                   "echo cpus $(grep -c ^processor /proc/cpuinfo) devices $(cat /sys/bus/pci/devices/*/device | tr '\\n' ' ')\n"
                   "echo clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)\n"
                   "dmesg | grep -iE 'hyper-v|kvm-guest|kvm-clock|KVM setup'\n"
                   "if grep -q sleeps /proc/cmdline; then echo mem >/sys/power/state && echo slept; fi\n"
                   "sleep 1; echo sum $(seq 1 1000 | md5sum); poweroff -f\n")
    os.chmod(os.path.join(tree, "init"), 0o755)
    image = path("initrd")
    subprocess.run(f"cd {tree} && find . | cpio -o -H newc --quiet | gzip -1 > {image}", shell=True, check=True)
    return image


class Cases:
    """Commands of the guest, and what their output must have: whole texts or patterns."""

    def __init__(self):
        self.files = {os.path.abspath(KASO), "/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-stdvga.bin", shutil.which("timeout")}
        self.cases = {}

    def add(self, name, options, *wanted, files=(), limit=120, status=DONE, typed=":", after=":"):
        """Shell commands: typed, whose output is typed at the monitor; after, which tell what the case left in files."""
        if not PATTERN or re.search(PATTERN[0], name):
            self.files.update(files)
            self.cases[name] = (options, [*wanted, f"^status {status}$"], limit, typed, after)

    def bare(self, name, options, rom, *wanted):
        self.add(name, f"{BARE} -bios {rom} {options}", *wanted, files=[rom])

    def linux(self, name, options, image, *wanted, files=(), plain=PLAIN, kernel=KERNEL):
        self.add(name, f"{plain} -m 192 -serial stdio -kernel {kernel} -initrd {image} {options} -append '{APPEND}'", *wanted,
                 "^sum 53d025127ae99ab79e8502aae2d9bea6", files=[kernel, image, *files], limit=300, status=0)

    def script(self, names):
        lines = [f"echo '== {name}'; ({typed}) | {os.path.abspath(KASO)} {options} 2>&1; s=$?; {after}; echo status $s"
                 for name, (options, _, _, typed, after) in self.cases.items() if name in names]
        return path("run.sh", ("#!/bin/sh\n" + "\n".join(lines) + "\necho '== '\n").encode())

    def check(self, name, text):
        """Says whether a case's output has all that it must have."""
        lacking = [words for words in self.cases[name][1] if not re.search(words, text, re.MULTILINE)]
        if lacking:
            print(f"== {name} lacks", *lacking, "in:", text[-6000:], sep="\n", flush=True)
        else:
            print(f"{name}: ok", flush=True)
        return not lacking

    def run(self):
        """All cases in one guest. One that comes to no end is ended with its guest, and the others go on in another."""
        left, failed = list(self.cases), []

        def ended(text):
            name = left.pop(0)
            if not self.check(name, text[text.rindex(f"== {name}\n"):]):
                failed.append(name)

        def started(name, text):
            if name != left[0]:
                ended(text[:text.rindex("== ")])

        while left:
            try:
                run_in_guest(KASO, f"{ROOT}/scripts", self.script(left), sorted(self.files), lambda name: 3 * self.cases[name][2] if name else 600, started=started)
            except CutOff as cut:
                text = cut.args[0]
                if not left:
                    break
                if f"== {left[0]}\n" not in text:
                    sys.exit(f"the guest did not start:\n{text}")
                print(f"{left[0]}: came to no end", flush=True)
                failed.append(left[0])
                self.check(left[0], text[text.rindex(f"== {left.pop(0)}\n"):])
        assert not failed, failed


def whole(text):
    return "^" + re.escape(text)


AMD = "68747541 444d4163 69746e65"
KVM_SIGNATURE = "4b4d564b 564b4d56 0000004d"


def add_processors(cases):
    """What options of -cpu make of CPUID; a virtual machine in the guest's own, and a reset from inside of it."""
    rom, nested = program("cpuid"), program("nested")
    for options, *wanted in (
            # All of the kernel's interfaces, its virtualization, and neither MWAIT nor what AMD has not.
            ("host", f"^40000000.00 40000001 {KVM_SIGNATURE}", "^40000001.00 01007", r"^80000001.00 \S+ \S+ \S{7}[4-7c-f] ", r"^00000001.00 \S+ \S+ \S{7}[0-7] ",
             r"^00000007.00 \S+ \S+ \S+ [014589cd]"),
            ("host,kvm=off", f"^00000000.00 \\S+ {AMD}(?![^=]*{KVM_SIGNATURE})"),
            ("host,-svm,kvm-pv-eoi=off,kvm-steal-time=off", "^40000001.00 01007e9b", r"^80000001.00 \S+ \S+ \S{7}[0-3] "),
            ("host,l3-cache=off", r"^80000006.00 \S+ \S+ \S+ 00000000"),
            ("host,host-phys-bits-limit=38", r"^80000008.00 0000\w\w26"),
            ("host,hv-relaxed,hv-no-nonarch-coresharing=on", r"^40000004.00 0004\w{4} "),
            ("host,hv-relaxed", r"^40000004.00 0000\w{4} "),
            ("host,kvm-hint-dedicated=on", "^40000001.00 .* 00000001$"),
            ("host -overcommit cpu-pm=on", r"^00000001.00 \S+ \S+ \S{7}[89a-f] "),
            # Models: the vendor is the host's, and of the kernel's interfaces what there is everywhere.
            ("qemu64", "^40000001.00 0100007b", r"^80000001.00 \S+ \S+ \S{7}[0-3] "),
            ("Haswell,check=off", f"^00000000.00 0000000d {AMD}", "^80000005.00 01ff01ff 01ff01ff 40020140 40020140"),
            ("EPYC,check=off,svm=on", r"^80000001.00 \S+ \S+ 004\S{4}[4-7c-f] "),
            ("Haswell,vendor=GenuineIntel,check=off", "^00000000.00 0000000d 756e6547 6c65746e 49656e69")):
        cases.bare(f"cpu {options}", f"-accel kvm -cpu {options}", rom, *wanted, "^end$")
    cases.add("cpu scaled", f"{BARE} -accel kvm -cpu host,tsc-frequency=12345000", "this host's counter runs at .* and KVM cannot scale it", status=1)
    for irqchip in IRQCHIPS:
        cases.bare(f"nested {irqchip}", f"-accel kvm,kernel-irqchip={irqchip} -cpu max", nested, "^ready\nexit=00000081 eax=00001234 \nefer=00000000 end$")


def grub_images():
    """GRUB, which says 'g' on port 0xe9 and ends by port 0x501, on a floppy disk and a disk. [] where it is not installed."""
    folder_of_grub, core = "/usr/lib/grub/i386-pc", path("core.img")
    if not shutil.which("grub-mkimage") or not os.path.isdir(folder_of_grub):
        return []
    words = path("grub.cfg", b"outb 0xe9 0x67\noutb 0x501 0x10\n")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", words, "-o", core, *"biosdisk iorw part_msdos ext2 normal linux vbe ls".split()], check=True)
    with open(f"{folder_of_grub}/boot.img", "rb") as first, open(core, "rb") as rest:
        image = first.read() + rest.read()
    return [("fda", path("grub.floppy", image.ljust(1440 << 10, b"\0"))), ("hda", path("grub.disk", image.ljust(8 << 20, b"\0")))]


def clearing_sector():
    """Clears a screen of text that nobody has; 'f' to port 0xe9 when it then reads as ones."""
    sector = bytes.fromhex("b800b8 8ec0 31ff b82007 b9d007 fc f3ab 26a00000 3cff b066 7402 b06e e6e9 ebfe")
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def add_no_screen(cases):
    """Stores to where no screen is do not leave the guest one by one."""
    disk = path("clearing", clearing_sector().ljust(1440 << 10, b"\0"))
    cases.add("no screen", f"{PLAIN} -m 16 -debugcon file:/said -monitor stdio -accel kvm -drive if=floppy,format=raw,file={disk}",
              r"^writes gathered \d{4} ", "^f$", files=[disk], status=0, after="cat /said; echo; rm -f /said",
              typed="until grep -q . /said; do sleep 0.5; done; echo info kvm; sleep 1; echo quit")


def add_loaders(cases, image):
    """GRUB; a pass of memtest86+; a Linux that sleeps (S3) until the monitor wakes it."""
    for drive, disk in grub_images():
        for irqchip in IRQCHIPS:
            cases.add(f"grub {drive} {irqchip}", f"{BARE} -accel kvm,kernel-irqchip={irqchip} -{drive} {disk}", "^g", files=[disk], limit=200)
    for irqchip in IRQCHIPS:
        cases.add(f"s3 {irqchip}", f"{PLAIN} -m 192 -serial file:/serial -monitor stdio -accel kvm,kernel-irqchip={irqchip} -cpu host -kernel {KERNEL} "
                  f"-initrd {image} -append '{APPEND} no_console_suspend sleeps' >/monitor", "^slept", "^sum 53d025127ae99ab79e8502aae2d9bea6",
                  files=[KERNEL, image], limit=300, status=0, after="cat /serial; tail -n 3 /monitor; echo; rm -f /serial /monitor",
                  typed="until grep -q suspended /monitor; do sleep 1; echo info status; done; echo system_wakeup; sleep 1")
    if os.path.exists(MEMTEST):
        cases.add("memtest", f"{PLAIN} -vga std -m 16 -accel kvm -cpu max -monitor stdio -kernel {MEMTEST} >/text", r"Pass:  1 +Errors: 0$",
                  files=[MEMTEST], limit=700, status=0, after="grep Pass: /text | tail -n 1; tail -n 3 /text; echo; rm -f /text",
                  typed="until grep -q 'Pass:  1 ' /text; do sleep 5; echo info text; done; echo quit")


def add_q35(cases, image):
    """The other board: SeaBIOS from an AHCI disk, and Linux; and OVMF on both."""
    plain = PLAIN.replace("-M pc", "-M q35")
    disk = path("q35.disk", resetting_sector().ljust(1 << 20, b"\0"))
    for irqchip in IRQCHIPS:
        accel = f"-accel kvm,kernel-irqchip={irqchip}"
        cases.add(f"q35 firmware {irqchip}", f"{BARE.replace('-M pc', '-M q35')} {accel} -drive if=none,id=d,format=raw,file={disk} -device ide-hd,drive=d",
                  "^r{10}", files=[disk], limit=200)
        cases.linux(f"q35 linux {irqchip}", f"{accel} -cpu host -smp 2 -drive if=none,id=d,format=raw,file={disk} -device virtio-blk-pci,drive=d -device e1000", image,
                    "^cpus 2 devices .*0x29c0.*0x2918", "^clock kvm-clock", files=[disk], plain=plain)
    if os.path.exists(OVMF):
        for name, board in ("ovmf", PLAIN), ("q35 ovmf", plain):
            cases.add(name, f"{board} -m 256 -serial stdio -accel kvm -cpu host -smp 2 -bios {OVMF}", "UEFI Interactive Shell", files=[OVMF], limit=400, status=0, after="echo",
                      typed="while sleep 3; do printf 'reset -s\\r'; done")


def add_devices(cases):
    """Linux with virtio's and the PC's own disks and network cards, the latter to a server of the host."""
    kernel, content = os.path.join(GUEST, "kernel"), os.urandom(2 << 20)
    if not os.path.exists(kernel):
        return
    modules = [*VIRTIO, *"failover net_failover virtio_net virtio_blk e1000 scsi_common scsi_mod libata ata_piix crct10dif_common crct10dif_generic crc-t10dif crc64 crc64-rocksoft t10-pi sd_mod".split()]
    image = initrd_with_modules(path("devices"), os.path.join(GUEST, "initrd.img"), modules, DEVICES)
    disks = [path(name, bytes(2 << 20)) for name in ("disk.virtio", "disk.ide")]
    given = path("given", content)
    for irqchip in IRQCHIPS:
        cases.add(f"devices {irqchip}", f"{PLAIN} -m 192 -serial stdio -kernel {kernel} -initrd {image} -append '{APPEND}' -accel kvm,kernel-irqchip={irqchip} -cpu host -smp 2 "
                  f"-drive if=virtio,format=raw,file={disks[0]} -drive if=ide,format=raw,file={disks[1]} -netdev user,id=a,net=10.1.0.0/24 -device e1000,romfile=,netdev=a "
                  "-netdev user,id=b,net=10.2.0.0/24 -device virtio-net-pci,romfile=,netdev=b", "^vda as written by virtio_blk", "^sda as written by sd",
                  *(words for driver in ("e1000", "virtio_net") for words in (f"^{driver} pings 2", f"^{driver} sum {hashlib.sha256(content).hexdigest()}")),
                  files=[kernel, image, given, *disks], limit=300, status=0, after="killall httpd",
                  typed=f"ifconfig lo up; mkdir -p /srv; cp {given} /srv/file; httpd -p 8000 -h /srv")


def add_halts(cases):
    """CPUs that wake each other, and themselves: left alone while others want the processor, and saved and loaded again and again."""
    rom, disk = program("halts"), path("halts.disk")
    subprocess.run([KASO_IMG, "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
    options = f"{PLAIN} -m 16 -smp 2 -device isa-debug-exit -debugcon file:/said -monitor stdio -cpu max -bios {rom} -drive if=none,id=d,format=qcow2,file=/halts"
    said = {"files": [rom, disk], "limit": 300}

    def typed(pause, times, what, done=":"):
        return f"cp {disk} /halts; n=0; while sleep {pause} && [ $((n += 1)) -lt {times} ]; do printf '{what}'; {done}; done; echo quit"

    def loaded():
        """A guest that is saved as soon as it is loaded would not get on."""
        return "until [ $(grep -c loadvm /monitor) -ge $n ]; do sleep 0.1 && echo info status; done"

    for irqchip in IRQCHIPS:
        cases.add(f"halts {irqchip}", f"{options} -accel kvm,kernel-irqchip={irqchip} >/monitor", "^priority=00000000 $", "^round=00001770 ", "^end$", **said,
                  typed=typed(0.01, 6000, "info status\\n"), after="cat /said; rm -f /said /monitor /halts")
        cases.add(f"halts saved {irqchip}", f"{options} -accel kvm,kernel-irqchip={irqchip} >/monitor", "^round=00001770 ", "^end$", r"^loads ([2-9]|\d\d)",
                  **said, typed=typed(0.4, 200, "savevm a\\nloadvm a\\n", loaded()),
                  after="echo loads $(grep -c loadvm /monitor); grep -i error /monitor; cat /said; rm -f /said /monitor /halts")


def make_cases():
    cases, disk, image = Cases(), floppy(), initrd()
    rom, hyperv, events = program("programs"), program("hyperv"), program("events")
    card = "-audiodev none,id=n -device intel-hda,addr=5 -device hda-duplex,audiodev=n"
    wanted, of_events = whole(reference(rom)), whole(reference(events, *card.split()))
    for irqchip in IRQCHIPS:
        accel = f"-accel kvm,kernel-irqchip={irqchip}"
        cases.bare(f"programs {irqchip}", f"{accel} -cpu max", rom, wanted)
        cases.bare(f"events {irqchip}", f"{accel} -cpu max {card}", events, of_events)
        cases.add(f"firmware {irqchip}", f"{BARE} {accel} -drive if=floppy,format=raw,file={disk}", "^r{10}", files=[disk], limit=200)
        for cpus in 1, 2:
            kernel_apic = ["kvm-guest: setup PV IPIs", "kvm-guest: PV spinlocks enabled"] if cpus > 1 and irqchip != "off" else []
            cases.linux(f"linux {irqchip} {cpus}", f"{accel} -cpu host -smp {cpus} -device virtio-blk-pci,drive=d "
                        f"-drive if=none,id=d,format=raw,file={disk} -device e1000 -vga std", image,
                        f"^cpus {cpus} devices .*0x1237.*0x7000.*0x1111", "^clock kvm-clock", "kvm-clock: Using msrs",
                        *kernel_apic, files=[disk])
        if os.path.exists(ELF):
            cases.linux(f"pvh {irqchip}", f"{accel} -cpu host -smp 2", image, "^cpus 2 ", "^clock kvm-clock", kernel=ELF)
    add_processors(cases)
    add_loaders(cases, image)
    add_no_screen(cases)
    add_q35(cases, image)
    add_devices(cases)
    add_halts(cases)
    pauses = program("pauses")
    for irqchip in IRQCHIPS:
        cases.add(f"pauses {irqchip}", f"{PLAIN} -m 16 -smp 2 -device isa-debug-exit -debugcon file:/said -monitor stdio -accel kvm,kernel-irqchip={irqchip} -cpu max "
                  f"-bios {pauses} >/monitor", "^priorities lost=00000000", "^end$", files=[pauses], limit=300, after="cat /said; rm -f /said /monitor",
                  typed="while sleep 0.1; do printf 'info registers -a\nstop\ninfo lapic\ncont\n'; done")
    ticks, chips, clock = program("ticks"), program("chips"), program("kvmclock")
    shown = [re.escape(line) for line in controllers(chips).splitlines() if line]
    for irqchip in IRQCHIPS:
        cases.add(f"controllers {irqchip}", f"{SHOWN} {chips} -accel kvm,kernel-irqchip={irqchip}", *shown, files=[chips], status=0,
                  typed=f"printf '{CONTROLLERS}'")
        ended = [] if irqchip == "off" else ["^ended=00000014"]
        cases.add(f"clock {irqchip}", f"{PLAIN} -m 16 -device isa-debug-exit -debugcon file:/clock -monitor stdio -S -accel kvm,kernel-irqchip={irqchip} "
                  f"-cpu host -bios {clock}", "^steal time$", *ended, "^clock stands still$", "^end$", files=[clock], after="cat /clock; rm -f /clock",
                  typed="printf 'wait-for -s -t 60 on console /ready/\nstop\n'; sleep 3; echo cont; sleep 1")
    cases.bare("ticks cpu-pm", "-accel kvm -cpu host -overcommit cpu-pm=on", ticks, "^01 .* 6[45] end$")
    for policy in "delay", "discard":
        cases.bare(f"ticks {policy}", f"-accel kvm -cpu max -global kvm-pit.lost_tick_policy={policy}", ticks, "^01 .* 6[45] end$")
    cases.add("ticks speaker", f"{BARE} -accel kvm -cpu max -audiodev none,id=a -machine pcspk-audiodev=a -bios {ticks}", "^01 .* 6[45] end$",
              files=[ticks])
    for irqchip in "on", "split":
        accel = f"-accel kvm,kernel-irqchip={irqchip}"
        cases.bare(f"hyperv {irqchip}", f"{accel} -cpu max,{HYPERV},hv-crash,hv-vendor-id=Kaso", hyperv, "^leaf=40000000 eax=40000005 Kaso$",
                   "^leaf=40000001 eax=31237648 ", "^leaf=40000002 eax=00003839 ebx=000a0000 ",
                   "^leaf=40000003 eax=00000aff ebx=00000000 ecx=00000000 edx=00080508 ", "^leaf=40000004 eax=00000c2c ebx=00001fff ",
                   "^leaf=40000100 eax=40000101 KVMKVMKVM$", "^call=00000002 no call=00000002 ", "^tsc apic index=00000000 ",
                   "^message=80000010 ", "^reset end$")
        cases.linux(f"linux hyperv {irqchip}", f"{accel} -smp 2 -cpu host,kvm=off,{HYPERV}", image, "^cpus 2 ", "^clock hyperv_clocksource_tsc_page",
                    "Hypervisor detected: Microsoft Hyper-V", "Hyper-V: Using IPI hypercalls", "Hyper-V: Using hypercall for remote TLB flush",
                    "Hyper-V: Using enlightened APIC")
    cases.add("hyperv off", f"{BARE} -accel kvm,kernel-irqchip=off -cpu max,{HYPERV} -bios {hyperv}",
              "CPU 'max' is without features that are not there on this host: hv-vapic, hv-synic, hv-stimer, hv-stimer-direct, hv-ipi$",
              "^leaf=40000003 eax=00000ae3 ", "^call=00000003 ", "^vector=0000000d ", files=[hyperv], status=35)
    return cases


def main():
    need_programs()
    if not os.path.exists(KERNEL):
        skip(f"{KERNEL} is not there (scripts/dev makes it)")
    make_cases().run()


main()
