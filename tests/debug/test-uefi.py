#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-uefi KASO: EDK2 in memory: its tables, its images by name, and addresses in them; and of a release build, whose images have no names."""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from guest import Guest  # pylint: disable=wrong-import-position
from patience import allow
from qmp import Monitor  # pylint: disable=wrong-import-position

FIRMWARE = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
RELEASE = "/usr/share/ovmf/OVMF.fd"
kaso = sys.argv[1]
if not os.path.exists(FIRMWARE):
    print(f"no {FIRMWARE}: package qemu-efi-aarch64")
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    socket = os.path.join(folder, "qmp")
    with Guest([kaso, "-M", "virt", "-m", "256", "-bios", FIRMWARE, "-display", "none", "-serial", "null", "-monitor", "none",
                "-net", "none", "-S", "-qmp", f"unix:{socket},server=on,wait=off"]):
        monitor = Monitor(socket)
        assert "no EFI system table" in monitor.failure("x-query-uefi")["desc"]
        monitor.run("cont")
        deadline = time.monotonic() + allow(90)
        names, info = {}, {"vendor": ""}
        while not {"DxeCore", "ArmGicDxe", "BdsDxe"} <= set(names) or info["vendor"] != "EDK II":
            assert time.monotonic() < deadline, (info["vendor"], list(names))
            time.sleep(0.3)
            if "no EFI system table" not in monitor.run("human-monitor-command", **{"command-line": "info uefi"}):
                info = monitor.run("x-query-uefi")
                names = {i["name"]: i for i in info["images"]}
        assert info["revision"] >> 16 == 2, info
        assert "device tree" in [t.get("name") for t in info["tables"]], info["tables"]
        assert {"BootServicesCode", "RuntimeServicesData", "Conventional"} <= {m["type"] for m in info["memory"]}, info["memory"]
        core = names["DxeCore"]
        assert any(m["start"] <= core["base"] <= m["end"] and m["type"] == "BootServicesCode" for m in info["memory"]), core
        found = monitor.run("x-symbols-find", what=hex(core["base"] + 0x1234))
        assert found[0]["name"] == "DxeCore" and found[0]["offset"] == 0x1234, found
        frames = monitor.run("x-backtrace")[0]["frames"]
        assert any(f.get("file") in names for f in frames), frames
        variables = {}
        while "BootOrder" not in variables or not any(
                n.startswith("Boot0") and "Shell" in v.get("description", "") for n, v in variables.items()):
            assert time.monotonic() < deadline, list(variables)
            time.sleep(0.3)
            variables = {v["name"]: v for v in monitor.run("x-query-uefi")["variables"]}
        monitor.run("system_reset")
        assert not [f for f in monitor.run("x-query-symbols") if f["space"] == "kernel"]

if os.path.exists(RELEASE):
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "qmp")
        with Guest([kaso, "-M", "pc", "-m", "256", "-bios", RELEASE, "-display", "none", "-serial", "null", "-monitor", "none", "-net", "none",
                    "-qmp", f"unix:{socket},server=on,wait=off"]):
            monitor = Monitor(socket)
            deadline = time.monotonic() + allow(90)
            names, info = set(), {"images": []}
            while not {"DxeCore", "PcdDxe", "BdsDxe", "Shell"} <= names:
                assert time.monotonic() < deadline, names
                time.sleep(0.3)
                if "no EFI system table" not in monitor.run("human-monitor-command", **{"command-line": "info uefi"}):
                    info = monitor.run("x-query-uefi")
                    names = {i.get("name") for i in info["images"]}
            assert None not in names and not any(i["pdb"] for i in info["images"]), info["images"]
            frames = monitor.run("x-backtrace")[0]["frames"]
            assert any(f.get("file") in names for f in frames), frames
print("ok")
