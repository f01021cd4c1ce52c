"""Files as other programs wrote them: bytes outside written cells stay, whatever the encoding and the habits."""

from __future__ import annotations

import codecs
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.errors import SourceError
from seedbed.ports.corpus.files import Staged, stage, write_out
from seedbed.ports.corpus.spreadsheets import inert, plain

EXPORTS = Path(__file__).parent / "exports"
"""LibreOffice 7.4 (``;`` with all text quoted, Windows-1252, UTF-16 with tabs), PostgreSQL 18 (``\\N`` for NULL, all
quoted, Latin-1 with ``;``), sqlite3 3.40 (``.mode csv``); excel.csv is made by hand after Excel's "CSV UTF-8"."""
CSVS = sorted(path.name for path in EXPORTS.glob("*.csv"))


class Desk:
    def __init__(self, folder: Path, data: bytes, name: str = "rows.csv") -> None:
        self.source = folder / name
        self.source.write_bytes(data)
        self.out = folder / f"rows.filled{self.source.suffix}"
        self.database = folder / "rows.db"

    def stage(self, *outputs: str, key: str | None = "id") -> Staged:
        return stage(self.source, self.database, key=key, outputs=outputs or ("new",), out=self.out)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.database)
        try:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found
        finally:
            connection.close()

    def write(self, *, safe: bool = False) -> bytes:
        write_out(self.database, self.source, self.out, spreadsheet_safe=safe)
        return self.out.read_bytes()


def export(folder: Path, name: str) -> Desk:
    return Desk(folder, (EXPORTS / name).read_bytes())


@pytest.mark.parametrize("name", CSVS)
def test_an_export_is_read_and_written_byte_for_byte(tmp_path: Path, name: str) -> None:
    desk = export(tmp_path, name)
    staged = desk.stage()
    assert staged.wrong_rows == 0
    assert set(staged.columns) >= {"id", "question", "answer"}
    cells = dict(desk.sql("select id, question from rows"))
    assert cells["2"].startswith("two\nlines")
    assert desk.write() == desk.source.read_bytes()


@pytest.mark.parametrize("name", CSVS)
def test_one_written_cell_changes_its_own_bytes_only(tmp_path: Path, name: str) -> None:
    desk = export(tmp_path, name)
    desk.stage()
    (old,) = desk.sql("select answer from rows where id = '3'")[0]
    desk.sql("update rows set answer = 'WRITTEN' where id = '3'")

    before, after = desk.source.read_bytes(), desk.write()

    encoding = "utf-16-le" if before.startswith(codecs.BOM_UTF16_LE) else "utf-8"
    new = "WRITTEN".encode(encoding)
    assert after.count(new) == 1
    start = after.index(new)
    rest = len(after) - start - len(new)
    quoted = before[:start].endswith('"'.encode(encoding))
    assert before[:start] == after[:start]
    assert before[len(before) - rest :] == after[start + len(new) :]
    assert before[start : len(before) - rest] == (old or "").encode(encoding)
    assert quoted == after[:start].endswith('"'.encode(encoding))


@pytest.mark.parametrize("name", CSVS)
def test_a_new_column_is_put_at_the_end_of_each_line(tmp_path: Path, name: str) -> None:
    desk = export(tmp_path, name)
    columns = desk.stage().columns
    desk.sql("update rows set new = 'N' || id")
    desk.write()
    again = stage(desk.out, tmp_path / "again.db", key="id")
    assert again.columns == (*columns, "new")
    assert again.wrong_rows == 0
    connection = sqlite3.connect(tmp_path / "again.db")
    names = ", ".join(f'"{name}"' for name in columns)
    written = connection.execute(f"select {names}, new from rows_filled order by id").fetchall()
    connection.close()
    assert [row[:-1] for row in written] == desk.sql(f"select {names} from rows order by id")
    assert [row[-1] for row in written] == [f"N{row[0]}" for row in written]


# ----------------------------------------------------------------------------------------- ragged rows

RAGGED = b"id,q\n1,a\n2,b, and more\n3\n4,d,,\n2,b, and more\n5,e\n"


def test_a_row_with_too_many_cells_is_left_as_it_is_and_named(tmp_path: Path) -> None:
    """Its cells may belong to any column: an unquoted comma moves all that follows it."""
    desk = Desk(tmp_path, RAGGED)
    staged = desk.stage()
    assert (staged.rows, staged.wrong_rows) == (4, 2)
    assert staged.wrong == ((3, "it has 3 cells, the header 2"), (6, "it has 3 cells, the header 2"))
    assert desk.stage().wrong == staged.wrong
    desk.sql("update rows set new = 'N' || id")
    assert desk.write() == b"id,q,new\n1,a,N1\n2,b, and more\n3,,N3\n4,d,N4,,\n2,b, and more\n5,e,N5\n"


@pytest.mark.parametrize("key", ["id", None])
def test_it_stays_out_though_a_new_column_makes_room_for_it(tmp_path: Path, key: str | None) -> None:
    desk = Desk(tmp_path, RAGGED)
    desk.stage(key=key)
    desk.sql("update rows set new = 'N' || id")
    edited = desk.write().replace(b"N5", b"mine")
    desk.out.write_bytes(edited)
    assert desk.stage(key=key).changed_cells == 1
    assert desk.write() == edited
    backup = tmp_path / "backup"
    write_out(desk.database, desk.source, desk.source, in_place_backup=backup)
    after = desk.stage(key=key)
    assert (after.rows, after.wrong_rows, after.new_rows, after.gone_rows) == (4, 2, 0, 0)
    desk.source.write_bytes(desk.source.read_bytes() + b"6,f,\n")
    later = desk.stage(key=key)
    assert (later.rows, later.wrong_rows, later.new_rows) == (5, 2, 1)


def test_a_row_that_a_person_mends_is_a_row(tmp_path: Path) -> None:
    desk = Desk(tmp_path, RAGGED.replace(b"2,b, and more\n5", b"5"))
    desk.stage()
    desk.source.write_bytes(desk.source.read_bytes().replace(b"b, and more", b'"b, and more"'))
    staged = desk.stage()
    assert (staged.rows, staged.wrong_rows, staged.new_rows) == (5, 0, 1)


def test_a_row_that_becomes_wrong_leaves_and_returns_with_its_values(tmp_path: Path) -> None:
    desk = Desk(tmp_path, b"id,q\n1,a\n2,b\n")
    desk.stage()
    desk.sql("update rows set new = 'N' || id")
    desk.source.write_bytes(b"id,q\n1,a\n2,b,c\n")
    assert (desk.stage().gone_rows, desk.stage().wrong_rows) == (1, 1)
    desk.source.write_bytes(b"id,q\n1,a\n2,b\n")
    assert desk.stage().wrong_rows == 0
    assert desk.sql("select new from rows where id = '2'") == [("N2",)]


# ------------------------------------------------------------------------------------------- encodings


def test_utf_16_is_written_as_it_is_read(tmp_path: Path) -> None:
    for encoding, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)):
        folder = tmp_path / encoding
        folder.mkdir()
        desk = Desk(folder, mark + 'id\tq\r\n1\t"é 漢 😀"\r\n2\tb'.encode(encoding))
        desk.stage()
        assert desk.sql("select q from rows") == [("é 漢 😀",), ("b",)]
        desk.sql("update rows set new = '€' where id = '1'")
        assert desk.write() == mark + 'id\tq\tnew\r\n1\t"é 漢 😀"\t€\r\n2\tb\t'.encode(encoding)


MARKS = {
    "utf-8": b"", "utf-8-sig": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "cp1252": b"",
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_only_the_bytes_of_written_cells_change(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """All habits at once: encoding and mark, delimiter, line ends, needless quotes, short and long rows, blank lines,
    quotes and newlines in cells, no final newline."""
    encoding = data.draw(st.sampled_from(sorted(MARKS)))
    delimiter = data.draw(st.sampled_from(",;\t|"))
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    text = st.text(st.sampled_from("ab '=é€" + delimiter + '"\n'), max_size=5)

    def written(value: str, quoted: bool) -> str:
        if quoted or set(value) & set('",;\t|\r\n') or value != value.strip():
            return '"' + value.replace('"', '""') + '"'
        return value

    lines: list[list[tuple[str, bool]]] = []
    for number in range(data.draw(st.integers(1, 5))):
        width = data.draw(st.sampled_from([1, 2, 3, 3, 3, 4, 5]))
        cells = [(data.draw(text), data.draw(st.booleans())) for _ in range(min(width, 3) - 1)]
        cells += [("", data.draw(st.booleans())) for _ in range(width - 3)]  # surplus cells that hold nothing
        lines.append([(f"k{number}", data.draw(st.booleans())), *cells])
    blank = data.draw(st.integers(0, len(lines)))
    wrong = delimiter.join(["k9", "x", "y", "z"]) if data.draw(st.booleans()) else ""
    keys = [cells[0][0] for cells in lines]
    chosen = st.tuples(st.sampled_from(keys), st.sampled_from(["c1", "c2"]))
    changes = data.draw(st.dictionaries(chosen, text, max_size=3))

    def rendered(changed: dict[tuple[str, str], str]) -> bytes:
        rows = [delimiter.join(["id", "c1", "c2"])]
        for number, cells in enumerate(lines):
            if number == blank:
                rows.append("")
            values = [written(*cell) for cell in cells]
            for index, name in ((1, "c1"), (2, "c2")):
                new = changed.get((cells[0][0], name))
                old = cells[index][0] if index < len(cells) else ""
                if new is None or new == old:
                    continue
                values += [""] * (index + 1 - len(values))
                values[index] = written(new, values[index].startswith('"'))
            rows.append(delimiter.join(values))
        rows += [wrong] if wrong else []
        end = newline if final else ""
        return MARKS[encoding] + (newline.join(rows) + end).encode(encoding)

    final = data.draw(st.booleans())
    if encoding == "cp1252" and rendered({}).isascii():
        encoding = "utf-8"  # nothing in the file says otherwise
    desk = Desk(tmp_path_factory.mktemp("f"), rendered({}))
    staged = desk.stage()
    assert staged.wrong_rows == bool(wrong)
    assert desk.write() == desk.source.read_bytes()
    for (key, name), value in changes.items():
        desk.sql(f"update rows set {name} = ? where id = ?", value, key)
    assert desk.write() == rendered(changes)


@pytest.mark.parametrize(("header", "words"), [("id,q,id", "occurs twice"), ("id,Q,q", "are one")])
def test_doubled_headers_are_refused_before_anything_is_made(tmp_path: Path, header: str, words: str) -> None:
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        desk = Desk(tmp_path, f"{header}\n1,2,3\n".encode(encoding))
        with pytest.raises(SourceError, match=words):
            desk.stage()
        assert not desk.database.exists()


# ------------------------------------------------------------------------------- safe for spreadsheets

DANGEROUS = ["=1+1", "+1", "-1", "@x", "\ttab", "\rreturn", "'=quoted", "''+", '=HYPERLINK("a","b")\nline']


@given(st.text(st.sampled_from("'=+-@\t\ra \n\""), max_size=6))
def test_what_is_made_inert_reads_back_and_begins_with_nothing_active(text: str) -> None:
    assert plain(inert(text)) == text
    assert not inert(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_written_cells_are_inert_and_foreign_bytes_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path, b"id,q,n\n1,=A1,\n2,'=x,\n3,c,\n")
    stage(desk.source, desk.database, key="id", outputs={"new": "text", "n": "int"}, out=desk.out)
    desk.sql("update rows set new = '=1+1', n = -5 where id = '1'")
    desk.sql("update rows set new = '''=x' where id = '2'")
    assert desk.write(safe=True) == b"id,q,n,new\n1,=A1,-5,'=1+1\n2,'=x,,''=x\n3,c,,\n"
    assert desk.write() == b"id,q,n,new\n1,=A1,-5,=1+1\n2,'=x,,'=x\n3,c,,\n"


@pytest.mark.parametrize("key", ["id", None])
@pytest.mark.parametrize("text", DANGEROUS)
def test_edits_of_a_safe_result_are_read_as_the_texts_they_stand_for(
    tmp_path: Path, text: str, key: str | None
) -> None:
    desk = Desk(tmp_path, b"id,q\n1,=A1\n2,b\n")
    desk.stage(key=key)
    desk.sql("update rows set new = ?", text)
    desk.write(safe=True)
    assert desk.stage(key=key).changed_cells == 0
    rows = desk.out.read_bytes()
    desk.out.write_bytes(rows.replace(b"\n2,b,", b"\n2,b!,"))
    assert desk.stage(key=key).changed_cells == 1
    assert desk.sql("select q, new from rows order by id") == [("=A1", text), ("b!", text)]
    desk.write(safe=True)
    lines = desk.out.read_bytes().replace(b"1,=A1,", b"1,=A1,'=mine,", 1)
    desk.out.write_bytes(lines[: lines.index(b"'=mine") + 6] + b"\n2,b!,\n")
    desk.stage(key=key)
    assert desk.sql("select new from rows order by id") == [("=mine",), ("",)]


def test_a_result_may_change_from_safe_to_verbatim(tmp_path: Path) -> None:
    desk = Desk(tmp_path, b"id,q\n1,a\n")
    desk.stage()
    desk.sql("update rows set new = '=1'")
    for safe, expected in ((True, b"'=1"), (False, b"=1"), (True, b"'=1")):
        assert desk.write(safe=safe) == b"id,q,new\n1,a," + expected + b"\n"
        assert desk.stage().changed_cells == 0


def test_in_place_a_safe_cell_is_written_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, b"id,q\n1,a\n")
    stage(desk.source, desk.database, key="id", outputs=["new"])
    desk.sql("update rows set new = '=1'")
    for number in range(2):
        backup = tmp_path / f"backup{number}"
        written = write_out(desk.database, desk.source, desk.source, in_place_backup=backup, spreadsheet_safe=True)
        assert desk.source.read_bytes() == b"id,q,new\n1,a,'=1\n"
        assert (written.backup is None) == bool(number)
        assert stage(desk.source, desk.database, outputs=["new"]).changed_cells == 0
    assert desk.sql("select new from rows") == [("=1",)]
