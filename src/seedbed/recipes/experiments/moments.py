"""Times as the tables write them: with and without a fraction, with ``Z``, with an offset, or with neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


def moment(text: str) -> int | None:
    """Microseconds since 1970, UTC; None for what is no time. A time without an offset is UTC."""
    text = text.strip()
    if text[-1:] == "z":
        text = text[:-1] + "Z"
    try:
        found = datetime.fromisoformat(text)
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _TICK
    except (ValueError, OverflowError):
        return None


def written(ticks: int) -> str:
    """A moment in the one form of the index, which sorts as time does: ``2025-08-01T10:00:00.000000Z``."""
    return (_EPOCH + timedelta(microseconds=ticks)).isoformat(timespec="microseconds").replace("+00:00", "Z")
