"""A round's worklist: its items as they were at export, in a file of its own.

Written once while the round is exported, page by page, then only read. If it is lost, the rest
of the round is derived again and what was bought is found by its intents.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from seedbed.crashing import point
from seedbed.ports.folders import make_folder
from seedbed.ports.refusals import of_sqlite
from seedbed.records import Item, canonical_json, digest, pack, unpack

PAGE = 1000


class Worklist:
    """One SQLite file. Items have a running ``seq`` in key order and, where grouped, a group number."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise of_sqlite(error, self.path) or error from error
        self._contexts: dict[str, Any] = {}

    def _prepare(self) -> None:
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")  # the state counts on its items, also after a power cut
        self._db.execute(
            "create table if not exists items (seq integer primary key, item text not null unique,"
            " fingerprint text not null, row text not null, before text not null, context text not null,"
            " grp integer not null)"
        )
        self._db.execute("create table if not exists blobs (hash text primary key, body text not null) without rowid")
        self._db.execute("create table if not exists facts (name text primary key, value text not null) without rowid")

    def close(self) -> None:
        self._db.close()

    # ------------------------------------------------------------------------------------ export

    @property
    def complete(self) -> bool:
        return self._fact("complete") is not None

    @property
    def cursor(self) -> list[Any] | None:
        """The key of the last row that was looked at, so that an interrupted export goes on behind it."""
        return self._fact("cursor")  # type: ignore[no-any-return]  # a JSON list, written below

    def add(self, items: Iterable[Item], *, per_call: int, cursor: Sequence[Any] | None) -> int:
        """Append a page of items together with how far the export has come."""
        count = self.count()
        rows: list[tuple[Any, ...]] = []
        blobs: dict[str, str] = {}
        for item in items:
            names = {name: self._blob(value, blobs) for name, value in item.context.items()}
            rows.append(
                (
                    item.key,
                    item.fingerprint,
                    pack(dict(item.row)),
                    pack(dict(item.before)),
                    json.dumps(names) if names else "{}",
                    (count + len(rows)) // per_call,
                )
            )
        with self._writing():
            self._db.executemany("insert into blobs values (?, ?) on conflict do nothing", list(blobs.items()))
            self._db.executemany(
                "insert into items (item, fingerprint, row, before, context, grp) values (?, ?, ?, ?, ?, ?)"
                " on conflict (item) do nothing",
                rows,
            )
            self._remember("cursor", list(cursor) if cursor is not None else None)
        point("after a page of the worklist")
        return len(rows)

    def finish(self) -> None:
        with self._writing():
            self._remember("complete", True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
        except sqlite3.OperationalError as error:
            raise of_sqlite(error, self.path) or error from error

    def _blob(self, value: Any, blobs: dict[str, str]) -> str:
        text = canonical_json(value)
        name = digest("context", text)
        blobs[name] = text
        return name

    # ------------------------------------------------------------------------------------ reading

    def sizes(self) -> tuple[int, float, float]:
        """(how many items, characters of a row as it is stored: mean, standard deviation)."""
        count, mean, square = self._db.execute(
            "select count(*), coalesce(avg(length(row)), 0), coalesce(avg(length(row) * length(row)), 0) from items"
        ).fetchone()
        return int(count), float(mean), max(0.0, square - mean * mean) ** 0.5

    def count(self) -> int:
        """How many items there are: their places run without a gap, and none is ever taken out."""
        return int(self._db.execute("select coalesce(max(seq), 0) from items").fetchone()[0])

    def pages(self, *, after: int = 0, size: int = PAGE) -> Iterator[list[tuple[int, int, Item]]]:
        """Pages of (seq, group, item); no read transaction stays open between pages."""
        while True:
            rows = self._db.execute(
                "select seq, grp, item, fingerprint, row, before, context from items"
                " where seq > ? order by seq limit ?",
                (after, size),
            ).fetchall()
            if not rows:
                return
            yield [(row[0], row[1], self._item(row[2:])) for row in rows]
            after = rows[-1][0]

    def item(self, key: str) -> Item | None:
        """One item as it was frozen."""
        row = self._db.execute(
            "select item, fingerprint, row, before, context from items where item = ?", (key,)
        ).fetchone()
        return None if row is None else self._item(row)

    def key_pages(self, *, after: int = 0, size: int = 5000) -> Iterator[list[str]]:
        """Keys in the order of their places, which follow each other."""
        while True:
            keys, last = self._db.execute(  # in one text: half the time of as many rows
                "select json_group_array(item), max(seq) from"
                " (select seq, item from items where seq > ? order by seq limit ?)",
                (after, size),
            ).fetchone()
            if last is None:
                return
            yield orjson.loads(keys)
            after = last

    def keys_sorted(self, *, size: int = 5000) -> Iterator[list[str]]:
        """Keys in the order of their text."""
        after = ""
        while True:
            keys, last = self._db.execute(
                "select json_group_array(item), max(item) from"
                " (select item from items where item > ? order by item limit ?)",
                (after, size),
            ).fetchone()
            if last is None:
                return
            yield orjson.loads(keys)
            after = last

    def key_at(self, place: int) -> str | None:
        row = self._db.execute("select item from items where seq = ?", (place,)).fetchone()
        return None if row is None else row[0]

    def _item(self, row: Sequence[Any]) -> Item:
        names: dict[str, str] = json.loads(row[4]) if row[4] != "{}" else {}
        return Item(
            key=row[0],
            fingerprint=row[1],
            row=unpack(row[2]),
            before=unpack(row[3]),
            context={name: self._context(blob) for name, blob in names.items()},
        )

    def _context(self, blob: str) -> Any:
        if blob not in self._contexts:
            if len(self._contexts) > 512:
                self._contexts.clear()
            body = self._db.execute("select body from blobs where hash = ?", (blob,)).fetchone()[0]
            self._contexts[blob] = json.loads(body)
        return self._contexts[blob]

    def _fact(self, name: str) -> Any:
        row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def _remember(self, name: str, value: Any) -> None:
        self._db.execute(
            "insert into facts values (?, ?) on conflict (name) do update set value = excluded.value",
            (name, pack(value)),
        )
