# SPDX-License-Identifier: MIT
"""
fat:rw:DIR: mtools change a copy of the disk; the sectors that it has changed are then written through Kaso in random order, with a
flush after each. In between no file that stays may suffer, at the end the folder is what mtools show.

usage: vvfat-write.py KASO_IMG KASO_IO KASO_NBD
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO, NBD = map(os.path.abspath, sys.argv[1:4])
SKIP = 77


def run(*command, status=0, **more):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=allow(60),
                            **more)
    text = result.stdout.decode(errors="replace")
    assert result.returncode == status, (command, result.returncode, text)
    return text


def host_tree(path):
    """Path -> content, None for folders."""
    found = {}
    for root, folders, files in os.walk(path):
        for name in folders:
            found[os.path.relpath(os.path.join(root, name), path)] = None
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                found[os.path.relpath(os.path.join(root, name), path)] = file.read()
    return found


class Disk:
    """A copy of the disk for mtools, and kaso-io with the disk itself."""

    def __init__(self, name, start, image=None):
        self.start, self.text = start, ""
        run(IMG, "convert", "-f", "raw", "-O", "raw", name.replace("rw:", ""), "copy")
        self.io = subprocess.Popen([IO, "-f", "raw", image or name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.before = self.read()
        self.say("length")  # it has read the folder

    def read(self):
        with open("copy", "rb") as file:
            return file.read()

    def tool(self, name, *arguments, **more):
        return run(name, "-i", "copy@@%d" % self.start, *arguments, **more)

    def say(self, command):
        """A command of kaso-io, and what it says."""
        self.io.stdin.write((command + "\nhelp quit\n").encode())
        self.io.stdin.flush()
        text = ""
        while "quit" not in text:
            line = self.io.stdout.readline().decode()
            assert line, text
            text += line
        self.text += text
        return text

    def changed(self):
        """Offsets of the sectors that mtools have changed, and their content."""
        after, found = self.read(), []
        for at in range(0, len(after), 65536):
            if after[at:at + 65536] != self.before[at:at + 65536]:
                found += [(i, after[i:i + 512]) for i in range(at, min(at + 65536, len(after)), 512)
                          if after[i:i + 512] != self.before[i:i + 512]]
        self.before = after
        return found

    def write(self, at, data):
        with open("sector", "wb") as file:
            file.write(data)
        text = self.say("write -q -s sector %d %d" % (at, len(data)))
        assert "rror" not in text and "failed" not in text, text

    def replay(self, rand, folder, stays=()):
        """Writes what mtools have changed; the files of `stays` are looked at all the time."""
        sectors = self.changed()
        rand.shuffle(sectors)
        for at, data in sectors:
            self.write(at, data)
            self.say("flush")
            now = host_tree(folder)
            for name in stays:
                assert name in now.items() if isinstance(name, tuple) else name in now, (name, now.keys())

    def extract(self):
        """What mtools find on their copy."""
        shutil.rmtree("shown", ignore_errors=True)
        os.mkdir("shown")
        names = [line for line in self.tool("mdir", "-b", "::").splitlines() if line.startswith("::/")]
        if names:
            self.tool("mcopy", "-s", "-n", *[n.rstrip("/") for n in names], "shown")
        return host_tree("shown")

    def close(self, status=0):
        text = self.io.communicate(b"quit\n", timeout=allow(60))[0].decode()
        assert self.io.returncode == status, text
        return self.text + text


def check(disk, folder):
    shown, found = disk.extract(), host_tree(folder)
    assert shown == found, (sorted(shown), sorted(found), [n for n in shown if found.get(n) != shown[n]])


def by_hand(rand):
    """Each thing that one does with files, on a floppy."""
    os.mkdir("t")
    os.mkdir("t/sub")
    for name, size in (("Keep it.txt", 3000), ("GONE.TXT", 700), ("Long name of a file", 5000), ("sub/inner", 1500)):
        with open("t/" + name, "wb") as file:
            file.write(rand.randbytes(size))
    with open("outside", "w") as file:
        file.write("outside")
    os.symlink("../outside", "t/link")
    os.chmod("t/Keep it.txt", 0o640)
    inode = os.stat("t/Keep it.txt").st_ino
    with open("new", "wb") as file:
        file.write(rand.randbytes(4321))
    disk = Disk("fat:floppy:rw:t", 0)
    keep = ("Keep it.txt", host_tree("t")["Keep it.txt"])

    def step(*command, stays=()):
        disk.tool(*command)
        disk.replay(rand, "t", stays)
        check(disk, "t")

    disk.say("flush")
    assert os.path.islink("t/link")
    step("mcopy", "new", "::A new file", stays=[keep, "GONE.TXT"])
    step("mdel", "::GONE.TXT", stays=[keep, "A new file"])
    step("mmd", "::Folder", stays=[keep])
    step("mmove", "::Keep it.txt", "::Folder/Keep it.txt", stays=["A new file"])
    stat = os.stat("t/Folder/Keep it.txt")
    assert stat.st_ino == inode and stat.st_mode & 0o777 == 0o640  # moved, not made anew
    step("mmove", "::Folder", "::sub/Other", stays=["A new file"])
    assert os.stat("t/sub/Other/Keep it.txt").st_ino == inode
    step("mcopy", "-o", "new", "::sub/Other/Keep it.txt", stays=["A new file"])
    assert os.stat("t/sub/Other/Keep it.txt").st_ino == inode
    step("mcopy", "-o", "new", "::link")
    assert not os.path.islink("t/link")
    with open("outside", encoding="ascii") as file:
        assert file.read() == "outside"
    for a, b in (("link", "swap"), ("Long name of a file", "link"), ("swap", "Long name of a file")):
        disk.tool("mren", "::" + a, "::" + b)
    disk.replay(rand, "t")
    check(disk, "t")
    step("mdeltree", "::sub")
    step("mcopy", "new", "::sub")  # a file where a folder was
    stamp = int(time.time()) - 86400 * 400
    os.utime("new", (stamp, stamp))
    step("mcopy", "-m", "new", "::old")
    assert abs(os.stat("t/old").st_mtime - stamp) <= 2
    assert disk.close().count("vvfat") == 0


def at_random(rand, name, start, steps, image=None):
    """Anything in any order."""
    os.makedirs("r/one/two")
    for i in range(12):
        with open("r/%s/start %d" % (rand.choice([".", "one", "one/two"]), i), "wb") as file:
            file.write(rand.randbytes(rand.choice([0, 1, 512, 4000, 9000])))
    disk = Disk(name, start, image)
    for number in range(steps):
        tree = host_tree("r")
        folders = ["."] + [n for n in tree if tree[n] is None]
        files = [n for n in tree if tree[n] is not None]
        for _ in range(rand.randrange(1, 4)):
            target = "::%s/%s" % (rand.choice(folders), "name %d" % rand.randrange(40))
            kind = rand.randrange(6)
            with open("new", "wb") as file:
                file.write(rand.randbytes(rand.choice([0, 1, 512, 3000, 9000, 20000])))
            command = (["mcopy", "-o", "new", target] if kind <= 1 or not files else
                       ["mcopy", "-o", "new", "::" + rand.choice(files)] if kind == 2 else
                       ["mdel", "::" + rand.choice(files)] if kind == 3 else
                       ["mmd", target] if kind == 4 else
                       ["mmove", "::" + rand.choice(list(tree)), target])
            # Some have no sense after those before; mtools leave the disk whole then.
            subprocess.run([command[0], "-i", "copy@@%d" % start, "-D", "s", *command[1:]], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=allow(60), check=False)
        disk.replay(rand, "r")
        shown, found = disk.extract(), host_tree("r")
        assert shown == found, (number, sorted(shown.items())[:3], set(shown) ^ set(found))
    text = disk.close()
    assert "vvfat" not in text, text
    run(IMG, "convert", "-f", "raw", "-O", "raw", name.replace("rw:", ""), "again")
    shutil.rmtree("r")


def refusals(rand):
    """What is not a file system any more, names that are none, and folders that change on the host."""
    os.mkdir("b")
    with open("b/file", "wb") as file:
        file.write(b"content")
    disk = Disk("fat:floppy:rw:b", 0)
    assert "ermitted" in disk.say("write -P 0 0 512")  # the size of the file system
    disk.say("write -P 0 512 4608")  # a table without chains
    disk.say("flush")
    assert host_tree("b") == {"file": b"content"}
    disk.write(512, disk.before[512:512 + 4608])
    root = disk.before.index(b"FILE       ")
    for bad in (b"../X       ", b"..         ", b"A/B        ", b"\x01          "):
        disk.write(root // 512 * 512, disk.before[root // 512 * 512:root] + bad +
                   disk.before[root + 11:root // 512 * 512 + 512])
        disk.say("flush")
        assert host_tree("b") == {"file": b"content"}, bad
    text = disk.close(1)
    assert "do not fit together" in text and "not a name for the host" in text, text

    disk = Disk("fat:floppy:rw:b", 0)
    with open("b/taken", "wb") as file:
        file.write(b"by the host")
    with open("new", "wb") as file:
        file.write(b"by the guest")
    disk.tool("mcopy", "new", "::taken")
    disk.replay(rand, "b")
    assert host_tree("b") == {"file": b"content", "taken": b"by the host"}, host_tree("b")
    os.remove("b/taken")
    disk.tool("mcopy", "new", "::other")
    disk.replay(rand, "b")
    assert host_tree("b") == {"file": b"content", "taken": b"by the guest", "other": b"by the guest"}
    assert "could not write 'taken'" in disk.close()
    assert "read-only" in run(IO, "-r", "-f", "raw", "-c", "quit", "fat:rw:b", status=1)
    text = run(IO, "-f", "raw", "-c", "write 0 512", "fat:b", status=1)
    assert "read-only" in text or "ermi" in text, text


def through_nbd(rand):
    os.makedirs("r")
    server = subprocess.Popen([NBD, "-t", "-k", os.path.abspath("socket"), "-f", "raw", "fat:floppy:rw:r"])
    for _ in range(1200):
        if os.path.exists("socket"):
            break
        time.sleep(0.05)
    disk = Disk("fat:floppy:rw:r", 0, "nbd+unix:///?socket=" + os.path.abspath("socket"))
    with open("new", "wb") as file:
        file.write(rand.randbytes(5000))
    disk.tool("mcopy", "new", "::by NBD")
    disk.replay(rand, "r")
    check(disk, "r")
    disk.close()
    server.terminate()
    assert server.wait(allow(30)) in (0, -15)
    shutil.rmtree("r")


def main():
    if not shutil.which("mcopy"):
        print("skipped: needs mtools")
        sys.exit(SKIP)
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    rand = random.Random(int(os.environ.get("KASO_TEST_SEED", "7")))
    with tempfile.TemporaryDirectory(prefix="kaso-vvfat-") as folder:
        os.chdir(folder)
        by_hand(rand)
        refusals(rand)
        through_nbd(rand)
        at_random(rand, "fat:floppy:rw:r", 0, 25)
        at_random(rand, "fat:12:rw:r", 63 * 512, 4)
        os.chdir("/")


main()
