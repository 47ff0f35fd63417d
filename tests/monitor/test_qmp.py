# SPDX-License-Identifier: MIT
"""QMP as programs use it: the sequence libvirt begins with, errors, events, several clients."""

from harness import Kaso, Qmp

SERVER = "unix:@/%s,server=on,wait=off"


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
        qmp.peer.sendall(b'{"unfinished": [1, \xff')
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


probing()
robustness()
events()
devices()
