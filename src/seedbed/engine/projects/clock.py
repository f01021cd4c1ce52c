"""The time of day, for all that is dated. ``SEEDBED_NOW`` sets it, to rehearse a schedule."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from seedbed.errors import UsageError

VARIABLE = "SEEDBED_NOW"

_offsets: dict[str, int] = {}


def now_ms() -> int:
    """Unix time in milliseconds. ``SEEDBED_NOW=2026-11-20T22:59:00Z`` starts it there when a process first looks."""
    real = time.time_ns() // 1_000_000
    text = os.environ.get(VARIABLE)
    if not text:
        return real
    offset = _offsets.get(text)
    if offset is None:
        offset = _offsets[text] = _milliseconds(text) - real
    return real + offset


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{VARIABLE}={text} is no moment", hint="Write it as 2026-11-20T22:59:00Z.") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
