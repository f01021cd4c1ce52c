"""Reading CSV bytes: values as Python's csv module sees them, with the place of each; oddities by name."""

from __future__ import annotations

import csv
import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import SourceError
from seedbed.ports.corpus.delimited import Delimited
from seedbed.ports.corpus.layout import Added, Splice

TEXT = st.text(st.sampled_from("ab ,;\t|\"'\r\né漢😀"), max_size=8)


def read(data: bytes, **options: Any) -> tuple[tuple[str, ...], list[list[Any]]]:
    table = Delimited(data, "t.csv", **options)
    return table.columns, [cells for _, _, _, cells in table.rows()]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], bytes, str]:
    """Rows with a header, as bytes in some dialect; each cell quoted where needed or at will."""
    width = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=6))
    delimiter = draw(st.sampled_from(",;\t|"))
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))

    def cell(text: str) -> str:
        needed = delimiter in text or '"' in text or "\n" in text or "\r" in text
        return '"' + text.replace('"', '""') + '"' if needed or draw(st.booleans()) else text

    lines = [delimiter.join(f"c{i}" for i in range(width))] + [delimiter.join(map(cell, row)) for row in rows]
    text = newline.join(lines) + (newline if draw(st.booleans()) else "")
    mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return rows, mark + text.encode(), delimiter


@settings(max_examples=300, deadline=None)
@given(tables())
def test_well_formed_input_reads_as_the_csv_module_reads_it(table: tuple[list[list[str]], bytes, str]) -> None:
    rows, data, delimiter = table
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter)
    expected = [row for row in reader if row and not (len(row) == 1 and not row[0].strip())]
    columns, found = read(data)
    assert list(columns) == expected[0]
    assert found == expected[1:]
    assert found == rows


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60).map(lambda data: b"h,i\n" + data.replace(b"\0", b"")))
def test_any_bytes_read_as_the_csv_module_reads_them_or_are_an_unclosed_quote(data: bytes) -> None:
    try:
        table = Delimited(data, "t.csv")
        found = [cells for _, _, _, cells in table.rows()]
    except SourceError as error:
        assert "never closed" in error.what
        return
    reader = csv.reader(io.StringIO(data.decode(table.encoding), newline=""))
    expected = [[*row, None, None][:2] for row in list(reader)[1:]]
    assert [row for row in found if not blank(row)] == [row for row in expected if not blank(row)]


def blank(row: list[Any]) -> bool:
    """Such rows are told apart from blank lines by their bytes alone, which csv does not show."""
    return row[1] is None and not (row[0] or "").strip()


@settings(max_examples=200, deadline=None)
@given(tables())
def test_spans_point_at_the_cells_and_cover_their_row(table: tuple[list[list[str]], bytes, str]) -> None:
    _, data, delimiter = table
    parsed = Delimited(data, "t.csv")
    for start, spans, raw, cells in parsed.rows():
        lengths = struct.unpack(f"<{len(spans) // 4}I", spans)
        assert data[start : start + sum(lengths) + len(lengths) - 1] == raw
        at = start
        for length, cell in zip(lengths, cells, strict=True):
            assert next(csv.reader(io.StringIO(data[at : at + length].decode(), newline="")), [""])[:1] or not cell
            at += length + 1
        assert raw.decode().count(delimiter) >= len(cells) - 1


@pytest.mark.parametrize(
    ("data", "columns", "rows"),
    [
        (b"a,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        (b"a,b\n1,2", ("a", "b"), [["1", "2"]]),
        (b"a;b\r\n1,5;2\r\n", ("a", "b"), [["1,5", "2"]]),
        (b"a|b\r1|2\r", ("a", "b"), [["1", "2"]]),
        (b"a\tb\n1\t\n", ("a", "b"), [["1", ""]]),
        (b'"a","b, c";d\n1,2;3\n', ("a", '"b, c";d'.replace('"', "")), [["1", "2;3"]]),
        (b'a,b\n"x ""y""",""\n', ("a", "b"), [['x "y"', ""]]),
        (b'a,b\n"1\n2",3\n', ("a", "b"), [["1\n2", "3"]]),
        (b'a,b\n5" pipe,"x"y"z\n', ("a", "b"), [['5" pipe', 'xy"z']]),
        (b"a,b\n\n1,2\n   \n\n3,4\n", ("a", "b"), [["1", "2"], ["3", "4"]]),
        (b"\n\na,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        (b"a,b,c\n1\n1,2,3,4\n", ("a", "b", "c"), [["1", None, None], ["1", "2", "3"]]),
        (b"a,,b,\n1,2,3,4\n", ("a", "column_2", "b", "column_4"), [["1", "2", "3", "4"]]),
        (b"column_2,\n1,2\n", ("column_2", "column_2_"), [["1", "2"]]),
        (b" a , b\n1, 2\n", ("a", "b"), [["1", " 2"]]),
        (b"a\n1\n\n2\n", ("a",), [["1"], ["2"]]),
        (b"a,b\n", ("a", "b"), []),
        (b"\xef\xbb\xbfa,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        ("a,b\né,漢\n".encode(), ("a", "b"), [["é", "漢"]]),
        ("a,b\né,€\n".encode("cp1252"), ("a", "b"), [["é", "€"]]),
        (b"a,b\n\xe9,\x81\n", ("a", "b"), [["é", "\x81"]]),
    ],
)
def test_an_odd_file_is_read(data: bytes, columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    assert read(data) == (columns, rows)


def test_a_single_column_of_a_tsv_is_one_column() -> None:
    assert read(b"question\nwhat, then?\n", default_delimiter=b"\t") == (("question",), [["what, then?"]])


def test_a_table_of_very_many_columns_is_read() -> None:
    names = [f"c{i}" for i in range(300)]
    columns, rows = read((",".join(names) + "\n" + ",".join("x" * 300) + "\n").encode())
    assert len(columns) == 300
    assert rows == [["x"] * 300]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "t.csv is empty"),
        (b"\xef\xbb\xbf", "t.csv is empty"),
        (b"\n \n\n", "t.csv is empty"),
        (b'a,b\n1,2\n3,"x\n4,5\n', "line 3, column 3: a quote is opened and never closed"),
        (b'a,"b\n', "line 1, column 3: a quote"),
        ('a,b\né,"x'.encode(), "line 2, column 3: a quote"),
        (b"a,b\n1,\x002\n", "line 2, column 3: a NUL byte"),
        (b"x,y\na,b", None),
        (b"a,b,a\n", 'line 1: column "a" occurs twice (cells 1 and 3)'),
        (b"\nName,name\n", 'line 2: columns "Name" and "name" are one (cells 1 and 2)'),
        ("a,b\n".encode("utf-32"), "written in utf-32"),
        (b"\xff\xfea\x00,\x00b\x00\n", "begins as UTF-16 and is none at byte 9"),
        (b"\xff\xfea\x00\x00\xd8b\x00", "begins as UTF-16 and is none at byte 5"),
        (b"\x1f\x8b\x08", "compressed by gzip"),
        (b"PK\x03\x04", "a ZIP or Excel file"),
        (b",".join(b"c%d" % i for i in range(2500)) + b"\n", "2,500 columns"),
    ],
)
def test_bad_input_gets_one_message_with_its_place(data: bytes, words: str | None) -> None:
    if words is None:
        read(data)
        return
    with pytest.raises(SourceError) as caught:
        read(data)
    assert words in caught.value.what
    assert "\n" not in caught.value.what


@pytest.mark.parametrize(
    ("data", "cells", "added", "expected"),
    [
        (b"a,b\n1,2\n", {1: "x"}, (), b"a,b\n1,x\n"),
        (b'a,b\n1,"2"\n', {1: "x"}, (), b'a,b\n1,"x"\n'),
        (b"a,b\n1,2\n", {1: 'x, "y"\n'}, (), b'a,b\n1,"x, ""y""\n"\n'),
        (b"a,b\n1,2\n", {1: " x"}, (), b'a,b\n1," x"\n'),
        (b"a;b\r\n1;2\r\n", {0: "x,y"}, (), b"a;b\r\nx,y;2\r\n"),
        (b"a,b,c\n1\n", {2: "x"}, (), b"a,b,c\n1,,x\n"),
        (b"a,b,c\n1\n", {0: ""}, (), b'a,b,c\n""\n'),
        (b"a\n1\n", {0: ""}, (), b'a\n""\n'),
        (b"a,b\n1,2\n", {2: "x"}, ("c",), b"a,b,c\n1,2,x\n"),
        (b"a,b\n1,2", {}, ("c", "d e,f"), b'a,b,c,"d e,f"\n1,2,,'),
        (b"a,b\n1\n", {2: "x"}, ("c",), b"a,b,c\n1,,x\n"),
        (b"a,b\n1,2,,\n", {2: "x"}, ("c",), b"a,b,c\n1,2,x,,\n"),
        (b"\xef\xbb\xbfa\n\n1\n\n", {0: "y", 1: "x"}, ("c",), b"\xef\xbb\xbfa,c\n\ny,x\n\n"),
        ("a,b\né,2\n".encode("cp1252"), {1: "€"}, (), "a,b\né,€\n".encode("cp1252")),
    ],
)
def test_a_written_cell_changes_its_own_bytes_only(
    data: bytes, cells: dict[int, str], added: tuple[str, ...], expected: bytes
) -> None:
    table = Delimited(data, "t.csv")
    ((start, spans, _, _),) = table.rows()
    assert b"".join(table.splice([Splice("k", start, spans, cells)], [Added(name) for name in added])) == expected


@pytest.mark.parametrize(
    ("text", "words"), [("漢", "U+6F22 ('漢') cannot be written in cp1252"), ("a\0", "U+0000"), ("\ud800", "U+D800")]
)
def test_a_character_that_the_file_cannot_hold_is_named(text: str, words: str) -> None:
    table = Delimited("a,b\né,2\n".encode("cp1252"), "t.csv")
    ((start, spans, _, _),) = table.rows()
    with pytest.raises(SourceError) as caught:
        list(table.splice([Splice("r1", start, spans, {1: text})], ()))
    assert words in caught.value.what
    assert "t.csv row r1, cell 2" in caught.value.what
    assert "iconv" in caught.value.hint
