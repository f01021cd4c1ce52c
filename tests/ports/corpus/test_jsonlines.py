"""Reading JSON Lines: exact values, spans of members, new members in the style of the line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import SourceError
from seedbed.ports.corpus.jsonlines import JsonLines, members_of
from seedbed.ports.corpus.layout import Added, Splice


def read(data: bytes) -> list[dict[str, Any]]:
    lines = JsonLines(data, "t.jsonl")
    return [dict(zip(lines.columns, cells, strict=True)) for _, _, _, cells in lines.rows()]


def spliced(data: bytes, *cells: dict[int, str], added: tuple[str, ...] = ()) -> bytes:
    lines = JsonLines(data, "t.jsonl")
    rows = [Splice("k", start, spans, new) for (start, spans, _, _), new in zip(lines.rows(), cells, strict=True)]
    return b"".join(lines.splice([row for row in rows if row.cells], [Added(name) for name in added]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)
STYLES = st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")])


@settings(max_examples=300, deadline=None)
@given(OBJECTS, STYLES, st.booleans())
def test_spans_of_members_hold_exactly_their_values(row: dict[str, Any], style: Any, ascii_only: bool) -> None:
    raw = json.dumps(row, separators=style, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    spans = members_of(raw).spans
    assert {name: json.loads(raw[start:stop]) for name, (start, stop) in spans.items()} == row


@settings(max_examples=200, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=4), STYLES, VALUES, st.data())
def test_a_spliced_line_reads_as_the_old_one_with_the_new_values(
    rows: list[dict[str, Any]], style: Any, value: Any, data: st.DataObject
) -> None:
    names = {name for row in rows for name in row}
    if len({"".join(c.lower() if c.isascii() else c for c in name) for name in names}) < len(names):
        return
    source = "\n".join(json.dumps(row, separators=style) for row in rows).encode()
    lines = JsonLines(source, "t.jsonl")
    new = [
        {i: json.dumps(value) for i in data.draw(st.sets(st.integers(0, len(lines.columns)), max_size=2))} for _ in rows
    ]
    columns = (*lines.columns, "the new one")
    found = [json.loads(line) for line in spliced(source, *new, added=("the new one",)).split(b"\n")]
    assert found == [row | {columns[i]: value for i in cells} for row, cells in zip(rows, new, strict=True)]


def test_values_keep_their_kinds() -> None:
    data = b'{"a": "x", "n": 1, "f": 1.5, "t": true, "z": null, "o": {"b": [1, 2]}}\r\n\n{"n": 99999999999999999999}'
    first, second = read(data)
    assert first == {"a": "x", "n": 1, "f": 1.5, "t": True, "z": None, "o": '{"b": [1, 2]}'}
    assert second["n"] == "99999999999999999999"
    assert second["a"] is None


def test_declared_types_are_chosen_from_the_values() -> None:
    data = b'{"a":"x","n":1,"f":1,"t":true,"z":null,"o":[],"m":1,"w":18446744073709551616,"b":1}\n'
    data += b'{"f":0.5,"m":"x","b":true}'
    assert JsonLines(data, "t").types() == {
        "a": "TEXT", "n": "INTEGER", "f": "REAL", "t": "BOOLEAN", "z": "", "o": "JSON", "m": "TEXT",
        "w": "TEXT", "b": "INTEGER",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "cells", "added", "expected"),
    [
        (b'{"a": 1.50, "b": "\\u00e9"}\n', {0: "2"}, (), b'{"a": 2, "b": "\\u00e9"}\n'),
        (b'{"a": 1}\r\n', {1: '"x"'}, ("b",), b'{"a": 1, "b": "x"}\r\n'),
        (b'{"a":1}', {1: '"x"'}, ("b",), b'{"a":1,"b":"x"}'),
        (b'{ "a": 1 }\n\n', {1: '"x"'}, ("b",), b'{ "a": 1, "b": "x" }\n\n'),
        (b'{"a": {"a": 2, "}": "]"}, "c": [1]}', {1: "3"}, (), b'{"a": {"a": 2, "}": "]"}, "c": 3}'),
        (b'\xef\xbb\xbf{"a":12345678901234567890123,"b":1e400}', {2: "1"}, ("c",),
         b'\xef\xbb\xbf{"a":12345678901234567890123,"b":1e400,"c":1}'),
        (b'{"\\u0061":1}', {0: "2"}, (), b'{"\\u0061":2}'),
    ],
)  # fmt: skip
def test_a_written_value_changes_its_own_bytes_only(
    data: bytes, cells: dict[int, str], added: tuple[str, ...], expected: bytes
) -> None:
    assert spliced(data, cells, added=added) == expected


def test_an_empty_object_gets_its_first_member() -> None:
    assert spliced(b'{"a":1}\n{}\n{ }\n', {}, {0: "1"}, {0: "2"}) == b'{"a":1}\n{"a": 1}\n{"a": 2 }\n'


def test_a_lone_surrogate_is_staged_as_a_mark_and_left_in_the_file() -> None:
    data = b'{"a":"x\\ud800","b":1}'
    assert read(data)[0]["a"] == "x\ufffd"
    assert spliced(data, {1: "2"}) == b'{"a":"x\\ud800","b":2}'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "t.jsonl is empty"),
        (b" \n\n", "t.jsonl is empty"),
        (b'{"a":1}\n{"b":2,"a":3,"b":4}\n', 'line 2, column 14: the member "b" occurs twice'),
        (b'{"a":{"b":2,"b":4}}\n', 'line 1, column 13: the member "b" occurs twice'),
        (b'{"a":1}\n  [1]\n', "line 2, column 3: not a JSON object"),
        (b'{"a":1}\n12\n', "line 2, column 1: not a JSON object"),
        ('{"a":"é"}\n{"é":tru}\n'.encode(), "line 2, column 6: not JSON"),
        (b'{"a":1}\n{"a":NaN}\n', "line 2, column 6: not JSON (NaN"),
        (b'{"a":1} {"a":2}\n', "line 1, column 9: not JSON (extra data)"),
        (b'{"a":"x\xff"}\n', "line 1, column 8: not UTF-8"),
        (b'{"a":1}\n{"a":"\x00"}', "line 2, column 7: a NUL byte"),
        (b'{"a":1,"A":2}\n', 'columns "a" and "A" are one'),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 1, column 1: nested too deeply"),
    ],
)
def test_bad_lines_get_one_message_with_their_place(data: bytes, words: str) -> None:
    """(fault 31)"""
    with pytest.raises(SourceError) as caught:
        JsonLines(data, "t.jsonl")
    assert words in caught.value.what
