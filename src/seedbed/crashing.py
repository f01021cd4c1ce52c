"""Named moments at which a process can be killed, so that what is promised about a kill can be shown.

``SEEDBED_CRASH_POINT="after a receipt"`` ends the process there with SIGKILL;
``after a receipt:3`` does at the third time it comes by. Not set, a point does nothing. What is on
the disk at each, and what the next command does, stands in ``docs/crash-points.md``.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator

VARIABLE = "SEEDBED_CRASH_POINT"

_wanted = ""
_times = 1
_passes: Iterator[int] = itertools.count(1)


def arm(where: str) -> None:
    """Choose the point, as ``name`` or ``name:k``; blank for none."""
    global _wanted, _times, _passes
    name, colon, times = where.rpartition(":")
    _wanted, _times = (name, int(times)) if colon else (where, 1)
    _passes = itertools.count(1)


def point(name: str) -> None:
    """The process may be killed here."""
    if name == _wanted and next(_passes) == _times:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
