"""How a field is typed."""

from __future__ import annotations

import pytest

from seedbed.errors import UsageError
from seedbed.recipes.fill import stage_name
from seedbed.recipes.fill.fields import Field, parse_field, parse_fields, shape_of


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("summary: one sentence", Field("summary", "one sentence")),
        ("  summary :  one\n sentence ", Field("summary", "one sentence")),
        ("year (int): when", Field("year", "when", "int")),
        ("Short title (TEXT): at most 5 words: short", Field("Short title", "at most 5 words: short")),
        (
            "topic: one of algebra, geometry",
            Field("topic", "one of algebra, geometry", "text", ("algebra", "geometry")),
        ),
        ("topic: One of: a, b, or c.", Field("topic", "One of: a, b, or c.", "text", ("a", "b", "c"))),
        ("topic: one of yes or no", Field("topic", "one of yes or no", "text", ("yes", "no"))),
        ("level (int): one of 1, 2, 3", Field("level", "one of 1, 2, 3", "int", (1, 2, 3))),
        ("example: one of its kind", Field("example", "one of its kind")),
        ("Straße: Name der Straße", Field("Straße", "Name der Straße")),
    ],
)
def test_a_field_is_a_name_a_type_and_a_meaning(text: str, field: Field) -> None:
    assert parse_field(text) == field


@pytest.mark.parametrize(
    "text",
    [
        "summary", ": text", "a b c", "1st: x", "x:", "x: ", "x (what): y", "x (int: y", '"; drop table: x', "a\nb: c",
        "topic: one of a, , b", "topic: one of a, a", "n (int): one of 1, two", "_seedbed_x: y", "", "x\x1b: y",
    ],
)  # fmt: skip
def test_what_is_no_field_is_said_in_two_lines(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_field(text)
    assert len(str(raised.value).splitlines()) <= 2


def test_no_field_twice_and_not_none() -> None:
    for texts in ([], ["a: x", "A: y"]):
        with pytest.raises(UsageError):
            parse_fields(texts)


def test_the_shape_names_each_field_with_its_meaning() -> None:
    shape = shape_of(parse_fields(["summary: one sentence", "topic: one of a, b", "tags (list): words"]))
    assert shape["required"] == ["summary", "topic", "tags"]
    assert shape["additionalProperties"] is False
    assert shape["properties"] == {
        "summary": {"type": "string", "description": "one sentence"},
        "topic": {"type": "string", "description": "one of a, b", "enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "words"},
    }


def test_stage_names_are_legal_and_differ_where_their_sources_differ() -> None:
    assert stage_name(["q.csv"], ["summary", "topic"]) == "fill.q.csv.summary-topic"
    names = {
        stage_name([place], [output])
        for place in ("q.csv", "Q.csv", "q .csv", "é.csv", "x" * 90)
        for output in ("a", "A")
    }
    assert len(names) == 10
    assert all(len(name) <= 80 for name in names)
