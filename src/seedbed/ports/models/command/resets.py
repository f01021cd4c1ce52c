"""When a limit opens again, as programs word it: "resets at 11pm", "try again in 2h 5m", an instant, a Unix time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_UNIX = re.compile(r"(?<!\d)([12]\d{9})(?!\d)")
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?(?:Z\b|UTC\b|[+-]\d{2}:?\d{2}))?", re.ASCII
)
_AMOUNT = r"(\d{1,6}(?:\.\d+)?) ?(d|h|m|s)(?:ays?|(?:ou)?rs?|in(?:ute)?s?|ec(?:ond)?s?)?\b"
_DURATION = re.compile(rf"\b(?:in|after) (?:about )?((?:{_AMOUNT}[ ,]*(?:and )?)+)", re.IGNORECASE)
_PART = re.compile(_AMOUNT, re.IGNORECASE)
_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_CLOCK = re.compile(
    r"\b(?:at|resets?|until|after)\b[^\d\n]{0,12}(\d{1,2})(?::(\d{2}))? ?(?:([ap])\.?m\b\.?)?"
    r"(?:,? ?\(?([A-Z][\w+/-]+))?",
    re.IGNORECASE,
)


def seconds_until(words: str, now: datetime) -> float | None:
    """Seconds from ``now`` (which has a zone: that of times without one); None where nothing is said."""
    if (unix := _UNIX.search(words)) is not None:
        return _positive(int(unix[1]) - now.timestamp())
    if (instant := _INSTANT.search(words)) is not None:
        return _until(instant[0], now)
    if (duration := _DURATION.search(words)) is not None:
        return _positive(sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _PART.findall(duration[1])))
    return _next_clock(words, now)


def _until(text: str, now: datetime) -> float | None:
    try:
        found = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" Z", "Z"))
    except ValueError:
        return None
    return _positive(((found if found.tzinfo else found.replace(tzinfo=now.tzinfo)) - now).total_seconds())


def _next_clock(words: str, now: datetime) -> float | None:
    """The next time that a clock shows what is said. A bare number is none."""
    for hour, minute, half, zone in _CLOCK.findall(words):
        if not minute and not half:
            continue
        at = int(hour) % 12 + 12 * (half.lower() == "p") if half else int(hour)
        if at > 23 or int(minute or 0) > 59:
            continue
        here = now.astimezone(_zone(zone) or now.tzinfo)
        then = here.replace(hour=at, minute=int(minute or 0), second=0, microsecond=0)
        return (then - here if then > here else then + timedelta(days=1) - here).total_seconds()
    return None


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError):  # no such zone
        return None


def _positive(seconds: float) -> float | None:
    return seconds if seconds > 0 else None
