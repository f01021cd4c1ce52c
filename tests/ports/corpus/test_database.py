"""Tables, keys, pages, groups, look-ups: what any database behind the corpus has to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from seedbed.conditions import ALWAYS, All, Compare, Empty
from seedbed.errors import Pause, SourceError
from seedbed.ports.corpus.database import open_corpus
from tests.ports.corpus.databases import MakeCorpus, fill

BOOKS = """
create table books (
    id text primary key, title text, year integer, price numeric(8, 2), lent boolean,
    bought date, seen timestamp, tags json, cover blob, shelf text
);
insert into books values
    ('b1', 'Sea', 1990, 9.5, 1, '2020-01-02', '2020-01-02 10:00:00', '["a"]', x'00ff', 'x'),
    ('b2', 'Land', 1991, 12, 0, null, null, null, null, 'y'),
    ('b3', 'Sky', null, null, null, null, null, null, null, null),
    ('b4', 'Fire', 2001, 1, 1, null, null, null, null, 'x');
"""


def test_a_table_is_described_by_its_declared_types(make_corpus: MakeCorpus) -> None:
    table = make_corpus(BOOKS).table("books")
    assert dict(table.columns) == {
        "id": "text", "title": "text", "year": "int", "price": "number", "lent": "bool", "bought": "date",
        "seen": "datetime", "tags": "json", "cover": "text", "shelf": "text",
    }  # fmt: skip
    assert table.key == ("id",)
    assert not table.view


def test_a_view_is_described_without_a_key(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(BOOKS + "create view lent as select id, title, year + 1 as next from books where lent;")
    assert corpus.tables() == ["books", "lent"]
    table = corpus.table("lent")
    assert (table.view, table.key, list(table.columns)) == (True, (), ["id", "title", "next"])
    assert [row["id"] for row in corpus.page("lent", ["id"], ALWAYS)] == ["b1", "b4"]


def test_a_composite_key_is_described_in_its_own_order(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text, b integer, c text, primary key (c, b));")
    assert corpus.table("t").key == ("c", "b")


def test_a_table_without_a_key_has_none(make_corpus: MakeCorpus) -> None:
    assert make_corpus("create table t (a text);").table("t").key == ()


def test_a_misspelt_table_is_answered_with_the_nearest(make_corpus: MakeCorpus) -> None:
    with pytest.raises(SourceError, match='did you mean "books"'):
        make_corpus(BOOKS).table("boks")


def test_a_misspelt_column_of_a_condition_is_answered_with_the_nearest(make_corpus: MakeCorpus) -> None:
    with pytest.raises(SourceError, match='did you mean "title"'):
        make_corpus(BOOKS).page("books", ["id"], Empty("titel"))


def test_a_table_made_by_another_program_is_seen(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus(BOOKS)
    assert corpus.table("books").key == ("id",)
    with sqlite3.connect(database) as other:
        other.execute("alter table books add column isbn text")
    assert "isbn" in corpus.table("books").columns


def test_pages_follow_each_other_in_key_order(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(BOOKS)
    first = corpus.page("books", ["id"], ALWAYS, limit=3)
    rest = corpus.page("books", ["id"], ALWAYS, after=["b3"], limit=3)
    assert [row["id"] for row in first + rest] == ["b1", "b2", "b3", "b4"]
    assert corpus.page("books", ["id"], ALWAYS, after=["b4"]) == []


def test_rows_hold_plain_values_and_bytes_stay_bytes(make_corpus: MakeCorpus) -> None:
    row = make_corpus(BOOKS).page("books", ["id"], ALWAYS, limit=1)[0]
    assert row["cover"] == b"\x00\xff"
    assert (row["year"], row["price"], row["tags"]) == (1990, 9.5, '["a"]')


@pytest.mark.parametrize("collation", ["binary", "nocase", "rtrim"])
def test_pages_of_a_composite_key_lose_and_repeat_no_row(make_corpus: MakeCorpus, collation: str) -> None:
    corpus = make_corpus(f"create table t (a text collate {collation}, b integer, n text, primary key (a, b));")
    names = ["Zoe", "adam", "Bea", "ädä", "zoe9", "", "日本"]
    fill(corpus, "t", [(a, b, "x") for a in names for b in (1, -5, 10)])
    seen = []
    page = corpus.page("t", ["a", "b"], ALWAYS, limit=4)
    while page:
        seen += page
        page = corpus.page("t", ["a", "b"], ALWAYS, after=[page[-1]["a"], page[-1]["b"]], limit=4)
    assert len(seen) == 21
    assert {(row["a"], row["b"]) for row in seen} == {(a, b) for a in names for b in (1, -5, 10)}
    assert seen == corpus.page("t", ["a", "b"], ALWAYS)


def test_pages_hold_through_a_key_of_mixed_types(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (k primary key);")
    fill(corpus, "t", [(3,), ("3",), (2.5,), ("a",), (-1,), ("10",), (10,)])
    seen: list[Any] = []
    after = None
    while page := corpus.page("t", ["k"], ALWAYS, after=after, limit=2):
        seen += [row["k"] for row in page]
        after = [seen[-1]]
    assert seen == [-1, 2.5, 3, 10, "10", "3", "a"]


def test_fetch_finds_many_keys_by_equality(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (id integer primary key, v text);")
    fill(corpus, "t", [(n, f"v{n}") for n in range(2000)])
    rows = corpus.fetch("t", ["id"], [(n,) for n in range(-10, 1500)] + [("no",), (2**70,), ("\ud800",)])
    assert sorted(row["id"] for row in rows) == list(range(1500))
    assert corpus.fetch("t", ["id"], []) == []


def test_fetch_finds_composite_and_unicode_keys(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text, b integer, primary key (a, b));")
    fill(corpus, "t", [("é", 1), ("e\u0301", 1), ("é", 2), ("'; drop table t; --", 3)])
    rows = corpus.fetch("t", ["a", "b"], [("é", 1), ("'; drop table t; --", 3), ("é", 9)])
    assert {(row["a"], row["b"]) for row in rows} == {("é", 1), ("'; drop table t; --", 3)}


def test_names_need_no_care(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(
        'create table "odd ""table"" %s" ("the key" text primary key, "select" text, "a:b" text, "50%" text);'
    )
    name = 'odd "table" %s'
    fill(corpus, '"odd ""table"" %s"', [("1", "x", "y", None)])
    assert corpus.page(name, ["the key"], Compare("select", "=", "x"))[0]["a:b"] == "y"
    assert len(corpus.fetch(name, ["the key"], [("1",)])) == 1


# ------------------------------------------------------------------------------------------ keys


def test_a_primary_key_passes_its_check(make_corpus: MakeCorpus) -> None:
    make_corpus(BOOKS).check_key("books", ["id"])


def test_a_null_in_a_text_primary_key_is_shown(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (id text primary key, v text);")
    fill(corpus, "t", [(None, "lonely"), ("a", "b")])
    with pytest.raises(SourceError, match="lonely"):
        corpus.check_key("t", ["id"])


def test_doubled_keys_are_shown(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text, b text);")
    fill(corpus, "t", [("x", "1"), ("x", "2"), ("y", "1")])
    corpus.check_key("t", ["a", "b"])
    with pytest.raises(SourceError, match=r"'x'\): 2 rows"):
        corpus.check_key("t", ["a"])


def test_at_most_five_bad_rows_are_shown(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text);")
    fill(corpus, "t", [(str(n % 20),) for n in range(40)])
    with pytest.raises(SourceError) as caught:
        corpus.check_key("t", ["a"])
    assert caught.value.why.count("2 rows") == 5


def test_a_unique_index_proves_that_keys_differ_but_not_that_they_are_there(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text); create unique index i on t (a);")
    fill(corpus, "t", [("x",), ("y",)])
    corpus.check_key("t", ["a"])
    fill(corpus, "t", [(None,)])
    with pytest.raises(SourceError, match="NULL"):
        corpus.check_key("t", ["a"])


def test_keys_that_the_order_of_paging_cannot_tell_apart_are_refused(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text collate nocase); create unique index i on t (a collate binary);")
    fill(corpus, "t", [("x",), ("X",)])
    with pytest.raises(SourceError, match="2 rows"):
        corpus.check_key("t", ["a"])


def test_a_partial_unique_index_proves_nothing(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (a text not null, b int); create unique index i on t (a) where b = 1;")
    fill(corpus, "t", [("x", 0), ("x", 0)])
    with pytest.raises(SourceError, match="2 rows"):
        corpus.check_key("t", ["a"])


def test_a_table_without_a_key_asks_for_one(make_corpus: MakeCorpus) -> None:
    with pytest.raises(SourceError, match="--key"):
        make_corpus("create table t (a text);").check_key("t", ())


# ---------------------------------------------------------------------------------------- groups


def test_groups_come_whole_in_order_with_null_first(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(BOOKS)
    groups = corpus.group_page("books", ["shelf"], ["id"], ALWAYS)
    assert [(by, [row["id"] for row in rows]) for by, rows in groups] == [
        ((None,), ["b3"]),
        (("x",), ["b1", "b4"]),
        (("y",), ["b2"]),
    ]


def test_pages_of_groups_lose_none_whatever_is_null(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (id integer primary key, a text collate nocase, b);")
    values = [None, "x", "X", "é", 1, 2.5]
    fill(corpus, "t", [(n, values[n % 6], values[n // 6 % 6]) for n in range(72)])
    whole = corpus.group_page("t", ["a", "b"], ["id"], ALWAYS)
    assert len(whole) == 36
    paged: list[Any] = []
    after = None
    while page := corpus.group_page("t", ["a", "b"], ["id"], ALWAYS, after=after, limit=5):
        paged += page
        after = page[-1][0]
    assert paged == whole
    assert [by for by, _ in paged] == [by for by, _ in corpus.count_by("t", ["a", "b"], ALWAYS)]


def test_groups_hold_only_the_rows_that_are_chosen(make_corpus: MakeCorpus) -> None:
    groups = make_corpus(BOOKS).group_page("books", ["shelf"], ["id"], Compare("year", ">", 1990))
    assert [(by, [row["id"] for row in rows]) for by, rows in groups] == [(("x",), ["b4"]), (("y",), ["b2"])]


def test_rows_are_counted_whole_and_by_columns(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(BOOKS)
    assert corpus.count("books", ALWAYS) == 4
    assert corpus.count("books", All((Compare("lent", "=", True),))) == 2
    assert corpus.count_by("books", ["shelf", "lent"], ALWAYS) == [((None, None), 1), (("x", 1), 2), (("y", 0), 1)]


# -------------------------------------------------------------------------------------- look-ups


def test_a_look_up_finds_equal_rows_in_order(make_corpus: MakeCorpus) -> None:
    look = make_corpus(BOOKS).lookup()
    assert look.rows("books", {"shelf": "x"}, columns=["title"], order="-year") == [
        {"title": "Fire"},
        {"title": "Sea"},
    ]
    assert [row["id"] for row in look.rows("books", {"shelf": None})] == ["b3"]
    assert [row["id"] for row in look.rows("books", limit=2)] == ["b1", "b2"]
    assert [row["id"] for row in look.rows("books", {"lent": True, "price": "9.50"})] == ["b1"]
    assert [row["id"] for row in look.rows("books", {"tags": ["a"]})] == ["b1"]


def test_a_look_up_names_the_nearest_column(make_corpus: MakeCorpus) -> None:
    look = make_corpus(BOOKS).lookup()
    for ask in ({"where": {"shlf": 1}}, {"columns": ["shlf"]}, {"order": "-shlf"}):
        with pytest.raises(SourceError, match='did you mean "shelf"'):
            look.rows("books", **ask)


def test_a_look_up_is_exact_where_the_column_is_not(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table t (id text collate nocase primary key);")
    fill(corpus, "t", [("a",)])
    assert corpus.lookup().rows("t", {"id": "A"}) == []
    assert corpus.lookup().rows("t", {"id": float("nan")}) == []


# --------------------------------------------------------------------- opening, creating, changing


def test_opening_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.db"):
        open_corpus(f"sqlite:///{tmp_path}/missing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "corpus.db", "sqlite://", "sqlite:///:memory:", "postgresql://host/db"])
def test_what_is_no_url_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match="sqlite:///"):
        open_corpus(url)


def test_a_relative_url_is_read_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "ä #?%41.db").execute("create table t (a text)").connection.close()
    monkeypatch.chdir(tmp_path)
    corpus = open_corpus("sqlite:///ä #%3F%2541.db")
    assert corpus.tables() == ["t"]
    corpus.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("a,b\n1,2\n" * 100)
    with pytest.raises(SourceError, match="cannot be read as a SQLite database"):
        open_corpus(f"sqlite:///{tmp_path}/a.db")


def test_text_that_is_not_utf8_is_named(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus("create table t (id integer primary key, a text);")
    with sqlite3.connect(database) as other:
        other.execute("insert into t values (1, cast(x'ff41' as text))")
    with pytest.raises(SourceError, match="UTF-8"):
        corpus.page("t", ["id"], ALWAYS)


def test_the_journal_mode_stays_as_it_was(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus("create table t (id text primary key);")
    corpus.create("create table if not exists u (id text primary key)")
    with sqlite3.connect(database) as other:
        assert other.execute("pragma journal_mode").fetchone() == ("delete",)


def test_a_database_that_another_program_holds_is_a_pause(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus("create table t (id text primary key);", patience=0.05)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(Pause, match="Another program holds"):
        corpus.create("create table u (id text)")
    other.execute("rollback")
    other.close()
    corpus.create("create table u (id text)")
    assert corpus.tables() == ["t", "u"]


def test_a_file_that_may_not_be_written_can_still_be_read(make_corpus: MakeCorpus, database: Path) -> None:
    make_corpus(BOOKS).close()
    database.chmod(0o444)
    corpus = open_corpus(f"sqlite:///{database}")
    assert corpus.count("books", ALWAYS) == 4
    corpus.close()


def test_a_script_with_triggers_runs_whole_and_can_be_repeated(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table log (a text);")
    script = """
        -- a comment; with a semicolon
        create table if not exists t (id text primary key default 'a;b');
        create trigger if not exists tr after insert on t begin
            insert into log values ('x;y'); insert into log values ('z');
        end;
        create index if not exists i on t (id)
    """
    corpus.create(script)
    corpus.create(script)
    fill(corpus, "t", [("1",)])
    assert corpus.count("log", ALWAYS) == 2


def test_a_script_that_fails_leaves_nothing(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table log (a text);")
    with pytest.raises(SourceError):
        corpus.create("create table t (id text); create table broken (;")
    assert corpus.tables() == ["log"]


def test_missing_columns_are_added_and_present_ones_left_alone(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(BOOKS)
    added: Any = {"Title": "int", "my note": "text", "n": "int", "x": "number", "b": "bool", "d": "date",
                  "at": "datetime", "j": "json"}  # fmt: skip
    corpus.add_columns("books", added)
    corpus.add_columns("books", added)
    columns = corpus.table("books").columns
    assert columns["title"] == "text"
    assert {name: columns[name] for name in added if name != "Title"} == {
        name: kind for name, kind in added.items() if name != "Title"
    }


def test_a_full_text_index_shows_no_inner_tables(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create virtual table words using fts5 (text);")
    assert corpus.tables() == ["words"]
