"""Pilots, decisions and signatures, as every state keeps them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from seedbed.ports.state import State
from seedbed.ports.state.gates import DecisionRow, PilotRow, SignatureRow
from seedbed.records import Finding

from .conftest import OpenState
from .test_state_contract import NOON, STAGE, entry, outcome, round_row, run_row

PILOT = PilotRow(
    "pilot-1", STAGE, "recipe-1", 7, 2, "topic = 'a'", ("lang",), (("[1]", "longest"), ("[2]", "lang = ro")), 9, NOON
)
YES = DecisionRow(STAGE, "[001]", "r1", "accept", "Ana", NOON, scores={"style": 4}, pilot="pilot-1")
NO = replace(YES, verdict="reject", reason="invented", note="no such rule", scores={})
SIGNED = SignatureRow(
    STAGE, "approve", "Ana", NOON, "recipe-1", "rows", ("openai/a",), items=3, money=500, until=NOON + 1,
    pilot="pilot-1", note="good", seen={"yes": 2},
)  # fmt: skip


@pytest.fixture
def worked(state: State) -> State:
    state.open_run(run_row())
    state.open_round(round_row())
    state.settle([outcome(1), outcome(2)], [entry("w-1", nano=100)])
    return state


def test_the_newest_pilot_of_a_stage_is_kept_as_it_was_drawn(state: State) -> None:
    assert state.pilot(STAGE) is None
    state.add_pilot(PILOT)
    assert state.pilot(STAGE) == PILOT
    state.add_pilot(replace(PILOT, id="pilot-2", recipe="recipe-2"))
    newest = state.pilot(STAGE)
    assert newest is not None
    assert newest.id == "pilot-2"
    assert state.pilot("another") is None


def test_a_decision_and_what_it_makes_of_the_outcome_are_stored_together(worked: State, opened: OpenState) -> None:
    before = worked.current(STAGE, ["[001]"])["[001]"]
    after = replace(before, state="set aside", findings=(Finding("invented", "Ana: no such rule"),))
    assert worked.decide(NO, before, after)
    other = opened()
    assert other.current(STAGE, ["[001]"])["[001]"] == after
    assert [replace(row, number=0) for row in other.decisions(STAGE)] == [NO]
    assert other.reasons(STAGE) == [(STAGE, "set aside", "invented", 1, "[001]")]
    assert other.standing()[STAGE].states == {"accepted": 1, "set aside": 1}


def test_a_decision_on_an_outcome_that_is_no_longer_as_it_was_seen_is_not_stored(worked: State) -> None:
    before = worked.current(STAGE, ["[001]"])["[001]"]
    worked.set_state(STAGE, ["[001]"], "withdrawn")
    assert not worked.decide(YES, before, before)
    worked.open_round(round_row("r2"))
    worked.settle([outcome(2, round_id="r2")])
    assert not worked.decide(replace(YES, key="[002]"), replace(before, key="[002]"), before)
    assert worked.decisions(STAGE) == []


def test_what_a_person_set_aside_no_rollback_makes_withdrawn(worked: State) -> None:
    worked.set_state(STAGE, ["[001]"], "set aside")
    assert worked.set_state(STAGE, ["[001]", "[002]"], "withdrawn") == 1
    assert worked.current(STAGE, ["[001]"])["[001]"].state == "set aside"


def test_the_last_signature_of_a_stage_holds_and_all_are_kept(state: State) -> None:
    assert state.signature(STAGE) is None
    first = state.sign(SIGNED)
    assert state.signature(STAGE) == first == replace(SIGNED, number=first.number)
    revoked = state.sign(SignatureRow(STAGE, "revoke", "Ion", NOON))
    assert state.signature(STAGE) == revoked
    assert [row.kind for row in state.signatures(STAGE)] == ["approve", "revoke"]
    assert len(state.signatures()) == 2


def test_items_and_money_are_counted_from_the_signature_on(worked: State) -> None:
    """An item counts once, with its first outcome of the signed recipe; one that had such an outcome does not."""
    worked.sign(SIGNED)
    worked.open_round(round_row("r2"))
    worked.open_round(round_row("r3"))
    worked.settle([outcome(1, round_id="r2"), outcome(3, round_id="r2")], [entry("w-2", nano=30)])
    worked.settle([outcome(3, round_id="r3"), outcome(4, round_id="r3", recipe="recipe-2")], [entry("w-3", nano=5)])
    worked.settle([outcome(3, round_id="r3")], [entry("w-3", nano=5)])
    found = worked.signature(STAGE)
    assert found is not None
    assert (found.used_items, found.used_money) == (1, 35)
    assert worked.of_recipe(STAGE, "recipe-1", ["[001]", "[004]", "[009]"]) == {"[001]"}


def test_the_room_under_a_ceiling_is_shared_by_runs_and_never_exceeded(worked: State, opened: OpenState) -> None:
    number, other = worked.sign(SIGNED).number, opened()  # three items
    assert worked.take_room(number, "run-1", wanted=2, outstanding=0, gone=()) == 2
    assert other.take_room(number, "run-2", wanted=9, outstanding=0, gone=()) == 1
    assert worked.take_room(number, "run-1", wanted=1, outstanding=2, gone=()) == 0
    worked.open_round(round_row("r2"))
    worked.settle([outcome(3, round_id="r2")])
    assert worked.take_room(number, "run-1", wanted=1, outstanding=1, gone=()) == 0
    assert sorted(other.holders(number)) == ["run-1", "run-2"]
    assert worked.take_room(number, "run-1", wanted=5, outstanding=1, gone=["run-2"]) == 1
    assert other.holders(number) == ["run-1"]


def test_a_new_signature_counts_anew(worked: State) -> None:
    worked.sign(SIGNED)
    worked.open_round(round_row("r2"))
    worked.settle([outcome(3, round_id="r2")], [entry("w-2", nano=30)])
    worked.sign(SIGNED)
    found = worked.signature(STAGE)
    assert found is not None
    assert (found.used_items, found.used_money) == (0, 0)


def test_the_signatures_under_which_a_run_worked(state: State) -> None:
    first = state.sign(SIGNED)
    second = state.sign(replace(SIGNED, stage="other"))
    for number in (first.number, first.number, second.number):
        state.work_under("run-1", "any", number)
    assert [row.stage for row in state.worked_under("run-1")] == [STAGE, "other"]
    assert state.worked_under("run-2") == []


def test_what_people_said_can_be_neither_changed_nor_deleted(tmp_path: Path, opened: OpenState) -> None:
    state = opened()
    state.open_round(round_row())
    state.settle([outcome(1)])
    state.sign(SIGNED)
    state.decide(YES, outcome(1), outcome(1))
    db = sqlite3.connect(tmp_path / ".seedbed" / "state.sqlite")
    for statement in (
        "update signatures set name = 'Eve'",
        "update signatures set items = 1000000",
        "delete from signatures",
        "update decisions set verdict = 'accept'",
        "delete from decisions",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            db.execute(statement)
    db.close()
