"""The receipts verbs that keep them for years, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Ended

Command = Callable[..., Ended]


@pytest.fixture
def own(seedbed: Command, tmp_path: Path) -> Path:
    seedbed("init", "own")
    assert seedbed("run", "-C", "own").code == 0
    return tmp_path / "own"


def test_files_are_merged_once(seedbed: Command, own: Path) -> None:
    assert seedbed("receipts", "compact", "-C", own, "--json").json()["merged"] == 1
    assert "Nothing to merge." in seedbed("receipts", "compact", "-C", own).out
    assert seedbed("receipts", "verify", "-C", own).code == 0


def test_old_purchases_go_and_come_back(seedbed: Command, own: Path, tmp_path: Path) -> None:
    cost = seedbed("cost", "-C", own).out
    moved = seedbed("receipts", "archive", "--before", "2099-01-01", tmp_path / "away", "-C", own, "--json").json()
    assert (moved["intents"], moved["left"]) == (24, 0)
    assert seedbed("cost", "-C", own).out == cost
    assert "24 answers are archived" in seedbed("validate", "--reread", "--dry-run", "-C", own).out
    assert seedbed("receipts", "import", moved["file"], "-C", own).code == 0
    assert "archived" not in seedbed("validate", "--reread", "--dry-run", "-C", own).out


def test_a_packed_file_that_was_cut_is_an_error_and_adds_what_was_whole(
    seedbed: Command, own: Path, tmp_path: Path
) -> None:
    moved = seedbed("receipts", "archive", "--before", "2099-01-01", tmp_path / "away", "-C", own, "--json").json()
    path = Path(moved["file"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    ended = seedbed("receipts", "import", path, "-C", own)
    assert (ended.code, "cannot be read" in ended.err) == (2, True)
    path.write_bytes(whole)
    assert seedbed("receipts", "import", path, "-C", own).code == 0
    assert len(seedbed("receipts", "export", "-", "-C", own).out.splitlines()) == 48


def test_nothing_is_redacted_unasked(seedbed: Command, own: Path) -> None:
    ended = seedbed("receipts", "redact", "--text", "Switzerland", "-C", own)
    assert (ended.code, "Say --yes" in ended.err) == (2, True)
    assert not (own / ".seedbed" / "redactions.jsonl").exists()
    assert seedbed("receipts", "redact", "-C", own, "--yes").code == 2


def test_an_item_is_erased_by_its_key(seedbed: Command, own: Path) -> None:
    line = next(line for line in seedbed("receipts", "export", "-", "-C", own).out.splitlines() if "items" in line)
    key = json.loads(json.loads(line)["items"][0]["key"])[0]
    words = ("receipts", "redact", "--item", "questions.summary", key, "-C", own)
    assert seedbed(*words, "--dry-run", "--json").json()["answers"] == 1
    done = seedbed(*words, "--why", "asked", "--yes", "--json")
    assert (done.json()["answers"], done.json()["outcomes"]) == (1, 1)
    assert done.code == 8, "the user's own file still has it, and so has its staged copy, which is named"
    assert done.json()["left"] == [".seedbed/staged/questions.csv.sqlite"]
    assert "1 redacted" in seedbed("receipts", "verify", "-C", own).out
    assert (
        json.loads((own / ".seedbed" / "redactions.jsonl").read_text("utf-8"))["what"]["stage"] == "questions.summary"
    )
    assert "[redacted sha256:" in seedbed("records", "--key", key, "-C", own).out
    assert seedbed(*words, "--yes", "--json").json()["answers"] == 0
    assert seedbed("receipts", "redact", "--item", "questions.summary", "nobody", "-C", own, "--yes").code == 5


def test_a_record_that_still_holds_the_text_is_named(seedbed: Command, own: Path) -> None:
    ended = seedbed("receipts", "redact", "--text", "capital of Switzerland", "-C", own, "--yes")
    assert ended.code == 8
    assert "still holds the text: .seedbed/staged/questions.csv.sqlite" in ended.out
