"""The whole recipe by the engine, with the stand-in: from a legacy file to challenges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import seedbed
from seedbed.ports.corpus.database import open_corpus
from seedbed.recipes.facts.auditing import audit_facts
from seedbed.recipes.facts.importing import import_facts
from tests.recipes.facts.helpers import HOME, all_rows, new_corpus, plant_entry

PROJECT = """
[project]
recipe = "facts"
corpus = "sqlite:///corpus.db"
demo = true
[tiers]
default = "offline/standin"
mid = "offline/standin"
high = "offline/standin"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus = new_corpus(tmp_path / "corpus.db")
    import_facts(corpus, [HOME / "sample.jsonl"], dry_run=False, release="import")
    plant_entry(corpus, "orphan", topic=None)
    corpus.close()
    (tmp_path / "seedbed.toml").write_text(PROJECT, "utf-8")
    return tmp_path


def run(folder: Path, target: str = "facts", **settings: Any) -> int:
    """The number of calls of a run."""
    report = seedbed.run(seedbed.open_project(folder, recipe_settings=settings), target)
    assert report.status == "completed"
    return sum(one.generated.calls for one in report.passes)


def rows(folder: Path, table: str, where: str = "") -> list[dict[str, Any]]:
    corpus = open_corpus(f"sqlite:///{folder / 'corpus.db'}")
    try:
        return all_rows(corpus, table, where)
    finally:
        corpus.close()


def test_a_run_ends_with_every_fact_in_six_styles_and_a_second_run_asks_nothing(folder: Path) -> None:
    """000.12, 000.13, 000.14, 000.24, 000.26, 000.51"""
    calls = run(folder)
    entries, facts = rows(folder, "entries", "topic is not empty"), rows(folder, "facts")
    assert calls == len(entries) + len(facts)
    assert len(entries) > 10
    assert {row["status"] for row in facts} == {"validated"}
    assert {row["cost_nano"] for row in facts} == {0}
    corpus = open_corpus(f"sqlite:///{folder / 'corpus.db'}")
    audit = audit_facts(corpus)
    corpus.close()
    assert audit["coverage"]["6"] == len(facts)
    assert (audit["challenges"]["checked"], audit["challenges"]["failing"]) == (6 * len(facts), 0)
    assert [row["name"] for row in audit["orphans"]["rows"]] == ["Orphan"]
    assert run(folder) == 0


def test_spin_offs_stay_as_they_are_beyond_the_depth(folder: Path) -> None:
    """000.25"""
    assert run(folder, depth=0) > 0
    exploded = {row["entry"] for row in rows(folder, "facts")}
    depths = {row["id"]: row["depth"] for row in rows(folder, "entries")}
    assert {depths[entry] for entry in exploded} == {0}
    assert 1 in depths.values()


def test_two_styles_make_two_rows_a_fact_at_the_level_asked_for(folder: Path) -> None:
    """000.53, 000.55"""
    run(folder, styles="mc,ft", difficulty=4)
    facts, challenges = rows(folder, "facts"), rows(folder, "challenges")
    assert len(challenges) == 2 * len(facts) > 0
    assert {(row["style"], row["difficulty"]) for row in challenges} == {("multiple_choice", 4), ("free_text", 4)}


def test_difficulty_0_spreads_over_all_levels(folder: Path) -> None:
    """000.54"""
    run(folder, difficulty=0)
    facts, challenges = len(rows(folder, "facts")), rows(folder, "challenges")
    for style in {row["style"] for row in challenges}:
        levels = [row["difficulty"] for row in challenges if row["style"] == style]
        assert all(abs(levels.count(level) - facts / 5) <= 1 for level in range(1, 6))


def test_a_chain_without_topics_is_mended_before_it_is_exploded(folder: Path) -> None:
    """000.09, 000.11, 000.12"""
    corpus = open_corpus(f"sqlite:///{folder / 'corpus.db'}")
    plant_entry(corpus, "one", topic="countries")
    for above, below in (("one", "two"), ("two", "three"), ("three", "four")):
        plant_entry(corpus, below, topic=None, parent=above)
    corpus.close()
    report = seedbed.run(seedbed.open_project(folder), "facts.inherit")
    assert [dict(one.uploaded.fates) for one in report.passes if one.uploaded] == [{"applied": 3}]
    run(folder)
    assert {"one", "two", "three", "four"} <= {row["entry"] for row in rows(folder, "facts")}
