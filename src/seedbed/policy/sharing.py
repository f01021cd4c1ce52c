"""How processes share one limit: each holds a part of it, those who want more share what the others leave.

Pure. The parts stand in the state as leases; what is granted there never adds up to more than the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WHOLE = 10_000
"""Parts that a limit has."""
ROOM = 1.25
"""What a process that does not wait keeps, as a multiple of what it used."""
LEAST = 200
"""Parts that nobody goes below by itself, so that it can show that it wants more."""


@dataclass(frozen=True, slots=True)
class Member:
    """Another process: the parts it holds, and whether its calls wait for the limit."""

    held: int
    hungry: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Keep so many of the parts that are held, and take so many more."""

    keep: int
    more: int


def claim(held: int, *, hungry: bool, use: float, others: Sequence[Member]) -> Claim:
    """What to hold of a limit from now on. ``use``: the share of the whole limit that was used lately, from 0 to 1.

    Those whose calls wait share equally what the others hold no longer; those whose calls do not wait keep what
    they need and a little more, but only while somebody waits: nothing lies idle by rule.
    """
    free = max(0, WHOLE - held - sum(other.held for other in others))
    waiting = [other for other in others if other.hungry]
    if hungry:
        sated = sum(other.held for other in others if not other.hungry)
        part = max(LEAST, (WHOLE - sated) // (1 + len(waiting)))
    elif waiting:
        part = max(LEAST, math.ceil(min(1.0, use) * WHOLE * ROOM))
    else:
        part = max(held, WHOLE // (1 + len(others)))
    return Claim(min(held, part), min(free, max(0, part - held)))
