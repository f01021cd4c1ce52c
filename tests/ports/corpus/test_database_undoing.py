"""A rollback restores what still holds what the release wrote, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from seedbed.ports.corpus import Corpus, NewRow, Undone
from tests.ports.corpus.databases import MakeCorpus, cells, change, fill, made, marked, rows, write

TABLE = "create table q (id text primary key, title text, summary text, topic text);"


def filled(make_corpus: MakeCorpus, count: int = 3) -> Corpus:
    corpus = make_corpus(TABLE)
    fill(corpus, "q", [(f"q{n}", f"title {n}", f"old {n}", None) for n in range(count)])
    return corpus


def put(corpus: Corpus, count: int = 3, release: str = "r1", text: str = "new", before: str = "old") -> None:
    todo = [
        write(f"q{n}", f"title {n}", {"summary": f"{before} {n}", "topic": None if before == "old" else before},
              {"summary": f"{text} {n}", "topic": text})
        for n in range(count)
    ]  # fmt: skip
    done = list(corpus.write(release, "q", ["id"], todo, fingerprint=marked))
    assert {one.fate for one in done} == {"applied"}


def insert(corpus: Corpus, *todo: NewRow, release: str = "r1") -> None:
    assert {one.fate for one in corpus.insert(release, todo)} == {"stored"}


def undone(corpus: Corpus, release: str = "r1") -> Undone:
    """A rollback; the dry run before it must have foretold it and changed nothing."""
    before = {table: rows(corpus, table) for table in corpus.tables()}
    told = corpus.roll_back(release, dry_run=True)
    assert {table: rows(corpus, table) for table in corpus.tables()} == before
    done = corpus.roll_back(release)
    assert told == done
    return done


def test_everything_is_as_it_was(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    before = rows(corpus, "q")
    put(corpus)
    assert undone(corpus) == Undone(3, 0, (), ('["q0"]', '["q1"]', '["q2"]'))
    assert rows(corpus, "q") == before


def test_a_second_rollback_does_nothing_and_still_names_the_items(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    put(corpus)
    items = undone(corpus).items
    change(corpus, "update q set summary = 'new 0', topic = 'new'")
    assert undone(corpus) == Undone(0, 0, (), items)
    assert cells(corpus, "q", "topic") == ["new"] * 3
    assert corpus.backed_up("r1") == (3, 0)


def test_a_release_that_never_was_has_nothing(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    assert undone(corpus) == Undone(0, 0, (), ())
    put(corpus)
    assert undone(corpus, "other") == Undone(0, 0, (), ())


def test_an_edited_cell_stays_and_its_row_is_listed(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    put(corpus)
    change(corpus, "update q set summary = 'mine' where id = 'q1'")
    done = undone(corpus)
    assert done == Undone(2, 0, (('["q1"]', "edited since: summary"),), ('["q0"]', '["q2"]'))
    assert cells(corpus, "q", "summary") == ["old 0", "mine", "old 2"]
    assert cells(corpus, "q", "topic") == [None] * 3


def test_what_was_left_can_be_undone_when_it_holds_the_value_again(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    put(corpus)
    change(corpus, "update q set summary = 'mine' where id = 'q1'")
    undone(corpus)
    change(corpus, "update q set summary = 'new 1' where id = 'q1'")
    assert undone(corpus) == Undone(1, 0, (), ('["q0"]', '["q1"]', '["q2"]'))
    assert cells(corpus, "q", "summary")[1] == "old 1"


def test_a_row_that_a_person_set_back_is_undone_already(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 1)
    put(corpus, 1)
    change(corpus, "update q set summary = 'old 0', topic = null")
    assert undone(corpus) == Undone(0, 0, (), ('["q0"]',))


def test_a_later_release_stands_in_the_way_of_an_earlier_one(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 1)
    put(corpus, 1)
    put(corpus, 1, release="r2", text="newer", before="new")
    assert undone(corpus, "r1").left == (('["q0"]', "edited since: summary, topic"),)
    assert undone(corpus, "r2").restored == 1
    assert undone(corpus, "r1").restored == 1
    assert cells(corpus, "q", "summary") == ["old 0"]


def test_two_writes_of_one_release_to_one_cell_go_back_to_the_first(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 1)
    put(corpus, 1)
    put(corpus, 1, text="newer", before="new")
    assert undone(corpus) == Undone(2, 0, (), ('["q0"]',))
    assert cells(corpus, "q", "summary") == ["old 0"]


def test_gone_rows_columns_and_tables_are_listed(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    corpus.create("create table u as select id, title, summary from q; create table w as select * from u")
    for table in "uw":
        todo = [write("q0", "title 0", {"summary": "old 0"}, {"summary": "new"})]
        list(corpus.write("r1", table, ["id"], todo, fingerprint=marked))
    put(corpus)
    change(corpus, "delete from q where id = 'q0'")
    change(corpus, "drop table u")
    change(corpus, "alter table w rename column summary to gist")
    done = corpus.roll_back("r1")
    assert dict(done.left[:1]) == {'["q0"]': "the row is gone"}
    assert [reason for _, reason in done.left[1:]] == [
        'w has no column "summary"', f'There is no table "u" in {corpus._session.name}'  # type: ignore[attr-defined]
    ]  # fmt: skip
    assert done.restored == 2


def test_a_constraint_that_came_later_leaves_its_row(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus)
    put(corpus)
    change(corpus, "create unique index i on q (summary)")
    change(corpus, "insert into q values ('q9', 'x', 'old 1', null)")
    done = corpus.roll_back("r1")
    assert done.restored == 2
    assert done.left == (('["q1"]', "UNIQUE constraint failed: q.summary"),)


# --------------------------------------------------------------------------------------- made rows

FAMILY = """
create table entries (id text primary key, parent text references entries (id) ACTION, name text);
create table facts (id text primary key, entry text references entries (id) ACTION, title text);
"""
CHAIN = (
    made("e1", {"name": "sea"}, table="entries"),
    made("e2", {"name": "tide", "parent": "e1"}, table="entries"),
    made("f1", {"entry": "e1", "title": "a"}, parent='["p2"]'),
    made("f2", {"entry": "e2", "title": "b"}, parent='["p2"]'),
)
actions = pytest.mark.parametrize("action", ["", "on delete cascade", "on delete set null"])


@actions
def test_made_rows_go_children_first(make_corpus: MakeCorpus, action: str) -> None:
    corpus = make_corpus(FAMILY.replace("ACTION", action))
    insert(corpus, *CHAIN)
    assert undone(corpus) == Undone(0, 4, (), ('["p1"]', '["p2"]'))
    assert rows(corpus, "entries") == rows(corpus, "facts") == []
    assert undone(corpus) == Undone(0, 0, (), ('["p1"]', '["p2"]'))


@actions
def test_rows_that_others_refer_to_stay_and_take_nothing_along(make_corpus: MakeCorpus, action: str) -> None:
    corpus = make_corpus(FAMILY.replace("ACTION", action))
    insert(corpus, *CHAIN)
    change(corpus, "insert into facts values ('mine', 'e2', 'by hand')")
    done = undone(corpus)
    assert done.deleted == 2
    assert done.left == (('["e2"]', "rows of facts refer to it"), ('["e1"]', "rows of entries refer to it"))
    assert done.items == ('["p2"]',)
    assert cells(corpus, "facts", "entry") == ["e2"]


def test_a_row_that_refers_to_itself_goes(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(FAMILY.replace("ACTION", ""))
    insert(corpus, made("e1", {"name": "sea", "parent": "e1"}, table="entries"))
    assert undone(corpus).deleted == 1


def test_an_edited_row_stays_and_one_that_is_gone_counts_as_undone(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table facts (id text primary key, title text, note text);")
    insert(corpus, *(made(f"f{n}", {"title": f"t{n}"}, parent=f'["p{n}"]') for n in range(4)))
    change(corpus, "update facts set title = 'mine' where id = 'f0'")
    change(corpus, "update facts set note = 'a note in a cell that was not ours' where id = 'f1'")
    change(corpus, "delete from facts where id = 'f2'")
    done = undone(corpus)
    assert done == Undone(0, 2, (('["f0"]', "edited since: title"),), ('["p1"]', '["p2"]', '["p3"]'))
    assert cells(corpus, "facts", "id") == ["f0"]


def test_a_row_made_and_then_filled_by_one_release_goes(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table facts (id text primary key, title text, note text);")
    insert(corpus, made("f1", {"title": "t", "note": None}))
    todo = [write("f1", "t", {"note": None}, {"note": "n"})]
    list(corpus.write("r1", "facts", ["id"], todo, fingerprint=marked))
    assert undone(corpus) == Undone(1, 1, (), ('["p1"]', '["f1"]'))


def test_a_parent_with_one_kept_row_is_not_undone(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table facts (id text primary key, title text);")
    insert(corpus, made("f1", {"title": "a"}), made("f2", {"title": "b"}), made("f3", {"title": "c"}, parent='["p2"]'))
    change(corpus, "update facts set title = 'mine' where id = 'f2'")
    assert undone(corpus).items == ('["p2"]',)


def test_rows_with_bytes_and_odd_numbers_go(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus("create table facts (id text primary key, title, cover blob);")
    values: list[Any] = [b"\x00\xff", float("inf"), 1e300, 2**63 - 1, None, "", {"a": [1]}]
    insert(corpus, *(made(f"f{n}", {"title": value, "cover": b"\x01"}) for n, value in enumerate(values)))
    assert undone(corpus).deleted == len(values)


def test_many_rows_go_back_in_many_transactions(make_corpus: MakeCorpus) -> None:
    corpus = filled(make_corpus, 12_000)
    put(corpus, 12_000)
    assert undone(corpus).restored == 12_000
    assert set(cells(corpus, "q", "topic")) == {None}
