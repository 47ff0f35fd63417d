#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-virtio KASO GUEST_DIR VARIANT: Linux's drivers against our virtio devices on one transport: disks are read
and written and compared, a file comes from a web server on the host's loopback, ports carry bytes both ways."""
import functools
import hashlib
import http.server
import os
import sys
import tempfile
import threading
import time

from guest import Guest
from qmp import Monitor

MIB = 1 << 20
SIZE = 2 * MIB  # of each disk: its requests go round the ring
# suffix of the devices' names, options of each device, options of the machine
VARIANTS = {
    "pci": ("pci", "", []),
    "pci-modern-intx": ("pci", ",disable-legacy=on,vectors=0", []),
    "pci-legacy": ("pci", ",disable-modern=on", []),
    "pci-gicv3-smp4": ("pci", "", ["-M", "virt,gic-version=3", "-smp", "4"]),
    "pci-iothread": ("pci", "", ["-smp", "2", "-object", "iothread,id=io0", "-object", "iothread,id=io1"]),
    "mmio-legacy": ("device", "", []),
    "mmio-iothread": ("device", "", ["-global", "virtio-mmio.force-legacy=off", "-object", "iothread,id=io0"]),
    "mmio": ("device", "", ["-global", "virtio-mmio.force-legacy=off"]),
}


def serve(folder):
    """A web server on a free port of the loopback; returns it running."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *unused):
            pass

    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def random_file(path, size):
    data = os.urandom(size)
    with open(path, "wb") as file:
        file.write(data)
    return hashlib.md5(data).hexdigest()


def run(guest, command):
    status, output = guest.command(command, 60)
    assert status == 0, (command, status, output)
    return output


def check_disks(guest, sum_of_source):
    # On virtio-mmio the last disk of the command line is the first that Linux finds: look at serial numbers.
    disk = {run(guest, f"echo $(cat /sys/block/{name}/serial)"): name for name in ("vda", "vdb")}
    source, target = "/dev/" + disk["source"], "/dev/" + disk["target"]
    assert run(guest, f"cat /sys/block/{disk['source']}/ro") == "1"
    for options in ("bs=1M iflag=direct", "bs=4k", "bs=64k iflag=direct"):
        output = run(guest, f"dd if={source} {options} 2>/dev/null | md5sum")
        assert output.split()[0] == sum_of_source, (options, output)
    run(guest, f"dd if={source} of={target} bs=128k oflag=direct conv=fsync 2>/dev/null")
    run(guest, "echo 3 >/proc/sys/vm/drop_caches")
    output = run(guest, f"head -c {SIZE} {target} | md5sum")
    assert output.split()[0] == sum_of_source, output
    run(guest, f"blkdiscard -z -l {SIZE // 2} {target} || dd if=/dev/zero of={target} bs=1M count=1 2>/dev/null; sync")
    run(guest, "echo 3 >/proc/sys/vm/drop_caches")
    output = run(guest, f"head -c {SIZE // 2} {target} | md5sum")
    assert output.split()[0] == hashlib.md5(bytes(SIZE // 2)).hexdigest(), output


def check_network(guest, port, wanted):
    run(guest, "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0")
    assert run(guest, "cat /sys/class/net/eth0/address") == "52:54:00:12:34:56"
    output = run(guest, f"wget -q -O - http://10.0.2.2:{port}/file | md5sum")
    assert output.split()[0] == wanted, output


def ports_of(guest):
    output = run(guest, "cd /sys/class/virtio-ports; for p in *; do echo $p $(cat $p/name 2>/dev/null); done; cd /")
    return {words[1]: words[0] for words in (line.split() for line in output.splitlines()) if len(words) == 2}


def check_ports(guest, folder):
    ports = ports_of(guest)
    run(guest, f"head -c 100000 /dev/zero >/dev/{ports['org.kaso.test']}; echo on the console >/dev/hvc0")
    assert os.path.getsize(f"{folder}/port") == 100000
    with open(f"{folder}/console", "rb") as file:
        assert b"on the console" in file.read()


def check_plugged_ports(guest, folder, monitor):
    """Ports come and go while the guest runs, twice at the same place."""
    for turn in range(2):
        monitor.run("chardev-add", id="late", backend={"type": "file", "data": {"out": f"{folder}/late{turn}"}})
        monitor.run("device_add", driver="virtserialport", id="late", chardev="late", name="org.kaso.late")
        for _ in range(240):
            if "org.kaso.late" in ports_of(guest):
                break
            time.sleep(0.5)
        run(guest, f"head -c 100000 /dev/zero >/dev/{ports_of(guest)['org.kaso.late']}")
        assert os.path.getsize(f"{folder}/late{turn}") == 100000
        monitor.run("device_del", id="late")
        assert monitor.event("DEVICE_DELETED")["device"] == "late"
        for _ in range(240):
            if "org.kaso.late" not in ports_of(guest):
                break
            time.sleep(0.5)
        assert "org.kaso.late" not in ports_of(guest)
        monitor.run("chardev-remove", id="late")


def check(guest, folder, port, sums, monitor):
    guest.expect(r"[#$] ", 120)
    check_disks(guest, sums["source"])
    check_network(guest, port, sums["file"])
    check_ports(guest, folder)
    check_plugged_ports(guest, folder, monitor)
    assert run(guest, "head -c 10000 /dev/hwrng | wc -c") == "10000"
    assert run(guest, "dmesg | grep -ci 'call trace\\|oops\\|i/o error' || true") == "0"
    guest.line("poweroff -f")
    assert guest.wait(60) == 0


def main():
    kaso, guest_dir, variant = sys.argv[1:]
    suffix, each, machine = VARIANTS[variant]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest arm64 {guest_dir} makes it")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        sums = {name: random_file(f"{folder}/{name}", SIZE) for name in ("source", "target", "file")}
        server = serve(folder)
        # No disk holds a file system, so the guest's initrd ends in a shell.
        argv = [kaso, "-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-nodefaults", "-display", "none"]
        argv += ["-serial", "stdio", "-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img"]
        argv += ["-append", "console=ttyAMA0 quiet panic=-1", "-no-reboot"] + machine
        argv += ["-blockdev", f"driver=raw,node-name=source,read-only=on,file.driver=file,file.filename={folder}/source"]
        argv += ["-drive", f"if=none,id=target,format=raw,cache=none,file={folder}/target"]
        threads = [word[12:] for word in machine if word.startswith("iothread,id=")]
        for i, name in enumerate(("source", "target")):
            thread = f",iothread={threads[i % len(threads)]}" if threads else ""
            argv += ["-device", f"virtio-blk-{suffix},drive={name},serial={name}{thread}{each}"]
        argv += ["-netdev", "user,id=net", "-device", f"virtio-net-{suffix},netdev=net{each}"]
        argv += ["-device", f"virtio-rng-{suffix}{each}", "-device", f"virtio-serial-{suffix}{each}"]
        argv += ["-chardev", f"file,id=console,path={folder}/console", "-device", "virtconsole,chardev=console"]
        argv += ["-chardev", f"file,id=port,path={folder}/port"]
        argv += ["-device", "virtserialport,chardev=port,name=org.kaso.test"]
        argv += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        with Guest(argv) as guest:
            check(guest, folder, server.server_address[1], sums, Monitor(f"{folder}/qmp"))
        server.shutdown()
    print(f"virtio on {variant}")


main()
