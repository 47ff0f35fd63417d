# SPDX-License-Identifier: MIT
"""What tests have in common whose Linux runs under Kaso on the real KVM of scripts/kvm-guest."""
import os
import shutil
import subprocess
import sys

NEEDED = {"busybox": "busybox-static", "cpio": "cpio", "lz4": "lz4"}
SLOW = int(os.environ.get("KASO_TEST_SLOW", "1"))  # by how much limits of time are longer, for overloaded hosts
# For PCI devices, in the order in which they are loaded.
VIRTIO = "virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci".split()
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check tsc=reliable mitigations=off"
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/linuxboot_dma.bin", "/usr/share/seabios/linuxboot.bin", "/usr/share/qemu/linuxboot_dma.bin"]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def need_programs():
    for tool, package in NEEDED.items():
        if not shutil.which(tool):
            skip(f"{tool} is not there (Debian's {package})")


def need(*files):
    """Skips the test when programs or files are not there."""
    need_programs()
    for file in files:
        if not os.path.exists(file):
            skip(f"{file} is not there (scripts/dev or scripts/make-guest makes it)")


def initrd(folder, source, modules, init):
    """An initrd whose first program is the shell script `init`, with modules of another initrd in /order. They have numbers before their names there, or none."""
    tree, debian, image = (os.path.join(folder, name) for name in ("tree", "debian", "initrd"))
    for name in (debian, *(os.path.join(tree, name) for name in ("bin", "proc", "dev", "sys"))):
        os.makedirs(name)
    subprocess.run(f"cd {debian} && gzip -dc {os.path.abspath(source)} | cpio -idm --quiet '*.ko' 2>/dev/null", shell=True, check=False)
    for where, _, names in os.walk(debian):
        for name in names:
            plain = name.split("-", 1)[-1] if name[0].isdigit() else name
            if plain[:-3] in modules:
                shutil.copy(os.path.join(where, name), os.path.join(tree, plain))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    begin = ("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev\n"
             "for module in $(cat /order); do [ ! -f /$module.ko ] || insmod /$module.ko; done\n")
    for name, text in (("init", begin + init), ("order", "\n".join(modules))):
        with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(os.path.join(tree, "init"), 0o755)
    subprocess.run(f"cd {tree} && find . | cpio -o -H newc --quiet | gzip -1 > {image}", shell=True, check=True)
    return image


def run(kaso, scripts, script, files, seconds, mebibytes=1024):
    """What the shell script says in the guest of scripts/kvm-guest, whose machine is Kaso itself, or $KVM_GUEST_EMULATOR."""
    seconds *= SLOW
    files = [file for file in [*files, script, shutil.which("timeout"), *FIRMWARE] if os.path.exists(file)]
    done = subprocess.run([os.path.join(scripts, "kvm-guest"), "-m", str(mebibytes), "-t", str(seconds), *sum((["-f", file] for file in files), []), "--",
                           "/bin/busybox", "sh", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 100, check=False,
                          env={"KVM_GUEST_EMULATOR": os.path.abspath(kaso), **os.environ})
    if done.returncode == 125 and "apt-get" in done.stderr:
        skip("the kernel of the guest cannot be fetched")
    if os.environ.get("KASO_TEST_ECHO"):
        print(done.stdout, done.stderr)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout
