#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-ovmf-sleep KASO BOOT_DIR BUILD: OVMF (BUILD: "4M", or "4M.secboot", which lives in system management mode) on the q35 starts GRUB from
an AHCI disk, and that Linux, which sleeps in RAM and wakes three times with both processors."""
import os
import shutil
import subprocess
import sys
import tempfile

from guest import Guest
from qmp import Monitor

kaso, boot, build = sys.argv[1:]
kernel, initrd = os.path.join(boot, "linux"), os.path.join(boot, "initrd.gz")
CODE, EMPTY = f"/usr/share/OVMF/OVMF_CODE_{build}.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
for path in (kernel, CODE, EMPTY, "/usr/lib/grub/x86_64-efi/linux.mod"):
    if not os.path.exists(path):
        print(f"no {path} (packages ovmf, grub-efi-amd64-bin)")
        sys.exit(77)
for tool in ("mformat", "grub-mkimage"):
    if not shutil.which(tool):
        print(f"no {tool} (packages mtools, grub-common)")
        sys.exit(77)
folder = tempfile.TemporaryDirectory()
SOCKET = os.path.join(folder.name, "qmp")
MENU = """set timeout=0
menuentry Linux {
  echo GRUB starts Linux
  linux /linux console=ttyS0 init=/kaso-shell panic=-1 loglevel=3
  initrd /initrd.gz
}
"""


def make_disk():
    disk, loader, menu = (os.path.join(folder.name, name) for name in ("disk", "grub", "grub.cfg"))
    subprocess.run(["grub-mkimage", "-O", "x86_64-efi", "-p", "/EFI/BOOT", "-o", loader, "fat", "normal", "linux", "echo"], check=True)
    with open(menu, "w", encoding="ascii") as file:
        file.write(MENU)
    with open(disk, "wb") as file:
        file.truncate((os.path.getsize(kernel) + os.path.getsize(initrd) + (16 << 20)) & ~((1 << 20) - 1))
    subprocess.run(["mformat", "-i", disk, "::"], check=True)
    subprocess.run(["mmd", "-i", disk, "::EFI", "::EFI/BOOT"], check=True)
    for source, name in ((loader, "EFI/BOOT/BOOTX64.EFI"), (menu, "EFI/BOOT/grub.cfg"), (kernel, "linux"), (initrd, "initrd.gz")):
        subprocess.run(["mcopy", "-i", disk, source, "::" + name], check=True)
    return disk


def main():
    variables = os.path.join(folder.name, "vars")
    shutil.copy(EMPTY, variables)
    with Guest([kaso, "-M", "q35", "-m", "512", "-smp", "2", "-display", "none", "-serial", "stdio", "-no-reboot", "-nic", "user",
                "-drive", f"if=pflash,format=raw,readonly=on,file={CODE}", "-drive", f"if=pflash,format=raw,file={variables}",
                "-hda", make_disk(), "-qmp", f"unix:{SOCKET},server=on,wait=off"]) as guest:
        monitor = Monitor(SOCKET)
        guest.expect(r"GRUB starts Linux", 120)
        guest.expect(r"Type poweroff to end", 180)
        guest.expect(r"# ")
        assert "deep" in guest.command("cat /sys/power/mem_sleep")[1]
        for _ in range(3):
            guest.line("echo mem > /sys/power/state; echo woken $?")
            monitor.event("SUSPEND")
            monitor.run("system_wakeup")
            guest.expect(r"woken 0", 120)
            monitor.events.clear()
        assert guest.command("grep -c ^processor /proc/cpuinfo")[1] == "2"
        assert guest.command("dmesg | grep -c 'PM: suspend exit'")[1] == "3"
        guest.line("poweroff")
        assert guest.wait() == 0
    print(f"OVMF {build} sleeps and wakes: good")


main()
