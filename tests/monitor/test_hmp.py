# SPDX-License-Identifier: MIT
"""HMP over a socket and over standard input, on the virt board held at its first instruction."""

import subprocess

from harness import Hmp, Kaso


def commands():
    with Kaso("-monitor", "unix:@/hmp,server=on,wait=off", machine="virt") as kaso:
        hmp = Hmp(kaso.connect("hmp"))
        assert hmp.command("info status") == "VM status: paused (prelaunch)\n"
        assert hmp.command("info cpus").startswith("* CPU #0: thread_id=")
        assert "CPU#0" in hmp.command("info registers")
        assert "mach-virt.ram" in hmp.command("info mtree")
        assert "mach-virt.ram" in hmp.command("info mtree -f")
        assert "dev: pl011" in hmp.command("info qtree")
        assert "(pl011)" in hmp.command("info qom-tree")
        assert "UARTCR" in hmp.command("info device uart0")
        assert "level 0" in hmp.command("info irq")
        assert "1b36:0008" in hmp.command("info pci")
        assert "flash" in hmp.command("info roms")
        assert hmp.command("p 1+2*3") == "0x7\n"
        assert hmp.command("p/d $pc-$pc") == "0\n"
        lines = hmp.command("xp/5xw 0x40000000").splitlines()
        assert len(lines) == 2 and lines[0].startswith("0000000040000000: 0x")
        assert len(hmp.command("xp/20xb 0x40000000").splitlines()[0].split()) == 17
        assert hmp.command("xp/3dh 0x40000000").startswith("0000000040000000:")
        assert len(hmp.command("x/4i $pc").splitlines()) == 4
        assert "Cannot access memory" in hmp.command("xp 0xfffffffffffffffe")
        assert "Error" in hmp.command("cpu 7")
        assert "Error" in hmp.command("xp/q 0")
        assert "not built yet" in hmp.command("sendkey ret")
        assert "did you mean 'info mtree'" in hmp.command("info mtre")
        path = kaso.path("dump")
        assert hmp.command('pmemsave 0x40000000 0x20000 "%s"' % path) == ""
        with open(path, "rb") as file:
            assert len(file.read()) == 0x20000
        assert "Error" in hmp.command("pmemsave 0x40000000 16 /nonexistent/x")
        hmp.command("log guest_errors,unimp")
        assert "Error" in hmp.command("log bogus")
        hmp.command("log none")
        hmp.command("system_reset")
        hmp.command("help")
        hmp.peer.sendall(b"q\n")
        kaso.finish()


def scripted():
    """Commands by standard input; its end neither kills the machine nor makes it spin."""
    with Kaso("-monitor", "stdio", "-qmp", "unix:@/q,server=on,wait=off",
              stdin=subprocess.PIPE) as kaso:
        kaso.process.stdin.write(b"info status\ninfo name\n")
        kaso.process.stdin.close()
        kaso.process.stdin = None
        kaso.connect("q").close()
        before = cpu_ticks(kaso)
        peer = kaso.connect("q")
        subprocess.run(["sleep", "0.5"], check=True)
        assert cpu_ticks(kaso) - before < 20
        peer.recv(1000)
        peer.sendall(b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
        out, _ = kaso.finish()
        assert "VM status" in out and "\033" not in out


def cpu_ticks(kaso):
    with open("/proc/%d/stat" % kaso.process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


commands()
scripted()
