"""The front door: few names, each of them the real thing, and none of them loaded before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import seedbed

SOURCE = ast.parse(Path(seedbed.__file__).read_text("utf-8"))


def names_for_type_checkers() -> dict[str, str]:
    """Name -> module, as the block for type checkers says it."""
    found = {}
    for node in ast.walk(SOURCE):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("seedbed"):
            for alias in node.names:
                found[alias.name] = node.module
    return found


def modules_after(code: str) -> set[str]:
    """Modules of a fresh Python after it ran some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", seedbed.__all__)
def test_each_public_name_can_be_had(name: str) -> None:
    assert getattr(seedbed, name) is not None


@pytest.mark.parametrize("name", [name for name in seedbed.__all__ if name != "errors"])
def test_each_public_name_is_the_one_that_type_checkers_see(name: str) -> None:
    assert getattr(seedbed, name) is getattr(import_module(names_for_type_checkers()[name]), name)


def test_the_errors_are_a_module_with_all_of_them() -> None:
    assert isinstance(seedbed.errors, ModuleType) and issubclass(seedbed.errors.Locked, seedbed.errors.SeedbedError)


def test_type_checkers_see_the_public_names_and_no_others() -> None:
    assert set(names_for_type_checkers()) == set(seedbed.__all__)


def test_the_public_names_are_listed_once_and_in_order() -> None:
    assert list(seedbed.__all__) == sorted(set(seedbed.__all__))


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    modules = {path.stem for path in Path(seedbed.__file__).parent.iterdir()}
    assert set(seedbed.__all__) & modules == {"crashing", "errors"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'seedbed' has no attribute 'Stagee'"):
        seedbed.Stagee  # noqa: B018


def test_all_names_can_be_taken_at_once() -> None:
    names: dict[str, object] = {}
    exec("from seedbed import *", names)
    assert set(names) >= set(seedbed.__all__)


def test_opening_the_door_loads_nothing_behind_it() -> None:
    assert {name for name in modules_after("import seedbed") if name.startswith("seedbed.")} == set()


@pytest.mark.parametrize("heavy", ["aiohttp", "sqlalchemy", "jinja2", "jsonschema_rs", "seedbed.engine"])
def test_a_word_is_had_without_what_the_engine_needs(heavy: str) -> None:
    assert heavy not in modules_after("from seedbed import Stage, fills, key_text")
