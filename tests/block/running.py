# SPDX-License-Identifier: MIT
"""What tests of images in a running machine share: arguments KASO, kaso-img, kaso-io; nodes; QMP."""

import json
import os
import subprocess
import sys

sys.argv[1:4] = map(os.path.abspath, sys.argv[1:4])
KASO, IMG, IO = sys.argv[1:4]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "monitor"))
import harness
from patience import allow

MIB = 1 << 20


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=allow(60))
    assert result.returncode == 0, (command, result.stdout)
    return result.stdout.decode()


def io(image, *commands):
    return run(IO, *[a for c in commands for a in ("-c", c)], image)


def create(name, size="8M", *more, format="qcow2"):
    run(IMG, "create", "-q", "-f", format, *more, name, size)


def blockdev(**node):
    node = {k.replace("_", "-"): v for k, v in node.items()}
    return ("-blockdev", json.dumps(node))


def image(name, **more):
    return blockdev(driver="qcow2", node_name=name, file={"driver": "file", "filename": name}, **more)


class Machine:
    def __init__(self, *arguments):
        self.kaso = harness.Kaso(*arguments, "-qmp", "unix:@/qmp,server=on,wait=off", machine="virt",
                                 cwd=os.getcwd())
        self.qmp = harness.Qmp(self.kaso.connect("qmp"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kaso.__exit__()

    def ask(self, execute, **arguments):
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        return self.qmp.raw(json.dumps({"execute": execute, "arguments": arguments}))

    def do(self, execute, **arguments):
        answer = self.ask(execute, **arguments)
        assert "return" in answer, (execute, arguments, answer)
        return answer["return"]

    def fails(self, execute, **arguments):
        answer = self.ask(execute, **arguments)
        assert answer.get("error", {}).get("class") == "GenericError", (execute, arguments, answer)
        return answer["error"]["desc"]

    def hmp(self, line):
        return self.do("human-monitor-command", command_line=line)

    def serve(self):
        if os.path.exists("nbd"):
            os.unlink("nbd")
        self.do("nbd-server-start", addr={"type": "unix", "data": {"path": "nbd"}})

    def completed(self, job):
        while True:
            data = self.qmp.wait_event("BLOCK_JOB_COMPLETED")["data"]
            if data["device"] == job:
                assert "error" not in data, data
                return data

    def node(self, name):
        return {n["node-name"]: n for n in self.do("query-named-block-nodes")}.get(name)

    def writeback(self):
        return [d["inserted"]["cache"]["writeback"] for d in self.do("query-block")]
