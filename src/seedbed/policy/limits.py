"""When a call may be sent: a gate that a rate limit closes for all who share it, and a breaker.

First form: one account, one process. Clock as an argument, in monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Gate:
    """Closed until a moment; a later closing never opens it earlier."""

    closed_until: float = 0.0

    def close(self, now: float, seconds: float) -> None:
        self.closed_until = max(self.closed_until, now + seconds)

    def wait(self, now: float) -> float:
        """Seconds until it opens; 0 when open."""
        return max(0.0, self.closed_until - now)


@dataclass
class Breaker:
    """Says when a provider that gives nothing but trouble counts as down.

    ``patience`` seconds once it has worked, ``first`` before it ever did (a wrong address), and at
    least ``least`` failures in a row.
    """

    patience: float = 60.0
    first: float = 5.0
    least: int = 5
    failures: int = 0
    since: float | None = None

    def failed(self, now: float, *, worked_before: bool) -> bool:
        """Note a failure; True when the provider counts as down."""
        self.failures += 1
        if self.since is None:
            self.since = now
        return self.failures >= self.least and now - self.since >= (self.patience if worked_before else self.first)

    def worked(self) -> None:
        self.failures = 0
        self.since = None
