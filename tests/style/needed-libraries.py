#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""needed-libraries PROGRAM…: none of them needs a library at its start that few machines use (docs/decisions/0025-libraries-on-demand.md)."""
import re
import shutil
import subprocess
import sys

ON_DEMAND = "bz2 capstone curl gnutls jpeg pam sasl2 xkbcommon SDL2 asound pulse pipewire"

if not shutil.which("readelf"):
    print("skipped: readelf is not there (Debian's binutils)")
    sys.exit(77)
for program in sys.argv[1:]:
    entries = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[lib([^\]]+)\.so", entries)
    wrong = [name for name in needed if re.match("|".join(ON_DEMAND.split()), name)]
    assert needed and not wrong, f"{program} needs {', '.join(wrong)}: load it by base/library.h"
