#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-nvme KASO GUEST_DIR MACHINE: Linux's nvme driver against our controller: what it shows of it, reads, writes, zeroes and
deallocation of two namespaces, more requests than a queue has, error-free logs, shutdown and a second start of the driver."""
import hashlib
import os
import sys
import tempfile

from guest import Guest

MIB = 1 << 20
WAIT = "until [ -b /dev/nvme0n2 ]; do sleep 0.2; done"
MACHINES = {
    "virt": ["-M", "virt", "-cpu", "cortex-a57"],
    "pc": ["-M", "pc"],
}


def run(guest, command, timeout=120):
    status, output = guest.command(command, timeout)
    assert status == 0, (command, status, output)
    return output


def random_file(path, size):
    data = os.urandom(size)
    with open(path, "wb") as file:
        file.write(data)
    return hashlib.md5(data).hexdigest()


# Admin commands by Linux's passthrough (linux/nvme_ioctl.h): what `nvme format`, `nvme device-self-test` and `nvme self-test-log` send.
ADMIN = """
import array, fcntl, struct, sys
device, opcode, nsid, cdw10, size = sys.argv[1], *(int(word, 0) for word in sys.argv[2:])
data = array.array('B', bytes(size or 4))
command = struct.pack('=BBHIIIQQIIIIIIIIII', opcode, 0, 0, nsid, 0, 0, 0, data.buffer_info()[0] if size else 0, 0, size, cdw10, 0, 0, 0, 0, 0, 60000, 0)
with open(device, 'rb') as file:
    print(fcntl.ioctl(file, 0xc0484e41, bytearray(command)), bytes(data[:64]).hex() if size else '')
"""


def check_admin(guest):
    """Self-tests, verifying and formats."""
    run(guest, "mount -t tmpfs tmp /root/tmp; mount -t devtmpfs dev /root/dev")
    for line in ADMIN.strip().splitlines():
        run(guest, f"echo \"{line}\" >>/root/tmp/admin")

    def admin(*words):
        return run(guest, f"chroot /root /usr/bin/python3 /tmp/admin /dev/nvme0 {' '.join(map(str, words))}").split()

    for code in (1, 2):
        assert admin(0x14, 0xffffffff, code, 0) == ["0"]
        for _ in range(1000):
            log = bytes.fromhex(admin(2, 0xffffffff, 140 << 16 | 6, 564)[1])
            if not log[0]:
                break
            run(guest, "sleep 0.2")
        assert log[0] == 0 and log[4] == code << 4, log.hex()
    # The format with blocks of 512 bytes, which Linux looks at by itself, and back again.
    for number, block in ((0, 512), (3, 4096)):
        assert admin(0x80, 7, 1 << 9 | number, 0) == ["0"]
        run(guest, f"until [ $(cat /sys/block/nvme0n2/queue/logical_block_size) = {block} ]; do sleep 0.2; done")
        assert run(guest, "cat /sys/block/nvme0n2/queue/logical_block_size /sys/block/nvme0n2/size").split() == [str(block), str(16 * MIB // 512)]
        assert run(guest, "md5sum </dev/nvme0n2").split()[0] == hashlib.md5(bytes(16 * MIB)).hexdigest()
        run(guest, "head -c 1048576 /dev/urandom >/tmp/data; dd if=/tmp/data of=/dev/nvme0n2 bs=64k oflag=direct conv=fsync 2>/dev/null; "
            "dd if=/dev/nvme0n2 bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/data")
    assert int(admin(0x80, 1, 0, 0)[0]) & 0x7ff == 0x20  # it is write protected


def check_identity(guest):
    control = "/sys/class/nvme/nvme0"
    for name, wanted in (("serial", "deadbeef"), ("model", "QEMU NVMe Ctrl"), ("state", "live"), ("transport", "pcie"),
                         ("subsysnqn", "nqn.2019-08.org.qemu:deadbeef")):
        assert run(guest, f"echo $(cat {control}/{name})") == wanted, name
    for name, size in (("nvme0n1", 8), ("nvme0n2", 16)):
        assert run(guest, f"cat /sys/block/{name}/size") == str(size * MIB // 512), name
    queue = "/sys/block/nvme0n1/queue"
    assert run(guest, f"cat {queue}/logical_block_size /sys/block/nvme0n2/queue/logical_block_size").split() == ["512", "4096"]
    assert run(guest, f"cat {queue}/max_hw_sectors_kb") == "512"
    assert run(guest, f"echo $(cat {queue}/write_cache)") == "write back"
    assert run(guest, "cat /sys/block/nvme0n2/nsid /sys/block/nvme0n1/ro").split() == ["7", "1"]


def check_disks(guest, wanted):
    source, target = "/dev/nvme0n1", "/dev/nvme0n2"
    for options in ("bs=1M iflag=direct", "bs=4k", "bs=1536 iflag=direct"):
        assert run(guest, f"dd if={source} {options} 2>/dev/null | md5sum").split()[0] == wanted, options
    run(guest, f"dd if={source} of={target} bs=128k oflag=direct conv=fsync 2>/dev/null")
    run(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert run(guest, f"head -c {8 * MIB} {target} | md5sum").split()[0] == wanted
    # Side by side: each writes its part and reads it back.
    parts = " ".join(str(part) for part in range(8))
    run(guest, f"for p in {parts}; do (dd if={source} of={target} bs=64k skip=$((p*16)) seek=$((128+p*16)) count=16 oflag=direct; "
        f"dd if={target} iflag=direct bs=64k skip=$((128+p*16)) count=16 of=/tmp/part$p) 2>/dev/null & done; wait")
    assert run(guest, "cat /tmp/part[0-7] | md5sum").split()[0] == wanted
    assert run(guest, f"dd if={target} iflag=direct bs=1M skip=8 2>/dev/null | md5sum").split()[0] == wanted
    run(guest, f"blkdiscard -z -l {4 * MIB} {target} || dd if=/dev/zero of={target} bs=1M count=4 conv=notrunc 2>/dev/null; sync")
    run(guest, f"blkdiscard -o {8 * MIB} -l {MIB} {target} || true")
    run(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert run(guest, f"head -c {4 * MIB} {target} | md5sum").split()[0] == hashlib.md5(bytes(4 * MIB)).hexdigest()
    assert run(guest, f"dd if={source} of=/dev/null bs=1M 2>/dev/null; dd if=/dev/zero of={source} bs=512 count=1 2>&1 || echo refused"
               ).endswith("refused")


def check(guest, wanted):
    guest.expect(r"[#$] ", 300)
    for command in ("/bin/busybox --install -s /bin; export PATH=/bin; mkdir -p /tmp; mount -t proc proc /proc; mount -t sysfs sys /sys",
                    "mount -t devtmpfs dev /dev; for m in /modules/*; do insmod $m 2>/dev/null; done; until findfs LABEL=root; do sleep 0.2; done",
                    "mount -t ext4 -o ro $(findfs LABEL=root) /root && ln -s /root/lib /lib", "modprobe nvme; " + WAIT):
        run(guest, command)
    check_identity(guest)
    check_disks(guest, wanted)
    check_admin(guest)
    # The driver goes, which shuts the controller down, and comes again.
    run(guest, "p=$(basename $(readlink /sys/class/nvme/nvme0/device)); cd /sys/bus/pci/drivers/nvme; echo $p >unbind; echo $p >bind; cd /; " + WAIT)
    assert run(guest, "dd if=/dev/nvme0n1 bs=1M 2>/dev/null | md5sum").split()[0] == wanted
    assert int(run(guest, "grep -c nvme0q /proc/interrupts")) >= 3
    log = run(guest, "dmesg | grep -i nvme")
    print(log)
    for word in ("error", "timeout", "abort", "fail", "reset"):
        assert word not in log.lower().replace("hwmon", ""), log
    guest.line("poweroff -f")
    assert guest.wait(120) == 0


def main():
    kaso, guest_dir, machine = sys.argv[1:]
    if not os.path.exists(f"{guest_dir}/initrd.img"):
        print(f"no {guest_dir}: scripts/make-guest makes it")
        sys.exit(77)
    console = "ttyS0" if machine == "pc" else "ttyAMA0"
    with tempfile.TemporaryDirectory() as folder:
        wanted = random_file(f"{folder}/source", 8 * MIB)
        random_file(f"{folder}/target", 16 * MIB)
        argv = [kaso, *MACHINES[machine], "-smp", "2", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        argv += ["-kernel", f"{guest_dir}/kernel", "-initrd", f"{guest_dir}/initrd.img", "-append", f"console={console} quiet panic=-1 rdinit=/bin/busybox -- sh"]
        argv += ["-drive", f"if=none,id=root,file={guest_dir}/root.img,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=root"]
        argv += ["-blockdev", f"driver=raw,node-name=source,read-only=on,file.driver=file,file.filename={folder}/source"]
        argv += ["-drive", f"if=none,id=target,format=raw,cache=none,discard=unmap,file={folder}/target"]
        argv += ["-device", "nvme,id=nvme0,serial=deadbeef,drive=source", "-device",
                 "nvme-ns,bus=nvme0,drive=target,nsid=7,logical_block_size=4096,uuid=12345678-9abc-def0-1234-56789abcdef0"]
        with Guest(argv) as guest:
            check(guest, wanted)
    print(f"nvme on {machine}")


main()
