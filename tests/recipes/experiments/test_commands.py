"""The commands of the recipe, as a person gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.cli import run
from tests.recipes.experiments.trees import EXPECTED, RUN, Tree, constructed


@pytest.fixture
def archive(tmp_path: Path) -> Tree:
    return constructed(tmp_path / "archive")


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert run([*words, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_counters_of_the_originals_stand_in_the_document_by_name(
    archive: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    """(003.28)"""
    said = document(capsys, "import", "experiments", str(archive.root), "--run-id", RUN, "--skip-bad")
    assert {name: said[name] for name in EXPECTED} == EXPECTED
    assert said["schema"] == "seedbed/import@1"
    taken = said["draft_ok"] + said["essay_parent_resolved"] + said["eval_resolved"]
    assert said["rows_read"] == taken + said["repaired"] + said["set_aside"] + said["bad_generations"]


def test_strict_is_how_it_is_at_first(archive: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """(003.34)"""
    assert run(["import", "experiments", str(archive.root), "--run-id", RUN]) == 3
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("error: draft_generation_results.csv:5: missing_response_file: ")
    assert run(["import", "experiments", str(archive.root), "--run-id", RUN, "--strict"]) == 3


def test_bad_rows_are_repaired_by_decisions_of_a_file(
    archive: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """(003.27)"""
    archive.take()
    decisions = tmp_path / "f.csv"
    decisions.write_text(
        "source_csv,row_index,task_id,decision,value,note\n"
        "essay_generation_results.csv,4,e-too-early,parentless,,kept for its own sake\n"
    )
    words = ["repair-bad", str(archive.root), "--decisions", str(decisions)]
    said = document(capsys, *words, "--dry-run")
    assert (said["listed"], said["taken"], said["left"], said["dry_run"]) == (15, 1, 14, True)
    assert "e-too-early" in [row["task_id"] for row in archive.bad()]
    said = document(capsys, *words)
    assert said["taken"] == 1
    assert "e-too-early" not in [row["task_id"] for row in archive.bad()]


@pytest.mark.parametrize("name", ["latest", "duplicates", "templates", "links", "scores", "consistency", "chains"])
def test_each_report_is_a_table_and_a_document(archive: Tree, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """(003.29, 003.30)"""
    archive.take()
    said = document(capsys, "documents", name, str(archive.root))
    assert said["schema"] == f"seedbed/documents-{name}@1"
    assert run(["documents", name, str(archive.root), "--limit", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{said['count']:,}: ")


def test_a_fault_is_told_by_the_exit_code(archive: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    archive.take()
    (archive.docs / archive.document("d-old")["doc_dir"] / "raw.txt").unlink()
    said = document(capsys, "documents", "consistency", str(archive.root), code=3)
    assert said["count"] == 1 and said["rows"][0]["missing_raw"] is True


def test_text_of_the_archive_is_shown_and_not_obeyed(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.put("draft", "\x1b[31mred\x07")
    tree.put("draft", "lost\x1b[2J", file="\x1b[2Jgone.txt", text=None)
    tree.write()
    assert run(["import", "experiments", str(tree.root), "--run-id", RUN, "--skip-bad"]) == 0
    assert run(["documents", "latest", str(tree.root)]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["import", "experiments", "nowhere", "--run-id", "r"], 2, "nowhere is no archive of experiments"),
        (["import", "experiments", "."], 2, "Missing option '--run-id'"),
        (["import", "experiments", ".", "--run-id", ""], 2, "cannot name a run"),
        (["documents", "latest", "nowhere"], 2, "there is no index"),
        (["documents", "scores", ".", "--rule", "x"], 2, "there is no index"),
        (["repair-bad", "nowhere"], 2, "is no archive of experiments"),
        (["documents", "write", "nowhere"], 2, "there is no index"),
    ],
)
def test_each_misuse_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int,
    told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(words) == code
    said = capsys.readouterr().err
    assert told in said.splitlines()[0]
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
