"""Receipts read again: better readings are free, shorter ones never win, no call is made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table

from seedbed import Finding, Item, Stage, fills, recover, reread, run, upload
from seedbed.engine.keeping.repairing import repair_file
from seedbed.errors import NotRepairable, SourceError
from seedbed.simulator import Simulator


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up: {{ text }}", **{"shape": SHAPE, **more})


def strict(item: Item, output: Any) -> Iterable[Finding]:
    if item.key in ("[2]", "[3]"):
        yield Finding("not_this", "not as it should be", "summary")


def test_a_broken_answer_is_mended_and_paid_once(table: Table, sim: Simulator) -> None:
    broken = '```json\n{"summary": "Ana a spus „da" și a plecat",}\n```'
    sim.configure(faults=[{"fault": "malformed", "item": "Q3Z", "times": None, "text": broken}])

    run(table.project(summary()))

    assert table.rows("select summary from questions where id = 3") == [('Ana a spus „da" și a plecat',)]
    assert sim.summary()["by_item"]["Q3Z"]["requests"] == 1
    (outcome,) = table.project(summary()).state().current("q.summary", ["[3]"]).values()
    assert [(f.code, f.severity) for f in outcome.findings] == [("repaired", "info")]


def test_reading_again_says_the_same_when_nothing_changed(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    sim.reset()

    report = reread(table.project(summary()))

    assert (report.receipts, dict(report.verdicts), report.applied) == (20, {"same": 20}, 0)
    assert sim.summary()["requests"] == 0


def test_a_tightened_check_declines_for_nothing_and_recover_asks_only_those(table: Table, sim: Simulator) -> None:
    run(table.project(summary()))
    sim.reset()

    report = reread(table.project(summary(checks=[strict])))
    assert dict(report.verdicts) == {"same": 18, "declined": 2}
    assert sim.summary()["requests"] == 0

    recover(table.project(summary()))
    assert set(sim.summary()["by_item"]) == {"Q2Z", "Q3Z"}


def test_a_relaxed_check_takes_what_was_bought_before(table: Table, sim: Simulator) -> None:
    run(table.project(summary(checks=[strict], attempts=1)))
    assert table.rows("select count(summary) from questions") == [(18,)]
    sim.reset()

    report = reread(table.project(summary(attempts=1)))
    upload(table.project(summary(attempts=1)))

    assert report.verdicts["mended"] == 2
    assert table.rows("select count(summary) from questions") == [(20,)]
    assert sim.summary()["requests"] == 0


def test_a_dry_run_changes_nothing(table: Table) -> None:
    run(table.project(summary()))

    report = reread(table.project(summary(checks=[strict])), dry_run=True)

    assert (report.verdicts["declined"], report.applied) == (2, 0)
    assert table.project(summary()).state().tally("q.summary").states == {"accepted": 20}


def test_a_shorter_reading_never_replaces_an_accepted_one(table: Table) -> None:
    project = table.project(summary())
    run(project)
    state = project.state()
    (outcome,) = state.current("q.summary", ["[3]"]).values()
    longer = {"summary": outcome.output["summary"] + " and much more than the receipt says"}
    state.reread([type(outcome)(**{**_fields(outcome), "output": longer})])

    report = reread(table.project(summary()))

    assert report.verdicts["shorter"] == 1
    (kept,) = state.current("q.summary", ["[3]"]).values()
    assert kept.output == longer


def test_a_longer_reading_takes_its_place_and_is_uploaded(table: Table) -> None:
    project = table.project(summary())
    run(project)
    state = project.state()
    (outcome,) = state.current("q.summary", ["[3]"]).values()
    table.change("update questions set summary = 'cut' where id = 3")
    state.reread([type(outcome)(**{**_fields(outcome), "output": {"summary": "cut"}})])

    report = reread(table.project(summary()))
    upload(table.project(summary()))

    assert report.verdicts["longer"] == 1
    assert table.rows("select summary from questions where id = 3") == [(outcome.output["summary"],)]


def test_a_dry_run_lists_same_longer_and_shorter_and_a_shorter_one_is_never_applied(
    table: Table, sim: Simulator
) -> None:
    """001.45: as if an older reader had read more of one answer and less of another."""
    project = table.project(summary())
    run(project)
    state = project.state()
    read = {key: state.current("q.summary", [key])[key] for key in ("[3]", "[4]")}
    text = {key: outcome.output["summary"] for key, outcome in read.items()}
    state.reread([
        replace(read["[3]"], output={"summary": text["[3]"] + " and more than the receipt says"}),
        replace(read["[4]"], output={"summary": text["[4]"][:5]}),
    ])  # fmt: skip
    sim.reset()

    looked = reread(table.project(summary()), dry_run=True)
    between = {key: state.current("q.summary", [key])[key].output["summary"] for key in read}
    done = reread(table.project(summary()))

    assert dict(looked.verdicts) == {"same": 18, "longer": 1, "shorter": 1} == dict(done.verdicts)
    assert (looked.applied, done.applied) == (0, 1)
    assert between == {"[3]": text["[3]"] + " and more than the receipt says", "[4]": text["[4]"][:5]}
    after = {key: state.current("q.summary", [key])[key].output["summary"] for key in read}
    assert after == {"[3]": text["[3]"] + " and more than the receipt says", "[4]": text["[4]"]}
    assert sim.summary()["requests"] == 0


def _fields(outcome: Any) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}


# ------------------------------------------------------------------------------------ files of one's own


def test_a_broken_file_is_mended_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"name": "Oile", "rules": ["a", "b",],}', "utf-8")

    report = repair_file(path)

    assert json.loads(Path(report.out).read_text("utf-8")) == {"name": "Oile", "rules": ["a", "b"]}
    assert len(report.edits) == 2
    assert path.read_text("utf-8").endswith(",}")


def test_lines_that_cannot_be_mended_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"a": 1}\n{"a": 2,}\nno json at all\n', "utf-8")

    report = repair_file(path)

    assert Path(report.out).read_text("utf-8") == '{"a": 1}\n{"a": 2}\nno json at all\n'
    assert [line for line, _ in report.declined] == [3]


def test_in_place_keeps_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"a": 1,}', "utf-8")

    report = repair_file(path, in_place=True)

    assert (path.read_text("utf-8"), Path(report.backup).read_text("utf-8")) == ('{"a": 1}', '{"a": 1,}')


def test_a_file_of_another_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"a": 1,}', "utf-8")
    (tmp_path / "answer.repaired.json").write_text("mine", "utf-8")

    with pytest.raises(SourceError, match="exists already"):
        repair_file(path)


def test_lost_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"a": "cut off in the mid', "utf-8")

    with pytest.raises(NotRepairable):
        repair_file(path)
    assert not (tmp_path / "answer.repaired.json").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text('{"a": 1,}', "utf-8")

    assert len(repair_file(path, dry_run=True).edits) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["answer.json"]
