"""CSV as bytes: cells with the span of each, and results written by splicing spans.

A cell that is not written is never decoded and encoded again: its bytes go into the result as they
are. Reading follows Python's ``csv`` module on all that it accepts; an unclosed quote is an error.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seedbed.errors import SourceError
from seedbed.ports.corpus.layout import Added, ScannedRow, Splice, distinct_names, place, refuse_foreign_bytes
from seedbed.ports.corpus.spreadsheets import inert

DELIMITERS = (b",", b";", b"\t", b"|")
_BOM = codecs.BOM_UTF8
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_QUOTED_PART = re.compile(rb'"[^"]*"')
_NEWLINE = rb"(?>\r\n|\n|\r|\Z)"
_WIDE = 100
"""Beyond so many columns rows are read cell by cell: a regex of that many groups takes long to compile."""


@dataclass(frozen=True, slots=True)
class Dialect:
    delimiter: bytes
    encoding: str

    def encode(self, text: str, where: Callable[[], str]) -> bytes:
        """The bytes of a cell's text. Raises SourceError for a character that cannot stand in the file."""
        try:
            if "\0" not in text:
                return text.encode(self.encoding)
            wrong, at = "\0", text.index("\0")
        except UnicodeEncodeError as error:
            wrong, at = text[error.start], error.start
        raise SourceError(
            f"{where()}: the character U+{ord(wrong):04X} ({wrong!r}) cannot be written in {self.encoding}",
            why=f"It is character {at + 1} of the new value.",
            hint=""
            if self.encoding == "utf-8"
            else f"Convert the file first: iconv -f {self.encoding} -t utf-8 OLD > NEW",
        )

    def cell(self, text: str, where: Callable[[], str], *, quoted: bool = False) -> bytes:
        """A cell, quoted where it has to be or was before."""
        data = self.encode(text, where)
        if (
            quoted
            or self.delimiter in data
            or b'"' in data
            or b"\n" in data
            or b"\r" in data
            or (text and (text[0].isspace() or text[-1].isspace()))
        ):
            return b'"' + data.replace(b'"', b'""') + b'"'
        return data


class Delimited:
    """One CSV file in memory. ``columns`` are the names of its header, in order."""

    kind = "csv"
    unit = "line"
    typed = False
    untyped: tuple[str, ...] = ()

    def __init__(
        self, data: bytes, name: str, *, default_delimiter: bytes = b",", spreadsheet_safe: bool = False
    ) -> None:
        self.name = name
        self._wide = _wide(data)
        data = self.data = _narrow(data, self._wide, name) if self._wide else data
        self._safe = spreadsheet_safe
        refuse_foreign_bytes(data, name)
        start = len(_BOM) if data.startswith(_BOM) else 0
        encoding = _encoding(data)
        self.dialect = Dialect(_sniff(data, start, default_delimiter), encoding)
        delimiter = re.escape(self.dialect.delimiter)
        text = rb'"[^"]*+(?:""[^"]*+)*+"[^' + delimiter + rb'\r\n]*+|(?!")[^' + delimiter + rb"\r\n]*+"
        self._cell = re.compile(rb"(" + text + rb")(" + delimiter + rb"|" + _NEWLINE + rb")")
        self._text = text
        found = next(self._slow(start, 2), None)
        if found is None:
            raise SourceError(f"{name} is empty", hint="The first line has to hold the names of the columns.")
        self._header_start, header, self._body = found
        self._header_end = self._header_start + sum(map(len, header)) + len(header) - 1
        self.columns = self._names(header)
        self._regular = 4 * len(self.columns)

    @property
    def encoding(self) -> str:
        return self.dialect.encoding

    @property
    def signature(self) -> str:
        """What has to be equal for equal bytes of a row to mean equal cells."""
        return f"{self.dialect.delimiter!r} {self.dialect.encoding}"

    def check(self, name: str, cell: str) -> str:
        return ""

    def require_writable(self) -> None:
        """Text can always be spliced."""

    def give_type(self, added: Added) -> None:
        """Text has no types."""

    def number(self, start: int) -> int:
        return place(self.data, start)[0]

    def types(self) -> dict[str, str]:
        return dict.fromkeys(self.columns, "TEXT")

    def rows(self) -> Iterator[ScannedRow]:
        """(start, spans, bytes, cells) of each row. Missing cells are None, cells beyond the header are left out."""
        data, count, encoding = self.data, len(self.columns), self.encoding
        pack = struct.Struct(f"<{count}I").pack
        match, end, pos = self._row, len(data), self._body
        text_delimiter, value = self.dialect.delimiter.decode(), self._value
        while pos < end:
            found = match(data, pos) if match else None
            if found is None:
                row = next(self._slow(pos, count), None)
                if row is None:
                    return
                start, raws, pos = row
                lengths = list(map(len, raws))
                cells: list[Any] = [self._value(raw) for raw in raws[:count]]
                cells += [None] * (count - len(cells))
                raw = data[start : start + sum(lengths) + len(lengths) - 1]
                yield start, struct.pack(f"<{len(lengths)}I", *lengths), raw, cells
                continue
            groups = found.groups()
            raw = data[pos : found.end(count)]
            if raw or count > 1:
                spans = pack(*map(len, groups))
                if b'"' in raw:
                    yield pos, spans, raw, [value(c) if c[:1] == b'"' else c.decode(encoding) for c in groups]
                else:
                    yield pos, spans, raw, raw.decode(encoding).split(text_delimiter)
            pos = found.end()

    def wrong(self, spans: bytes, raw: bytes) -> str:
        if len(spans) <= self._regular:
            return ""
        lengths = struct.unpack(f"<{len(spans) // 4}I", spans)
        surplus = lengths[len(self.columns) :]
        at = len(raw) - sum(surplus) - (len(surplus) - 1)
        for length in surplus:
            if self._value(raw[at : at + length]).strip():
                return f"it has {len(lengths):,} cells, the header {len(self.columns):,}"
            at += length + 1
        return ""

    def splice(self, rows: Iterable[Splice], added: Sequence[Added]) -> Iterator[bytes]:
        """The whole file with cells replaced; ``added`` columns are put after the header's last.

        With added columns, ``rows`` has to bring every row that is not wrong, so that the table stays rectangular.
        """
        pieces = self._splice(rows, added)
        return pieces if not self._wide else (piece.decode().encode(self._wide) for piece in pieces)

    def _splice(self, rows: Iterable[Splice], added: Sequence[Added]) -> Iterator[bytes]:
        data, last = self.data, 0
        delimiter, count = self.dialect.delimiter, len(self.columns)
        if added:
            last = self._header_end
            yield data[:last]
            for each in added:
                yield delimiter + self._header_cell(each.name)
        for row in rows:
            lengths = struct.unpack(f"<{len(row.spans) // 4}I", row.spans)
            if len(lengths) == 1 and not added and count == 1:
                new = row.cells.get(0)
                if new is not None:
                    raw = data[row.start : row.start + lengths[0]]
                    yield data[last : row.start]
                    yield self._spliced(raw, new, row, 0) or b'""'
                    last = row.start + lengths[0]
                continue
            at = row.start
            if added and len(lengths) == count and not any(index in row.cells for index in range(count)):
                at += sum(lengths) + count - 1
                yield data[last:at]
                last = at
                for index in range(count, count + len(added)):
                    text = row.cells.get(index)
                    yield delimiter + self._spliced(b"", text, row, index) if text else delimiter
                continue
            pieces: list[bytes] = []
            need = count if added else max((i + 1 for i in row.cells), default=0)
            for index in range(min(max(need, 1), len(lengths))):
                if index:
                    at += 1
                new = row.cells.get(index)
                if new is not None:
                    pieces += (data[last:at], self._spliced(data[at : at + lengths[index]], new, row, index))
                    last = at + lengths[index]
                at += lengths[index]
            if len(lengths) < need:
                pieces.append(data[last:at])
                last = at
                for index in range(len(lengths), need):
                    pieces.append(delimiter + self._spliced(b"", row.cells.get(index, ""), row, index))
            elif pieces and not added and len(lengths) == 1 and not pieces[-1]:
                pieces.append(b'""')  # a short row would become a blank line
            if added:
                pieces.append(data[last:at])
                last = at
                for index in range(count, count + len(added)):
                    pieces.append(delimiter + self._spliced(b"", row.cells.get(index, ""), row, index))
            yield from pieces
        yield data[last:]

    def text(self, value: Any, declared: str) -> str:
        """A staged value as the text of a cell."""
        if value is None:
            return ""
        if declared == "BOOLEAN" and value in (0, 1):
            return "true" if value else "false"
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, int):
            return str(value)
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return inert(text) if self._safe else text

    def converters(self, declared: Sequence[str]) -> list[tuple[int, Callable[[Any], Any]]]:
        """Columns that an output declares as something else than text are read as that where they fit."""
        by_type = {"INTEGER": _integer, "REAL": _real, "BOOLEAN": _truth}
        return [(index, by_type[name]) for index, name in enumerate(declared) if name in by_type]

    def replaced(self, old: Any, new: Any) -> bool:
        """Whether two staged values are two cells; NULL and '' are one empty cell."""
        if old is None:
            old = ""
        if new is None:
            new = ""
        return type(old) is not type(new) or bool(old != new)

    def _spliced(self, raw: bytes, text: str, row: Splice, index: int) -> bytes:
        return self.dialect.cell(text, lambda: f"{self.name} row {row.key}, cell {index + 1}", quoted=raw[:1] == b'"')

    def _header_cell(self, name: str) -> bytes:
        quoted = any(mark.decode() in name for mark in DELIMITERS)
        return self.dialect.cell(name, lambda: f"{self.name}: the new column {name}", quoted=quoted)

    def _value(self, raw: bytes) -> str:
        if raw[:1] != b'"':
            return raw.decode(self.encoding)
        inner = raw[1:-1]
        if raw[-1:] == b'"' and b'"' not in inner:
            return inner.decode(self.encoding)
        found = _QUOTED.match(raw)
        assert found is not None, "a cell that begins with a quote was read as quoted"
        return (raw[1 : found.end() - 1].replace(b'""', b'"') + raw[found.end() :]).decode(self.encoding)

    @cached_property
    def _row(self) -> Any:
        count = len(self.columns)
        if count > _WIDE:
            return None
        cell = rb"(" + self._text + rb")"
        pattern = re.escape(self.dialect.delimiter).join([cell] * count) + _NEWLINE
        return re.compile(pattern).match

    def _slow(self, pos: int, count: int) -> Iterator[tuple[int, list[bytes], int]]:
        """(start, raw cells, next) of rows of any length; blank lines are passed over."""
        data, end, match, delimiter = self.data, len(self.data), self._cell.match, self.dialect.delimiter
        while pos < end:
            start, raws = pos, []
            while True:
                found = match(data, pos)
                if found is None:
                    line, column = place(data, pos, self.encoding)
                    raise SourceError(
                        f"{self.name} line {line}, column {column}: a quote is opened and never closed",
                        hint='Close it, or write a quote inside a quoted cell as "".',
                    )
                raw, mark = found.groups()
                raws.append(raw)
                pos = found.end()
                if mark != delimiter:
                    break
            if len(raws) == 1 and (not raws[0] or (count > 1 and raws[0].isspace())):
                continue
            yield start, raws, pos

    def _names(self, header: list[bytes]) -> tuple[str, ...]:
        given = [self._value(raw).strip() for raw in header]
        names = list(given)
        for index, name in enumerate(names):
            if not name:
                names[index] = f"column_{index + 1}"
                while names[index].lower() in (other.lower() for i, other in enumerate(names) if i != index):
                    names[index] += "_"
        line, _ = place(self.data, self._header_start, self.encoding)
        distinct_names(names, self.name, f"line {line}")
        return tuple(names)


def _wide(data: bytes) -> str:
    """The encoding of a file in UTF-16, as spreadsheets export "Unicode text"; blank for all others."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return ""
    return {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(data[:2], "")


def _narrow(data: bytes, encoding: str, name: str) -> bytes:
    """The same text in UTF-8, its mark included, so that writing it back gives the same bytes."""
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} begins as UTF-16 and is none at byte {error.start + 1}") from error


def _integer(text: str | None) -> Any:
    if text and text.lstrip("-").isdecimal() and text.isascii() and str(int(text)) == text and len(text) < 19:
        return int(text)
    return text


def _real(text: str | None) -> Any:
    try:
        return float(text) if text and text.isascii() else text
    except ValueError:
        return text


def _truth(text: str | None) -> Any:
    return {"true": 1, "false": 0}.get(text, text) if text else text


def _sniff(data: bytes, start: int, default: bytes) -> bytes:
    """The delimiter that the first line with text holds most of, outside quotes."""
    found = re.compile(rb'[ \r\n]*((?:[^"\r\n]++|"[^"]*"|")+)').match(data, start)
    header = _QUOTED_PART.sub(b"", found.group()) if found else b""
    best = max(DELIMITERS, key=header.count)
    return best if best in header else default


def _encoding(data: bytes) -> str:
    """UTF-8 where it is that (the mark at its start is left to the bytes), else Windows-1252, else Latin-1."""
    for encoding in ("utf-8", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            for at in range(0, len(data), 1 << 20):
                decoder.decode(data[at : at + (1 << 20)])
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"
