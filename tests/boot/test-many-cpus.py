#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-many-cpus KASO PROGRAM: 256 processors start, know who they are and end."""
import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

kaso, program = sys.argv[1:]
run = subprocess.run(
    [kaso, "-M", "virt,gic-version=3", "-smp", "256", "-m", "128", "-nographic", "-monitor", "none", "-kernel", program],
    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=allow(100))
assert run.returncode == 0 and "256 processors" in run.stdout, run
print("256 processors started and ended")
