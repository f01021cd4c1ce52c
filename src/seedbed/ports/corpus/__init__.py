"""The user's records. Tables stay where they are; writing compares, backs up, and can be undone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from seedbed.conditions import Condition
from seedbed.records import LogicalType
from seedbed.stage import Lookup, Unique

WriteFate = Literal["applied", "already", "drifted", "vanished", "refused"]
InsertFate = Literal["stored", "already", "duplicate", "rejected"]


@dataclass(frozen=True)
class Table:
    """What a table or view looks like. ``key`` is its primary key, () where it has none."""

    name: str
    columns: Mapping[str, LogicalType]
    key: tuple[str, ...]
    view: bool = False


class CellWrite(NamedTuple):
    """Cells to write into one row: only where ``before`` still stands and the inputs still match."""

    key: str
    fingerprint: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Written(NamedTuple):
    key: str
    fate: WriteFate
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to insert. ``id`` is the value of the table's one-column key; ``parent`` and ``ordinal`` its origin."""

    id: str
    table: str
    values: Mapping[str, Any]
    unique: tuple[Unique, ...]
    parent: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Inserted:
    row: NewRow
    fate: InsertFate
    reason: str = ""


@dataclass(frozen=True)
class Undone:
    """What a rollback did: rows restored (or deleted, where a stage had made them) and rows left alone, by key.

    ``items`` are the keys of the outcomes (parents, for made rows) that are fully undone.
    """

    restored: int
    deleted: int
    left: tuple[tuple[str, str], ...] = field(default=())
    items: tuple[str, ...] = field(default=())


Fingerprint = Callable[[Mapping[str, Any]], str]


Standing = Callable[[Iterable[tuple[str, str]]], set[tuple[str, str]]]
"""Which of these (table, key) are among what a release had written. Memory does not grow with the release."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Tells two states of a corpus apart: equal stamps, equal records.

    But two changes within the clock tick of the file system may have one stamp: it counts only once ``changed``
    (Unix milliseconds; 0 where it counts at once) lies some time back.
    """

    text: str
    changed: int


class Corpus(Protocol):
    """Tables with keys. Synchronous; used by one thread at a time, each thread opens its own."""

    def tables(self) -> list[str]: ...
    def table(self, name: str) -> Table:
        """Raises SourceError, naming the nearest, when there is none of that name."""
        ...

    def check_key(self, table: str, key: Sequence[str]) -> None:
        """Raises SourceError with rows when key values are NULL or not unique."""
        ...

    def page(
        self,
        table: str,
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 5000,
    ) -> list[dict[str, Any]]:
        """Whole rows in the database's own key order, after a key. No cursor stays open."""
        ...

    def keys(
        self,
        table: str,
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 5000,
    ) -> list[tuple[Any, ...]]:
        """The keys of the rows of :meth:`page`, for a look that needs no more."""
        ...

    def fetch(self, table: str, key: Sequence[str], keys: Sequence[Sequence[Any]]) -> list[dict[str, Any]]: ...
    def group_page(
        self,
        table: str,
        by: Sequence[str],
        key: Sequence[str],
        condition: Condition,
        *,
        after: Sequence[Any] | None = None,
        limit: int = 500,
    ) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
        """Groups in the order of their key, each with its members in key order."""
        ...

    def count(self, table: str, condition: Condition) -> int: ...
    def count_by(self, table: str, by: Sequence[str], condition: Condition) -> list[tuple[tuple[Any, ...], int]]: ...
    def lookup(self) -> Lookup: ...
    def write(
        self,
        release: str,
        table: str,
        key: Sequence[str],
        writes: Iterable[CellWrite],
        *,
        fingerprint: Fingerprint,
        source: str | None = None,
    ) -> Iterator[Written]:
        """Compare and write in transactions short enough for other users (≤ 5,000 rows, at most 50 ms).

        What was compared before a transaction counts in it if nobody wrote meanwhile; else it compares again.

        Now = after: already; inputs match and now = before: written, with a backup row in the same
        transaction; else drifted. ``source`` is the view whose row the fingerprint is taken from.
        """
        ...

    def insert(self, release: str, rows: Iterable[NewRow]) -> Iterator[Inserted]:
        """Insert in the order given. Same id: already; a natural key that is taken: duplicate;
        a constraint of the table that declines it: rejected, with the constraint's words."""
        ...

    def preview(
        self,
        table: str,
        key: Sequence[str],
        writes: Iterable[CellWrite],
        *,
        fingerprint: Fingerprint,
        source: str | None = None,
    ) -> Iterator[Written]:
        """What :meth:`write` would say, without writing."""
        ...

    def preview_insert(self, rows: Iterable[NewRow]) -> Iterator[Inserted]: ...
    def roll_back(self, release: str, *, dry_run: bool = False, items: Collection[str] | None = None) -> Undone:
        """Undo a release where what it wrote still stands; with ``items`` only what it did for those."""
        ...

    def standing(self, release: str) -> Standing:
        """What a release has written or made by now and that was not taken back."""
        ...

    def backed_up(self, release: str) -> tuple[int, int]:
        """(cells' rows written, rows inserted) by a release, counted from the backup rows."""
        ...

    def forget(self, clean: Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]) -> int:
        """Put the cells of each backup row through ``clean`` (release, key of the outcome, cells), on the disk too.

        A row that changes is not rolled back any more. Returns how many did.
        """
        ...

    def create(self, script: str) -> None:
        """Run a recipe's own DDL; statements must be repeatable (``if not exists``)."""
        ...

    def add_columns(self, table: str, columns: Mapping[str, LogicalType]) -> None:
        """Add missing columns; those that exist are left alone."""
        ...

    def close(self) -> None: ...
