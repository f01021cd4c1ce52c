"""Looking while things change: before the first run, during one, after a recover and a rollback."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table, waiting_until

import seedbed
from seedbed import Project, Scope, Stage, fills
from seedbed.engine.keeping import carrying
from seedbed.engine.looks import audits, books, entries
from seedbed.engine.looks.following import follow
from seedbed.engine.looks.look import looking
from seedbed.engine.looks.standing import count_missing, status, watch
from seedbed.ports.state import Tally
from seedbed.simulator import Simulator

PROMPT = "Summarise what is asked.\n\n<!-- item -->\n{{ text }}"


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt=PROMPT, shape=SHAPE, **more)


def topic(**more: Any) -> Stage:
    return Stage("q.topic", fills("questions", ["topic"]), prompt=PROMPT, shape={"topic": str}, **more)


def counted(project: Project) -> dict[str, Tally]:
    """What the outcomes themselves say, to hold the stored counts against."""
    state = project.remembered()
    try:
        return {name: state.tally(name) for name in state.stages()}
    finally:
        state.close()


def assert_stored_counts_are_true(project: Project) -> None:
    state = project.remembered()
    try:
        standing, money = state.standing(), state.money()
        for name in state.stages():
            tally = state.tally(name)
            assert standing.get(name, Tally()).states == dict(tally.states)
            assert standing.get(name, Tally()).uploaded == dict(tally.uploaded)
        for row in state.spending(["stage"]):
            kept = money[row.group[0]]
            assert (kept.nano, kept.doubtful, kept.unknown, kept.calls) == (
                row.nano,
                row.doubtful,
                row.unknown,
                row.calls,
            )
        assert sum(row.calls for row in money.values()) == sum(row.calls for row in state.spending())
    finally:
        state.close()


def test_a_project_in_which_nothing_ran_is_looked_at_without_a_trace(table: Table, sim: Simulator) -> None:
    project = table.project(summary())
    before = sorted(path.name for path in table.root.rglob("*"))
    report = status(project)
    assert [(s.total, s.done, s.missing, s.percent, s.spent) for s in report.stages] == [(20, 0, 20, 0.0, 0)]
    assert report.last is None and report.running == [] and report.eta_seconds is None
    assert report.next[0] == "seedbed plan"
    assert len(list(watch(project))) == 1
    assert [r.missing for r in audits.audit(project).reports] == [20]
    assert entries.records(project).entries == []
    assert entries.bad(project).total == 0
    assert books.cost(project).total.calls == 0
    assert books.run_page(project) is None
    assert books.log(project).runs == [] and books.releases(project) == []
    assert list(follow(project)) == []
    assert carrying.verify(project).counts.intents == 0 and carrying.size(project).bytes == 0
    assert list(carrying.export_lines(project)) == []
    assert entries.record(project, None, "4").state == "missing"
    assert sorted(path.name for path in table.root.rglob("*")) == before
    assert sim.summary()["requests"] == 0


def test_an_empty_table_stands_at_zero_percent(table: Table) -> None:
    table.change("delete from questions")
    report = status(table.project(summary()))
    assert [(s.total, s.percent) for s in report.stages] == [(0, 0.0)]


def test_missing_is_what_the_next_run_does(table: Table, sim: Simulator) -> None:
    project = table.project(summary())
    seedbed.run(project, scope=Scope(where="id <= 8"))
    table.add(range(21, 26))
    table.change("delete from questions where id = 1")
    (stage,) = status(project).stages
    assert (stage.total, stage.done, stage.missing) == (8 + 17, 8, 17)
    seedbed.run(project)
    (stage,) = status(project).stages
    assert (stage.total, stage.done, stage.missing, stage.percent) == (25, 25, 0, 100.0)
    assert sim.summary()["requests"] == 25


def test_the_missing_figure_is_remembered_until_something_changes(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 6: a remembered figure is an exact one."""
    monkeypatch.setattr("seedbed.engine.missing.STILL_MS", 0)
    project = table.project(summary())
    seedbed.run(project, scope=Scope(where="id <= 8"), with_upload=False)
    monkeypatch.setattr("seedbed.engine.missing.STILL_MS", -10_000)

    def looked_at_rows() -> bool:
        looks: list[str] = []

        def page(*anything: Any, **more: Any) -> list[Any]:
            looks.append("page")
            return []

        with looking(project) as look, monkeypatch.context() as patch:
            patch.setattr(type(look.corpus), "page", page)
            calls = look.state.money()["q.summary"].calls
            count_missing(look, project.stage(), look.state.standing()["q.summary"].settled, calls)
        return bool(looks)

    assert status(project).stages[0].missing == 12
    assert not looked_at_rows()
    assert status(project).stages[0].missing == 12
    table.add(range(21, 22))
    assert looked_at_rows()
    with looking(project) as look:
        look.state.note("missing.q.summary", {"mark": "", "missing": 0, "again": 0})
    assert status(project).stages[0].missing == 13


@pytest.mark.parametrize("with_upload", [True, False])
def test_what_a_run_found_missing_is_known_without_opening_the_records(
    table: Table, monkeypatch: pytest.MonkeyPatch, with_upload: bool
) -> None:
    project = table.project(summary())
    seedbed.run(project, with_upload=with_upload)
    with monkeypatch.context() as patch:
        patch.setattr(Project, "corpus", lambda self: pytest.fail("the records were opened"))
        assert [(one.done, one.missing) for one in status(project).stages] == [(20, 0)]
    table.add(range(21, 24))
    assert status(project).stages[0].missing == 3


def test_what_an_audit_found_missing_is_known_without_opening_the_records(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = table.project(summary())
    seedbed.run(project, scope=Scope(where="id <= 8"))
    seedbed.audit(project)
    with monkeypatch.context() as patch:
        patch.setattr(Project, "corpus", lambda self: pytest.fail("the records were opened"))
        assert [(one.done, one.missing) for one in status(project).stages] == [(8, 12)]
    table.change("update questions set summary = 'by hand' where id = 9")
    assert status(project).stages[0].missing == 11


def test_changed_rows_of_a_stage_that_redoes_them_count_once(table: Table) -> None:
    project = table.project(summary(on_change="redo", overwrite=True))
    seedbed.run(project)
    table.change("update questions set text = 'What is Q2Z now?' where id = 2")
    (stage,) = status(project).stages
    assert (stage.total, stage.done, stage.missing) == (20, 19, 1)


def test_what_the_stand_in_made_up_is_missing_once_there_is_a_real_model(table: Table) -> None:
    offline = table.project(summary(), tiers__default="offline/standin")
    seedbed.generate(offline, scope=Scope(limit=5))
    (stage,) = status(offline).stages
    assert (stage.total, stage.done, stage.missing) == (20, 5, 15)
    real = table.project(summary())
    (stage,) = status(real).stages
    assert (stage.total, stage.done, stage.missing) == (20, 0, 20)
    assert seedbed.plan(real)[0].items == 20


def test_stored_counts_stay_true_through_recover_upload_and_rollback(table: Table, sim: Simulator) -> None:
    sim.configure(faults=[{"fault": "malformed", "item": f"Q{n}Z", "times": 2, "text": "No."} for n in (2, 4, 6)])
    project = table.project(summary(attempts=1), topic(per_call=4))
    table.change("update questions set topic = null")
    seedbed.generate(project, "q.summary")
    assert_stored_counts_are_true(project)
    assert counted(project)["q.summary"].states == {"accepted": 17, "rejected": 3}
    seedbed.recover(project, "q.summary")
    seedbed.recover(project, "q.summary")
    assert counted(project)["q.summary"].states == {"accepted": 20}
    assert_stored_counts_are_true(project)
    (first, _) = status(project).stages
    assert first.waiting_upload == 20
    seedbed.run(project)
    assert_stored_counts_are_true(project)
    seedbed.roll_back(project)
    assert_stored_counts_are_true(project)
    assert sum(row.nano for row in [books.cost(project).total]) == status(project).spent


def test_stored_counts_of_an_older_state_are_made_when_it_is_opened(table: Table) -> None:
    project = table.project(summary())
    seedbed.run(project)
    with closing(sqlite3.connect(project.folder / "state.sqlite")) as db, db:
        db.execute("create table before as select * from till")
        db.execute("drop table till")
        db.execute(
            "create table till (intent text primary key, kind text not null, nano integer, stage text not null,"
            " run text not null, model text not null, served text not null, at integer not null,"
            " input integer not null, cached integer not null, answered integer not null,"
            " reasoning integer not null, saved integer not null) without rowid"
        )
        columns = "intent, kind, nano, stage, run, model, served, at, input, cached, answered, reasoning, saved"
        db.execute(f"insert into till select {columns} from before")
        later = ("pilots", "decisions", "signatures", "signature_use", "signed_runs", "signature_room")
        for name in ("counts", "sums", "worked", "before", "leases", "prices", "quarters", "spent", *later):
            db.execute(f"drop table {name}")
        for name in ("outcomes_by_time", "outcomes_not_accepted", "outcomes_made_up"):
            db.execute(f"drop index {name}")
        for name in ("passed", "passed_key"):
            db.execute(f"alter table rounds drop column {name}")
        db.execute("pragma user_version = 1")
    assert status(project).stages[0].states == {"accepted": 20}
    assert_stored_counts_are_true(project)


# ------------------------------------------------------------------------------------ while it works


def working(project: Project, **more: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: seedbed.run(project, **more), daemon=True)
    thread.start()
    return thread


def until_another_answer(sim: Simulator, thread: threading.Thread) -> Callable[[float], None]:
    """Stands for the pause between two looks."""

    def wait(seconds: float) -> None:
        had = sim.summary()["complete"]
        waiting_until(lambda: sim.summary()["complete"] > had or not thread.is_alive())

    return wait


def test_a_run_is_seen_while_it_works_and_watch_ends_with_it(table: Table, sim: Simulator) -> None:
    """000.22"""
    sim.configure(latency_ms=150)
    project = table.project(summary(), run__concurrency=2)
    thread = working(project)
    waiting_until(lambda: bool(status(table.project(summary())).running))
    seen = list(watch(table.project(summary()), wait=until_another_answer(sim, thread)))
    thread.join()
    assert len(seen) > 2
    running = [report for report in seen if report.running]
    assert all(report.running[0]["run"] and report.next == ("seedbed watch",) for report in running)
    assert any("generate--q.summary--1-of-1" in report.running[0]["locks"] for report in running)
    for report in seen:
        (stage,) = report.stages
        assert stage.done == sum(stage.states.values())
        assert stage.done + stage.missing == stage.total == 20
    assert any(report.eta_seconds for report in running)
    assert (seen[-1].running, seen[-1].stages[0].missing) == ([], 0)
    assert sim.summary()["requests"] == 20


def test_following_names_every_item_once(table: Table, sim: Simulator) -> None:
    """000.73"""
    sim.configure(latency_ms=100)
    project = table.project(summary(), run__concurrency=2)
    thread = working(project)
    waiting_until(lambda: bool(status(table.project(summary())).running))
    lines = list(follow(table.project(summary()), wait=until_another_answer(sim, thread)))
    thread.join()
    named = [(line.stage, line.entry.key, line.entry.state) for line in lines if line is not None]
    assert sorted(named) == sorted(("q.summary", f"[{n}]", "accepted") for n in range(1, 21))


def test_a_look_ends_runs_whose_process_is_gone(table: Table) -> None:
    """000.71"""
    project = table.project(summary())
    seedbed.run(project, scope=Scope(limit=3))
    with closing(sqlite3.connect(project.folder / "state.sqlite")) as db, db:
        db.execute("update runs set status = 'running', pid = 4194303, page = '', finished = null")
    report = status(project)
    assert report.running == [] and report.last is not None
    assert (report.last["status"], report.last["exit_code"]) == ("partial", 137)
    assert (table.root / report.last["page"]).is_file()
    assert [line.run.status for line in books.log(project).runs] == ["partial"]


def test_a_missing_key_is_told_and_stops_no_look(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """000.32, 000.72"""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    project = table.project(summary(), providers__openai={"base_url": "https://models.example"})
    (need,) = status(project).needs
    assert "OPENAI_API_KEY is not set" in need
    assert seedbed.plan(project)[0].items == 20


def test_a_damaged_receipt_is_named_with_its_price(table: Table) -> None:
    project = table.project(summary())
    seedbed.run(project, scope=Scope(limit=3))
    (file,) = (project.folder / "receipts").glob("*.sqlite")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("update receipts set body = x'00' || substr(body, 2) where intent_number = 2")
    found = carrying.verify(project)
    (damaged,) = found.damaged
    assert damaged.stage == "q.summary" and damaged.price and damaged.keys == damaged.accepted
    report = status(project)
    assert report.corrupt == 1
    assert report.next == ("seedbed receipts verify",)
    record = entries.record(project, None, damaged.keys[0])
    assert [attempt.ending for attempt in record.attempts] == ["corrupt"]


def test_the_facts_recipe_adds_its_own_figures_to_the_audit(tmp_path: Path) -> None:
    """000.27, 000.28, 000.51, 000.62, 000.76"""
    from tests.recipes.facts.helpers import new_corpus, plant_entry, plant_fact

    corpus = new_corpus(tmp_path / "corpus.db")
    plant_entry(corpus, "orphan-1", topic=None)
    plant_entry(corpus, "orphan-2", topic=None)
    entry = plant_entry(corpus, "bern")
    plant_fact(corpus, "f1", entry=entry, title="The same title")
    corpus.close()
    (tmp_path / "seedbed.toml").write_text(
        '[project]\nrecipe = "facts"\ncorpus = "sqlite:///corpus.db"\n[tiers]\ndefault = "offline/standin"\n', "utf-8"
    )
    project = seedbed.open_project(tmp_path)
    found = audits.audit(project, "facts")
    assert {report.stage for report in found.reports} == {stage.name for stage in project.stages()}
    assert found.extra["orphans"]["count"] == 2
    assert {row["name"] for row in found.extra["orphans"]["rows"]} == {"Orphan-1", "Orphan-2"}
    counted_by_sql = sqlite3.connect(tmp_path / "corpus.db")
    rows = counted_by_sql.execute("select source_type, status, count(*) from facts group by 1, 2").fetchall()
    counted_by_sql.close()
    assert [(row["source_type"], row["status"], row["facts"]) for row in found.extra["facts"]] == rows
    assert set(found.extra["coverage"]) == {str(n) for n in range(7)}
    assert found.extra["nulls"]["file_seed"]["facts"] == 1
    assert audits.audit(project, "facts.explode").extra == {}
