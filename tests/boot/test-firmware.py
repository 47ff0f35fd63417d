#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test-firmware KASO BOOT_DIR KIND [OPTION...]

edk2, ovmf: EDK2 from -bios reaches its shell and starts a kernel from a FAT disk.
edk2-pflash, ovmf-pflash, ovmf-4m-pflash, ovmf-pflash-q35, ovmf-secboot-pflash-q35: EDK2 from two flash drives; a variable that the shell sets is there after a reset.
ovmf-kernel: EDK2 starts what -kernel names.
u-boot, u-boot-x86, u-boot-x86_64: U-Boot reaches its prompt and reads a virtio disk, or an IDE one.
"""
import os
import shutil
import subprocess
import sys
import tempfile

from guest import Guest

EDK2 = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
AAVMF = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
OVMF = "/usr/share/ovmf/OVMF.fd"
OVMF_FLASH = {
    "ovmf-pflash": ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    "ovmf-4m-pflash": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "ovmf-pflash-q35": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "ovmf-secboot-pflash-q35": ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
}
U_BOOT = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"


def skip(reason):
    print(reason)
    sys.exit(77)


def need(*paths):
    for path in paths:
        if not os.path.exists(path):
            skip(f"no {path}")


def make_fat_disk(folder, files):
    """A disk image that is one FAT file system; files: name -> path or bytes."""
    disk = os.path.join(folder, "disk.img")
    if not shutil.which("mformat"):
        skip("no mformat (package mtools)")
    size = 4 << 20
    for content in files.values():
        size += len(content) if isinstance(content, bytes) else os.path.getsize(content)
    with open(disk, "wb") as f:
        f.truncate((size * 5 // 4 + (1 << 20)) & ~((1 << 20) - 1))
    subprocess.run(["mformat", "-i", disk, "::"], check=True)
    for name, content in files.items():
        path = content
        if isinstance(content, bytes):
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(content)
        subprocess.run(["mcopy", "-i", disk, path, "::" + name], check=True)
    return disk


def enter_shell(guest):
    guest.expect(r"UEFI Interactive Shell|Press ESC", 120)
    guest.send("\x1b")
    guest.expect(r"Shell> ", 60)


def run_edk2(argv, boot, folder, bios, machine):
    """machine: -device of the disk, the kernel's console, uname -m."""
    device, console, processor = machine
    kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
    need(bios, kernel)
    disk = make_fat_disk(folder, {"kernel.efi": kernel, "initrd.gz": initrd, "note.txt": b"from FAT\r\n"})
    argv += ["-m", "1024", "-bios", bios, "-drive", f"file={disk},format=raw,if=none,id=d", "-device", device]
    with Guest(argv) as guest:
        enter_shell(guest)
        guest.send("type fs0:\\note.txt\r")
        guest.expect("from FAT", 60)
        guest.expect("Shell> ")
        guest.send(f"fs0:\\kernel.efi initrd=\\initrd.gz console={console} init=/kaso-shell panic=-1\r")
        guest.expect(r"EFI stub: ", 60)
        use_kernel(guest, processor)


def use_kernel(guest, processor):
    guest.expect(r"Type poweroff to end|# ", 180)
    status, output = guest.command("uname -m; dmesg | grep -c 'efi: EFI v2'")
    assert output.split()[-2:] == [processor, "1"], output
    guest.line("poweroff")
    status = guest.wait()
    assert status == 0, f"exit status {status} after poweroff"


def run_edk2_kernel(argv, boot, bios):
    kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
    need(bios, kernel)
    argv += ["-m", "1024", "-bios", bios, "-kernel", kernel, "-initrd", initrd]
    argv += ["-append", "console=ttyS0 init=/kaso-shell panic=-1"]
    with Guest(argv) as guest:
        use_kernel(guest, "x86_64")


def run_edk2_pflash(argv, folder, code, empty):
    need(code, empty)
    variables = os.path.join(folder, "vars.fd")
    shutil.copy(empty, variables)
    argv += ["-m", "512", "-drive", f"file={code},format=raw,if=pflash,readonly=on"]
    argv += ["-drive", f"file={variables},format=raw,if=pflash"]
    guid = "5e0a2d3c-2b1f-4f0e-9c49-3b6b1f3a7d10"
    with Guest(argv) as guest:
        enter_shell(guest)
        guest.send(f"setvar kaso -guid {guid} -bs -rt -nv =0x4b41534f\r")
        guest.expect("Shell> ", 60)
        guest.send("reset -w\r")
        enter_shell(guest)
        guest.send(f"setvar kaso -guid {guid}\r")
        guest.expect("4F 53 41 4B", 60)
        guest.expect("Shell> ", 60)
        guest.send("reset -s\r")
        status = guest.wait()
        assert status == 0, f"exit status {status} after reset -s"
    with open(variables, "rb") as f:
        assert "kaso".encode("utf-16-le") in f.read(), "the variable is not in the flash image"


def run_u_boot(argv, folder):
    need(U_BOOT)
    disk = make_fat_disk(folder, {"note.txt": b"from FAT\n"})
    argv += ["-m", "256", "-bios", U_BOOT, "-drive", f"file={disk},format=raw,if=none,id=d"]
    argv += ["-device", "virtio-blk-device,drive=d"]
    with Guest(argv) as guest:
        guest.expect(r"Hit any key to stop autoboot", 60)
        guest.send(" ")
        guest.expect(r"=> ", 60)
        guest.send("virtio scan; virtio info\r")
        guest.expect(r"Type: Hard Disk", 60)
        guest.expect(r"=> ", 60)
        guest.send("fatload virtio 0 ${loadaddr} note.txt; md.b ${loadaddr} 8\r")
        guest.expect(r"9 bytes read", 60)
        guest.expect(r"from FAT", 60)
        guest.expect(r"=> ", 60)
        guest.send("poweroff\r")
        status = guest.wait()
        assert status == 0, f"exit status {status} after poweroff"


def run_u_boot_pc(argv, folder, build):
    rom = f"/usr/lib/u-boot/qemu-{build}/u-boot.rom"
    need(rom)
    disk = make_fat_disk(folder, {"note.txt": b"from FAT\n"})
    argv += ["-m", "256", "-vga", "none", "-bios", rom, "-drive", f"file={disk},format=raw,if=ide"]
    with Guest(argv) as guest:
        guest.expect(r"Hit any key to stop autoboot", 60)
        guest.send(" ")
        guest.expect(r"=> ", 60)
        guest.send("ide reset; fatload ide 0 1000000 note.txt; md.b 1000000 8\r")
        guest.expect(r"from FAT", 60)
        guest.expect(r"=> ", 60)


def main():
    kaso, boot, kind, *options = sys.argv[1:]
    pc = kind.startswith(("ovmf", "u-boot-x86"))
    machine = "q35" if kind.endswith("-q35") else "pc" if pc else "virt"
    argv = [kaso, "-M", machine, "-nographic", "-nic", "none"] + options
    with tempfile.TemporaryDirectory() as folder:
        if kind == "edk2":
            run_edk2(argv, boot, folder, EDK2, ("virtio-blk-pci,drive=d", "ttyAMA0", "aarch64"))
        elif kind == "ovmf":
            run_edk2(argv, boot, folder, OVMF, ("ide-hd,drive=d", "ttyS0", "x86_64"))
        elif kind == "ovmf-kernel":
            run_edk2_kernel(argv, boot, OVMF)
        elif kind == "edk2-pflash":
            run_edk2_pflash(argv, folder, *AAVMF)
        elif kind in OVMF_FLASH:
            run_edk2_pflash(argv, folder, *OVMF_FLASH[kind])
        elif kind == "u-boot":
            run_u_boot(argv, folder)
        else:
            run_u_boot_pc(argv, folder, kind.removeprefix("u-boot-"))
    print(f"{kind}: good")


main()
