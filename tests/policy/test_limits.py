"""The gate and the breaker, with a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.limits import Breaker, Gate

moment = st.floats(0, 1e6)
closings = st.lists(st.tuples(moment, moment), min_size=1)

# -------------------------------------------------------------------------------------------- gate


def test_a_new_gate_is_open() -> None:
    assert Gate().wait(0.0) == 0.0


def test_a_closed_gate_opens_when_it_was_said_to() -> None:
    gate = Gate()
    gate.close(100.0, 8.0)
    assert [gate.wait(now) for now in (100.0, 105.0, 108.0, 200.0)] == [8.0, 3.0, 0.0, 0.0]


@given(closings, moment)
def test_a_later_closing_never_opens_a_gate_earlier(said: list[tuple[float, float]], now: float) -> None:
    gate = Gate()
    for at, seconds in said:
        before = gate.wait(now)
        gate.close(at, seconds)
        assert gate.wait(now) >= before


@given(closings)
def test_a_gate_opens_at_the_last_moment_that_was_named(said: list[tuple[float, float]]) -> None:
    gate = Gate()
    for at, seconds in said:
        gate.close(at, seconds)
    last = max(at + seconds for at, seconds in said)
    assert gate.wait(last) == 0.0 and gate.wait(0.0) == last


@given(closings, moment)
def test_the_wait_is_never_negative(said: list[tuple[float, float]], now: float) -> None:
    gate = Gate()
    for at, seconds in said:
        gate.close(at, seconds)
    assert gate.wait(now) >= 0.0


# ----------------------------------------------------------------------------------------- breaker


def first_down(breaker: Breaker, times: list[float], *, worked_before: bool) -> float | None:
    """When failures at these times make the provider count as down."""
    return next((now for now in times if breaker.failed(now, worked_before=worked_before)), None)


def test_a_provider_that_worked_counts_as_down_after_its_patience() -> None:
    assert first_down(Breaker(), [float(n) for n in range(100, 300)], worked_before=True) == 160.0


def test_an_address_that_never_worked_counts_as_down_soon() -> None:
    assert first_down(Breaker(), [float(n) for n in range(100, 300)], worked_before=False) == 105.0


def test_few_failures_are_no_outage_however_long_apart() -> None:
    assert first_down(Breaker(), [0.0, 100.0, 200.0, 300.0], worked_before=True) is None


def test_many_failures_at_once_are_no_outage() -> None:
    assert first_down(Breaker(), [5.0] * 1000, worked_before=True) is None


def test_the_least_failures_over_the_patience_are_an_outage() -> None:
    assert first_down(Breaker(), [0.0, 1.0, 2.0, 3.0, 60.0], worked_before=True) == 60.0


def test_one_answer_begins_the_count_anew() -> None:
    breaker = Breaker()
    first_down(breaker, [float(n) for n in range(50)], worked_before=True)
    breaker.worked()
    assert first_down(breaker, [60.0, 61.0, 62.0, 63.0, 119.0], worked_before=True) is None


@pytest.mark.parametrize(("patience", "down"), [(10.0, 10.0), (200.0, 200.0)])
def test_the_patience_is_the_users(patience: float, down: float) -> None:
    assert first_down(Breaker(patience=patience), [float(n) for n in range(300)], worked_before=True) == down


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.integers(1, 10), st.floats(0, 100))
def test_a_provider_is_down_exactly_after_enough_failures_over_enough_time(
    pauses: list[float], least: int, patience: float
) -> None:
    breaker, now = Breaker(patience=patience, least=least), 0.0
    for count, pause in enumerate(pauses, 1):
        now += pause
        down = breaker.failed(now, worked_before=True)
        assert down is (count >= least and now - pauses[0] >= patience)
