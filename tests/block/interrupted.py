# SPDX-License-Identifier: MIT
"""SIGINT and SIGTERM to kaso-img: it says what is unfinished, images stay whole, the status tells."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO, NBD = map(os.path.abspath, sys.argv[1:4])
MIB = 1 << 20


def slow(rate):
    """For images whose file is throttled."""
    return ["--object", f"throttle-group,id=slow,x-bps-total={rate}", "--image-opts"]


def run(*command, status=0):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=allow(60))
    assert result.returncode == status, (command, result.returncode, result.stdout, result.stderr)
    return result.stdout


def io(fmt, name, *commands):
    return run(IO, "-f", fmt, *[a for c in commands for a in ("-c", c)], name)


def interrupt(number, when, *command, times=1):
    """Sends the signal once when() is true; what was said."""
    with subprocess.Popen([IMG, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        while not when():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        start = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.1)
        errors = process.communicate(timeout=allow(30))[1]
        took = time.monotonic() - start
    assert process.returncode == -number, (command, process.returncode, errors)
    assert signal.Signals(number).name in errors, errors
    return errors, took


def longer(name, size):
    return lambda: os.path.exists(name) and os.path.getsize(name) > size


def clean(name):
    """No leak either, and nobody holds a lock."""
    run(IMG, "check", "-q", "-f", "qcow2", name)
    io("qcow2", name, "write 0 512")


def convert():
    run(IMG, "create", "-q", "-f", "raw", "big", "16M")
    io("raw", "big", "write -P 1 0 16M")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        errors, took = interrupt(number, longer("to", MIB), "convert", "-r", "12M", "-f", "raw",
                                 "-O", "qcow2", "big", "to")
        assert "'to' is unfinished" in errors and took < allow(5), (errors, took)
        clean("to")
        os.unlink("to")
    run(IMG, "create", "-q", "-f", "qcow2", "to", "16M")
    interrupt(signal.SIGINT, longer("to", os.path.getsize("to")), "convert", "-c", "-n", "-r", "12M", "-f", "raw",
              "-O", "qcow2", "big", "to")
    clean("to")
    os.unlink("to")
    # Who does not want to wait says it again.
    errors, took = interrupt(signal.SIGINT, longer("to", 1), "convert", "-r", "64k", "-f", "raw",
                             "-O", "raw", "big", "to", times=2)
    assert "'to' is unfinished" in errors and took < allow(3), (errors, took)


def dd():
    errors = interrupt(signal.SIGTERM, longer("out", 4 * MIB), "dd", "-f", "raw", "-O", "qcow2", "if=big",
                       "of=out", "bs=512")[0]
    assert "'out' is unfinished" in errors, errors
    clean("out")


def create():
    """Where there is nothing to save it ends at once."""
    errors, took = interrupt(signal.SIGINT, longer("full", MIB), "create", "-q", "-f", "raw", "-o",
                             "preallocation=full", "full", "64G")
    assert "'full' is unfinished" in errors and took < allow(5), (errors, took)
    os.unlink("full")


def chain():
    run(IMG, "create", "-q", "-f", "qcow2", "base", "16M")
    io("qcow2", "base", "write -P 1 0 16M")
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top", "16M")


def commit():
    """Everything can be read above, and committed again."""
    run(IMG, "create", "-q", "-f", "qcow2", "base", "16M")
    run(IMG, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top", "16M")
    io("qcow2", "top", "write -P 2 0 16M")
    errors, _ = interrupt(signal.SIGINT, longer("base", 3 * MIB), "commit", *slow("12M"),
                          "driver=qcow2,file.filename=top,backing.driver=qcow2,backing.file.driver="
                          "throttle,backing.file.throttle-group=slow,backing.file.file.filename=base")
    assert "still has all" in errors, errors
    assert "Pattern" not in io("qcow2", "top", "read -P 2 0 16M")
    clean("base")
    clean("top")
    io("qcow2", "top", "write -P 2 0 16M")
    run(IMG, "commit", "-q", "-f", "qcow2", "top")
    assert "Pattern" not in io("qcow2", "base", "read -P 2 0 16M")


def rebase():
    """It still stands on the old backing file."""
    chain()
    errors, _ = interrupt(signal.SIGINT, longer("top", 3 * MIB), "rebase", *slow("12M"), "-b", "",
                          "driver=qcow2,file.driver=throttle,file.throttle-group=slow,"
                          "file.file.filename=top,backing.driver=qcow2,backing.file.filename=base")
    assert "keeps its backing file" in errors, errors
    assert "backing file: base" in run(IMG, "info", "top")
    assert "Pattern" not in io("qcow2", "top", "read -P 1 0 16M")
    clean("top")
    io("qcow2", "top", "write -P 1 0 512")
    run(IMG, "rebase", "-b", "", "top")
    assert "Pattern" not in io("qcow2", "top", "read -P 1 0 16M")


def amend():
    """What changes the structure of an image is completed."""
    run(IMG, "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", "i", "16M")
    io("qcow2", "i", "write -P 1 0 16M")
    size = os.path.getsize("i")
    errors, _ = interrupt(signal.SIGINT, longer("i", size), "amend", *slow("400k"), "-o", "refcount_bits=64",
                          "driver=qcow2,file.driver=throttle,file.throttle-group=slow,"
                          "file.file.filename=i")
    assert "completed first" in errors, errors
    assert "refcount bits: 64" in run(IMG, "info", "i")
    clean("i")
    size = os.path.getsize("i")
    errors, _ = interrupt(signal.SIGTERM, longer("i", size), "resize", *slow("12M"), "--preallocation=full",
                          "driver=qcow2,file.driver=throttle,file.throttle-group=slow,"
                          "file.file.filename=i", "20M")
    assert "completed first" in errors, errors
    assert "20 MiB" in run(IMG, "info", "i")
    clean("i")


def ignored():
    """What nohup has turned off stays off."""
    process = subprocess.Popen(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", IMG, "convert", "-r", "16M",
                                "-f", "raw", "-O", "raw", "big", "copy"])
    while not longer("copy", 0)():
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=allow(60)) == 0


def silent_server():
    """Nothing was begun while an image is not open yet, so one signal is enough."""
    run(IMG, "create", "-q", "-f", "raw", "source", "1M")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"nbd://127.0.0.1:{server.getsockname()[1]}"
        for program, *arguments in [
            (IMG, "info", url), (IMG, "map", url), (IMG, "compare", "source", url), (IMG, "resize", "-f", "raw", url, "1G"),
            (IMG, "convert", "-n", "-O", "raw", "source", url), (IMG, "convert", "-O", "qcow2", url, "never"), (IMG, "commit", url),
            (IMG, "rebase", "-u", "-b", "", url), (IMG, "bench", "-w", "-f", "raw", url), (IMG, "amend", "-o", "compat=1.1", url),
            (IMG, "bitmap", "--add", url, "b"), (IMG, "check", "-r", "all", url), (IO, "-c", "read 0 512", url), (NBD, "-k", "s", url),
            (NBD, "-L", "-b", "127.0.0.1", "-p", str(server.getsockname()[1])),
        ]:
            with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                client = server.accept()[0]
                process.send_signal(signal.SIGTERM)
                errors = process.communicate(timeout=allow(60))[1]
                client.close()
            assert process.returncode == -signal.SIGTERM, (arguments, process.returncode, errors)
            assert "waiting for" not in errors, (arguments, errors)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # who started us may have turned them off, for us and our children
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        convert()
        ignored()
        silent_server()
        create()
        commit()
        rebase()
        amend()
        os.truncate("big", 1 << 30)
        dd()
        os.chdir("/")


main()
