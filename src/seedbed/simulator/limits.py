"""Rate limits and usage windows, and how a provider tells of them. Pure: the clock comes in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Protocol

Clock = Callable[[], float]

RETRY_AFTER_FORMATS = ("both", "seconds", "ms", "date", "none", "nonsense", "huge")
WINDOW_KINDS = ("insufficient_quota", "usage_limit_reached")
RATE_STYLES = ("bucket", "fixed")
HEADER_STYLES = ("openai", "anthropic", "gemini", "none", "nonsense")
BURST_SECONDS = 1.0


class Meter(Protocol):
    """A limit by the minute, however it is kept."""

    per_minute: float

    def level(self) -> float: ...
    def wait(self, cost: float) -> float: ...
    def take(self, cost: float) -> None: ...
    def until_full(self) -> float: ...


class TokenBucket:
    """Refills without steps and holds one second's worth (at least one).

    A cost above what it can hold is let in when it is full, and leaves a debt that is refilled first.
    """

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self.per_minute = per_minute
        self.rate = per_minute / 60
        self.burst = max(1.0, self.rate * BURST_SECONDS)
        self._clock = clock
        self._level = self.burst
        self._at = clock()

    def level(self) -> float:
        now = self._clock()
        self._level = min(self.burst, self._level + max(0.0, now - self._at) * self.rate)
        self._at = now
        return self._level

    def wait(self, cost: float) -> float:
        """Seconds until `cost` fits; 0 when it does."""
        missing = min(cost, self.burst) - self.level()
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, cost: float) -> None:
        self._level = self.level() - cost

    def until_full(self) -> float:
        return (self.burst - self.level()) / self.rate


class FixedWindow:
    """So much in each span of `seconds`, counted from the server's start; all of it may go at its beginning.

    A cost above the whole is let in when the span is untouched.
    """

    def __init__(self, per_minute: float, seconds: float, clock: Clock) -> None:
        self.per_minute = per_minute
        self.capacity = per_minute * seconds / 60
        self.seconds = seconds
        self._clock = clock
        self._start = clock()
        self._span = 0
        self._used = 0.0

    def level(self) -> float:
        span = int((self._clock() - self._start) // self.seconds)
        if span != self._span:
            self._span, self._used = span, 0.0
        return self.capacity - self._used

    def wait(self, cost: float) -> float:
        return max(1e-3, self.until_full()) if self.level() < min(cost, self.capacity) - 1e-9 else 0.0

    def take(self, cost: float) -> None:
        self.level()
        self._used += cost

    def until_full(self) -> float:
        return self.seconds - (self._clock() - self._start) % self.seconds


class Limiter:
    """Requests and tokens a minute, granted together or not at all; counts both for the ledger."""

    def __init__(
        self, rpm: float | None, tpm: float | None, clock: Clock, *, style: str = "bucket", seconds: float = 60.0
    ) -> None:
        def meter(per_minute: float) -> Meter:
            return FixedWindow(per_minute, seconds, clock) if style == "fixed" else TokenBucket(per_minute, clock)

        self.requests = meter(rpm) if rpm else None
        self.tokens = meter(tpm) if tpm else None
        self.granted = 0
        self.refused = 0
        self.spent = 0
        self._clock = clock
        self._first: float | None = None
        self._last = 0.0

    def admit(self, tokens: int) -> float:
        """0 when granted, else the seconds to wait; a refused request costs nothing."""
        costs = [(meter, cost) for meter, cost in ((self.requests, 1), (self.tokens, tokens)) if meter]
        wait = max((meter.wait(cost) for meter, cost in costs), default=0.0)
        if wait:
            self.refused += 1
            return wait
        for meter, cost in costs:
            meter.take(cost)
        self.granted += 1
        self.spent += tokens
        self._last = self._clock()
        self._first = self._last if self._first is None else self._first
        return 0.0

    def charge(self, tokens: int) -> None:
        """Takes the tokens of an answer, known only after it was let in."""
        self.spent += tokens
        if self.tokens is not None:
            self.tokens.take(tokens)

    def account(self) -> dict[str, float | None]:
        """What was granted, and which share of the limits that is, from the first grant to the last."""
        seconds = 0.0 if self._first is None else self._last - self._first

        def use(meter: Meter | None, amount: float) -> float | None:
            return round(amount / (meter.per_minute / 60 * seconds), 4) if meter is not None and seconds > 0 else None

        mean = self.spent / self.granted if self.granted else 0.0
        return {
            "granted": self.granted,
            "refused": self.refused,
            "tokens": self.spent,
            "seconds": round(seconds, 3),
            "use_of_requests": use(self.requests, self.granted - 1),
            "use_of_tokens": use(self.tokens, self.spent - mean),
        }

    def reset_account(self) -> None:
        self.granted = self.refused = self.spent = 0
        self._first = None

    def headers(self, style: str = "openai", wall: Clock = lambda: 0.0) -> dict[str, str]:
        found: dict[str, str] = {}
        if style not in ("openai", "anthropic", "nonsense"):
            return found
        for kind, meter in (("requests", self.requests), ("tokens", self.tokens)):
            if meter is None:
                continue
            left = max(0, math.floor(meter.level() + 1e-9))
            figures = {"limit": str(math.floor(meter.per_minute)), "remaining": str(left)}
            if style == "anthropic":
                then = datetime.fromtimestamp(math.ceil(wall() + meter.until_full()), UTC)
                figures["reset"] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
                found.update({f"anthropic-ratelimit-{kind}-{part}": figure for part, figure in figures.items()})
                continue
            figures["reset"] = duration(meter.until_full())
            if style == "nonsense":
                figures = {"limit": "-1", "remaining": "many", "reset": "1e999"}
            found.update({f"x-ratelimit-{part}-{kind}": figure for part, figure in figures.items()})
        return found


@dataclass(frozen=True, slots=True)
class Window:
    """`capacity` complete answers in each span of `seconds`, counted from the server's start."""

    capacity: int
    seconds: float
    kind: str = "usage_limit_reached"

    def __post_init__(self) -> None:
        if self.kind not in WINDOW_KINDS:
            raise ValueError(f"windows: kind {self.kind!r} is none of {', '.join(WINDOW_KINDS)}")
        if self.seconds <= 0 or self.capacity < 0:
            raise ValueError("windows: seconds must be above 0 and capacity at least 0")


class Usage:
    """What was used of one window."""

    def __init__(self, window: Window, clock: Clock) -> None:
        self.window = window
        self._clock = clock
        self._start = clock()
        self._span = 0
        self._used = 0

    def wait(self) -> float:
        """0 while the window is open, else the seconds to its reset."""
        elapsed = self._clock() - self._start
        span = int(elapsed // self.window.seconds)
        if span != self._span:
            self._span, self._used = span, 0
        if self._used < self.window.capacity:
            return 0.0
        return max(1e-3, (span + 1) * self.window.seconds - elapsed)

    def take(self) -> int:
        """Holds a place for one answer; the number names the span that it was taken from."""
        self._used += 1
        return self._span

    def give_back(self, span: int) -> None:
        if span == self._span:
            self._used -= 1


def duration(seconds: float) -> str:
    """As OpenAI writes it: "20ms", "8.64s", "6m0s", "1h0m0s"; never less than the true value."""
    ms = math.ceil(seconds * 1000 - 1e-6)
    if ms <= 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{text}"
    return f"{minutes}m{text}" if minutes else text


def retry_after(wait: float, form: str, wall: Clock) -> dict[str, str]:
    """The headers that say when to come back, in one of `RETRY_AFTER_FORMATS`."""
    seconds = str(max(1, math.ceil(wait - 1e-6)))
    ms = str(max(1, math.ceil(wait * 1000 - 1e-6)))
    if form == "date":
        return {"retry-after": formatdate(math.ceil(wall() + wait), usegmt=True)}
    forms = {
        "both": {"retry-after": seconds, "retry-after-ms": ms},
        "seconds": {"retry-after": seconds},
        "ms": {"retry-after-ms": ms},
        "nonsense": {"retry-after": "soon"},
        "huge": {"retry-after": "1000000000"},
    }
    return forms.get(form, {})
