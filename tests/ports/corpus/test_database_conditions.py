"""Each row is judged in the database as ``conditions.holds`` judges it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seedbed.conditions import ALWAYS, All, Compare, Condition, Contains, Either, Empty, In, Not, holds
from seedbed.ports.corpus.database import open_corpus
from seedbed.ports.corpus.expressions import where
from tests.ports.corpus.databases import MakeCorpus, fill, url

COLUMNS = ("words", "whole", "real", "money", "loose", "fold", "flag")
TABLE = (
    "create table t (id integer primary key, words text, whole integer, real real, money numeric, loose, "
    "fold text collate nocase, flag boolean);"
)
TEXTS = [
    "", " ", "\t\n", "\u00a0\u2003", "a", "A", "b", "sea", "SEA level", "Straße", "STRASSE", "İstanbul", "istanbul",
    "ΟΔΟΣ", "οδος", "é", "e\u0301", "日本", "5", "05", "5.0", " 5 ", "1_000", "٥", "nan", "inf", "1e3", "-0", "b'x'",
    "100%", "a_b", "a%b", "\\", "'", "\x00", "a\x00b", "𝒜", "\uffff", "None", "1.5", "10", "9",
]  # fmt: skip
NUMBERS: list[int | float] = [
    0, 1, -1, 5, 10, 1000, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.5, 1.5, 5.0, 1e3, 1e20, 1e300,
    9007199254740992.0, 0.1, 9.223372036854775807e18,
]  # fmt: skip
HUGE = [2**63, -(2**64), 10**30]

texts = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
numbers = st.sampled_from(NUMBERS) | st.integers(-20, 20) | st.floats(-100, 100)
cells = st.none() | texts | numbers
literals = texts | numbers | st.sampled_from(HUGE) | st.booleans()
names = st.sampled_from(COLUMNS)
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, names, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), literals),
    st.builds(In, names, st.lists(literals, max_size=4).map(tuple) | st.lists(texts, max_size=4).map(tuple)),
    st.builds(Empty, names),
    st.builds(Contains, names, texts),
)


def _nested(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(All, parts) | st.builds(Either, parts)


conditions: st.SearchStrategy[Condition] = st.recursive(leaves, _nested, max_leaves=6)
tables = st.lists(st.tuples(*[cells] * len(COLUMNS)), min_size=1, max_size=12)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables, chosen=st.lists(conditions, min_size=1, max_size=5))
@example(table=[(None,) * 7], chosen=[Not(Compare("words", "=", "a")), Not(Empty("loose"))])
@example(table=[("x", "5", "x", "x", "5", "x", 1)], chosen=[Compare("loose", "=", 5), Compare("whole", "=", "5")])
@example(table=[("\uffff",) * 7, ("𝒜",) * 7], chosen=[Compare("words", "<", "𝒜"), Compare("words", ">", "\uffff")])
def test_the_database_chooses_the_rows_that_python_chooses(
    database: Path, encoding: str, table: list[tuple[Any, ...]], chosen: list[Condition]
) -> None:
    database.unlink(missing_ok=True)
    connection = sqlite3.connect(database)
    connection.execute(f"pragma encoding = '{encoding}'")
    connection.execute(TABLE)
    connection.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?, ?)", [(n, *row) for n, row in enumerate(table)])
    connection.execute("create view v as select *, words as copied from t union all select *, loose from t where 0")
    connection.commit()
    connection.close()
    corpus = open_corpus(url(database))
    try:
        for relation in ("t", "v"):
            rows = corpus.page(relation, ["id"], ALWAYS)
            for condition in chosen:
                wanted = [row["id"] for row in rows if holds(condition, row)]
                assert [row["id"] for row in corpus.page(relation, ["id"], condition)] == wanted
                assert corpus.count(relation, condition) == len(wanted)
    finally:
        corpus.close()


def test_bytes_equal_only_their_own_writing_and_have_no_order(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    fill(corpus, "t", [(1, b"x", None, None, None, b"5", None, None)])
    assert corpus.count("t", Compare("words", "=", "b'x'")) == 1
    assert corpus.count("t", Compare("words", "=", "x")) == 0
    assert corpus.count("t", Compare("loose", "!=", 5)) == 1
    assert corpus.count("t", Compare("loose", "<", 5)) == 0
    assert corpus.count("t", Empty("loose")) == 0


def test_long_lists_are_taken(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE)
    fill(corpus, "t", [(n, f"w{n}", n, n, n, n, None, None) for n in range(50)])
    assert corpus.count("t", In("words", tuple(f"w{n}" for n in range(0, 10000, 2)))) == 25
    assert corpus.count("t", In("whole", tuple(range(0, 10000, 2)))) == 25
    assert corpus.count("t", In("loose", (*range(0, 1000, 2), "1", 10**30))) == 26


def test_equality_with_a_text_uses_the_index_of_its_column(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(TABLE + "create index by_words on t (words);")
    session, catalogue = corpus._session, corpus._catalogue  # type: ignore[attr-defined]
    relation = catalogue.relation("t")
    for condition in (Compare("words", "=", "a"), In("words", ("a", "b"))):
        statement = session.compiled(sa.select(relation.clause).where(where(relation, condition)))
        plan = session.catalogue(f"explain query plan {statement}", *"ab"[: statement.count("?")])
        assert "by_words" in plan[0][-1]
