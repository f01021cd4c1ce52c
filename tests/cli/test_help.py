"""Help is quick, plain, and names each verb and option."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.cli import GROUPS
from tests.cli.commands import Ended, environment

Command = Callable[..., Ended]

HEAVY = ("aiohttp", "sqlalchemy", "jinja2", "jsonschema_rs", "genai_prices", "rich", "orjson", "zstandard", "asyncio")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from seedbed.cli import run
run(["--help"])
run(["fill", "--help"])
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_verb_is_listed_and_has_a_help(seedbed: Command) -> None:
    shown = seedbed("--help")
    assert shown.code == 0
    for name in (name for names in GROUPS.values() for name in names):
        assert f"  {name} " in shown.out
        own = seedbed(name, "--help")
        assert own.code == 0, own.err
        assert own.out.startswith("Usage: seedbed") or own.out.startswith("usage: seedbed")


def test_an_import_of_facts_names_the_page_about_what_to_seed(seedbed: Command) -> None:
    """000.02"""
    shown = " ".join(seedbed("import", "facts", "--help").out.split())
    page = "docs/how-to/seeding-strategy-and-cost-control.md"
    assert page in shown.replace("- ", "-")
    assert (Path(__file__).parents[2] / page).is_file()


def test_nothing_asked_shows_the_help(seedbed: Command) -> None:
    ended = seedbed()
    assert ended.code == 2
    assert ended.err.startswith("Usage: seedbed")


def test_the_module_and_the_script_are_one_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seedbed", "--version"], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("seedbed 0.")


@pytest.mark.parametrize("verb", ["run", "generate", "recover", "export", "upload", "validate", "rollback", "fill"])
def test_verbs_that_work_can_be_tried_dry_and_read_by_programs(seedbed: Command, verb: str) -> None:
    shown = seedbed(verb, "--help").out
    assert "--dry-run" in shown
    assert "--json" in shown
