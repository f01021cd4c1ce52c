"""Receipts for years: compacted, moved elsewhere and back, and a text taken out of everything."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table

from seedbed import Project, Stage, fills, reread, run, upload
from seedbed.engine.keeping import carrying
from seedbed.engine.keeping.redacting import Redaction, Wanted, redact_kept
from seedbed.engine.looks.books import cost
from seedbed.engine.looks.standing import status
from seedbed.errors import Locked, UsageError
from seedbed.ports.receipts import REDACTED
from seedbed.simulator import Simulator

SECRET = 'Zoë "Z" Quiñones'
LATER = "2099-01-01"


def summary(**more: Any) -> Stage:
    return Stage(
        "q.summary", fills("questions", ["summary"]), **{"prompt": "Sum up: {{ text }}", "shape": SHAPE, **more}
    )


def bought(table: Table, sim: Simulator) -> Project:
    """Twenty answers, one of which names a person that its record named."""
    answer = json.dumps({"summary": f"About {SECRET}."}, ensure_ascii=True)
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": None, "text": answer}])
    table.change("update questions set text = ? where id = 3", f"Who is {SECRET}, Q3Z?")
    project = table.project(summary())
    run(project)
    assert table.rows("select summary from questions where id = 3") == [(f"About {SECRET}.",)]
    sim.reset()
    return project


def standing(project: Project) -> Any:
    return status(project).stages, cost(project)


def where_it_stands(project: Project, *needles: str) -> set[str]:
    """Files with the text in their raw bytes, or in a receipt when it is read."""
    found = set()
    for folder in (project.folder, project.logs):
        for path in folder.rglob("*"):
            if path.is_file() and any(needle.encode() in path.read_bytes() for needle in needles):
                found.add(path.name)
    for purchase in project.receipts().purchases():
        body = purchase.receipt.body.decode() if purchase.receipt else ""
        if any(needle in repr(purchase.intent) + body for needle in needles):
            found.add("receipts")
    return found


def blobs_of(project: Project) -> int:
    total = 0
    for path in (project.folder / "receipts").glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as db:
            total += db.execute("select count(*) from blobs").fetchone()[0]
    return total


NEEDLES = (SECRET, "Quiñones", "Qui\\u00f1ones", "Qui\\\\u00f1ones", "Quiñones")


def test_compacted_receipts_serve_a_run_as_before(table: Table, sim: Simulator) -> None:
    project = bought(table, sim)
    before = standing(project)
    lines = list(carrying.export_lines(project))
    assert carrying.compact_files(project).merged == 1
    assert list(carrying.export_lines(project)) == lines
    assert standing(project) == before
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0
    assert reread(table.project(summary())).verdicts == {"same": 20}


@pytest.mark.parametrize("compacted", [False, True])
def test_what_was_archived_leaves_the_books_and_comes_back(
    table: Table, sim: Simulator, tmp_path: Path, compacted: bool
) -> None:
    project = bought(table, sim)
    before = standing(project)
    lines = list(carrying.export_lines(project))
    if compacted:
        carrying.compact_files(project)
    moved = carrying.archive(project, LATER, tmp_path / "elsewhere")
    assert (moved.writers, moved.intents, moved.answers, moved.left) == (1, 20, 20, 0)
    assert list(carrying.export_lines(project)) == []
    assert standing(project) == before
    report = reread(table.project(summary()))
    assert (report.receipts, report.archived) == (0, 20)
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0

    assert carrying.import_file(project, Path(moved.file)).new == len(lines)
    assert sorted(carrying.export_lines(project)) == sorted(lines)
    report = reread(table.project(summary()))
    assert (report.receipts, report.archived) == (20, 0)
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0
    assert standing(project) == before


def test_what_is_too_new_or_not_settled_stays(table: Table, sim: Simulator, tmp_path: Path) -> None:
    project = bought(table, sim)
    assert carrying.archive(project, "2020-01-01", tmp_path / "elsewhere") == carrying.Archived()
    with closing(sqlite3.connect(project.folder / "state.sqlite")) as db, db:
        db.execute("delete from outcomes where item = '[5]'")
        db.execute("delete from marks")
    assert carrying.archive(project, LATER, tmp_path / "elsewhere") == carrying.Archived(left=20)
    assert len(list(project.receipts().purchases())) == 20
    with pytest.raises(UsageError, match="is not a date"):
        carrying.archive(project, "yesterday", tmp_path)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_text_is_taken_out_of_everything_and_nothing_is_bought_again(
    table: Table, sim: Simulator, compacted: bool
) -> None:
    project = bought(table, sim)
    if compacted:
        carrying.compact_files(project)
    (project.logs / "note.md").write_text(f"A person wrote {SECRET} here.\n", "utf-8")
    assert where_it_stands(project, *NEEDLES) >= {"state.sqlite", "note.md", "receipts"}
    money = cost(project)
    wanted = Wanted(text=SECRET)
    planned = redact_kept(project, wanted, dry_run=True)
    assert where_it_stands(project, *NEEDLES) >= {"state.sqlite", "note.md", "receipts"}, "a dry run changes nothing"

    done = redact_kept(project, wanted, why="asked by the person")

    assert (done.intents, done.answers, done.outcomes, done.worklists, done.logs) == (1, 1, 1, 1, 1)
    assert planned == Redaction(1, 1, 1, 1, 1, dry_run=True)
    assert done.left == ()
    assert where_it_stands(project, *NEEDLES) == set()
    checked = carrying.verify(project)
    assert (checked.counts.redacted, checked.counts.receipts, checked.damaged) == (1, 20, ())
    (line,) = (project.folder / "redactions.jsonl").read_text("utf-8").splitlines()
    record = json.loads(line)
    assert (record["why"], record["answers"], record["what"]) == ("asked by the person", 1, "a text")
    assert "@" in record["who"]

    assert cost(project) == money
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0, "never bought again by itself"
    report = reread(table.project(summary()))
    assert (report.receipts, dict(report.verdicts)) == (19, {"same": 19})
    assert redact_kept(project, wanted).answers == 0, "twice is once"
    assert carrying.verify(project).counts.redacted == 1


def test_what_belongs_to_an_item_is_erased(table: Table, sim: Simulator) -> None:
    project = bought(table, sim)
    done = redact_kept(project, Wanted(stage="q.summary", key="[3]"))
    assert (done.intents, done.answers, done.outcomes, done.worklists) == (1, 1, 1, 1)
    assert where_it_stands(project, *NEEDLES) == set()
    kept = [one.receipt.format for one in project.receipts().purchases() if one.receipt]
    assert sorted(kept) == ["json"] * 19 + [REDACTED]
    run(table.project(summary()))
    assert sim.summary()["requests"] == 0


def test_an_answer_that_waits_for_an_upload_is_not_written_as_a_hash(table: Table, sim: Simulator) -> None:
    bought(table, sim)
    table.change("update questions set summary = null")
    with closing(sqlite3.connect(table.root / ".seedbed" / "state.sqlite")) as db, db:
        db.execute("update outcomes set fate = '', release = ''")
    project = table.project(summary())
    redact_kept(project, Wanted(text=SECRET))
    upload(project)
    assert table.rows("select count(summary) from questions") == [(19,)]
    assert table.rows("select summary from questions where id = 3") == [(None,)]


def test_blobs_that_nothing_names_any_more_are_dropped(table: Table, sim: Simulator) -> None:
    project = table.project(summary(prompt=f"Think of {SECRET}. {'x' * 300}\n<!-- item -->\n{{{{ text }}}}"))
    run(project)
    before = blobs_of(project)
    done = redact_kept(project, Wanted(text=SECRET))
    assert done.intents == 20
    assert blobs_of(project) == before, "the clean one in place of the other"
    assert where_it_stands(project, *NEEDLES) == set()


def test_an_old_export_does_not_bring_a_redacted_text_back(table: Table, sim: Simulator, tmp_path: Path) -> None:
    project = bought(table, sim)
    carrying.export_file(project, tmp_path / "old.jsonl")
    redact_kept(project, Wanted(text=SECRET))
    taken = carrying.import_file(project, tmp_path / "old.jsonl")
    assert (taken.new, taken.known) == (0, 40)
    carrying.export_file(project, tmp_path / "new.jsonl")
    assert carrying.import_file(project, tmp_path / "new.jsonl").new == 0
    assert where_it_stands(project, *NEEDLES) == set()


def test_what_is_not_settled_yet_is_not_redacted(table: Table, sim: Simulator) -> None:
    project = bought(table, sim)
    with closing(sqlite3.connect(project.folder / "state.sqlite")) as db, db:
        db.execute("delete from outcomes where item = '[3]'")
        db.execute("delete from marks")
    with pytest.raises(UsageError, match="not settled yet"):
        redact_kept(project, Wanted(text=SECRET))
    assert "receipts" in where_it_stands(project, *NEEDLES)


def test_nothing_is_redacted_or_moved_while_a_stage_works(table: Table, sim: Simulator, tmp_path: Path) -> None:
    project = bought(table, sim)
    with project.locks().generating("q.summary"):
        with pytest.raises(Locked):
            redact_kept(project, Wanted(text=SECRET))
        with pytest.raises(Locked):
            carrying.archive(project, LATER, tmp_path / "elsewhere")
        assert carrying.compact_files(project).merged == 1


@pytest.mark.parametrize("text", ["", "  ", "ab"])
def test_a_text_that_stands_everywhere_is_refused(table: Table, text: str) -> None:
    with pytest.raises(UsageError):
        redact_kept(table.project(summary()), Wanted(text=text))


def test_the_reason_does_not_keep_what_goes(table: Table, sim: Simulator) -> None:
    with pytest.raises(UsageError, match="The reason holds"):
        redact_kept(table.project(summary()), Wanted(text=SECRET), why=f"{SECRET} asked")


def test_a_redacted_answer_that_is_taken_in_elsewhere_is_not_bought_again(
    table: Table, sim: Simulator, tmp_path: Path
) -> None:
    project = bought(table, sim)
    redact_kept(project, Wanted(text=SECRET))
    carrying.export_file(project, tmp_path / "clean.jsonl")
    (tmp_path / "there").mkdir()
    there = Table(tmp_path / "there", sim.url)
    carrying.import_file(there.project(summary()), tmp_path / "clean.jsonl")
    run(there.project(summary()))
    assert sim.summary()["requests"] == 0
    found = there.project(summary()).state().current("q.summary", ["[3]", "[4]"])
    assert (found["[3]"].state, found["[4]"].state) == ("rejected", "accepted")
    assert found["[3]"].findings[0].code == "redacted"


def test_a_stream_that_has_the_text_in_pieces_is_redacted(table: Table, sim: Simulator) -> None:
    answer = json.dumps({"summary": f"About {SECRET} and more words to be sent in pieces."})
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": None, "text": answer}])
    project = table.project(summary(stream=True))
    run(project)
    assert {one.receipt.format for one in project.receipts().purchases() if one.receipt} == {"sse"}
    done = redact_kept(project, Wanted(text=SECRET))
    assert (done.answers, done.intents, done.left) == (1, 0, ())
