"""Leases in the state: how processes share what is common to them, a slice at a time.

A lease says what a *holder* (a process that works, named by its receipts writer) has taken of a common *purse*: money
under a cap, or another capacity. One transaction takes and gives back, so what is leased and what is spent never
exceed the capacity together, whatever starts or dies at the same moment.

Money of a holder that ended stays counted, since its calls may have been paid for, until somebody who can read its
receipts says what it still holds (:meth:`Leases.reckon`), or a person releases it. A lease that *lapses* is free
again when its holder has not been heard of until ``expires``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that takes leases. ``at`` and ``expires`` in Unix milliseconds."""

    name: str
    host: str
    pid: int
    run: str
    at: int
    expires: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a holder wants of a purse: to keep ``held`` of what it has, and ``need`` to ``want`` more.

    Under ``capacity`` count the leases of all holders, and (``counted``) what the till has booked of a stage (None: of
    all) from ``since`` to before ``until``, which are moments at a full quarter of an hour.
    """

    purse: str
    capacity: int
    held: int
    need: int = 0
    want: int = 0
    stage: str | None = None
    since: int | None = None
    until: int | None = None
    counted: bool = True
    lapses: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """``amount`` was granted on top of what is held: nothing, or at least the need.

    ``spent`` is what is booked, ``unknown`` how many calls without a price are; ``others`` is what living holders
    have, ``stuck`` what those have that were not heard of.
    """

    purse: str
    amount: int
    spent: int = 0
    unknown: int = 0
    others: int = 0
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    purse: str
    holder: Holder
    held: int


class Leases(Protocol):
    def lease(self, holder: Holder, wanted: Sequence[Wanted], *, joined: bool) -> list[Granted] | None:
        """All in one transaction. None, and nothing is changed, when the holder had ``joined`` before and a person
        has released it since."""
        ...

    def leases(self, holder: str | None = None) -> list[Lease]: ...
    def spent_of(self, one: Wanted) -> tuple[int, int]:
        """(what the till has booked under a purse, how many calls without a price are among it)."""
        ...

    def reckon(self, holder: str, held: Mapping[str, int], host: str) -> None:
        """A holder that ended holds this much of each purse and nothing of others; without any it is forgotten."""
        ...

    def leave(self, holder: str) -> None:
        """The holder ends: what it holds nothing of is forgotten, the rest waits to be reckoned."""
        ...

    def release(self, holder: str) -> list[Lease]:
        """A person gives free what a holder has; what it was."""
        ...


RATE = "rate "
"""How names of purses begin that hold parts of rate limits, and no money."""

EVER = 0
"""``expires`` of a holder that ended."""

QUARTER = 900_000
"""Milliseconds of the buckets in which spending is kept for days in any zone."""

_SUMS = "select coalesce(sum(nano), 0), coalesce(sum(unknown), 0) from sums"
_ROW = "purse, holder, host, pid, run, at, expires, held"


def lease(db: sqlite3.Connection, holder: Holder, wanted: Sequence[Wanted], *, joined: bool) -> list[Granted] | None:
    """Inside the caller's transaction."""
    if joined and db.execute("select 1 from leases where holder = ? limit 1", (holder.name,)).fetchone() is None:
        return None
    db.execute("update leases set expires = ? where holder = ?", (holder.expires, holder.name))
    return [_lease(db, holder, one) for one in wanted]


def _lease(db: sqlite3.Connection, holder: Holder, one: Wanted) -> Granted:
    spent, unknown = spent_of(db, one) if one.counted else (0, 0)
    living, others, stuck = db.execute(
        "select count(*), coalesce(sum(case when expires > ? then held end), 0),"
        " coalesce(sum(case when expires <= ? then held end), 0) from leases where purse = ? and holder != ?",
        (holder.at, holder.at, one.purse, holder.name),
    ).fetchone()
    left = one.capacity - spent - others - (0 if one.lapses else stuck) - one.held
    amount = 0
    if left >= one.need and one.want:
        amount = max(one.need, min(one.want, left // (2 * (living + 1))), 0)
    db.execute(
        f"insert into leases ({_ROW}) values (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        " on conflict (purse, holder) do update set held = excluded.held, expires = excluded.expires",
        (one.purse, holder.name, holder.host, holder.pid, holder.run, holder.at, holder.expires, one.held + amount),
    )
    return Granted(one.purse, amount, spent, unknown, others, stuck)


def spent_of(db: sqlite3.Connection, one: Wanted) -> tuple[int, int]:
    if one.since is not None or one.until is not None:
        since = (one.since or 0) // QUARTER
        until = 2**62 if one.until is None else one.until // QUARTER
        row = db.execute(
            "select coalesce(sum(nano), 0), coalesce(sum(unknown), 0) from quarters where quarter >= ? and quarter < ?",
            (since, until),
        )
    elif one.stage is not None:
        row = db.execute(f"{_SUMS} where stage = ?", (one.stage,))
    else:
        row = db.execute(_SUMS)
    nano, unknown = row.fetchone()
    return int(nano), int(unknown)


def leases(db: sqlite3.Connection, holder: str | None) -> list[Lease]:
    where, values = ("where holder = ?", [holder]) if holder is not None else ("", [])
    rows = db.execute(f"select {_ROW} from leases {where} order by purse, holder", values)  # noqa: S608
    return [Lease(purse, Holder(*rest), held) for purse, *rest, held in rows]


def reckon(db: sqlite3.Connection, holder: str, held: Mapping[str, int], host: str) -> None:
    row = db.execute("select pid, run, at from leases where holder = ? limit 1", (holder,)).fetchone() or (0, "", 0)
    db.execute("delete from leases where holder = ?", (holder,))
    db.executemany(
        f"insert into leases ({_ROW}) values (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        [(purse, holder, host, *row, EVER, amount) for purse, amount in held.items() if amount],
    )


def leave(db: sqlite3.Connection, holder: str) -> None:
    db.execute("delete from leases where holder = ? and held = 0", (holder,))
    db.execute("update leases set expires = ? where holder = ?", (EVER, holder))


def release(db: sqlite3.Connection, holder: str) -> list[Lease]:
    found = leases(db, holder)
    db.execute("delete from leases where holder = ?", (holder,))
    return found
