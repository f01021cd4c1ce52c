"""Cells into rows: only where the row is still what it was at export, and with a way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from seedbed.crashing import point
from seedbed.ports.corpus import CellWrite, Fingerprint, Written
from seedbed.ports.corpus.backups import Backups, Told
from seedbed.ports.corpus.batches import Pace, attempt, cut, settle
from seedbed.ports.corpus.cells import same, shown, stored
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.keys import KeyedRows, values_of
from seedbed.ports.corpus.updates import Updates


@dataclass(frozen=True)
class Target:
    """Where cells go, and how one knows that the row is the same."""

    relation: Relation
    key: tuple[str, ...]
    fingerprint: Fingerprint
    source: Relation | None = None


@dataclass(slots=True)
class Change:
    """A write that may be done: the row's key, its cells to be and as they are."""

    place: int
    write: CellWrite
    at: tuple[Any, ...]
    cells: dict[str, Any]
    before: dict[str, Any]


class Writer:
    """Compares and writes cells of one table."""

    def __init__(self, session: Session, target: Target) -> None:
        self._session = session
        self._target = target
        self._types = target.relation.table.columns
        self._affinities = target.relation.affinities
        self._rows = KeyedRows(session, target.relation, target.key)
        self._source_rows = KeyedRows(session, target.source, target.key) if target.source else None
        self._updates = Updates(session, target.relation, target.key)
        self._key_columns = orjson.dumps(target.key).decode()

    def write(self, release: str, writes: Iterable[CellWrite], backups: Backups) -> Iterator[Written]:
        """Fates in the order of the writes, each batch's after its commit."""

        def work(batch: Sequence[CellWrite]) -> list[Written]:
            return self._apply(release, batch, backups)

        pace = Pace()
        for batch in cut(writes, pace, lambda write: write.key):
            yield from settle(self._session, batch, work, _refused, pace)

    def preview(self, writes: Iterable[CellWrite]) -> Iterator[Written]:
        """The same fates without writing; constraints are not foreseen."""
        for batch in cut(writes, Pace(), lambda write: write.key):
            yield from self._judged(batch)[0]

    def _apply(self, release: str, batch: Sequence[CellWrite], backups: Backups) -> list[Written]:
        fates, changes = self._judged(batch)
        declined = attempt(self._session, changes, self._updates.run)
        for change, words in declined:
            fates[change.place] = _refused(change.write, words)
        backups.record(release, [self._told(c) for c in changes if fates[c.place].fate == "applied"])
        point("before cells commit")
        return fates

    def _told(self, change: Change) -> Told:
        table = self._target.relation.name
        return "write", table, self._key_columns, change.write.key, "", change.before, change.cells

    def _judged(self, batch: Sequence[CellWrite]) -> tuple[list[Written], list[Change]]:
        keys = [values_of(write.key) for write in batch]
        asked = [key for key in keys if len(key) == len(self._target.key)]
        rows, twice = self._rows.by_key(asked)
        sources = rows
        if self._source_rows is not None:
            sources, seen_twice = self._source_rows.by_key(asked)
            twice |= seen_twice
        fates: list[Written] = []
        changes: list[Change] = []
        for write, key in zip(batch, keys, strict=True):
            fate = self._fate(write, key, rows.get(key), sources.get(key), key in twice)
            if isinstance(fate, Change):
                fate.place = len(fates)
                changes.append(fate)
                fate = Written(write.key, "applied")
            fates.append(fate)
        return fates, changes

    def _fate(
        self,
        write: CellWrite,
        key: tuple[Any, ...],
        now: dict[str, Any] | None,
        source: dict[str, Any] | None,
        twice: bool,
    ) -> Written | Change:
        if now is None:
            return Written(write.key, "vanished", f"{self._target.relation.name} has no such row now")
        if twice:
            return _refused(write, "more than one row has this key")
        self._updates.statement(tuple(write.after))
        try:
            after = {name: stored(value, self._affinities[name]) for name, value in write.after.items()}
            if self._holds(now, after):
                return Written(write.key, "already")
            reason = self._drift(write, now, source)
        except Declined as declined:
            return _refused(write, declined.words)
        if reason:
            return Written(write.key, "drifted", reason)
        return Change(0, write, key, after, {name: now[name] for name in after})

    def _holds(self, now: dict[str, Any], cells: dict[str, Any]) -> bool:
        for name, value in cells.items():  # noqa: SIM110  # a generator would cost more than the comparison
            if not same(now[name], value, self._types[name]):
                return False
        return True

    def _drift(self, write: CellWrite, now: dict[str, Any], source: dict[str, Any] | None) -> str:
        for name in write.after:
            before = write.before.get(name)
            if now[name] is before or same(now[name], stored(before, self._affinities[name]), self._types[name]):
                continue
            return f'output "{name}" changed since export: {shown(before)} became {shown(now[name])}'
        if source is None:
            assert self._target.source is not None
            return f"input changed since export: the row is no longer in {self._target.source.name}"
        if self._target.fingerprint(source) != write.fingerprint:
            return "input changed since export"
        return ""


def _refused(write: CellWrite, words: str) -> Written:
    return Written(write.key, "refused", words)
