"""Each command that stands in the README and in docs/ does what the page says; the reference is complete."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import seedbed
from docs import generate
from seedbed import errors, events
from seedbed.engine.projects import settings
from seedbed.simulator import Settings, Simulator
from tests.docs.pages import PAGES, ROOT, Shell, agrees, blocks, simulator_settings

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
ALLOWED = {"console", "sh", "csv", "toml", "python", "jsonl", "json", "text", "markdown", "sql", ""}


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def environment(home: Path, url: str) -> dict[str, str]:
    """A person's shell with a key, on a machine where the key's provider is the simulator."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV") if name in os.environ}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": programs, "HOME": str(home), "COLUMNS": "110", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **own, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "not-a-key"}


# ------------------------------------------------------------------------------------- what is run


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page: Path, simulator: Simulator, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    simulator.configure(Settings())
    simulator.configure(simulator_settings(text))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    shell = Shell(tmp_path / "here", environment(tmp_path / "home", simulator.url), apart=page.name == "README.md")
    for block in blocks(text):
        if "file" in block.options:
            shell.put(block.options["file"], block.body)
        if block.language != "console":
            continue
        for step in block.steps():
            code, lines = shell.run(step.command, without_key="nokey" in block.options)
            said = "\n".join(lines)
            place = f"{name_of(page)}:{step.line}: $ {step.command}\n\n{said}\n\n"
            assert code == step.exit_code, f"{place}ended with {code}; the page says {step.exit_code}"
            assert agrees(step.expected, lines), f"{place}is what it said; the page says\n\n" + "\n".join(step.expected)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_kind_that_is_known(page: Path) -> None:
    """A misspelt ``consol`` would be a block that is never run."""
    assert {block.language for block in blocks(page.read_text("utf-8"))} <= ALLOWED


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    gone = []
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not (page.parent / target).exists():
            gone.append(target)
    assert gone == []


def test_each_page_is_reached_from_the_first_one() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        waiting.extend(page.parent / link for link in links if "://" not in link)
    assert {page.resolve() for page in PAGES} <= seen


# ----------------------------------------------------------------------------- comparing, by itself


@pytest.mark.parametrize(
    ("expected", "lines", "same"),
    [
        ((), ["anything"], True),
        (("a b",), ["a    b"], True),
        (("a",), ["a", "b"], False),
        (("a", "..."), ["a", "b", "c"], True),
        (("...", "c"), ["a", "b", "c"], True),
        (("...", "d"), ["a", "b", "c"], False),
        (("spent ... in all",), ["spent $0.01 in all"], True),
        (("spent ... in all",), ["spent $0.01", "in all"], False),
        (("(1.5)",), ["(1x5)"], False),
    ],
)
def test_expected_lines_are_compared_with_dots_for_anything(
    expected: tuple[str, ...], lines: list[str], same: bool
) -> None:
    assert agrees(expected, lines) is same


# -------------------------------------------------------------------------- the reference is complete


@pytest.mark.parametrize("name", generate.GENERATED)
def test_generated_pages_are_as_the_code_says(name: str) -> None:
    wanted = generate.page(name)
    assert (REFERENCE / name).read_text("utf-8") == wanted, f"run: python docs/generate.py\n\n{wanted}"


def reference(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def said_in(name: str) -> set[str]:
    """Words that stand as code on a page of the reference."""
    return {word for code in re.findall(r"`([^`\n]+)`", reference(name)) for word in re.findall(r"[\w-]+", code)}


@pytest.mark.parametrize("path", generate.command_paths())
def test_each_command_is_in_the_reference(path: str) -> None:
    assert f"`seedbed {path}`" in reference("cli.md")


def test_each_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    missing = [path for path in generate.command_paths() if " " not in path and f"`{path}`" not in text]
    assert missing == []


def test_each_setting_is_in_the_reference() -> None:
    tables = {**settings.SECTIONS, **settings.NAMED}
    names = {name for table in tables.values() for name in table} | set(tables) | set(settings.FREE)
    assert names - said_in("project-file.md") == set()


def test_each_error_is_in_the_reference() -> None:
    classes = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.SeedbedError)
    }
    assert classes - said_in("errors.md") == set()


def test_each_event_with_its_fields_is_in_the_reference() -> None:
    kinds: tuple[Any, ...] = get_args(events.Event)
    names = {kind.__name__ for kind in kinds} | {name for kind in kinds for name in kind.__annotations__}
    assert names - said_in("events.md") == set()


def test_each_public_name_is_in_the_reference() -> None:
    assert set(seedbed.__all__) - said_in("python.md") == set()


def test_each_exit_code_is_in_the_reference() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.SeedbedError)]
    codes = {str(kind.exit_code) for kind in kinds} | {"0", "130", "143"}
    for page in (reference("exit-codes.md"), (ROOT / "README.md").read_text("utf-8")):
        rows = re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
        assert codes <= {code for row in rows for code in row.split(", ")}


def test_each_word_of_a_condition_is_in_the_reference() -> None:
    from seedbed import conditions

    text = reference("conditions.md")
    words = {"and", "or", "not", "in", "is empty", "true", "false", "~", "=", "!=", "<", "<=", ">", ">="}
    assert {word for word in words if f"`{word}`" not in text} == set()
    for example in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        conditions.parse(example)
