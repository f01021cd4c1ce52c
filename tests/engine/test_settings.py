"""The project file: what it may say, what is said when it is wrong, and the schema that editors read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from seedbed.engine.projects.settings import FREE, NAMED, SECTIONS, check, json_schema, read_settings
from seedbed.errors import ConfigError

GOOD = """
[project]
name = "questions"
corpus = "sqlite:///corpus.db"
demo = false

[tiers]
default = "openai/gpt-5-mini"

[budget]
run = "5usd"
project = 20

[run]
concurrency = 40
timeout = 30
patience = 0.5

[providers.openai]
base_url = "http://127.0.0.1:8000/v1"
key = "$OPENAI_API_KEY"

[prices."openai/gpt-5-mini"]
input = 0.25
output = 2

[stages."q.summary"]
table = "questions"
outputs = ["summary"]
prompt = "summary.md"
shape = {summary = "text"}
per_call = 12
parameters = {temperature = 0.2}

[stages."q.title"]
table = "questions"
outputs = "title"
prompt = "title.md"
shape = "title.json"

[recipe]
anything = {at = "all"}
"""


def settings_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "seedbed.toml"
    path.write_text(text, "utf-8")
    return read_settings(path)


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    return caught.value


# ------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    ("section", "name", "expected"),
    [
        ("project", "name", "questions"),
        ("project", "demo", False),
        ("tiers", "default", "openai/gpt-5-mini"),
        ("budget", "run", 5_000_000_000),
        ("budget", "project", 20_000_000_000),
        ("run", "concurrency", 40),
        ("run", "timeout", 30),
        ("run", "patience", 0.5),
    ],
)
def test_a_value_of_the_file_is_had_by_section_and_name(tmp_path: Path, section: str, name: str, expected: Any) -> None:
    assert settings_of(tmp_path, GOOD).get(section, name) == expected


def test_a_value_that_the_file_does_not_name_is_the_default(tmp_path: Path) -> None:
    assert settings_of(tmp_path, GOOD).get("run", "grace") == SECTIONS["run"]["grace"].default


def test_one_text_stands_for_a_list_of_one(tmp_path: Path) -> None:
    assert settings_of(tmp_path, GOOD).table("stages")["q.title"]["outputs"] == ["title"]


def test_what_a_recipe_is_told_is_left_as_it_is(tmp_path: Path) -> None:
    assert settings_of(tmp_path, GOOD).table("recipe") == {"anything": {"at": "all"}}


def test_without_a_file_all_values_are_defaults() -> None:
    assert read_settings(None).get("project", "corpus") == "sqlite:///corpus.db"


def test_a_section_that_is_not_there_is_an_empty_table() -> None:
    assert read_settings(None).table("providers") == {}


@pytest.mark.parametrize(
    ("section", "name", "origin"),
    [("run", "concurrency", "seedbed.toml"), ("run", "grace", "default"), ("run", "timeout", "the command line")],
)
def test_each_value_knows_where_it_came_from(tmp_path: Path, section: str, name: str, origin: str) -> None:
    path = tmp_path / "seedbed.toml"
    path.write_text(GOOD, "utf-8")
    assert read_settings(path, {"run.timeout": 5.0}).origin(section, name) == origin


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "seedbed.toml"
    path.write_text(GOOD, "utf-8")
    assert read_settings(path, {"run.timeout": 5.0}).get("run", "timeout") == 5.0


# --------------------------------------------------------------------------------- what is refused


def test_an_unknown_section_is_answered_with_the_nearest(tmp_path: Path) -> None:
    error = refused(tmp_path, "[budgets]\nrun = 5\n")
    assert (error.what, error.hint) == ('seedbed.toml: unknown section "budgets"', 'did you mean "budget"?')


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("[run]\nconcurency = 4\n", 'unknown key "concurency" in [run]', 'did you mean "concurrency"?'),
        ("[providers.x]\nbaseurl = ''\n", 'unknown key "baseurl" in [providers.x]', 'did you mean "base_url"?'),
        ('[stages."q.s"]\noutput = []\n', 'unknown key "output" in [stages.q.s]', 'did you mean "outputs"?'),
        ("[prices.x]\ninputs = 1\n", 'unknown key "inputs" in [prices.x]', 'did you mean "input"?'),
        ("[tiers]\nlow = 'a/b'\n", 'unknown key "low" in [tiers]', "known: cheap, default, high, mid"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(tmp_path: Path, text: str, what: str, hint: str) -> None:
    error = refused(tmp_path, text)
    assert (error.what, error.hint) == (f"seedbed.toml: {what}", hint)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[project]\nname = 5\n", "project.name must be a text, not 5"),
        ("[project]\nname = 2026-11-20\n", "project.name must be a text, not datetime.date(2026, 11, 20)"),
        ("[project]\ndemo = 'yes'\n", "project.demo must be true or false, not 'yes'"),
        ("[project]\ndemo = 1\n", "project.demo must be true or false, not 1"),
        ("[run]\nconcurrency = '4'\n", "run.concurrency must be a whole number, not '4'"),
        ("[run]\nconcurrency = 4.5\n", "run.concurrency must be a whole number, not 4.5"),
        ("[run]\nconcurrency = true\n", "run.concurrency must be a whole number, not True"),
        ("[run]\nconcurrency = 0\n", "run.concurrency is 0; it starts at 1"),
        ("[run]\nconcurrency = -1\n", "run.concurrency is -1; it cannot be negative"),
        ("[run]\ntimeout = true\n", "run.timeout must be a number, not True"),
        ("[run]\ntimeout = inf\n", "run.timeout is inf; it cannot be without end"),
        ("[run]\ntimeout = nan\n", "run.timeout is nan; it cannot be without end"),
        ("[prices.m]\ninput = -0.5\n", "prices.m.input is -0.5; it cannot be negative"),
        ("[stages.s]\noutputs = [1]\n", "stages.s.outputs must be a list of texts, not [1]"),
        ("[stages.s]\nper_call = 0\n", "stages.s.per_call is 0; it starts at 1"),
        ("[stages.s]\nparameters = 'hot'\n", "stages.s.parameters must be a table, not 'hot'"),
        ("[stages.s]\nshape = 5\n", "stages.s.shape must be a table or a text, not 5"),
        ("[budget]\nrun = 'five'\n", "budget.run: 'five' is not an amount of money"),
        ("[budget]\nrun = true\n", "budget.run: 'True' is not an amount of money"),
        ("[budget]\nrun = -1\n", "budget.run: '-1' is not an amount of money"),
    ],
)
def test_a_value_of_another_kind_is_refused_at_its_place(tmp_path: Path, text: str, what: str) -> None:
    assert refused(tmp_path, text).what == f"seedbed.toml: {what}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("run = 5\n", '"run" must be a table: [run]'),
        ("[providers]\nopenai = 'x'\n", '"providers.openai" must be a table: [providers."openai"]'),
    ],
)
def test_a_value_where_a_table_belongs_is_refused(tmp_path: Path, text: str, what: str) -> None:
    assert refused(tmp_path, text).what == f"seedbed.toml: {what}"


@pytest.mark.parametrize(
    ("text", "line"),
    [("[run\n", 1), ("[run]\nconcurrency = \n", 2), ("[run]\n\n\ntimeout = 1\ntimeout = 2\n", 5)],
)
def test_toml_that_cannot_be_read_is_refused_with_the_line(tmp_path: Path, text: str, line: int) -> None:
    what = refused(tmp_path, text).what
    assert "seedbed.toml is not valid TOML" in what and f"line {line}," in what


def test_a_file_that_is_no_text_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "seedbed.toml"
    path.write_bytes(b"[run]\n\xff")
    with pytest.raises(ConfigError, match="not UTF-8 text \\(byte 6\\)"):
        read_settings(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_settings(tmp_path)


# ------------------------------------------------------------------------------------- JSON Schema


def valid(text: str) -> bool:
    return jsonschema_rs.validator_for(json_schema()).is_valid(tomllib.loads(text))


def test_the_schema_is_a_schema() -> None:
    jsonschema_rs.meta.validate(json_schema())


def test_the_schema_takes_a_good_file() -> None:
    assert valid(GOOD)


BAD = [
    "[budgets]\nrun = 5\n",
    "[run]\nconcurency = 4\n",
    "[run]\nconcurrency = '4'\n",
    "[run]\nconcurrency = 0\n",
    "[run]\ntimeout = -1\n",
    "[project]\ndemo = 1\n",
    "[tiers]\nlow = 'a/b'\n",
    "[providers]\nopenai = 'x'\n",
    "[stages.s]\noutputs = [1]\n",
    "[stages.s]\nparameters = 'hot'\n",
    "[stages.s]\nper_call = 1.5\n",
    "[budget]\nrun = true\n",
    "run = 5\n",
]


@pytest.mark.parametrize("text", BAD)
def test_the_schema_refuses_a_bad_file(text: str) -> None:
    assert not valid(text)


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_seedbed_refuses_too(text: str) -> None:
    with pytest.raises(ConfigError):
        check(tomllib.loads(text), "seedbed.toml")


def test_the_schema_explains_every_setting() -> None:
    properties = json_schema()["properties"]
    tables = [properties[section] for section in SECTIONS]
    tables += [properties[section]["additionalProperties"] for section in NAMED]
    assert all(setting["description"] for table in tables for setting in table["properties"].values())


def test_the_schema_knows_every_section() -> None:
    assert set(json_schema()["properties"]) == {*SECTIONS, *NAMED, *FREE}


def test_every_default_is_a_value_that_the_file_could_hold() -> None:
    for section, known in SECTIONS.items():
        defaults = {name: setting.default for name, setting in known.items() if setting.default is not None}
        assert check({section: defaults}, "seedbed.toml") == {section: defaults}
