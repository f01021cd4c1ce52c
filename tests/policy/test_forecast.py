"""The forecast of a pilot: true in nine of ten cases, narrower where size explains the cost."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.forecast import ENOUGH, forecast, student

Cost = Callable[[random.Random, float], float]


def by_input(chance: random.Random, tokens: float) -> float:
    return tokens * 1000 + 0.3 * tokens * 8000 * math.exp(chance.gauss(0, 0.3))


def by_both(chance: random.Random, tokens: float) -> float:
    return tokens * 1000 + (30 + 0.2 * tokens * math.exp(chance.gauss(0, 0.6))) * 8000


def with_second_tries(chance: random.Random, tokens: float) -> float:
    tries = 1 + (chance.random() < 0.15) + (chance.random() < 0.03)
    return tries * (tokens * 1000 + (60 + 0.1 * tokens) * 8000)


def uneven(cost: Cost, count: int = 3000, seed: int = 7) -> list[tuple[float, int]]:
    """Items whose sizes differ as texts do (lognormal), each with what it will cost."""
    chance = random.Random(seed)
    sizes = [math.exp(chance.gauss(6, 0.8)) + 200 for _ in range(count)]
    return [(size, round(cost(chance, size / 4))) for size in sizes]


@pytest.mark.parametrize("cost", [by_input, by_both, with_second_tries])
def test_the_interval_of_34_items_holds_what_thousands_cost_in_about_nine_of_ten_cases(cost: Cost) -> None:
    items, chance = uneven(cost), random.Random(11)
    size = sum(each for each, _ in items) / len(items)
    true = sum(cost for _, cost in items)
    held = 0
    for _ in range(150):
        found = forecast(chance.sample(items, 34), len(items), size)
        assert found is not None
        held += found.low <= true <= found.high
    assert held >= 0.83 * 150


def test_where_size_explains_the_cost_the_interval_is_narrower_with_it() -> None:
    items, chance = uneven(by_input), random.Random(3)
    size = sum(each for each, _ in items) / len(items)
    pilot = chance.sample(items, 34)
    with_size, without = forecast(pilot, 3000, size), forecast([(0.0, cost) for _, cost in pilot], 3000)
    assert with_size is not None and without is not None
    assert with_size.high - with_size.low < 0.6 * (without.high - without.low)


def test_a_pilot_of_short_items_does_not_make_the_long_ones_cheap() -> None:
    pilot = [(float(size), size * 1000) for size in range(10, 44)]
    found = forecast(pilot, 100, 500.0)
    assert found is not None and found.mean == 100 * 500_000


def test_not_knowing_the_size_of_what_is_left_widens_the_interval() -> None:
    pilot = [(float(size), size * 1000) for size in range(10, 44)]
    sure, unsure = forecast(pilot, 100, 50.0), forecast(pilot, 100, 50.0, size_error=5.0)
    assert sure is not None and unsure is not None
    assert (sure.high - sure.low, sure.mean) == (0, unsure.mean)
    assert unsure.high - unsure.mean == pytest.approx(student(0.95, 32) * 5 * 1000 * 100, rel=0.001)


def test_a_sample_of_the_ends_does_not_mislead_the_forecast_of_the_rest() -> None:
    """34 of 5,000 uneven items, with more of the longest than there are: within 10 % in nearly all of 200 trials."""
    near = held = 0
    for seed in range(200):
        chance = random.Random(seed)
        items = [int(chance.lognormvariate(6, 0.8)) for _ in range(5000)]
        costs = [round(300 + 2.0 * size * chance.uniform(0.8, 1.2)) for size in items]
        order = sorted(range(5000), key=lambda n: items[n])
        chosen = {*chance.sample(range(5000), 26), *order[:4], *order[-4:]}
        rest = [n for n in range(5000) if n not in chosen]
        size = sum(items[n] for n in rest) / len(rest)
        found = forecast([(items[n], costs[n]) for n in chosen], len(rest), size, level=0.95)
        assert found is not None
        actual = sum(costs[n] for n in rest)
        near += abs(found.mean - actual) <= 0.1 * actual
        held += found.low <= actual <= found.high
    assert near >= 180  # nine of ten
    assert held >= 180


def test_without_an_item_there_is_no_forecast() -> None:
    assert forecast([], 100, 1.0) is None


def test_one_item_says_up_to_twice_as_much() -> None:
    found = forecast([(1.0, 4)], 5, 1.0)
    assert found is not None and (found.low, found.mean, found.high) == (0, 20, 40)


@pytest.mark.parametrize("done", [[(1.0, 10), (2.0, 20), (3.0, 30)], [(1.0, 40), (2.0, 30), (3.0, 20), (4.0, 30)]])
def test_a_few_items_or_larger_ones_that_cost_no_more_are_told_by_their_mean(done: list[tuple[float, int]]) -> None:
    found = forecast(done, 100, 50.0)
    assert found is not None and found.mean == 100 * sum(cost for _, cost in done) / len(done)
    assert found.low < found.mean < found.high


def test_items_that_all_cost_the_same_leave_no_doubt() -> None:
    found = forecast([(1.0, 5)] * ENOUGH, 100, 1.0)
    assert found is not None and (found.low, found.mean, found.high) == (500, 500, 500)


def test_nothing_left_costs_nothing() -> None:
    found = forecast([(float(n), n * 7) for n in range(20)], 0, 3.0)
    assert found is not None and (found.low, found.mean, found.high) == (0, 0, 0)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**12)), min_size=ENOUGH, max_size=60), st.floats(0, 1e6))
def test_the_interval_is_in_order_and_never_negative(done: list[tuple[float, int]], size: float) -> None:
    found = forecast(done, 1000, size)
    assert found is not None and 0 <= found.low <= found.mean <= found.high


@pytest.mark.parametrize(
    ("share", "freedom", "table"),
    [
        (0.95, 1, 6.3138), (0.975, 1, 12.7062), (0.95, 2, 2.91999), (0.975, 2, 4.30265), (0.975, 4, 2.776),
        (0.95, 10, 1.812), (0.95, 32, 1.694), (0.975, 20, 2.086),
    ],
)  # fmt: skip
def test_the_quantiles_are_those_of_the_tables(share: float, freedom: int, table: float) -> None:
    assert student(share, freedom) == pytest.approx(table, rel=0.005)
