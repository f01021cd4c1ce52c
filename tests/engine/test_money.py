"""A cap is a cap: over all processes, right after a kill, and by the simulator's own ledger."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.engine.crashing import kill_after, start
from tests.engine.crashing import stage as stage_of
from tests.engine.projects import SHAPE, Table, waiting_until

from seedbed import Item, Project, Scope, Spend, Stage, fills, run
from seedbed.crashing import VARIABLE
from seedbed.engine.projects.clock import now_ms
from seedbed.errors import BudgetReached, ConfigError, PriceUnknown
from seedbed.ports.state import TillEntry
from seedbed.ports.state.leases import Holder, Lease, Wanted
from seedbed.simulator import Simulator

CHEAP_ANSWERS = {"prices__openai/test": {"input": 1.0, "output": 0.01}}
"""So that the worst of a call is not far from what it costs."""
DAY = 86_400_000
STAGE = "q.summary"


def summary(**more: Any) -> Stage:
    return Stage(
        STAGE,
        fills("questions", ["summary"]),
        prompt="Sum up.\n<!-- item -->\n{{ text }}",
        shape=SHAPE,
        **{"max_output": 100, **more},
    )


def billed(sim: Simulator, output: int = 2000) -> int:
    """What the provider counted, at the prices of the table's projects."""
    books = sim.summary()
    return int(books["input_tokens"] * 1000 + books["output_tokens"] * output)


def booked(project: Project) -> int:
    with closing(project.state()) as state:
        return state.spending()[0].nano


def leases(project: Project) -> list[Lease]:
    with closing(project.state()) as state:
        return state.leases()


def mean(table: Table, sim: Simulator) -> int:
    """What a call costs, by one that is made."""
    run(table.project(summary()), None, Scope(limit=1))
    return billed(sim)


# ------------------------------------------------------------------------------------ one process

COMMON: list[dict[str, Any]] = [
    {"budget__project": 3_000_000},
    {"budget__day": 3_000_000},
    {"budget__day": 3_000_000, "budget__zone": "Asia/Kathmandu"},
    {"budget__stages": {STAGE: 3_000_000}},
]


@pytest.mark.parametrize("caps", COMMON, ids=["project", "day", "zone", "stage"])
def test_a_common_cap_is_met_with_calls_in_flight_and_nothing_is_left_held(
    table: Table, sim: Simulator, caps: dict[str, Any]
) -> None:
    """(000.25)"""
    table.add(range(21, 301))
    sim.configure(latency_ms=20.0)
    project = table.project(summary(), **caps)

    report = run(project, None, Scope(), Spend(concurrency=50))

    assert isinstance(report.error, BudgetReached)
    assert sim.summary()["peak_in_flight"] > 1
    assert 2_000_000 < billed(sim) <= 3_000_000
    assert booked(project) == billed(sim)
    assert leases(project) == []


@pytest.mark.parametrize("caps", COMMON, ids=["project", "day", "zone", "stage"])
def test_a_common_cap_of_nothing_sends_nothing(table: Table, sim: Simulator, caps: dict[str, Any]) -> None:
    nothing = {name: {STAGE: 0} if name == "budget__stages" else value for name, value in caps.items()}
    nothing = {name: 0 if isinstance(value, int) else value for name, value in nothing.items()}

    report = run(table.project(summary(), **nothing))

    assert isinstance(report.error, BudgetReached)
    assert sim.summary()["requests"] == 0


def test_what_was_spent_on_another_day_does_not_count_under_the_cap_of_the_day(table: Table, sim: Simulator) -> None:
    project = table.project(summary(), budget__day=10_000_000)
    with closing(project.state()) as state:
        entry = TillEntry("w-1", "settle", 10_000_000, STAGE, "run-0", "openai/test", now_ms() - DAY)
        state.settle((), [entry])

    assert run(project).error is None


def test_what_was_spent_today_counts_under_the_cap_of_the_day(table: Table, sim: Simulator) -> None:
    project = table.project(summary(), budget__day=10_000_000)
    with closing(project.state()) as state:
        entry = TillEntry("w-1", "settle", 10_000_000, STAGE, "run-0", "openai/test", now_ms())
        state.settle((), [entry])

    assert isinstance(run(project).error, BudgetReached)
    assert sim.summary()["requests"] == 0


def test_a_cap_of_calls_is_a_cap_of_requests_that_are_answered(table: Table, sim: Simulator) -> None:
    report = run(table.project(summary()), None, Scope(), Spend(calls=7, concurrency=20))

    assert isinstance(report.error, BudgetReached)
    assert report.error.what == "The cap of 7 calls is reached."
    assert sim.summary()["complete"] == 7


def test_two_of_an_unreadable_zone_and_an_unknown_stage_are_each_one_clear_line(table: Table) -> None:
    for more, words in (
        ({"budget__day": 1, "budget__zone": "Mars/Olympus"}, 'budget.zone: "Mars/Olympus" is no time zone'),
        ({"budget__stages": {"q.sumary": 1}}, "[budget.stages] names q.sumary, which is no stage here"),
        ({"budget__when_day_is_spent": "tier:cheap"}, "budget.when_day_is_spent needs a cap of the day."),
    ):
        with pytest.raises(ConfigError) as caught:
            run(table.project(summary(), **more))
        assert caught.value.what == words


# ---------------------------------------------------------------------------- when the day is spent


def test_a_cheaper_tier_takes_over_when_the_day_is_spent_and_is_recorded_with_each_outcome(
    table: Table, sim: Simulator
) -> None:
    more = {"tiers__cheap": "openai/local", "prices__openai/local": {"input": 0.0, "output": 0.0}}
    project = table.project(summary(), budget__day=700_000, budget__when_day_is_spent="tier:cheap", **more)

    report = run(project, None, Scope(), Spend(concurrency=4))

    assert report.error is None
    with closing(project.state()) as state:
        models = [one.model for one in state.outcomes(STAGE)]
        spent = {row.group[0]: row.nano for row in state.spending(["model"])}
    assert 2 <= models.count("openai/test") < 20
    assert models.count("openai/test") + models.count("openai/local") == 20
    assert spent["openai/test"] <= 700_000
    assert spent["openai/local"] == 0


def test_without_being_told_to_fall_back_a_spent_day_is_a_pause(table: Table, sim: Simulator) -> None:
    project = table.project(summary(), budget__day=mean(table, sim), tiers__cheap="openai/local")
    assert isinstance(run(project).error, BudgetReached)


def test_a_model_that_a_stage_names_outright_is_never_exchanged(table: Table, sim: Simulator) -> None:
    project = table.project(
        summary(model="openai/test"),
        budget__day=0,
        budget__when_day_is_spent="tier:cheap",
        tiers__cheap="offline/standin",
    )
    assert isinstance(run(project).error, BudgetReached)
    assert sim.summary()["requests"] == 0


# ---------------------------------------------------------------------------------- what is unknown


@pytest.mark.parametrize("caps", COMMON[:2], ids=["project", "day"])
def test_an_unknown_price_stops_a_run_under_a_common_cap(table: Table, sim: Simulator, caps: dict[str, Any]) -> None:
    report = run(table.project(summary(), tiers__default="openai/never-heard-of", **caps))

    assert isinstance(report.error, PriceUnknown)
    assert sim.summary()["requests"] == 0


def test_calls_of_before_without_a_price_stop_a_capped_run_until_the_price_is_given(
    table: Table, sim: Simulator
) -> None:
    model = "openai/never-heard-of"
    run(table.project(summary(), tiers__default=model), None, Scope(limit=5))
    paid = billed(sim)

    with pytest.raises(PriceUnknown, match="5 calls have no price"):
        run(table.project(summary(), budget__project=10**9))
    assert sim.summary()["requests"] == 5

    priced = table.project(summary(), budget__project=10**9, **{f"prices__{model}": {"input": 1.0, "output": 2.0}})
    assert run(priced, None, Scope(limit=0)).error is None
    assert run(priced, None, Scope(limit=1)).error is None
    with closing(priced.state()) as state:
        assert state.spending()[0].unknown == 0
        assert state.spending(["model"])[0].nano == paid


def test_a_ceiling_bounds_a_call_that_has_no_price_and_is_shown_as_not_guaranteed(table: Table, sim: Simulator) -> None:
    model = "openai/never-heard-of"
    project = table.project(
        summary(), tiers__default=model, budget__project=500_000, **{f"prices__{model}": {"ceiling": 100_000}}
    )

    report = run(project)

    assert isinstance(report.error, BudgetReached)
    assert (sim.summary()["complete"], booked(project)) == (5, 500_000)
    assert report.unbounded == (model,)


# ------------------------------------------------------------------------------- several processes


def test_two_processes_share_a_cap_that_holds_by_the_ledger(table: Table, sim: Simulator) -> None:
    table.add(range(21, 401))
    sim.configure(latency_ms=20.0)
    settings = {"budget__project": 2_000_000, **CHEAP_ANSWERS}
    children = [start(table, "plain", settings, part) for part in ("1/2", "2/2")]
    said = [child.communicate()[0] for child in children]

    codes = {child.returncode for child in children}  # one part may be done before the cap is met
    assert codes <= {0, 75}, said
    assert 75 in codes, said
    project = table.project(stage_of("plain"), **settings)
    assert 1_000_000 < billed(sim, 10) <= 2_000_000
    assert booked(project) == billed(sim, 10)
    assert leases(project) == []


def test_a_process_that_is_killed_leaves_no_money_behind_and_the_cap_holds(table: Table, sim: Simulator) -> None:
    table.add(range(21, 401))
    sim.configure(latency_ms=60.0)
    settings = {"budget__project": 40_000_000, **CHEAP_ANSWERS}
    first, second = (start(table, "plain", settings, part) for part in ("1/2", "2/2"))
    waiting_until(lambda: sim.summary()["complete"] >= 20)
    os.kill(first.pid, signal.SIGKILL)
    second.communicate()
    assert second.returncode in (0, 75)
    third = start(table, "plain", settings, "1/2")
    first.communicate()
    said = third.communicate()[0]
    assert third.returncode in (0, 75), said

    project = table.project(stage_of("plain"), **settings)
    with closing(project.state()) as state:
        total = state.spending()[0]
    assert billed(sim, 10) <= 40_000_000
    assert total.nano - total.doubtful <= billed(sim, 10) <= total.nano
    assert leases(project) == []


@pytest.mark.parametrize("complete", [1, 9, 17])
def test_right_after_a_kill_what_was_in_flight_counts_under_the_cap(
    table: Table, sim: Simulator, complete: int
) -> None:
    """The next process has a cap of what the first one may have spent at most: it may send nothing."""
    table.add(range(21, 201))
    sim.configure(latency_ms=50.0, latency_sigma=0.7)
    kill_after(start(table, "plain", {"budget__project": 10**9}), sim, complete)
    with closing(table.project(summary(max_output=2048)).state()) as state:
        marked = state.spending()[0].nano
    asked = sim.summary()["requests"]
    purchases = list(table.project(stage_of("plain")).receipts().purchases())
    open_worst = sum(p.intent.reserved or 0 for p in purchases if p.receipt is None and p.ending is None)
    assert open_worst > 0

    report = run(table.project(stage_of("plain"), budget__project=marked + open_worst), None, Scope(), Spend())

    assert isinstance(report.error, BudgetReached)
    assert billed(sim) <= marked + open_worst
    assert asked <= sim.summary()["requests"]


@pytest.mark.parametrize("place", ["after a lease", "after a lease:3", "after a reckoning"])
def test_a_process_killed_between_the_state_and_its_own_memory_loses_no_money(
    table: Table, sim: Simulator, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    table.add(range(21, 61))
    sim.configure(latency_ms=20.0, latency_sigma=0.5)
    settings = {"budget__project": 6_000_000, **CHEAP_ANSWERS}
    kill_after(start(table, "plain", settings), sim, 3)
    monkeypatch.setenv(VARIABLE, place)
    killed = start(table, "plain", settings)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    monkeypatch.delenv(VARIABLE)

    project = table.project(stage_of("plain"), **settings)
    report = run(project, None, Scope(), Spend(concurrency=8))

    with closing(project.state()) as state:
        total = state.spending()[0]
    assert report.error is None
    assert total.nano - total.doubtful <= billed(sim, 10) <= total.nano <= 6_000_000
    assert leases(project) == []


def test_money_of_a_process_elsewhere_stays_counted_until_a_person_releases_it(table: Table, sim: Simulator) -> None:
    settings = {"budget__project": 10_000_000}
    project = table.project(summary(), **settings)
    with closing(project.state()) as state:
        long_ago = now_ms() - DAY
        gone = Holder("w-elsewhere", "another-machine", 1, "run-x", long_ago, long_ago + 1)
        state.lease(gone, [Wanted("project", 10_000_000, 0, 10_000_000, 10_000_000)], joined=False)

    report = run(project)

    assert isinstance(report.error, BudgetReached)
    assert "held for a process that ended" in report.error.why
    assert sim.summary()["requests"] == 0
    with closing(project.state()) as state:
        state.release("w-elsewhere")
    assert run(project).error is None


# --------------------------------------------------------------------------------------- the books


def test_the_price_of_each_call_and_its_key_stand_with_it(table: Table, sim: Simulator) -> None:
    project = table.project(summary())
    run(project, None, Scope(limit=2))
    with closing(project.state()) as state:
        (purchase, _) = project.receipts().purchases()
        entry = state.entries([purchase.intent.id])[purchase.intent.id]
        price = state.price(entry.price)
    assert entry.account == "OPENAI_API_KEY"
    assert price is not None
    assert (price["model"], price["input"], price["output"]) == ("openai/test", 1_000_000_000, 2_000_000_000)


def test_only_a_run_with_a_common_cap_writes_leases(table: Table, sim: Simulator) -> None:
    project = table.project(summary())
    seen: list[int] = []

    def look(item: Item, output: Any) -> list[Any]:
        with closing(sqlite3.connect(project.folder / "state.sqlite")) as db:
            seen.append(db.execute("select count(*) from leases").fetchone()[0])
        return []

    for caps, most in (({}, 0), ({"budget__run": 10**9}, 0), ({"budget__project": 10**9}, 1)):
        seen.clear()
        run(table.project(summary(checks=[look]), **caps), None, Scope(limit=3))
        assert max(seen) == most
