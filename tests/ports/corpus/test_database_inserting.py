"""Rows are made once; duplicates and declined rows are told apart, whatever the batches were."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import Pause, SourceError
from seedbed.ports.corpus import Corpus, Inserted, NewRow
from seedbed.ports.corpus.batches import Pace
from seedbed.ports.corpus.connections import Session
from tests.ports.corpus.databases import MakeCorpus, cells, change, fates, fill, made, rows

TABLE = """
create table facts (
    id text primary key, topic text, title text check (length(title) < 40), entry text, tags json, rank integer
);
"""


def put(corpus: Corpus, *todo: NewRow, release: str = "r1") -> list[Inserted]:
    return list(corpus.insert(release, todo))


def fact(id: str, title: Any, topic: Any = "sea", **more: Any) -> NewRow:
    return made(id, {"topic": topic, "title": title}, "topic", "title", **more)


def test_rows_are_stored_with_their_id_and_lists_as_json(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    done = put(corpus, made("f1", {"title": "Salt", "tags": ["a", "é"], "rank": "3"}))
    assert fates(done) == ["stored"]
    assert rows(corpus, "facts") == [
        {"id": "f1", "topic": None, "title": "Salt", "entry": None, "tags": '["a", "é"]', "rank": 3}
    ]
    assert corpus.backed_up("r1") == (0, 1)


def test_the_same_row_again_is_there_already(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    todo = [fact("f1", "Salt"), fact("f2", "Tide")]
    put(corpus, *todo)
    assert [(one.fate, one.reason) for one in put(corpus, *todo, release="r2")] == [("already", "")] * 2
    assert corpus.backed_up("r2") == (0, 0)


def test_a_row_that_a_person_edited_stays_and_is_named(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    put(corpus, fact("f1", "Salt"))
    change(corpus, "update facts set title = 'Salt!'")
    assert [(one.fate, one.reason) for one in put(corpus, fact("f1", "Salt"))] == [("already", "edited since")]
    assert cells(corpus, "facts", "title") == ["Salt!"]


@pytest.mark.parametrize(
    ("there", "new"),
    [
        ("Salt", "SALT"), ("Straße", "STRASSE"), ("Café", "CAFE\u0301"), ("ΟΔΟΣ", "οδος"), ("İ", "i\u0307"),
        ("日本", "日本"), ("", ""), ("5", 5),
    ],
)  # fmt: skip
def test_a_natural_key_is_compared_whatever_its_case_and_form(make_corpus: MakeCorpus, there: str, new: Any) -> None:
    corpus = make_corpus(TABLE)
    fill(corpus, "facts", [("old", "Sea", there, None, None, None)])
    done = put(corpus, fact("new", new), fact("other", "Else"))
    assert fates(done) == ["duplicate", "stored"]
    assert done[0].reason == "same topic, title as facts old"


def test_of_two_in_one_batch_the_first_wins(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    done = put(corpus, fact("f1", "Salt"), fact("f2", "salt", parent="p2"), fact("f3", "SALT", parent="p3"))
    assert fates(done) == ["stored", "duplicate", "duplicate"]
    assert done[2].reason == "same topic, title as facts f1"


def test_a_row_made_twice_by_one_answer_is_a_duplicate_of_itself(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    todo = [fact("f1", "Salt"), fact("f1", "salt", ordinal=1), fact("f2", "Tide", parent="p2")]
    assert fates(put(corpus, *todo)) == ["stored", "duplicate", "stored"]
    assert fates(put(corpus, *todo)) == ["already", "duplicate", "already"]


def test_an_empty_natural_key_tells_nothing_and_a_half_empty_one_does(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    done = put(
        corpus,
        fact("f1", None, None),
        fact("f2", None, None),
        fact("f3", "Salt", None),
        fact("f4", "salt", None),
    )
    assert fates(done) == ["stored", "stored", "stored", "duplicate"]


def test_any_of_several_natural_keys_makes_a_duplicate(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    keys = (*fact("", "").unique, *made("", {}, "entry").unique)
    todo = [
        NewRow(id, "facts", {"topic": "sea", "title": title, "entry": entry}, keys, "p", 0)
        for id, title, entry in [("f1", "Salt", "e1"), ("f2", "SALT", "e2"), ("f3", "Tide", "E1"), ("f4", "Tide", "e4")]
    ]
    done = put(corpus, *todo)
    assert fates(done) == ["stored", "duplicate", "duplicate", "stored"]
    assert done[2].reason == "same entry as facts f1"


def test_a_declined_row_is_rejected_in_the_databases_words_and_takes_no_natural_key(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    bad = made("f1", {"topic": "sea", "title": "x" * 50, "entry": "e"}, "entry")
    good = made("f2", {"topic": "sea", "title": "Salt", "entry": "E"}, "entry")
    done = put(corpus, *(fact(f"a{n}", f"t{n}") for n in range(100)), bad, good)
    assert Counter(fates(done)) == {"stored": 101, "rejected": 1}
    assert done[100].reason.startswith("CHECK constraint failed")
    assert corpus.backed_up("r1") == (0, 101)
    assert fates(put(corpus, made("f3", {"entry": "e"}, "entry"))) == ["duplicate"]


@pytest.mark.parametrize("value", [float("nan"), 2**70, "\ud800"])
def test_a_value_that_no_cell_can_hold_rejects_its_row_alone(make_corpus: MakeCorpus, value: Any) -> None:
    corpus = make_corpus(TABLE)
    todo = [made(f"f{n}", {"rank": value if n == 1 else n}, "rank") for n in range(3)]
    assert fates(put(corpus, *todo)) == ["stored", "rejected", "stored"]


FAMILY = """
create table entries (id text primary key, parent text references entries (id) DEFERRED, name text);
create table facts (id text primary key, entry text not null references entries (id), title text);
"""


@pytest.mark.parametrize("deferred", ["", "deferrable initially deferred"])
def test_rows_of_several_tables_are_stored_in_the_order_given(make_corpus: MakeCorpus, deferred: str) -> None:
    corpus = make_corpus(FAMILY.replace("DEFERRED", deferred))
    done = put(
        corpus,
        made("e1", {"name": "sea"}, table="entries"),
        made("f1", {"entry": "e1", "title": "a"}),
        made("e2", {"name": "tide", "parent": "e1"}, table="entries"),
        made("e3", {"name": "lost", "parent": "e9"}, table="entries"),
        made("f2", {"entry": "e2", "title": "b"}),
        made("f3", {"entry": "e3", "title": "c"}),
    )
    assert fates(done) == ["stored", "stored", "stored", "rejected", "stored", "rejected"]
    assert done[3].reason == "FOREIGN KEY constraint failed"
    assert corpus.backed_up("r1") == (0, 4)


def test_what_others_insert_meanwhile_is_seen(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus(TABLE)
    put(corpus, fact("f1", "Salt"))
    with sqlite3.connect(database) as other:
        other.execute("insert into facts (id, topic, title) values ('x', 'sea', 'TIDE')")
        other.execute("delete from facts where id = 'f1'")
    other.close()
    assert fates(put(corpus, fact("f2", "tide"), fact("f3", "salt"))) == ["duplicate", "stored"]


def test_what_this_corpus_changes_elsewhere_is_seen(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    put(corpus, fact("f1", "Salt"))
    corpus.roll_back("r1")
    assert fates(put(corpus, fact("f2", "salt"), release="r2")) == ["stored"]
    change(corpus, "update facts set title = 'Tide'")
    assert fates(put(corpus, fact("f3", "salt"), fact("f4", "tide"))) == ["stored", "duplicate"]


@pytest.mark.parametrize("size", [1, 2, 7, 500])
def test_fates_do_not_depend_on_the_batches(
    make_corpus: MakeCorpus, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "took", lambda self, seconds, rows: None)
    monkeypatch.setattr(Pace.__init__, "__defaults__", (size, 1, 5000))
    corpus = make_corpus(TABLE)
    todo = [
        fact(f"f{n % 17}-{n // 20}", f"Title {n % 13}" if n % 11 else "x" * 50, parent=f"p{n // 20}", ordinal=n)
        for n in range(200)
    ]
    done = put(corpus, *todo)
    assert Counter(fates(done)) == {"stored": 13, "duplicate": 171, "rejected": 16}
    assert [one.row for one in done] == todo
    assert fates(done)[:15] == ["rejected", *["stored"] * 10, "rejected", "stored", "stored", "duplicate"]


def test_a_table_for_made_rows_needs_a_key_of_one_column(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table a (x text); create table b (x text, y text, primary key (x, y));")
    for table in "ab":
        with pytest.raises(SourceError, match="key of one column"):
            put(corpus, made("1", {"x": "1"}, table=table))


def test_misspelt_columns_and_contradicting_ids_are_refused_before_anything_is_stored(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    with pytest.raises(SourceError, match='did you mean "title"'):
        put(corpus, fact("f0", "x"), made("f1", {"titel": "Salt"}))
    with pytest.raises(SourceError, match='did you mean "title"'):
        put(corpus, made("f1", {"title": "Salt"}, "titel"))
    with pytest.raises(SourceError, match="another id"):
        put(corpus, made("f1", {"id": "f2"}))
    assert rows(corpus, "facts") == []
    assert fates(put(corpus, made("f1", {"id": "f1"}))) == ["stored"]


def test_a_preview_says_the_same_and_writes_nothing(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus(TABLE)
    put(corpus, fact("f1", "Salt"))
    before = database.read_bytes()
    todo = [fact("f1", "Salt"), fact("f2", "SALT", parent="p2"), fact("f3", "Tide"), fact("f4", "tide", parent="p3")]
    said = list(corpus.preview_insert(todo))
    assert database.read_bytes() == before
    assert fates(said) == ["already", "duplicate", "stored", "duplicate"]
    assert said == put(corpus, *todo)


def test_a_preview_waits_for_nobody(make_corpus: MakeCorpus, database: Path) -> None:
    corpus = make_corpus(TABLE, patience=0)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("begin immediate")
    assert fates(list(corpus.preview_insert([fact("f1", "Salt")]))) == ["stored"]
    with pytest.raises(Pause):
        put(corpus, fact("f1", "Salt"))
    other.execute("rollback")
    other.close()
    assert fates(put(corpus, fact("f1", "Salt"))) == ["stored"]


@pytest.mark.parametrize("title", ["tide", "x" * 50])
def test_what_others_insert_just_before_the_lock_is_seen(
    make_corpus: MakeCorpus, database: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    corpus = make_corpus(TABLE + FAMILY_OF_TWO)
    real = Session.transaction
    others = iter(["insert into facts (id, topic, title) values ('x', 'sea', 'TIDE')", "delete from parents"])

    def late(session: Session) -> Any:
        with sqlite3.connect(database) as other:
            other.execute(next(others, "select 1"))
        other.close()
        return real(session)

    monkeypatch.setattr(Session, "transaction", late)
    lost = made("c1", {"parent": "nobody"}, table="children")
    done = put(corpus, fact("f1", "Salt"), lost, fact("f2", "tide"), fact("f3", title))
    assert fates(done)[:3] == ["stored", "rejected", "duplicate"]
    assert done[2].reason == "same topic, title as facts x"


FAMILY_OF_TWO = """
create table parents (id text primary key);
create table children (id text primary key, parent text references parents (id) deferrable initially deferred);
"""
