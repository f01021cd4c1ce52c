"""Reports: the equation of a round adds up or says why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.engine.reports import Equation, GenerateReport, StageStatus, UploadReport
from seedbed.errors import Unbalanced
from seedbed.records import NO_USAGE, OUTCOME_STATES


def equation(items: int = 10, states: Mapping[str, int] | None = None, missing: int = 0, **more: Any) -> Equation:
    counts = {"accepted": 7, "rejected": 3} if states is None else states
    return Equation(
        **{"stage": "q.summary", "round": "r1", "closed": True, **more}, items=items, states=counts, missing=missing
    )


counts = st.dictionaries(st.sampled_from(OUTCOME_STATES), st.integers(0, 1000))


@given(counts, st.integers(0, 1000))
def test_a_round_whose_sides_are_equal_is_balanced(states: dict[str, int], missing: int) -> None:
    assert equation(sum(states.values()) + missing, states, missing, closed=False).balanced


@given(counts, st.integers(0, 1000), st.integers(-5, 5).filter(bool))
def test_a_round_whose_sides_differ_is_not_balanced(states: dict[str, int], missing: int, by: int) -> None:
    assert not equation(sum(states.values()) + missing + by, states, missing, closed=False).balanced


def test_a_difference_is_told_with_both_sides() -> None:
    assert equation(12).problems == ["12 items, but 10 outcomes and 0 missing"]


def test_an_open_round_may_miss_items() -> None:
    assert equation(12, missing=2, closed=False).balanced


def test_a_closed_round_may_not_miss_items() -> None:
    assert equation(12, missing=2).problems == ["the round is closed and 2 of its items have no outcome"]


@pytest.mark.parametrize("fates", [{"stored": 4, "duplicate": 1}, {"stored": 3, "rejected": 1, "withdrawn": 1}])
def test_rows_that_were_made_each_have_a_fate_after_an_upload(fates: dict[str, int]) -> None:
    assert equation(made=5, fates=fates).balanced


def test_rows_without_a_fate_are_told_after_an_upload() -> None:
    assert equation(made=5, fates={"stored": 4}).problems == ["5 rows made, but 4 have a fate and 0 wait for an upload"]


def test_rows_may_wait_for_an_upload() -> None:
    assert equation(made=5, waiting=5).balanced


def test_books_in_order_are_passed() -> None:
    equation().require()


def test_books_out_of_order_are_an_error() -> None:
    with pytest.raises(Unbalanced) as caught:
        equation(13, missing=1).require()
    assert (caught.value.exit_code, caught.value.why) == (
        8,
        "13 items, but 10 outcomes and 1 missing; the round is closed and 1 of its items have no outcome",
    )


def test_an_equation_is_told_in_the_order_of_the_states() -> None:
    states = {"failed": 1, "rejected": 2, "accepted": 1234, "refused": 0}
    assert equation(1240, states, 3).text() == "1,240 items = 1,234 accepted + 2 rejected + 1 failed + 3 missing"


def test_an_empty_equation_is_zero() -> None:
    assert equation(0, {}).text() == "0 items = 0"


def test_rows_are_told_with_the_stored_ones_first() -> None:
    told = equation(made=9, fates={"duplicate": 2, "stored": 6, "rejected": 1}).made_text()
    assert told == "9 made = 6 stored + 2 duplicate + 1 rejected"


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(0, 0, 0.0), (1, 3, 33.3), (2, 3, 66.6), (3, 3, 100.0), (9_999, 10_000, 99.9)]
)
def test_a_stage_is_at_a_hundred_percent_only_when_nothing_is_missing(done: int, total: int, percent: float) -> None:
    assert StageStatus("q", total, done, total - done, {}, 0, 0).percent == percent


def test_what_a_generate_settled_is_the_sum_of_its_states() -> None:
    report = GenerateReport("q", {"accepted": 3, "failed": 2}, 5, 0, 0, NO_USAGE, 1, ())
    assert report.settled == 5


def test_what_an_upload_wrote_is_cells_and_rows_and_nothing_that_was_left() -> None:
    assert UploadReport("q", "r", {"applied": 3, "drifted": 2}, {"stored": 4, "duplicate": 9}, ()).written == 7
