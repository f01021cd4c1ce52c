"""What the tables look like, read from the database and kept until its schema changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from seedbed.errors import SourceError, nearest
from seedbed.ports.corpus import Table, sqlite
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.sqlite import Affinity

BACKUP_TABLE = "_seedbed_backup"
"""Hidden from :meth:`Catalogue.names`; see ``backups.py``."""


@dataclass(frozen=True)
class Relation:
    """A table or view, and what is needed to speak of it in SQL."""

    table: Table
    clause: sa.TableClause
    affinities: Mapping[str, Affinity]
    required: frozenset[str]
    unique: tuple[frozenset[str], ...]

    @property
    def name(self) -> str:
        return self.table.name

    def column(self, name: str) -> sa.ColumnClause[Any]:
        self.known([name])
        return self.clause.c[name]

    def columns(self, names: Sequence[str]) -> list[sa.ColumnClause[Any]]:
        return [self.column(name) for name in names]

    def known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.table.columns:
                raise SourceError(f'{self.name} has no column "{name}"', hint=nearest(name, self.table.columns))

    def writable(self) -> Relation:
        if self.table.view:
            raise SourceError(f"{self.name} is a view; cells are written into tables only")
        return self


class Catalogue:
    """The relations of one database by name."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._version: int | None = None
        self._relations: dict[str, Relation] = {}

    def names(self) -> list[str]:
        return [name for name, _ in self._listed() if name != BACKUP_TABLE]

    def has(self, name: str) -> bool:
        return any(name == other for other, _ in self._listed())

    def relation(self, name: str) -> Relation:
        version = self._session.catalogue(sqlite.SCHEMA_VERSION)[0][0]
        if version != self._version:
            self._version, self._relations = version, {}
        if name not in self._relations:
            self._relations[name] = self._described(name)
        return self._relations[name]

    def _listed(self) -> list[tuple[str, bool]]:
        return [(name, bool(view)) for name, view in self._session.catalogue(sqlite.RELATIONS)]

    def _described(self, name: str) -> Relation:
        listed = dict(self._listed())
        if name not in listed:
            known = [other for other in listed if other != BACKUP_TABLE]
            raise SourceError(f'There is no table "{name}" in {self._session.name}', hint=nearest(name, known))
        columns = self._session.catalogue(sqlite.COLUMNS, name)
        key = tuple(column for column, _, _, place in sorted(columns, key=lambda c: c[3]) if place)
        return Relation(
            table=Table(name, {column: sqlite.logical(kind) for column, kind, _, _ in columns}, key, listed[name]),
            clause=sa.table(name, *(sa.column(column) for column, *_ in columns)),
            affinities={column: sqlite.affinity(kind) for column, kind, _, _ in columns},
            required=frozenset(column for column, _, required, _ in columns if required),
            unique=self._unique(name, key),
        )

    def _unique(self, name: str, key: tuple[str, ...]) -> tuple[frozenset[str], ...]:
        """Sets of columns that the database itself keeps unique, in the order that paging uses."""
        definition = self._session.catalogue(sqlite.DEFINITION, name)
        if any("collate" in (sql or "").lower() for (sql,) in definition):
            return ()  # an index may compare otherwise than the column sorts: look at the rows
        found = [frozenset(key)] if key else []
        for _, rows in groupby(self._session.catalogue(sqlite.UNIQUE, name), key=lambda row: row[0]):
            columns = [column for _, column in rows]
            if None not in columns:
                found.append(frozenset(columns))
        return tuple(found)
