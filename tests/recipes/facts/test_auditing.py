from __future__ import annotations

from pathlib import Path

from seedbed import Corpus
from seedbed.recipes.facts.auditing import audit_facts
from seedbed.recipes.facts.checks import STYLES
from tests.recipes.facts.helpers import execute, good_challenge, plant_challenge, plant_entry, plant_fact


def test_an_empty_corpus_has_an_audit_of_noughts(corpus: Corpus) -> None:
    audit = audit_facts(corpus)
    assert audit["facts"] == []
    assert audit["coverage"] == dict.fromkeys("0123456", 0)
    assert audit["challenges"] == {"checked": 0, "failing": 0, "by_rule": {}, "rows": []}


def test_facts_are_counted_by_source_and_status(corpus: Corpus, tmp_path: Path) -> None:
    """000.27"""
    for number, (source, status) in enumerate(
        [("file_seed", "validated")] * 2 + [("file_seed", "rejected"), ("import_espn", "pending_validation")]
    ):
        plant_fact(corpus, f"f{number}", source_type=source, status=status)
    found = [(row["source_type"], row["status"], row["facts"]) for row in audit_facts(corpus)["facts"]]
    statement = "select source_type, status, count(*) from facts group by 1, 2 order by 1, 2"
    assert found == execute(tmp_path / "corpus.db", statement)
    assert found == execute(tmp_path / "corpus.db", "select * from facts_by_origin order by 1, 2")


def test_orphans_are_counted_and_named(corpus: Corpus) -> None:
    """000.13, 000.28"""
    plant_entry(corpus, "chad")
    plant_entry(corpus, "one", topic=None)
    plant_entry(corpus, "two", topic=None, parent="one")
    plant_entry(corpus, "heir", topic=None, parent="chad")
    audit = audit_facts(corpus)
    assert audit["orphans"]["count"] == 2
    assert {row["name"] for row in audit["orphans"]["rows"]} == {"One", "Two"}
    assert audit["heirs"] == 1


def test_coverage_says_how_many_facts_have_how_many_styles(corpus: Corpus) -> None:
    """000.51"""
    for count in (0, 3, 6):
        fact = plant_fact(corpus, f"f{count}", status="validated")
        for style in list(STYLES.values())[:count]:
            plant_challenge(corpus, f"{fact}-{style}", fact, **good_challenge(style))
    plant_fact(corpus, "pending")
    plant_challenge(corpus, "another level", "f3", **good_challenge("multiple_choice"), difficulty=2)
    audit = audit_facts(corpus)
    assert audit["coverage"] == {"0": 1, "1": 0, "2": 0, "3": 1, "4": 0, "5": 0, "6": 1}
    assert audit["few_styles"] == {"rule": "CC-001", "fewest": 3, "count": 1}


def test_duplicate_titles_inside_a_topic_are_named(corpus: Corpus) -> None:
    """000.76"""
    for key, topic, title in (
        ("a", "countries", "Chad is large"),
        ("b", "countries", " chad is LARGE"),
        ("c", "cities", "Oslo is cold"),
        ("d", "cities", "Oslo is cold"),
        ("e", "cities", "Chad is large"),
    ):
        plant_fact(corpus, key, topic=topic, title=title)
    found = audit_facts(corpus)["duplicate_titles"]
    assert found["count"] == 2
    assert {(row["topic"], row["facts"]) for row in found["rows"]} == {("countries", 2), ("cities", 2)}


def test_nulls_are_counted_by_source(corpus: Corpus) -> None:
    """000.62"""
    plant_fact(corpus, "a", notability_score=None, content_hash="x")
    plant_fact(corpus, "b", context=None, challenge_title=None)
    plant_fact(corpus, "c", source_type="import_espn", notability_reason=None)
    assert audit_facts(corpus)["nulls"] == {
        "file_seed": {
            "facts": 2, "entry": 2, "challenge_title": 1, "context": 1, "notability_score": 1, "notability_reason": 0,
            "content_hash": 1,
        },
        "import_espn": {
            "facts": 1, "entry": 1, "challenge_title": 0, "context": 0, "notability_score": 0, "notability_reason": 1,
            "content_hash": 1,
        },
    }  # fmt: skip


def test_challenges_that_break_a_rule_are_named_with_it(corpus: Corpus) -> None:
    """000.57, 000.59"""
    fact = plant_fact(corpus, "f", status="validated")
    plant_challenge(corpus, "good", fact)
    plant_challenge(corpus, "short", fact, **{**good_challenge("free_text"), "setup_text": f"It is one. X{'x' * 36}."})
    third_person = {
        **good_challenge("fill_the_gap"),
        "challenge_text": "Fill the gap: ___ is the seat of the government.",
    }
    plant_challenge(corpus, "third person", fact, **third_person)
    found = audit_facts(corpus)["challenges"]
    assert (found["checked"], found["failing"]) == (3, 2)
    assert found["by_rule"] == {"CQ-002": 1, "CQ-101": 1}
    assert {row["id"] for row in found["rows"]} == {"short", "third person"}
    assert found["rows"][0]["findings"][0]["code"] in ("CQ-002", "CQ-101")
