from __future__ import annotations

import copy
from typing import Any

import pytest

from seedbed import Item
from seedbed.recipes.facts.rows import challenged, content_hash, exploded, values_of
from tests.recipes.facts.helpers import CONTEXT, good_challenge


def entry(**changes: Any) -> Item:
    row = {
        "id": "e1", "name": "Switzerland", "topic": "countries", "depth": 1, "source_type": "file_seed", **changes,
    }  # fmt: skip
    return Item('["e1"]', row)


ANSWER = {
    "facts": [
        {
            "title": " The capital of Switzerland is Bern ",
            "challenge_title": "Which town?",
            "facts": [{"key": "capital", "value": "Bern"}, {"key": "population", "value": 8516543}],
            "context": CONTEXT,
            "notability_score": 0.8,
            "notability_reason": "Known to all.",
        }
    ],
    "spinoffs": [
        {"name": "Bern", "topic": "cities"},
        {"name": "Aare", "topic": ""},
    ],
}


def test_a_fact_belongs_to_its_entry_and_waits_for_validation() -> None:
    """002.26"""
    fact = next(iter(exploded(entry(), ANSWER)))
    assert fact.table == "facts"
    assert (fact["topic"], fact["entry"], fact["status"]) == ("countries", "e1", "pending_validation")
    assert fact["title"] == "The capital of Switzerland is Bern"
    assert fact["facts"] == {"capital": "Bern", "population": 8516543}


@pytest.mark.parametrize("source", ["file_seed", "spinoff_discovery", "import_espn"])
def test_a_fact_comes_from_where_its_entry_came_from(source: str) -> None:
    assert next(iter(exploded(entry(source_type=source), ANSWER)))["source_type"] == source


def test_a_spin_off_has_its_parent_s_topic_unless_another_was_chosen() -> None:
    """000.09, 000.25"""
    spinoffs = [row for row in exploded(entry(), ANSWER) if row.table == "entries"]
    assert [(row["name"], row["topic"]) for row in spinoffs] == [
        ("Bern", "cities"),
        ("Aare", "countries"),
    ]
    for row in spinoffs:
        assert (row["parent"], row["depth"], row["richness"]) == ("e1", 2, "low")
        assert row["source_type"] == "spinoff_discovery"


def test_the_same_answer_makes_the_same_rows_and_is_left_as_it_was() -> None:
    before = copy.deepcopy(ANSWER)
    assert list(exploded(entry(), ANSWER)) == list(exploded(entry(), ANSWER))
    assert before == ANSWER


def test_a_key_that_is_named_twice_is_not_lost() -> None:
    pairs = [{"key": "capital", "value": "Bern"}, {"key": "capital", "value": "Zug"}]
    assert values_of(pairs) == {"capital": ["Bern", "Zug"]}
    assert values_of([pairs[0], pairs[0]]) == {"capital": "Bern"}


def test_equal_content_has_an_equal_hash_under_any_title() -> None:
    """000.77"""
    first = content_hash("t", "Switzerland", {"a": "Bern", "b": 8516543}, "One title")
    assert first == content_hash("t", " switzerland", {"b": "8,516,543", "a": "BERN"}, "Another title")
    assert first != content_hash("t", "Austria", {"a": "Bern", "b": 8516543}, "One title")
    assert content_hash("t", "x", {}, "One title") != content_hash("t", "x", {}, "Another title")


def test_challenges_have_the_level_that_was_asked_for() -> None:
    fact = Item('["f"]', {"id": "f", "n": 2})
    answer = {"challenges": [good_challenge("free_text"), good_challenge("multiple_choice")]}
    made = list(challenged(["multiple_choice", "free_text"], 0)(fact, answer))
    assert [(row["fact"], row["style"], row["difficulty"]) for row in made] == [
        ("f", "free_text", 4),
        ("f", "multiple_choice", 3),
    ]
    assert made[0]["style_data"] == {"answer": "Bern"}
    assert len(made[1]["style_data"]["options"]) == 4
    assert {row["difficulty"] for row in challenged(["multiple_choice", "free_text"], 5)(fact, answer)} == {5}
