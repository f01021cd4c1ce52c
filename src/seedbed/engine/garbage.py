"""Cycles are looked for seldom while a phase works: nearly all that it holds is freed when its last name goes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (50_000, 20, 100)
"""Objects made before the youngest are looked at, and how often the older ones are."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """What is there already (modules, above all) is not looked at again within."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.freeze()
    if 0 < before[0] < SELDOM[0]:
        gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:  # else somebody has frozen what they wanted frozen
            gc.unfreeze()
