"""Runs COMMAND and writes the peak resident memory of its process, in bytes, to a file in FOLDER.

    peak.py FOLDER COMMAND…

A process of its own, and a small one: what it holds itself would count as the child's.
"""

import os
import sys

folder, command = sys.argv[1], sys.argv[2:]
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
with open(os.path.join(folder, str(child)), "w") as file:
    file.write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status))
