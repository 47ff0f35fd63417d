#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-numa KASO BOOT_DIR MACHINE: the nodes of -numa as Linux has them: CPUs, memory (also around the hole below 4 GiB, and from
back ends), distances, a node without memory; and as the monitor tells them."""
import os
import sys
import tempfile

from guest import Guest
from qmp import Monitor

kaso, boot, machine = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
if not os.path.exists(kernel):
    print(f"no {kernel}: scripts/dev check makes it")
    sys.exit(77)
folder = tempfile.TemporaryDirectory()
socket = os.path.join(folder.name, "qmp")
NODES = "/sys/devices/system/node"
BOARDS = {"pc": ["-M", "pc", "-cpu", "max"], "virt": ["-M", "virt", "-cpu", "cortex-a57"]}
# Options, then of each node its CPUs, MiB and distances.
CASES = {
    "by-size": (["-smp", "4,sockets=2", "-m", "5G", "-numa", "node,nodeid=1,mem=3G,cpus=1,cpus=3", "-numa", "node,nodeid=0,mem=2048,cpus=0",
                 "-numa", "cpu,node-id=0,socket-id=1,core-id=0", "-numa", "dist,src=0,dst=1,val=17"],
                [("0,2", 2048, "10 17"), ("1,3", 3072, "17 10")]),
    "by-backend": (["-smp", "2", "-m", "768M", "-object", "memory-backend-ram,id=a,size=256M,policy=bind,host-nodes=0", "-object",
                    f"memory-backend-file,id=b,size=512M,mem-path={folder.name},share=on", "-numa", "node,memdev=a,cpus=0-1", "-numa",
                    "node,memdev=b", "-numa", "node", "-numa", "dist,src=0,dst=1,val=20", "-numa", "dist,src=1,dst=0,val=25",
                    "-numa", "dist,src=0,dst=2,val=30", "-numa", "dist,src=2,dst=0,val=31", "-numa", "dist,src=1,dst=2,val=40",
                    "-numa", "dist,src=2,dst=1,val=41"],
                   [("0-1", 256, "10 20 30"), ("", 512, "25 10 40"), ("", 0, "31 41 10")]),
}
# What is not said is shared out before any guest runs.
SHARED_OUT = ["-smp", "4,sockets=2", "-m", "512M", "-numa", "node", "-numa", "node"], [("0-1", 256, "10 20"), ("2-3", 256, "20 10")]


def kilobytes(text):
    return next(int(line.split()[-2]) for line in text.splitlines() if "MemTotal" in line)


def check_guest(guest, nodes):
    """A node without memory and CPUs is known to Linux at most."""
    shown = [n for n, (cpus, size, _) in enumerate(nodes) if cpus or size]
    status, online = guest.command(f"cat {NODES}/has_memory")
    assert (status, online) == (0, f"0-{len(shown) - 1}"), (status, online)
    sums = 0
    for node in shown:
        cpus, size, distances = nodes[node]
        path = f"{NODES}/node{node}"
        assert guest.command(f"cat {path}/cpulist") == (0, cpus), (node, guest.command(f"cat {path}/cpulist"))
        status, text = guest.command(f"cat {path}/distance")
        assert status == 0 and text.split() == distances.split()[: len(text.split())] and len(text.split()) >= len(shown), text
        here = kilobytes(guest.command(f"cat {path}/meminfo")[1])
        assert (size - 220) * 1024 < here <= size * 1024, (node, here)
        sums += here
    whole = kilobytes(guest.command("cat /proc/meminfo")[1])
    assert sums == whole, (sums, whole)


def check_monitor(monitor, nodes):
    text = monitor.run("human-monitor-command", **{"command-line": "info numa"})
    assert text.startswith(f"{len(nodes)} nodes"), text
    places = {}
    for cpu in monitor.run("query-cpus-fast"):
        places.setdefault(cpu["props"]["node-id"], []).append(cpu["cpu-index"])
    for number, (cpus, size, _) in enumerate(nodes):
        assert f"node {number} size: {size} MB" in text, text
        wanted = [int(n) for part in cpus.split(",") if part for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)]
        assert places.get(number, []) == wanted, (number, places)
        listed = "".join(f" {cpu}" for cpu in wanted)
        assert f"node {number} cpus:{listed}\n" in text.replace("\r", ""), text


def start(*options):
    console = "ttyS0" if machine == "pc" else "ttyAMA0"
    return Guest([kaso, *BOARDS[machine], *options, "-nographic", "-kernel", kernel, "-initrd", initrd, "-append",
                  f"console={console} init=/kaso-shell panic=-1 loglevel=3", "-no-reboot", "-qmp", f"unix:{socket},server=on,wait=off"])


def run(name, options, nodes):
    with start(*options) as guest:
        guest.expect(r"Type poweroff to end", 300)
        guest.expect(r"# ")
        monitor = Monitor(socket)
        check_monitor(monitor, nodes)
        check_guest(guest, nodes)
        if name == "by-backend":
            found = {entry["id"]: entry for entry in monitor.run("query-memdev")}
            assert set(found) == {"a", "b"} and found["b"]["share"] and not found["a"]["share"], found
            assert found["a"]["policy"] == "bind" and found["a"]["host-nodes"] == [0], found
        guest.line("poweroff")
        assert guest.wait() == 0


with start("-S", *SHARED_OUT[0]) as guest:
    check_monitor(Monitor(socket), SHARED_OUT[1])
for case, (given, wanted) in CASES.items():
    run(case, given, wanted)
