"""Setting cells of many rows by key, with proof that each statement met exactly one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from seedbed.errors import SourceError
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Relation


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

    def run(self, changes: Sequence[CellChange]) -> None:
        """All of them or an exception: Declined where a constraint or a doubled key stands against it."""
        groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        for change in changes:
            groups.setdefault(tuple(change.cells), []).append((*change.cells.values(), *change.at))
        for names, rows in groups.items():
            changed = self._session.run(self.statement(names), rows).rowcount
            if changed != len(rows):
                raise Declined(f"{changed} rows answer to {len(rows)} keys of {self._relation.name}")

    def statement(self, names: tuple[str, ...]) -> str:
        """Also the place where names are checked. Raises SourceError."""
        if names not in self._statements:
            self._statements[names] = self._built(names)
        return self._statements[names]

    def _built(self, names: tuple[str, ...]) -> str:
        relation = self._relation
        for name in names:
            if name in self._key:
                raise SourceError(f'"{name}" is the key of {relation.name}; a key is never rewritten')
        cells: list[tuple[Any, Any]] = [
            (relation.column(name), sa.bindparam(f"cell{at}")) for at, name in enumerate(names)
        ]
        keys = [column == sa.bindparam(f"key{at}") for at, column in enumerate(relation.columns(self._key))]
        return self._session.compiled(sa.update(relation.clause).ordered_values(*cells).where(*keys))
