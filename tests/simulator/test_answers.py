from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.simulator import answer, load_rules

RULES = [lambda prompt, schema: "ruled" if schema.get("title") == "Fact" else None]
NO_RULES = "nothing"

words = st.text(min_size=1, max_size=8)


def strings() -> st.SearchStrategy[dict[str, Any]]:
    lengths = st.tuples(st.integers(0, 30), st.integers(0, 60)).map(
        lambda pair: {"minLength": pair[0], "maxLength": pair[0] + pair[1]}
    )
    formats = st.sampled_from([{"format": "date"}, {"format": "date-time"}, {}])
    return st.one_of(lengths, formats).map(lambda extra: {"type": "string", **extra})


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    spans = st.tuples(st.integers(-1000, 1000), st.integers(0, 1000))
    kinds = st.sampled_from(["integer", "number"])
    both = st.builds(lambda k, s: {"type": k, "minimum": s[0], "maximum": s[0] + s[1]}, kinds, spans)
    low = st.builds(lambda k, s: {"type": k, "minimum": s[0]}, kinds, spans)
    high = st.builds(lambda k, s: {"type": k, "maximum": s[0]}, kinds, spans)
    open_ends = st.builds(
        lambda k, s: {"type": k, "exclusiveMinimum": s[0], "exclusiveMaximum": s[0] + s[1] + 2}, kinds, spans
    )
    steps = st.builds(lambda s, m: {"type": "integer", "minimum": s[0], "multipleOf": m}, spans, st.integers(1, 9))
    return st.one_of(both, low, high, open_ends, steps)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    values = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), words)
    return st.one_of(
        strings(),
        numbers(),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": ["string", "null"]}),
        st.just({"type": ["null", "integer"]}),
        st.just({"$ref": "#/$defs/leaf"}),
        st.lists(values, min_size=1, max_size=4).map(lambda options: {"enum": options}),
        values.map(lambda value: {"const": value}),
    )


def arrays(items: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    sizes = st.tuples(st.integers(0, 4), st.integers(0, 3))
    return st.builds(
        lambda each, size: {
            "type": "array",
            "items": each,
            "minItems": size[0],
            "maxItems": size[0] + size[1],
        },
        items,
        sizes,
    )


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(words, values, max_size=4).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:2],
            "additionalProperties": False,
        }
    )


def branches(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        values.map(lambda value: {"anyOf": [value, {"type": "null"}]}),
        objects(values).map(lambda value: {"oneOf": [value, {"type": "null"}]}),
    )


shapes = st.recursive(leaves(), lambda inner: arrays(inner) | objects(inner) | branches(inner), max_leaves=12).map(
    lambda shape: {**shape, "$defs": {"leaf": {"type": "integer", "minimum": 3}}}
)


@given(st.text(max_size=200), shapes, st.integers(0, 5))
def test_any_shape_gets_a_valid_answer(prompt: str, shape: dict[str, Any], seed: int) -> None:
    made = answer(prompt, shape, seed=seed)
    validator = jsonschema_rs.Draft202012Validator(shape, validate_formats=True)
    assert validator.is_valid(json.loads(made)), made
    assert made == answer(prompt, shape, seed=seed)


TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "left", "children"],
        }
    },
}


def test_a_shape_that_holds_itself_ends() -> None:
    assert jsonschema_rs.is_valid(TREE, json.loads(answer("Grow.\n\nA small tree", TREE)))


def test_unique_items_are_unique() -> None:
    shape = {"type": "array", "items": {"type": "string"}, "minItems": 5, "uniqueItems": True}
    assert jsonschema_rs.is_valid(shape, json.loads(answer("Name five.\n\nParis", shape)))


def test_a_changed_prompt_or_seed_changes_the_answer() -> None:
    shape = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "integer"}}}
    first = answer("Tell.\n\nParis on the Seine", shape)
    assert first != answer("Say.\n\nParis on the Seine", shape)
    assert first != answer("Tell.\n\nParis on the Seine", shape, seed=1)


def test_words_come_from_the_item_and_from_nowhere_else() -> None:
    prompt = "Instructions with many words of their own.\n\nRome stands by the Tiber"
    made = json.loads(answer(prompt, {"type": "string"}))
    assert set(made.split()) <= {"Rome", "stands", "by", "the", "Tiber"}


def test_a_prompt_without_an_item_shows() -> None:
    assert json.loads(answer("  \n", {"type": "string"})) == "(empty)"


def test_an_option_that_the_item_names_wins() -> None:
    shape = {"enum": ["village", "big city", "city"]}
    assert json.loads(answer("Which of village or city?\n\nLyon is a big City in France", shape)) == "big city"


def test_no_shape_gives_prose() -> None:
    assert answer("Tell.\n\nRome stands by the Tiber", None).endswith(".")


def test_a_schema_in_the_prompt_is_not_taken_for_the_item() -> None:
    prompt = 'Tell.\n\nRome stands\n\n```json\n{"type": "object", "properties": {}}\n```\n'
    assert set(json.loads(answer(prompt, {"type": "string"})).split()) <= {"Rome", "stands"}


def test_rules_come_before_the_fallback_at_every_depth() -> None:
    shape = {"type": "object", "properties": {"a": {"title": "Fact", "type": "string"}, "b": {"type": "boolean"}}}
    made = json.loads(answer("Tell.\n\nRome", shape, rules=load_rules(__name__)))
    assert made["a"] == "ruled"
    assert isinstance(made["b"], bool)


def test_a_module_without_rules_is_refused() -> None:
    with pytest.raises(ValueError, match="json has no RULES"):
        load_rules("json")


def grouped(keys: list[str]) -> dict[str, Any]:
    element = {
        "type": "object",
        "properties": {"key": {"enum": keys}, "fact": {"type": "string"}},
        "required": ["key", "fact"],
        "additionalProperties": False,
    }
    count = len(keys)
    answers = {"type": "array", "items": {"$ref": "#/$defs/one"}, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {"answers": answers},
        "required": ["answers"],
        "$defs": {"one": element},
    }


def test_a_grouped_call_gets_one_answer_for_each_key_about_its_own_item() -> None:
    prompt = "Answer a1 and a2 and a3.\n\n[a1] Rome Tiber\n[a2] Paris Seine\n[a3] London Thames"
    shape = grouped(["a1", "a2", "a3"])
    made = json.loads(answer(prompt, shape))
    assert jsonschema_rs.is_valid(shape, made)
    about = {each["key"]: set(each["fact"].split()) for each in made["answers"]}
    assert about == {"a1": {"Rome", "Tiber"}, "a2": {"Paris", "Seine"}, "a3": {"London", "Thames"}}


def test_a_rule_sees_one_item_of_a_group_and_its_own_shape() -> None:
    def rule(prompt: str, schema: Mapping[str, Any]) -> object | None:
        assert "key" not in schema.get("properties", {})
        assert ("Rome" in prompt) != ("Paris" in prompt)
        return {"fact": "Rome!" if "Rome" in prompt else "Paris!"}

    made = json.loads(answer("Tell.\n\na1: Rome\n\na2: Paris", grouped(["a1", "a2"]), rules=[rule]))
    assert made == {"answers": [{"key": "a1", "fact": "Rome!"}, {"key": "a2", "fact": "Paris!"}]}
