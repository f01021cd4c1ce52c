"""`seedbed demo` as a person starts it: in processes of its own; the corpus read by SQLite, the ledger the witness."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seedbed import errors
from seedbed.cli import run
from seedbed.recipes.facts import demo
from tests.engine.projects import waiting_until

SMALL = ("--countries", "2", "--cities", "1")
KEY = "sk-of-the-user"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "seedbed", "demo", *words]


def started(*words: str, code: int = 0) -> str:
    """The standard output of a demo that ends by itself."""
    environment = {**os.environ, "OPENAI_API_KEY": KEY}
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "corpus.db")) as database:
        return database.execute(statement).fetchall()


def ledger(folder: Path) -> list[dict[str, Any]]:
    path = folder / demo.LEDGER
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


CONTENT = "select title, context, status from facts order by 1"
CHALLENGES = "select f.title, c.style, c.correct_answer from challenges c join facts f on f.id = c.fact order by 1, 2"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo that was not disturbed, and its document."""
    folder = tmp_path_factory.mktemp("demo") / "whole"
    return folder, json.loads(started(str(folder), *SMALL, "--latency", "10", "--json"))


def test_real_places_become_entries_facts_and_challenges(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = whole
    entries = rows(folder, "select name, topic, depth from entries")
    assert {("Nigeria", "countries", 0), ("Lagos", "cities", 0)} <= set(entries)
    assert all(topic for _, topic, _ in entries)
    assert {depth for _, _, depth in entries} == {0, 1}
    assert {status for (status,) in rows(folder, "select distinct status from facts")} == {"validated"}
    styles = rows(
        folder, "select f.id, count(distinct c.style) from facts f left join challenges c on c.fact = f.id group by 1"
    )
    assert len(styles) > 20
    assert {count for _, count in styles} == {6}


def test_the_report_says_what_the_tables_and_the_ledger_say(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, said = whole
    requests = ledger(folder)
    answers = [entry for entry in requests if entry["complete"]]
    facts = rows(folder, "select count(*) from facts")[0][0]
    assert said["exit"]["code"] == 0
    assert said["complete"] and said["agrees"]
    assert said["spent"] == "0" and float(said["real"]["cost"]) > 0
    assert all(each["items"] == each["states"]["accepted"] and each["closed"] for each in said["equations"])
    assert said["facts"] == {"validated": facts}
    assert said["calls"] == len(requests) == len(answers) == said["witness"]["requests"]
    assert said["tokens_in"] == sum(entry["input_tokens"] for entry in answers)
    assert said["tokens_out"] == sum(entry["output_tokens"] for entry in answers)
    assert len({fact["title"] for fact in said["facts_to_read"]}) == 5
    assert len({challenge["style"] for challenge in said["challenges_to_read"]}) == 3
    assert {fact["topic"] for fact in said["facts_to_read"]} == {"cities", "countries"}


def test_no_key_of_the_user_is_sent(whole: tuple[Path, dict[str, Any]]) -> None:
    assert {entry["key_fingerprint"] for entry in ledger(whole[0])} == {None}


def test_started_again_it_says_that_it_is_complete_and_asks_nothing(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, said = whole
    before, content = len(ledger(folder)), rows(folder, CONTENT)
    shown = started(str(folder))
    assert "This demo is complete" in shown
    assert all(fact["title"] in shown for fact in said["facts_to_read"])
    assert "our books say the same" in shown
    assert "\nNext:  cd " in shown
    assert len(ledger(folder)) == before
    assert rows(folder, CONTENT) == content


def test_killed_at_any_moment_it_goes_on_and_no_received_answer_is_asked_again(
    tmp_path: Path, whole: tuple[Path, dict[str, Any]]
) -> None:
    folder = tmp_path / "killed"
    child = subprocess.Popen(
        command(str(folder), *SMALL, "--latency", "150"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    waiting_until(lambda: sum(entry["complete"] for entry in ledger(folder)) >= 12)
    child.kill()
    child.wait()
    said = json.loads(started(str(folder), "--latency", "10", "--json"))
    assert said["complete"] and said["agrees"]
    seen = said["witness"]
    assert seen["twice"] == 0
    assert 0 < seen["in_doubt"] <= demo.CONCURRENCY
    asked = Counter(entry["item"] for entry in ledger(folder))
    assert max(asked.values()) == 2
    assert sum(count - 1 for count in asked.values()) <= seen["in_doubt"]
    assert rows(folder, CONTENT) == rows(whole[0], CONTENT)
    assert rows(folder, CHALLENGES) == rows(whole[0], CHALLENGES)


def test_a_kill_half_way_is_told_by_the_ledger(tmp_path: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    folder = tmp_path / "half"
    said = json.loads(started(str(folder), "--kill", *SMALL, "--latency", "150", "--json"))
    killed = said["kill"]
    assert killed["holds"] and killed["paid_again"] == 0
    assert 13 <= killed["answers"] < said["witness"]["answers"]
    assert 0 < killed["receipts"] <= killed["answers"] <= killed["receipts"] + killed["in_doubt"]
    assert 0 < killed["asked_once_more"] <= killed["in_doubt"] <= demo.CONCURRENCY
    assert len(ledger(folder)) == said["witness"]["requests"]
    assert rows(folder, CONTENT) == rows(whole[0], CONTENT)


def test_a_kill_needs_a_new_start(whole: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", str(whole[0]), "--kill"]) == 2
    assert "already" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- the folder


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine", "utf-8")
    for touch in (demo.make, demo.clear):
        with pytest.raises(errors.UsageError, match="something else"):
            touch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_project_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "seedbed.toml").write_text('[project]\nrecipe = "facts"\n', "utf-8")
    for touch in (demo.make, demo.clear):
        with pytest.raises(errors.UsageError, match="something else"):
            touch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["seedbed.toml"]


def test_fresh_removes_what_the_demo_made_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert demo.make(folder, 1, 1) == demo.Made(str(folder), 2, 2)
    assert demo.make(folder).new == 0
    (folder / "notes.txt").write_text("mine", "utf-8")
    demo.clear(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_removal_that_was_killed_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo.make(folder, 1, 1)
    (folder / "seedbed.toml").write_text(demo._CLEARING, "utf-8")
    (folder / demo.PLACES).unlink()
    assert demo.make(folder, 1, 2) == demo.Made(str(folder), 3, 3)


def test_more_places_are_only_more_entries(tmp_path: Path) -> None:
    demo.make(tmp_path, 1, 1)
    assert demo.make(tmp_path, 2, 1).new == 2
    assert demo.make(tmp_path).new == 0


def test_the_folder_is_not_for_git(tmp_path: Path) -> None:
    demo.make(tmp_path / "demo", 1, 0)
    assert (tmp_path / "demo" / ".gitignore").read_text("utf-8") == "*\n"
