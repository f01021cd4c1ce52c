"""Intervals: known values, and how often they hold what they say they hold."""

from __future__ import annotations

import random

import pytest

from seedbed.policy.intervals import Range, student, total, wilson


@pytest.mark.parametrize(
    ("yes", "seen", "low", "high"),
    [
        (31, 34, 0.7704, 0.9695),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # the textbook example of R. G. Newcombe, Statistics in Medicine 17 (1998), 857
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_wilson_has_the_published_values(yes: int, seen: int, low: float, high: float) -> None:
    assert wilson(yes, seen) == pytest.approx((low, high), abs=5e-5)


def test_with_nothing_seen_everything_is_likely() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("freedom", "value", "within"),
    [(1, 12.706, 1e-3), (2, 4.303, 1e-3), (4, 2.776, 0.01), (10, 2.228, 1e-3), (32, 2.037, 1e-3)],
)
def test_student_has_the_published_values(freedom: int, value: float, within: float) -> None:
    assert student(freedom) == pytest.approx(value, abs=within)


def test_a_sample_of_the_ends_does_not_mislead_the_forecast_of_the_rest() -> None:
    """34 of 5,000 uneven items, with more of the longest than there are: within 10 % in nearly all of 200 trials."""
    near = held = 0
    for seed in range(200):
        chance = random.Random(seed)
        items = [int(chance.lognormvariate(6, 0.8)) for _ in range(5000)]
        costs = [300 + 2.0 * size * chance.uniform(0.8, 1.2) for size in items]
        order = sorted(range(5000), key=lambda n: items[n])
        chosen = {*chance.sample(range(5000), 26), *order[:4], *order[-4:]}
        rest = [n for n in range(5000) if n not in chosen]
        found = total([(items[n], costs[n]) for n in chosen], len(rest), sum(items[n] for n in rest))
        assert found is not None
        actual = sum(costs[n] for n in rest)
        near += abs(found.middle - actual) <= 0.1 * actual
        held += found.low <= actual <= found.high
    assert near >= 180  # nine of ten
    assert held >= 180


def test_nothing_left_costs_nothing_and_nothing_measured_says_nothing() -> None:
    assert total([(1, 1)], 0, 0) == Range(0, 0, 0)
    assert total([], 5, 10) is None
    assert total([(1.0, 4.0)], 5, 5) == Range(0, 20, 40)


def test_items_of_one_size_are_told_by_their_mean() -> None:
    found = total([(10, cost) for cost in (90, 100, 110, 100)], 100, 1000)
    assert found is not None
    assert found.middle == 10_000
    assert found.low < 10_000 < found.high
