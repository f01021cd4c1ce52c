from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedbed import Item
from seedbed.recipes.facts import checks, lookups
from tests.recipes.facts.helpers import CONTEXT, codes, good_challenge, good_row

STYLES = list(checks.STYLES.values())
SHORT = "You see it."


def broken(kind: str = "direct_question", /, **changes: Any) -> set[str]:
    made = good_challenge(kind)
    data = {**made["style_data"], **changes.pop("style_data", {})}
    return codes(checks.broken_rules({**made, "style_data": data, **changes}, good_row()))


def options(*texts: str, right: str = "Bern") -> dict[str, Any]:
    return {"options": [{"text": text, "correct": text == right} for text in texts]}


@pytest.mark.parametrize("style", STYLES)
def test_a_good_challenge_of_each_style_keeps_every_rule(style: str) -> None:
    assert broken(style) == set()


RED: list[tuple[str, str, dict[str, Any]]] = [
    ("CC-002", "direct_question", {"reveal_wrong": "  "}),
    ("CC-003", "direct_question", {"style": "conversational"}),
    ("CQ-002", "direct_question", {"challenge_text": "Which town is the seat of the government in?"}),
    ("CQ-101", "direct_question", {"setup_text": "It is a town by a river. It is not the big one..."}),
    ("CQ-102", "direct_question", {"setup_text": "Four languages share one small country, and one town governs them"}),
    ("CQ-103", "direct_question", {"challenge_text": "Which town do you mean?"}),
    ("CQ-104", "direct_question", {"reveal_correct": "You are right."}),
    ("CQ-105", "direct_question", {"reveal_correct": "You are right. You really are. You know it. So do I."}),
    ("CQ-106", "direct_question", {"reveal_wrong": "No: it is Bern."}),
    ("CQ-107", "direct_question", {"reveal_wrong": "No, you are not. It is Bern. Not Zug. Not Chur at all."}),
    ("CQ-108", "direct_question", {"reveal_wrong": "Not quite: the government sits elsewhere, by the Aare."}),
    ("CQ-109", "direct_question", {"correct_answer": "It is Bern. It lies by the Aare. It is small."}),
    ("CQ-110", "direct_question", {"correct_answer": "The answer is Bern, " + "a town in a bend of the Aare, " * 4}),
    ("CQ-111", "direct_question", {"correct_answer": good_challenge()["correct_answer"].replace("Bern", "this town")}),
    ("CQ-112", "direct_question", {"style_data": {"answer": " ?"}}),
    ("CQ-113", "direct_question", {"setup_text": "Bern is a town in a bend of the Aare. It governs a country."}),
    ("CQ-114", "multiple_choice", {"style_data": options("Bern", "Zug", "Chur")}),
    ("CQ-114", "direct_question", {"style_data": options("Bern", "Zug", "Chur", "Basel")}),
    ("CQ-115", "multiple_choice", {"style_data": options("Thun", "Zug", "Chur", "Basel")}),
    ("CQ-115", "multiple_choice", {"style_data": {"options": [{"text": t, "correct": True} for t in "abcd"]}}),
    ("CQ-116", "multiple_choice", {"style_data": options("Bern", "Zug", "ZUG ", "Basel")}),
    ("CQ-117", "multiple_choice", {"style_data": options("Bern", "Zug", "Chur", "Basel", right="Zug")}),
    ("CQ-118", "fill_the_gap", {"challenge_text": "Fill the gap as you know it: the seat of the government."}),
    ("CQ-118", "fill_the_gap", {"challenge_text": "Fill what you know: ___ is the seat of the ___ of it."}),
    ("CQ-118", "direct_question", {"challenge_text": "Which town do you think of: ___ or another of them?"}),
    ("CQ-119", "statement_blank", {"challenge_text": "Complete what you know: ___ is the seat of the government."}),
    ("CQ-120", "direct_question", {"challenge_text": "Name the town that you take for the seat of it."}),
    ("CQ-121", "reverse_lookup", {"challenge_text": "What do you call the town that governs Switzerland?"}),
    ("CQ-121", "reverse_lookup", {"setup_text": "Here is the capital of Switzerland. It lies by a river, in a bend."}),
    ("CQ-122", "direct_question", {"reveal_correct": "Right you are, <b>and it has been so</b> since 1848."}),
    ("CQ-122", "direct_question", {"style_data": {"answer": "Bern {{ secret }}"}}),
    ("CQ-123", "direct_question", {"reveal_correct": good_challenge()["reveal_wrong"]}),
    ("CQ-124", "direct_question", {"reveal_correct": "Right you are, according to the text it is so since 1848."}),
]


@pytest.mark.parametrize(("rule", "style", "changes"), RED, ids=[f"{n}-{rule}" for n, (rule, _, _) in enumerate(RED)])
def test_each_rule_sees_the_fault_that_it_is_for(rule: str, style: str, changes: dict[str, Any]) -> None:
    """000.57, 000.59"""
    assert rule in broken(style, **changes)


def test_no_rule_goes_without_a_fault_that_it_sees() -> None:
    assert {rule for rule, _, _ in RED} == {rule.code for rule in checks.RULES}


def test_a_setup_of_49_characters_is_one_too_short() -> None:
    """000.57"""
    assert "CQ-101" in broken(setup_text="A town governs it. " + "x" * 29 + ".")
    assert "CQ-101" not in broken(setup_text="A town governs it. " + "x" * 30 + ".")


def test_a_challenge_in_the_third_person_gets_its_finding_in_its_place() -> None:
    """000.59"""
    row = {**good_challenge(), "challenge_text": "Which town does the reader look for the seat of it in?"}
    (found,) = checks.broken_rules(row, good_row())
    assert (found.code, found.field, found.severity) == ("CQ-002", "direct_question.challenge_text", "error")


def test_rules_can_read_whatever_lies_in_a_table() -> None:
    assert "CC-002" in codes(checks.broken_rules({}, {}))
    assert codes(checks.broken_rules({"style": "free_text", "style_data": '{"options": [3, "x"]}'}, good_row()))


def test_every_rule_stands_in_the_page_with_its_words() -> None:
    page = Path(checks.__file__).with_name("README.md").read_text("utf-8")
    for rule in checks.RULES:
        assert f"| {rule.code} | {rule.says} |" in page


# --------------------------------------------------------------------------- whole answers


def fact_item(*styles: str) -> Item:
    wanted = [{"style": style, "difficulty": 1} for style in styles]
    return Item('["f"]', {"id": "f", **good_row()}, context={"wanted": wanted})


def test_an_answer_with_all_styles_passes() -> None:
    answer = {"challenges": [good_challenge(style) for style in STYLES]}
    assert list(checks.challenges_keep_the_rules(fact_item(*STYLES), answer)) == []


def test_a_style_that_is_missing_or_doubled_or_not_wanted_is_named() -> None:
    answer = {"challenges": [good_challenge(s) for s in ("free_text", "free_text", "fill_the_gap")]}
    found = list(checks.challenges_keep_the_rules(fact_item("free_text", "direct_question"), answer))
    assert [(f.code, f.field) for f in found] == [
        ("CC-012", "free_text"),
        ("CC-012", "direct_question"),
        ("CC-012", "fill_the_gap"),
    ]


def entry_item(count: int = 2) -> Item:
    about = {"name": "Countries", "fact_keys": {"capital": {"type": "string"}, "population": {"type": "integer"}}}
    row = {"id": "e", "name": "Switzerland", "topic": "countries", "data": '{"capital": "Bern"}'}
    return Item('["e"]', row, context={"about": {**about, "topics": ["countries"]}, "count": count})


def told(key: str, value: Any, **changes: Any) -> dict[str, Any]:
    return {
        "title": f"What is told of its {key}",
        "challenge_title": "Which one would you have thought of?",
        "facts": [{"key": key, "value": value}],
        "context": CONTEXT,
        "notability_score": 0.8,
        "notability_reason": "It is among the first things that are asked.",
        **changes,
    }


def explosion(*facts: dict[str, Any], spinoffs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"facts": list(facts), "spinoffs": [{"name": name, "topic": ""} for name in spinoffs]}


GOOD = told("capital", "Bern")
ALSO_GOOD = told("population", 8_516_543)
BAD = told("capital", "Zug")


@pytest.mark.parametrize(
    ("answer", "declined", "warned"),
    [
        (explosion(GOOD, ALSO_GOOD, spinoffs=("Bern",)), set(), set()),
        (explosion(), {"EX-001"}, set()),
        (explosion(GOOD), set(), {"EX-002"}),
        (explosion(BAD, ALSO_GOOD), set(), {"FC-003"}),
        (explosion(BAD, told("mayor", "x")), {"EX-003"}, {"FC-003", "FC-001"}),
        (explosion(GOOD, ALSO_GOOD, spinoffs=("<script>x</script>",)), {"EX-004"}, set()),
        (explosion(GOOD, ALSO_GOOD, spinoffs=(" ",)), {"EX-004"}, set()),
        ({**explosion(GOOD, ALSO_GOOD), "spinoffs": [{"name": "Moon", "topic": "space"}]}, set(), {"EX-005"}),
    ],
)
def test_an_explosion_is_declined_when_most_of_it_is_bad(
    answer: dict[str, Any], declined: set[str], warned: set[str]
) -> None:
    found = list(checks.explosion_is_sound(entry_item(), answer))
    assert {f.code for f in found if f.severity == "error"} == declined
    assert {f.code for f in found if f.severity == "warning"} == warned


def test_the_levels_of_difficulty_0_are_spread_evenly() -> None:
    """000.54"""
    wanted = lookups.challenges_wanted(STYLES, 0)
    asked = [each for n in range(1, 101) for each in wanted(None, Item(f"[{n}]", {"n": n}))]  # type: ignore[arg-type]
    for style in STYLES:
        levels = [each["difficulty"] for each in asked if each["style"] == style]
        assert [levels.count(level) for level in range(1, 6)] == [20] * 5


def test_another_difficulty_is_the_same_for_all() -> None:
    """000.53"""
    wanted = lookups.challenges_wanted(STYLES, 4)(None, Item("[1]", {"n": 1}))  # type: ignore[arg-type]
    assert {each["difficulty"] for each in wanted} == {4}
