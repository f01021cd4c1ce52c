"""How much is written at a time, and what is done when a part of it is declined."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from seedbed.ports.corpus.connections import Declined, Session

T = TypeVar("T")
R = TypeVar("R")

AIM = 0.02
"""Seconds that a transaction should take. A busy disk may double it, and others should wait 50 ms at most."""


@dataclass
class Pace:
    """Rows per transaction, learned from how long the last ones took."""

    size: int = 500
    least: int = 20
    most: int = 5000

    def took(self, seconds: float, rows: int) -> None:
        wanted = int(rows * AIM / max(seconds, 1e-6))
        if wanted < self.size:
            self.size = max(self.least, wanted)
        elif rows >= self.size:
            self.size = min(self.most, wanted, self.size * 2)


def cut(items: Iterable[T], pace: Pace, key: Callable[[T], Hashable]) -> Iterator[list[T]]:
    """Batches of the present size. No batch holds a key twice: the second must see what the first did."""
    rest = iter(items)
    while batch := list(islice(rest, pace.size)):
        if len(set(map(key, batch))) == len(batch):
            yield batch
        else:
            yield from _apart(batch, key)


def _apart(items: Sequence[T], key: Callable[[T], Hashable]) -> Iterator[list[T]]:
    batch: list[T] = []
    keys: set[Hashable] = set()
    for item in items:
        name = key(item)
        if name in keys:
            yield batch
            batch, keys = [], set()
        batch.append(item)
        keys.add(name)
    yield batch


def settle(
    session: Session,
    batch: Sequence[T],
    work: Callable[[Sequence[T]], list[R]],
    refuse: Callable[[T, str], R],
    pace: Pace,
) -> list[R]:
    """One batch in one transaction. Where its commit is declined (deferred constraints), by halves."""
    try:
        with session.transaction():
            started = perf_counter()
            done = work(batch)
    except Declined as declined:
        if len(batch) == 1:
            return [refuse(batch[0], declined.words)]
        middle = len(batch) // 2
        first = settle(session, batch[:middle], work, refuse, pace)
        return first + settle(session, batch[middle:], work, refuse, pace)
    pace.took(perf_counter() - started, len(batch))
    return done


def attempt(session: Session, items: Sequence[T], act: Callable[[Sequence[T]], Any]) -> list[tuple[T, str]]:
    """Act on all items; where the database declines, on halves. Returns the declined ones with its words."""
    if not items:
        return []
    try:
        with session.savepoint():
            act(items)
    except Declined as declined:
        if not session.in_transaction:  # a trigger of the user's rolled all of it back
            raise
        if len(items) == 1:
            return [(items[0], declined.words)]
        middle = len(items) // 2
        return attempt(session, items[:middle], act) + attempt(session, items[middle:], act)
    return []
