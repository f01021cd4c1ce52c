"""Killed and resumed: nothing received is paid twice, and the table ends as if undisturbed.

The simulator's own ledger is the witness.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.engine.crashing import kill_after, stage, start
from tests.engine.projects import Table, waiting_until

from seedbed import Spend, audit, run
from seedbed.simulator import Simulator

IN_FLIGHT = 8


def received(table: Table, kind: str) -> dict[str, int]:
    """Calls with a durable receipt, by item: what must never be bought again."""
    counts: dict[str, int] = {}
    for purchase in table.project(stage(kind)).receipts().purchases():
        if purchase.receipt is not None:
            for item in purchase.intent.items:
                name = str(item["text"]).split()[2].rstrip("?")
                counts[name] = counts.get(name, 0) + 1
    return counts


def in_doubt(table: Table, kind: str) -> int:
    purchases = table.project(stage(kind)).receipts().purchases()
    return sum(p.receipt is None and (p.ending is None or p.ending.kind == "doubt") for p in purchases)


def undisturbed(tmp_path: Path, sim: Simulator, kind: str, rows: int) -> list[tuple[object, ...]]:
    root = tmp_path / "undisturbed"
    root.mkdir()
    table = Table(root, sim.url, rows)
    run(table.project(stage(kind)), None, spend=Spend(concurrency=IN_FLIGHT))
    return everything(table)


def everything(table: Table) -> list[tuple[object, ...]]:
    """All of the corpus that a stage may have written."""
    return table.rows() + table.rows("select * from notions order by id")


def story(tmp_path: Path, sim: Simulator, kind: str, rows: int, complete: int) -> None:
    """One kill after ``complete`` answers, one resume, and all that must hold."""
    calls = {"plain": 1, "ask": 3, "group": 1, "makes": 1}[kind]
    wanted = undisturbed(tmp_path, sim, kind, rows)
    sim.reset()
    root = tmp_path / f"killed-{complete}"
    root.mkdir()
    table = Table(root, sim.url, rows)

    kill_after(start(table, kind), sim, complete)
    had = received(table, kind)
    doubtful = in_doubt(table, kind)
    before = {name: item["requests"] for name, item in sim.summary()["by_item"].items()}
    report = run(table.project(stage(kind)), None, spend=Spend(concurrency=IN_FLIGHT))

    assert report.error is None
    after = sim.summary()["by_item"]
    for name, count in had.items():
        assert after[name]["requests"] - before[name] <= calls - count, f"{name} was paid again"
    assert doubtful <= IN_FLIGHT
    assert everything(table) == wanted
    assert all(equation.balanced for equation in audit(table.project(stage(kind)))[0].equations)


@pytest.mark.parametrize("kind", ["plain", "ask", "group", "makes"])
@pytest.mark.parametrize("complete", [1, 11])
def test_a_killed_run_goes_on_and_pays_no_received_answer_again(
    tmp_path: Path, sim: Simulator, kind: str, complete: int
) -> None:
    """(fault 1) 000.39, 000.78"""
    sim.configure(latency_ms=15.0)
    story(tmp_path, sim, kind, 40, complete)


@pytest.mark.torture
def test_a_hundred_kills_at_random_moments(tmp_path: Path, sim: Simulator) -> None:
    """(fault 1) `make torture`: every kind of stage, a separate process each time."""
    chooser = random.Random(20261120)
    sim.configure(latency_ms=15.0, latency_sigma=0.6)
    for number in range(100):
        kind = chooser.choice(["plain", "ask", "group", "makes"])
        root = tmp_path / str(number)
        root.mkdir()
        story(root, sim, kind, 40, chooser.randrange(0, {"plain": 40, "ask": 120, "group": 10, "makes": 40}[kind]))
        print(f"{number + 1:3d} {kind}", flush=True)


def test_a_run_killed_again_and_again_loses_nothing(tmp_path: Path, sim: Simulator) -> None:
    """(fault 3)"""
    sim.configure(latency_ms=15.0)
    table = Table(tmp_path, sim.url, 60)
    kills = 4
    for n in range(kills):
        kill_after(start(table, "plain"), sim, sim.summary()["complete"] + 6 + n)
    report = run(table.project(stage("plain")), None, spend=Spend(concurrency=IN_FLIGHT))

    (equation,) = audit(table.project(stage("plain")))[0].equations
    assert report.error is None
    assert equation.balanced and equation.items == 60
    assert sim.summary()["complete"] - len(received(table, "plain")) <= kills * IN_FLIGHT
    twice = {name for name, item in sim.summary()["by_item"].items() if item["complete"] > 1 + kills}
    assert not twice


def test_the_first_signal_drains_and_says_so(tmp_path: Path, sim: Simulator) -> None:
    """(fault 6)"""
    sim.configure(latency_ms=40.0)
    table = Table(tmp_path, sim.url, 60)
    child = start(table, "plain")
    waiting_until(lambda: sim.summary()["complete"] >= 5)
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate()

    assert (child.returncode, out.strip()) == (143, "Stopped and saved.")
    books = sim.summary()
    assert books["complete"] == len(received(table, "plain"))
    assert in_doubt(table, "plain") == 0

    run(table.project(stage("plain")))
    assert {item["requests"] for item in sim.summary()["by_item"].values()} == {1}


def test_the_second_signal_leaves_at_once_and_is_as_safe_as_a_kill(tmp_path: Path, sim: Simulator) -> None:
    """(fault 7)"""
    sim.configure(latency_ms=40.0, faults=[{"fault": "hang", "item": "Q1Z", "times": 1}])
    table = Table(tmp_path, sim.url, 60)
    child = start(table, "plain")
    waiting_until(lambda: sim.summary()["complete"] >= 10)
    child.send_signal(signal.SIGINT)
    waiting_until(lambda: sim.summary()["in_flight"] <= 1)
    child.send_signal(signal.SIGINT)
    child.communicate()

    assert child.returncode == 130
    report = run(table.project(stage("plain")))
    assert report.error is None
    assert all(row[3] for row in table.rows())


def test_a_killed_run_gets_its_page_from_the_next_command(tmp_path: Path, sim: Simulator) -> None:
    """000.71"""
    sim.configure(latency_ms=15.0)
    table = Table(tmp_path, sim.url, 40)
    kill_after(start(table, "plain"), sim, 5)
    assert not list(tmp_path.glob("logs/*/*--run--*.md"))

    audit(table.project(stage("plain")))

    (page,) = tmp_path.glob("logs/*/*--run--*.md")
    assert 'status: "partial"' in page.read_text("utf-8")


def test_a_lost_state_is_rebuilt_from_the_receipts(tmp_path: Path, sim: Simulator) -> None:
    table = Table(tmp_path, sim.url, 20)
    run(table.project(stage("plain")))
    wanted = table.rows()
    for path in (tmp_path / ".seedbed").glob("state.sqlite*"):
        path.unlink()
    table.change("update questions set summary = null")
    sim.reset()

    run(table.project(stage("plain")))

    assert sim.summary()["requests"] == 0
    assert table.rows() == wanted


def test_a_lost_worklist_costs_nothing_that_was_received(tmp_path: Path, sim: Simulator) -> None:
    sim.configure(latency_ms=15.0)
    table = Table(tmp_path, sim.url, 40)
    kill_after(start(table, "plain"), sim, 10)
    had = received(table, "plain")
    for path in (tmp_path / ".seedbed" / "worklists").iterdir():
        path.unlink()
    before = {name: item["requests"] for name, item in sim.summary()["by_item"].items()}

    run(table.project(stage("plain")))

    after = sim.summary()["by_item"]
    assert all(after[name]["requests"] == before[name] for name in had)
    assert all(row[3] for row in table.rows())


def test_a_killed_run_is_known_though_another_program_got_its_process_id(tmp_path: Path, sim: Simulator) -> None:
    """(fault 35)"""
    sim.configure(latency_ms=15.0)
    table = Table(tmp_path, sim.url, 40)
    kill_after(start(table, "plain"), sim, 5)
    with closing(sqlite3.connect(tmp_path / ".seedbed" / "state.sqlite")) as state, state:
        state.execute("update runs set pid = ?", (os.getpid(),))

    audit(table.project(stage("plain")))

    state_now = table.project(stage("plain")).state()
    assert [run.status for run in state_now.runs()] == ["partial"]
    state_now.close()
    assert list(tmp_path.glob("logs/*/*--run--*.md"))
