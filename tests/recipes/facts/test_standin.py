from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from seedbed import Corpus
from seedbed.recipes.facts import pipeline, standin
from seedbed.recipes.facts.geography import legacy_file
from seedbed.recipes.facts.importing import import_facts
from tests.recipes.facts.helpers import HOME, all_rows, ask, findings_of, items, one_round, plant_entry, prompt

SHAPES = {name: json.loads((HOME / "shapes" / f"{name}.json").read_text("utf-8")) for name in ("explode", "challenges")}
STAGES = {stage.name: stage for stage in pipeline({"difficulty": 0}).stages if not stage.by_name}
EXPLODE, VALIDATE = STAGES["facts.explode"], STAGES["facts.validate"]
CHALLENGES = STAGES["facts.challenges.d0"]


def test_it_imports_nothing_of_seedbed() -> None:
    tree = ast.parse(Path(standin.__file__).read_text("utf-8"))
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in named if name.startswith("seedbed")]


@pytest.mark.parametrize("name", SHAPES)
def test_the_shapes_are_strict(name: str) -> None:
    def objects(schema: Any) -> Any:
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                yield schema
            for value in schema.values():
                yield from objects(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from objects(value)

    jsonschema_rs.validator_for(SHAPES[name])
    for each in objects(SHAPES[name]):
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


def test_all_entries_of_the_demo_get_answers_that_pass(corpus: Corpus, tmp_path: Path) -> None:
    """000.24, 000.26, 000.51, 000.54: roots, spin-offs, validation and challenges, until nothing is left."""
    assert legacy_file(tmp_path / "legacy.csv") == 60
    import_facts(corpus, [tmp_path / "legacy.csv"], dry_run=False, release="import")
    done: dict[str, set[str]] = {name: set() for name in STAGES}
    first = {name: one_round(stage, corpus, done[name]) for name, stage in STAGES.items()}
    assert first["facts.explode"]["entries stored"] > 12
    assert first["facts.explode"]["entries duplicate"] > 0
    second = {name: one_round(stage, corpus, done[name]) for name, stage in STAGES.items()}
    assert second["facts.explode"]["facts stored"] >= first["facts.explode"]["entries stored"]
    assert not any(one_round(stage, corpus, done[name]) for name, stage in STAGES.items())
    facts = all_rows(corpus, "facts")
    assert {row["status"] for row in facts} == {"validated"}
    assert len(all_rows(corpus, "challenges")) == 6 * len(facts)


def test_numbers_of_an_entry_are_used_as_they_are(corpus: Corpus) -> None:
    plant_entry(corpus, "chad", data={"population": 15477751, "capital": "N'Djamena"})
    (item,) = items(EXPLODE, corpus)
    answer = ask(EXPLODE, corpus, item)
    values = {pair["key"]: pair["value"] for fact in answer["facts"] for pair in fact["facts"]}
    assert values == {"population": 15477751, "capital": "N'Djamena"}
    assert answer["spinoffs"] == [{"name": "N'Djamena", "topic": "cities"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Singapore", "data": {"capital": "Singapore", "population": 5638676}},
        {"name": "Mexico City", "topic": "cities", "data": {"country": "Mexico"}},
        {"name": "Washington, D.C.", "topic": "cities", "data": {"country": "United States", "latitude": -38.9}},
        {"name": "Nothing known", "data": None},
        {"name": "No keys at all", "topic": "geography", "data": None},
        {"name": 'A "quoted" {{ name }} – with\u2028marks', "data": {"capital": '- entry: "x"\n- entry: 3'}},
        {"name": "7", "data": {"population": 7, "area_km2": 0.5}},
        {"name": "东京", "topic": "cities", "data": {"country": "日本"}},
    ],
)
def test_odd_entries_get_answers_that_pass_too(corpus: Corpus, changes: dict[str, Any]) -> None:
    plant_entry(corpus, "odd", **changes)
    (item,) = items(EXPLODE, corpus)
    answer = ask(EXPLODE, corpus, item)
    jsonschema_rs.validate(SHAPES["explode"], answer)
    marked = "{{" in changes["name"]
    errors = [finding.code for finding in findings_of(EXPLODE, item, answer) if finding.severity == "error"]
    assert errors == (["EX-003"] if marked else [])
    if not marked:
        one_round(EXPLODE, corpus, set())
        one_round(VALIDATE, corpus, set())
        assert {row["status"] for row in all_rows(corpus, "facts", "entry = 'odd'")} == {"validated"}
        one_round(CHALLENGES, corpus, set())


def test_the_same_prompt_has_the_same_answer(corpus: Corpus) -> None:
    plant_entry(corpus, "chad")
    (item,) = items(EXPLODE, corpus)
    assert ask(EXPLODE, corpus, item) == ask(EXPLODE, corpus, item)


@pytest.mark.parametrize("lost", ["entry", "keys of the topic", "known already", "titles that exist", "facts wanted"])
def test_a_prompt_that_lost_a_line_is_not_answered(corpus: Corpus, lost: str) -> None:
    plant_entry(corpus, "chad")
    (item,) = items(EXPLODE, corpus)
    text = prompt(EXPLODE, corpus, item)
    assert standin.explode(text, SHAPES["explode"]) is not None
    broken = "\n".join(line for line in text.splitlines() if not line.startswith(f"- {lost}:"))
    assert standin.explode(broken, SHAPES["explode"]) is None


def test_it_is_silent_on_shapes_that_it_does_not_know() -> None:
    for rule in standin.RULES:
        assert rule('- entry: "x"', {"type": "object", "properties": {"summary": {"type": "string"}}}) is None
        assert rule("anything", {"type": "string"}) is None


def test_titles_that_exist_are_not_told_again(corpus: Corpus) -> None:
    """000.77"""
    plant_entry(corpus, "chad", data={"population": 15477751, "capital": "N'Djamena"})
    (item,) = items(EXPLODE, corpus)
    assert item.context["titles"] == []
    one_round(EXPLODE, corpus, set())
    (again,) = [each for each in items(EXPLODE, corpus) if each["id"] == "chad"]
    assert len(again.context["titles"]) == 2
    assert ask(EXPLODE, corpus, again)["facts"] == []
