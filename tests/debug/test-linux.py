#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-linux KASO BOOT_DIR MACHINE: what the monitor knows of a Linux kernel with no file at all. Once from a shell, where the kernel's own
answers are compared with ours, KASLR being on; once without any console, where a panic is read from memory.
MACHINE: virt or pc.
"""
import ctypes
import http.server
import os
import re
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "monitor"))
from guest import Guest  # pylint: disable=wrong-import-position
from patience import allow
from qmp import Monitor  # pylint: disable=wrong-import-position
from schema import Types  # pylint: disable=wrong-import-position

CONSOLES = {"virt": "ttyAMA0", "pc": "ttyS0"}
kaso, boot, machine = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
base = [kaso, "-M", machine, "-m", "512", "-kernel", kernel]


def hmp(monitor, line):
    return monitor.run("human-monitor-command", **{"command-line": line})


def compare_with_shell():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["DEBUGINFOD_URLS"] = f"http://127.0.0.1:{server.server_port}"
    os.environ["DEBUGINFOD_CACHE_PATH"] = folder.name
    socket = os.path.join(folder.name, "shell")
    argv = base + ["-no-reboot", "-initrd", initrd, "-append", f"console={CONSOLES[machine]} quiet init=/kaso-shell panic=-1",
                   "-nographic", "-action", "silence=1", "-qmp", f"unix:{socket},server=on,wait=off"]
    with Guest(argv) as guest:
        guest.expect(r"Type poweroff to end", 120)
        guest.expect(r"# ")
        guest.command("mount -t proc proc /proc 2>/dev/null")
        _, kallsyms = guest.command("grep '^[0-9a-f]*540 ' /proc/kallsyms; grep -w -e virtio_init -e start_kernel /proc/kallsyms")
        _, dmesg = guest.command("dmesg | tail -n 3")
        _, modules = guest.command("cut -d' ' -f1 /proc/modules")
        _, names = guest.command("cat /proc/[0-9]*/stat 2>/dev/null | cut -d' ' -f1,2")
        monitor = Monitor(socket)
        check_symbols(monitor, kallsyms)
        ours = hmp(monitor, "info dmesg").replace("\r", "")
        assert "Linux version" in ours, ours[:500]
        for line in dmesg.splitlines():
            assert line.strip() in ours, (line, ours[-500:])
        ours = [m["name"] for m in monitor.run("x-query-modules")]
        assert set(modules.split()) <= set(ours), (ours, modules)  # more may come meanwhile
        ours = {(str(t["tgid"]), t["name"]) for t in monitor.run("x-query-tasks")}
        for line in names.splitlines():
            pid, name = line.split(" ", 1)
            if name.strip("()") not in ("cat", "cut", "sh") and "worker" not in name:  # they come and go
                assert any(p == pid and n == name[1:-1][:15] for p, n in ours), (line, ours)
        check_build_ids(monitor)
        check_processes(guest, monitor)
        check_profile(guest, monitor)
        check_tables(monitor)
        symbol = monitor.run("x-symbols-find", what="start_kernel")[0]
        value = hmp(monitor, "p &start_kernel+4*2").strip()
        assert int(value, 16) == (symbol["address"] + 8) % 2**64, (value, symbol)
        check_schema(monitor)
        check_module_break(guest, monitor)


def check_schema(monitor):
    """What is said of the kernel is as the schema has it."""
    types = Types(monitor.run("query-qmp-schema"))
    for name, arguments in (("x-query-tasks", {}), ("x-query-modules", {}), ("x-query-dmesg", {}), ("x-backtrace", {"all": True}),
                            ("x-explain", {}), ("x-query-symbols", {}), ("x-query-irq", {}), ("x-query-irq", {"number": 4 if machine == "pc" else 33}),
                            ("x-symbols-find", {"what": "start_k*"}), ("x-disassemble", {}), ("x-query-registers", {})):
        types.check(monitor.run(name, **arguments), types.returns[name], name)


def check_module_break(guest, monitor):
    """A name of a module that is not loaded yet: its first call, from the module's own initialization, is not missed."""
    assert "not known yet" in hmp(monitor, "break vlan_init_net")
    guest.line("modprobe 8021q; echo load''ed")
    deadline = time.monotonic() + allow(60)
    # For a moment it also stands when names are looked for.
    while "hits 1" not in hmp(monitor, "info breakpoints") or monitor.run("query-status")["running"]:
        assert time.monotonic() < deadline, guest.text[-500:]
        time.sleep(0.1)
    assert "vlan_init_net+0 [8021q]" in hmp(monitor, "bt"), hmp(monitor, "bt")
    hmp(monitor, "delete")
    monitor.run("cont")
    guest.expect("loaded")


def check_processes(guest, monitor):
    """Two processes that run the same code at the same addresses: a breakpoint for one of them, by $pid. Which of them it is, their page tables tell, too."""
    _, text = guest.command("for i in 1 2; do while :; do :; done & echo loop $!; done")
    loops = [int(n) for n in re.findall(r"loop (\d+)", text)]
    assert len(loops) == 2, text
    # What a process does at first it does once.
    guest.command(f"for p in {loops[0]} {loops[1]}; do while [ $(cut -d' ' -f14 /proc/$p/stat) -lt 20 ]; do sleep 1; done; done")

    def wait_for(found):
        deadline = time.monotonic() + allow(60)
        while not found():
            assert time.monotonic() < deadline, (monitor.run("x-query-tasks"), hmp(monitor, "info breakpoints"))
            time.sleep(0.02)

    def runs():
        """The process in user mode that the CPU runs, its pc, and where its page tables are."""
        cpu = monitor.run("x-explain")["cpus"][0]
        user = "EL0" in cpu["mode"] or "user code" in cpu["mode"]
        root = int(hmp(monitor, "p $ttbr0_el1" if machine == "virt" else "p $cr3"), 16) & 0xFFFFFFFFE000
        return (int(cpu["task"].split()[0]), cpu["pc"], root) if user and "task" in cpu else (0, 0, 0)

    def in_loop():
        monitor.run("stop")
        places.append(runs())
        if places[-1][0] in loops:
            return True
        monitor.run("cont")
        return False

    def stops_for(pid, condition):
        hmp(monitor, f"break *{pc:#x} if {condition}")
        monitor.run("cont")
        wait_for(lambda: monitor.run("query-status")["status"] == "debug")
        root = roots.setdefault(pid, runs()[2])
        assert runs() == (pid, pc, root) and int(hmp(monitor, "p $pid"), 16) == pid, (runs(), pid, roots)
        hmp(monitor, "delete")

    places = []
    wait_for(in_loop)
    first, pc, root = places[-1]
    other = loops[loops[0] == first]
    roots = {first: root}
    for pid in other, first, other, first, other:
        stops_for(pid, f"$pid == {pid}")
    stops_for(first, f"$pid != {other} && $tid == {first}")
    assert len(set(roots.values())) == 2, roots
    hmp(monitor, f"break *{pc:#x} if $pid == 99999")
    monitor.run("cont")
    guest.command(f"kill {loops[0]} {loops[1]}")
    hmp(monitor, "delete")


class Nothing(http.server.BaseHTTPRequestHandler):
    """A debuginfod that has nothing."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_error(404)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def check_build_ids(monitor):
    """The server is asked for the build IDs of the kernel and of a module; they differ."""
    try:
        ctypes.CDLL("libdebuginfod.so.1")
    except OSError:
        print("libdebuginfod1 is not installed: no build IDs")
        return
    names = [m["name"] for m in monitor.run("x-query-modules")][:1]
    asked = [monitor.failure("x-symbols-fetch", which=name)["desc"] for name in ["kernel", *names]]
    found = {re.search("has build ID ([0-9a-f]{40})", text).group(1) for text in asked}
    assert len(found) == len(asked), asked


def check_profile(guest, monitor):
    """The kernel makes the list of its symbols: that is where the time goes."""
    for name in ("folded", "graph.svg"):
        path = os.path.join(folder.name, name)
        monitor.run("x-profile-start", hertz=500)
        assert "runs already" in monitor.failure("x-profile-start")["desc"]
        end = time.monotonic() + 1
        while time.monotonic() < end:
            guest.command("for i in 1 2 3 4 5 6; do md5sum /proc/kallsyms; done")
        result = monitor.run("x-profile-stop", filename=path)
        assert result["samples"] > 5 and result["stacks"] > 0, result
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert re.search("kallsyms|vsnprintf|s_show|el0|entry_SYSCALL", text), text[:3000]
        if name == "folded":
            assert all(re.fullmatch(r".* [1-9]\d*", line) for line in text.splitlines()), text[:1000]
        else:
            assert len(list(xml.etree.ElementTree.fromstring(text))) > 5


def check_tables(monitor):
    """What firmware or board tell the kernel; how it is mapped; where its exceptions lead; its timer's interrupt."""
    walk = monitor.run("x-query-pagetable", address=monitor.run("x-symbols-find", what="panic")[0]["address"])
    assert walk["translation"] and walk["physical"] > 0 and len(walk["steps"]) >= 2, walk
    assert walk["kernel"]["read"]["allowed"] and not walk["user"]["read"]["allowed"] and walk["user"]["read"]["reason"], walk
    assert "fault" in monitor.run("x-query-pagetable", address=0x100), "page 0 is mapped for nobody"
    rows = monitor.run("x-query-vectors" if machine == "virt" else "x-query-idt")["rows"]
    names = [r.get("symbol", "").split("+")[0] for r in rows]
    assert ("el1h_64_irq" if machine == "virt" else "asm_exc_page_fault") in names, rows
    timer = monitor.run("x-query-irq", number=27 if machine == "virt" else 0)
    assert any("INTID 27" in link["text"] if machine == "virt" else "not masked" in link["text"] for link in timer), timer
    if machine == "virt":
        tree = monitor.run("x-query-fdt", node="/chosen")
        assert any(p["name"] == "bootargs" and "init=/kaso-shell" in p["value"] for p in tree["nodes"][0]["properties"]), tree
        assert "has no node" in monitor.failure("x-query-fdt", node="/nothing")["desc"]
        return
    tables = {t["signature"]: t for t in monitor.run("x-query-acpi")["tables"]}
    assert {"FACP", "DSDT", "APIC"} <= set(tables) and all(t["checksum-good"] for t in tables.values()), tables
    assert any("I/O APIC 0 at 0xfec00000" in line for line in tables["APIC"]["lines"]), tables["APIC"]
    lines = sum((s["lines"] for s in monitor.run("x-query-smbios")["structures"]), [])
    assert "vendor: SeaBIOS" in lines and "size: 512 MiB" in lines, lines
    assert any("code, 64 bit" in r["text"] for r in monitor.run("x-query-gdt")["rows"])


def check_symbols(monitor, kallsyms):
    """The kernel's own list against ours, both ways."""
    count = 0
    for line in kallsyms.splitlines():
        address, kind, name = line.split()[:3]
        if kind in "aA" or "[" in line or int(address, 16) < 2**63 or name.startswith("$"):
            continue
        ours = [s["address"] % 2**64 for s in monitor.run("x-symbols-find", what=name)]
        assert int(address, 16) in ours, (line, [hex(a) for a in ours])
        if kind in "tT":
            found = monitor.run("x-symbols-find", what="0x%x" % int(address, 16))[0]
            assert found["address"] % 2**64 == int(address, 16), (line, found)
        count += 1
    assert count > 40, count


def check_stack(monitor):
    """Task 1 has panicked in what every kernel goes through; its types are the kernel's own."""
    stack = monitor.run("x-backtrace", task=1)[0]
    names = [f.get("symbol", "?").split("+")[0] for f in stack["frames"]]
    assert "panic" in names and names.index("panic") < names.index("kernel_init"), names
    assert names[-1] == "ret_from_fork", names
    assert hmp(monitor, "p ((struct task_struct *)&init_task)->comm").strip() == '(char [16]) "swapper/0"'
    task = {m["name"]: m["value"] for m in monitor.run("x-print", expression="*(struct task_struct *)&init_task")["value"]["members"]}
    assert task["pid"]["integer"] == 0 and task["comm"]["text"] == "swapper/0" and task["tasks"]["members"][0]["name"] == "next", task
    assert "no type 'struct nonsense *'" in hmp(monitor, "p *(struct nonsense *)0x1234")
    assert "no member" in hmp(monitor, "p ((struct task_struct *)&init_task)->nonsense")
    code = hmp(monitor, "dis panic 40")
    assert code.startswith("panic:"), code
    assert any(";" in line for line in code.splitlines()), code
    words = hmp(monitor, "p panic").strip(), hmp(monitor, "p &panic").strip()
    assert words[0] == words[1] == "0x%x" % (monitor.run("x-symbols-find", what="panic")[0]["address"] % 2**64), words


def read_without_console():
    """No initial RAM disk, no console: the panic is in memory alone."""
    socket = os.path.join(folder.name, "silent")
    argv = base + ["-append", "console=null panic=0", "-display", "none", "-serial", "null", "-monitor", "none",
                   "-qmp", f"unix:{socket},server=on,wait=off"]
    with Guest(argv):
        monitor = Monitor(socket)
        deadline = time.monotonic() + allow(100)
        text = ""
        while "Kernel panic" not in text:
            assert time.monotonic() < deadline, text[-1000:]
            time.sleep(0.3)
            if monitor.run("x-query-symbols"):
                text = hmp(monitor, "info dmesg")
        assert "Unable to mount root fs" in text, text[-1000:]
        last = monitor.run("x-query-dmesg", last=2)
        assert len(last) == 2 and last[0]["sequence"] + 1 == last[1]["sequence"], last
        assert last[1]["time-ns"] >= last[0]["time-ns"] > 0
        check_stack(monitor)
        where = monitor.run("x-symbols-find", what="start_kernel")[0]["address"]
        places = {where}
        for _ in range(3):  # KASLR puts it elsewhere, but seldom just where it was
            if len(places) > 1:
                break
            monitor.run("system_reset")
            deadline = time.monotonic() + allow(60)
            while len(places) == 1 and time.monotonic() < deadline:
                places.update(s["address"] for s in monitor.run("x-symbols-find", what="start_kernel"))
                time.sleep(0.3)
        assert len(places) > 1, (places, monitor.run("x-query-symbols"), hmp(monitor, "info dmesg")[-500:])


def profile_boot():
    """All code of a kernel has its name, also what was sampled before the kernel was recognised."""
    socket, path = (os.path.join(folder.name, name) for name in ("boot", "boot.folded"))
    argv = base + ["-append", f"console={CONSOLES[machine]} panic=0", "-nographic", "-S", "-qmp", f"unix:{socket},server=on,wait=off"]
    with Guest(argv) as guest:
        monitor = Monitor(socket)
        monitor.run("x-profile-start", hertz=1000)
        monitor.run("cont")
        guest.expect("end Kernel panic", 100)
        monitor.run("x-profile-stop", filename=path)
    with open(path, encoding="utf-8") as file:
        stacks = [line.rsplit(" ", 1) for line in file.read().splitlines()]
    nameless = [stack for stack, _ in stacks if "unknown 0x" in stack]
    followed = sum(int(count) for stack, count in stacks if "start_kernel;" in stack or "kernel_init;" in stack)
    assert not nameless and followed > 20, (nameless, followed)


compare_with_shell()
read_without_console()
profile_boot()
print("ok")
