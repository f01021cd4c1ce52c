"""Usage windows: how much of an account may be used until when, and how waves share it.

    Window    what a user states: capacity, reset or period, share, quiet hours, off switch
    Span      one window in time: from its reset to the next
    Use       what was used of a span, in every unit
    learned   the capacity, from how much was used each time the provider closed the window
    fires     when waves should start, so that the share of each window is used

Pure: moments come in, in Unix seconds; days and hours are those of the window's zone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from seedbed.errors import ConfigError, UsageError
from seedbed.records import parse_money

Unit = Literal["items", "calls", "tokens", "money"]
UNITS: tuple[Unit, ...] = ("items", "calls", "tokens", "money")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FIRST_FIRE = 20
"""Minutes from a reset to the first wave: shown reset times are often early (a few minutes, in reports of users)."""
BETWEEN_FIRES = 90
"""Minutes to the next one: time for the first to end, and for what it met to be over."""
HOURLY = 7
"""Minute of the hour at which waves start where a window has no fixed reset: one that is too early costs nothing."""
LATEST = 5
"""So many closings count for the learned capacity."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([mhd])")
_CLOCK = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun)\w* +)?(\d{1,2}):(\d{2})", re.IGNORECASE)
_AMOUNT = re.compile(r"(\d[\d_,.]*) ?([kM]?) ?(items|calls|tokens)?")


@dataclass(frozen=True, slots=True)
class Reset:
    """A moment of the day, or of the week where ``weekday`` (0 is Monday) is given."""

    hour: int
    minute: int
    weekday: int | None = None

    def __str__(self) -> str:
        day = "" if self.weekday is None else f"{DAYS[self.weekday].capitalize()} "
        return f"{day}{self.hour:02}:{self.minute:02}"


@dataclass(frozen=True, slots=True)
class Use:
    """What was used of a span. ``money`` in 10⁻⁹ USD."""

    items: int = 0
    calls: int = 0
    tokens: int = 0
    money: int = 0

    def of(self, unit: Unit) -> int:
        return int(getattr(self, unit))


@dataclass(frozen=True, slots=True)
class Span:
    """One window in time, in Unix seconds. ``end`` is None for one that has not begun: it begins with a call."""

    start: float
    end: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """``capacity`` None is learned. ``period`` in seconds, from the first use on; without it ``resets`` divide time."""

    name: str
    account: str
    unit: Unit = "items"
    capacity: int | None = None
    share: float = 1.0
    resets: tuple[Reset, ...] = ()
    period: float | None = None
    zone: str = "UTC"
    quiet: tuple[tuple[int, int], ...] = ()
    """Minutes of the day, from and to, in which nothing is sent; the second may lie in the next day."""
    on: bool = True

    @property
    def place(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    # ---- time

    def span(self, now: float, begun: float | None = None) -> Span:
        """The window that ``now`` lies in. ``begun`` is when the last one of a ``period`` began, if one did."""
        if self.period is not None:
            if begun is not None and begun <= now < begun + self.period:
                return Span(begun, begun + self.period)
            return Span(now, None)
        return Span(self._reset_before(now), self.reset_after(now))

    def reset_after(self, now: float) -> float:
        """The first reset later than ``now``."""
        return next(moment for moment in self._resets(now, 1) if moment > now)

    def _reset_before(self, now: float) -> float:
        return next(moment for moment in self._resets(now, -1) if moment <= now)

    def _resets(self, now: float, step: int) -> Iterator[float]:
        """Resets around a moment, forwards or backwards, from a day beyond it on."""
        day = datetime.fromtimestamp(now, self.place).date() - timedelta(days=step)
        while True:
            moments = [
                datetime.combine(day, time(each.hour, each.minute), self.place).timestamp()
                for each in self.resets
                if each.weekday is None or each.weekday == day.weekday()
            ]
            yield from sorted(set(moments), reverse=step < 0)
            day += timedelta(days=step)

    def quiet_until(self, now: float) -> float | None:
        """The end of the quiet hours that ``now`` lies in."""
        local = datetime.fromtimestamp(now, self.place)
        for start, end in self.quiet:
            for day in (local.date() - timedelta(days=1), local.date()):
                begins = _at(day, start, self.place)
                ends = _at(day if end > start else day + timedelta(days=1), end, self.place)
                if begins <= now < ends:
                    return ends
        return None

    # ---- how much

    def expected(self, share: float, learned: int | None) -> int | None:
        """How much of one window is likely to be used; None where no capacity is known yet."""
        capacity = self.capacity if self.capacity is not None else learned
        return None if capacity is None else math.floor(capacity * share + 1e-9)

    def allowed(self, share: float, learned: int | None) -> int | None:
        """How much may be used. The whole of a window whose capacity is only learned has no bound but the provider's,
        so that it can be learned again."""
        return None if self.capacity is None and share >= 1 else self.expected(share, learned)


def _at(day: Any, minute: int, zone: ZoneInfo) -> float:
    return datetime.combine(day, time(minute // 60 % 24, minute % 60), zone).timestamp()


def learned_capacity(used_at_closing: Sequence[int]) -> int | None:
    """The capacity as the last closings by the provider show it: their median, so that one odd night counts little."""
    latest = list(used_at_closing)[-LATEST:]
    return round(median(latest)) if latest else None


def windows_needed(left: int, allowed: int | None) -> int | None:
    """How many windows it takes, each used up to what is allowed. None where that is not known."""
    if left <= 0:
        return 0
    return None if not allowed else -(-left // allowed)


# --------------------------------------------------------------------------------------------- fires


def fires(window: Window, waves: int = 2) -> list[Reset]:
    """Moments to start a wave, in the window's zone: ``waves`` after each reset, those in quiet hours left out.

    The second wave of a window does what the first one was kept from; it costs nothing where nothing was.
    """
    found = []
    for reset in window.resets:
        for number in range(waves):
            minutes = reset.hour * 60 + reset.minute + FIRST_FIRE + number * BETWEEN_FIRES
            days, minute = divmod(minutes, 24 * 60)
            weekday = None if reset.weekday is None else (reset.weekday + days) % 7
            fire = Reset(minute // 60, minute % 60, weekday)
            if not _is_quiet(window.quiet, minute):
                found.append(fire)
    return found


def _is_quiet(quiet: Sequence[tuple[int, int]], minute: int) -> bool:
    return any((start <= minute < end) if start < end else (minute >= start or minute < end) for start, end in quiet)


def next_fires(window: Window, now: float, waves: int = 2) -> Iterator[float]:
    """The moments of the coming fires, without end."""
    times = fires(window, waves)
    if window.period is not None or not times:
        hour = math.floor(now / 3600) * 3600 + HOURLY * 60
        while True:
            if hour > now and window.quiet_until(hour) is None:
                yield float(hour)
            hour += 3600
    day = datetime.fromtimestamp(now, window.place).date()
    while True:
        for fire in sorted(times, key=lambda each: (each.hour, each.minute)):
            if fire.weekday is None or fire.weekday == day.weekday():
                moment = _at(day, fire.hour * 60 + fire.minute, window.place)
                if moment > now:
                    yield moment
        day += timedelta(days=1)


def done_at(window: Window, now: float, windows: int | None) -> float | None:
    """When the last of so many windows has its first wave: the present one counts where it may still be used."""
    if windows is None or windows < 1:
        return None
    coming = next_fires(window, now)
    if window.period is not None:
        return now + (windows - 1) * window.period
    moment = next(coming)
    for _ in range(windows - 1):
        end = window.span(moment).end
        moment = next(fire for fire in coming if end is None or fire >= end)
    return moment


# ------------------------------------------------------------------------------------------- settings


def parse_window(name: str, table: Mapping[str, Any]) -> Window:
    """The window of a section ``[windows.NAME]``. Raises ConfigError with one line for what contradicts itself."""
    place = f"windows.{name}"
    zone = str(table.get("zone") or "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"{place}.zone: there is no time zone {zone}", hint="Write it as Europe/Berlin.") from error
    period = table.get("period")
    resets = tuple(parse_reset(text, place) for text in table.get("reset") or ())
    if period is not None and resets:
        raise ConfigError(
            f"{place} has a period and a reset, which contradict each other",
            hint="A period begins with the first call; a reset comes at its hour. Keep one of them.",
        )
    if period is None and not resets:
        raise ConfigError(f"{place} says neither reset nor period", hint='Write reset = "23:00" or period = "5h".')
    account = table.get("account")
    if not account:
        raise ConfigError(f"{place} says no account", hint='Name it: account = "openai".')
    unit, capacity = parse_capacity(str(table.get("capacity") or ""), str(table.get("unit") or ""), place)
    quiet = tuple(_quiet(text, place) for text in table.get("quiet") or ())
    if quiet and all(_is_quiet(quiet, minute) for minute in range(24 * 60)):
        raise ConfigError(f"{place}.quiet leaves no hour of the day", hint="Or switch the window off: on = false.")
    return Window(
        name, str(account), unit, capacity, parse_share(str(table.get("share") or "100%"), f"{place}.share"),
        resets, None if period is None else _duration(str(period), place), zone, quiet, bool(table.get("on", True)),
    )  # fmt: skip


def parse_share(text: str, place: str) -> float:
    """``75%`` or ``0.75``. Raises UsageError outside of 0 to 100 %."""
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UsageError(f"{place}: {text} is no share of a window", hint="Write it as 75%.")
    return value


def parse_reset(text: str, place: str) -> Reset:
    match = _CLOCK.fullmatch(text.strip())
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise ConfigError(f"{place}.reset: {text} is no time of the day", hint="Write it as 23:00 or Mon 23:00.")
    weekday = None if match[1] is None else DAYS.index(match[1].lower())
    return Reset(int(match[2]), int(match[3]), weekday)


def parse_capacity(text: str, unit: str, place: str) -> tuple[Unit, int | None]:
    """``950 items``, ``2M tokens``, ``20usd``; empty is learned, in ``unit``."""
    if unit and unit not in UNITS:
        raise ConfigError(f"{place}.unit: {unit} is none of {', '.join(UNITS)}")
    stated = next((each for each in UNITS if each == unit), None)
    if not text:
        return stated or "items", None
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        return _of_money(text, stated, place)
    number = float(match[1].replace("_", "").replace(",", "")) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    said = next((each for each in UNITS if each == match[3]), None)
    if said and stated and said != stated:
        raise ConfigError(f"{place}.capacity is in {said} and {place}.unit says {stated}")
    if number != int(number) or number < 1:
        raise ConfigError(f"{place}.capacity: {text} is no whole number from 1", hint="Or leave it out: it is learned.")
    return said or stated or "items", int(number)


def _of_money(text: str, stated: Unit | None, place: str) -> tuple[Unit, int]:
    hint = "Write it as 950 items, 2000 calls, 2M tokens or 20usd."
    try:
        amount = parse_money(text)
    except UsageError as error:
        raise ConfigError(f"{place}.capacity: {text} is no amount", hint=hint) from error
    if stated not in (None, "money"):
        raise ConfigError(f"{place}.capacity is in money and {place}.unit says {stated}")
    if amount < 1:
        raise ConfigError(f"{place}.capacity: {text} is nothing", hint="Or leave it out: it is learned.")
    return "money", amount


def _duration(text: str, place: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0.0
    if not seconds:
        raise ConfigError(f"{place}.period: {text} is no length of time", hint="Write it as 5h, 90m or 7d.")
    return seconds


def _quiet(text: str, place: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    times = [_CLOCK.fullmatch(each.strip()) for each in (start, end)]
    minutes = [int(each[2]) * 60 + int(each[3]) for each in times if each is not None and each[1] is None]
    if not dash or len(minutes) != 2 or max(minutes) >= 24 * 60 or minutes[0] == minutes[1]:
        raise ConfigError(f"{place}.quiet: {text} is no span of hours", hint="Write it as 08:00-18:00.")
    return minutes[0], minutes[1]


def utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
