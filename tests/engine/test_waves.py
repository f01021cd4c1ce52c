"""Waves: the share of a window over all runs, what closes it, what was learned, and the day it will be done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import Project, Scope, Spend, Stage, fills, run
from seedbed.engine.looks.books import cost
from seedbed.engine.projects.clock import VARIABLE
from seedbed.engine.waves import wave
from seedbed.errors import ConfigError, GateError, Locked, UsageError, WindowUsed
from seedbed.simulator import Simulator

SET = count()
NIGHT = {"account": "openai", "reset": ["23:00"]}


def summary(**more: Any) -> Stage:
    return Stage("q.summary", fills("questions", ["summary"]), prompt="Sum up: {{ text }}", shape=SHAPE, **more)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the clock; the same time again is set anew, so that no test runs on the clock of an earlier one."""
    return lambda text: monkeypatch.setenv(VARIABLE, text.replace("Z", f".{next(SET):06}Z"))


@pytest.fixture(autouse=True)
def in_the_evening(at: Any) -> None:
    at("2026-11-20T23:20:00Z")


@pytest.fixture
def big(tmp_path: Path, sim: Simulator) -> Table:
    return Table(tmp_path, sim.url, 100)


def project(table: Table, stage: Stage | None = None, **window: Any) -> Project:
    return table.project(stage or summary(), **{"windows.night": {**NIGHT, **window}})


def asked(sim: Simulator) -> int:
    return int(sim.summary()["requests"])


def test_a_wave_stops_at_its_share_and_says_when_the_next_one_can_start(big: Table, sim: Simulator) -> None:
    """(001.04)"""
    report = wave(project(big, capacity="40 items"), share="75%")

    assert (report.settled, report.left, asked(sim)) == (30, 70, 30)
    assert isinstance(report.error, WindowUsed)
    assert report.error.exit_code == 75
    assert report.next_wave == "2026-11-21T23:20:00Z"
    (window,) = report.windows
    assert (window.used, window.allowed, window.waves_left) == (30, 30, 3)
    assert window.done_by == "2026-11-23T23:20:00Z"


def test_a_second_wave_in_the_same_window_shares_its_use(big: Table, sim: Simulator, at: Any) -> None:
    """(001.06)"""
    wave(project(big, capacity="40 items"), share="75%")
    at("2026-11-21T00:50:00Z")

    again = wave(project(big, capacity="40 items"), share="75%")
    assert (again.settled, asked(sim)) == (0, 30)
    assert isinstance(again.error, WindowUsed)

    assert wave(project(big, capacity="40 items"), share="100%").settled == 10
    assert asked(sim) == 40


def test_runs_count_into_the_window_too(big: Table, sim: Simulator) -> None:
    run(project(big, capacity="40 items"), None, Scope(limit=25))

    assert wave(project(big, capacity="40 items"), share="75%").settled == 5


def test_a_new_window_has_its_share_again(big: Table, sim: Simulator, at: Any) -> None:
    wave(project(big, capacity="40 items"))
    at("2026-11-21T23:20:00Z")

    assert wave(project(big, capacity="40 items")).settled == 40


def test_a_wave_is_capped_in_items(big: Table, sim: Simulator) -> None:
    """(001.05, 001.21, 001.23)"""
    report = wave(project(big, capacity="90 items"), scope=Scope(limit=7))

    assert report.settled == 7
    assert set(sim.summary()["by_item"]) == {f"Q{n}Z" for n in range(1, 8)}
    assert report.next_wave == "2026-11-21T00:50:00Z"


def test_a_wave_without_a_window_is_bounded_by_its_limit(big: Table, sim: Simulator) -> None:
    """(001.21)"""
    report = wave(big.project(summary()), scope=Scope(limit=60), spend=Spend(concurrency=6))
    assert (report.settled, report.left, report.error and report.error.exit_code) == (60, 40, 75)

    report = wave(big.project(summary()), scope=Scope(limit=60), spend=Spend(concurrency=6))
    assert (report.settled, report.left, report.error, report.state) == (40, 0, None, "complete")


def test_a_dry_run_says_what_is_prepared_and_sends_nothing(big: Table, sim: Simulator) -> None:
    """(001.22)"""
    report = wave(project(big, summary(per_call=12), capacity="950 items"), scope=Scope(limit=70), dry_run=True)

    assert (report.state, report.items, report.batches, report.left) == ("prepared", 70, 6, 100)
    assert asked(sim) == 0
    assert not (big.root / ".seedbed").exists()


def test_at_completion_it_uploads_and_checks_once_and_later_fires_cost_nothing(
    big: Table, sim: Simulator, at: Any
) -> None:
    """(001.24)"""
    for day in (20, 21, 22):
        at(f"2026-11-{day}T23:20:00Z")
        report = wave(project(big, capacity="40 items"))
        written = big.rows("select count(summary) from questions")
        assert written == [(100 if day == 22 else 0,)]
    assert (report.state, report.left, report.error) == ("complete", 0, None)
    assert report.uploaded is not None
    assert report.uploaded.fates == {"applied": 100}
    assert report.validated is not None

    before = (asked(sim), big.rows())
    again = wave(project(big, capacity="40 items"))
    assert (again.state, again.error) == ("complete", None)
    assert (asked(sim), big.rows()) == before


def test_a_window_that_the_provider_closes_ends_the_wave_harmlessly_and_five_more_fires_send_nothing(
    big: Table, sim: Simulator, at: Any
) -> None:
    """(001.14, 001.17)"""
    sim.configure(windows=[{"capacity": 30, "seconds": 3600, "kind": "usage_limit_reached"}])

    report = wave(project(big), spend=Spend(concurrency=4))
    assert report.settled == 30
    assert report.error is not None
    assert report.error.exit_code == 75
    current = project(big).state().outcomes("q.summary", limit=1000)
    assert {(outcome.state, outcome.attempts) for outcome in current} == {("accepted", 1)}
    closed = asked(sim)
    assert closed <= 30 + 4

    for _ in range(5):
        report = wave(project(big), spend=Spend(concurrency=4))
        assert report.error is not None
        assert (report.settled, report.error.exit_code) == (0, 75)
    assert asked(sim) == closed

    sim.configure(windows=[])
    at("2026-11-21T23:20:00Z")
    done = wave(project(big))
    assert (done.state, done.settled) == ("complete", 30 + 40)


def test_a_window_that_stays_closed_past_its_reset_costs_one_probe_a_wave(big: Table, sim: Simulator, at: Any) -> None:
    """(001.17)"""
    sim.configure(faults=[{"fault": "session_limit", "nth": 10, "times": None, "seconds": 60}])
    wave(project(big), spend=Spend(concurrency=4))
    counts = [asked(sim)]
    assert counts[0] > 10

    for day in (21, 22, 23):
        at(f"2026-11-{day}T23:20:00Z")
        assert wave(project(big), spend=Spend(concurrency=4)).settled == 0
        counts.append(asked(sim))

    assert [later - earlier for earlier, later in pairwise(counts)] == [1, 1, 1]


def test_the_capacity_is_learned_from_closings_and_waves_keep_to_its_share(big: Table, sim: Simulator, at: Any) -> None:
    """(001.18)"""
    for day in (20, 21):
        at(f"2026-11-{day}T23:20:00Z")
        sim.configure(windows=[])
        sim.configure(windows=[{"capacity": 20, "seconds": 3600, "kind": "usage_limit_reached"}])
        wave(project(big), spend=Spend(concurrency=2))
    at("2026-11-22T23:20:00Z")
    sim.configure(windows=[])

    report = wave(project(big), share="50%")

    (window,) = report.windows
    assert (window.capacity, window.learned, window.allowed) == (20, True, 10)
    assert report.settled == 10


@pytest.mark.parametrize(("unit", "capacity", "most"), [("calls", "24 calls", 24), ("money", "0.0012usd", 1_200_000)])
def test_calls_and_money_bound_a_window_as_items_do(
    big: Table, sim: Simulator, unit: str, capacity: str, most: int
) -> None:
    report = wave(project(big, capacity=capacity), spend=Spend(concurrency=3))

    (window,) = report.windows
    assert window.unit == unit
    assert 0.8 * most <= window.used <= most
    assert isinstance(report.error, WindowUsed)
    if unit == "calls":
        assert asked(sim) == window.used


def test_tokens_bound_a_window_by_what_items_have_used(big: Table, sim: Simulator) -> None:
    report = wave(project(big, capacity="900 tokens"), spend=Spend(concurrency=3))

    (window,) = report.windows
    total = sum(row.usage.input + row.usage.cached + row.usage.output for row in cost(project(big)).rows)
    assert window.used == total
    assert 0.8 * 900 <= total <= 900


def test_quiet_hours_and_the_off_switch_send_nothing(big: Table, sim: Simulator, at: Any) -> None:
    """(001.19, 000.72)"""
    at("2026-11-20T17:59:00Z")
    quiet = wave(project(big, quiet=["08:00-18:00"]))
    assert isinstance(quiet.error, WindowUsed)
    assert "quiet hours until 2026-11-20T18:00:00Z" in quiet.error.what
    with pytest.raises(GateError, match="switched off"):
        wave(project(big, on=False))
    assert asked(sim) == 0

    at("2026-11-20T18:00:00Z")
    assert wave(project(big, quiet=["08:00-18:00"], capacity="5 items")).settled == 5


def test_a_window_of_hours_begins_with_its_first_call(big: Table, sim: Simulator, at: Any) -> None:
    def five() -> Project:
        return big.project(summary(), **{"windows.five": {"account": "openai", "period": "5h", "capacity": "20"}})

    assert wave(five()).settled == 20
    at("2026-11-21T04:19:00Z")
    assert wave(five()).settled == 0
    at("2026-11-21T04:21:00Z")
    assert wave(five()).settled == 20


def test_two_windows_of_one_account_both_bind(big: Table, sim: Simulator, at: Any) -> None:
    def both() -> Project:
        week = {"account": "openai", "reset": ["Mon 08:00"], "capacity": "50"}
        return big.project(summary(), **{"windows.night": {**NIGHT, "capacity": "40"}, "windows.week": week})

    assert wave(both()).settled == 40
    at("2026-11-21T23:20:00Z")
    second = wave(both())
    assert second.settled == 10
    assert second.next_wave == "2026-11-23T08:20:00Z"


@pytest.mark.parametrize(
    ("window", "share", "error"),
    [
        ({"period": "5h"}, "", ConfigError),
        ({"zone": "Nowhere"}, "", ConfigError),
        ({}, "0%", UsageError),
        ({"account": "anthropic"}, "75%", UsageError),
    ],
)
def test_bad_windows_and_shares_are_one_clear_line(
    big: Table, sim: Simulator, window: dict[str, Any], share: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        wave(project(big, **window), share=share)
    assert asked(sim) == 0


WAVE = """
import sys
from pathlib import Path
from tests.engine.projects import Table
from tests.engine.test_waves import project
from seedbed.engine.waves import wave
wave(project(Table.there(Path(sys.argv[1]), sys.argv[2]), capacity="60 items"))
"""


@pytest.fixture
def other(big: Table) -> Iterator[subprocess.Popen[bytes]]:
    """A wave in a process of its own."""
    child = subprocess.Popen(
        [sys.executable, "-c", WAVE, str(big.root), big.url], cwd=Path(__file__).parents[2], env=os.environ
    )
    yield child
    child.kill()
    child.wait()


def test_a_second_wave_ends_at_once_while_one_runs_and_a_killed_one_frees_its_place(
    big: Table, sim: Simulator, other: subprocess.Popen[bytes]
) -> None:
    """(001.07)"""
    sim.configure(latency_ms=300)
    waiting_until(lambda: asked(sim) > 25)
    with pytest.raises(Locked, match=str(other.pid)):
        wave(project(big, capacity="60 items"))

    other.send_signal(signal.SIGKILL)
    other.wait()
    sim.configure(latency_ms=0)
    report = wave(project(big, capacity="60 items"))

    assert report.left == 40
    by_item = sim.summary()["by_item"]
    assert len(by_item) == 60
    assert sum(each["requests"] - 1 for each in by_item.values()) <= 20  # those in flight at the kill


def test_a_month_of_nightly_waves_ends_on_the_day_that_was_foretold(tmp_path: Path, sim: Simulator, at: Any) -> None:
    """(001.20)"""
    table = Table(tmp_path, sim.url, 290)
    told, used = [], []
    for day in range(1, 31):
        for time in ("23:20", "23:50"):
            at(f"2026-11-{day:02}T{time}:00Z")
            report = wave(project(table, capacity="20 items"), share="50%")
            used.append(report.windows[0].used)
            if report.left:
                told.append((report.windows[0].waves_left, report.windows[0].done_by))
        if not report.left:
            break

    assert day == 29
    assert max(used) <= 10
    assert {done for _, done in told} == {"2026-11-29T23:20:00Z"}
    assert asked(sim) == 290
    assert table.rows("select count(summary) from questions") == [(290,)]
