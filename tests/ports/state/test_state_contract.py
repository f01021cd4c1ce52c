"""What every state does. The tests of one back end alone stand at the end."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.errors import Corrupt, DiskFull, StoreNewer
from seedbed.ports.state import MadeRow, Release, RoundRow, RunRow, Spending, State, TillEntry, Uploaded
from seedbed.ports.state.migrations import STEPS, migrate
from seedbed.ports.state.sqlite import SqliteState, open_state
from seedbed.records import OUTCOME_STATES, Finding, Outcome, OutcomeState, Usage

from .conftest import OpenState

STAGE = "q.summary"
NOON = 1_795_161_600_000
"""2026-11-20T08:00:00Z."""
DAY = 86_400_000
FRESH = itertools.count()
"""Numbers for names that no example used before."""

STATES: Sequence[OutcomeState] = OUTCOME_STATES


def outcome(key: int | str = 1, state: OutcomeState = "accepted", round_id: str = "r1", **more: Any) -> Outcome:
    text = key if isinstance(key, str) else f"[{key:03}]"
    given = {"stage": STAGE, "fingerprint": "f" * 32, "recipe": "recipe-1", "cost": 10, "at": NOON, "run": "run-1"}
    return Outcome(**{**given, "key": text, "round": round_id, "state": state, **more})


def entry(intent: str = "w-1", nano: int | None = 100, kind: Any = "settle", **more: Any) -> TillEntry:
    given = {"stage": STAGE, "run": "run-1", "model": "openai/gpt-5-mini", "at": NOON}
    return TillEntry(**{**given, "intent": intent, "kind": kind, "nano": nano, **more})


def run_row(name: str = "run-1", **more: Any) -> RunRow:
    given: dict[str, Any] = {
        "command": "run", "target": STAGE, "started": NOON, "status": "running", "settings": {"a": 1}, "pid": 7,
        "host": "h",
    }  # fmt: skip
    return RunRow(**{**given, "id": name, **more})


def round_row(name: str = "r1", **more: Any) -> RoundRow:
    given: dict[str, Any] = {
        "number": 0, "stage": STAGE, "part": "1/1", "recipe": "recipe-1", "status": "open", "run": "run-1",
        "opened": NOON,
    }  # fmt: skip
    return RoundRow(**{**given, "id": name, **more})


def release(name: str = "release-1", **more: Any) -> Release:
    given: dict[str, Any] = {"stage": STAGE, "table": "questions", "status": "applying", "opened": NOON, "run": "run-1"}
    return Release(**{**given, "id": name, **more})


def made(ordinal: int, fate: str = "stored", name: str = "release-1", **more: Any) -> MadeRow:
    return MadeRow(STAGE, "r1", "[001]", ordinal, "facts", f"id-{ordinal}", fate, name, **more)


def keys(outcomes: Sequence[Outcome]) -> list[str]:
    return [one.key for one in outcomes]


# ----------------------------------------------------------------------------------------- outcomes


def test_what_was_settled_twice_is_settled_once(state: State) -> None:
    for _ in range(2):
        state.settle([outcome()], [entry()], {("w", STAGE): 5})
    assert (state.tally(STAGE).states, state.spending()[0].calls) == ({"accepted": 1}, 1)


def test_the_first_outcome_of_an_item_in_a_round_stands(state: State) -> None:
    state.settle([outcome(state="rejected")])
    state.settle([outcome(state="accepted")])
    assert state.current(STAGE, ["[001]"])["[001]"].state == "rejected"


def test_an_outcome_and_its_money_are_stored_together_or_not_at_all(state: State) -> None:
    def broken() -> Iterator[TillEntry]:
        yield entry()
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        state.settle([outcome()], broken(), {("w", STAGE): 5})
    assert (state.settled(STAGE, ["[001]"]), state.till_has(["w-1"]), state.marks(STAGE)) == (set(), set(), {})


def test_a_state_works_on_after_a_transaction_that_failed(state: State) -> None:
    with pytest.raises(ZeroDivisionError):
        state.settle(outcome(1 // 0) for _ in range(1))
    state.settle([outcome()])
    assert state.settled(STAGE, ["[001]"]) == {"[001]"}


def test_the_current_outcome_is_that_of_the_highest_round(state: State) -> None:
    for name in ("r1", "r2", "r3"):
        state.open_round(round_row(name))
    for name in ("r2", "r3", "r1"):
        state.settle([outcome(round_id=name)])
    assert state.current(STAGE, ["[001]"])["[001]"].round == "r3"


def test_an_item_of_an_earlier_round_is_not_listed_beside_its_current_outcome(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(round_id="r1", state="failed"), outcome(round_id="r2")])
    assert [(one.round, one.state) for one in state.outcomes(STAGE)] == [("r2", "accepted")]


def test_the_same_key_in_two_stages_is_two_items(state: State) -> None:
    state.settle([outcome(), outcome(stage="other", state="failed")])
    assert (state.tally(STAGE).states, state.tally("other").states) == ({"accepted": 1}, {"failed": 1})


@pytest.mark.parametrize("one", STATES)
def test_an_item_with_an_outcome_of_any_kind_is_settled(state: State, one: OutcomeState) -> None:
    state.settle([outcome(state=one)])
    assert state.settled(STAGE, ["[001]", "[002]"]) == {"[001]"}


def test_more_keys_than_a_statement_takes_can_be_looked_up(state: State) -> None:
    state.settle(outcome(n) for n in range(0, 2500, 2))
    asked = [f"[{n:03}]" for n in range(2500)]
    assert state.settled(STAGE, asked) == set(asked[::2])


def test_what_is_not_settled_is_all_the_rest(state: State) -> None:
    state.settle([outcome(1), outcome(2, "failed"), outcome(3, stage="other"), outcome('["a\\u0001é\\"b"]')])
    assert state.unsettled(STAGE, ["[001]", "[003]", "[004]", '["a\\u0001é\\"b"]']) == {"[003]", "[004]"}
    assert state.unsettled(STAGE, []) == set()


def test_looking_for_no_keys_finds_none(state: State) -> None:
    assert (state.settled(STAGE, []), state.current(STAGE, []), state.entries([])) == (set(), {}, {})


def test_what_is_settled_in_a_round_is_settled_in_that_round_only(state: State) -> None:
    state.settle([outcome(1, round_id="r1"), outcome(2, round_id="r2")])
    assert state.settled_in_round("r1", STAGE, ["[001]", "[002]"]) == {"[001]"}


def test_outcomes_come_in_pages_in_the_order_of_their_keys(state: State) -> None:
    state.settle(outcome(n) for n in (5, 3, 9, 1, 7))
    pages, after = [], None
    while page := state.outcomes(STAGE, after=after, limit=2):
        pages.append(keys(page))
        after = page[-1].key
    assert pages == [["[001]", "[003]"], ["[005]", "[007]"], ["[009]"]]


def test_outcomes_can_be_had_by_their_states(state: State) -> None:
    state.settle(outcome(n, one) for n, one in enumerate(STATES))
    assert [one.state for one in state.outcomes(STAGE, states=["failed", "rejected"])] == ["rejected", "failed"]


def test_outcomes_can_be_had_by_their_round(state: State) -> None:
    state.settle([outcome(1, round_id="r1"), outcome(2, round_id="r2")])
    assert keys(state.outcomes(STAGE, round_id="r2")) == ["[002]"]


def test_what_waits_for_an_upload_is_accepted_and_has_no_fate(state: State) -> None:
    state.settle([outcome(1), outcome(2), outcome(3, "rejected")])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r1", "applied")])
    assert keys(state.outcomes(STAGE, waiting=True)) == ["[002]"]


def test_pages_of_what_waits_go_on_behind_the_last_key(state: State) -> None:
    state.settle(outcome(n) for n in range(1, 6))
    first = state.outcomes(STAGE, waiting=True, limit=2)
    state.uploaded(STAGE, "release-1", [Uploaded(one.key, "r1", "applied") for one in first])
    assert keys(state.outcomes(STAGE, waiting=True, after=first[-1].key, limit=2)) == ["[003]", "[004]"]


def test_an_item_that_is_redone_waits_again(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(round_id="r1")])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r1", "applied")])
    state.settle([outcome(round_id="r2")])
    assert [one.round for one in state.outcomes(STAGE, waiting=True)] == ["r2"]


def test_the_state_of_current_outcomes_can_be_set_and_the_changed_are_counted(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(1, "failed", "r1"), outcome(1, "accepted", "r2"), outcome(2)])
    changed = state.set_state(STAGE, ["[001]", "[003]"], "set aside")
    assert (changed, state.tally(STAGE).states) == (1, {"set aside": 1, "accepted": 1})


def test_what_waits_comes_with_its_cells_a_page_at_a_time(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    cells: dict[str, Any] = {"picture": b"\x00\xff", "summary": None}
    state.settle([outcome(n, before=cells, output={"summary": n, "large": 10**30}) for n in (1, 2, 3)])
    state.settle([outcome(4, "rejected"), outcome(2, round_id="r2"), outcome(5), outcome(6, stage="other")])
    state.uploaded(STAGE, "release-1", [Uploaded("[005]", "r1", "applied")])
    first = state.waiting(STAGE, limit=2)
    assert [(one.key, one.round) for one in first] == [("[001]", "r1"), ("[002]", "r2")]
    assert (first[0].before, first[0].output) == (cells, {"summary": 1, "large": 10**30})
    assert (first[1].before, first[1].output) == ({}, None)
    assert [one.key for one in state.waiting(STAGE, after="[002]")] == ["[003]"]


def test_prints_are_those_of_current_outcomes_wherever_a_page_ends(state: State) -> None:
    for name in ("r1", "r2", "r3"):
        state.open_round(round_row(name))
    state.settle([outcome(n, round_id="r1", fingerprint=f"old {n}") for n in (1, 2, 3, 4)])
    state.settle([outcome(n, round_id="r2", fingerprint=f"newer {n}") for n in (2, 3)])
    state.settle([outcome(3, round_id="r3", fingerprint="newest 3")])
    for limit in range(1, 9):
        seen: list[tuple[str, str, str]] = []
        while page := state.prints(STAGE, after=seen[-1][0] if seen else None, limit=limit):
            seen += page
        assert [found[1] for found in seen] == ["old 1", "newer 2", "newest 3", "old 4"]


def test_what_an_upload_did_with_an_outcome_that_is_no_longer_current_is_noted_but_not_counted(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(1), outcome(2), outcome(1, "failed", round_id="r2")])
    state.uploaded(STAGE, "release-1", [Uploaded(f"[00{n}]", "r1", "applied") for n in (1, 2)])
    assert state.standing()[STAGE].uploaded == state.tally(STAGE).uploaded == {"applied": 1}
    assert [fate.fate for _, fate, _ in state.history(STAGE, "[001]")] == ["applied", ""]


def test_the_history_of_an_item_is_told_oldest_first(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(round_id="r2"), outcome(round_id="r1", state="failed")])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r2", "drifted", "changed by a person")])
    told = [(one.round, fate.fate, fate.reason, of) for one, fate, of in state.history(STAGE, "[001]")]
    assert told == [("r1", "", "", ""), ("r2", "drifted", "changed by a person", "release-1")]


def test_outcomes_can_be_followed_in_the_order_in_which_they_were_settled(state: State) -> None:
    state.settle(outcome(n, at=NOON + at) for n, at in ((1, 3), (2, 1), (3, 2), (4, 2), (5, -1)))
    seen: list[Outcome] = []
    while page := state.since(NOON, after=(seen[-1].at, STAGE, seen[-1].key) if seen else None, limit=2):
        seen += page
    assert keys(seen) == ["[002]", "[003]", "[004]", "[001]"]


def test_one_run_can_be_followed_alone(state: State) -> None:
    state.settle([outcome(1, run="run-1"), outcome(2, run="run-2")])
    assert keys(state.since(NOON, run="run-2")) == ["[002]"]


def test_the_pace_of_a_run_is_what_it_settled_since_when(state: State) -> None:
    state.settle(outcome(n, at=NOON + n) for n in range(5))
    state.settle([outcome(9, run="run-2", at=NOON + 2)])
    assert state.pace("run-1", NOON + 2) == (3, NOON + 2)


def test_a_run_that_settled_nothing_has_no_pace(state: State) -> None:
    assert state.pace("run-1", NOON) == (0, 0)


# ------------------------------------------------------------------------------------------- counts


def test_a_tally_counts_states_uploads_rows_and_money(state: State) -> None:
    state.settle([outcome(1, made=3), outcome(2, made=4, cost=5), outcome(3, "rejected"), outcome(4, made=1)])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r1", "applied"), Uploaded("[002]", "r1", "drifted")])
    tally = state.tally(STAGE)
    assert (tally.states, tally.settled, tally.uploaded, tally.made, tally.cost) == (
        {"accepted": 3, "rejected": 1}, 4, {"applied": 1, "drifted": 1, "waiting": 1}, 8, 35,
    )  # fmt: skip


def test_one_unknown_price_makes_the_sum_unknown(state: State) -> None:
    state.settle([outcome(1), outcome(2, cost=None)])
    assert state.tally(STAGE).cost is None


def test_outcomes_of_another_recipe_are_stale(state: State) -> None:
    state.settle([outcome(1), outcome(2, recipe="recipe-2"), outcome(3, "failed", recipe="recipe-0")])
    assert state.tally(STAGE, "recipe-1").stale == 2


def test_a_tally_of_nothing_is_zero(state: State) -> None:
    tally = state.tally("unheard")
    assert (tally.settled, tally.made, tally.cost) == (0, 0, 0)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("settle"), st.integers(1, 3), st.integers(1, 3), st.sampled_from(STATES)),
        st.tuples(st.just("set"), st.integers(1, 3), st.just(0), st.sampled_from(STATES)),
        st.tuples(st.just("upload"), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["applied", "drifted", ""])),
    ),
    max_size=25,
)


@given(actions)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_stored_counts_are_what_counting_finds(opened: OpenState, todo: list[tuple[str, int, int, Any]]) -> None:
    state, stage = opened(), f"s{next(FRESH)}"
    for name in ("r1", "r2", "r3"):
        if name not in [row.id for row in state.rounds()]:
            state.open_round(round_row(name))
    state.settle([outcome(4, stage=stage)])
    before = state.standing().get(stage)
    assert before is not None
    for what, key, number, value in todo:
        if what == "settle":
            state.settle([outcome(key, value, f"r{number}", stage=stage)])
        elif what == "set":
            state.set_state(stage, [f"[{key:03}]"], value)
        else:
            state.uploaded(stage, "release-1", [Uploaded(f"[{key:03}]", f"r{number}", value)])
    counted, stored = state.tally(stage), state.standing()[stage]
    state.set_state(stage, [f"[{key:03}]" for key in range(1, 5)], "withdrawn")
    state.close()
    assert (stored.states, stored.uploaded) == (counted.states, counted.uploaded)


def test_reasons_of_what_was_not_accepted_are_grouped_with_an_example(state: State) -> None:
    short = (Finding("weak", "thin", severity="warning"), Finding("too_short", "3 of 10", "summary"))
    state.settle([outcome(n, "rejected", findings=short) for n in (1, 2, 3)])
    state.settle([outcome(4, "failed"), outcome(5), outcome(6, "rejected", stage="other", findings=short)])
    assert state.reasons(STAGE) == [
        (STAGE, "rejected", "too_short", 3, "[001]"),
        (STAGE, "failed", "", 1, "[004]"),
    ]


def test_reasons_of_all_stages_come_with_the_most_frequent_first(state: State) -> None:
    state.settle([outcome(1, "failed"), outcome(2, "refused", stage="other"), outcome(3, "refused", stage="other")])
    assert [(stage, count) for stage, _, _, count, _ in state.reasons()] == [("other", 2), (STAGE, 1)]


def test_a_reason_that_a_later_round_overcame_is_forgotten(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(round_id="r1", state="failed"), outcome(round_id="r2")])
    assert state.reasons() == []


def test_a_round_is_counted_from_its_own_outcomes(state: State) -> None:
    state.settle([outcome(1, made=2), outcome(2, made=3), outcome(3, "rejected"), outcome(4, round_id="r2", made=9)])
    assert (state.states_of_round("r1"), state.sums_of_round("r1").made) == ({"accepted": 2, "rejected": 1}, 5)


def test_the_keys_of_a_round_come_in_pages(state: State) -> None:
    state.settle(outcome(n) for n in (3, 1, 2))
    first = state.keys_of_round("r1", after=None, limit=2)
    assert (first, state.keys_of_round("r1", after=first[-1], limit=2)) == (["[001]", "[002]"], ["[003]"])


# -------------------------------------------------------------------------------------------- marks


def test_marks_only_rise(state: State) -> None:
    for number in (5, 9, 7):
        state.settle([], (), {("w", STAGE): number})
    assert state.marks(STAGE) == {"w": 9}


def test_marks_are_kept_by_writer_and_stage(state: State) -> None:
    state.settle([], (), {("w1", STAGE): 1, ("w2", STAGE): 2, ("w1", "other"): 3})
    assert state.marks(STAGE) == {"w1": 1, "w2": 2}


# -------------------------------------------------------------------------------------------- money


def test_what_was_in_doubt_is_settled_when_its_price_is_known(state: State) -> None:
    state.settle([], [entry(kind="doubt", nano=500)])
    state.settle([], [entry(nano=120, usage=Usage(10, 2, 30, 4), served="gpt-5-mini-2026", saved=7)])
    assert state.entries(["w-1"])["w-1"] == entry(
        nano=120, usage=Usage(10, 2, 30, 4), served="gpt-5-mini-2026", saved=7
    )


def test_what_was_settled_is_never_in_doubt_again(state: State) -> None:
    state.settle([], [entry(nano=120)])
    state.settle([], [entry(kind="doubt", nano=500)])
    assert state.entries(["w-1"])["w-1"] == entry(nano=120)


def test_the_first_doubt_stands_until_it_is_settled(state: State) -> None:
    state.settle([], [entry(kind="doubt", nano=500)])
    state.settle([], [entry(kind="doubt", nano=900)])
    assert state.spending()[0].doubtful == 500


def test_what_was_settled_is_not_settled_at_another_price(state: State) -> None:
    state.settle([], [entry(nano=120)])
    state.settle([], [entry(nano=999)])
    assert state.spending()[0].nano == 120


def test_the_till_says_which_intents_it_has(state: State) -> None:
    state.settle([], [entry("w-1"), entry("w-2", kind="doubt")])
    assert state.till_has(["w-1", "w-2", "w-3"]) == {"w-1", "w-2"}


def test_all_money_is_one_sum_with_what_is_in_doubt_and_what_is_unknown_apart(state: State) -> None:
    state.settle([], [entry("a", 100), entry("b", 50, "doubt"), entry("c", None), entry("d", 7)])
    total = state.spending()[0]
    assert (total.group, total.nano, total.doubtful, total.unknown, total.calls) == ((), 157, 50, 1, 4)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (["stage"], {("other",): 4, (STAGE,): 11}),
        (["run"], {("run-1",): 9, ("run-2",): 6}),
        (["model"], {("openai/gpt-5-mini",): 13, ("x/y",): 2}),
        (["served"], {("",): 13, ("y-1",): 2}),
        (["day"], {("2026-11-20",): 7, ("2026-11-21",): 8}),
        (["stage", "day"], {("other", "2026-11-20"): 4, (STAGE, "2026-11-20"): 3, (STAGE, "2026-11-21"): 8}),
    ],
)
def test_money_can_be_grouped(state: State, by: list[str], expected: dict[tuple[str, ...], int]) -> None:
    state.settle(
        [],
        [
            entry("a", 1),
            entry("b", 2, model="x/y", served="y-1", run="run-2"),
            entry("c", 4, stage="other", run="run-2"),
            entry("d", 8, at=NOON + DAY),
        ],
    )
    assert {one.group: one.nano for one in state.spending(by)} == expected
    some = state.spending(["intent"], intents=["d", "a", "nobody"])
    assert {one.group: one.nano for one in some} == {("a",): 1, ("d",): 8}
    assert state.spending(["intent"], run="run-2", intents=["a"]) == []


def test_money_of_one_run_can_be_had_alone(state: State) -> None:
    state.settle([], [entry("a", 1), entry("b", 2, run="run-2", usage=Usage(1, 2, 3, 4), saved=5)])
    found = state.spending(run="run-2")[0]
    assert (found.nano, found.usage, found.saved) == (2, Usage(1, 2, 3, 4), 5)


entries = st.lists(
    st.builds(
        entry,
        st.sampled_from(["a", "b", "c", "d"]),
        st.none() | st.integers(0, 100),
        st.sampled_from(["settle", "doubt", "adopt", "price"]),
        usage=st.builds(Usage, *[st.integers(0, 9)] * 4),
        run=st.sampled_from(["run-1", "run-2"]),
        model=st.sampled_from(["x/y", "x/z"]),
        saved=st.integers(0, 9),
    ),
    max_size=12,
)


@given(entries)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_stored_sums_are_what_summing_finds(opened: OpenState, told: list[TillEntry]) -> None:
    state, stage = opened(), f"s{next(FRESH)}"
    for one in told:
        state.settle([], [replace(one, intent=f"{stage}-{one.intent}", stage=stage)])
    kept = state.spending(["run", "stage", "model"])
    looked = state.spending(["run", "stage", "model", "kind"])  # at each entry
    stored = state.money()
    state.close()
    told_by = {one.group: amounts(one) for one in kept if one.group[1] == stage}
    assert told_by == added(one for one in looked if one.group[1] == stage)
    of_stage = added((one for one in kept if one.group[1] == stage), groups=slice(1, 2))
    nothing = Spending((stage,), 0, 0, 0, 0, Usage())
    assert amounts(stored.get(stage, nothing))[:4] == of_stage.get((stage,), amounts(nothing))[:4]


def amounts(one: Spending) -> tuple[int, ...]:
    usage = one.usage
    tokens = (usage.input, usage.cached, usage.output, usage.reasoning)
    return one.nano, one.doubtful, one.unknown, one.calls, *tokens, one.saved


def added(rows: Iterable[Spending], groups: slice = slice(3)) -> dict[tuple[str, ...], tuple[int, ...]]:
    found: dict[tuple[str, ...], tuple[int, ...]] = {}
    for one in rows:
        group = one.group[groups]
        found[group] = tuple(map(sum, zip(found.get(group, (0,) * 9), amounts(one), strict=True)))
    return found


def test_without_an_entry_no_money_was_spent(state: State) -> None:
    assert [(one.nano, one.calls) for one in state.spending()] == [(0, 0)]


# ------------------------------------------------------------------------------------ runs and rounds


def test_a_run_comes_back_as_it_was_opened(state: State) -> None:
    row = run_row(cap=5_000_000_000, settings={"tiers": {"default": "a/b"}, "n": [1, 2.5, None]})
    state.open_run(row)
    assert state.run("run-1") == row


def test_the_end_of_a_run_is_noted(state: State) -> None:
    state.open_run(run_row())
    state.close_run("run-1", "partial", 75, "The budget is used up.", NOON + 5)
    state.set_page("run-1", "logs/page.md")
    expected = run_row(status="partial", exit_code=75, message="The budget is used up.", finished=NOON + 5)
    assert state.run("run-1") == replace(expected, page="logs/page.md")


def test_runs_come_newest_first_also_where_the_clock_went_back(state: State) -> None:
    for number in (1, 3, 2):
        state.open_run(run_row(f"run-{number}", started=NOON + number))
    assert [row.id for row in state.runs(limit=2)] == ["run-2", "run-3"]


def test_runs_can_be_had_by_status(state: State) -> None:
    state.open_run(run_row("run-1"))
    state.open_run(run_row("run-2"))
    state.close_run("run-1", "completed", 0, "", NOON)
    assert [row.id for row in state.runs(status="running")] == ["run-2"]


def test_a_run_that_is_not_known_is_none(state: State) -> None:
    assert state.run("run-9") is None


def test_each_round_gets_the_next_number_whatever_it_came_with(state: State) -> None:
    assert [state.open_round(round_row(name, number=99)).number for name in ("r1", "r2", "r3")] == [1, 2, 3]


def test_rounds_opened_over_two_connections_have_numbers_of_their_own(opened: OpenState) -> None:
    one, other = opened(), opened()
    numbers = [state.open_round(round_row(name)).number for state, name in ((one, "r1"), (other, "r2"), (one, "r3"))]
    assert numbers == [1, 2, 3]


def test_a_round_is_counted_and_closed(state: State) -> None:
    opened = state.open_round(round_row())
    state.count_round("r1", 20)
    state.close_round("r1", "closed", NOON + 9)
    assert state.rounds() == [replace(opened, items=20, status="closed", closed=NOON + 9)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["r1", "r2", "r3"]),
        ({"stage": STAGE}, ["r1", "r3"]),
        ({"status": "open"}, ["r2", "r3"]),
        ({"stage": STAGE, "status": "open"}, ["r3"]),
    ],
)
def test_rounds_can_be_had_by_stage_and_status(state: State, asked: dict[str, Any], expected: list[str]) -> None:
    for name, stage in (("r1", STAGE), ("r2", "other"), ("r3", STAGE)):
        state.open_round(round_row(name, stage=stage))
    state.close_round("r1", "closed", NOON)
    assert [row.id for row in state.rounds(**asked)] == expected


def test_the_rounds_of_a_run_are_those_it_opened_and_those_it_settled_something_in(state: State) -> None:
    for name, run in (("r1", "run-0"), ("r2", "run-1"), ("r3", "run-2")):
        state.open_round(round_row(name, run=run))
    state.settle([outcome(round_id="r1", run="run-1")])
    assert [row.id for row in state.rounds_of_run("run-1")] == ["r1", "r2"]


def test_a_stage_is_known_by_its_rounds_or_its_money(state: State) -> None:
    state.open_round(round_row(stage="b"))
    state.settle([], [entry(stage="a")])
    assert state.stages() == ["a", "b"]


# ------------------------------------------------------------------------------------------ uploads


def test_a_release_that_is_being_applied_is_used_again(state: State) -> None:
    state.open_release(release("release-1"))
    assert state.open_release(release("release-2", opened=NOON + 1)).id == "release-1"


def test_after_a_release_is_applied_the_next_is_a_new_one(state: State) -> None:
    state.open_release(release("release-1"))
    state.close_release("release-1", "applied", NOON + 1)
    assert state.open_release(release("release-2", opened=NOON + 2)).id == "release-2"


def test_each_stage_has_a_release_of_its_own(state: State) -> None:
    state.open_release(release("release-1"))
    assert state.open_release(release("release-2", stage="other")).id == "release-2"


def test_releases_are_listed_oldest_first_also_where_the_clock_went_back(state: State) -> None:
    first, second = release("b", opened=NOON + 1), release("a", stage="other")
    state.open_release(first)
    state.open_release(second)
    state.close_release("b", "partly rolled back", NOON + 2)
    assert state.releases() == [replace(first, status="partly rolled back", closed=NOON + 2), second]


def test_the_fate_of_an_upload_is_told_by_item(state: State) -> None:
    state.settle([outcome(1), outcome(2), outcome(3)])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r1", "applied"), Uploaded("[002]", "r1", "drifted", "why")])
    assert state.upload_fate(STAGE, ["[001]", "[002]", "[003]"]) == {
        "[001]": ("applied", "release-1"),
        "[002]": ("drifted", "release-1"),
    }


def test_the_fate_of_an_earlier_round_is_not_that_of_the_current_outcome(state: State) -> None:
    state.open_round(round_row("r1"))
    state.open_round(round_row("r2"))
    state.settle([outcome(round_id="r1"), outcome(round_id="r2")])
    state.uploaded(STAGE, "release-1", [Uploaded("[001]", "r1", "applied")])
    assert state.upload_fate(STAGE, ["[001]"]) == {}


def test_the_items_of_a_release_can_be_had(state: State) -> None:
    state.settle([outcome(2), outcome(1), outcome(3)])
    state.uploaded(STAGE, "release-1", [Uploaded("[002]", "r1", "applied"), Uploaded("[001]", "r1", "applied")])
    assert state.items_of_release("release-1") == ["[001]", "[002]"]


def test_what_became_of_rows_that_were_made_is_noted_once(state: State) -> None:
    for _ in range(2):
        state.uploaded(STAGE, "release-1", [], [made(0), made(1, "duplicate"), made(2, "rejected", reason="no title")])
    assert state.made_of_round("r1") == {"stored": 1, "duplicate": 1, "rejected": 1}


def test_the_first_fate_of_a_made_row_stands(state: State) -> None:
    state.uploaded(STAGE, "release-1", [], [made(0, "stored")])
    state.uploaded(STAGE, "release-2", [], [made(0, "duplicate", "release-2")])
    assert state.made_of_round("r1") == {"stored": 1}


def test_a_rollback_withdraws_the_stored_rows_of_its_release_only(state: State) -> None:
    rows = [made(0), made(1, "duplicate"), made(2, name="release-2")]
    state.uploaded(STAGE, "", [], rows)
    state.withdraw_made("release-1")
    assert state.made_of_round("r1") == {"withdrawn": 1, "duplicate": 1, "stored": 1}


def test_a_row_that_was_withdrawn_can_be_stored_again(state: State) -> None:
    state.uploaded(STAGE, "release-1", [], [made(0)])
    state.withdraw_made("release-1")
    state.uploaded(STAGE, "release-2", [], [made(0, name="release-2")])
    assert (state.made_of_round("r1"), state.release_counts()) == ({"stored": 1}, {"release-2": {"rows stored": 1}})


def test_rows_of_withdrawn_outcomes_still_count_as_made(state: State) -> None:
    state.settle([outcome(1, made=2), outcome(2, made=3)])
    state.set_state(STAGE, ["[001]"], "withdrawn")
    assert state.sums_of_round("r1").made == 5


def test_a_release_tells_what_it_did_to_items_and_rows(state: State) -> None:
    state.settle([outcome(1), outcome(2)])
    fates = [Uploaded("[001]", "r1", "applied"), Uploaded("[002]", "r1", "drifted")]
    state.uploaded(STAGE, "release-1", fates, [made(0), made(1)])
    assert state.release_counts() == {"release-1": {"applied": 1, "drifted": 1, "rows stored": 2}}


# ----------------------------------------------------------------------------- recipes and small values


def test_a_recipe_comes_back_by_its_hash(state: State) -> None:
    state.recipe("h", {"prompt": "Hé {{ x }}", "inputs": ["a"], "shape": None})
    assert state.recipe("h") == {"prompt": "Hé {{ x }}", "inputs": ["a"], "shape": None}


def test_a_recipe_is_stored_once(state: State) -> None:
    state.recipe("h", {"v": 1})
    state.recipe("h", {"v": 2})
    assert state.recipe("h") == {"v": 1}


def test_a_note_is_replaced_by_the_next(state: State) -> None:
    state.note("inputs.q", ["a"])
    state.note("inputs.q", ["a", {"$bytes": "b"}])
    assert state.note("inputs.q") == ["a", {"$bytes": "b"}]


def test_what_was_never_noted_is_none(state: State) -> None:
    assert (state.note("x"), state.recipe("x")) == (None, None)


# ------------------------------------------------------------------------------- outcomes, field by field

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
count = st.integers(0, 2**53)
value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.just("$bytes"), inner, max_size=3),
    max_leaves=6,
)
finding = st.builds(Finding, words, st.text(max_size=12), words, st.sampled_from(["error", "warning", "info"]))
cells = st.dictionaries(words, value | st.binary(max_size=8), max_size=3)
outcomes = st.builds(
    Outcome,
    stage=words,
    key=words,
    round=words,
    state=st.sampled_from(STATES),
    fingerprint=words,
    recipe=words,
    output=value,
    before=cells,
    findings=st.lists(finding, max_size=3).map(tuple),
    usage=st.builds(Usage, count, count, count, count),
    cost=st.none() | count,
    calls=st.lists(words, max_size=3).map(tuple),
    attempts=count,
    model=words,
    served=words,
    run=words,
    at=count,
    made=count,
    row=cells,
)


@given(outcomes)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_an_outcome_comes_back_with_all_its_fields(opened: OpenState, one: Outcome) -> None:
    state = opened()
    kept = state.current(one.stage, [one.key]).get(one.key)
    state.settle([one])
    found = state.current(one.stage, [one.key])[one.key]
    state.close()
    assert found == (kept or one)


def test_an_outcome_is_listed_without_its_bodies_where_only_its_fate_is_asked_for(state: State) -> None:
    whole = outcome(output={"summary": "x"}, before={"summary": None}, row={"text": "y"})
    state.settle([whole])
    assert state.since(NOON) == [replace(whole, output=None, before={}, row={})]


# --------------------------------------------------------------------------------- several connections


def test_what_one_connection_settled_another_sees(opened: OpenState) -> None:
    one, other = opened(), opened()
    one.settle([outcome()])
    assert other.settled(STAGE, ["[001]"]) == {"[001]"}


def test_a_reader_is_not_blocked_by_an_open_transaction(opened: OpenState) -> None:
    writer, reader = opened(), opened()
    seen: list[set[str]] = []

    def while_writing() -> Iterator[TillEntry]:
        seen.append(reader.settled(STAGE, ["[001]"]))
        yield entry()

    writer.settle([outcome()], while_writing())
    assert seen == [set()]


def test_within_a_snapshot_all_is_read_as_of_one_moment(opened: OpenState) -> None:
    reader, writer = opened(), opened()
    writer.settle([outcome(1)])
    with reader.snapshot():
        before = reader.tally(STAGE).settled
        writer.settle([outcome(2)])
        within = reader.tally(STAGE).settled
    assert (before, within, reader.tally(STAGE).settled) == (1, 1, 2)


def test_a_snapshot_that_fails_leaves_a_state_that_works(state: State) -> None:
    with pytest.raises(RuntimeError), state.snapshot():
        raise RuntimeError
    state.settle([outcome()])
    assert state.tally(STAGE).settled == 1


def test_two_that_settle_at_once_lose_nothing(opened: OpenState) -> None:
    states = [opened() for _ in range(4)]
    barrier = threading.Barrier(len(states))

    def work(number: int) -> None:
        barrier.wait()
        for n in range(25):
            states[number].settle([outcome(number * 100 + n)], [entry(f"w{number}-{n}", 1)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(states))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (states[0].tally(STAGE).settled, states[0].spending()[0].nano) == (100, 100)


# ------------------------------------------------------------------------------------- SQLite alone


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def test_several_may_open_a_state_that_is_not_there_yet(tmp_path: Path) -> None:
    troubles: list[BaseException] = []

    def open_at(path: Path, barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            open_state(path).close()
        except BaseException as error:
            troubles.append(error)

    for number in range(20):
        barrier = threading.Barrier(6)
        threads = [threading.Thread(target=open_at, args=(tmp_path / f"{number}.sqlite", barrier)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert troubles == []


def contents(path: Path) -> list[str]:
    """All that a database holds, as statements, and its version."""
    db = sqlite3.connect(path)
    try:
        return [*db.iterdump(), str(db.execute("pragma user_version").fetchone())]
    finally:
        db.close()


def a_first_version(path: Path) -> None:
    """A state as the first format left it, with an outcome in it."""
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, str(path), STEPS[:1])
    db.execute(
        "insert into outcomes (stage, item, number, round, state, fingerprint, recipe, input, cached, answered,"
        " reasoning, cost, calls, attempts, model, served, run, at, made) values"
        " ('q.summary', '[001]', 1, 'r1', 'accepted', 'f', 'h', 1, 2, 3, 4, 5, '[]', 1, 'm', '', 'run-1', 6, 0)"
    )
    db.execute(
        "insert into till values ('w-1', 'doubt', 70, 'q.summary', 'run-1', 'm', '', 6, 1, 2, 3, 4, 0)",
    )
    db.close()


def test_a_state_of_a_newer_seedbed_is_refused(place: Path) -> None:
    """(fault 62)"""
    db = sqlite3.connect(place)
    db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(StoreNewer) as caught:
        open_state(place)
    assert caught.value.exit_code == 8


def test_a_state_of_a_newer_seedbed_is_left_as_it_is(place: Path) -> None:
    open_state(place).close()
    db = sqlite3.connect(place)
    db.execute("pragma user_version = 99")
    db.close()
    before = contents(place)
    with pytest.raises(StoreNewer):
        open_state(place)
    assert contents(place) == before


@pytest.mark.parametrize("there", [0, 1])
def test_a_migration_that_is_killed_in_its_middle_changes_nothing(place: Path, there: int) -> None:
    """(fault 62)"""

    def killed(connection: sqlite3.Connection) -> None:
        connection.execute("create table half (a)")
        connection.execute("drop table runs")
        raise KeyboardInterrupt

    if there:
        a_first_version(place)
    before = contents(place)
    db = sqlite3.connect(place, isolation_level=None)
    with pytest.raises(KeyboardInterrupt):
        migrate(db, str(place), [*STEPS, killed])
    db.close()
    assert contents(place) == before


def test_a_migration_is_taken_once(place: Path) -> None:
    db = sqlite3.connect(place, isolation_level=None)
    taken = [migrate(db, str(place)) for _ in range(2)]
    db.close()
    assert taken == [len(STEPS), 0]


def test_a_migrated_state_is_that_of_a_new_one(place: Path, tmp_path: Path) -> None:
    def schema(path: Path) -> list[Any]:
        db = sqlite3.connect(path)
        try:
            return db.execute("select type, name, sql from sqlite_master order by 1, 2").fetchall()
        finally:
            db.close()

    a_first_version(place)
    open_state(place).close()
    open_state(tmp_path / "new.sqlite").close()
    assert schema(place) == schema(tmp_path / "new.sqlite")


def test_the_counts_of_an_older_state_are_taken_over(place: Path) -> None:
    a_first_version(place)
    state = open_state(place)
    found = (state.standing()[STAGE].states, state.money()[STAGE].doubtful)
    state.close()
    assert found == ({"accepted": 1}, 70)


class Overtaken(sqlite3.Connection):
    """A connection that another, newer process overtakes while it waits for the lock."""

    path = Path()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "begin exclusive":
            other = sqlite3.connect(self.path, isolation_level=None)
            migrate(other, str(self.path), [*STEPS, lambda db: None, lambda db: None])
            other.close()
        return super().execute(sql, *values)


def test_an_older_program_that_waited_for_a_newer_one_does_not_turn_the_state_back(place: Path) -> None:
    Overtaken.path = place
    db = sqlite3.connect(place, isolation_level=None, factory=Overtaken)
    with pytest.raises(StoreNewer):
        migrate(db, str(place))
    version = db.execute("pragma user_version").fetchone()[0]
    db.close()
    assert version == len(STEPS) + 2


def test_a_file_that_is_no_state_is_refused_and_left_as_it_is(place: Path) -> None:
    place.write_text("This is a letter, and not a database. " * 50)
    before = place.read_bytes()
    with pytest.raises(Corrupt):
        open_state(place)
    assert place.read_bytes() == before


def test_a_full_disk_is_a_pause(place: Path) -> None:
    state = SqliteState(place)
    pages = state._db.execute("pragma page_count").fetchone()[0]
    state._db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(DiskFull) as caught:
        state.settle(outcome(n, output="x" * 500) for n in range(1000))
    state.close()
    assert caught.value.exit_code == 75


@pytest.mark.parametrize("by", [[], ["stage"], ["run"], ["stage", "model"]])
@pytest.mark.parametrize("run", [None, "run-1"])
def test_what_a_run_begins_and_ends_with_does_not_look_at_each_entry(
    place: Path, by: list[str], run: str | None
) -> None:
    state = open_state(place)
    state.settle([], [entry("a", 1)])
    asked: list[str] = []
    state._db.set_trace_callback(asked.append)
    state.spending(by, run=run)
    state.unpriced()
    state.money()
    state._db.set_trace_callback(None)
    steps = [row[-1] for query in asked for row in state._db.execute(f"explain query plan {query}")]
    assert [step for step in steps if "till" in step] == []
    state.close()
