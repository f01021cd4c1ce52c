"""Money: reserved at its worst before a call, settled after it. Spent + reserved never exceeds a cap.

Pure arithmetic over integers of 10⁻⁹ USD. The durable record is the intent (its reservation) and the
till entry (its settlement); :class:`Till` holds their sums while a run works.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Answer = Literal["yes", "wait", "never"]


@dataclass(frozen=True, slots=True)
class Cap:
    """A ceiling and what had been spent under it before this run.

    ``own``: calls of earlier processes that this one settles do not count under it.
    """

    name: str
    nano: int
    before: int = 0
    own: bool = False


class Till:
    """The one place where money is reserved. Safe to use from several threads."""

    def __init__(self, caps: tuple[Cap, ...] = ()) -> None:
        self.caps = caps
        self.spent = 0
        self.inherited = 0
        self._adopted: set[str] = set()
        self._open: dict[str, int] = {}
        self._reserved = 0
        self._reserved_before = 0
        self._lock = threading.Lock()

    @property
    def capped(self) -> bool:
        return bool(self.caps)

    @property
    def reserved(self) -> int:
        return self._reserved

    def reserve(self, intent: str, worst: int) -> Answer:
        """``yes``, ``wait`` (what is open may free room), or ``never`` (nothing open can)."""
        with self._lock:
            answer: Answer = "yes"
            for cap in self.caps:
                used = self._used(cap)
                held = self._reserved - (self._reserved_before if cap.own else 0)
                if used + held + worst > cap.nano:
                    answer = "wait" if held and used + worst <= cap.nano else "never"
                    if answer == "never":
                        break
            if answer == "yes":
                self._hold(intent, worst)
            return answer

    def adopt(self, intent: str, worst: int) -> None:
        """Hold what an earlier process reserved and nobody settled yet, whatever the caps say."""
        with self._lock:
            if intent not in self._open:
                self._adopted.add(intent)
                self._reserved_before += worst
                self._hold(intent, worst)

    def _hold(self, intent: str, worst: int) -> None:
        if intent not in self._open:
            self._open[intent] = worst
            self._reserved += worst

    def settle(self, intent: str, actual: int | None) -> bool:
        """The call ended: its reservation goes, what it cost stays. None (unknown) keeps the reservation as spent.

        False, and nothing changes, for an intent that holds no reservation (it was settled before).
        """
        with self._lock:
            worst = self._open.pop(intent, None)
            if worst is None:
                return False
            self._reserved -= worst
            cost = worst if actual is None else actual
            self.spent += cost
            if intent in self._adopted:
                self.inherited += cost
                self._reserved_before -= worst
            return True

    @property
    def own(self) -> int:
        """What was spent on calls of this run; ``inherited`` is for those that an earlier process sent."""
        return self.spent - self.inherited

    def refund(self, intent: str) -> None:
        """The call was never charged."""
        self.settle(intent, 0)

    def short_of(self) -> tuple[Cap, int] | None:
        """The cap with the least room left, and what is spent under it."""
        cap = min(self.caps, key=lambda each: each.nano - self._used(each), default=None)
        return None if cap is None else (cap, self._used(cap))

    def _used(self, cap: Cap) -> int:
        return cap.before + (self.own if cap.own else self.spent)


def share(total: int, parts: int) -> list[int]:
    """Split an amount into integer parts that add up exactly, the larger ones first.

    >>> share(10, 3)
    [4, 3, 3]
    """
    if parts < 1:
        return []
    base, rest = divmod(total, parts)
    return [base + (1 if index < rest else 0) for index in range(parts)]
