"""Rate limits and usage windows, and how a provider tells of them. Pure: the clock comes in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

Clock = Callable[[], float]

RETRY_AFTER_FORMATS = ("both", "seconds", "ms", "date", "none", "nonsense", "huge")
WINDOW_KINDS = ("insufficient_quota", "usage_limit_reached")
BURST_SECONDS = 1.0


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


class Limiter:
    """Requests and tokens a minute, granted together or not at all."""

    def __init__(self, rpm: float | None, tpm: float | None, clock: Clock) -> None:
        self.requests = TokenBucket(rpm, clock) if rpm else None
        self.tokens = TokenBucket(tpm, clock) if tpm else None

    def admit(self, tokens: int) -> float:
        """0 when granted, else the seconds to wait; a refused request costs nothing."""
        costs = [(bucket, cost) for bucket, cost in ((self.requests, 1), (self.tokens, tokens)) if bucket]
        wait = max((bucket.wait(cost) for bucket, cost in costs), default=0.0)
        if wait == 0:
            for bucket, cost in costs:
                bucket.take(cost)
        return wait

    def charge(self, tokens: int) -> None:
        """Takes the tokens of an answer, known only after it was let in."""
        if self.tokens is not None:
            self.tokens.take(tokens)

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            if bucket is not None:
                found[f"x-ratelimit-limit-{name}"] = str(math.floor(bucket.per_minute))
                found[f"x-ratelimit-remaining-{name}"] = str(max(0, math.floor(bucket.level() + 1e-9)))
                found[f"x-ratelimit-reset-{name}"] = duration(bucket.until_full())
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
