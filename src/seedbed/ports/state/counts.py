"""Counts that ``status`` shows, kept by the very transactions that change what they count."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import orjson

Counts = Counter[tuple[str, str, str]]
"""How many current outcomes there are by (stage, state, fate)."""

CURRENT = "not exists (select 1 from outcomes x where x.stage = o.stage and x.item = o.item and x.number > o.number)"
"""Whether the outcome ``o`` is the newest of its item."""
OF_KEYS = "o.item in (select value from json_each(?))"
"""Whether it is one of the keys of :func:`keys_json`; one statement for any number of them."""


def keys_json(keys: Iterable[str]) -> str:
    return orjson.dumps(list(keys)).decode()


@contextmanager
def keeping_counts(db: sqlite3.Connection, items: Mapping[str, Iterable[str]]) -> Iterator[None]:
    """Around any change of outcomes of these items (keys by stage), within its transaction."""
    listed = {stage: keys_json(keys) for stage, keys in items.items()}
    before = _counted(db, listed)
    yield
    change(db, _counted(db, listed), before)


def _counted(db: sqlite3.Connection, listed: Mapping[str, str]) -> Counts:
    found: Counts = Counter()
    for stage, keys in listed.items():
        rows = db.execute(
            f"select o.state, o.fate, count(*) from outcomes o where o.stage = ? and {OF_KEYS} and {CURRENT}"  # noqa: S608
            " group by 1, 2",
            (stage, keys),
        )
        found.update({(stage, state, fate): count for state, fate, count in rows})
    return found


def change(db: sqlite3.Connection, now: Counts, before: Counts) -> None:
    """Put what was counted now in place of what was counted before."""
    now.subtract(before)
    db.executemany(
        "insert into counts values (?, ?, ?, ?)"
        " on conflict (stage, state, fate) do update set items = items + excluded.items",
        [(*which, count) for which, count in now.items() if count],
    )


def count_anew(db: sqlite3.Connection) -> None:
    """Count all outcomes, after a change that was made past :func:`keeping_counts`."""
    db.execute("delete from counts")
    db.execute(
        "insert into counts select o.stage, o.state, o.fate, count(*) from outcomes o"  # noqa: S608
        f" where {CURRENT} group by 1, 2, 3"
    )
