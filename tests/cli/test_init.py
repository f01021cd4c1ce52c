"""A new project runs at once and overwrites nothing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Ended, rows

Command = Callable[..., Ended]


def test_a_new_project_runs_at_once_without_a_key(seedbed: Command, tmp_path: Path) -> None:
    made = seedbed("init", "own")
    assert made.code == 0, made.err
    assert made.out.splitlines()[-1] == "Next:  cd own && seedbed run --limit 5"
    ended = seedbed("run", "-C", "own")
    assert ended.code == 0, ended.err
    assert all(row["summary"] and row["topic"] for row in rows(tmp_path / "own" / "questions.filled.csv"))
    assert seedbed("doctor", "-C", "own").code == 0


def test_the_facts_recipe_runs_at_once_without_a_key(seedbed: Command, tmp_path: Path) -> None:
    assert seedbed("init", "own", "--recipe", "facts").code == 0
    ended = seedbed("run", "-C", "own", "--json")
    assert ended.code == 0, ended.err
    stages = {equation["stage"] for equation in ended.json()["equations"]}
    assert {"facts.explode", "facts.validate", "facts.challenges"} <= stages


@pytest.mark.parametrize("recipe", [[], ["--recipe", "facts"]])
def test_each_file_is_named_with_what_it_is(seedbed: Command, tmp_path: Path, recipe: list[str]) -> None:
    document = seedbed("init", "own", *recipe, "--json").json()
    assert len(document["files"]) == (10 if recipe else 5)
    for made in document["files"]:
        assert (tmp_path / "own" / made["path"]).stat().st_size < 20_000
        assert made["what"]


def test_the_project_file_names_a_schema_that_is_there(seedbed: Command, tmp_path: Path) -> None:
    seedbed("init", "own")
    text = (tmp_path / "own" / "seedbed.toml").read_text("utf-8")
    head = text.splitlines()[0]
    assert head == "#:schema ./.seedbed/seedbed.schema.json"
    schema = json.loads((tmp_path / "own" / ".seedbed" / "seedbed.schema.json").read_text("utf-8"))
    assert set(tomllib.loads(text)) <= set(schema["properties"])
    assert (tmp_path / "own" / ".gitignore").read_text("utf-8").splitlines()[:2] == [".seedbed/", ".env*"]


def test_nothing_is_ever_overwritten(seedbed: Command, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / ".gitignore").write_text("mine\n", "utf-8")
    assert seedbed("init", "own").code == 0
    assert (folder / ".gitignore").read_text("utf-8") == "mine\n"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended = seedbed("init", "own")
    assert ended.code == 2
    assert len(ended.told) <= 3
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "questions.csv").write_text("id\n1\n", "utf-8")
    assert seedbed("init", "other").code == 2
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["questions.csv"]


def test_bad_places_and_recipes_are_said(seedbed: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    for words in (["file"], ["own", "--recipe", "fact"]):
        ended = seedbed("init", *words)
        assert ended.code == 2
        assert len(ended.told) <= 3
    assert not (tmp_path / "own").exists()


def test_a_name_with_quotes_makes_a_project_file_that_can_be_read(seedbed: Command, tmp_path: Path) -> None:
    assert seedbed("init", 'my "own" {project}').code == 0
    text = (tmp_path / 'my "own" {project}' / "seedbed.toml").read_text("utf-8")
    assert tomllib.loads(text)["project"]["name"] == 'my "own" {project}'


def test_prompts_of_a_recipe_are_copied_and_changing_one_makes_its_outcomes_stale(
    seedbed: Command, tmp_path: Path
) -> None:
    """000.83"""
    seedbed("init", "own", "--recipe", "facts")
    assert seedbed("run", "facts.explode", "--limit", "2", "-C", "own").code == 0
    prompt = tmp_path / "own" / "prompts" / "explode.md"
    prompt.write_text(prompt.read_text("utf-8").replace("<!-- item -->", "Be brief.\n\n<!-- item -->"), "utf-8")
    audit = seedbed("audit", "facts.explode", "-C", "own", "--json").json()
    assert json.dumps(audit).count('"stale": 2') == 1
