#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-sound KASO GUEST CARDS [SECONDS]: Linux's drivers play a sine through sound cards, and record one, while the guest computes. What
arrives has the right frequency within 50 millionths, and from its first to its last frame no jump of more than a millisecond. CARDS: those
that GUEST (scripts/make-guest ARCH GUEST sound) has drivers for, isa (i386) or pci (amd64), or names of them, with commas."""
import array
import cmath
import math
import os
import re
import sys
import tempfile
import time
from collections import namedtuple

from guest import Guest
from patience import allow

SINE_HZ = 997
Card = namedtuple("Card", "devices modules driver records mixer")
# driver: as /proc/asound/cards names it; mixer: what it has to be told besides, so that it records.
CARDS = {
    "AC97": Card(["AC97,audiodev=@"], ["snd-intel8x0"], "ICH", True, "Line cap"),
    "hda": Card(["intel-hda", "hda-duplex,audiodev=@"], ["snd-hda-intel"], "HDA-Intel", True, None),
    "ES1370": Card(["ES1370,audiodev=@"], ["snd-ens1370"], "ENS1370|ES1370|Ensoniq", True, "Line cap"),
    "usb": Card(["qemu-xhci", "usb-audio,audiodev=@"], ["xhci_pci", "snd-usb-audio"], "USB-Audio", False, None),
    "virtio": Card(["virtio-sound-pci,audiodev=@"], ["virtio_snd"], "virtio", True, None),
    "sb16": Card(["sb16,audiodev=@"], ["snd-sb16 port=0x220 irq=5 dma8=1 dma16=5 isapnp=0"], "SB16", True, "Line cap"),
    "speaker": Card([], ["pcspkr", "evdev"], None, False, None),
}
RATES = (44100, 48000) # each card plays at one that its clock divides to exactly
GROUPS = {"pci": "AC97,hda,ES1370,usb,virtio,speaker", "isa": "sb16,speaker"}


def rate_of(name):
    return 48000 if name == "usb" else 44100


def write_sine(path, rate, seconds):
    """Stereo, 16 bits, a quarter of full scale; whole periods, so that it may be played again and again."""
    second = [int(8000 * math.sin(2 * math.pi * SINE_HZ * i / rate)) for i in range(rate)]
    frames = array.array("h", [s for sample in second for s in (sample, sample)])
    data = frames.tobytes() * seconds
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += bytes([1, 0, 2, 0]) + rate.to_bytes(4, "little") + (rate * 4).to_bytes(4, "little") + bytes([4, 0, 16, 0])
    with open(path, "wb") as file:
        file.write(head + b"data" + len(data).to_bytes(4, "little") + data)


def read_wave(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:4] == b"RIFF", (path, data[:16])
    at = data.index(b"data")
    size = int.from_bytes(data[at + 4:at + 8], "little")
    samples = array.array("h")
    samples.frombytes(data[at + 8:at + 8 + min(size, len(data) - at - 8) // 4 * 4])
    return int.from_bytes(data[24:28], "little"), samples[0::2]


class Sine:
    """A sine that was played once, from its first frame for so many seconds: its frequency, and its worst jumps, by its phase in
    blocks of 10 ms. What comes later is not looked at: a card plays what its ring still holds until its driver stops it."""

    def __init__(self, rate, samples, hz, seconds):
        high = max(map(abs, samples), default=0)
        assert high > 500, "only silence: %d" % high
        loud = [i for i in (0, len(samples) - 1) if abs(samples[i]) > high // 4]
        first = 0 if 0 in loud else next(i for i, s in enumerate(samples) if abs(s) > high // 4)
        last = min(first + int(seconds * rate), len(samples))
        self.seconds = (last - first) / rate
        block = rate // 100
        reference = [cmath.exp(-2j * math.pi * hz * i / rate) for i in range(block)]
        phases, levels, turns = [], [], 0.0
        for at in range(first, last - block, block):
            total = sum(s * r for s, r in zip(samples[at:at + block], reference)) * cmath.exp(-2j * math.pi * hz * at / rate)
            levels.append(abs(total) / block)
            phase = cmath.phase(total) / (2 * math.pi)
            if phases:
                turns += round(phases[-1] - turns - phase)
            phases.append(phase + turns)
            turns = phases[-1] - phase
        count, middle = len(phases), (len(phases) - 1) / 2
        mean = sum(phases) / count
        slope = sum((i - middle) * (p - mean) for i, p in enumerate(phases)) / sum((i - middle) ** 2 for i in range(count))
        self.millionths = slope * rate / block / hz * 1e6
        # From one block to the next, in milliseconds; half a period and more looks like less, and is seen by the length.
        jumps = [abs(b - a - slope) * 1000 / hz for a, b in zip(phases, phases[1:])]
        self.jump_ms, self.jump_at = max(zip(jumps, range(count)))
        level = sorted(levels)[count // 2]
        self.quiet_ms, self.quiet_at = max((10 * (1 - low / level), i) for i, low in enumerate(levels))

    def check(self, what):
        print("%s: %.3f s, frequency off by %.2f millionths, largest jump %.3f ms (at %.2f s), largest gap %.2f ms (at %.2f s)" %
              (what, self.seconds, self.millionths, self.jump_ms, self.jump_at / 100, self.quiet_ms, self.quiet_at / 100), flush=True)
        return abs(self.millionths) < 50 and self.jump_ms < 0.1 and self.quiet_ms < 1


class Machine:
    def __init__(self, kaso, guest, names, folder, seconds):
        self.folder, self.seconds = folder, seconds
        for rate in RATES:
            write_sine("%s/%d.wav" % (folder, rate), rate, seconds)
        with open(folder + "/recorded", "wb") as file:
            file.truncate((seconds * 4 * 48000 // 65536 + 2) * 65536)
        argv = [kaso, "-M", "pc" + (",pcspk-audiodev=speaker" if "speaker" in names else ""), "-cpu", "max", "-smp", "2", "-m", "1G",
                "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", guest + "/kernel", "-initrd",
                guest + "/initrd.img", "-append", "console=ttyS0 quiet panic=-1", "-snapshot", "-drive",
                "if=virtio,format=raw,file=%s/root.img" % guest]
        for rate in RATES:
            argv += ["-drive", "if=virtio,format=raw,readonly=on,file=%s/%d.wav" % (folder, rate)]
        for name in names:
            argv += ["-audiodev", "wav,id=%s,path=%s/%s.wav,in.path=%s/%d.wav,out.frequency=%d" %
                     (name, folder, name, folder, rate_of(name), rate_of(name))]
            for device in CARDS[name].devices:
                argv += ["-device", device.replace("@", name)]
        # Its writes are not a snapshot's.
        argv += ["-blockdev", "driver=file,filename=%s/recorded,node-name=recorded" % folder, "-device", "virtio-blk-pci,drive=recorded"]
        self.guest = Guest(argv)

    def sh(self, text, timeout=120):
        status, output = self.guest.command(text, timeout)
        assert status == 0, (text, output)
        return output

    def start(self):
        self.guest.expect("guest-ready", 300)
        self.guest.expect("bash-.*# ", 120)
        self.guest.line("stty -echo; PS1=; echo re''ady")
        self.guest.expect("^ready$", 60)
        self.sh("mknod /dev/null c 1 3 2>/dev/null; dmesg -n 1; true")

    def card(self, name):
        """Its number, once its driver has it and all its switches are on."""
        card = CARDS[name]
        for module in card.modules:
            self.sh("modprobe " + module)
        end = time.monotonic() + allow(60)
        while True:
            found = re.search(r"^ *(\d+) .*: (?:%s)" % card.driver, self.sh("cat /proc/asound/cards"), re.M)
            if found:
                break
            assert time.monotonic() < end, self.guest.command("cat /proc/asound/cards; dmesg | tail -n 20")[1]
            time.sleep(0.2)
        number = found[1]
        self.sh("amixer -c %s scontrols | sed \"s/^[^']*'\\(.*\\)',0$/\\1/\" | while read -r c; do"
                " amixer -q -c %s sset \"$c\" 100%% unmute >/dev/null 2>&1; amixer -q -c %s sset \"$c\" on cap >/dev/null 2>&1; done; true"
                % (number, number, number))
        if card.mixer:
            self.guest.command("amixer -q -c %s sset %s" % (number, card.mixer))
        return number

    def load(self):
        self.sh("for i in 1 2 3; do (while :; do gzip -9 </usr/bin/bash >/dev/null; done) & done >/dev/null 2>&1")

    def play(self, name):
        number = self.card(name)
        started = time.monotonic()
        output = self.sh("aplay -q -D hw:%s /dev/vd%s 2>&1" % (number, "bc"[RATES.index(rate_of(name))]), 20 * self.seconds + 60)
        print("%s: aplay took %.1f s %s" % (name, time.monotonic() - started, output), flush=True)
        assert "underrun" not in output, output

    def record(self, name):
        number = self.card(name)
        self.sh("arecord -q -D hw:%s -f S16_LE -r %d -c 2 -d %d /tmp/r.wav" % (number, rate_of(name), self.seconds), 20 * self.seconds + 60)
        self.sh("dd if=/tmp/r.wav of=/dev/vdd bs=64k conv=fsync 2>/dev/null; rm /tmp/r.wav")
        rate, samples = read_wave(self.folder + "/recorded")
        assert rate == rate_of(name)
        return Sine(rate, samples, SINE_HZ, self.seconds - 0.01).check(name + " recorded")

    def beep(self):
        """A tone by the input layer: struct input_event, EV_SND, SND_TONE."""
        for module in CARDS["speaker"].modules:
            self.sh("modprobe " + module)
        device = self.sh("cd /sys/class/input; while ! grep -l Speaker event*/device/name; do sleep 0.2; done").split("/")[0]
        zeros = "\\0" * (8 if "64" in self.sh("uname -m") else 4) * 2
        self.sh("printf '%s\\022\\0\\002\\0\\270\\001\\0\\0' >/tmp/on; printf '%s\\022\\0\\002\\0\\0\\0\\0\\0' >/tmp/off" % (zeros, zeros))
        self.sh("exec 9>/dev/input/%s; cat /tmp/on >&9; sleep %d; cat /tmp/off >&9; exec 9>&-" % (device, self.seconds), 20 * self.seconds)


def main():
    kaso, guest, names = sys.argv[1:4]
    seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 30
    names = GROUPS.get(names, names).split(",")
    if not os.path.exists(guest + "/root.img"):
        print("no %s: scripts/make-guest amd64 (or i386, for isa) %s sound makes it" % (guest, guest))
        sys.exit(77)
    good = []
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(kaso, guest, names, folder, seconds)
        with machine.guest:
            machine.start()
            machine.load()
            for name in names:
                if name == "speaker":
                    machine.beep()
                else:
                    machine.play(name)
                if CARDS[name].records:
                    good.append(machine.record(name))
            machine.guest.process.terminate()
            machine.guest.process.wait(allow(30))
        for name in names:
            rate, samples = read_wave("%s/%s.wav" % (folder, name))
            hz = 1193182 / (1193182 // 440) if name == "speaker" else SINE_HZ
            good.append(Sine(rate, samples, hz, seconds - 0.01).check(name + " played"))
    assert all(good)


main()
