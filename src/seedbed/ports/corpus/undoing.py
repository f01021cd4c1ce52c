"""A release taken back: newest first, and only what still holds what the release wrote."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import sqlalchemy as sa

from seedbed.crashing import point
from seedbed.errors import SourceError
from seedbed.ports.corpus import Undone
from seedbed.ports.corpus.backups import Backups, Entry
from seedbed.ports.corpus.batches import Pace, attempt, cut, settle
from seedbed.ports.corpus.cells import same
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Catalogue, Relation
from seedbed.ports.corpus.expressions import value
from seedbed.ports.corpus.keys import KeyedRows, values_of
from seedbed.ports.corpus.references import References
from seedbed.ports.corpus.updates import Updates

End = Literal["restored", "deleted", "nothing to do", "left"]


@dataclass(frozen=True, slots=True)
class Ended:
    entry: Entry
    end: End
    reason: str = ""


@dataclass(slots=True)
class Restoring:
    """Cells of one row to set back. ``kept`` says what stays because somebody changed it."""

    entry: Entry
    at: tuple[Any, ...]
    cells: dict[str, Any]
    kept: str = ""

    def ended(self) -> Ended:
        if self.kept:
            return Ended(self.entry, "left", self.kept)
        return Ended(self.entry, "restored" if self.cells else "nothing to do")


@dataclass
class Pretence:
    """What a dry run would have changed by now: cells by row, None for a row that is gone."""

    rows: dict[tuple[str, tuple[Any, ...]], dict[str, Any] | None] = field(default_factory=dict)

    def seen(self, table: str, key: tuple[Any, ...], row: dict[str, Any] | None) -> dict[str, Any] | None:
        changed = self.rows.get((table, key), {})
        return None if row is None or changed is None else {**row, **changed} if changed else row

    def change(self, table: str, key: tuple[Any, ...], cells: dict[str, Any]) -> None:
        self.rows[table, key] = {**(self.rows.get((table, key)) or {}), **cells}

    def remove(self, table: str, key: tuple[Any, ...]) -> None:
        self.rows[table, key] = None

    def gone(self, table: str, key: tuple[Any, ...]) -> bool:
        return self.rows.get((table, key), {}) is None


class Rollback:
    """Takes one release back."""

    def __init__(
        self,
        session: Session,
        catalogue: Catalogue,
        backups: Backups,
        release: str,
        *,
        dry_run: bool,
        items: Collection[str] | None = None,
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self._backups = backups
        self._release = release
        self._dry = dry_run
        self._items = items
        self._pretence = Pretence()
        self._references = References(session, catalogue, self._pretence.gone)

    def run(self) -> Undone:
        pace = Pace()
        counts = {"restored": 0, "deleted": 0}
        left: list[tuple[str, str]] = []
        kept: set[str] = set()
        entries = (e for e in self._backups.standing(self._release, lambda: 5000) if self._meant(e.item))
        for batch in cut(entries, pace, lambda entry: (entry.table, entry.key)):
            for ended in self._settled(batch, pace):
                if ended.end == "left":
                    left.append((ended.entry.key, ended.reason))
                    kept.add(ended.entry.item)
                elif ended.end in counts:
                    counts[ended.end] += 1
        items = tuple(item for item in self._backups.items(self._release) if item not in kept and self._meant(item))
        return Undone(counts["restored"], counts["deleted"], tuple(left), items)

    def _meant(self, item: str) -> bool:
        return self._items is None or item in self._items

    def _settled(self, batch: Sequence[Entry], pace: Pace) -> list[Ended]:
        if self._dry:
            return self._ended(batch)
        return settle(self._session, batch, self._undo, _left, pace)

    def _undo(self, batch: Sequence[Entry]) -> list[Ended]:
        ended = self._ended(batch)
        self._backups.mark_undone(self._release, [e.entry.number for e in ended if e.end != "left"])
        point("before what was undone commits")
        return ended

    def _ended(self, batch: Sequence[Entry]) -> list[Ended]:
        ended: list[Ended] = []
        for (op, table, columns), run in groupby(batch, key=lambda e: (e.op, e.table, e.key_columns)):
            ended += self._of_table(op, table, tuple(json.loads(columns)), list(run))
        return ended

    def _of_table(self, op: str, table: str, key: tuple[str, ...], entries: list[Entry]) -> list[Ended]:
        try:
            relation = self._catalogue.relation(table).writable()
            relation.known([*key, *(name for name in entries[0].after)])
            act = self._restored if op == "write" else self._deleted
            return act(relation, key, entries)
        except SourceError as error:
            if len(entries) == 1:
                return [_left(entries[0], error.what)]
            middle = len(entries) // 2
            first = self._of_table(op, table, key, entries[:middle])
            return first + self._of_table(op, table, key, entries[middle:])

    def _restored(self, relation: Relation, key: tuple[str, ...], entries: list[Entry]) -> list[Ended]:
        plans = self._plans(relation, key, entries)
        todo = [plan for plan in plans if isinstance(plan, Restoring) and plan.cells]
        declined = {id(plan): words for plan, words in self._set_back(relation, key, todo)}
        return [
            plan
            if isinstance(plan, Ended)
            else _left(plan.entry, declined[id(plan)])
            if id(plan) in declined
            else plan.ended()
            for plan in plans
        ]

    def _set_back(
        self, relation: Relation, key: tuple[str, ...], plans: list[Restoring]
    ) -> list[tuple[Restoring, str]]:
        if not self._dry:
            return attempt(self._session, plans, Updates(self._session, relation, key).run)
        for plan in plans:
            self._pretence.change(relation.name, plan.at, plan.cells)
        return []

    def _plans(self, relation: Relation, key: tuple[str, ...], entries: list[Entry]) -> list[Restoring | Ended]:
        rows = self._rows(relation, key, entries)
        plans: list[Restoring | Ended] = []
        for entry, (at, now) in zip(entries, rows, strict=True):
            plans.append(_left(entry, "the row is gone") if now is None else _plan(relation, entry, at, now))
        return plans

    def _rows(
        self, relation: Relation, key: tuple[str, ...], entries: list[Entry]
    ) -> list[tuple[tuple[Any, ...], dict[str, Any] | None]]:
        keys = [values_of(entry.key) for entry in entries]
        found, _ = KeyedRows(self._session, relation, key).by_key(keys)
        return [(at, self._pretence.seen(relation.name, at, found.get(at))) for at in keys]

    def _deleted(self, relation: Relation, key: tuple[str, ...], entries: list[Entry]) -> list[Ended]:
        """Row by row, so that a parent is looked at when its children are gone."""
        rows = self._rows(relation, key, entries)
        delete = self._session.compiled(
            sa.delete(relation.clause).where(*(column == value(0) for column in relation.columns(key)))
        )
        return [self._gone(relation, delete, entry, at, now) for entry, (at, now) in zip(entries, rows, strict=True)]

    def _gone(
        self, relation: Relation, delete: str, entry: Entry, at: tuple[Any, ...], now: dict[str, Any] | None
    ) -> Ended:
        if now is None:
            return Ended(entry, "nothing to do")
        edited = [name for name, was in entry.after.items() if not same(now[name], was, relation.table.columns[name])]
        if edited:
            return _left(entry, f"edited since: {', '.join(edited)}")
        held = self._references.to(relation, now)
        if held:
            return _left(entry, held)
        if self._dry:
            self._pretence.remove(relation.name, at)
            return Ended(entry, "deleted")
        try:
            self._session.run(delete, at)
        except Declined as declined:
            if not self._session.in_transaction:
                raise
            return _left(entry, declined.words)
        return Ended(entry, "deleted")


def _plan(relation: Relation, entry: Entry, at: tuple[Any, ...], now: dict[str, Any]) -> Restoring:
    types = relation.table.columns
    cells: dict[str, Any] = {}
    edited: list[str] = []
    for name, was in entry.after.items():
        before = entry.before[name]
        if same(now[name], was, types[name]):
            cells[name] = before
        elif not same(now[name], before, types[name]):
            edited.append(name)
    return Restoring(entry, at, cells, f"edited since: {', '.join(edited)}" if edited else "")


def _left(entry: Entry, reason: str) -> Ended:
    return Ended(entry, "left", reason)
