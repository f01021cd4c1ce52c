"""Cells are written only where the row is still what it was, each with its backup, in one transaction."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import SourceError, UsageError
from seedbed.ports.corpus import CellWrite, Corpus, Written, sqlite
from seedbed.ports.corpus.batches import Pace
from seedbed.ports.corpus.connections import Session
from seedbed.ports.corpus.database import open_corpus
from seedbed.ports.corpus.descriptions import BACKUP_TABLE
from tests.engine.projects import waiting_until
from tests.ports.corpus import database_killed
from tests.ports.corpus.databases import MakeCorpus, cells, change, fates, fill, marked, rows, url, write

TABLE = "create table q (id text primary key, title text, summary text, topic text);"
EMPTY = {"summary": None}


def filled(make_corpus: MakeCorpus, count: int = 3) -> Corpus:
    corpus = make_corpus(TABLE)
    fill(corpus, "q", [(f"q{n}", f"title {n}", None, None) for n in range(count)])
    return corpus


def writes(count: int, text: str = "about") -> list[CellWrite]:
    return [write(f"q{n}", f"title {n}", EMPTY, {"summary": f"{text} {n}"}) for n in range(count)]


def put(corpus: Corpus, *todo: CellWrite, release: str = "r1", source: str | None = None) -> list[Written]:
    return list(corpus.write(release, "q", ["id"], todo, fingerprint=marked, source=source))


def test_cells_that_are_as_they_were_are_written_and_backed_up(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    assert fates(put(corpus, *writes(3))) == ["applied"] * 3
    assert cells(corpus, "q", "summary") == ["about 0", "about 1", "about 2"]
    assert corpus.backed_up("r1") == (3, 0)


def test_fates_come_in_the_order_of_the_writes(make_corpus: MakeCorpus) -> None:
    done = put(filled(make_corpus, 50), *reversed(writes(60)))
    assert [one.key for one in done] == [f'["q{n}"]' for n in reversed(range(60))]
    assert fates(done) == ["vanished"] * 10 + ["applied"] * 50


@pytest.mark.parametrize(
    ("odd", "fate"),
    [
        ("update q set summary = 'mine' where id = 'q7'", "drifted"),
        ("update q set summary = 'about 7' where id = 'q7'", "already"),
        ("update q set title = 'another' where id = 'q7'", "drifted"),
        ("delete from q where id = 'q7'", "vanished"),
    ],
)
def test_one_row_that_was_changed_makes_no_difference_to_the_others(
    make_corpus: MakeCorpus, odd: str, fate: str
) -> None:
    corpus = filled(make_corpus, 20)
    change(corpus, odd)
    assert fates(put(corpus, *writes(20))) == ["applied"] * 7 + [fate] + ["applied"] * 12
    assert corpus.backed_up("r1") == (19, 0)


def test_a_second_write_finds_it_done(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    put(corpus, *writes(3))
    assert fates(put(corpus, *writes(3), release="r2")) == ["already"] * 3
    assert corpus.backed_up("r2") == (0, 0)


def test_an_output_cell_that_a_person_edited_is_left_alone_and_named(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    change(corpus, "update q set summary = 'mine' where id = 'q1'")
    done = put(corpus, *writes(3))
    assert fates(done) == ["applied", "drifted", "applied"]
    assert 'output "summary" changed since export' in done[1].reason
    assert cells(corpus, "q", "summary")[1] == "mine"
    assert corpus.backed_up("r1") == (2, 0)


def test_a_row_whose_input_changed_is_left_alone(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    change(corpus, "update q set title = 'another' where id = 'q2'")
    done = put(corpus, *writes(3))
    assert fates(done) == ["applied", "applied", "drifted"]
    assert done[2].reason == "input changed since export"


def test_one_edited_cell_keeps_the_whole_row_as_it_is(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 1)
    change(corpus, "update q set topic = 'mine'")
    done = put(corpus, write("q0", "title 0", {"summary": None, "topic": None}, {"summary": "a", "topic": "b"}))
    assert fates(done) == ["drifted"]
    assert rows(corpus, "q")[0]["summary"] is None


def test_a_row_that_is_gone_has_vanished(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    change(corpus, "delete from q where id = 'q0'")
    assert fates(put(corpus, *writes(3))) == ["vanished", "applied", "applied"]


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(
    ("meanwhile", "fate"),
    [
        ("update q set summary = 'mine' where id = 'q1'", "drifted"),
        ("update q set title = 'another' where id = 'q1'", "drifted"),
        ("delete from q where id = 'q1'", "vanished"),
    ],
)
def test_what_another_program_commits_just_before_the_lock_is_not_overwritten(
    make_corpus: MakeCorpus, database: Path, journal: str, meanwhile: str, fate: str
) -> None:
    corpus = filled(make_corpus)
    change(corpus, f"pragma journal_mode = {journal}")
    other = sqlite3.connect(database, isolation_level=None)
    todo = [meanwhile]

    def while_compared(row: Mapping[str, Any]) -> str:
        if todo:  # the rows have been read by now
            other.execute(todo.pop())
        return marked(row)

    done = corpus.write("r1", "q", ["id"], writes(3), fingerprint=while_compared)
    assert fates(list(done)) == ["applied", fate, "applied"]
    assert corpus.backed_up("r1") == (2, 0)
    other.close()


def test_of_many_rows_written_in_one_step_only_the_declined_one_is_refused(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE.replace("summary text", "summary text check (summary <> 'about 700')"))
    fill(corpus, "q", [(f"q{n}", f"title {n}", None, None) for n in range(1100)])
    done = put(corpus, *writes(1100))
    assert Counter(fates(done)) == {"applied": 1099, "refused": 1}
    assert done[700].fate == "refused"
    assert "CHECK constraint failed" in done[700].reason
    assert [row["summary"] for row in rows(corpus, "q") if row["summary"] != f"about {row['id'][1:]}"] == [None]
    assert corpus.backed_up("r1") == (1099, 0)
    assert corpus.roll_back("r1").restored == 1099


def test_rows_with_more_cells_than_one_statement_takes_values(make_corpus: MakeCorpus) -> None:
    names = [f"c{n}" for n in range(150)]
    corpus = make_corpus(f"create table q (id text primary key, title text, {', '.join(names)});")
    fill(corpus, "q", [(f"q{n}", f"title {n}", *[None] * 150) for n in range(520)])
    before, after = dict.fromkeys(names), {name: f"of {name}" for name in names}
    done = put(corpus, *(write(f"q{n}", f"title {n}", before, after) for n in range(520)))
    assert set(fates(done)) == {"applied"}
    assert cells(corpus, "q", "c149") == ["of c149"] * 520


ODD = [
    None, 1, 0, -5, 2**62, 1.0, 3.7, 1e300, float("inf"), -0.0, "", "a", "12", "1.0", "001", b"", b"\x00\xff", "é",
]  # fmt: skip


@pytest.mark.parametrize("declared", ["", "text", "integer", "real", "numeric", "blob", "boolean"])
@pytest.mark.parametrize("key", ["integer primary key", "text primary key", "primary key", "text collate nocase"])
def test_many_rows_written_in_one_step_hold_what_they_hold_one_by_one(declared: str, key: str) -> None:
    held = []
    rows = [(ODD[n % 18], ODD[n * 7 % 18], n if "integer" in key else f"k{n}") for n in range(90)]
    for at_once in (False, True):
        db = sqlite3.connect(":memory:")
        db.execute(f'create table t (id {key}, c {declared}, "d e" {declared}, times int default 0)')
        db.execute(
            "create trigger t_again after update of c on t begin update t set times = times + 1 where id = new.id; end"
        )
        db.executemany("insert into t (id) values (?)", [row[-1:] for row in rows])
        if at_once:
            statement = sqlite.update_many("t", ["c", '"d e"'], ["id"], rows=len(rows))
            changed = db.execute(statement, [value for row in rows for value in row]).rowcount
        else:
            changed = db.executemany('update t set c = ?, "d e" = ? where id = ?', rows).rowcount
        shown = 'select id, typeof(c), quote(c), typeof("d e"), quote("d e"), times from t order by rowid'
        held.append((changed, db.execute(shown).fetchall()))
        db.close()
    assert held[0] == held[1]
    assert held[0][0] == 90


@pytest.mark.parametrize("keys", [("id",), ("id", "topic")])
@pytest.mark.parametrize("rows_there", [1, 10**9])
def test_many_rows_are_found_by_their_key_and_not_by_a_scan(
    make_corpus: MakeCorpus, keys: tuple[str, ...], rows_there: int
) -> None:
    script = f"create table q (id text, topic text, summary text, primary key ({', '.join(keys)})); analyze;"
    corpus = make_corpus(f"{script} insert into sqlite_stat1 values ('q', 'sqlite_autoindex_q_1', '{rows_there} 1 1');")
    statement = sqlite.update_many("q", ["summary"], list(keys), rows=500)
    session: Session = corpus._session  # type: ignore[attr-defined]
    width = 500 * (1 + len(keys))
    plan = session.catalogue(f"explain query plan {statement}", *[None] * width)
    steps = [row[-1] for row in plan]
    assert any(step.startswith("SEARCH q USING") for step in steps), steps
    assert not any(step.startswith("SCAN q") for step in steps)


def test_what_a_release_wrote_is_known_by_place_as_it_stood(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 6)
    put(corpus, *writes(4))
    put(corpus, *writes(6)[4:], release="r2")
    corpus.roll_back("r1", items=['["q0"]'])
    standing = corpus.standing("r1")
    corpus.roll_back("r1", items=['["q1"]'])
    asked = [("q", f'["q{n}"]') for n in (0, 1, 2, 4, 7)] + [("other", '["q3"]')]
    assert standing(asked) == {("q", '["q1"]'), ("q", '["q2"]')}
    assert corpus.standing("r1")(asked) == {("q", '["q2"]')}
    assert corpus.standing("r3")(asked) == set()


def test_what_a_release_wrote_is_not_held_in_memory(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 11_000)
    put(corpus, *writes(11_000), release="long")
    change(corpus, "update q set summary = null")
    put(corpus, *writes(500), release="short")
    asked = [("q", f'["q{n}"]') for n in range(500)]

    def peak(release: str) -> int:
        tracemalloc.start()
        try:
            assert len(corpus.standing(release)(asked)) == 500
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak("short")  # what is made once and kept
    assert peak("long") < 1.5 * peak("short")


def test_two_writes_to_one_row_see_each_other(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 1)
    first, second = writes(1), write("q0", "title 0", {"summary": "about 0"}, {"summary": "better"})
    assert fates(put(corpus, *first, *first, second)) == ["applied", "already", "applied"]
    assert cells(corpus, "q", "summary") == ["better"]


def test_a_constraint_refuses_its_row_alone_in_its_own_words(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(
        "create table q (id text primary key, title text, summary text unique check (length(summary) < 20));"
    )
    fill(corpus, "q", [(f"q{n}", f"title {n}", None) for n in range(300)])
    todo = writes(300)
    todo[7] = write("q7", "title 7", EMPTY, {"summary": "x" * 30})
    todo[250] = write("q250", "title 250", EMPTY, {"summary": "about 3"})
    done = put(corpus, *todo)
    assert Counter(fates(done)) == {"applied": 298, "refused": 2}
    assert "CHECK constraint failed" in done[7].reason
    assert done[250].reason == "UNIQUE constraint failed: q.summary"
    assert corpus.backed_up("r1") == (298, 0)


def test_foreign_keys_are_kept_at_once_and_deferred(make_corpus: MakeCorpus) -> None:
    for deferred in ("", "deferrable initially deferred"):
        name = f"q{len(deferred)}"
        corpus = make_corpus(
            f"create table if not exists topics (id text primary key); insert or ignore into topics values ('sea');"
            f"create table {name} (id text primary key, title text, topic text references topics (id) {deferred});"
        )
        fill(corpus, name, [(str(n), "t", None) for n in range(9)])
        todo = [write(str(n), "t", {"topic": None}, {"topic": "sea" if n != 4 else "moon"}) for n in range(9)]
        done = list(corpus.write("r1", name, ["id"], todo, fingerprint=marked))
        assert fates(done) == ["applied"] * 4 + ["refused"] + ["applied"] * 4
        assert done[4].reason == "FOREIGN KEY constraint failed"
        assert cells(corpus, name, "topic").count("sea") == 8


def test_a_trigger_may_refuse_a_row_even_by_rolling_all_back(make_corpus: MakeCorpus) -> None:
    for how in ("abort", "rollback", "fail"):
        corpus = make_corpus(
            f"drop table if exists q; {TABLE} create trigger tr before update on q when new.summary = 'about 3' "
            f"begin select raise({how}, 'not this one'); end;"
        )
        fill(corpus, "q", [(f"q{n}", f"title {n}", None, None) for n in range(8)])
        done = put(corpus, *writes(8), release=how)
        assert fates(done) == ["applied"] * 3 + ["refused"] + ["applied"] * 4
        assert done[3].reason == "not this one"
        assert corpus.backed_up(how) == (7, 0)


@pytest.mark.parametrize("value", [float("nan"), 2**70, "\ud800", object()])
def test_a_value_that_no_cell_can_hold_refuses_its_row_alone(make_corpus: MakeCorpus, value: Any) -> None:
    corpus = make_corpus("create table q (id text primary key, title text, summary);")
    fill(corpus, "q", [(f"q{n}", f"title {n}", None) for n in range(3)])
    todo = writes(3)
    todo[1] = write("q1", "title 1", EMPTY, {"summary": value})
    assert fates(put(corpus, *todo)) == ["applied", "refused", "applied"]
    assert cells(corpus, "q", "summary") == ["about 0", None, "about 2"]


VALUES: list[tuple[str, Any]] = [
    ("text", 5), ("text", True), ("text", 1.5), ("text", 1e300), ("text", Decimal("1.10")), ("text", ["a", {"b": 1}]),
    ("text", date(2020, 1, 2)), ("text", "  5 "), ("text", b"x"), ("integer", "5"), ("integer", " 12 "),
    ("integer", 5.0), ("integer", "5.5"), ("integer", "five"), ("numeric", "007"), ("numeric", Decimal("1.10")),
    ("numeric", "1e3"), ("numeric", "12345678901234567890123"), ("real", 3), ("real", "3"), ("real", float("inf")),
    ("boolean", True), ("boolean", "1"), ("date", "2020-01-02"), ("date", "2020"), ("date", date(2020, 1, 2)),
    ("datetime", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)), ("json", ["a"]), ("json", "5"), ("json", {"b": None}),
    ("json", '"x"'), ("blob", "5"), ("blob", 5), ("blob", b"\x00\xff"), ("", "5"), ("", 5.0), ("string", "007"),
    ("text", "🌊 日本 é e\u0301 \x00"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "value"), VALUES)
def test_what_was_written_is_known_again_and_can_be_taken_back(
    make_corpus: MakeCorpus, declared: str, value: Any
) -> None:
    corpus = make_corpus(f"create table q (id text primary key, title text, summary {declared});")
    fill(corpus, "q", [("q0", "t", None)])
    todo = write("q0", "t", EMPTY, {"summary": value})
    assert fates(put(corpus, todo)) == ["applied"]
    assert fates(put(corpus, todo)) == ["already"]
    assert corpus.roll_back("r1").restored == 1
    assert rows(corpus, "q")[0]["summary"] is None


@pytest.mark.parametrize("before", [None, "", "text", "5", 5, 5.0, 0.1, 1e300, float("inf"), b"\x00\xff", 2**63 - 1])
def test_a_rollback_restores_value_and_type(make_corpus: MakeCorpus, before: Any) -> None:
    corpus = make_corpus("create table q (id text primary key, title text, summary);")
    fill(corpus, "q", [("q0", "t", before)])
    assert fates(put(corpus, write("q0", "t", {"summary": before}, {"summary": "new"}))) == ["applied"]
    corpus.roll_back("r1")
    now = rows(corpus, "q")[0]["summary"]
    assert (now, type(now)) == (before, type(before))


def test_composite_and_unicode_keys_are_written_exactly(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table q (a text, b integer, title text, summary text, primary key (a, b));")
    names = ["é", "e\u0301", "日本", "'; drop table q; --"]
    fill(corpus, "q", [(a, b, "t", None) for a in names for b in (1, 2)])
    todo = [write((a, 2), "t", EMPTY, {"summary": f"of {a}"}) for a in names]
    assert fates(list(corpus.write("r1", "q", ["a", "b"], todo, fingerprint=marked))) == ["applied"] * 4
    for row in rows(corpus, "q", ["a", "b"]):
        assert row["summary"] == (f"of {row['a']}" if row["b"] == 2 else None)
    assert corpus.roll_back("r1").restored == 4
    assert cells_of(corpus) == {None}


def cells_of(corpus: Corpus) -> set[Any]:
    return {row["summary"] for row in rows(corpus, "q", ["a", "b"])}


def test_a_key_that_differs_only_for_us_touches_no_other_row(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table q (id text collate nocase primary key, title text, summary text);")
    fill(corpus, "q", [("a", "t", None)])
    assert fates(put(corpus, write("A", "t", EMPTY, {"summary": "x"}))) == ["vanished"]


def test_a_key_that_several_rows_share_is_refused(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table q (id text collate nocase, title text, summary text);")
    fill(corpus, "q", [("a", "t", None), ("b", "t", None), ("b", "t", None), ("c", "t", None), ("C", "t", None)])
    done = put(corpus, *(write(key, "t", EMPTY, {"summary": "x"}) for key in "abc"))
    assert fates(done) == ["applied", "refused", "refused"]
    assert [row["summary"] for row in rows(corpus, "q")] == ["x", None, None, None, None]


def test_unknown_and_key_columns_cannot_be_written(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    with pytest.raises(SourceError, match='did you mean "summary"'):
        put(corpus, write("q0", "title 0", {}, {"sumary": "x"}))
    with pytest.raises(SourceError, match="never rewritten"):
        put(corpus, write("q0", "title 0", {}, {"id": "x"}))
    with pytest.raises(UsageError, match="not a key"):
        put(corpus, CellWrite("7", "", {}, {"summary": "x"}))
    with pytest.raises(SourceError, match="is a view"):
        corpus.create("create view v as select * from q")
        list(corpus.write("r1", "v", ["id"], [], fingerprint=marked))


# ----------------------------------------------------------------------------------------- views


def through_view(make_corpus: MakeCorpus) -> Corpus:
    corpus = filled(make_corpus)
    corpus.create("create view open as select id, upper(title) as title from q where topic is null")
    return corpus


def seen(n: int) -> CellWrite:
    return write(f"q{n}", f"TITLE {n}", EMPTY, {"summary": f"about {n}"})


def test_a_fingerprint_is_taken_from_the_row_of_the_view(make_corpus: MakeCorpus) -> None:
    corpus = through_view(make_corpus)
    change(corpus, "update q set title = 'another' where id = 'q1'")
    assert fates(put(corpus, seen(0), seen(1), source="open")) == ["applied", "drifted"]


def test_a_row_that_left_the_view_has_drifted_unless_it_holds_the_value(make_corpus: MakeCorpus) -> None:
    corpus = through_view(make_corpus)
    change(corpus, "update q set topic = 'sea' where id in ('q0', 'q1')")
    change(corpus, "update q set summary = 'about 1' where id = 'q1'")
    done = put(corpus, seen(0), seen(1), seen(2), source="open")
    assert fates(done) == ["drifted", "already", "applied"]
    assert "no longer in open" in done[0].reason


# --------------------------------------------------------------------------------------- preview


def test_a_preview_says_the_same_and_writes_nothing(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = filled(make_corpus)
    change(corpus, "update q set summary = 'mine' where id = 'q1'")
    before = database.read_bytes()
    todo = [*writes(3), write("q9", "t", EMPTY, {"summary": "x"})]
    said = list(corpus.preview("q", ["id"], todo, fingerprint=marked))
    assert database.read_bytes() == before
    assert said == put(corpus, *todo)
    assert fates(said) == ["applied", "drifted", "applied", "vanished"]


def test_the_backup_table_is_made_at_need_and_hidden(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = filled(make_corpus)
    assert corpus.backed_up("r1") == (0, 0)
    put(corpus, write("q9", "t", EMPTY, {"summary": "x"}))
    assert BACKUP_TABLE not in tables_of(database)
    put(corpus, *writes(1))
    assert BACKUP_TABLE in tables_of(database)
    assert corpus.tables() == ["q"]


def tables_of(database: Path) -> set[str]:
    with sqlite3.connect(database) as other:
        return {name for (name,) in other.execute("select name from sqlite_master")}


# ----------------------------------------------------------------------------- pace, others, kills


def test_a_transaction_takes_as_many_rows_as_its_time_allows() -> None:
    pace = Pace()
    for _ in range(8):
        pace.took(pace.size * 3e-6, pace.size)
    assert pace.size == 5000
    pace.took(0.2, 5000)
    assert pace.size == 500
    for _ in range(8):
        pace.took(1.0, pace.size)
    assert pace.size == pace.least


def test_no_lock_is_held_between_batches(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = filled(make_corpus, 1200)
    going = iter(corpus.write("r1", "q", ["id"], writes(1200), fingerprint=marked))
    next(going)
    with sqlite3.connect(database, timeout=0) as other:
        other.execute("update q set summary = 'mine' where id = 'q1199'")
    other.close()
    assert Counter(fates(list(going))) == {"applied": 1198, "drifted": 1}


def test_an_error_of_ours_leaves_nothing_half_done(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)

    def broken(row: Any) -> str:
        if row["id"] == "q2":
            raise RuntimeError("a bug")
        return marked(row)

    with pytest.raises(RuntimeError, match="a bug"):
        list(corpus.write("r1", "q", ["id"], writes(3), fingerprint=broken))
    assert cells(corpus, "q", "summary") == [None] * 3
    assert fates(put(corpus, *writes(3))) == ["applied"] * 3


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_after_a_kill_each_row_has_both_its_change_and_its_backup_or_neither(
    make_corpus: MakeCorpus, database: Path, journal: str
) -> None:
    corpus = filled(make_corpus, database_killed.COUNT)
    change(corpus, f"pragma journal_mode = {journal}")
    corpus.close()
    process = subprocess.Popen(
        [sys.executable, "-m", database_killed.__name__, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    log = database.with_name(f"{database.name}-{'journal' if journal == 'delete' else 'wal'}")
    before = size_of(log)
    waiting_until(lambda: size_of(log) not in (0, before))  # in the middle of a transaction
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with sqlite3.connect(database) as other:
        changed = {key for (key,) in other.execute("select json_array(id) from q where summary is not null")}
        saved = {key for (key,) in other.execute(f"select key from {BACKUP_TABLE}")}
    other.close()
    assert 0 < len(changed) < database_killed.COUNT
    assert changed == saved
    again = open_corpus(url(database))
    done = Counter(one.fate for one in again.write("r1", "q", ["id"], writes(len(changed)), fingerprint=marked))
    assert done["already"] == len(changed)
    assert again.roll_back("r1").restored == len(changed)
    again.close()


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
