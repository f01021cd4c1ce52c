from __future__ import annotations

import contextlib
import json
from datetime import date
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ConfigError, NotReadable
from seedbed.policy.replies import ShapeReader, group_schema, read_group, repaired_group, shape_schema, split_group

read_json = ShapeReader({}).read


def code(text: str) -> str:
    with pytest.raises(NotReadable) as caught:
        read_json(text)
    return caught.value.code


# ------------------------------------------------------------------------------------------ text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="….([</#\t\b\f")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="….", exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_json_is_read_as_the_standard_library_reads_it(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    found = read_json(text)
    assert found == json.loads(text) and json.dumps(found) == json.dumps(json.loads(text))


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for each in (text, "{" + text, text + "}", '{"a":"' + text + '"}', "```json\n" + text + "\n```"):
        with contextlib.suppress(NotReadable):
            read_json(each)


WRAPS = ["  {}\n", "\ufeff{}", "```json\n{}\n```", "```\n{}\n```\n", "Here it is:\n\n{}\n\nGood luck!"]
WRAPS += ["Sure!\n```json\n{}\n```\nAnything else?", 'As "asked" by you:\n{}', "See [the note]:\n{}\n"]


PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="….([</#"), max_size=4)


@given(st.dictionaries(PLAIN, PLAIN | st.integers() | st.lists(PLAIN), max_size=3), st.sampled_from(WRAPS))
def test_space_fences_and_prose_around_one_document_are_taken_off(value: dict[str, Any], wrap: str) -> None:
    assert read_json(wrap.replace("{}", json.dumps(value))) == json.loads(json.dumps(value))


def test_fences_and_brackets_inside_a_text_stay() -> None:
    value = {"a": "```json\n{}\n```", "b": "x } ] { [", "c": 'say "hi"'}
    assert read_json("```json\n" + json.dumps(value) + "\n```") == value
    assert read_json("Well: \n" + json.dumps(value) + "\nDone.") == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345678901234567890123", 12345678901234567890123),
        ("12345678901234567890123.0", 12345678901234567890123),
        ("1e23", 1e23),
        ("100000000000000000000001e0", 100000000000000000000001),
        ("1e22", 1e22),
        ("-0", 0),
        ("1.10", 1.1),
        ("0.1234567890123456789012", 0.1234567890123456789012),
        ("[1E5, 2.50, 1e5, -3.0]", [100000.0, 2.5, 100000.0, -3.0]),
        ("-12345678901234567890123.0", -12345678901234567890123),
        ("1.5e300", 1.5e300),
        ('{"id": 9007199254740993}', {"id": 9007199254740993}),
        ('"1234567890123456"', "1234567890123456"),
    ],
)
def test_whole_numbers_keep_all_their_digits(text: str, expected: Any) -> None:
    found = read_json(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n\ufeff ", "empty"),
        ("I cannot do that.", "not_json"),
        ("[01]", "not_json"),
        ("[" * 100_000 + "]" * 100_000, "too_deep"),
        ('{"a": 1, "a": 2}', "duplicate_key"),
        ('{"a": {"b": 1}, "c": oops}', "not_json"),
        ('{"a": "say "} ok"}', "not_json"),
        ('{"a": "say "} ok"', "not_json"),
        ('"a": {"b": 1}}', "not_json"),
        ('"a": {"b": 1}', "not_json"),
        ('{"b": 1}, "c": 2', "two_documents"),
        ('{"a": 1}} and more', "not_json"),
        ('{"a": 1, "b": "c', "truncated"),
        ('{"a": {"b": 1}, "c": ', "truncated"),
        ('Here: {"a": {"b": 1}, "c": ', "truncated"),
        ("[1, 2", "truncated"),
        ('{"a": 1}\n{"a": 2}', "two_documents"),
        ('First {"a": 1} then {"a": 2}', "two_documents"),
        ('So: {"x": [{"a": 1, "\\u0061": 2}]}', "duplicate_key"),
        ('{"a": NaN}', "not_a_number"),
        ("[Infinity]", "not_a_number"),
        ("[-Infinity]", "not_a_number"),
        ("[1e400]", "not_a_number"),
        ("[" + "9" * 5000 + "]", "not_a_number"),
        ('{"a": "\\ud800"}', "lone_surrogate"),
        ('{"a": "\\udc00x"}', "lone_surrogate"),
        ('{"a": "\ud800"}', "lone_surrogate"),
        ('{"a": oops} {"a": 1}', "not_json"),
        ('{\n "a": 1,\n  "b": NaN\n}', "not_a_number"),
        ('{"a": 1e22, "a": 2}', "duplicate_key"),
        ('{"a": 1e22, "b": NaN}', "not_a_number"),
        ('{"a": 1e22, "b": 1e400}', "not_a_number"),
        ("[nan]", "not_a_number"),
        ("[+inf]", "not_a_number"),
    ],
)
def test_what_is_no_json_is_refused_with_its_reason(text: str, expected: str) -> None:
    assert code(text) == expected


@given(st.dictionaries(st.text(min_size=1, max_size=4), JSON, min_size=1, max_size=3), st.data())
def test_a_document_that_was_cut_is_never_read(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))
    assert code(text[:cut]) in ("truncated", "empty", "lone_surrogate", "not_json")


# ----------------------------------------------------------------------------------------- shapes


def test_names_with_types_become_a_closed_object() -> None:
    shape = {"summary": str, "n": int, "ok": bool, "tags": [str], "kind": ("a", "b"), "x": float}
    assert shape_schema(shape) == {
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "n": {"type": "integer"},
            "ok": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "x": {"type": "number"},
        },
        "required": ["summary", "n", "ok", "tags", "kind", "x"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("kind", "value", "other"),
    [
        ((str, None), None, 1),
        (str | None, "x", 1),
        (list[int], [1], ["a"]),
        (dict[str, int], {"a": 1}, {"a": "b"}),
        (Literal["a", 1], 1, "b"),
        ({"inner": int}, {"inner": 1}, {"inner": 1, "more": 2}),
        ([{"inner": str}], [{"inner": "a"}], [{}]),
        (date, "2026-11-20", "yesterday"),
        ((1, 2), 1, 3),
    ],
)
def test_types_may_be_nested(kind: Any, value: Any, other: Any) -> None:
    reader = ShapeReader({"a": kind})
    assert reader.read(json.dumps({"a": value})) == {"a": value}
    with pytest.raises(NotReadable):
        reader.read(json.dumps({"a": other}))


def test_a_pydantic_class_and_a_schema_are_taken_as_they_are() -> None:
    class Fact(pydantic.BaseModel):
        title: str
        year: int | None = None

    assert shape_schema(Fact) == Fact.model_json_schema()
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    assert shape_schema(schema) == schema and shape_schema(None) is None and shape_schema({}) == {}


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "strng"},
        {"type": "object", "properties": 3},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "#/$defs/nothing", "type": "object"},
        {"summary": "str"},
        {"a": object},
        {1: str},
        {"pattern": "("},
        "a.json",
        3,
    ],
)
def test_a_shape_that_is_none_is_a_config_error(shape: Any) -> None:
    with pytest.raises(ConfigError):
        shape_schema(shape)


def test_an_answer_of_another_shape_is_declined_in_plain_words() -> None:
    reader = ShapeReader({"a": str, "n/m": int, "kind": ("x", "y")})
    with pytest.raises(NotReadable) as caught:
        reader.read('{"n/m": "1", "kind": "z", "more": 1}')
    assert caught.value.code == "shape"
    words = caught.value.what
    for part in (
        'the answer lacks "a"',
        "/n~1m must be a whole number, not text",
        '/kind must be one of ["x", "y"]',
        "the answer has fields that were not asked for: more",
    ):
        assert part in words


def test_a_text_that_is_asked_for_may_hold_a_document_and_is_doubted() -> None:
    reader = ShapeReader({"type": "string"})
    found = reader.repaired('"{\\"a\\": 1}"')
    assert found.value == '{"a": 1}' and found.doubtful and not found.edits
    assert reader.repaired('"a"').doubtful == ()


def test_errors_of_a_shape_say_where_they_are() -> None:
    with pytest.raises(ConfigError) as caught:
        shape_schema({"type": "object", "properties": {"a": {"type": "strng"}}})
    assert "at /properties/a/type" in caught.value.what
    with pytest.raises(ConfigError) as caught:
        shape_schema({"$ref": "#/$defs/nothing"})
    assert ", at" not in caught.value.what


def test_a_pydantic_class_of_classes_is_no_field_of_a_shape() -> None:
    class Inner(pydantic.BaseModel):
        n: int

    class Outer(pydantic.BaseModel):
        inner: Inner

    assert shape_schema({"a": Inner})["properties"]["a"] == Inner.model_json_schema()  # type: ignore[index]
    with pytest.raises(ConfigError):
        shape_schema({"a": Outer})


@pytest.mark.parametrize("length", [159, 160, 161, 400])
def test_long_words_of_an_error_are_cut_at_160_characters(length: int) -> None:
    choice = "x" * (length - len('[""]'))
    with pytest.raises(NotReadable) as caught:
        ShapeReader({"a": (choice,)}).read('{"a": "y"}')
    said = caught.value.what.removeprefix("/a must be one of ")
    assert said == (f'["{choice}"]' if length <= 160 else f'["{choice}'[:159] + "…")


@pytest.mark.parametrize(
    ("shape", "text", "words"),
    [
        ({"type": "string", "minLength": 3}, '"a"', "the answer is shorter than 3 characters"),
        ({"type": "string", "maxLength": 1}, '"ab"', "the answer is longer than 1 characters"),
        ({"type": "array", "minItems": 1}, "[]", "the answer has fewer than 1 entries"),
        ({"type": "array", "maxItems": 1}, "[1, 2]", "the answer has more than 1 entries"),
        ({"minimum": 3}, "1", "the answer is less than 3"),
        ({"maximum": 3}, "4", "the answer is more than 3"),
        ({"type": ["string", "null"]}, "[]", "the answer must be null or text, not a list"),
        ({"type": "object"}, "true", "the answer must be an object, not true or false"),
        ({"type": "array"}, "null", "the answer must be a list, not null"),
        ({"multipleOf": 2}, "3", "the answer: 3 is not a multiple of 2"),
    ],
)
def test_each_error_of_a_shape_has_plain_words(shape: Any, text: str, words: str) -> None:
    with pytest.raises(NotReadable) as caught:
        ShapeReader(shape).read(text)
    assert caught.value.what == words


def test_the_field_is_a_json_pointer_and_at_most_five_errors_are_named() -> None:
    reader = ShapeReader({"type": "array", "items": {"type": "integer"}})
    with pytest.raises(NotReadable) as caught:
        reader.read(json.dumps(["x"] * 9))
    assert caught.value.field == "/0" and "and 4 more" in caught.value.what
    with pytest.raises(NotReadable) as caught:
        reader.read(json.dumps(["x"] * 6))
    assert caught.value.what.endswith("; and 1 more")
    with pytest.raises(NotReadable) as caught:
        reader.read(json.dumps(["x"] * 5))
    assert caught.value.what.count("must be") == 5 and "more" not in caught.value.what


def test_large_whole_numbers_pass_through_the_shape_unchanged() -> None:
    assert ShapeReader({"n": int}).read('{"n": 12345678901234567890123}')["n"] == 12345678901234567890123


def test_without_a_shape_the_text_is_the_value() -> None:
    assert ShapeReader(None).read("Well: {") == "Well: {"
    with pytest.raises(NotReadable):
        ShapeReader(None).read("  ")


# ----------------------------------------------------------------------------------------- groups


def test_a_group_asks_for_the_items_fields_beside_each_key() -> None:
    schema = group_schema({"a": str}, ["k1", "k2"])
    answer = schema["properties"]["answers"]["items"]
    assert answer["properties"] == {"key": {"type": "string", "enum": ["k1", "k2"]}, "a": {"type": "string"}}
    assert answer["required"] == ["key", "a"] and answer["additionalProperties"] is False
    ShapeReader(schema).read('{"answers": [{"key": "k1", "a": "x"}]}')


def test_definitions_of_the_items_shape_still_resolve_in_the_group() -> None:
    class Part(pydantic.BaseModel):
        n: int

    class Whole(pydantic.BaseModel):
        parts: list[Part]

    reader = ShapeReader(group_schema(Whole, ["k"]))
    reader.read('{"answers": [{"key": "k", "parts": [{"n": 1}]}]}')
    with pytest.raises(NotReadable):
        reader.read('{"answers": [{"key": "k", "parts": [{"n": "x"}]}]}')


ROOTED: list[Any] = [
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}},
]
NAMELESS: list[Any] = [{"type": "object"}, {"properties": {"a": {"type": "string"}}}, {"type": "array", "items": {}}]


@pytest.mark.parametrize("shape", [None, {"type": "string"}, {"key": str}, *ROOTED, *NAMELESS])
def test_a_shape_that_cannot_be_grouped_is_a_config_error(shape: Any) -> None:
    with pytest.raises(ConfigError):
        group_schema(shape, ["k"])


def test_a_group_of_a_shape_that_is_a_reference_has_the_fields_it_refers_to() -> None:
    shape = {
        "$ref": "#/$defs/x",
        "$defs": {"x": {"type": "object", "properties": {"a": {"$ref": "#/$defs/y"}}}, "y": {}},
    }
    schema = group_schema(shape, ["k"])
    assert list(schema["properties"]["answers"]["items"]["properties"]) == ["key", "a"]
    assert schema["$defs"] == shape["$defs"] and schema["required"] == ["answers"]
    assert schema["additionalProperties"] is False


def test_a_group_that_lacks_its_answers_is_declined_as_one() -> None:
    item = ShapeReader({"a": str})
    for read in (read_group, repaired_group):
        with pytest.raises(NotReadable) as caught:
            read('{"x": 1}', ["k"], item)
        assert caught.value.code == "shape" and caught.value.field == "/answers"


def test_a_group_is_split_by_key_and_a_contradiction_counts_as_missing() -> None:
    value = {
        "answers": [
            {"key": "a", "x": 1},
            {"key": "b", "x": 1},
            {"key": "b", "x": True},
            {"key": "c", "x": 3},
            {"x": 3, "key": "c"},
            {"key": "z", "x": 1},
            {"x": 1},
            "nonsense",
        ]
    }
    found = split_group(value, ["a", "b", "c", "d"])
    assert found.values == {"a": {"x": 1}, "c": {"x": 3}}
    assert found.missing == ("b", "d") and found.doubled == ("b",) and found.unknown == ("z", "null")


@pytest.mark.parametrize("value", [None, [], {}, {"answers": {}}, 3])
def test_a_value_without_answers_is_declined(value: Any) -> None:
    with pytest.raises(NotReadable):
        split_group(value, ["a"])


def test_an_item_that_does_not_fit_takes_no_other_of_its_group_with_it() -> None:
    text = '{"answers": [{"key": "a", "x": 1}, {"key": "b", "x": "no"}]}'
    found = read_group(text, ["a", "b", "c"], ShapeReader({"x": int}))
    assert found.values == {"a": {"x": 1}} and found.split.missing == ("c",)
    assert found.declined["b"].field == "/x"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1))), st.sets(st.sampled_from("abc")))
def test_each_key_of_a_group_is_answered_or_missing(answers: list[tuple[str, int]], keys: set[str]) -> None:
    found = split_group({"answers": [{"key": key, "x": x} for key, x in answers]}, sorted(keys))
    assert set(found.values) | set(found.missing) == keys
    assert not set(found.values) & set(found.missing) and set(found.doubled) <= set(found.missing)
    assert not set(found.unknown) & keys


def test_the_outlines_of_a_few_groups_are_kept() -> None:
    item = ShapeReader({"a": str})
    assert item.of_group(["k", "l"]) is item.of_group(["k", "l"]) and item.of_group(["k"]) is not item.of_group(["l"])
    most = 0
    for number in range(200):
        item.of_group([str(number)])
        most = max(most, len(item._groups))
    assert most == 64
