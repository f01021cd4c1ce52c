"""Two real processes on one state under one limit. The simulator's ledger is the witness."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import Any

from tests.engine.crashing import start
from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import Project, Scope, Spend, Stage, fills, run
from seedbed.errors import LimitReached
from seedbed.ports.state.leases import RATE
from seedbed.simulator import Simulator

RPM = 1800
FEW = 8
"""Refusals that a machine under load may cause: what it lets out late comes to the server at once."""
HALF = 0.55
"""Of a limit: what each of two would keep to that divided it for good."""
LIMIT = {"accounts__openai": {"requests_per_minute": RPM}}


def leases(project: Project) -> list[Any]:
    with closing(project.state()) as state:
        return [lease for lease in state.leases() if lease.purse.startswith(RATE)]


def summary(**more: Any) -> Stage:
    prompt = "Sum up.\n<!-- item -->\n{{ text }}"
    return Stage("q.summary", fills("questions", ["summary"]), prompt=prompt, shape=SHAPE, **more)


def rate_after(sim: Simulator, moment: float) -> float:
    """The share of the limit that was granted from then on."""
    times = [entry["time"] for entry in sim.ledger() if entry["status"] == 200 and entry["time"] >= moment]
    return float((len(times) - 1) / ((times[-1] - times[0]) * RPM / 60))


def test_two_processes_share_a_limit_and_neither_overruns_it(table: Table, sim: Simulator) -> None:
    table.add(range(21, 301))
    sim.configure(latency_ms=30.0, rpm=RPM)

    children = [start(table, "plain", LIMIT, part) for part in ("1/2", "2/2")]
    said = [child.communicate()[0].strip() for child in children]

    books = sim.summary()["limits"]["all"]
    assert said == ["done", "done"]
    assert books["granted"] == 300 and books["refused"] <= FEW
    assert books["use_of_requests"] > HALF
    assert leases(table.project(summary())) == []


def test_the_part_of_a_killed_process_goes_to_the_others(table: Table, sim: Simulator) -> None:
    table.add(range(21, 401))
    sim.configure(latency_ms=30.0, rpm=RPM)
    first, second = (start(table, "plain", LIMIT, part) for part in ("1/2", "2/2"))
    waiting_until(lambda: sim.summary()["complete"] >= 60)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    killed = sim.ledger()[-1]["time"]

    assert second.communicate()[0].strip() == "done"

    assert sim.summary()["limits"]["all"]["refused"] <= FEW
    assert rate_after(sim, killed + 2.5) > HALF
    assert leases(table.project(summary())) == []


def test_one_that_starts_after_a_kill_waits_for_nobody(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=30.0, rpm=RPM)
    child = start(table, "plain", LIMIT)
    waiting_until(lambda: sim.summary()["complete"] >= 5)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert leases(table.project(summary())) != []
    sim.reset()

    report = run(table.project(summary(), **LIMIT), None, Scope(), Spend(concurrency=8))

    assert report.error is None and sim.summary()["limits"]["all"]["refused"] <= FEW
    assert leases(table.project(summary())) == []


def test_a_limit_of_a_day_counts_over_all_runs(table: Table, sim: Simulator) -> None:
    table.add(range(21, 41))
    sim.configure(latency_ms=5.0)
    day = {"accounts__openai": {"requests_per_day": 30}}

    first = run(table.project(summary(), **day), None, Scope(limit=12), Spend(concurrency=8))
    second = run(table.project(summary(), **day), None, Scope(), Spend(concurrency=8))
    third = run(table.project(summary(), **day), None, Scope(), Spend(concurrency=8))

    assert first.error is None
    for report in (second, third):
        assert isinstance(report.error, LimitReached) and "30 requests a day" in report.error.what
    assert sim.summary()["requests"] == 30
    assert run(table.project(summary()), None, Scope(), Spend(concurrency=8)).error is None


def test_a_limit_of_a_day_in_tokens_goes_on_with_another_key(table: Table, sim: Simulator, monkeypatch: Any) -> None:
    monkeypatch.setenv("KEY_ONE", "sk-one")
    monkeypatch.setenv("KEY_TWO", "sk-two")
    sim.configure(latency_ms=5.0)
    day = {"accounts__openai": {"keys": ["KEY_ONE", "KEY_TWO"], "tokens_per_day": 700}}

    report = run(table.project(summary(max_output=20), **day), None, Scope(), Spend(concurrency=1))

    books = sim.summary()
    spent = books["input_tokens"] + books["output_tokens"]
    assert report.error is None or isinstance(report.error, LimitReached)
    assert len(books["key_fingerprints"]) == 2
    assert spent <= 1400 + 2 * 60


def test_where_no_limit_is_known_nothing_is_written(table: Table, sim: Simulator) -> None:
    sim.configure(latency_ms=5.0)
    seen: list[Any] = []
    project = table.project(summary())
    project.listeners.append(lambda event: seen.extend(leases(project)))
    assert run(project).error is None and seen == []
