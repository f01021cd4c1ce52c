"""What the file formats have in common: rows with spans, places in a file, and its plain refusals."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seedbed.errors import SourceError

ScannedRow = tuple[int, bytes, bytes, list[Any]]
"""Offset of the row, packed lengths of its cells, its bytes without the line end, its values."""

_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(rb"\r\n|\n|\r")
MOST_COLUMNS = 1900
"""SQLite holds 2,000 columns; the rest is room for outputs."""


@dataclass(frozen=True, slots=True)
class Splice:
    """New cells of a row by column number, as the format writes them; past the file's columns are added ones."""

    key: str
    start: int
    spans: bytes
    cells: Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Added:
    """A column that a result has and its source has not: its declared type, and the SQLite types of what it holds."""

    name: str
    declared: str = ""
    held: tuple[str, ...] = ()


class Layout(Protocol):
    """One parsed file: CSV, JSON Lines or Parquet.

    ``unit`` is what a row's number counts: line or row. ``typed`` columns keep their own types, whatever an output
    is declared as.
    """

    kind: str
    name: str
    unit: str
    typed: bool
    columns: tuple[str, ...]

    @property
    def signature(self) -> str: ...
    @property
    def untyped(self) -> tuple[str, ...]:
        """Columns that take the type of what is written into them: see :meth:`give_type`."""
        ...

    def give_type(self, added: Added) -> None: ...
    def types(self) -> dict[str, str]:
        """Declared SQLite types of the columns."""
        ...

    def check(self, name: str, cell: str) -> str:
        """What SQLite has to hold against a cell of a column before it is written; blank for nothing."""
        ...

    def require_writable(self) -> None:
        """Raises SourceError where a result could not be what its source is."""
        ...

    def number(self, start: int) -> int:
        """The number of the row at that place, counted in ``unit`` from 1."""
        ...

    def rows(self) -> Iterator[ScannedRow]: ...
    def wrong(self, spans: bytes, raw: bytes) -> str:
        """Why a row cannot be read as one of the table, so that it is left as it is; blank where it can."""
        ...

    def splice(self, rows: Iterable[Splice], added: Sequence[Added]) -> Iterator[bytes]: ...
    def converters(self, declared: Sequence[str]) -> list[tuple[int, Callable[[Any], Any]]]:
        """Functions for columns whose values are not stored as :meth:`rows` brings them."""
        ...

    def text(self, value: Any, declared: str) -> Any:
        """A staged value as a cell of a :class:`Splice`."""
        ...

    def replaced(self, old: Any, new: Any) -> bool: ...


def place(data: bytes, offset: int, encoding: str = "utf-8") -> tuple[int, int]:
    """Line and column, both from 1, of a byte."""
    line, start = 1, len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    for found in _LINE_END.finditer(data, 0, offset):
        line, start = line + 1, found.end()
    return line, len(data[start:offset].decode(encoding, "replace")) + 1


def refuse_foreign_bytes(data: bytes, name: str) -> None:
    """Raises SourceError for an empty file, other encodings, compressed files and NUL bytes."""
    if not data or data == codecs.BOM_UTF8:
        raise SourceError(f"{name} is empty", hint="A file needs at least a header line, or one JSON object.")
    if data.startswith(_WIDE_MARKS):
        wide = "utf-32" if data.startswith(_WIDE_MARKS[:2]) else "utf-16"
        raise SourceError(
            f"{name} is written in {wide}, which cannot be spliced", hint=f"Convert it: iconv -f {wide} -t utf-8"
        )
    for mark, what, hint in (
        (b"\x1f\x8b", "compressed by gzip", "Unpack it first: gunzip -k FILE"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd", "Unpack it first: zstd -d FILE"),
        (b"PK\x03\x04", "a ZIP or Excel file", "Save it as CSV first."),
        (b"PAR1", "a Parquet file", "Give it a name that ends in .parquet."),
    ):
        if data.startswith(mark):
            raise SourceError(f"{name} is {what}", hint=hint)
    nul = data.find(b"\0")
    if nul >= 0:
        line, column = place(data, nul, "latin-1")
        raise SourceError(
            f"{name} line {line}, column {column}: a NUL byte",
            why="Text holds none; the file may be binary or UTF-16 without a mark.",
        )


def distinct_names(names: Sequence[str], file: str, where: str) -> None:
    """Raises SourceError for column names that SQLite cannot tell apart, and for too many."""
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        lower = "".join(c.lower() if c.isascii() else c for c in name)
        if lower in seen:
            first = names[seen[lower]]
            same = f'column "{name}" occurs twice' if first == name else f'columns "{first}" and "{name}" are one'
            raise SourceError(
                f"{file} {where}: {same} (cells {seen[lower] + 1} and {index + 1})", hint="Rename one of them."
            )
        seen[lower] = index
    if len(names) > MOST_COLUMNS:
        raise SourceError(f"{file} has {len(names):,} columns, more than {MOST_COLUMNS:,}")
