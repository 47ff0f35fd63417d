# SPDX-License-Identifier: MIT
"""QMP as programs use it: the sequence libvirt begins with, errors, events, several clients."""

import os

from harness import Kaso, Qmp

SERVER = "unix:@/%s,server=on,wait=off"


def objects():
    """Objects have paths and properties, as devices have; libvirt tunes an I/O thread by them."""
    path = "/objects/io"
    with Kaso("-qmp", SERVER % "qmp") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        qmp.command("object-add", **{"qom-type": "iothread", "id": "io"})
        qmp.command("object-add", **{"qom-type": "rng-random", "id": "rng", "filename": "/dev/urandom"})
        assert "objects" in {entry["name"] for entry in qmp.command("qom-list", path="/")}
        found = {entry["name"]: entry["type"] for entry in qmp.command("qom-list", path="/objects")}
        assert (found["io"], found["rng"]) == ("child<iothread>", "child<rng-random>"), found
        assert "poll-max-ns" in {entry["name"] for entry in qmp.command("qom-list", path=path)}
        qmp.command("qom-set", path=path, property="poll-max-ns", value=1000)
        assert qmp.command("qom-get", path=path, property="poll-max-ns") == 1000
        assert qmp.command("query-iothreads")[0]["poll-max-ns"] == 1000
        assert qmp.command("qom-get", path="io", property="type") == "iothread"
        assert qmp.command("qom-get", path="/objects/rng", property="filename") == "/dev/urandom"
        for arguments, words in (({"property": "bogus", "value": 1}, "bogus"), ({"property": "poll-grow", "value": "x"}, "poll-grow")):
            assert words in qmp.failure("qom-set", path=path, **arguments)["desc"]
        assert "before the object is in use" in qmp.failure("qom-set", path="/objects/rng", property="filename", value="/x")["desc"]
        assert "bogus" in qmp.failure("qom-get", path=path, property="bogus")["desc"]
        for gone in "/objects/none", "/objects/", "/nowhere/io":
            assert qmp.failure("qom-list", path=gone)["class"] == "DeviceNotFound", gone


def probing():
    with Kaso("-qmp", SERVER % "qmp", "-name", "probe") as kaso:
        qmp = Qmp(kaso.connect("qmp"), negotiate=False)
        version = qmp.greeting["QMP"]["version"]
        assert version["qemu"]["major"] >= 8 and "Kaso" in version["package"]
        assert qmp.greeting["QMP"]["capabilities"] == []
        assert qmp.failure("query-status")["class"] == "CommandNotFound"
        assert qmp.raw('{"execute": "qmp_capabilities", "id": "libvirt-1"}') == {
            "return": {}, "id": "libvirt-1"}
        names = {c["name"] for c in qmp.command("query-commands")}
        assert {"stop", "cont", "quit", "system_reset", "device_add", "qom-list"} <= names
        assert qmp.command("query-status") == {
            "status": "prelaunch", "singlestep": False, "running": False}
        assert qmp.command("query-name") == {"name": "probe"}
        assert qmp.command("query-uuid")["UUID"].count("-") == 4
        assert qmp.command("query-kvm")["enabled"] is False
        assert qmp.command("query-target")["arch"]
        assert "virt" in [m["name"] for m in qmp.command("query-machines")]
        assert qmp.command("query-cpu-definitions")
        assert qmp.command("query-cpus-fast") == []
        assert qmp.command("query-block") == []
        assert qmp.command("query-chardev")[0]["label"] == "compat_monitor0"
        types = {t["name"] for t in qmp.command("qom-list-types")}
        assert "virtio-blk-pci" in types
        properties = qmp.command("device-list-properties", typename="virtio-blk-pci")
        assert "drive" in {p["name"] for p in properties}
        assert qmp.failure("device-list-properties", typename="x")["class"] == "DeviceNotFound"
        assert qmp.command("qom-list", path="/")[0]["name"] == "machine"
        assert qmp.command("qom-get", path="/machine", property="type") == "none-machine"
        schema = qmp.command("query-qmp-schema")
        kinds = {s["name"]: s for s in schema}
        assert kinds["stop"]["meta-type"] == "command"
        arguments = kinds[kinds["qom-get"]["arg-type"]]["members"]
        assert [m["name"] for m in arguments] == ["path", "property"]
        qmp.command("quit")
        kaso.finish()


def robustness():
    with Kaso("-qmp", SERVER % "qmp") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        for garbage in ("nonsense\n", "]", "[1, 2]", "{'execute': 3}", '{"a": }', '"text"\n',
                        '{"execute": "stop", "extra": 1}', "{" * 3000 + "}" * 3000,
                        '{"execute": "x-read-memory", "arguments": {"address": "1"}}'):
            assert qmp.raw(garbage)["error"]["class"] in ("GenericError", "CommandNotFound")
        # What cannot be JSON is answered before its end comes.
        for garbage in (b'{"unfinished": [1, \xff', b'{\x01', b"{'bad \xff", b'%%p'):
            qmp.peer.sendall(garbage)
            assert qmp.reply()["error"]["class"] == "GenericError"
            assert qmp.command("query-status")
        # In pieces, and several at once.
        for byte in b'{"execute": "query-name"}':
            qmp.peer.sendall(bytes([byte]))
        assert qmp.reply() == {"return": {}}
        qmp.peer.sendall(b'{"execute":"query-name","id":1}' * 100)
        assert [qmp.reply()["id"] for _ in range(100)] == [1] * 100
        qmp.command("human-monitor-command", command_line="info status")
        assert "unknown" in qmp.command("human-monitor-command", command_line="bogus")
        # A lost client does not matter; the next one starts anew.
        qmp.peer.close()
        again = Qmp(kaso.connect("qmp"), negotiate=False)
        assert again.failure("stop")["class"] == "CommandNotFound"
        again.command("qmp_capabilities")
        again.command("quit")
        kaso.finish()


def events():
    with Kaso("-qmp", SERVER % "one", "-qmp-pretty", SERVER % "two", paused=False) as kaso:
        qmp = Qmp(kaso.connect("one"))
        pretty = kaso.connect("two")
        text = b""
        while not text.endswith(b"}\r\n"):
            text += pretty.recv(4096)
        assert b'\n    "QMP": {\n' in text
        qmp.command("stop")
        assert qmp.wait_event("STOP")["timestamp"]["seconds"] > 1000000000
        assert qmp.command("query-status")["status"] == "paused"
        qmp.command("cont")
        qmp.wait_event("RESUME")
        qmp.command("system_reset")
        assert qmp.wait_event("RESET")["data"] == {
            "guest": False, "reason": "host-qmp-system-reset"}
        qmp.command("quit")
        qmp.wait_event("SHUTDOWN")
        kaso.finish()


def devices():
    with Kaso("-qmp", SERVER % "qmp") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        assert qmp.failure("device_del", id="x")["class"] == "DeviceNotFound"
        qmp.command("object-add", **{"qom-type": "rng-builtin", "id": "r"})
        assert "duplicate" in qmp.failure("object-add", **{"qom-type": "rng-builtin", "id": "r"})["desc"]
        assert "rng-builtin" in qmp.failure("object-add", **{"qom-type": "rng-biultin", "id": "q"})["desc"]
        assert "not yet" in qmp.failure("object-add", **{"qom-type": "can-bus", "id": "q"})["desc"]
        qmp.command("object-del", id="r")
        assert "not found" in qmp.failure("object-del", id="r")["desc"]
        qmp.command("object-add", **{"qom-type": "secret", "id": "s", "data": "x"})
        qmp.command("object-del", id="s")
        assert "no 'pci' bus" in qmp.failure("device_add", driver="e1000")["desc"]
        assert "no 'pci' bus" in qmp.failure("device_add", driver="virtio-blk-pci", id="d")["desc"]
        assert "virtio-blk-pci" in qmp.failure("device_add", driver="virtio-blk-pcj")["desc"]
        qmp.command("netdev_add", type="user", id="n0", hostfwd=[{"str": "tcp:127.0.0.1:0-:22"}])
        assert "n0" in qmp.command("x-query-network")["human-readable-text"]
        assert "already" in qmp.failure("netdev_add", type="user", id="n0")["desc"]
        qmp.command("netdev_del", id="n0")
        qmp.command("chardev-add", id="ring", backend={"type": "ringbuf", "data": {"size": 16}})
        qmp.command("ringbuf-write", device="ring", data="aGFsbG8=", format="base64")
        assert qmp.command("ringbuf-read", device="ring", size=100) == "hallo"
        qmp.command("chardev-remove", id="ring")
        assert qmp.failure("chardev-remove", id="ring")["class"] == "GenericError"
        pty = qmp.command("chardev-add", id="p", backend={"type": "pty", "data": {}})["pty"]
        assert pty.startswith("/dev/pts/")
        qmp.command("quit")
        kaso.finish()


def managers():
    """What programs that manage machines ask for before the machine runs, and set."""
    options = ["-smp", "2", "-object", "memory-backend-ram,id=extra,size=1M,share=on", "-device", "virtio-serial", "-chardev",
               "null,id=c", "-device", "virtserialport,chardev=c,name=org.qemu.guest_agent.0,id=agent"]
    with Kaso("-qmp", SERVER % "qmp", *options, machine="pc,accel=tcg") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        threads = {cpu["thread-id"] for cpu in qmp.command("query-cpus-fast")}
        assert len(threads) == 2 and all(os.path.exists("/proc/%d/task/%d" % (kaso.process.pid, t)) for t in threads), threads
        groups = {o["option"]: {p["name"]: p["type"] for p in o["parameters"]} for o in qmp.command("query-command-line-options")}
        assert groups["smp-opts"]["cores"] == "number" and groups["machine"]["hpet"] == "boolean" and "icount" not in groups
        assert groups["sandbox"]["elevateprivileges"] == "string"
        assert groups["boot-opts"]["strict"] == "boolean" and groups["drive"]["file"] == "string" and groups["memory"]["size"] == "size"
        assert groups["drive"]["throttling.bps-total-max"] == "number" and groups["drive"]["cache.direct"] == "boolean", groups["drive"]
        assert "tls-creds" in groups["vnc"] and "memory-backend" in groups["machine"] and "guest" in groups["name"], groups
        assert "invalid option name" in qmp.failure("query-command-line-options", option="nothing")["desc"]
        memory = {m["id"]: (m["size"], m["share"]) for m in qmp.command("query-memdev")}
        assert memory == {"extra": (1 << 20, True), "pc.ram": (128 << 20, False)}, memory
        assert qmp.command("query-memory-size-summary") == {"base-memory": 128 << 20, "plugged-memory": 0}
        assert not next(c for c in qmp.command("query-chardev") if c["label"] == "c")["frontend-open"]
        slots = qmp.command("query-hotpluggable-cpus")
        assert [slot["props"]["core-id"] for slot in slots] == [1, 0] and all(slot["qom-path"] for slot in slots), slots
        assert qmp.command("query-current-machine")["wakeup-suspend-support"]
        qmp.command("set-action", reboot="shutdown", shutdown="pause", panic="none", watchdog="pause")
        assert "reset, shutdown" in qmp.failure("set-action", reboot="never")["desc"]
        assert qmp.command("human-monitor-command", command_line="sum 0x1000 16") == "00000\n"
        qmp.command("quit")
        kaso.finish()
    with Kaso("-qmp", SERVER % "qmp", machine="virt") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        assert "kvm" not in qmp.command("query-accelerators")["present"]
        assert "hot-plugging" in qmp.failure("query-hotpluggable-cpus")["desc"]
        assert not qmp.command("query-kvm")["present"] and not qmp.command("query-current-machine")["wakeup-suspend-support"]
        qmp.command("quit")
        kaso.finish()


def pci():
    """The functions on the buses, below a bridge only when the guest has numbered its bus."""
    options = ["-device", "pci-bridge,id=b,chassis_nr=1,addr=4", "-device", "virtio-rng-pci,bus=b,addr=2,id=r",
               "-device", "e1000,romfile="]
    with Kaso("-qmp", SERVER % "qmp", *options, machine="pc") as kaso:
        qmp = Qmp(kaso.connect("qmp"))
        (bus,) = qmp.command("query-pci")
        places = [(d["slot"], d["function"], d["class_info"]["desc"]) for d in bus["devices"]]
        assert places[:3] == [(0, 0, "Host bridge"), (1, 0, "ISA bridge"), (1, 1, "IDE controller")], places
        card = next(d for d in bus["devices"] if d["id"]["device"] == 0x100e)
        assert card["irq_pin"] == 1 and card["regions"][0] == {
            "bar": 0, "type": "memory", "address": -1, "size": 0x20000, "prefetch": False, "mem_type_64": False}
        bridge = bus["devices"][-1]
        assert bridge["qdev_id"] == "b" and bridge["slot"] == 4 and "devices" not in bridge["pci_bridge"], bridge
        text = qmp.command("human-monitor-command", command_line="info pci")
        assert "  Bus  0, device   4, function 0:\n    PCI bridge: PCI device 1b36:0001\n" in text, text
        assert "BAR1: I/O (not mapped)" in text
        for port, value in [(0xcf8, 0x80002018), (0xcfc, 0x00010100), (0xcf8, 0x80002004), (0xcfc, 3), (0xcf8, 0x8000201c), (0xcfc, 0xc0c0),
                            (0xcf8, 0x80011010), (0xcfc, 0xc000), (0xcf8, 0x80011004), (0xcfc, 1)]:
            qmp.command("human-monitor-command", command_line="o/w 0x%x 0x%x" % (port, value))
        bridge = qmp.command("query-pci")[0]["devices"][-1]["pci_bridge"]
        assert bridge["bus"]["secondary"] == 1 and bridge["bus"]["io_range"] == {"base": 0xc000, "limit": 0xcfff}, bridge
        (rng,) = bridge["devices"]
        assert (rng["bus"], rng["slot"], rng["qdev_id"]) == (1, 2, "r")
        assert rng["id"]["device"] == 0x1005, "a bus that is not of PCI Express has devices with the older interface, too"
        assert rng["regions"][0]["address"] == 0xc000, rng
        qmp.command("quit")
        kaso.finish()


def no_capabilities():
    """None is offered, so none can be enabled: no command runs before those that came earlier."""
    with Kaso("-qmp", "unix:@/qmp,server=on,wait=off") as kaso:
        qmp = Qmp(kaso.connect("qmp"), negotiate=False)
        for wrong in ('["oob"]', '["nothing"]', '[1]', '"oob"'):
            reply = qmp.raw('{"execute": "qmp_capabilities", "arguments": {"enable": %s}}' % wrong)
            assert reply["error"]["class"] == "GenericError", reply
        qmp.command("qmp_capabilities", enable=[])
        assert "'exec-oob'" in qmp.raw('{"exec-oob": "query-status", "id": 1}')["error"]["desc"]
        assert not [entry for entry in qmp.command("query-qmp-schema") if entry.get("allow-oob")]
        qmp.command("quit")
        kaso.finish()


probing()
no_capabilities()
objects()
robustness()
events()
devices()
pci()
managers()
