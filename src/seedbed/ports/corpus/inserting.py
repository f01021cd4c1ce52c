"""Rows that stages make: each once, duplicates and declined ones told apart, with a way back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from seedbed.crashing import point
from seedbed.errors import SourceError
from seedbed.ports.corpus import Inserted, NewRow
from seedbed.ports.corpus.backups import Backups, RowMade
from seedbed.ports.corpus.batches import Pace, cut, settle
from seedbed.ports.corpus.cells import packable, same, stored
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Catalogue, Relation
from seedbed.ports.corpus.duplicates import NaturalKeys, natural
from seedbed.ports.corpus.keys import KeyedRows
from seedbed.records import key_text


@dataclass(slots=True)
class Candidate:
    """A row on its way in. ``repeated``: the same answer made a row of this id before."""

    row: NewRow
    repeated: bool
    values: dict[str, Any] = field(default_factory=dict)


class Inserter:
    """Inserts rows into any tables of one database, in the order given."""

    def __init__(self, session: Session, catalogue: Catalogue, natural_keys: NaturalKeys) -> None:
        self._session = session
        self._catalogue = catalogue
        self._natural = natural_keys
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        self._relations: dict[str, Relation] = {}

    def insert(self, release: str, rows: Iterable[NewRow], backups: Backups) -> Iterator[Inserted]:
        def work(batch: Sequence[Candidate]) -> list[Inserted]:
            self._fold(batch)  # again only where another program wrote just before the lock was ours
            fates = self._stored(batch)
            stored_rows = [c for c, fate in zip(batch, fates, strict=True) if fate.fate == "stored"]
            backups.record_inserts(release, [self._told(candidate) for candidate in stored_rows])
            self._natural.keep()
            point("before rows commit")
            return fates

        pace = Pace()
        for batch in cut(_marked(rows), pace, _place):
            self._prepare(batch)
            try:
                done = settle(self._session, batch, work, _rejected, pace)
            except BaseException:
                self._natural.forget()
                raise
            yield from done

    def preview(self, rows: Iterable[NewRow]) -> Iterator[Inserted]:
        """The same fates without writing; constraints are not foreseen."""
        try:
            for batch in cut(_marked(rows), Pace(), _place):
                self._prepare(batch)
                fates = self._decided(batch)
                self._natural.keep()
                yield from fates
        finally:
            self._natural.forget()  # it holds rows that are not there

    def _prepare(self, batch: Sequence[Candidate]) -> None:
        """Check names and fold natural keys before any lock is taken."""
        self._relations = {}
        for table, names in {(c.row.table, tuple(c.row.values)) for c in batch}:
            self._relation(table).known(names)
        for candidate in batch:
            self._fill(candidate)
        self._fold(batch)

    def _fold(self, batch: Sequence[Candidate]) -> None:
        for table, keys in dict.fromkeys((c.row.table, c.row.unique) for c in batch):
            for unique in keys:
                self._natural.ready(self._relation(table), unique.columns)

    def _relation(self, name: str) -> Relation:
        """Read once a batch."""
        if name not in self._relations:
            self._relations[name] = self._checked(name)
        return self._relations[name]

    def _checked(self, name: str) -> Relation:
        relation = self._catalogue.relation(name).writable()
        if len(relation.table.key) != 1:
            found = ", ".join(relation.table.key) or "none"
            raise SourceError(f"rows can be made only for a table with a key of one column; {name} has {found}")
        return relation

    def _fill(self, candidate: Candidate) -> None:
        """The values as the table will hold them."""
        row, relation = candidate.row, self._relation(candidate.row.table)
        key = relation.table.key[0]
        candidate.values = {}
        try:
            values = {name: stored(value, relation.affinities[name]) for name, value in row.values.items()}
            candidate.values = {**values, key: stored(row.id, relation.affinities[key])}
        except Declined:
            return  # empty values: rejected when it is its turn
        if values.get(key, candidate.values[key]) != candidate.values[key]:
            raise SourceError(f"a row for {row.table} has the id {row.id} and another {key}")

    def _stored(self, batch: Sequence[Candidate]) -> list[Inserted]:
        """Decide and insert; where the database declines, by halves, the second knowing the first."""
        try:
            with self._session.savepoint():
                fates = self._decided(batch)
                self._run([c for c, fate in zip(batch, fates, strict=True) if fate.fate == "stored"])
                return fates
        except Declined as declined:
            if not self._session.in_transaction:
                raise
            if len(batch) == 1:
                return [_rejected(batch[0], declined.words)]
        middle = len(batch) // 2
        return self._stored(batch[:middle]) + self._stored(batch[middle:])

    def _run(self, candidates: Sequence[Candidate]) -> None:
        for (table, names), run in groupby(candidates, key=lambda c: (c.row.table, frozenset(c.values))):
            relation = self._relation(table)
            ordered = tuple(name for name in relation.table.columns if name in names)
            rows = [tuple(candidate.values[name] for name in ordered) for candidate in run]
            self._session.run(self._statement(relation, ordered), rows)

    def _statement(self, relation: Relation, names: tuple[str, ...]) -> str:
        place = (relation.name, names)
        if place not in self._statements:
            self._statements[place] = self._session.compiled(sa.insert(relation.clause), names)
        return self._statements[place]

    def _decided(self, batch: Sequence[Candidate]) -> list[Inserted]:
        """Fates by id and natural key; ``stored`` is still to be proven by inserting."""
        fates: dict[int, Inserted] = {}
        tables: dict[str, list[Candidate]] = {}
        for candidate in batch:
            tables.setdefault(candidate.row.table, []).append(candidate)
        for name, candidates in tables.items():
            fates.update(self._decided_in(self._relation(name), candidates))
        return [fates[id(candidate)] for candidate in batch]

    def _decided_in(self, relation: Relation, candidates: list[Candidate]) -> Iterator[tuple[int, Inserted]]:
        present = self._present(relation, candidates)
        taken = Taken(self._natural, relation, candidates)
        for candidate in candidates:
            yield id(candidate), self._fate(relation, candidate, present, taken)
        taken.keep()

    def _present(self, relation: Relation, candidates: list[Candidate]) -> dict[Any, dict[str, Any]]:
        key = relation.table.key[0]
        ids = [(candidate.values[key],) for candidate in candidates if candidate.values]
        rows, _ = KeyedRows(self._session, relation, (key,)).by_key(ids)
        return {row[key]: row for row in rows.values()}

    def _fate(
        self, relation: Relation, candidate: Candidate, present: dict[Any, dict[str, Any]], taken: Taken
    ) -> Inserted:
        row, values = candidate.row, candidate.values
        if not values:
            return _rejected(candidate, "a value is not one that a cell can hold")
        if candidate.repeated:
            return Inserted(row, "duplicate", "the same answer made this row before")
        now = present.get(values[relation.table.key[0]])
        if now is not None:
            types = relation.table.columns
            edited = any(not same(now[name], value, types[name]) for name, value in values.items())
            return Inserted(row, "already", "edited since" if edited else "")
        reason = taken.by(candidate)
        if reason:
            return Inserted(row, "duplicate", reason)
        taken.take(candidate)
        return Inserted(row, "stored")

    def _told(self, candidate: Candidate) -> RowMade:
        row, relation = candidate.row, self._relation(candidate.row.table)
        key = relation.table.key[0]
        text = key_text([candidate.values[key]])
        return row.table, json.dumps([key]), text, row.parent, packable(candidate.values)


class Taken:
    """Natural keys that rows of one table hold, those of the batch at hand included."""

    def __init__(self, natural_keys: NaturalKeys, relation: Relation, candidates: Sequence[Candidate]) -> None:
        self._natural = natural_keys
        self._relation = relation
        self._new: dict[tuple[str, ...], list[tuple[bytes, Any]]] = {}
        self._held: dict[tuple[str, ...], dict[bytes, Any]] = {}
        wanted: dict[tuple[str, ...], list[bytes]] = {}
        for candidate in candidates:
            for columns, fold in _folds(candidate):
                wanted.setdefault(columns, []).append(fold)
        for columns, folds in wanted.items():
            self._held[columns] = natural_keys.holders(relation, columns, folds)

    def by(self, candidate: Candidate) -> str:
        """Why the row is a duplicate; empty where it is none."""
        for columns, fold in _folds(candidate):
            holder = self._held[columns].get(fold)
            if holder is not None:
                return f"same {', '.join(columns)} as {self._relation.name} {holder}"
        return ""

    def take(self, candidate: Candidate) -> None:
        holder = candidate.values[self._relation.table.key[0]]
        for columns, fold in _folds(candidate):
            self._held[columns][fold] = holder
            self._new.setdefault(columns, []).append((fold, holder))

    def keep(self) -> None:
        for columns, rows in self._new.items():
            self._natural.add(self._relation, columns, rows)


def _folds(candidate: Candidate) -> Iterator[tuple[tuple[str, ...], bytes]]:
    for unique in candidate.row.unique:
        fold = natural(candidate.values, unique.columns)
        if fold is not None:
            yield unique.columns, fold


def _marked(rows: Iterable[NewRow]) -> Iterator[Candidate]:
    """Rows whose id their own parent made before are repeated. Rows of a parent come together."""
    parent: str | None = None
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if row.parent != parent:
            parent, seen = row.parent, set()
        place = (row.table, row.id)
        yield Candidate(row, place in seen)
        seen.add(place)


def _place(candidate: Candidate) -> Any:
    """What makes a batch end: the same id from another parent. Repeated ones need nothing of the first."""
    return id(candidate) if candidate.repeated else (candidate.row.table, candidate.row.id)


def _rejected(candidate: Candidate, words: str) -> Inserted:
    return Inserted(candidate.row, "rejected", words)
