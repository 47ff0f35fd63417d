# SPDX-License-Identifier: MIT
"""How long tests wait for what should come at once or soon: their limits tell a hang from an end, and nothing else hangs on them."""
import os

MOST = 20  # with load: a hang is to be told some day


def allow(seconds):
    """A limit for what takes less than so many seconds on an idle machine: more on this one. KASO_TEST_PATIENCE says by how much, where
    programs run slower than those that users have; what else the machine has to do is added."""
    factor = float(os.environ.get("KASO_TEST_PATIENCE", "3"))
    load = os.getloadavg()[0] / os.cpu_count()
    return seconds * max(factor, min(factor * load, MOST))
