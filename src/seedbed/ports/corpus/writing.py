"""Cells into rows: only where the row is still what it was at export, and with a way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter, eq
from typing import Any, NamedTuple

import orjson

from seedbed.crashing import point
from seedbed.ports.corpus import CellWrite, Fingerprint, Written
from seedbed.ports.corpus.backups import Backups
from seedbed.ports.corpus.batches import Pace, attempt, cut, settle
from seedbed.ports.corpus.cells import AS_IT_IS, all_packed, packable, same, shown, stored
from seedbed.ports.corpus.connections import Declined, Session
from seedbed.ports.corpus.descriptions import Relation
from seedbed.ports.corpus.keys import KeyedRows, all_values_of
from seedbed.ports.corpus.updates import Updates


@dataclass(frozen=True)
class Target:
    """Where cells go, and how one knows that the row is the same."""

    relation: Relation
    key: tuple[str, ...]
    fingerprint: Fingerprint
    source: Relation | None = None


class Change(NamedTuple):
    """A write that may be done: its place among the fates, the row's key, its cells to be and as they are."""

    place: int
    write: CellWrite
    at: tuple[Any, ...]
    cells: Mapping[str, Any]
    before: Mapping[str, Any]


class Plain(NamedTuple):
    """A batch that nothing stands against: for each row its new cells and then its key, and the backup of all."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    packed: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A batch held against the rows of one moment; ``changes`` is empty where all of it is plain."""

    batch: Sequence[CellWrite]
    moment: tuple[int, int]
    fates: list[Written]
    changes: list[Change]
    plain: Plain | None = None


class Writer:
    """Compares and writes cells of one table. Kept from page to page: it learns its pace, and has its statements."""

    def __init__(self, session: Session, target: Target) -> None:
        self._session = session
        self.target = self._target = target
        self._pace = Pace()
        self._types = target.relation.table.columns
        self._affinities = target.relation.affinities
        self._kept = {name: {type(None), AS_IT_IS.get(to)} for name, to in self._affinities.items()}
        self._rows = KeyedRows(session, target.relation, target.key)
        self._source_rows = KeyedRows(session, target.source, target.key) if target.source else None
        self._updates = Updates(session, target.relation, target.key)
        self._key_columns = orjson.dumps(target.key).decode()

    def write(self, release: str, writes: Iterable[CellWrite], backups: Backups) -> Iterator[Written]:
        """Fates in the order of the writes, each batch's after its commit."""
        pace = self._pace
        for batch in cut(writes, pace, attrgetter("key")):
            compared = self._compared(batch)

            def work(part: Sequence[CellWrite], found: Compared = compared) -> list[Written]:
                # Another program may have written since; or it is a part of a batch that was declined.
                still = part is found.batch and self._session.moment() == found.moment
                return self._apply(release, found if still else self._compared(part), backups)

            yield from settle(self._session, batch, work, _refused, pace)

    def preview(self, writes: Iterable[CellWrite]) -> Iterator[Written]:
        """The same fates without writing; constraints are not foreseen."""
        for batch in cut(writes, Pace(), attrgetter("key")):
            yield from self._compared(batch).fates

    def _apply(self, release: str, found: Compared, backups: Backups) -> list[Written]:
        fates, packed = found.fates, ""
        if found.plain is not None:
            if attempt(self._session, [found.plain], self._write_plain):
                return self._apply(release, self._compared(found.batch, one_by_one=True), backups)
            packed = found.plain.packed
        elif found.changes:
            for change, words in attempt(self._session, found.changes, self._updates.run):
                fates[change.place] = _refused(change.write, words)
            told = [(c.write.key, packable(c.before), packable(c.cells)) for c in found.changes if _stands(fates, c)]
            packed = all_packed(told) if told else ""
        if packed:
            backups.record_writes(release, self._target.relation.name, self._key_columns, packed)
        point("before cells commit")
        return fates

    def _write_plain(self, plain: Sequence[Plain]) -> None:
        for names, rows, _ in plain:
            self._updates.write(names, rows)

    def _compared(self, batch: Sequence[CellWrite], *, one_by_one: bool = False) -> Compared:
        """What can be done before the lock is taken, so that others wait for the writing only.

        It holds as long as nobody wrote meanwhile, which is looked at under the lock.
        """
        moment = self._session.moment()
        keys = all_values_of([write.key for write in batch])
        asked = [key for key in keys if len(key) == len(self._target.key)]
        rows, twice = self._rows.by_key(asked)
        sources = rows
        if self._source_rows is not None:
            sources, seen_twice = self._source_rows.by_key(asked)
            twice |= seen_twice
        if not twice and not one_by_one:
            there = [row for key in keys if (row := rows.get(key)) is not None]
            shown = there if sources is rows else [row for key in keys if (row := sources.get(key)) is not None]
            if plain := self._plain(batch, keys, there, shown):
                fates = zip((write.key for write in batch), repeat("applied"), repeat(""))
                return Compared(batch, moment, list(map(Written._make, fates)), [], plain)
        return Compared(batch, moment, *self._one_by_one(batch, keys, rows, sources, twice))

    def _plain(
        self,
        batch: Sequence[CellWrite],
        keys: Sequence[tuple[Any, ...]],
        there: Sequence[dict[str, Any]],
        shown: Sequence[dict[str, Any]],
    ) -> Plain | None:
        """If all rows are exactly what they were at export, and new cells need no change of type.

        So it is nearly always; and a whole batch can be compared in a quarter of the time of its rows.
        """
        texts, prints, befores, afters = zip(*batch, strict=True)
        names: tuple[str, ...] = tuple(afters[0])
        if not names or not len(there) == len(shown) == len(batch):
            return None
        if set(map(tuple, afters)) != {names} or set(map(tuple, befores)) != {names}:
            return None
        self._updates.check(names)
        columns = []
        for name in names:
            now = [row[name] for row in there]
            before = [cells[name] for cells in befores]
            after = [cells[name] for cells in afters]
            kinds = list(map(type, now))
            if now != before or kinds != list(map(type, before)) or float in kinds:
                return None
            if any(map(eq, now, after)) or not set(map(type, after)) <= self._kept[name]:
                return None
            columns.append(after)
        if list(map(self._target.fingerprint, shown)) != list(prints):
            return None
        rows = list(zip(*columns, *zip(*keys, strict=True), strict=True))
        return Plain(names, rows, all_packed(list(zip(texts, befores, afters, strict=True))))

    def _one_by_one(
        self,
        batch: Sequence[CellWrite],
        keys: Sequence[tuple[Any, ...]],
        rows: Mapping[tuple[Any, ...], dict[str, Any]],
        sources: Mapping[tuple[Any, ...], dict[str, Any]],
        twice: Set[tuple[Any, ...]],
    ) -> tuple[list[Written], list[Change]]:
        fates: list[Written] = []
        changes: list[Change] = []
        names: tuple[str, ...] = ()
        for write, key in zip(batch, keys, strict=True):
            if names != (names := tuple(write.after)):
                self._updates.check(names)
            found = self._fate(write, rows.get(key), sources.get(key), key in twice)
            if isinstance(found, Written):
                fates.append(found)
            else:
                changes.append(Change(len(fates), write, key, *found))
                fates.append(Written(write.key, "applied"))
        return fates, changes

    def _fate(
        self,
        write: CellWrite,
        now: dict[str, Any] | None,
        source: dict[str, Any] | None,
        twice: bool,
    ) -> Written | tuple[dict[str, Any], dict[str, Any]]:
        """Why it is not written; or its cells to be and as they are."""
        if now is None:
            return Written(write.key, "vanished", f"{self._target.relation.name} has no such row now")
        if twice:
            return _refused(write, "more than one row has this key")
        try:
            after, before, there = self._cells(write, now)
            if there:
                return Written(write.key, "already")
            reason = self._drift(write, before, source)
        except Declined as declined:
            return _refused(write, declined.words)
        if reason:
            return Written(write.key, "drifted", reason)
        return after, before

    def _cells(self, write: CellWrite, now: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], bool]:
        """The cells as they are to be and as they are, and whether that is the same."""
        after: dict[str, Any] = {}
        before: dict[str, Any] = {}
        there = True
        for name, value in write.after.items():
            cell = after[name] = stored(value, self._affinities[name])
            found = before[name] = now[name]
            if there and found is not cell:
                there = same(found, cell, self._types[name])
        return after, before, there

    def _drift(self, write: CellWrite, now: dict[str, Any], source: dict[str, Any] | None) -> str:
        for name, found in now.items():
            before = write.before.get(name)
            if found is before or same(found, stored(before, self._affinities[name]), self._types[name]):
                continue
            return f'output "{name}" changed since export: {shown(before)} became {shown(found)}'
        if source is None:
            assert self._target.source is not None
            return f"input changed since export: the row is no longer in {self._target.source.name}"
        if self._target.fingerprint(source) != write.fingerprint:
            return "input changed since export"
        return ""


def _stands(fates: Sequence[Written], change: Change) -> bool:
    return fates[change.place].fate == "applied"


def _refused(write: CellWrite, words: str) -> Written:
    return Written(write.key, "refused", words)
