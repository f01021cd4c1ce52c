"""One receipts file, read. No read transaction is open while anyone looks at what was read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from seedbed.ports.receipts import Ending, Purchase, Receipt
from seedbed.ports.receipts.rows import (
    ENDING_COLUMNS,
    INTENT_COLUMNS,
    RECEIPT_COLUMNS,
    Damaged,
    Row,
    bound,
    damaged_intent,
    read_blob,
    read_ending,
    read_intent,
    read_receipt,
)
from seedbed.ports.receipts.schema import ROOM, archive_number, check_archive, check_version, named, open_reading

T = TypeVar("T")

PAGE = 500
_PAGE_BYTES = 8 << 20
_BLOBS_KEPT = 64
_TOP = (1 << 63) - 1

_RECEIPT = ", ".join(RECEIPT_COLUMNS)
_ENDING = ", ".join(ENDING_COLUMNS)
_SELECT = (
    f"SELECT {', '.join(f'i.{name}' for name in INTENT_COLUMNS)}, "  # noqa: S608
    f"{', '.join(f'r.{name}' for name in RECEIPT_COLUMNS)} "
    "FROM intents i LEFT JOIN receipts r ON r.intent_number = i.number"
)
_LATE = ("late_receipts", "late_endings")
_WIDTH = len(INTENT_COLUMNS)
_PAYLOAD = INTENT_COLUMNS.index("payload")
_BODY = _WIDTH + RECEIPT_COLUMNS.index("body")


@dataclass(slots=True)
class Late:
    """What a file holds for intents of other files."""

    receipts: dict[str, Receipt | None]
    endings: dict[str, Ending]


class ReceiptFile:
    """A file of one writer, a compacted file, or one writer's part of it.

    ``blank`` if its writer was killed before it had tables.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.writer = path.stem
        self.compacted = archive_number(path) > 0
        self.base = 0
        self._top = _TOP
        self._of_writer = ""
        self._connection = connection
        self._blobs: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        if self.compacted:
            check_archive(connection, path)
            self.blank = False
            self._names = dict(connection.execute("SELECT base, name FROM writers").fetchall())
        else:
            self.blank = not check_version(connection, path)

    def parts(self) -> list[ReceiptFile]:
        """What each writer has in it: the file itself, or the parts of a compacted one."""
        return [self._part(base, name) for base, name in self._names.items()] if self.compacted else [self]

    def _part(self, base: int, name: str) -> ReceiptFile:
        part = copy(self)
        part.writer, part.base, part._top = name, base, base + ROOM - 1
        part._of_writer = f" AND writer = {base}"
        return part

    def page(self, after: int, stage: str | None = None) -> list[Purchase]:
        """Up to 500 purchases, or some megabytes of them, beyond a number, in the order of numbers."""
        span = (min(self.base + after, _TOP), self._top, PAGE)
        where = "i.number > ? AND i.number <= ? ORDER BY i.number LIMIT ?"
        if stage is None:
            return self._purchases(where, span)
        return self._purchases(f"i.stage = ? AND {where}", (bound(stage), *span))

    def pages(self, after: int = 0, stage: str | None = None) -> Iterator[list[Purchase]]:
        while page := self.page(after, stage):
            after = page[-1].number
            yield page

    def names(self) -> Iterator[list[tuple[str, str, str]]]:
        """Pages of (intent, stage, name of the call) of all intents, in the order of numbers."""
        after = self.base
        query = "SELECT number, id, stage, name FROM intents WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
        while not self.blank:
            with named(self.path):
                rows = self._connection.execute(query, (after, self._top, PAGE)).fetchall()
            if not rows:
                return
            yield [(intent, stage, name) for _, intent, stage, name in rows]
            after = rows[-1][0]

    def of_calls(self, calls: Sequence[str]) -> list[Purchase]:
        out: list[Purchase] = []
        bases = {name: base for base, name in self._names.items()}
        for some in _chunks(calls):
            where = f"i.call IN ({_marks(some)}) AND i.number > ? ORDER BY i.number LIMIT ?"
            after = 0
            while page := self._purchases(where, (*map(bound, some), after, PAGE)):
                out.extend(page)
                after = bases.get(page[-1].writer, 0) + page[-1].number
        return sorted(out, key=lambda purchase: (purchase.writer, purchase.number))

    def get(self, number: int) -> Purchase | None:
        if number + self.base > self._top:
            return None
        page = self._purchases("i.number = ?", (self.base + number,))
        return page[0] if page else None

    def receipt(self, number: int) -> Receipt | None:
        """The receipt alone, whether or not its intent is here; None too where it is damaged."""
        query = f"SELECT {_RECEIPT} FROM receipts WHERE intent_number = ?"  # noqa: S608
        row = self._connection.execute(query, (self.base + number,)).fetchone()
        return row and _receipt_or_none(f"{self.writer}-{number}", number, row)

    def _place(self, stored: int) -> tuple[str, int]:
        """Writer and own number of a stored number."""
        if not self.compacted:
            return self.writer, stored
        return self._names.get(stored // ROOM * ROOM, self.path.stem), stored % ROOM

    def _purchases(self, where: str, values: Sequence[Any]) -> list[Purchase]:
        if self.blank:
            return []
        with named(self.path):
            cursor = self._connection.execute(f"{_SELECT} WHERE {where}", values)
            rows: list[Row] = []
            size = 0
            for row in cursor:
                rows.append(row)
                size += _length(row[_PAYLOAD]) + _length(row[_BODY])
                if size > _PAGE_BYTES:
                    break
            cursor.close()
            endings = self._endings([row[0] for row in rows])
            return [self._purchase(row, endings) for row in rows]

    def _endings(self, numbers: Sequence[int]) -> dict[int, Ending]:
        out: dict[int, Ending] = {}
        for some in _chunks(numbers):
            where = f"intent_number IN ({_marks(some)}) ORDER BY rowid"
            query = f"SELECT intent_number, {_ENDING} FROM endings WHERE {where}"  # noqa: S608
            for stored, *row in self._connection.execute(query, some).fetchall():
                writer, number = self._place(stored)
                try:
                    out[stored] = read_ending(f"{writer}-{number}", number, tuple(row))
                except Damaged:  # without its ending the intent is in doubt; verify names it
                    continue
        return out

    def _purchase(self, row: Row, endings: dict[int, Ending]) -> Purchase:
        writer, number = self._place(row[0])
        ending = endings.get(row[0])
        own = (number, *row[1:_WIDTH])
        try:
            intent = read_intent(own, self._blob)
        except Damaged:
            return Purchase(damaged_intent(writer, own), number, writer, None, ending, corrupt=True)
        if row[_WIDTH] is None:
            return Purchase(intent, number, writer, None, ending)
        try:
            receipt = read_receipt(intent.id, number, row[_WIDTH:])
        except Damaged:
            return Purchase(intent, number, writer, None, ending, corrupt=True)
        return Purchase(intent, number, writer, receipt, ending)

    def _blob(self, name: str) -> Any:
        if name not in self._blobs:
            row = self._connection.execute("SELECT body, size FROM blobs WHERE hash = ?", (name,)).fetchone()
            value = read_blob(name, row)
            if len(self._blobs) >= _BLOBS_KEPT:
                self._blobs.clear()
            self._blobs[name] = value
        return self._blobs[name]

    # ------------------------------------------------------------------- for intents of other files

    def has_late(self) -> bool:
        if self.blank:
            return False
        with named(self.path):
            some = [f"EXISTS (SELECT 1 FROM {table} WHERE 1{self._of_writer})" for table in _LATE]  # noqa: S608
            return bool(self._connection.execute(f"SELECT {' OR '.join(some)}").fetchone()[0])

    def late(self, intents: Sequence[str]) -> Late:
        """A receipt that fails its checksum is None."""
        found = Late({}, {})
        for some in _chunks(intents):
            where = f"WHERE intent IN ({_marks(some)}){self._of_writer}"
            with named(self.path):
                query = f"SELECT intent, {_RECEIPT} FROM late_receipts {where}"  # noqa: S608
                for intent, *row in self._connection.execute(query, some).fetchall():
                    found.receipts[intent] = _receipt_or_none(intent, intent, row)
                query = f"SELECT intent, {_ENDING} FROM late_endings {where} ORDER BY rowid"  # noqa: S608
                for intent, *row in self._connection.execute(query, some).fetchall():
                    try:
                        found.endings[intent] = read_ending(intent, intent, tuple(row))
                    except Damaged:
                        continue
        return found

    def late_pages(self) -> Iterator[list[tuple[str, Receipt | None]]]:
        after = ""
        where = f"WHERE intent > ?{self._of_writer} ORDER BY intent LIMIT ?"
        query = f"SELECT intent, {_RECEIPT} FROM late_receipts {where}"  # noqa: S608
        while not self.blank:
            with named(self.path):
                rows = self._connection.execute(query, (after, PAGE // 5)).fetchall()
            if not rows:
                return
            yield [(row[0], _receipt_or_none(row[0], row[0], row[1:])) for row in rows]
            after = rows[-1][0]

    # ---------------------------------------------------------------------------------- all of it

    def endings(self) -> Iterator[tuple[str, Ending | None]]:
        """All endings in the order they came, own and late; None for one that fails its checksum."""
        for table, key in (("endings", "intent_number"), ("late_endings", "intent")):
            after = 0
            query = (
                f"SELECT rowid, {key}, {_ENDING} FROM {table} "  # noqa: S608
                f"WHERE {self._within(table)} AND {self._order} > ? ORDER BY {self._order} LIMIT ?"
            )
            while not self.blank:
                with named(self.path):
                    rows = self._connection.execute(query, (after, PAGE)).fetchall()
                if not rows:
                    break
                for _, place, *row in rows:
                    number = place if isinstance(place, str) else self._place(place)[1]
                    intent = place if isinstance(place, str) else f"{self.writer}-{number}"
                    try:
                        yield intent, read_ending(intent, number, tuple(row))
                    except Damaged:
                        yield intent, None
                after = rows[-1][0]

    @property
    def _order(self) -> str:
        """In a compacted file the index of a writer's own numbers is to be used, not the order of all rows."""
        return "+rowid" if self.compacted else "rowid"

    def _within(self, table: str) -> str:
        """The condition of this part's rows."""
        if table in _LATE:
            return f"1{self._of_writer}"
        return f"intent_number > {self.base} AND intent_number <= {self._top}"

    def orphans(self) -> list[str]:
        """Receipts and endings whose intent is not in the file."""
        if self.blank:
            return []
        here = self._within("receipts")
        query = (
            f"SELECT intent_number FROM (SELECT intent_number FROM receipts WHERE {here} "  # noqa: S608
            f"UNION SELECT intent_number FROM endings WHERE {here}) "
            "WHERE intent_number NOT IN (SELECT number FROM intents)"
        )
        with named(self.path):
            return [f"{self.writer}-{self._place(row[0])[1]}" for row in self._connection.execute(query).fetchall()]

    def tally(self) -> tuple[int, int, int]:
        """Intents, receipts (late ones too) and bytes of bodies, as counted when they were stored."""
        if self.blank:
            return 0, 0, 0
        table = f"writers WHERE base = {self.base}" if self.compacted else "tally"
        with named(self.path):
            query = f"SELECT intents, receipts, bytes FROM {table}"  # noqa: S608
            intents, receipts, size = self._connection.execute(query).fetchone()
        return int(intents), int(receipts), int(size)

    def ended(self) -> dict[str, str]:
        """The kind of each intent that ended without a receipt in this file."""
        if self.blank:
            return {}
        query = (
            f"SELECT intent_number, kind FROM endings e WHERE {self._within('endings')} "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.intent_number = e.intent_number) ORDER BY {self._order}"
        )
        late = f"SELECT intent, kind FROM late_endings WHERE {self._within('late_endings')} ORDER BY rowid"  # noqa: S608
        with named(self.path):
            found = self._connection.execute(query).fetchall()
            own = {f"{self.writer}-{self._place(stored)[1]}": kind for stored, kind in found}
            return own | dict(self._connection.execute(late).fetchall())

    def sound(self) -> bool:
        """SQLite's own check of the whole file."""
        with named(self.path):
            return [tuple(row) for row in self._connection.execute("PRAGMA integrity_check").fetchall()] == [("ok",)]


@contextmanager
def reading(path: Path) -> Iterator[ReceiptFile]:
    """Open a file to read it. Raises FileNotFoundError if its writer has just removed it."""
    with named(path):
        try:
            connection = open_reading(path)
        except sqlite3.OperationalError:
            if not path.exists():
                raise FileNotFoundError(path) from None
            raise
    try:
        with named(path):
            file = ReceiptFile(path, connection)
        yield file
    finally:
        connection.close()


def _receipt_or_none(intent: str, key: int | str, row: Sequence[Any]) -> Receipt | None:
    try:
        return read_receipt(intent, key, tuple(row))
    except Damaged:
        return None


def _chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + PAGE] for start in range(0, len(values), PAGE))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else 0
