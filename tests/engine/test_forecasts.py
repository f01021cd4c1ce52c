"""What a plan and a run foretell, held against what the simulator's ledger says it cost."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.engine.projects import SHAPE, Table

from seedbed import Scope, Spend, Stage, fills, plan, run
from seedbed.simulator import Simulator


def summary(**more: Any) -> Stage:
    given = {"prompt": "Sum up.\n<!-- item -->\n{{ text }}", "shape": SHAPE, "max_output": 200, **more}
    return Stage("q.summary", fills("questions", ["summary"]), **given)


def uneven(table: Table, rows: int) -> None:
    """Questions whose lengths differ as texts do, in an order that has nothing to do with it."""
    chance = random.Random(5)
    table.change("delete from questions")
    table.add(range(1, rows + 1))
    for number in range(1, rows + 1):
        words = "why " * int(chance.lognormvariate(3.5, 0.8))
        table.change("update questions set text = ? where id = ?", f"What is Q{number}Z? {words}", number)


def billed(sim: Simulator) -> int:
    books = sim.summary()
    return int(books["input_tokens"] * 1000 + books["output_tokens"] * 2000)


def test_a_plan_is_a_range_first_and_an_interval_after_a_pilot(table: Table, sim: Simulator) -> None:
    uneven(table, 400)
    project = table.project(summary())
    (before,) = plan(project)
    run(project, None, Scope(limit=34))
    pilot = billed(sim)
    (after,) = plan(project)
    report = run(project)

    rest = billed(sim) - pilot
    assert report.error is None
    assert (before.measured, after.measured) == (0, 34)
    assert before.cost_low is not None and before.cost_high is not None
    assert after.cost_low is not None and after.cost_high is not None
    assert after.cost_low <= rest <= after.cost_high
    assert after.cost_high - after.cost_low < (before.cost_high - before.cost_low) / 4
    assert (before.seconds, before.pace) == (None, "")
    assert after.seconds is not None and after.seconds > 0 and after.pace == "20 calls at once"


def test_a_plan_says_which_rate_limit_decides_how_long_it_takes(table: Table, sim: Simulator) -> None:
    run(table.project(summary()), None, Scope(limit=5))
    limited = plan(table.project(summary(), **{"limits.openai/test": {"requests_per_minute": 3.0}}))[0]
    assert (limited.pace, limited.seconds) == ("3 requests a minute", 15 * 60 / 3)


def test_a_run_tells_at_its_end_what_it_foretold_after_its_first_items(table: Table, sim: Simulator) -> None:
    uneven(table, 300)
    report = run(table.project(summary()), None, Scope(), Spend(concurrency=4))

    (told,) = report.forecasts
    assert told.came_to == billed(sim) == report.spent
    assert (told.stage, told.items) == ("q.summary", 300)
    assert 34 <= told.measured < 300
    assert told.cost_low <= billed(sim) <= told.cost_high
    page = (table.root / report.page).read_text("utf-8")
    assert "Forecast of q.summary after" in page
    facts = json.loads((table.root / report.page).with_suffix(".json").read_text("utf-8"))
    assert facts["forecast"][0]["items"] == 300


def test_a_run_of_few_items_foretells_nothing(table: Table) -> None:
    assert run(table.project(summary())).forecasts == ()


def test_a_plan_says_which_cap_it_meets(table: Table) -> None:
    wide = plan(table.project(summary(), budget__project=10**12, budget__run=10**12))[0]
    narrow = plan(table.project(summary(), budget__project=10**12, budget__day=5_000))[0]
    assert wide.binds == ""
    assert narrow.binds.startswith("cap of the day ") and narrow.binds.endswith("$0.0000 left")


def test_a_plan_says_where_no_cap_is_guaranteed(table: Table) -> None:
    model = "openai/never-heard-of"
    project = table.project(summary(), tiers__default=model, **{f"prices__{model}": {"ceiling": 100_000}})
    assert not plan(project)[0].guaranteed
    assert plan(table.project(summary()))[0].guaranteed
