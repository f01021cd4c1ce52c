"""Secrets: three places in a fixed order, read anew each time, and never told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedbed.engine.projects.secrets import Secrets
from seedbed.errors import AuthError, ConfigError

NAME = "SEEDBED_TEST_KEY"


def write(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text, "utf-8")


@pytest.fixture
def everywhere(tmp_path: Path) -> Secrets:
    write(tmp_path, ".env.local", f"{NAME}=local\n")
    write(tmp_path, ".env", f"{NAME}=shared\n")
    return Secrets(tmp_path, {NAME: "environment"})


def test_the_environment_wins(everywhere: Secrets) -> None:
    assert everywhere.find(NAME) == ("environment", "the environment")


def test_the_local_file_wins_over_the_shared_one(everywhere: Secrets) -> None:
    assert Secrets(everywhere.root, {}).find(NAME) == ("local", ".env.local")


def test_the_shared_file_is_looked_at_last(everywhere: Secrets) -> None:
    (everywhere.root / ".env.local").unlink()
    assert Secrets(everywhere.root, {}).find(NAME) == ("shared", ".env")


@pytest.mark.parametrize("value", ["", "   "])
def test_a_blank_value_is_none_at_all(everywhere: Secrets, value: str) -> None:
    assert Secrets(everywhere.root, {NAME: value}).find(NAME) == ("local", ".env.local")


@pytest.mark.parametrize("line", [f"{NAME}=", NAME, f"{NAME}=' '"])
def test_a_blank_line_of_a_file_is_none_at_all(everywhere: Secrets, line: str) -> None:
    write(everywhere.root, ".env.local", f"{line}\n")
    assert Secrets(everywhere.root, {}).find(NAME) == ("shared", ".env")


@pytest.mark.parametrize("line", [f"{NAME}=sk-1", f"export {NAME}=sk-1", f'{NAME}="sk-1"', f"{NAME} = sk-1 # mine"])
def test_a_file_is_read_as_people_write_it(tmp_path: Path, line: str) -> None:
    write(tmp_path, ".env", f"# keys\nOTHER=x\n{line}\n")
    assert Secrets(tmp_path, {}).find(NAME) == ("sk-1", ".env")


def test_a_new_key_counts_at_once(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {})
    write(tmp_path, ".env", f"{NAME}=old\n")
    first = secrets.need(NAME, "openai")
    write(tmp_path, ".env", f"{NAME}=new\n")
    assert (first, secrets.need(NAME, "openai")) == ("old", "new")


def test_the_environment_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "mine")
    assert Secrets.of(tmp_path).find(NAME) == ("mine", "the environment")


def test_looking_changes_nothing_in_the_environment(tmp_path: Path) -> None:
    write(tmp_path, ".env", f"{NAME}=x\n")
    Secrets.of(tmp_path).find(NAME)
    assert NAME not in os.environ


def test_a_name_that_is_nowhere_is_none(tmp_path: Path) -> None:
    assert Secrets(tmp_path, {}).find(NAME) is None


def missing(root: Path, environment: dict[str, str] | None = None) -> AuthError:
    with pytest.raises(AuthError) as caught:
        Secrets(root, environment or {}).need(NAME, "openai")
    return caught.value


def test_a_missing_key_names_itself_and_whose_it_is(tmp_path: Path) -> None:
    assert missing(tmp_path).what == f"There is no key for openai: {NAME} is not set."


def test_a_missing_key_names_all_places_in_their_order(tmp_path: Path) -> None:
    assert missing(tmp_path).why == f"Looked in the environment, .env.local in {tmp_path}, .env in {tmp_path}."


def test_a_missing_key_says_how_to_set_it_and_that_nothing_was_sent(tmp_path: Path) -> None:
    hint = missing(tmp_path).hint
    assert f"export {NAME}=" in hint and "Nothing was sent." in hint


def test_a_missing_key_ends_with_the_exit_code_for_keys(tmp_path: Path) -> None:
    assert missing(tmp_path).exit_code == 6


def test_no_value_of_any_other_key_is_told(tmp_path: Path) -> None:
    write(tmp_path, ".env", "OTHER_KEY=sk-do-not-tell\n")
    assert "sk-do-not-tell" not in str(missing(tmp_path, {"ANOTHER": "sk-do-not-tell"}))


def test_a_file_that_is_no_text_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"OTHER_KEY=sk-do-not-tell\nX=\xff\n")
    with pytest.raises(ConfigError) as caught:
        Secrets(tmp_path, {}).find(NAME)
    assert "is not UTF-8 text" in caught.value.what and caught.value.__cause__ is None


@pytest.mark.parametrize(("value", "expected"), [(f"${NAME}", "sk-1"), ("plain", "plain"), ("", ""), ("a$b", "a$b")])
def test_a_dollar_in_front_stands_for_the_value_of_a_name(tmp_path: Path, value: str, expected: str) -> None:
    assert Secrets(tmp_path, {NAME: "sk-1"}).expand(value, "openai") == expected


def test_a_name_that_is_expanded_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(AuthError, match="There is no key for the corpus: NOWHERE is not set"):
        Secrets(tmp_path, {}).expand("$NOWHERE", "the corpus")
