"""The way back: what each release wrote or made, kept beside the user's tables in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from seedbed.ports.corpus import Standing, sqlite
from seedbed.ports.corpus.cells import all_packed, packed, unpacked
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.descriptions import BACKUP_TABLE, Catalogue

BACKUPS = sa.Table(
    BACKUP_TABLE,
    sa.MetaData(),
    sa.Column("release", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("op", sa.Text, sa.CheckConstraint("op IN ('write', 'insert')"), nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("key_columns", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("undone_at", sa.Integer),
    sqlite_with_rowid=False,
)
_C = BACKUPS.c
_PAGE = 500
_LISTED = 5000
_FORGET = (
    f"UPDATE {BACKUP_TABLE} SET before = ?, after = ?, undone_at = coalesce(undone_at, ?) "  # noqa: S608
    "WHERE release = ? AND number = ?"
)
_LIST = "CREATE TEMP TABLE seedbed_standing (key, table_name, PRIMARY KEY (key, table_name)) WITHOUT ROWID"
_LIST_PAGE = (
    f"INSERT OR IGNORE INTO temp.seedbed_standing SELECT key, table_name FROM {BACKUP_TABLE} "  # noqa: S608
    "WHERE release = ? AND number > ? AND number <= ? AND undone_at IS NULL"
)
_LAST = f"SELECT coalesce(max(number), 0) FROM {BACKUP_TABLE} WHERE release = ?"  # noqa: S608
_AMONG = (
    "SELECT s.table_name, s.key FROM json_each(?) CROSS JOIN temp.seedbed_standing AS s "
    "WHERE s.key = json_extract(value, '$[1]') AND s.table_name = json_extract(value, '$[0]')"
)
_WRITES = sqlite.all_at_once(
    BACKUP_TABLE, "number", ("release", "op", "at", "parent", "table_name", "key_columns"), ("key", "before", "after")
)
_INSERTS = sqlite.all_at_once(
    BACKUP_TABLE, "number", ("release", "op", "at", "before"), ("table_name", "key_columns", "key", "parent", "after")
)


Clean = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Cells as they are to be remembered, by the release, the key of the outcome, and the cells."""

RowMade = tuple[str, str, str, str, Mapping[str, Any]]
"""Table, key columns, key, parent, and the cells of a row that was made."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One backup row. ``number`` grows within its release; ``before`` is empty for a row that was made."""

    op: str
    table: str
    key_columns: str
    key: str
    parent: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    number: int

    @property
    def item(self) -> str:
        """The key of the outcome that it stands for."""
        return self.parent if self.op == "insert" else self.key


class Backups:
    """The backup table of one database. It is made with the first row that needs it."""

    def __init__(self, session: Session, catalogue: Catalogue, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._catalogue = catalogue
        self._clock = clock
        self._create = session.compiled(CreateTable(BACKUPS, if_not_exists=True))

    @property
    def exists(self) -> bool:
        return self._catalogue.has(BACKUP_TABLE)

    def record_writes(self, release: str, table: str, key_columns: str, written: str) -> None:
        """Append rows' keys and cells before and after, all packed; in the transaction that writes them."""
        self._session.run(self._create)
        place = (self._next(release), release, "write", self._now(), "", table, key_columns)
        self._session.run(_WRITES, (*place, written))

    def record_inserts(self, release: str, rows: Sequence[RowMade]) -> None:
        """Append rows that were made; in the transaction that makes them."""
        if not rows:
            return
        self._session.run(self._create)
        place = (self._next(release), release, "insert", self._now(), "{}")
        self._session.run(_INSERTS, (*place, all_packed(rows)))

    def _next(self, release: str) -> int:
        last = self._session.scalar(sa.select(sa.func.max(_C.number)).where(_C.release == release))
        return int(last or 0) + 1

    def mark_undone(self, release: str, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        chosen = (_C.release == sa.bindparam("of"), _C.number == sa.bindparam("which"))
        update = sa.update(BACKUPS).where(*chosen).values(undone_at=sa.bindparam("now"))
        now = self._now()
        self._session.run(self._session.compiled(update), [(now, release, number) for number in numbers])

    def standing(self, release: str, size: Callable[[], int]) -> Iterator[Entry]:
        """What is not undone, newest first; read in pages."""
        if not self.exists:
            return
        shown = (_C.op, _C.table_name, _C.key_columns, _C.key, _C.parent, _C.before, _C.after, _C.number)
        query = sa.select(*shown).where(_C.release == release, _C.undone_at.is_(None)).order_by(_C.number.desc())
        rows = self._session.tuples(query.limit(size()))
        while rows:
            for op, table, columns, key, parent, before, after, number in rows:
                yield Entry(op, table, columns, key, parent, unpacked(before), unpacked(after), number)
            rows = self._session.tuples(query.where(_C.number < rows[-1][-1]).limit(size()))

    def listed(self, release: str) -> Standing:
        """What stands now, listed in a temporary table: it lies in a file, so that no key stays in memory."""
        self._session.run("DROP TABLE IF EXISTS temp.seedbed_standing")
        self._session.run(_LIST)
        last = self._session.catalogue(_LAST, release)[0][0] if self.exists else 0
        for start in range(0, last, _LISTED):  # a page at a time: whoever writes waits for no more
            self._session.run(_LIST_PAGE, (release, start, start + _LISTED))

        def among(places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
            return set(self._session.catalogue(_AMONG, orjson.dumps(list(places)).decode()))

        return among

    def forget(self, clean: Clean) -> int:
        """Put what is remembered of cells through ``clean``; what changes has no way back any more."""
        if not self.exists:
            return 0
        count, at = 0, ("", 0)
        place = (_C.release, _C.number)
        query = sa.select(*place, _C.op, _C.parent, _C.key, _C.before, _C.after).order_by(*place).limit(_PAGE)
        while rows := self._session.tuples(query.where(sa.tuple_(*place) > at)):
            changed = []
            for release, number, op, parent, key, before, after in rows:
                item = parent if op == "insert" else key
                now = [packed(clean(release, item, unpacked(cells))) for cells in (before, after)]
                if now != [before, after]:
                    changed.append((*now, self._now(), release, number))
            if changed:
                self._session.run(_FORGET, changed)
            count, at = count + len(changed), rows[-1][:2]
        return count

    def items(self, release: str) -> dict[str, None]:
        """Keys of all outcomes of a release, in its order."""
        if not self.exists:
            return {}
        item = sa.case((_C.op == "insert", _C.parent), else_=_C.key)
        rows = self._session.tuples(sa.select(item).where(_C.release == release).order_by(_C.number))
        return dict.fromkeys(row[0] for row in rows)

    def counts(self, release: str) -> tuple[int, int]:
        """(rows written, rows made) by a release, whether undone or not."""
        if not self.exists:
            return 0, 0
        query = sa.select(_C.op, sa.func.count()).where(_C.release == release).group_by(_C.op)
        found = dict(self._session.tuples(query))
        return int(found.get("write", 0)), int(found.get("insert", 0))

    def _now(self) -> int:
        return int(self._clock() * 1000)
