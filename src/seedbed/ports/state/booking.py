"""Entries of the till in SQLite: only ever added, with the sums that caps and ``status`` look at.

The sums are kept for many entries at once: a trigger costs more than the row that it sums.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from seedbed.ports.state import TillEntry
from seedbed.ports.state.leases import QUARTER
from seedbed.records import Usage

COLUMNS = "intent, kind, nano, stage, run, model, served, at, input, cached, answered, reasoning, saved, account, price"
SETTLING = ("settle", "adopt")

CALLS = "case kind when 'refund' then -1 when 'price' then 0 else 1 end"
UNKNOWN = "(nano is null) * (case kind when 'refund' then -1 else 1 end) - (kind = 'price')"
DOUBTFUL = "case when kind in ('doubt', 'refund') then coalesce(nano, 0) else 0 end"
"""What an entry adds to the sums of the same name."""

_CHUNK = 500
SUMS = f"coalesce(sum(nano), 0), coalesce(sum({DOUBTFUL}), 0), coalesce(sum({UNKNOWN}), 0), coalesce(sum({CALLS}), 0)"
TOKENS = "input, cached, answered, reasoning, saved"
SPENT = "nano, doubtful, unknown, calls"
TOKEN_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in TOKENS.split(", "))
SPENT_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in SPENT.split(", "))
"""The same nine sums over entries (``SUMS, TOKEN_SUMS``) and over ``spent`` (``SPENT_SUMS, TOKEN_SUMS``)."""

_Sums = dict[tuple[str, int, str, str], list[int]]
"""(stage, quarter of an hour, run, model) → nano, doubtful, unknown, calls, and the five of ``TOKENS``."""


def book(db: sqlite3.Connection, entries: Sequence[TillEntry]) -> None:
    """Inside the caller's transaction. The first entry that settles an intent stands, and takes its doubt back."""
    if not entries:
        return
    intents = list(dict.fromkeys(entry.intent for entry in entries))
    if len(intents) == len(entries) and not any(_known(db, chunk) for chunk in _chunks(intents)):
        db.executemany(f"insert into till ({COLUMNS}) values ({', '.join('?' * 15)})", map(_row, entries))  # noqa: S608
        _add(db, _of_entries(entries))
        return
    before = _of_intents(db, intents)
    _insert(db, entries)
    after = _of_intents(db, intents)
    for key, old in before.items():
        after[key] = [new - gone for new, gone in zip(after[key], old, strict=True)]
    _add(db, after)


def entry_of(row: Sequence[Any]) -> TillEntry:
    """An entry out of a row of ``COLUMNS``."""
    intent, kind, nano, stage, run, model, served, at, *tokens, saved, account, price = row
    return TillEntry(intent, kind, nano, stage, run, model, at, Usage(*tokens), served, saved, account, price)


def _known(db: sqlite3.Connection, intents: Sequence[str]) -> bool:
    query = f"select 1 from till where intent in ({_marks(intents)}) limit 1"  # noqa: S608
    return db.execute(query, intents).fetchone() is not None


def _insert(db: sqlite3.Connection, entries: Sequence[TillEntry]) -> None:
    values = ", ".join(f"?{n}" for n in range(1, 16))
    db.executemany(
        f"insert into till ({COLUMNS}) select {values} where ?2 = 'price' or not exists"  # noqa: S608
        " (select 1 from till where intent = ?1 and kind in ('settle', 'adopt')) on conflict do nothing",
        map(_row, entries),
    )
    for chunk in _chunks([entry.intent for entry in entries if entry.kind in SETTLING]):
        db.execute(
            f"insert into till ({COLUMNS}) select intent, 'refund', -sum(nano), stage, run, model, served, at,"  # noqa: S608
            " 0, 0, 0, 0, 0, account, '' from till where kind in ('doubt', 'price')"
            f" and intent in ({_marks(chunk)}) group by intent having max(kind = 'doubt') on conflict do nothing",
            chunk,
        )


def _of_entries(entries: Sequence[TillEntry]) -> _Sums:
    """Of entries that are new and of which no two are of one intent."""
    sums: _Sums = defaultdict(lambda: [0] * 9)
    for entry in entries:
        own = sums[entry.stage, entry.at // QUARTER, entry.run, entry.model]
        nano = entry.nano or 0
        own[0] += nano
        own[1] += nano if entry.kind in ("doubt", "refund") else 0
        own[2] += (entry.nano is None) - (entry.kind == "price")
        own[3] += entry.kind != "price"
        usage = entry.usage
        for place, more in enumerate((usage.input, usage.cached, usage.output, usage.reasoning, entry.saved), 4):
            own[place] += more
    return sums


def _of_intents(db: sqlite3.Connection, intents: Sequence[str]) -> _Sums:
    sums: _Sums = defaultdict(lambda: [0] * 9)
    for chunk in _chunks(intents):
        rows = db.execute(
            f"select stage, at / {QUARTER}, run, model, {SUMS}, {TOKEN_SUMS}"  # noqa: S608
            f" from till where intent in ({_marks(chunk)}) group by 1, 2, 3, 4",
            chunk,
        )
        for stage, quarter, run, model, *found in rows:
            place = stage, quarter, run, model
            sums[place] = [own + more for own, more in zip(sums[place], found, strict=True)]
    return sums


def _add(db: sqlite3.Connection, sums: _Sums) -> None:
    db.executemany(
        "insert into sums (stage, nano, doubtful, unknown, calls) values (?, ?, ?, ?, ?) on conflict (stage) do update"
        " set nano = nano + excluded.nano, doubtful = doubtful + excluded.doubtful,"
        " unknown = unknown + excluded.unknown, calls = calls + excluded.calls",
        [(stage, *own[:4]) for (stage, *_), own in sums.items() if any(own[:4])],
    )
    db.executemany(
        "insert into quarters (quarter, nano, unknown) values (?, ?, ?) on conflict (quarter) do update"
        " set nano = nano + excluded.nano, unknown = unknown + excluded.unknown",
        [(quarter, own[0], own[2]) for (_, quarter, *_), own in sums.items() if own[0] or own[2]],
    )
    names = f"{SPENT}, {TOKENS}".split(", ")
    db.executemany(
        f"insert into spent (run, stage, model, {', '.join(names)}) values ({_marks(['?'] * 12)})"  # noqa: S608
        f" on conflict (run, stage, model) do update set {', '.join(f'{n} = {n} + excluded.{n}' for n in names)}",
        [(run, stage, model, *own) for (stage, _, run, model), own in sums.items()],
    )


def _row(e: TillEntry) -> tuple[Any, ...]:
    usage = e.usage
    return (
        e.intent, e.kind, e.nano, e.stage, e.run, e.model, e.served, e.at,
        usage.input, usage.cached, usage.output, usage.reasoning, e.saved, e.account, e.price,
    )  # fmt: skip


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
