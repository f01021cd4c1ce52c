"""Which rows refer to a row, so that deleting it takes nobody's rows along (``ON DELETE CASCADE``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from seedbed.ports.corpus import sqlite
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.descriptions import Catalogue, Relation
from seedbed.ports.corpus.expressions import value

Gone = Callable[[str, tuple[Any, ...]], bool]


@dataclass(frozen=True)
class Reference:
    """A foreign key: the child's columns and what they point at."""

    child: Relation
    columns: tuple[str, ...]
    targets: tuple[str, ...]


class References:
    """Foreign keys that point at a table, by table. ``gone`` tells rows that a dry run has deleted."""

    def __init__(self, session: Session, catalogue: Catalogue, gone: Gone) -> None:
        self._session = session
        self._catalogue = catalogue
        self._gone = gone
        self._known: dict[str, list[Reference]] = {}

    def to(self, relation: Relation, row: dict[str, Any]) -> str:
        """Which table refers to the row; empty where none does."""
        for reference in self._of(relation):
            wanted = [row[target] for target in reference.targets]
            if None not in wanted and self._refers(reference, wanted, relation, row):
                return f"rows of {reference.child.name} refer to it"
        return ""

    def _refers(self, reference: Reference, wanted: list[Any], relation: Relation, row: dict[str, Any]) -> bool:
        child = reference.child
        shown = child.columns(child.table.key) or [sa.column("rowid")]
        equal = [
            column == value(target) for column, target in zip(child.columns(reference.columns), wanted, strict=True)
        ]
        itself = tuple(row[name] for name in relation.table.key) if child.name == relation.name else None
        for key in self._session.tuples(sa.select(*shown).select_from(child.clause).where(*equal)):
            if key != itself and not self._gone(child.name, key):
                return True
        return False

    def _of(self, relation: Relation) -> list[Reference]:
        if relation.name not in self._known:
            self._known[relation.name] = self._read(relation)
        return self._known[relation.name]

    def _read(self, relation: Relation) -> list[Reference]:
        rows = self._session.catalogue(sqlite.REFERENCES, relation.name)
        found = []
        for (child, _), pairs in groupby(rows, key=lambda row: row[:2]):
            names = [(source, target) for _, _, source, target in pairs]
            spelt = {name.lower(): name for name in relation.table.columns}
            targets = [spelt.get(target.lower(), target) if target else "" for _, target in names]
            if "" in targets:
                targets = list(relation.table.key)
            found.append(
                Reference(self._catalogue.relation(child), tuple(source for source, _ in names), tuple(targets))
            )
        return found
