"""Commands, kills, a person's edits and jumps of the clock in any order: the promises hold after each step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.engine.crashing import Nursery, act, project_for
from tests.engine.proving import Witness, everything, new_table, purchases, requests
from tests.engine.test_crash_points import WAYS

from seedbed import Scope, Spend, audit, run
from seedbed.engine.projects.clock import VARIABLE
from seedbed.errors import BudgetReached, EmptySelection
from seedbed.simulator import Settings as Manners
from seedbed.simulator import Simulator

ROWS = 5
DECLINED = "Q2Z"
"""An item whose answers are never well formed."""
NUMBERS = st.integers(1, ROWS + 2)


class AnyOrder(RuleBasedStateMachine):
    """A table of questions, those who work on it, and a model of what belongs to a person."""

    sim: Simulator
    nursery: Nursery
    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="seedbed-any-order-"))
        self.sim.reset()
        self.table = new_table(self.root, self.sim, self.kind, ROWS)
        self.witness = Witness(self.table, self.kind, self.sim, self.nursery)
        self.theirs: dict[int, str | None] = {}
        """What a person put into a cell, or took out of one that seedbed had filled."""
        self.edits = 0

    def teardown(self) -> None:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(self.root, ignore_errors=True)

    def row(self, number: int) -> tuple[Any, ...] | None:
        return next(iter(self.table.rows(f"select * from questions where id = {number}")), None)

    # ------------------------------------------------------------------------------------ commands

    @initialize()
    def begin(self) -> None:
        self.run(None)

    @rule(limit=st.sampled_from([None, 1, 2]))
    def run(self, limit: int | None) -> None:
        assert act(self.table, self.kind, "run", limit).error is None
        self.witness.in_order()

    @rule(cap=st.sampled_from([0, 40_000, 120_000]))
    def run_under_a_cap(self, cap: int) -> None:
        report = run(project_for(self.table, self.kind), None, Scope(), Spend(budget=cap))
        assert report.error is None or isinstance(report.error, BudgetReached)
        assert report.spent is not None
        assert report.spent <= cap

    @rule(limit=st.sampled_from([None, 2]))
    def export(self, limit: int | None) -> None:
        act(self.table, self.kind, "export", limit)

    @rule(days=st.sampled_from([-3650, -1, 1, 40]))
    def set_the_clock(self, days: int) -> None:
        os.environ[VARIABLE] = (datetime.now(UTC) + timedelta(days=days)).isoformat()

    @rule()
    def generate(self) -> None:
        act(self.table, self.kind, "generate")

    @rule()
    def recover(self) -> None:
        act(self.table, self.kind, "recover")

    @rule()
    def upload(self) -> None:
        act(self.table, self.kind, "upload")
        once = everything(self.table, self.kind)
        again = act(self.table, self.kind, "upload")
        assert (again.fates, again.made) == ({}, {})
        assert everything(self.table, self.kind) == once

    @rule()
    def roll_back(self) -> None:
        try:
            act(self.table, self.kind, "rollback")
        except EmptySelection:
            return

    @rule(data=st.data(), verb=st.sampled_from(["run", "run", "export", "generate", "upload", "recover"]))
    def kill(self, data: st.DataObject, verb: str) -> None:
        point = data.draw(st.sampled_from([name for name, way in WAYS.items() if self.kind in way.kinds]), "point")
        back = WAYS[point].verb == "rollback"
        self.witness.kill("rollback" if back else verb, point, must=False, once=False)

    # ------------------------------------------------------------------------------------- a person

    @rule(number=NUMBERS, empty=st.booleans())
    def edit_an_output(self, number: int, empty: bool) -> None:
        row = self.row(number)
        if row is None:
            return
        self.edits += 1
        if not empty:
            self.theirs[number] = f"by hand {self.edits}"
        elif row[3] and number not in self.theirs:
            self.theirs[number] = None
        elif row[3]:
            del self.theirs[number]
        else:
            return
        self.table.change("update questions set summary = ? where id = ?", self.theirs.get(number), number)

    @rule(number=NUMBERS)
    def edit_an_input(self, number: int) -> None:
        self.edits += 1
        self.table.change("update questions set text = ? where id = ?", f"What is Q{number}Z in {self.edits}?", number)

    @rule(number=NUMBERS)
    def delete_a_row(self, number: int) -> None:
        self.table.change("delete from questions where id = ?", number)
        self.theirs.pop(number, None)

    @rule(number=NUMBERS)
    def insert_a_row(self, number: int) -> None:
        if self.row(number) is None:
            self.table.add(range(number, number + 1))

    # ------------------------------------------------------------------------------------ promises

    @invariant()
    def what_a_person_wrote_or_took_out_stays(self) -> None:
        now = {row[0]: row[3] for row in self.table.rows()}
        assert {number: now[number] for number in self.theirs} == self.theirs

    @invariant()
    def the_books_balance(self) -> None:
        for report in audit(project_for(self.table, self.kind)):
            assert all(equation.balanced for equation in report.equations), report.equations

    @invariant()
    def no_answer_is_bought_twice(self) -> None:
        found = purchases(self.table, self.kind)
        received = Counter(p.intent.call for p in found if p.receipt is not None)
        assert [call for call, count in received.items() if count > 1] == []
        intents = Counter(str(item["text"]).split()[2].rstrip("?") for p in found for item in p.intent.items)
        for name, asked in requests(self.sim).items():
            assert asked <= intents[name], f"{name} was asked {asked} times with {intents[name]} intents"


@pytest.fixture
def machine(sim: Simulator) -> Iterator[type[AnyOrder]]:
    sim.configure(
        Manners(items_regex=r"(Q\d+Z)"), faults=[{"fault": "malformed", "item": DECLINED, "times": None, "text": "no"}]
    )
    nursery = Nursery()
    AnyOrder.sim, AnyOrder.nursery = sim, nursery
    yield AnyOrder
    nursery.close()


def prove(machine: type[AnyOrder], kind: str, examples: int, steps: int) -> None:
    machine.kind = kind
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("kind", "examples"), [("plain", 20), ("ask", 6), ("group", 6)])
def test_the_promises_hold_in_any_order_of_commands_kills_and_edits(
    machine: type[AnyOrder], kind: str, examples: int
) -> None:
    prove(machine, kind, examples, 8)


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["plain", "ask", "group"])
def test_the_promises_hold_in_long_stories(machine: type[AnyOrder], kind: str) -> None:
    prove(machine, kind, 400, 25)
