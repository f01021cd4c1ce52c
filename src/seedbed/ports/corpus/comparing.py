# ruff: noqa: S608  -- table names are ours; values are always bound
"""What a person changed in a result file: two states of it, row beside row in temporary tables, not in memory."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import repeat
from typing import Any

from seedbed.errors import SourceError
from seedbed.ports.corpus.layout import Layout
from seedbed.ports.corpus.spreadsheets import plain
from seedbed.ports.corpus.staging import PAIRS, Meta, Staging, packed_cells, pair_up
from seedbed.records import digest

_BEFORE, _NOW, _EDITS = "temp.seedbed_rows_before", "temp.seedbed_rows_now", "temp.seedbed_cell_edits"
_PAGE = 5000
_ROW = "(pos integer primary key, raw blob not null, content text not null, k, cells blob not null)"


class Comparison:
    """A result file as it was written and as it is. Give it :meth:`before`, then :meth:`now`; then ask.

    Rows that are left as they are do not count; ``safe`` cells are read as the texts that they stand for.
    """

    def __init__(self, staging: Staging, meta: Meta, *, safe: bool = False) -> None:
        self._staging, self._meta, self._safe = staging, meta, safe
        self._present = staging.table_columns()
        self._wrong = staging.wrong_marks()
        self._were: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()
        self.leftover = False
        """Whether there are rows of one state that no row of the other stands for."""

    def __enter__(self) -> Comparison:
        self._drop()
        for table in (_BEFORE, _NOW):
            self._staging.sql(f"create table {table} {_ROW}")
        self._staging.sql(f"create table {_EDITS} (k, name text not null, value)")
        return self

    def __exit__(self, *error: object) -> None:
        self._drop()

    def _drop(self) -> None:
        for table in (_BEFORE, _NOW, _EDITS):
            self._staging.sql(f"drop table if exists {table}")

    def before(self, layout: Layout, keys: Iterable[Any]) -> None:
        """The state as it was written, with the keys of its rows where the file itself has none."""
        self._were = layout.columns
        self._load(_BEFORE, layout, keys)

    def now(self, layout: Layout) -> None:
        self._names = layout.columns
        self._load(_NOW, layout, repeat(None))
        for table in (_BEFORE, _NOW):
            self._staging.sql(f"create index {table}_k on {table.partition('.')[2]} (k)")
        self._match()
        self._find(layout)

    def added(self) -> dict[str, str]:
        """Columns with edits that the table does not have, in the order of the edits."""
        found = self._staging.sql(f"select name from {_EDITS} group by name order by min(rowid)").fetchall()
        return {name: "" for (name,) in found if name not in self._present}

    def edits(self) -> Iterator[tuple[Any, str, Any]]:
        """Cells that differ now: key, column, value; in the order of the file."""
        yield from self._staging.sql(f"select k, name, value from {_EDITS} order by rowid")

    def keys(self) -> Iterator[list[Any]]:
        """Keys of the rows as they are now, in their order, None where a row is new; a page at a time."""
        cursor = self._staging.sql(f"select k from {_NOW} order by pos")
        while page := cursor.fetchmany(_PAGE):
            yield [k for (k,) in page]

    def _load(self, table: str, layout: Layout, keys: Iterable[Any]) -> None:
        self._staging.connection.executemany(f"insert into {table} values (?, ?, ?, ?, ?)", self._rows(layout, keys))

    def _rows(self, layout: Layout, keys: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        meta = self._meta
        if meta.key is not None and meta.key not in layout.columns:
            raise SourceError(
                f'{layout.name} no longer has its key column "{meta.key}"',
                hint=f"Put the column back, or move {layout.name} away.",
            )
        hashed = [layout.columns.index(name) for name in meta.hashed if name in layout.columns]
        convert = layout.converters([self._present.get(name, "TEXT") for name in layout.columns])
        at = layout.columns.index(meta.key) if meta.key is not None else None
        given = iter(keys)
        pos = 0
        for _, spans, raw, values in layout.rows():
            mark = blake2b(raw, digest_size=16).digest()
            if layout.wrong(spans, raw) or mark in self._wrong:
                continue
            cells = [plain(cell) if isinstance(cell, str) else cell for cell in values] if self._safe else values
            content = digest(packed_cells([cells[i] for i in hashed])) if at is None else ""
            for index, function in convert:
                cells[index] = function(cells[index])
            yield pos, mark, content, next(given, None) if at is None else cells[at], marshal.dumps(cells)
            pos += 1

    def _match(self) -> None:
        """Give rows the keys that they had: by equal bytes, by equal content, else in order where all are left."""
        if self._meta.key is not None:
            self.leftover = self._differ(_NOW, _BEFORE) or self._differ(_BEFORE, _NOW)
            return
        for by in ("raw", "content"):
            self._pair(by)
        lost, free = (self._staging.sql(query).fetchone()[0] for query in (
            f"select count(*) from {_NOW} where k is null", f"select count(*) from ({_FREE})",
        ))  # fmt: skip
        if lost == free:
            self._pair("1")
        else:
            self.leftover = True

    def _differ(self, these: str, those: str) -> bool:
        query = f"select 1 from (select k from {these} except select k from {those}) limit 1"
        return self._staging.sql(query).fetchone() is not None

    def _pair(self, by: str) -> None:
        """The first row without a key gets that of the first free one that is equal, the second that of the second."""
        pair_up(self._staging, by, old=_FREE, new=f"select * from {_NOW} where k is null")
        self._staging.sql(f"update {_NOW} as r set k = p.k from {PAIRS} p where p.pos = r.pos")
        self._staging.sql(f"drop table {PAIRS}")

    def _find(self, layout: Layout) -> None:
        insert = f"insert into {_EDITS} values (?, ?, ?)"
        self._staging.connection.executemany(insert, self._found(layout))

    def _found(self, layout: Layout) -> Iterator[tuple[Any, str, Any]]:
        lower = {name.lower() for name in self._present}
        pairs = [
            (here, self._were.index(name) if name in self._were else None, name)
            for here, name in enumerate(self._names)
            if name != self._meta.key and (name in self._present or name.lower() not in lower)
        ]
        other = "true" if self._names != self._were else "r.raw is not o.raw"
        last = f"not exists (select 1 from {_BEFORE} x where x.k = o.k and x.pos > o.pos)"
        cursor = self._staging.sql(
            f"""select r.k, o.cells, r.cells from {_NOW} r cross join {_BEFORE} o on o.k = r.k
            where {other} and {last} order by r.pos"""
        )
        for key, was, cells in cursor:
            then, now = marshal.loads(was), marshal.loads(cells)  # noqa: S302  -- packed above
            for here, there, name in pairs:
                if layout.replaced(None if there is None else then[there], now[here]):
                    yield key, name, now[here]


_FREE = f"select * from {_BEFORE} o where k is not null and not exists (select 1 from {_NOW} r where r.k = o.k)"
