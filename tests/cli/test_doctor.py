"""What a helper would ask first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Ended

Command = Callable[..., Ended]


def facts(ended: Ended) -> dict[str, tuple[str, str]]:
    return {fact["name"]: (fact["mark"], fact["value"]) for fact in ended.json()["facts"]}


def test_without_a_project_it_says_what_is_here(seedbed: Command) -> None:
    ended = seedbed("doctor", "--json")
    assert ended.code == 0
    found = facts(ended)
    assert found["project"][0] == "note"
    assert found["python"][0] == "ok"
    assert found["disk"][0] == "ok"


def test_keys_are_named_and_never_shown(seedbed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seedbed("init", "own")
    path = tmp_path / "own" / "seedbed.toml"
    path.write_text(path.read_text("utf-8").replace("offline/standin", "openai/gpt-5-mini"), "utf-8")
    ended = seedbed("doctor", "-C", "own", "--json")
    assert ended.code == 0
    assert facts(ended)["tier default"][0] == "note"
    assert "OPENAI_API_KEY is not set" in facts(ended)["tier default"][1]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    ended = seedbed("doctor", "-C", "own", "--json")
    assert "OPENAI_API_KEY from the environment" in facts(ended)["tier default"][1]
    assert "price known" in facts(ended)["tier default"][1]
    assert "sk-very-secret" not in ended.out + ended.err


def test_receipts_and_records_are_counted(seedbed: Command) -> None:
    seedbed("init", "own")
    seedbed("run", "-C", "own")
    found = facts(seedbed("doctor", "-C", "own", "--json"))
    assert found["receipts"][1].startswith("24 in 1 files")
    assert found["records"][1].endswith("questions")
    assert found["locks"] == ("ok", "none held")
    assert [part.split()[0] for part in found["sizes"][1].split(", ")] == ["receipts", "state", "worklists", "logs"]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda folder: (folder / "seedbed.toml").write_text("[nope]\n", "utf-8"),
        lambda folder: (folder / "questions.csv").unlink(),
        lambda folder: (folder / "questions.csv").write_text("", "utf-8"),
    ],
)
def test_what_is_broken_is_marked_and_is_the_exit_code(
    seedbed: Command, tmp_path: Path, break_it: Callable[[Path], object]
) -> None:
    seedbed("init", "own")
    break_it(tmp_path / "own")
    ended = seedbed("doctor", "-C", "own", "--json")
    assert ended.code == 2
    assert "bad" in {mark for mark, _ in facts(ended).values()}
    shown = seedbed("doctor", "-C", "own")
    assert any(line.startswith("bad ") for line in shown.out.splitlines())


def test_looking_writes_nothing(seedbed: Command, tmp_path: Path) -> None:
    seedbed("doctor")
    assert list(tmp_path.iterdir()) == []
