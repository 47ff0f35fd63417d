# SPDX-License-Identifier: MIT
"""x-blockdev-amend: the keys of an image change while a machine has it; who cannot, and how a job that fails says so."""

import os
import subprocess
import tempfile

from running import IMG, IO, Machine, blockdev, run

SECRETS = [a for n in ("one", "two", "three") for a in ("-object", f"secret,id={n},data={n}")]
KINDS = {"luks": ({"key-secret": "one"}, ("key-secret=one",), lambda **o: o),
         "qcow2": ({"encrypt": {"format": "luks", "key-secret": "one"}}, ("encrypt.format=luks", "encrypt.key-secret=one"),
                   lambda **o: {"encrypt": {"format": "luks", **o}})}


def opens(kind, secret):
    key = f"encrypt.key-secret={secret}" if kind == "qcow2" else f"key-secret={secret}"
    return subprocess.run([IO, "--object", f"secret,id={secret},data={secret}", "-c", "read -P 0 0 64k", "--image-opts",
                           f"driver={kind},file.filename=i,{key}"], capture_output=True).returncode == 0


def amend(m, options, force=False, node="n"):
    """The error of the job, or None."""
    m.do("x-blockdev-amend", job_id="j", node_name=node, options=options, force=force)
    while {"status": "concluded", "id": "j"} not in [e["data"] for e in m.qmp.events if e["event"] == "JOB_STATUS_CHANGE"]:
        m.qmp.events.append(m.qmp.message())
    job = m.do("query-jobs")[0]
    assert job["type"] == "amend", job
    m.do("job-dismiss", id="j")
    m.qmp.wait_event("JOB_STATUS_CHANGE")
    del m.qmp.events[:]
    return job.get("error")


def keys(kind):
    node, create, form = KINDS[kind]
    run(IMG, "create", "-q", "-f", kind, "--object", "secret,id=one,data=one", "-o", ",".join(create + (
        ("encrypt.iter-time=10",) if kind == "qcow2" else ("iter-time=10",))), "i", "1M")
    with Machine(*SECRETS, *blockdev(driver=kind, node_name="n", file={"driver": "file", "filename": "i"}, **node)) as m:
        add = {"driver": kind, **form(**{"state": "active", "new-secret": "two", "iter-time": 10})}
        failure = amend(m, add)
        assert failure is None, failure
        drop = {"driver": kind, **form(**{"state": "inactive", "old-secret": "one"})}
        assert amend(m, drop) is None
        # The last one goes only by force; the machine reads on.
        last = {"driver": kind, **form(**{"state": "inactive", "old-secret": "two"})}
        assert amend(m, last)
        assert "wrote" in m.hmp('qemu-io n "write -P 0 0 64k"')
        assert "changing the block driver" in m.fails("x-blockdev-amend", job_id="j", node_name="n", options={"driver": "raw"})
        assert "Invalid job ID" in m.fails("x-blockdev-amend", job_id="", node_name="n", options=add)
        assert "node-name='x'" in m.fails("x-blockdev-amend", job_id="j", node_name="x", options=add)
        if kind == "qcow2":
            assert "lazy-refcounts" in m.fails("x-blockdev-amend", job_id="j", node_name="n", options={**add, "lazy-refcounts": True})
    assert opens(kind, "two") and not opens(kind, "one")


def others():
    run(IMG, "create", "-q", "-f", "raw", "i", "1M")
    with Machine(*blockdev(driver="raw", node_name="n", file={"driver": "file", "filename": "i"})) as m:
        assert "does not support" in m.fails("x-blockdev-amend", job_id="j", node_name="n", options={"driver": "raw"})


for test in (lambda: keys("luks"), lambda: keys("qcow2"), others):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test()
        os.chdir("/")
