"""Files as corpus: staged into SQLite, written out by splicing, a person's edits kept on both sides."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.conditions import Compare
from seedbed.errors import Drift, Locked, SeedbedError, SourceError, UsageError
from seedbed.ports.corpus import CellWrite, durable
from seedbed.ports.corpus.delimited import Delimited
from seedbed.ports.corpus.files import Staged, stage, table_name, write_out
from seedbed.ports.corpus.staging import PAIRS, Staging, pair_up
from seedbed.records import digest


class Desk:
    """A folder with one file, its database, and its result file."""

    def __init__(self, folder: Path, name: str = "questions.csv") -> None:
        self.source = folder / name
        self.out = folder / f"{self.source.stem}.filled{self.source.suffix}"
        self.database = folder / ".seedbed" / "questions.db"

    def put(self, data: bytes | str) -> Desk:
        self.source.write_bytes(data.encode() if isinstance(data, str) else data)
        return self

    def stage(self, *outputs: str, **options: Any) -> Staged:
        return stage(self.source, self.database, **({"outputs": outputs} | options))

    def sql(self, statement: str, *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.database)
        try:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found
        finally:
            connection.close()

    def column(self, name: str, key: str = "_key") -> dict[Any, Any]:
        return dict(self.sql(f'select "{key}", "{name}" from questions'))

    def keys(self, by: str) -> dict[Any, str]:
        return {value: key for key, value in self.column(by).items()}

    def write(self) -> bytes:
        write_out(self.database, self.source, self.out)
        return self.out.read_bytes()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def lines(tmp_path: Path) -> Desk:
    return Desk(tmp_path, "questions.jsonl")


# ----------------------------------------------------------------------------------------- staging


def test_a_file_becomes_a_table_with_its_columns_and_its_outputs(desk: Desk) -> None:
    staged = desk.put("id,text\n1,one\n2,\n").stage("summary", "text", key="id")
    assert staged == Staged(desk.database, "questions", ("id",), ("id", "text"), 2, 2, 0, 0)
    assert desk.sql("select * from questions") == [("1", "one", None), ("2", "", None)]
    info = desk.sql("pragma table_info(questions)")
    assert [(name, kind, key) for _, name, kind, _, _, key in info] == [
        ("id", "TEXT", 1), ("text", "TEXT", 0), ("summary", "TEXT", 0),
    ]  # fmt: skip


def test_staging_again_changes_nothing(desk: Desk) -> None:
    desk.put("id,text\n1,one\n").stage(key="id")
    before = desk.sql("select * from _seedbed_file_source")
    again = desk.stage()
    assert (again.rows, again.new_rows, again.gone_rows, again.changed_cells) == (1, 0, 0, 0)
    os.utime(desk.source, ns=(1, 1))
    assert desk.stage(key="id").changed_cells == 0
    assert desk.sql("select * from _seedbed_file_source") == before


def test_rows_whose_bytes_all_changed_are_matched_in_steps_that_grow_with_the_rows(tmp_path: Path) -> None:
    def steps(rows: int) -> int:
        counted = [0]

        def count() -> None:
            counted[0] += 1

        connection = sqlite3.connect(":memory:", isolation_level=None)
        for name in ("old", "new"):
            connection.execute(f"create table {name} (pos integer primary key, raw blob, k)")
        connection.executemany("insert into old values (?, ?, ?)", ((n, f"{n % 400}", n) for n in range(rows)))
        connection.executemany("insert into new values (?, ?, null)", ((n, f"{n % 300}") for n in range(rows)))
        connection.set_progress_handler(count, 100)
        pair_up(Staging(connection, tmp_path, "rows"), "raw", old="select * from old", new="select * from new")
        assert connection.execute(f"select k from {PAIRS} where pos in (5, 305)").fetchall() == [(5,), (405,)]
        connection.close()
        return counted[0]

    assert steps(4000) < 6 * steps(1000)


def test_a_change_of_equal_size_and_time_is_seen(desk: Desk) -> None:
    desk.put("id,text\n1,one\n").stage(key="id")
    stat = desk.source.stat()
    desk.put("id,text\n1,two\n")
    os.utime(desk.source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert desk.stage().changed_cells == 1


def test_types_of_outputs_decide_how_values_are_written(desk: Desk) -> None:
    desk.put("id,ok\n1,false\n2,\n")
    desk.stage(key="id", outputs={"ok": "bool", "score": "number", "n": "int", "tags": "json"})
    assert desk.column("ok", "id") == {"1": 0, "2": ""}
    desk.sql("update questions set ok = ?, score = ?, n = ?, tags = ? where id = '2'", True, 0.1 + 0.2, 7, '["a"]')
    assert desk.write() == b'id,ok,score,n,tags\n1,false,,,\n2,true,0.30000000000000004,7,"[""a""]"\n'


@pytest.mark.parametrize(
    ("name", "table"),
    [("questions.csv", "questions"), ("2024 list-v2.csv", "t_2024_list_v2"), ("é.csv", "é"), ("--.csv", "rows"),
     ("sqlite_x.csv", "t_sqlite_x"), ("a.b.jsonl", "a_b")],
)  # fmt: skip
def test_the_table_has_the_files_name_as_a_plain_identifier(name: str, table: str) -> None:
    assert table_name(Path(name)) == table


# ------------------------------------------------------------------------------------------- keys


def test_keys_do_not_depend_on_lines(desk: Desk) -> None:
    rows = [f"q{i},t{i % 3}\n" for i in range(50)]
    desk.put("q,t\n" + "".join(rows)).stage()
    before = desk.keys("q")
    new = [f"n{i},t\n" for i in range(100)]
    staged = desk.put("q,t\n" + "".join(new[:50] + rows[::-1] + new[50:])).stage()
    assert (staged.rows, staged.new_rows, staged.gone_rows, staged.changed_cells) == (150, 100, 0, 0)
    after = desk.keys("q")
    assert {q: after[q] for q in before} == before
    assert all(key.endswith("-1") and len(key) == 34 for key in after.values())


def test_keys_of_known_content_are_golden(desk: Desk) -> None:
    """Keys are stored for years: a change here orphans what was bought for files without --key."""
    desk.put("q,t,u\nWhat?,é\n").stage("u")
    assert list(desk.column("q")) == [digest('["What?","é"]') + "-1"] == ["88fbb52f357efd6207152640a173521a-1"]


def test_equal_rows_are_numbered(desk: Desk) -> None:
    desk.put("q\na\nb\na\n").stage("s")
    keys = sorted(desk.column("q"))
    assert len({key[:-2] for key in keys}) == 2
    desk.put("q\na\na\nb\na\n").stage("s")
    assert set(keys) < set(desk.column("q"))
    assert sum(key.endswith("-3") for key in desk.column("q")) == 1


def test_outputs_of_the_first_staging_do_not_count_in_the_key(desk: Desk) -> None:
    desk.put("q,s\na,\nb,\n").stage("s")
    keys = desk.keys("q")
    desk.put("q,s\na,filled by hand\nb,\n")
    assert desk.stage("s").changed_cells == 1
    assert desk.keys("q") == keys


def test_a_row_that_looks_like_another_does_not_take_its_key(desk: Desk) -> None:
    desk.put("q,s\na,1\n").stage("s")
    (key,) = desk.column("q")
    desk.put("q,s\na,2\na,1\n").stage("s")
    assert desk.column("s")[key] == "1"


def test_more_rows_than_the_window_may_move(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedbed.ports.corpus.staging._WINDOW", 3)
    rows = [f"q{i},x\n" for i in range(6000)]
    desk.put("q,x\n" + "".join(rows)).stage()
    before = desk.keys("q")
    assert desk.put("q,x\n" + "".join(reversed(rows))).stage().new_rows == 0
    assert desk.keys("q") == before


def test_a_hashed_column_that_left_the_file_is_named(desk: Desk) -> None:
    desk.put("q,t\na,b\n").stage()
    with pytest.raises(SourceError, match='no longer has the column "t"'):
        desk.put("q\na\n").stage()


def test_the_key_stays_as_it_was_first_given(desk: Desk) -> None:
    desk.put("id,q\n1,a\n").stage(key="id")
    assert desk.stage().key == ("id",)
    with pytest.raises(SourceError, match='cannot change to --key "q"'):
        desk.stage(key="q")


@pytest.mark.parametrize(
    ("data", "what", "why"),
    [
        ("id,q\n1,a\n\n,b\n  ,c\n", 'the key column "id" is empty in line 4, 5', ""),
        ("q,id\na\n", 'the key column "id" is empty in line 2', ""),
        ("id,q\n1,a\n2,b\n1,c\n2,b\n3,b\n", '2 values of the key column "id" occur more than once',
         "'1' in lines 2, 4; '2' in lines 3, 5"),
        ("Id,q\n1,a\n", 'questions.csv has no column "id"', ""),
    ],
)  # fmt: skip
def test_a_key_that_does_not_identify_rows_is_refused(desk: Desk, data: str, what: str, why: str) -> None:
    with pytest.raises(SourceError) as caught:
        desk.put(data).stage(key="id")
    assert what in caught.value.what
    assert why in caught.value.why
    assert not desk.database.exists()


# ------------------------------------------------------------------------------- staging a change


def test_only_cells_that_the_file_changed_are_taken_over(desk: Desk) -> None:
    desk.put("id,q,s\n1,a,\n2,b,\n3,c,\n").stage("s", "t", key="id")
    desk.sql("update questions set s = 'S' || id, t = 'T' || id")
    staged = desk.put("id,q,s\n1,a,\n2,B,\n3,c,by hand\n").stage("s", "t")
    assert staged.changed_cells == 2
    assert desk.sql("select * from questions") == [
        ("1", "a", "S1", "T1"), ("2", "B", "S2", "T2"), ("3", "c", "by hand", "T3"),
    ]  # fmt: skip


def test_a_row_that_left_and_returns_has_its_values_again(desk: Desk) -> None:
    for key in ("id", None):
        desk.database.unlink(missing_ok=True)
        desk.put("id,q,s\n1,a,\n2,b,\n").stage("s", "t", key=key)
        desk.sql("update questions set s = 'S' || id, t = 'T' || id")
        gone = desk.put("id,q,s\n2,b,\n").stage("s", "t")
        assert (gone.rows, gone.gone_rows) == (1, 1)
        assert desk.sql("select id, s, t from questions") == [("2", "S2", "T2")]
        back = desk.put("id,q,s\n2,b,\n1,a,\n").stage("s", "t")
        assert back.new_rows == 1
        assert desk.sql("select id, s, t from questions order by id") == [("1", "S1", "T1"), ("2", "S2", "T2")]


def test_columns_may_come_go_and_move(desk: Desk) -> None:
    desk.put("id,q,x\n1,a,y\n").stage("s", key="id")
    desk.sql("update questions set s = 'S'")
    staged = desk.put("new,q,id\nN,a,1\n").stage("s")
    assert staged.columns == ("new", "q", "id")
    assert desk.sql("select id, q, new, s from questions") == [("1", "a", "N", "S")]
    assert "x" not in [row[1] for row in desk.sql("pragma table_info(questions)")]
    assert desk.write() == b"new,q,id,s\nN,a,1,S\n"


def test_another_delimiter_or_line_end_changes_no_cell(desk: Desk) -> None:
    desk.put("q,s\na,b\nc,d\n").stage("s")
    keys = desk.keys("q")
    assert desk.put(b'\xef\xbb\xbf"q";"s"\r\n"a";"b"\r\n"c";"d"\r\n').stage("s").changed_cells == 0
    assert desk.keys("q") == keys


# ---------------------------------------------------------------------------------------- writing


def test_nothing_changed_writes_the_sources_bytes(desk: Desk) -> None:
    data = b'\xef\xbb\xbf"a";b\r\n\r\n1;" x"\r\n2\r\n3;4;5\n'
    desk.put(data).stage("summary")
    assert desk.write() == data
    assert desk.source.read_bytes() == data


def test_new_columns_keep_the_table_rectangular(desk: Desk) -> None:
    desk.put("id,q\r\n1,a\r\n\r\n2,b\r\n3").stage("s", "t", key="id")
    desk.sql("update questions set s = 'S, 2' where id = '2'")
    assert desk.write() == b'id,q,s\r\n1,a,\r\n\r\n2,b,"S, 2"\r\n3,,'


def test_the_report_counts_cells_and_rows_without_a_place(desk: Desk) -> None:
    desk.put("id,q\n1,a\n2,b\n").stage("s", key="id")
    desk.sql("update questions set s = 'S', q = 'A' where id = '1'")
    desk.sql("insert into questions (id) values ('made')")
    written = write_out(desk.database, desk.source, desk.out)
    assert (written.path, written.cells, written.unplaced, written.edits, written.backup) == (desk.out, 2, 1, 0, None)


def test_a_source_that_changed_meanwhile_is_not_written(desk: Desk) -> None:
    desk.put("id,q\n1,a\n").stage(key="id")
    desk.put("id,q\n1,b\n")
    with pytest.raises(Drift, match="was changed while"):
        desk.write()
    assert not desk.out.exists()


def test_a_failing_write_leaves_no_trace(desk: Desk) -> None:
    desk.put("id,q\n1,é\n".encode("cp1252")).stage(key="id")
    desk.sql("update questions set q = '漢'")
    with pytest.raises(SourceError, match="U\\+6F22"):
        desk.write()
    assert sorted(path.name for path in desk.source.parent.iterdir()) == [".seedbed", "questions.csv"]


def test_json_lines_are_staged_and_spliced(lines: Desk) -> None:
    lines.put('{"id": 7, "q": "a", "ok": null, "n": 1e2}\n{"id":8,"q":"b"}\n')
    lines.stage(key="id", outputs={"s": "text", "ok": "bool", "tags": "json"})
    assert lines.sql("select id, q, ok, n from questions") == [(7, "a", None, 100.0), (8, "b", None, None)]
    lines.sql("update questions set s = 'S' || id, ok = 1, tags = '[1, 2]'")
    assert lines.write() == (
        b'{"id": 7, "q": "a", "ok": true, "n": 1e2, "s": "S7", "tags": [1, 2]}\n'
        b'{"id":8,"q":"b","ok":true,"s":"S8","tags":[1, 2]}\n'
    )


def test_json_lines_without_a_key_keep_theirs(lines: Desk) -> None:
    first, second = '{"q": "a", "n": {"x": 1}}\n', '{"q": "b", "n": 12345678901234567890123}\n'
    lines.put(first + second).stage("s")
    before = lines.keys("q")
    lines.put('{"q": "c"}\n' + second + first).stage("s")
    assert before.items() <= lines.keys("q").items()
    assert lines.write() == lines.source.read_bytes()


def test_json_lines_with_doubled_keys_name_their_lines(lines: Desk) -> None:
    with pytest.raises(SourceError) as caught:
        lines.put('{"id":1}\n{"id":2}\n{"id":1}\n').stage(key="id")
    assert caught.value.why == "1 in lines 1, 3"


# --------------------------------------------------------------------------- the result file's edits


def test_a_persons_edits_in_the_result_file_are_kept(desk: Desk) -> None:
    for key in ("id", None):
        for path in (desk.database, desk.out):
            path.unlink(missing_ok=True)
        desk.put("id,q\n1,a\n2,b\n").stage("s", key=key, out=desk.out)
        desk.sql("update questions set s = 'S' || id")
        assert desk.write() == b"id,q,s\n1,a,S1\n2,b,S2\n"
        desk.out.write_bytes(b'"id";"q";"s"\r\n"2";"b";"mine"\r\n"1";"a";"S1"\r\n')
        assert desk.stage("s", out=desk.out).changed_cells == 1
        assert desk.stage("s", out=desk.out).changed_cells == 0
        assert desk.column("s", "id") == {"1": "S1", "2": "mine"}
        desk.sql("update questions set s = 'later' where id = '1'")
        written = write_out(desk.database, desk.source, desk.out)
        assert written.edits == 1
        assert desk.out.read_bytes() == b"id,q,s\n1,a,later\n2,b,mine\n"


@pytest.mark.parametrize("key", ["id", None])
def test_edits_are_found_without_holding_the_rows_in_memory(desk: Desk, key: str | None) -> None:
    rows = 20_000
    desk.put("id,q\n" + "".join(f"{n},question {n}\n" for n in range(rows))).stage("s", key=key, out=desk.out)
    desk.sql("update questions set s = 'answer ' || id")
    written = desk.write()
    desk.out.write_bytes(written.replace(b"answer 7\n", b"mine\n").replace(b"answer 19999\n", b"mine too\n"))
    tracemalloc.start()
    try:
        assert desk.stage("s", out=desk.out).changed_cells == 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert desk.column("s", "id")["19999"] == "mine too"
    assert peak < 6 * len(written) + 2_000_000, "the bytes of both files, and pages of their rows"


def test_rows_that_a_person_doubled_or_added_stand_for_none_of_ours_and_are_put_aside(desk: Desk) -> None:
    desk.put("id,q\n1,a\n2,b\n").stage("s", out=desk.out)
    desk.sql("update questions set s = 'S' || id")
    desk.write()
    desk.out.write_text("id,q,s\n1,a,S1\n1,a,mine\n3,c,\n2,b,S2\n")
    assert desk.stage("s", out=desk.out).changed_cells == 0
    assert desk.column("s", "id") == {"1": "S1", "2": "S2"}
    edited = desk.out.read_bytes()
    backup = write_out(desk.database, desk.source, desk.out).backup
    assert backup is not None
    assert backup.read_bytes() == edited


def test_an_edit_that_is_taken_back_is_taken_back(desk: Desk) -> None:
    desk.put("id,q\n1,a\n").stage("s", key="id", out=desk.out)
    desk.sql("update questions set s = 'S'")
    desk.write()
    for text in ("mine", "S"):
        desk.out.write_text(f"id,q,s\n1,a,{text}\n")
        desk.stage("s", out=desk.out)
        assert desk.column("s", "id") == {"1": text}


def test_results_that_came_after_the_edited_file_was_written_are_not_lost(desk: Desk) -> None:
    desk.put("id,q\n1,a\n2,b\n").stage("s", key="id", out=desk.out)
    desk.sql("update questions set s = 'S1' where id = '1'")
    desk.write()
    desk.sql("update questions set s = 'S2' where id = '2'")
    desk.out.write_text("id,q,s\n1,a,mine\n2,b,\n")
    desk.stage("s", out=desk.out)
    assert desk.column("s", "id") == {"1": "mine", "2": "S2"}


def test_an_emptied_cell_and_a_new_column_are_edits_too(desk: Desk) -> None:
    desk.put("q\na\nb\n").stage("s", out=desk.out)
    desk.sql("update questions set s = 'S'")
    desk.write()
    desk.out.write_text("q,s,note\na,,\nb,S,check this\n")
    assert desk.stage("s", out=desk.out).changed_cells == 2
    assert desk.write() == b"q,s,note\na,,\nb,S,check this\n"


def test_an_edited_input_without_a_key_is_still_matched(desk: Desk) -> None:
    desk.put("q,t\na,1\nb,2\nc,3\n").stage("s", out=desk.out)
    desk.sql("update questions set s = 'S'")
    desk.write()
    desk.out.write_text("q,t,s\na,1,S\nB!,2,mine\nc,3,S\n")
    assert desk.stage("s", out=desk.out).changed_cells == 2
    assert desk.write() == b"q,t,s\na,1,S\nB!,2,mine\nc,3,S\n"


def test_rows_that_a_person_added_to_the_result_file_are_put_aside_not_lost(desk: Desk) -> None:
    desk.put("q\na\n").stage("s", out=desk.out)
    desk.sql("update questions set s = 'S'")
    desk.write()
    edited = "q,s\na,S\nmine,too\n"
    desk.out.write_text(edited)
    desk.stage("s", out=desk.out)
    written = write_out(desk.database, desk.source, desk.out)
    assert written.backup is not None
    assert written.backup.read_text() == edited


def test_a_result_file_that_is_not_ours_is_never_overwritten(desk: Desk) -> None:
    desk.put("q\na\n")
    desk.out.write_text("precious")
    with pytest.raises(SourceError, match=r"questions\.filled\.csv exists and was not written by seedbed") as caught:
        desk.stage("s", out=desk.out)
    assert "--out" in caught.value.hint
    desk.stage("s")
    with pytest.raises(SourceError, match="was not written by seedbed"):
        desk.write()
    assert desk.out.read_text() == "precious"


def test_a_result_file_edited_after_the_staging_is_not_overwritten(desk: Desk) -> None:
    desk.put("q\na\n").stage("s", out=desk.out)
    desk.write()
    desk.out.write_text("q\nmine\n")
    with pytest.raises(Drift, match="was edited while"):
        desk.write()


def test_a_project_may_be_moved_with_its_result_file(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    desk = Desk(tmp_path / "old").put("q\na\n")
    desk.stage("s", out=desk.out)
    desk.write()
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Desk(tmp_path / "new")
    moved.stage("s", out=moved.out)
    moved.write()


# --------------------------------------------------------------------------------------- in place


def test_in_place_needs_a_backup(desk: Desk) -> None:
    desk.put("q\na\n").stage("s")
    with pytest.raises(UsageError, match="without a backup"):
        write_out(desk.database, desk.source, desk.source)


@pytest.mark.parametrize("outputs", [("s",), ()])
def test_after_writing_in_place_nothing_has_changed(desk: Desk, outputs: tuple[str, ...]) -> None:
    """Without outputs named at first, the column that is written is part of what the keys were made of."""
    data = b"q,s\r\na,\r\nb,old\r\na,\r\n"
    desk.put(data).stage(*outputs)
    desk.stage("s", "n")
    desk.sql("update questions set s = 'S-' || q, n = 'N'")
    keys = set(desk.column("q"))
    desk.source.chmod(0o640)
    backup = desk.source.with_suffix(".bak")
    written = write_out(desk.database, desk.source, desk.source, in_place_backup=backup)
    assert (written.cells, written.backup) == (6, backup)
    assert backup.read_bytes() == data
    assert desk.source.read_bytes() == b"q,s,n\r\na,S-a,N\r\nb,S-b,N\r\na,S-a,N\r\n"
    assert desk.source.stat().st_mode & 0o777 == 0o640
    staged = desk.stage("s", "n")
    assert (staged.columns, staged.new_rows, staged.gone_rows, staged.changed_cells) == (("q", "s", "n"), 0, 0, 0)
    again = write_out(desk.database, desk.source, desk.source, in_place_backup=desk.source.with_suffix(".bak2"))
    assert (again.cells, again.backup) == (0, None)
    desk.put(desk.source.read_bytes() + b"new,,\r\n")
    assert desk.stage("s", "n").new_rows == 1
    assert keys < set(desk.column("q"))


def test_a_backup_is_not_overwritten(desk: Desk) -> None:
    desk.put("q\na\n").stage("s")
    desk.sql("update questions set s = 'S'")
    backup = desk.source.with_suffix(".bak")
    backup.write_text("an older one")
    with pytest.raises(SourceError, match="holds something else"):
        write_out(desk.database, desk.source, desk.source, in_place_backup=backup)
    assert desk.source.read_text() == "q\na\n"


class Killed(BaseException):
    pass


@pytest.fixture(params=["before the replace", "after the replace"])
def kill(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Desk, bool], None]:
    """Write, and end at the replace, on either side of it."""
    place = durable.NewFile.place

    def run(desk: Desk, in_place: bool) -> None:
        def killed(new: durable.NewFile) -> None:
            if new.target.suffix == ".bak":
                place(new)
                return
            if request.param == "after the replace":
                place(new)
            raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(durable.NewFile, "place", killed)
            backup = desk.source.with_suffix(".bak") if in_place else None
            write_out(desk.database, desk.source, desk.source if in_place else desk.out, in_place_backup=backup)

    return run


def test_a_kill_while_writing_in_place_heals(desk: Desk, kill: Callable[[Desk, bool], None]) -> None:
    desk.put("q,s\na,\nb,\n").stage()
    keys = desk.keys("q")
    desk.sql("update questions set s = 'S'")
    kill(desk, True)
    staged = desk.stage()
    assert (staged.new_rows, staged.gone_rows, staged.changed_cells) == (0, 0, 0)
    write_out(desk.database, desk.source, desk.source, in_place_backup=desk.source.with_suffix(".bak"))
    assert desk.source.read_bytes() == b"q,s\na,S\nb,S\n"
    assert desk.stage().changed_cells == 0
    assert desk.keys("q") == keys


def test_a_kill_while_writing_a_result_heals(desk: Desk, kill: Callable[[Desk, bool], None]) -> None:
    desk.put("q\na\n").stage("s", out=desk.out)
    for text in ("first", "second"):
        desk.sql("update questions set s = ?", text)
        kill(desk, False)
        assert desk.stage("s", out=desk.out).changed_cells == 0
        assert desk.write() == f"q,s\na,{text}\n".encode()


# -------------------------------------------------------------------------- with the SQLite corpus


@pytest.mark.parametrize("name", ["questions.csv", "questions.jsonl"])
def test_the_sqlite_corpus_selects_compares_and_uploads_in_a_staged_file(tmp_path: Path, name: str) -> None:
    from seedbed.ports.corpus.database import open_corpus

    desk = Desk(tmp_path, name)
    desk.put("q,s\na,\nb,by hand\n" if name.endswith(".csv") else '{"q":"a","s":null}\n{"q":"b","s":"by hand"}\n')
    staged = desk.stage(outputs={"s": "text", "ok": "bool", "score": "number", "tags": "json"}, out=desk.out)
    after = {"s": "=S, 1", "ok": True, "score": 0.1, "tags": ["x"]}
    before = dict.fromkeys(after)

    def upload(release: str) -> list[str]:
        corpus = open_corpus(f"sqlite:///{desk.database}")
        try:
            assert not [table for table in corpus.tables() if table.endswith("_seedbed_backup")]
            (row,) = corpus.page(staged.table, staged.key, Compare("q", "=", "a"))
            write = CellWrite(
                json.dumps([row["_key"]]), "f", before | ({"s": ""} if name.endswith(".csv") else {}), after
            )
            return [
                done.fate
                for done in corpus.write(release, staged.table, staged.key, [write], fingerprint=lambda _: "f")
            ]
        finally:
            corpus.close()

    assert upload("r1") == ["applied"]
    assert upload("r2") == ["already"]
    expected = {
        ".csv": b'q,s,ok,score,tags\na,"=S, 1",true,0.1,"[""x""]"\nb,by hand,,,\n',
        ".jsonl": b'{"q":"a","s":"=S, 1","ok":true,"score":0.1,"tags":["x"]}\n{"q":"b","s":"by hand"}\n',
    }
    assert desk.write() == expected[desk.source.suffix]
    assert desk.stage(out=desk.out).changed_cells == 0
    edited = expected[desk.source.suffix].replace(b"=S, 1", b"mine")
    desk.out.write_bytes(edited)
    assert desk.stage(out=desk.out).changed_cells == 1
    assert desk.write() == edited.replace(b'"mine"', b"mine" if name.endswith(".csv") else b'"mine"')


# ------------------------------------------------------------------------------------- plain errors


def test_a_missing_file_names_its_neighbour(desk: Desk) -> None:
    desk.put("q\n")
    with pytest.raises(SourceError) as caught:
        stage(desk.source.with_name("question.csv"), desk.database)
    assert caught.value.hint == 'did you mean "questions.csv"?'


def test_a_column_with_the_name_of_our_key_is_refused_with_a_way_out(desk: Desk) -> None:
    with pytest.raises(SourceError) as caught:
        desk.put("_key,q\n1,a\n").stage()
    assert "--key _key" in caught.value.hint
    assert desk.stage(key="_key").key == ("_key",)


def test_a_file_of_outputs_only_has_no_identity(desk: Desk) -> None:
    with pytest.raises(SourceError, match="only output columns"):
        desk.put("s\na\n").stage("s")


def test_an_output_that_differs_in_case_only_is_refused(desk: Desk) -> None:
    with pytest.raises(SourceError, match="differ only in case"):
        desk.put("q,Summary\na,b\n").stage("summary")


def test_a_database_holds_one_file(desk: Desk) -> None:
    desk.put("q\na\n").stage()
    other = desk.source.with_name("other.csv")
    other.write_text("q\n")
    with pytest.raises(SourceError, match=r"holds questions\.csv, not other\.csv"):
        stage(other, desk.database)


def test_a_table_of_the_users_own_is_left_alone(desk: Desk) -> None:
    desk.database.parent.mkdir()
    desk.sql("create table questions (x)")
    with pytest.raises(SourceError, match="already has a table questions"):
        desk.put("q\na\n").stage()
    assert desk.sql("select * from questions") == []


def test_a_failed_first_staging_leaves_no_database(desk: Desk) -> None:
    with pytest.raises(SourceError):
        desk.put('q,t\na,"b\n').stage()
    assert not desk.database.exists()


def test_a_failed_later_staging_changes_nothing(desk: Desk) -> None:
    desk.put("id,q\n1,a\n").stage("s", key="id")
    desk.sql("update questions set s = 'S'")
    with pytest.raises(SourceError):
        desk.put("id,q\n1,b\n1,c\n").stage("s")
    assert desk.sql("select * from questions") == [("1", "a", "S")]


def test_a_header_alone_is_a_table_without_rows(desk: Desk) -> None:
    assert desk.put("id,q\n").stage("s").rows == 0
    assert desk.write() == b"id,q\n"


def test_a_locked_database_is_said_to_be_locked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("q\na\n").stage()
    monkeypatch.setattr("seedbed.ports.corpus.staging.PATIENCE", 0.01)
    other = sqlite3.connect(desk.database, isolation_level=None)
    other.execute("begin immediate")
    try:
        with pytest.raises(Locked):
            desk.stage()
    finally:
        other.close()


# ------------------------------------------------------------------------------------- properties

CELL = st.text(st.sampled_from("ab ,;\t|\"'\r\né漢"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_written_cells_read_back_and_all_other_bytes_stay(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 3))
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=5))
    delimiter = data.draw(st.sampled_from(",;\t|"))
    newline, always = data.draw(st.sampled_from(["\n", "\r\n", "\r"])), data.draw(st.booleans())

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if always or set(text) & {delimiter, '"', "\r", "\n"} else text

    records = [["id", *(f"c{i}" for i in range(width))], *([f"k{i}", *row] for i, row in enumerate(rows))]
    source = "".join(delimiter.join(map(cell, record)) + newline for record in records).encode()
    keyed = data.draw(st.booleans())
    changes = data.draw(
        st.dictionaries(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, width)), CELL, max_size=4)
    )
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder)).put(source)
        desk.stage("new", key="id" if keyed else None)
        assert desk.write() == desk.source.read_bytes()
        for (row, column), value in changes.items():
            name = "new" if column == width else f"c{column}"
            desk.sql(f"update questions set {name} = ? where id = ?", value, f"k{row}")
        found = desk.write()
        stage(desk.out, Path(folder) / "second.db", key="id")
        connection = sqlite3.connect(Path(folder) / "second.db")
        connection.row_factory = sqlite3.Row
        now = {row["id"]: dict(row) for row in connection.execute('select * from "questions_filled"')}
        connection.close()
        for i, cells in enumerate(rows):
            for column in range(width + 1):
                name = "new" if column == width else f"c{column}"
                value = changes.get((i, column), cells[column] if column < width else "")
                assert (now[f"k{i}"].get(name) or "") == value
        if not any(column == width and value for (_, column), value in changes.items()):
            kept = [raw for i, raw in enumerate(_records(source)) if i not in {row for row, _ in changes}]
            assert all(raw in found for raw in kept)


def _records(data: bytes) -> list[bytes]:
    return [raw for _, _, raw, _ in Delimited(data, "t.csv").rows()]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a,1", "a,2", "b,1", '"b",1', "c,"]), min_size=1, max_size=6), st.data())
def test_rows_keep_their_keys_and_results_whatever_is_added_and_moved(rows: list[str], data: st.DataObject) -> None:
    added = data.draw(st.lists(st.sampled_from(["a,1", "a,2", "d,4", "e,5"]), max_size=4))
    moved = data.draw(st.permutations(rows + added))
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder)).put("q,n\n" + "\n".join(rows) + "\n")
        desk.stage("s")
        desk.sql("update questions set s = 'S ' || _key")
        before = dict(desk.sql("select _key, q || n from questions"))
        staged = desk.put("q,n\n" + "\n".join(moved) + "\n").stage("s")
        after = dict(desk.sql("select _key, q || n from questions"))
        assert (staged.rows, staged.new_rows, staged.gone_rows) == (len(moved), len(added), 0)
        assert before.items() <= after.items()
        assert desk.column("s") == {key: f"S {key}" if key in before else None for key in after}
        desk.put("q,n\n" + "\n".join(rows) + "\n").stage("s")
        assert len(desk.column("s")) == len(rows)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_written_members_read_back_and_all_other_bytes_stay(data: st.DataObject) -> None:
    value = st.none() | st.text(max_size=5) | st.integers(-(2**40), 2**40)
    rows = data.draw(st.lists(st.fixed_dictionaries({}, optional={"a": value, "b": value}), min_size=1, max_size=5))
    if not any(rows):
        return
    style = data.draw(st.sampled_from([(", ", ": "), (",", ":")]))
    text = "\n".join(json.dumps({"id": i} | row, separators=style, ensure_ascii=False) for i, row in enumerate(rows))
    changes = data.draw(st.dictionaries(st.integers(0, len(rows) - 1), st.text(max_size=5), max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder), "questions.jsonl").put(text.encode("utf-8", "surrogatepass"))
        desk.stage("new", key="id")
        assert desk.write() == desk.source.read_bytes()
        for row, new in changes.items():
            desk.sql("update questions set new = ? where id = ?", new, row)
        found = desk.write().split(b"\n")
    for i, (line, old) in enumerate(zip(found, text.encode().split(b"\n"), strict=True)):
        if i in changes:
            assert json.loads(line) == json.loads(old) | {"new": changes[i]}
            assert line.startswith(old[:-1])
        else:
            assert line == old


def test_a_link_that_is_put_in_place_of_the_result_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    """(fault 33)"""
    outside = tmp_path / "outside.csv"
    outside.write_text("precious")
    desk.put("q\na\n").stage("s", out=desk.out)
    desk.out.symlink_to(outside)
    with pytest.raises(SourceError, match="was not written by seedbed"):
        desk.write()
    desk.out.unlink()
    desk.write()
    desk.out.unlink()
    desk.out.symlink_to(outside)
    with suppress(SeedbedError):
        desk.write()
    assert outside.read_text() == "precious"
