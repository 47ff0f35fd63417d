# SPDX-License-Identifier: MIT
"""What tests of machines that go from process to process have in common."""

import time

from harness import Kaso, Qmp
from patience import allow


def machine(*arguments, memory="16M", kind="pc", **more):
    return Kaso("-m", memory, "-qmp", "unix:@/qmp,server=on,wait=off", *arguments, machine=kind, **more)


def qmp(kaso, *capabilities, **parameters):
    session = Qmp(kaso.connect("qmp"))
    wanted = [{"capability": name, "state": True} for name in ("events", *capabilities)]
    session.command("migrate-set-capabilities", capabilities=wanted)
    if parameters:
        session.command("migrate-set-parameters", **parameters)
    return session


def status_of(session, *statuses):
    """Waits for a status of the migration, and that no other is its last; the whole answer."""
    end = time.monotonic() + allow(60)
    while True:
        answer = session.command("query-migrate")
        if answer.get("status") in statuses:
            return answer
        assert answer.get("status") not in ("failed", "completed", "cancelled"), answer
        assert time.monotonic() < end, answer
        time.sleep(0.02)


def state(session):
    return session.command("query-status")["status"]
