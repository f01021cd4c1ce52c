"""Setting cells of many rows by key, with proof that each statement met exactly one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import sqlalchemy as sa

from seedbed.errors import SourceError
from seedbed.ports.corpus import sqlite
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.keys import CHUNK, VARIABLES


class CellChange(Protocol):
    @property
    def at(self) -> tuple[Any, ...]:
        """The row's key values."""

    @property
    def cells(self) -> Mapping[str, Any]: ...


class Updates:
    """UPDATE statements of one table, one for each set of columns."""

    def __init__(self, session: Session, relation: Relation, key: Sequence[str]) -> None:
        self._session = session
        self._relation = relation
        self._key = tuple(key)
        self._statements: dict[tuple[str, ...], str] = {}
        self._chunks: dict[tuple[str, ...], str] = {}

    def run(self, changes: Sequence[CellChange]) -> None:
        """All of them or an exception: Declined where a constraint or a doubled key stands against it."""
        groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        for change in changes:
            groups.setdefault(tuple(change.cells), []).append((*change.cells.values(), *change.at))
        for names, rows in groups.items():
            self.write(names, rows)

    def write(self, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """:meth:`run` for rows of the same cells, each its values and then its key's. Whole chunks are one statement
        each, which takes half the time of one by one."""
        size = max(1, min(CHUNK, VARIABLES // (len(names) + len(self._key))))
        whole = len(rows) - len(rows) % size
        changed = 0
        for start in range(0, whole, size):
            values = tuple(chain.from_iterable(rows[start : start + size]))
            changed += self._session.run(self._of_chunk(names, size), values).rowcount
        if whole < len(rows):
            changed += self._session.run(self._of_one(names), rows[whole:]).rowcount
        if changed != len(rows):
            raise Declined(f"{changed} rows answer to {len(rows)} keys of {self._relation.name}")

    def check(self, names: tuple[str, ...]) -> None:
        """Whether these cells can be written at all. Raises SourceError."""
        self._relation.known(names)
        for name in names:
            if name in self._key:
                raise SourceError(f'"{name}" is the key of {self._relation.name}; a key is never rewritten')

    def _of_one(self, names: tuple[str, ...]) -> str:
        if names not in self._statements:
            self._statements[names] = self._built(names)
        return self._statements[names]

    def _of_chunk(self, names: tuple[str, ...], size: int) -> str:
        if names not in self._chunks:
            quoted = self._session.quoted
            cells, keys = [quoted(name) for name in names], [quoted(name) for name in self._key]
            self.check(names)
            self._chunks[names] = sqlite.update_many(quoted(self._relation.name), cells, keys, rows=size)
        return self._chunks[names]

    def _built(self, names: tuple[str, ...]) -> str:
        self.check(names)
        relation = self._relation
        cells: list[tuple[Any, Any]] = [
            (relation.column(name), sa.bindparam(f"cell{at}")) for at, name in enumerate(names)
        ]
        keys = [column == sa.bindparam(f"key{at}") for at, column in enumerate(relation.columns(self._key))]
        return self._session.compiled(sa.update(relation.clause).ordered_values(*cells).where(*keys))
