from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.recipes.facts.texts import as_object, as_text, mentions, normal, same_number, sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("   ", 0),
        ("One.", 1),
        ("No end to it", 1),
        ("One. Two! Three? Four…", 4),
        ("It has 8.5 million people. It grows.", 2),
        ("She went to St. Gallen. He stayed.", 2),
        ("J. S. Bach wrote it. We listen.", 2),
        ("It is in Washington, D.C. It is big.", 1),
        ("“Really?” she said. “Yes.”", 2),
        ("Fruit, e.g. apples, is good. Eat it.", 2),
        ("这是一。这是二。", 2),
        ("Wait... what? Yes.", 2),
    ],
)
def test_sentences_are_counted_as_a_reader_would(text: str, count: int) -> None:
    assert sentences(text) == count


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("The capital is Bern.", "bern", True),
        ("Bernese cheese", "Bern", False),
        ("It has 8,516,543 people", "8516543", True),
        ("It has 8’516’543 people", "8,516,543", True),
        ("about 8.5 million", "8", False),
        ("anything", "", False),
        ("Zu\u0308rich is big", "Zürich", True),
        ("首都是东京。", "东京", True),
    ],
)
def test_a_phrase_is_found_by_its_words(text: str, phrase: str, found: bool) -> None:
    assert mentions(text, phrase) is found


@pytest.mark.parametrize(
    ("written", "value", "scale", "rough", "same"),
    [
        ("8516543", 8516543, 1, False, True),
        ("8516544", 8516543, 1, False, False),
        ("8517000", 8516543, 1, False, True),
        ("8.5", 8516543, 1_000_000, False, True),
        ("8.6", 8516543, 1_000_000, False, False),
        ("8.6", 8516543, 1_000_000, True, True),
        ("9.6", 8516543, 1_000_000, True, False),
        ("1950", 1954, 1, False, False),
        ("46.9", 46.948, 1, False, True),
        ("46.8", 46.948, 1, False, False),
        ("47", 46.948, 1, False, True),
        ("9", 8516543, 1_000_000, False, False),
        ("0", 0, 1, False, True),
    ],
)
def test_a_rounding_is_no_contradiction(written: str, value: float, scale: int, rough: bool, same: bool) -> None:
    assert same_number(written, value, scale=scale, rough=rough) is same


def test_objects_are_read_from_text_or_as_they_are() -> None:
    assert as_object('{"a": 1}') == as_object({"a": 1}) == {"a": 1}
    assert as_object("[1]") == as_object("{") == as_object(None) == {}


def test_values_are_said_as_people_say_them() -> None:
    assert [as_text(each) for each in (True, 4.0, 4.5, ["a", "b"], 7)] == ["yes", "4", "4.5", "a, b", "7"]


@given(st.text())
def test_any_text_can_be_measured(text: str) -> None:
    assert sentences(text) >= 0
    assert normal(normal(text)) == normal(text)
    assert mentions(text, text) is bool(normal(text))
