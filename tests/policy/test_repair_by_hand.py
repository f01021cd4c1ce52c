"""Repair held against answers that were written by hand, and against each single slip of a mark in whole documents."""

# ruff: noqa: E501

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from seedbed.errors import NotRepairable
from seedbed.policy.edits import Repaired, applied, undone
from seedbed.policy.repair import repair_json
from tests.policy.hand_cases import ACT, ART, CODE, FACTS, LIST, NEST, NEVER_SILENT, QUIZ, RIGHT, TR


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def read(text: str, schema: Any) -> Repaired | None:
    try:
        found = repair_json(text, schema)
    except NotRepairable:
        return None
    assert undone(applied(text, found.edits), found.edits) == text
    return found


@pytest.mark.parametrize(("schema", "text", "value"), RIGHT)
def test_what_is_all_there_is_read(schema: Any, text: str, value: Any) -> None:
    found = repair_json(text, schema)
    assert same(found.value, value) and not found.doubtful
    assert undone(applied(text, found.edits), found.edits) == text


@pytest.mark.parametrize(("schema", "text", "value"), NEVER_SILENT)
def test_what_is_not_is_never_read_in_silence(schema: Any, text: str, value: Any) -> None:
    found = read(text, schema)
    assert found is None or found.doubtful or (value is not None and same(found.value, value))


PREFIXED = [
    (FACTS, '{"facts": [{"claim": "Wien, "die Stadt", ist alt", "source": "a, b", "year": 1}, {"claim": "x", "source": "y", "year": null}]}'),
    (NEST, '```json\n{\n  "book": {\n    "title": "Der „Prozess“",\n    "author": {"name": "Kafka", "born": 1883}\n  },\n  "chapters": [\n    {"no": 1, "heading": "a, b", "lines": ["x", "y [1]", "{z}"]}\n  ]\n}'),
    (ACT, "{'name': 'L\\'eau', 'steps': ['don\\'t', \"it's\", 'x'], 'age': 5, 'indoor': True}"),
    (TR, '{"ro": "El a zis „da", apoi „nu"", "de": "Er sagte „ja" und „nein"", "fr": "Il dit « oui », puis "non""}'),
]  # fmt: skip


@pytest.mark.parametrize("ending", ["", "\n```", "..."])
@pytest.mark.parametrize(("schema", "text"), PREFIXED)
def test_each_prefix_is_refused_or_doubted(schema: Any, text: str, ending: str) -> None:
    for cut in range(len(text)):
        for known in (schema, None):
            found = read(text[:cut] + ending, known)
            assert found is None or found.doubtful, text[:cut]


# ------------------------------------------------------------------------------ each slip of one mark

MARKS = '{}[],:"'
DOCUMENTS: list[tuple[Any, Any]] = [
    (ART, {"title": "Cine știe, câștigă", "text": "El a zis: „Vino!” și, apoi, a tăcut."}),
    (ACT, {"name": "Hopscotch", "steps": ["Draw, then number them", "Throw a stone", "Hop"], "age": 6, "indoor": False}),
    (QUIZ, {"question": "Who?", "options": ["Ana", "Bob, jr.", "none", "all"], "answer": 2, "why": 'It\'s (a) "game".'}),
    (FACTS, {"facts": [{"claim": "Wien ist alt, groß.", "source": "https://x.y/a?b=1", "year": None}]}),
    (NEST, {"book": {"title": "Der Prozess", "author": {"name": "Franz Kafka", "born": 1883}},
            "chapters": [{"no": 1, "heading": "A, b", "lines": ["x y", "z"]}, {"no": 2, "heading": "C", "lines": []}]}),
    (TR, {"ro": "da, sigur", "de": "ja", "fr": "d'accord, oui"}),
    (CODE, {"language": "py", "code": 'print("a, b")\nx = {"k": [1, 2]}', "notes": ['a "b" c', "d"]}),
    ({"xs": [float], "ys": [[int]], "z": str}, {"xs": [1.5, 2, 3], "ys": [[1, 2], [3, 4], []], "z": "a, 1, 2"}),
    (LIST, [{"q": "孩子们，在跑吗？", "a": "是"}, {"q": "老师:笑了", "a": "不，是"}]),
]  # fmt: skip
LAYOUTS: list[dict[str, Any]] = [{}, {"indent": 2}, {"separators": (",", ":")}]


def marks_of(text: str) -> list[int]:
    """Where the marks of the structure stand in strict JSON."""
    found = []
    inside = False
    at = 0
    while at < len(text):
        if inside and text[at] == "\\":
            at += 2
            continue
        if text[at] == '"':
            inside = not inside
            found.append(at)
        elif not inside and text[at] in MARKS:
            found.append(at)
        at += 1
    return found


def slips(text: str) -> Iterator[str]:
    """The text with one mark left out, doubled, turned into another, beside another, or moved a few places."""
    marks = marks_of(text)
    for at in marks:
        without = text[:at] + text[at + 1 :]
        yield without
        yield text[:at] + text[at] + text[at:]
        for to in range(max(0, at - 8), min(len(without), at + 8) + 1):
            yield without[:to] + text[at] + without[to:]
        for other in MARKS + "'; \n":
            yield text[:at] + other + text[at + 1 :]
        for other in MARKS:
            yield text[: at + 1] + other + text[at + 1 :]
    for one, next_one in pairwise(marks):
        yield text[:one] + text[next_one] + text[one + 1 : next_one] + text[one] + text[next_one + 1 :]


def strictly(text: str) -> bool:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=once)
    except (ValueError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("schema", "value"), DOCUMENTS)
def test_no_slip_of_one_mark_is_read_in_silence(schema: Any, value: Any, layout: dict[str, Any]) -> None:
    """All of them, not a sample: what is left is the value, a doubt, a refusal, or JSON that shows no trace (001.42)."""
    text = json.dumps(value, ensure_ascii=False, **layout)
    for slipped in set(slips(text)):
        found = read(slipped, schema)
        if found is None or found.doubtful or strictly(slipped):
            continue
        assert same(found.value, value), slipped
