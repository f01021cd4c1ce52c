"""The wall clock jumps, the zone changes, a machine sleeps: what was bought stays bought, and names stay unique."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.engine.crashing import kill_after, stage, start
from tests.engine.projects import Table

from seedbed import Project, audit, roll_back, run
from seedbed.engine.projects.clock import VARIABLE
from seedbed.events import ItemsSettled
from seedbed.simulator import Simulator

JUMPS = {"a day on": timedelta(days=1), "a day back": timedelta(days=-1), "ten years back": timedelta(days=-3650)}


def then(by: timedelta) -> str:
    return (datetime.now(UTC) + by).isoformat()


def in_books(project: Project) -> None:
    for report in audit(project):
        assert all(equation.balanced for equation in report.equations), report.equations
    purchases = list(project.receipts().purchases())
    assert len({one.intent.id for one in purchases}) == len(purchases)
    state = project.state()
    runs = [row.id for row in state.runs(limit=100)]
    assert len(set(runs)) == len(runs)
    assert state.runs(limit=100, status="running") == []
    state.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_between_runs_changes_nothing(
    tmp_path: Path, sim: Simulator, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    """(fault 40)"""
    sim.configure(latency_ms=15.0)
    table = Table(tmp_path, sim.url, 30)
    kill_after(start(table, "plain"), sim, 10)
    had = sim.summary()["complete"]
    monkeypatch.setenv(VARIABLE, then(JUMPS[jump]))

    assert run(table.project(stage("plain"))).error is None

    assert sim.summary()["complete"] <= 30 + 8
    assert sim.summary()["complete"] >= had
    assert all(row[3] for row in table.rows())
    table.add(range(31, 41))
    asked = sim.summary()["requests"]
    monkeypatch.delenv(VARIABLE)
    assert run(table.project(stage("plain"))).error is None
    assert sim.summary()["requests"] == asked + 10
    in_books(table.project(stage("plain")))
    assert roll_back(table.project(stage("plain"))).restored == 10, "the newest release is the one that came last"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_while_a_run_works_changes_nothing(
    table: Table, sim: Simulator, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    """(fault 40) (fault 42)"""
    sim.configure(latency_ms=15.0, faults=[{"fault": "rate_limit", "item": "Q9Z", "times": 1, "seconds": 0.2}])
    project = table.project(stage("plain"))

    def jumping(event: object) -> None:
        if isinstance(event, ItemsSettled) and VARIABLE not in os.environ:
            monkeypatch.setenv(VARIABLE, then(JUMPS[jump]))

    project.listeners.append(jumping)

    assert run(project).error is None

    assert VARIABLE in os.environ, "or no clock has jumped"
    assert {item["complete"] for item in sim.summary()["by_item"].values()} == {1}
    assert all(row[3] for row in table.rows())
    in_books(table.project(stage("plain")))


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"])
def test_a_zone_that_changes_between_runs_moves_no_page_and_no_book(
    table: Table, sim: Simulator, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    """(fault 41)"""
    import time

    run(table.project(stage("plain")))
    pages = sorted(table.root.glob("logs/*/*.md"))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert run(table.project(stage("plain"))).error is None
        new = sorted(set(table.root.glob("logs/*/*.md")) - set(pages))
        assert all(datetime.now(UTC).strftime("%Y-%m") in str(path) or "README" in path.name for path in new), new
        in_books(table.project(stage("plain")))
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert sim.summary()["requests"] == 20
