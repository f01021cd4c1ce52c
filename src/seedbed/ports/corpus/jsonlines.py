"""JSON Lines as bytes: values with the span of each member, and results written by splicing spans.

A line is parsed for its values only; the spans of its members are looked up when one is written,
so numbers, escapes and blanks of what is not written stay as they are.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NoReturn

import jiter

from seedbed.errors import SourceError
from seedbed.ports.corpus.layout import Added, ScannedRow, Splice, distinct_names, place, refuse_foreign_bytes
from seedbed.records import cell

_BOM = codecs.BOM_UTF8
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_NAME = re.compile(rb"[ \t\r\n]*+(" + _STRING + rb")([ \t\r\n]*+):([ \t\r\n]*+)", re.DOTALL)
_FLAT = re.compile(_STRING + rb'|[^\s,}\]\["{]++', re.DOTALL)
_NESTING = re.compile(_STRING + rb"|[{}\[\]]", re.DOTALL)
_NEXT = re.compile(rb"[ \t\r\n]*+([,}])")
_VERBATIM, _ESCAPED = json.JSONEncoder(ensure_ascii=False).encode, json.JSONEncoder().encode
_SURROGATE = re.compile("[\ud800-\udfff]")

_INT, _REAL, _BOOL, _TEXT, _NEST, _WIDE_INT = 1, 2, 4, 8, 16, 32
_FLAGS: dict[type, int] = {
    int: _INT, float: _REAL, bool: _BOOL, str: _TEXT, dict: _NEST, list: _NEST, type(None): 0,
}  # fmt: skip
_EXACT = 1 << 53


class JsonLines:
    """One JSONL file in memory. ``columns`` are the members of its objects, in the order of their first use."""

    kind = "jsonl"
    unit = "line"
    typed = False
    untyped: tuple[str, ...] = ()
    signature = "jsonl"

    def __init__(self, data: bytes, name: str, *, columns: Sequence[str] = ()) -> None:
        """``columns`` are given for bytes that were read before, to splice them only."""
        self.data = data
        self.name = name
        self._seen: dict[str, int] = {}
        if columns:
            self.columns = tuple(columns)
            return
        refuse_foreign_bytes(data, name)
        rows = self._survey()
        self.columns = tuple(self._seen)
        if not rows:
            raise SourceError(f"{name} is empty", hint="A file needs at least one line with a JSON object.")
        distinct_names(self.columns, name, "")

    def check(self, name: str, cell: str) -> str:
        return ""

    def require_writable(self) -> None:
        """Text can always be spliced."""

    def give_type(self, added: Added) -> None:
        """Text has no types."""

    def number(self, start: int) -> int:
        return place(self.data, start)[0]

    def types(self) -> dict[str, str]:
        return {name: _declared(flags) for name, flags in self._seen.items()}

    def rows(self) -> Iterator[ScannedRow]:
        """(start, length, bytes, values) of each line. Missing members are None, nested values JSON text."""
        columns, pack = self.columns, struct.Struct("<I").pack
        flags = _FLAGS
        for start, raw in self._lines():
            row = self._object(start, raw)
            cells = [row.get(name) for name in columns]
            for index, value in enumerate(cells):
                if flags[type(value)] & (_NEST | _INT | _TEXT):
                    cells[index] = _staged(value)
            yield start, pack(len(raw)), raw, cells

    def wrong(self, spans: bytes, raw: bytes) -> str:
        return ""

    def splice(self, rows: Iterable[Splice], added: Sequence[Added]) -> Iterator[bytes]:
        """The whole file with members replaced or, where a line lacks them, put after its last.

        ``cells`` of a row hold JSON texts; numbers past the columns are those of ``added``.
        """
        data, last = self.data, 0
        names = (*self.columns, *(each.name for each in added))
        tight = {name: self._quote(name).encode() + b":" for name in names}
        for row in rows:
            (length,) = struct.unpack("<I", row.spans)
            raw = data[row.start : row.start + length]
            members = members_of(raw) if min(row.cells) < len(self.columns) else _ending(raw)
            new: dict[str, str] = {names[index]: text for index, text in row.cells.items()}
            for name, (start, stop) in members.spans.items():
                if name in new:
                    yield data[last : row.start + start]
                    yield new.pop(name).encode()
                    last = row.start + stop
            yield data[last : row.start + members.end]
            last = row.start + members.end
            lead = b", " if members.spaced else b","
            for name, text in new.items():
                mark = b"" if members.empty else lead
                members.empty = False
                yield mark + tight[name] + (b" " if members.spaced else b"") + text.encode()
        yield data[last:]

    def text(self, value: Any, declared: str) -> str:
        """A staged value as JSON text: booleans and nested values by the column's declared type."""
        if value is None:
            return "null"
        if declared == "BOOLEAN" and value in (0, 1):
            return "true" if value else "false"
        if isinstance(value, float):
            if not math.isfinite(value):
                raise SourceError(f"{self.name}: {value!r} cannot be written as JSON")
            return repr(value)
        if isinstance(value, int):
            return str(value)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if declared != "TEXT" and value[:1] in ("[", "{"):
            try:
                nested = json.loads(value)
            except ValueError:
                return self._quote(value)
            return (
                json.dumps(nested, ensure_ascii=self._escapes)
                if {"\n", "\r"} & set(value) or self._escapes
                else str(value)
            )
        return self._quote(value)

    def converters(self, declared: Sequence[str]) -> list[tuple[int, Callable[[Any], Any]]]:
        """Text columns that also hold decimals or booleans keep them in JSON's own words."""
        return [
            (index, _worded)
            for index, name in enumerate(self.columns)
            if declared[index] == "TEXT" and self._seen[name] & (_REAL | _BOOL)
        ]

    def replaced(self, old: Any, new: Any) -> bool:
        return type(old) is not type(new) or bool(old != new)

    def _quote(self, text: str) -> str:
        if self._escapes or not (text.isascii() or _SURROGATE.search(text) is None):
            return _ESCAPED(text)
        return _VERBATIM(text)

    @cached_property
    def _escapes(self) -> bool:
        """Whether the file writes other scripts as escapes, so that new values do too."""
        return self.data.isascii() and b"\\u" in self.data

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        data, end = self.data, len(self.data)
        pos = len(_BOM) if data.startswith(_BOM) else 0
        while pos < end:
            stop = data.find(b"\n", pos)
            if stop < 0:
                stop = end
            raw = data[pos:stop]
            if raw and not raw.isspace():
                yield pos, raw
            pos = stop + 1

    def _survey(self) -> int:
        """Find columns and the kinds of their values; check every line."""
        count, seen = 0, self._seen
        for start, raw in self._lines():
            count += 1
            for name, value in self._object(start, raw).items():
                flag = _FLAGS[type(value)]
                if flag == _INT and not -_EXACT <= value <= _EXACT:
                    flag |= _WIDE_INT if -(1 << 63) <= value < 1 << 63 else _TEXT
                seen[name] = seen.get(name, 0) | flag
        return count

    def _object(self, start: int, raw: bytes) -> dict[str, Any]:
        try:
            value = jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
        except ValueError:
            value = self._again(start, raw)
        if isinstance(value, dict):
            return value
        at = start + len(raw) - len(raw.lstrip())
        raise self._wrong(at, "not a JSON object", 'Each line has to be one {"name": …}.')

    def _again(self, start: int, raw: bytes) -> Any:
        """What the fast reader declines: a lone surrogate is let through, the rest is named with its place."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._wrong(start + error.start, "not UTF-8", "Convert the file with iconv -t utf-8.") from None
        doubled: list[str] = []

        def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
            row = dict(members)
            if len(row) < len(members):
                names = [name for name, _ in members]
                doubled.extend(name for name in row if names.count(name) > 1)
            return row

        def constant(word: str) -> NoReturn:
            raise ValueError(word)

        try:
            value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
        except json.JSONDecodeError as error:
            at = start + len(text[: error.pos].encode())
            raise self._wrong(at, f"not JSON ({error.msg.lower()})", "Each line has to be one JSON object.") from None
        except ValueError as error:
            at = raw.find(str(error).encode())
            raise self._wrong(start + max(at, 0), f"not JSON ({error} is no JSON number)", "Write null.") from None
        except RecursionError:
            raise self._wrong(start, "nested too deeply", "") from None
        if doubled:
            quoted = [found for found in re.finditer(_STRING + rb"(?=\s*:)", raw) if json.loads(found[0]) == doubled[0]]
            at = start + (quoted[1].start() if len(quoted) > 1 else 0)
            what = f'the member "{doubled[0]}" occurs twice in one object'
            raise self._wrong(at, what, "Remove or rename one of them.")
        return value

    def _wrong(self, offset: int, what: str, hint: str) -> SourceError:
        line, column = place(self.data, offset)
        return SourceError(f"{self.name} line {line}, column {column}: {what}", hint=hint)


class Members:
    """Where the values of one object stand: spans by name, the end of its last, and its style."""

    __slots__ = ("empty", "end", "spaced", "spans")

    def __init__(self, spans: dict[str, tuple[int, int]], end: int, spaced: bool) -> None:
        self.spans = spans
        self.end = end
        self.spaced = spaced
        self.empty = not spans


def members_of(raw: bytes) -> Members:
    """Spans of the top-level members of an object that is known to be valid JSON."""
    at = raw.index(b"{") + 1
    spans: dict[str, tuple[int, int]] = {}
    spaced = True
    while True:
        found = _NAME.match(raw, at)
        if found is None:
            return Members(spans, at, spaced)
        if not spans:
            spaced = bool(found[3])
        start = found.end()
        stop = _value_end(raw, start)
        name = found[1]
        spans[json.loads(name) if b"\\" in name else name[1:-1].decode()] = (start, stop)
        mark = _NEXT.match(raw, stop)
        assert mark is not None, "the line was parsed before"
        if mark[1] == b"}":
            return Members(spans, stop, spaced)
        at = mark.end()


def _ending(raw: bytes) -> Members:
    """Like :func:`members_of` for a line that only gets members which no line of the file has."""
    at = raw.index(b"{") + 1
    inner = raw[: raw.rindex(b"}")].rstrip()
    found = _NAME.match(raw, at)
    if found is None:
        return members_of(raw)
    members = Members({}, len(inner), bool(found[3]))
    members.empty = False
    return members


def _value_end(raw: bytes, start: int) -> int:
    if raw[start] not in b"[{":
        found = _FLAT.match(raw, start)
        assert found is not None, "the line was parsed before"
        return found.end()
    depth = 0
    for found in _NESTING.finditer(raw, start):
        if found[0] in (b"{", b"["):
            depth += 1
        elif found[0] in (b"}", b"]"):
            depth -= 1
            if not depth:
                return found.end()
    raise AssertionError("the line was parsed before")


def _staged(value: Any) -> Any:
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if not isinstance(value, str):
        value = cell(value)
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def _worded(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else value


def _declared(flags: int) -> str:
    """The column type for the kinds of values seen; no type where all are null, so that any may be written."""
    kinds = flags & ~_WIDE_INT
    if kinds in (0, _INT, _REAL, _BOOL, _NEST):
        return {0: "", _INT: "INTEGER", _REAL: "REAL", _BOOL: "BOOLEAN", _NEST: "JSON"}[kinds]
    if kinds == _INT | _REAL:
        return "NUMERIC" if flags & _WIDE_INT else "REAL"
    return "INTEGER" if kinds == _INT | _BOOL else "TEXT"
