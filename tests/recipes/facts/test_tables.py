from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seedbed import Corpus
from tests.recipes.facts.helpers import DDL, all_rows, execute, plant_challenge, plant_entry, plant_fact


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute("pragma foreign_keys = on")
        opened.executescript(DDL)
        opened.execute("insert into topics (id, slug, name) values ('t', 't', 'T')")
        opened.execute("insert into entries (id, name, topic) values ('e', 'E', 't')")
        opened.execute(
            "insert into facts (id, topic, entry, title, source_type) values ('f', 't', 'e', 'F', 'file_seed')"
        )
        yield opened


def insert(database: sqlite3.Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    database.execute(f"insert into {table} ({names}) values ({marks})", tuple(values.values()))


def challenge(**values: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("setup_text", "challenge_text", "reveal_correct", "reveal_wrong", "correct_answer"), "x")
    return {"id": "c", "fact": "f", "style": "free_text", "difficulty": 1, **texts, **values}


def test_the_script_can_be_run_again(database: sqlite3.Connection) -> None:
    database.executescript(DDL)
    assert database.execute("select count(*) from facts").fetchone() == (1,)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("topics", {"id": "u", "slug": "t", "name": "same slug"}),
        ("topics", {"id": "u", "slug": "u", "name": "U", "fact_keys": "[]"}),
        ("topics", {"id": "u", "slug": "u", "name": "U", "parent": "nobody"}),
        ("topic_aliases", {"alias": "x", "topic": "nobody"}),
        ("entries", {"id": "x", "name": " "}),
        ("entries", {"id": "x", "name": "X", "topic": "nobody"}),
        ("entries", {"id": "x", "name": "X", "parent": "nobody"}),
        ("entries", {"id": "x", "name": "X", "richness": "huge"}),
        ("entries", {"id": "x", "name": "X", "source_type": "importXespn"}),
        ("entries", {"id": "x", "name": "X", "depth": -1}),
        ("entries", {"id": "x", "name": "X", "data": "[1]"}),
        ("entries", {"id": "x", "name": "X", "data": "{"}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "hearsay"}),
        ("facts", {"id": "x", "topic": "nobody", "title": "X", "source_type": "file_seed"}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "file_seed", "status": "published"}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "file_seed", "notability_score": 1.01}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "file_seed", "facts": "[]"}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "file_seed", "findings": "{}"}),
        ("facts", {"id": "x", "topic": "t", "title": "X", "source_type": "file_seed", "cost_nano": -1}),
        ("challenges", challenge(style="conversational")),
        ("challenges", challenge(difficulty=0)),
        ("challenges", challenge(difficulty=6)),
        ("challenges", challenge(fact="nobody")),
        ("challenges", challenge(setup_text=None)),
    ],
)
def test_the_tables_decline_what_an_app_could_not_use(
    database: sqlite3.Connection, table: str, values: dict[str, Any]
) -> None:
    """002.26 among them: a status that is none of the three."""
    with pytest.raises(sqlite3.IntegrityError):
        insert(database, table, **values)


def test_imports_name_their_source(database: sqlite3.Connection) -> None:
    insert(database, "facts", id="x", topic="t", title="X", source_type="import_espn")


def test_a_fact_has_one_challenge_per_style_and_difficulty(database: sqlite3.Connection) -> None:
    """000.58"""
    insert(database, "challenges", **challenge())
    insert(database, "challenges", **challenge(id="c2", difficulty=2))
    with pytest.raises(sqlite3.IntegrityError, match=r"challenges\.fact, challenges\.style, challenges\.difficulty"):
        insert(database, "challenges", **challenge(id="c3"))


def test_the_six_styles_go_by_their_names(database: sqlite3.Connection) -> None:
    """000.56"""
    styles = {
        "multiple_choice", "direct_question", "fill_the_gap", "statement_blank", "reverse_lookup", "free_text",
    }  # fmt: skip
    for style in styles:
        insert(database, "challenges", **challenge(id=style, style=style))
    assert {style for (style,) in database.execute("select distinct style from challenges")} == styles


def test_heirs_are_found_at_any_depth_and_take_the_nearest_topic(corpus: Corpus) -> None:
    """000.09, 000.11"""
    plant_entry(corpus, "root", topic="geography")
    plant_entry(corpus, "middle", topic="cities", parent="root")
    plant_entry(corpus, "one", topic=None, parent="middle")
    plant_entry(corpus, "two", topic=None, parent="one")
    plant_entry(corpus, "three", topic=None, parent="two")
    found = {row["id"]: row["inherited_topic"] for row in all_rows(corpus, "entries_heirs")}
    assert found == {"one": "cities", "two": "cities", "three": "cities"}


def test_a_ring_of_parents_has_no_heirs_and_ends(corpus: Corpus, tmp_path: Path) -> None:
    plant_entry(corpus, "one", topic=None)
    plant_entry(corpus, "two", topic=None, parent="one")
    execute(tmp_path / "corpus.db", "update entries set parent = 'two' where id = 'one'")
    assert all_rows(corpus, "entries_heirs") == []


def test_only_validated_facts_get_challenges(corpus: Corpus) -> None:
    """000.52"""
    for status in ("pending_validation", "rejected", "validated"):
        plant_fact(corpus, status, status=status)
    (row,) = all_rows(corpus, "facts_to_challenge")
    assert (row["id"], row["topic_name"], row["n"]) == ("validated", "Countries", 1)


def test_facts_are_counted_on_from_those_that_have_challenges(corpus: Corpus) -> None:
    """000.54"""
    for key in "abcd":
        plant_fact(corpus, key, status="validated")
    plant_challenge(corpus, "c1", "c")
    assert {row["id"]: row["n"] for row in all_rows(corpus, "facts_to_challenge")} == {"c": 1, "a": 2, "b": 3, "d": 4}
