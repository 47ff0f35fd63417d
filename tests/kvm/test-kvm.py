#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-kvm KASO CC START.S PROGRAMS.C STORM.C BARS.C FAIL-IOCTL.C [CLASS…]: the accelerator "kvm" where /dev/kvm opens, and what is said where it does not.
With "build FOLDER" for classes the programs are only made, for a run elsewhere that has FOLDER in place of CC.

The programs' output on KVM is that of the translator. A KVM that emulates in software may lack instructions; then it says so, and that
part is left out. KASO_KVM_TEST=strict takes nothing for left out (scripts/kvm-guest sets it)."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

KASO, CC, START, PROGRAMS, STORM, BARS, SHIM_SOURCE = sys.argv[1:8]
FOLDER = os.path.dirname(START)
folder = tempfile.TemporaryDirectory()
STRICT = os.environ.get("KASO_KVM_TEST") == "strict"
INTERNAL_ERROR = 70
DONE = 33  # by isa-debug-exit
PLAIN = ["-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", "-debugcon", "stdio"]


def no_kvm():
    """Why KVM cannot be tested here; "" when it can."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return ""
    except OSError as error:
        return f"/dev/kvm does not open: {error.strerror}"


def kvm_has(feature):
    """Whether this host's KVM offers a processor's feature to guests."""
    asked = ({"execute": "qmp_capabilities"}, {"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": {"name": "max"}}},
             {"execute": "quit"})
    done = subprocess.run([KASO, "-accel", "kvm", *PLAIN[:7], "-S", "-qmp", "stdio"], input="".join(map(json.dumps, asked)),
                          capture_output=True, text=True, timeout=allow(60), check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return next(answer["return"]["model"]["props"][feature] for answer in answers if answer.get("return", {}).get("model"))


def path(name, content=None):
    full = os.path.join(folder.name, name)
    if content is not None:
        with open(full, "wb") as file:
            file.write(content)
    return full


def rom(name, code):
    """A ROM of 64 KiB that begins with real-mode code at its start."""
    return path(name, code.ljust(0xfff0, b"\0") + b"\xea\0\0\0\xf0".ljust(16, b"\0"))


def built(source, kind):
    """Where a run of "build" has put what was made of a file."""
    return os.path.join(CC, os.path.basename(source) + kind)


def build(source):
    """The ROM of a bare-metal program."""
    if os.path.isdir(CC):
        return built(source, ".rom")
    elf, image = path("program.elf"), path("program.bin")
    subprocess.run([CC, "-m32", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector", "-nostdlib", "-static", "-mno-sse",
                    "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-O1", "-Wl,-N,-Ttext=0xf0000,--build-id=none,-e,start", "-w",
                    "-I", os.path.join(os.path.dirname(START), "../.."), "-o", elf, START, source], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["objcopy", "-O", "binary", elf, image], check=True)
    with open(image, "rb") as file:
        return rom("program.rom", file.read())


def run(*options, limit=None, **environment):
    """limit: a resource and how much there is of it."""
    def restrict():
        if limit:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    return subprocess.run([KASO, *PLAIN, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(120), check=False,
                          env={**os.environ, **environment}, preexec_fn=restrict)


SAYS_K = b"\xb0k\xe6\xe9\xba\x01\x05\xb0\x10\xee\xf4"  # 'k' to port 0xe9; 0x10 to port 0x501; hlt


def shim(source=SHIM_SOURCE):
    if os.path.isdir(CC):
        return built(source, ".so")
    library = path(os.path.basename(source) + ".so")
    if not os.path.exists(library):
        subprocess.run([CC, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class KvmTest(unittest.TestCase):
    def setUp(self):
        if no_kvm():
            self.skipTest(no_kvm())


CONTROLLERS = """wait-for -s -t 60 on console /ready/
stop
info pic
info lapic
info irq 3
info irq 4
quit
"""


class Programs(KvmTest):
    def test_programs(self):
        image = build(PROGRAMS)
        wanted = run("-cpu", "max", "-bios", image)
        self.assertEqual(wanted.returncode, DONE, wanted.stderr)
        self.assertTrue(wanted.stdout.endswith("end\n"), wanted.stdout)
        self.assertEqual(run("-accel", "tcg,interp=on", "-cpu", "max", "-bios", image).stdout, wanted.stdout)
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                got = run("-accel", f"kvm,kernel-irqchip={irqchip}", "-cpu", "max", "-bios", image)
                if got.returncode == INTERNAL_ERROR and not STRICT:
                    self.assertIn("an instruction that KVM does not emulate", got.stderr)
                    self.assertIn("EIP=", got.stderr)
                    self.skipTest("this KVM emulates in software, and lacks an instruction that the programs have")
                self.assertEqual(got.returncode, DONE, got.stderr)
                self.assertEqual(got.stdout, wanted.stdout)

    def test_events(self):
        """Breakpoints, watchpoints, steps, NMI, messages and SMI: the translator and its interpreter. (A real KVM is in kvm-guest.)"""
        options = ("-cpu", "max", "-audiodev", "none,id=n", "-device", "intel-hda,addr=5", "-device", "hda-duplex,audiodev=n", "-bios",
                   build(os.path.join(FOLDER, "events.c")))
        wanted = run(*options)
        self.assertEqual(wanted.returncode, DONE, wanted.stderr)
        for line in ("write:=00000001 dr6=ffff0ff1", "write beside:=00000000", "read:=00000001", "string:=00000001", "instruction:=00000001", "steps=00000005",
                     "nmi=00000002 nested=00000000", "messages=00000003 answer=00010001", "smi=00000003 flags=00000000"):
            self.assertRegex(wanted.stdout, f"(?m)^{line}")
        got = run(*options, "-accel", "tcg,interp=on")
        self.assertEqual((got.returncode, got.stdout), (DONE, wanted.stdout), got.stderr)

    def test_memory_storm(self):
        """Four CPUs, of which one takes the memory away that the others run from, and puts it back."""
        image = build(STORM)
        for options in ("tcg",), ("kvm",), ("kvm,kernel-irqchip=off",):
            with self.subTest(options):
                got = run("-accel", *options, "-smp", "4", "-cpu", "max", "-bios", image)
                self.assertEqual((got.returncode, got.stdout), (DONE, "others ran, and saw nothing\n"), got.stderr)

    def test_moving_memory(self):
        """A screen's memory is moved about under CPUs that write to it, with its stores recorded in one way and the other."""
        image = build(BARS)
        for options in ("tcg",), ("kvm",), ("kvm,dirty-ring-size=1024",):
            with self.subTest(options):
                got = run("-accel", *options, "-smp", "4", "-cpu", "max", "-vga", "std", "-bios", image)
                if "no rings of dirty pages" in got.stderr:
                    continue
                self.assertEqual((got.returncode, got.stdout), (DONE, "wrong=00000000 \nend\n"), got.stderr)

    def test_controllers_shown(self):
        """What the monitor says of interrupt controllers is the same, wherever they are."""
        image, wanted = build(os.path.join(FOLDER, "chips.c")), None
        for options in ("tcg", *(f"kvm,kernel-irqchip={irqchip}" for irqchip in IRQCHIPS)):
            with self.subTest(options):
                got = subprocess.run([KASO, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-serial", "null", "-serial", "null", "-debugcon", "null",
                                      "-cpu", "qemu64", "-S", "-monitor", "stdio", "-bios", image, "-accel", options], input=CONTROLLERS,
                                     capture_output=True, text=True, timeout=allow(120), check=False)
                shown = got.stdout[got.stdout.find("pic0:"):]
                wanted = wanted or shown
                self.assertEqual(got.returncode, 0, got.stderr)
                for words in "Reached: console", "Remote IRR 4", "IRR\t 69 97 98 ", "pic0: irr=18 ", "pending (IRR)", "EFLAGS.IF is 0":
                    self.assertIn(words, got.stdout)
                self.assertEqual(shown, wanted)

    def test_dirty_ring_words(self):
        got = run("-accel", "kvm,dirty-ring-size=1000", "-S")
        self.assertIn("dirty-ring-size=1000: it is a power of two, such as 4096", got.stderr)


class Events(KvmTest):
    def test_events(self):
        """What the monitor's debugger can wait for, and what is refused."""
        image = rom("says.rom", b"\xb0k\xe6\xe9\xeb\xfa")  # 'k' to port 0xe9 again and again
        script = """break on exception pf
break on register cr3
wait-for -s -t 60 on port 0xe9 write if value == 107
wait-for -t 60 on console /kkk/
wait-for -t 60 on time +1ms
quit
"""
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                got = subprocess.run([KASO, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-debugcon", "null", "-S", "-monitor",
                                      "stdio", "-accel", f"kvm,kernel-irqchip={irqchip}", "-bios", image], input=script,
                                     capture_output=True, text=True, timeout=allow(120), check=False)
                said = got.stdout
                self.assertEqual(got.returncode, 0, got.stderr)
                self.assertIn("accelerator 'kvm' does not tell of exceptions; use -accel tcg", said)
                self.assertIn("accelerator 'kvm' does not tell of system registers; use -accel tcg", said)
                self.assertIn("Reached: port 0xe9 <- 0x6b", said)
                self.assertRegex(said, "Reached: console .*kkk")
                self.assertIn("Reached: time", said)


def threads_of(pid):
    """Names of a process's threads."""
    names = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            names.add(file.read().strip())
    return names


class Options(KvmTest):
    def status_of(self, *options):
        """What /proc tells of a machine whose guest runs: its memory, and the names of its threads."""
        process = subprocess.Popen([KASO, *PLAIN, "-smp", "2", "-accel", "kvm", "-bios", rom("loop.rom", b"\xeb\xfe"), *options], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + allow(60)
            while time.monotonic() < deadline and process.poll() is None:
                names = threads_of(process.pid)
                if {"CPU 0/KVM", "CPU 1/KVM"} <= names:
                    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
                        return dict(line.split(":", 1) for line in file)
                time.sleep(0.05)
            self.fail(f"no threads of CPUs: {names}, {process.communicate()[1] if process.poll() is not None else ''}")
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    def test_threads(self):
        self.assertEqual(self.status_of("-name", "x,debug-threads=on")["VmLck"].split(), ["0", "kB"])

    def test_locked(self):
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY and os.geteuid():
            self.skipTest("this user may not lock much memory (ulimit -l)")
        for how in "on", "on-fault":
            locked = int(self.status_of("-overcommit", f"mem-lock={how}")["VmLck"].split()[0])
            self.assertGreater(locked, 16 << 10, how)

    def test_rate(self):
        """A rate of time stamps: where the kernel scales it is told, elsewhere the user."""
        image = rom("k.rom", SAYS_K)
        got = run("-accel", "kvm", "-cpu", "max,tsc-frequency=1234500000", "-bios", image, LD_PRELOAD=shim(), KVM_SCALES="1")
        self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)
        self.assertIn("rate 1234500 kHz", got.stderr)
        got = run("-accel", "kvm", "-cpu", "max,tsc-frequency=1234500000", "-bios", image, LD_PRELOAD=shim(), KVM_SCALES="0")
        self.assertEqual(got.returncode, 1)
        self.assertIn("KVM cannot scale it", got.stderr)

    def test_words(self):
        """Options that are taken, and those that are not, as they were written."""
        image = rom("k.rom", SAYS_K)
        for option, value in (("-accel", "kvm,device=/dev/kvm"), ("-accel", "kvm,notify-vmexit=run,notify-window=1000"), ("-accel", "kvm,notify-vmexit=disable"),
                              ("-name", "x,debug-threads=off"), ("-cpu", "max,hv-relaxed,hv-no-nonarch-coresharing=auto"), ("-overcommit", "mem-lock=off")):
            with self.subTest(value):
                got = run(*(["-accel", "kvm"] if option != "-accel" else []), option, value, "-bios", image)
                self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)
        for option, value, words in (("-accel", "kvm,device=/dev/null", "'/dev/null' is no KVM"), ("-accel", "kvm,device=/dev/nobody", "cannot open '/dev/nobody'"),
                                     ("-accel", "kvm,notify-vmexit=perhaps", "give one of run, internal-error, disable"),
                                     ("-accel", "kvm,dirty-ring-size=1", "dirty-ring-size=1"), ("-name", "x,debug-threads=perhaps", "'perhaps' is no value for debug-threads"),
                                     ("-overcommit", "mem-lock=perhaps", "give on, off or on-fault"), ("-cpu", "max,hv-no-nonarch-coresharing=perhaps", "perhaps")):
            with self.subTest(value):
                got = run(*(["-accel", "kvm"] if option != "-accel" else []), option, value, "-bios", image)
                self.assertEqual(got.returncode, 1, got.stderr)
                self.assertIn(words, got.stderr)

    def test_no_counters(self):
        """The kernel keeps no performance counters for guests, which do not see any: they would cost at each exit."""
        got = run("-accel", "kvm", "-cpu", "max", "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_COUNTS="1")
        self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)
        self.assertIn("counters: 0x1\n", got.stderr)  # KVM_PMU_CAP_DISABLE

    def asked(self, *commands, model="max"):
        """What the commands of QMP answer, and what is warned of the machine's CPUs."""
        lines = [{"execute": "qmp_capabilities"}, *commands, {"execute": "quit"}]
        got = subprocess.run([KASO, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-S", "-accel", "kvm", "-cpu", model, "-qmp", "stdio"],
                             input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, timeout=allow(120), check=False)
        self.assertEqual(got.returncode, 0, got.stderr)
        return [answer["return"] for answer in map(json.loads, got.stdout.splitlines()) if "return" in answer][1:-1], got.stderr

    def test_models_told(self):
        """Programs are told what this host lacks of each model as users are, and of 'host' what can be asked for."""
        (models, expanded), _ = self.asked({"execute": "query-cpu-definitions"}, {"execute": "query-cpu-model-expansion", "arguments": {"type": "static", "model": {"name": "host"}}})
        models = {model["name"]: model for model in models}
        for name in "qemu64", "Haswell", "EPYC-Genoa", "486", "max":
            warned = re.search(r"without features that are not there on this host: (.*)", self.asked(model=name)[1])
            self.assertEqual(models[name]["unavailable-features"], warned[1].split(", ") if warned else [], name)
        self.assertTrue(models["EPYC-Genoa"]["migration-safe"] and not models["host"]["migration-safe"])
        props = expanded["model"]["props"]
        self.assertRegex(props["vendor"], "^.{12}$")
        self.assertEqual((props["kvmclock"], props["lm"], props["avx10"], type(props["family"])), (True, True, False, int))
        wanted = ",".join(f"{name}={'on' if props[name] else 'off'}" for name in ("lm", "avx2", "pni", "x2apic", "kvmclock", "smap", "gfni", "vaes"))
        self.assertEqual(self.asked(model=f"host,enforce,{wanted}")[1], "")


class Firmware(KvmTest):
    """Long where KVM emulates real mode in software."""

    def test_virtio(self):
        """SeaBIOS boots from a virtio disk, whose kicks come by descriptor or not."""
        disk = path("disk", bytes.fromhex("b072e6e9ba0105b010eef4").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        for options in "", ",disable-modern=on,disable-legacy=off", ",ioeventfd=off":
            with self.subTest(options):
                got = run("-accel", "kvm", "-drive", f"if=none,id=d,format=raw,file={disk}", "-device", f"virtio-blk-pci,drive=d{options}")
                self.assertEqual((got.returncode, got.stdout), (DONE, "r"), got.stderr)

    def test_firmware(self):
        """SeaBIOS finds what it runs on, boots a sector from a floppy disk, and that resets the machine a few times."""
        # 'r' to port 0xe9; the clock's memory counts; the keyboard controller resets, or port 0x501 ends.
        sector = bytes.fromhex("b072e6e9 b040e670e471fec0e671" + f"3c{RESETS:02x}" + "7405 b0fee664f4 ba0105b010eef4")
        disk = path("floppy", sector.ljust(510, b"\0") + b"\x55\xaa" + bytes(1440 * 1024 - 512))
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                log = path("seabios.log")
                got = run("-accel", f"kvm,kernel-irqchip={irqchip}", "-drive", f"if=floppy,format=raw,file={disk}", "-chardev",
                          f"file,id=log,path={log}", "-device", "isa-debugcon,chardev=log,iobase=0x402")
                self.assertEqual(got.returncode, DONE, got.stderr)
                self.assertEqual(got.stdout.count("r"), RESETS)
                with open(log, encoding="utf-8", errors="replace") as file:
                    text = file.read()
                self.assertIn("Running on KVM", text)


class Moves(KvmTest):
    def test_interrupts_under_way(self):
        """A tick that waits at a CPU in HLT, or that KVM has begun to deliver, when the machine stops comes in the next process: else none would any more."""
        # In real mode, whose IRET is emulated where KVM is software: the PIC, 100 ticks a second, six hundred of them counted in BX by its vector 0x20.
        image, state = rom("ticks.rom", bytes.fromhex("fa31c08ed88ed0bc007cc70680004600c706820000f0b011e620b020e621b004e621b001e621b0fee621b034e643b09ce640b02ee64031dbfbf481fb580272f8ba0105b010ee43b020e620cf")), path("state")
        for irqchip in IRQCHIPS:
            with self.subTest(irqchip):
                command = [KASO, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", "-debugcon", "null",
                           "-accel", f"kvm,kernel-irqchip={irqchip}", "-bios", image, "-monitor", "stdio"]
                for hop in range(12):
                    with subprocess.Popen([*command, *(["-incoming", f"file:{state}"] if hop else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, text=True) as process:
                        time.sleep(0.4)
                        if hop < 11:
                            out, _ = process.communicate(f"migrate file:{state}\nquit\n", timeout=allow(60))
                            if hop and process.returncode == DONE:  # a busy host's sleep is longer than all ticks
                                break
                            self.assertEqual(process.returncode, 0, out)
                        else:
                            try:
                                process.wait(allow(60))
                            finally:
                                process.kill()
                            self.assertEqual(process.returncode, DONE)


class States(KvmTest):
    """What may be lost while the machine is stopped, looked at, or on its way to another process."""
    ACCELS = ("tcg", *(f"kvm,kernel-irqchip={irqchip}" for irqchip in ("on", "split", "off")))

    def start(self, image, log, *options):
        return subprocess.Popen([KASO, "-M", "pc", "-m", "16", "-cpu", "max", "-nodefaults", "-display", "none", "-device", "isa-debug-exit", "-chardev",
                                 f"file,id=c,path={log},append=on", "-device", "isa-debugcon,chardev=c,iobase=0xe9", "-bios", image, "-monitor", "stdio", *options],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pause(self, process):
        """Once, with the registers looked at before and the local APIC while it stands. Returns when all is answered."""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write("info registers -a\nstop\ninfo lapic\ncont\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("APR "):
                    return

    def wait_for(self, process, log, count):
        """Until the program has said so many times that it is ready, or has ended. A machine that was sent while it stood stands at first."""
        deadline = time.monotonic() + allow(60)
        while process.poll() is None and time.monotonic() < deadline:
            with open(log, encoding="utf-8") as file:
                if file.read().count("ready") >= count:
                    return
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("cont\n")
                process.stdin.flush()
            time.sleep(0.05)

    def test_pauses(self):
        """A program is stopped, looked at and continued again and again: the local APIC's priority stays as written, and NMIs and interrupts between CPUs come."""
        image = build(os.path.join(FOLDER, "pauses.c"))
        for accel in self.ACCELS:
            with self.subTest(accel):
                log = path("log", b"")
                with self.start(image, log, "-accel", accel, "-smp", "2") as process:
                    deadline = time.monotonic() + allow(60)
                    while process.poll() is None and time.monotonic() < deadline:
                        self.pause(process)
                        time.sleep(0.02)
                    process.kill()
                    errors = process.communicate()[1]
                with open(log, encoding="utf-8") as file:
                    said = file.read()
                self.assertIn("priorities lost=00000000", said, errors)
                if process.returncode == INTERNAL_ERROR and not STRICT:
                    self.assertIn("an instruction that KVM does not emulate", errors)  # IRET
                else:
                    self.assertEqual((process.returncode, said.endswith("end\n")), (DONE, True), said + errors)

    def need_svm(self):
        if not STRICT and not kvm_has("svm"):
            self.skipTest("this KVM offers no SVM to guests")

    def test_nested(self):
        """A virtual machine of the guest's own goes on in the next process, where it is, and calls."""
        image, state = build(os.path.join(FOLDER, "nested.c")), path("state")
        for accel in self.ACCELS:
            with self.subTest(accel):
                if accel != "tcg":
                    self.need_svm()
                log, options = path("log", b""), ["-accel", accel] if accel != "tcg" else ["-accel", "tcg", "-cpu", "max,svm=on"]
                for hop in range(3):
                    with self.start(image, log, *options, *(["-incoming", f"file:{state}"] if hop else [])) as process:
                        if hop < 2:
                            self.wait_for(process, log, 1)
                            errors = process.communicate(f"migrate file:{state}\nquit\n", timeout=allow(60))[1]
                            self.assertEqual(process.returncode, 0, errors)
                        else:
                            errors = process.communicate(timeout=allow(60))[1]
                            self.assertEqual(process.returncode, DONE, errors)
                with open(log, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "ready\nexit=00000081 eax=00001234 \nefer=00000000 end\n")

    def test_nested_elsewhere(self):
        """Of two accelerators, neither takes a virtual machine of the guest's own from the other; the machine is taken before it runs one."""
        image, state = build(os.path.join(FOLDER, "nested.c")), path("state")
        options = {accel: ["-accel", accel, "-cpu", "max,svm=on"] for accel in ("kvm", "tcg")}
        self.need_svm()
        for here, there in ("tcg", "kvm"), ("kvm", "tcg"):
            for inside in False, True:
                with self.subTest((here, inside)):
                    log = path("log", b"")
                    with self.start(image, log, *options[here], *([] if inside else ["-S"])) as process:
                        if inside:
                            self.wait_for(process, log, 1)
                        errors = process.communicate(f"migrate file:{state}\nquit\n", timeout=allow(60))[1]
                        self.assertEqual(process.returncode, 0, errors)
                    with self.start(image, log, *options[there], "-incoming", f"file:{state}") as process:
                        if inside:
                            errors = process.communicate(timeout=allow(60))[1]
                            self.assertNotEqual(process.returncode, DONE, errors)
                            self.assertIn(f"which -accel {there} cannot take from -accel {here}", errors)
                        else:
                            deadline = time.monotonic() + allow(60)
                            while process.poll() is None and time.monotonic() < deadline:
                                with contextlib.suppress(BrokenPipeError):
                                    process.stdin.write("cont\n")
                                    process.stdin.flush()
                                time.sleep(0.5)
                            process.kill()
                            errors = process.communicate()[1]
                            self.assertEqual(process.returncode, DONE, errors)

    def test_timers(self):
        """Timers of the local APIC that would have run out while the machine stood run out in the next process; KVM's clock and its interfaces are as before."""
        image, state = build(os.path.join(FOLDER, "moves.c")), path("state")
        for accels in *((accel,) * 3 for accel in self.ACCELS), ("kvm", "tcg", "kvm"):
            with self.subTest(accels):
                log = path("log", b"")
                for hop, accel in enumerate(accels):
                    with self.start(image, log, "-accel", accel, *(["-incoming", f"file:{state}"] if hop else [])) as process:
                        self.wait_for(process, log, hop + 1)
                        if hop < 2:
                            process.stdin.write("stop\n")
                            process.stdin.flush()
                            time.sleep(2.5)
                            errors = process.communicate(f"migrate file:{state}\nquit\n", timeout=allow(60))[1]
                            self.assertEqual(process.returncode, 0, errors)
                        else:
                            process.kill()
                with open(log, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "ready\ndeadline came\nready\ncount came\nend\n")
                self.assertEqual(process.returncode, DONE)


class Faults(KvmTest):
    def test_every_ioctl_fails(self):
        """Whatever fails is said, or does without; nothing hangs."""
        image = rom("k.rom", SAYS_K)
        count = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL="0")
        self.assertEqual((count.returncode, count.stdout), (DONE, "k"), count.stderr)
        calls, first_run = map(int, re.search(r"calls (\d+), first run (\d+)", count.stderr).groups())
        self.assertGreater(calls, 20)
        for number in range(1, calls + 1):
            got = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL=f"{number}:12")
            if got.returncode == DONE:
                self.assertEqual(got.stdout, "k")
            else:
                self.assertEqual(got.returncode, 1, got.stderr)
                self.assertRegex(got.stderr, r"KVM_\w+ failed|/dev/kvm' is no KVM|pieces|lacks KVM_CAP_")
                if number < first_run:
                    self.assertEqual(got.stdout, "", f"the guest runs although call {number} failed: {got.stderr}")

    def test_every_capability_lacks(self):
        """A kernel without one of its capabilities: it is not used then; the machine runs, or says what it wants."""
        image = rom("k.rom", SAYS_K)
        there = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_WITHOUT="0")
        numbers = sorted({int(number) for number in re.findall(r"^capability (\d+)$", there.stderr, re.MULTILINE)})
        self.assertGreater(len(numbers), 20)
        ran = 0
        for number in numbers:
            for options in ("kvm",), ("kvm,kernel-irqchip=split",), ("kvm,kernel-irqchip=off",), ("kvm", "-overcommit", "cpu-pm=on"):
                with self.subTest(f"{number} {options}"):
                    got = run("-accel", *options, "-bios", image, LD_PRELOAD=shim(), KVM_WITHOUT=str(number))
                    self.assertNotRegex(got.stderr, "capability .* is (used|enabled)")
                    self.assertIn(got.returncode, (1, DONE), got.stderr)
                    if got.returncode == DONE:
                        self.assertEqual(got.stdout, "k")
                        ran += 1
                    else:
                        self.assertRegex(got.stderr, "lacks KVM_CAP_|no interrupt controllers for kernel-irqchip=|cannot leave waiting to the guest")
        self.assertGreater(ran, 2 * len(numbers))

    def test_memory_refused(self):
        """Memory that the host does not give: before the machine runs, and while it does."""
        image = rom("k.rom", SAYS_K)
        got = run("-accel", "kvm", "-m", "64G", "-bios", image, limit=(resource.RLIMIT_AS, 4 << 30))
        if "AddressSanitizer failed to allocate" not in got.stderr:  # whose own memory does not fit
            self.assertEqual(got.returncode, 1, got.stderr)
            self.assertRegex(got.stderr, "(?i)memory")
        count = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL="0")
        first = int(re.search(r"first run (\d+)", count.stderr)[1])
        got = run("-accel", "kvm", "-bios", image, LD_PRELOAD=shim(), KVM_FAIL=f"{first}:14")
        self.assertEqual(got.returncode, 1)
        self.assertIn("guest memory that the host cannot give", got.stderr)

    def test_descriptors_run_out(self):
        """However many descriptors there are: the machine runs, or says that there are too few."""
        image, enough = rom("k.rom", SAYS_K), 0
        options = ("-accel", "kvm", "-smp", "2", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci", "-netdev", "user,id=n", "-device",
                   "virtio-net-pci,romfile=,netdev=n", "-bios", image)
        for most in range(8, 200):
            got = run(*options, limit=(resource.RLIMIT_NOFILE, most))
            if got.returncode == DONE:
                enough += 1
                if enough > 4:
                    return
                continue
            self.assertNotEqual(got.stderr, "")
            self.assertIn(got.returncode, (1, 127), got.stderr)
            self.assertRegex(got.stderr, "Too many open files|cannot open shared object", most)
        self.fail("200 descriptors are not enough")

    def test_absurd_exits(self):
        """Reasons for leaving the guest that no kernel gives: nothing hangs, nothing breaks. (Whatever the guest's devices then do may end it.)"""
        image, library, ended = rom("k.rom", SAYS_K), shim(os.path.join(FOLDER, "fuzz-exits.c")), set()
        for seed in range(FUZZ_SEEDS):
            for options in "kvm", "kvm,dirty-ring-size=1024", "kvm,kernel-irqchip=split", "kvm,kernel-irqchip=off":
                got = run("-accel", options, "-vga", "std", "-bios", image, LD_PRELOAD=library, KVM_FUZZ=f"{seed}:300")
                if "no rings of dirty pages" in got.stderr:
                    continue
                self.assertIn(got.returncode, (0, DONE, *range(1, 256, 2), INTERNAL_ERROR), (seed, options, got.stderr))
                self.assertNotIn("runtime error", got.stderr)  # of a build with sanitizers
                ended.add(got.returncode)
        self.assertIn(DONE, ended)
        self.assertIn(INTERNAL_ERROR, ended)

    def test_interrupted(self):
        got = run("-accel", "kvm", "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_EINTR="1")
        self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)

    def gdb(self, script, *options, until=None, **environment):
        """What gdb's commands print as values, and what the machine prints and how it ends. It stands still until gdb lets it go, or runs until it has printed a line."""
        gdb = shutil.which("gdb-multiarch") or shutil.which("gdb")
        if not gdb:
            self.skipTest("no gdb")
        stub = path("gdb.socket")
        process = subprocess.Popen([KASO, *PLAIN, "-accel", "kvm", *options, "-chardev", f"socket,id=g,path={stub},server=on,wait=off", "-gdb", "chardev:g",
                                    *(() if until else ("-S",))], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **environment})
        try:
            deadline = time.monotonic() + allow(60)
            if until:
                self.assertEqual(process.stdout.readline(), until)
            while not os.path.exists(stub) and time.monotonic() < deadline:
                time.sleep(0.05)
            done = subprocess.run([gdb, "-nx", "-batch", *sum((["-ex", line] for line in ["set remotetimeout 60", f"target remote {stub}", *script]), [])],
                                  capture_output=True, text=True, timeout=allow(200), check=False)
            out, errors = process.communicate(timeout=allow(60))
            values = re.findall(r"^\$\d+ = (.*)$", done.stdout, re.MULTILINE)
            return values, (process.returncode, out), done.stdout + done.stderr + errors
        finally:
            process.kill()
            process.communicate()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(stub)

    def test_debugger(self):
        """gdb steps, and stops at the processor's breakpoints."""
        # mov al, 1; mov al, 2; mov [0x40], al; mov al, 3; then the end.
        image = rom("steps.rom", bytes.fromhex("b001b002a24000b003") + SAYS_K)
        script = ["si", "p/x $pc", "hbreak *0xf0004", "continue", "p/x $pc", "p/x $al", "delete"]
        wanted = ["0xf0000", "0xf0004", "0x2"]
        if STRICT:  # where stores are emulated in software, the processor's watchpoints do not see them
            script += ["watch *(char *)0x40", "continue", "p/x $pc", "delete"]
            wanted += ["0xf0007"]
        values, end, said = self.gdb([*script, "continue"], "-bios", image)
        self.assertEqual(values, wanted, said)
        self.assertEqual(end, (DONE, "k"), said)

    def test_avx512(self):
        """Its registers are the kernel's, and gdb's: what is changed there is there after the guest has run."""
        image = build(os.path.join(FOLDER, "avx512.c"))
        script = ["p/x $k1", "set $k1 = 0x1234", "set $zmm7.v16_int32[15] = 77", "set $zmm20.v16_int32[15] = 78", "set $xmm20.v4_int32[0] = 79",
                  "set $ymm20.v8_int32[7] = 80", "si", "si", "p/x $k1", "p $zmm7.v16_int32", "p $zmm20.v16_int32", "p/x $xcr0", "kill"]
        values, _, said = self.gdb(script, "-cpu", "host", "-bios", image, until="ready\n", LD_PRELOAD=shim(), KVM_AVX512="1")
        self.assertEqual(values, ["0x0", "0x1234", "{0 <repeats 15 times>, 77}", "{79, 0, 0, 0, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 78}", "0xe7"], said)

    def test_statistics(self):
        """What the kernel counts, for people and for programs; the translator has none of it."""
        lines = ['{"execute": "qmp_capabilities"}', '{"execute": "query-stats", "arguments": {"target": "vcpu", "providers": [{"provider": "kvm", "names": '
                 '["exits"]}]}, "id": 1}', '{"execute": "query-stats-schemas", "id": 2}', '{"execute": "human-monitor-command", "arguments": '
                 '{"command-line": "info stats vm remote_tlb_flush"}, "id": 3}', '{"execute": "quit"}']
        for accelerator in "kvm", "tcg":
            done = subprocess.run([KASO, "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-S", "-accel", accelerator, "-qmp", "stdio"],
                                  input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=allow(60), check=False)
            answers = {answer.get("id"): answer.get("return") for answer in map(json.loads, done.stdout.splitlines())}
            if accelerator == "tcg":
                self.assertEqual((answers[1], answers[2]), ([], []))
                self.assertIn("counts nothing of its own", answers[3])
                continue
            if not answers[1][0]["stats"]:
                self.skipTest("this KVM has no statistics")
            self.assertEqual((answers[1][0]["provider"], answers[1][0]["stats"][0]["name"]), ("kvm", "exits"))
            self.assertTrue(answers[1][0]["qom-path"].startswith("/machine/"))
            self.assertEqual([schema["target"] for schema in answers[2]], ["vm", "vcpu"])
            self.assertIn({"name": "exits", "type": "cumulative", "exponent": 0}, answers[2][1]["stats"])
            self.assertRegex(answers[3], r"provider: kvm\r?\n    remote_tlb_flush: \d+")

    def test_statistics_of_sleepers(self):
        """CPUs that sleep in the kernel, waiting to be started or halted for good, hold nobody up who counts."""
        asleep = path("asleep.rom", b"\xfa\xf4\xeb\xfd".ljust(0xfff0, b"\0") + b"\xea\0\0\0\xf0".ljust(16, b"\0"))  # cli; hlt
        kaso = subprocess.Popen([KASO, "-M", "pc", "-m", "16", "-smp", "2", "-nodefaults", "-display", "none", "-accel", "kvm", "-bios", asleep, "-qmp", "stdio"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with kaso:
            kaso.stdin.write('{"execute": "qmp_capabilities"}\n')
            kaso.stdin.flush()
            time.sleep(1)  # both are in the kernel
            try:
                said, _ = kaso.communicate('{"execute": "query-stats", "arguments": {"target": "vcpu"}, "id": 1}\n{"execute": "quit"}\n', timeout=allow(60))
            finally:
                kaso.kill()
        answers = [answer["return"] for answer in map(json.loads, said.splitlines()) if answer.get("id") == 1]
        self.assertEqual(len(answers[0]), 2 if answers[0] else 0)

    def test_absent(self):
        for number, words in (2, "load the module kvm-intel or kvm-amd"), (13, "join its group"):
            got = run("-accel", "kvm:tcg", "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_ABSENT=str(number))
            self.assertEqual((got.returncode, got.stdout), (DONE, "k"), got.stderr)
            self.assertIn(words, got.stderr)
            self.assertIn("trying the next", got.stderr)

    def test_older(self):
        """A kernel whose interface is another version's."""
        for accel, status in ("kvm", 1), ("kvm:tcg", DONE):
            got = run("-accel", accel, "-bios", rom("k.rom", SAYS_K), LD_PRELOAD=shim(), KVM_API="10")
            self.assertEqual(got.returncode, status, got.stderr)
            self.assertIn("'/dev/kvm' has version 10 of the interface, not 12; use -accel tcg", got.stderr)


IRQCHIPS = ("on", "split", "off")
RESETS = 10 if STRICT else 3
FUZZ_SEEDS = int(os.environ.get("KASO_FUZZ_SEEDS", "8"))

def build_all(to):
    for name in sorted(os.listdir(FOLDER)):
        source = os.path.join(FOLDER, name)
        if name in ("fail-ioctl.c", "fuzz-exits.c"):
            shutil.copy(shim(source), os.path.join(to, name + ".so"))
        elif name.endswith(".c") and name != "kvmclock.c":
            shutil.copy(build(source), os.path.join(to, name + ".rom"))


if __name__ == "__main__":
    if sys.argv[8:9] == ["build"]:
        build_all(sys.argv[9])
        sys.exit(0)
    if no_kvm():
        print(f"skipped: {no_kvm()}")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[8:], verbosity=2)
