from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ConfigError
from seedbed.ports.models import Prices
from seedbed.ports.models.prices import GenaiPrices
from seedbed.records import Usage

MODELS = ["openai/gpt-4o-mini", "openai/gpt-5-mini", "google/gemini-2.5-pro", "anthropic/claude-sonnet-4-5"]
SHARED = GenaiPrices()


@given(st.sampled_from(MODELS), st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 50_000))
def test_costs_are_those_of_genai_prices_to_the_nano_tiers_included(
    model: str, asked: int, cached: int, made: int
) -> None:
    import genai_prices

    provider, _, name = model.partition("/")
    usage = genai_prices.Usage(input_tokens=asked + cached, cache_read_tokens=cached, output_tokens=made)
    exact = genai_prices.calc_price(usage, model_ref=name, provider_id=provider).total_price * 10**9
    found = SHARED.cost(model, Usage(asked, cached, made))
    assert found is not None and abs(Decimal(found) - exact) <= Decimal("0.5")


@given(st.sampled_from(MODELS), st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 50_000))
def test_the_worst_case_is_never_below_the_cost(model: str, asked: int, cached: int, made: int) -> None:
    cost, worst = SHARED.cost(model, Usage(asked, cached, made)), SHARED.worst_case(model, asked + cached, made)
    assert cost is not None and worst is not None and cost <= worst


def test_reasoning_is_not_charged_on_top_of_the_output() -> None:
    assert SHARED.cost(MODELS[0], Usage(0, 0, 100, 90)) == SHARED.cost(MODELS[0], Usage(0, 0, 100)) == 60_000


@pytest.mark.parametrize("model", ["openai/no-such-model", "nobody/gpt-4o", "gpt-4o", "openai/", "", "/"])
def test_an_unknown_price_is_unknown_and_not_nothing(model: str) -> None:
    assert SHARED.cost(model, Usage(1, 1, 1)) is None
    assert SHARED.row(model) is None and SHARED.worst_case(model, 1, 1) is None


def test_the_stand_in_is_free() -> None:
    assert SHARED.cost("offline/standin", Usage(9, 9, 9)) == 0 == SHARED.worst_case("offline/standin", 9, 9)


def test_the_project_file_comes_first_and_is_named_as_source() -> None:
    prices: Prices = GenaiPrices({"openai/gpt-4o-mini": {"input": "1", "cached_input": 0.1, "output": 2}})
    assert prices.cost("openai/gpt-4o-mini", Usage(1000, 1000, 1000)) == 1_000_000 + 100_000 + 2_000_000
    row = prices.row("openai/gpt-4o-mini")
    assert row is not None and row["source"] == "project file" and row["cached_input"] == 100_000_000


def test_the_row_names_the_snapshot_and_the_tiers() -> None:
    plain, tiered = SHARED.row(MODELS[0]), SHARED.row(MODELS[2])
    assert plain is not None and str(plain["source"]).startswith("genai-prices 0.") and plain["input"] == 150_000_000
    assert tiered is not None and tiered["tiers"]["input"] == [[200_000, 2_500_000_000]]


def test_the_worst_case_is_rounded_up() -> None:
    prices = GenaiPrices({"x/y": {"input": "0.0000001", "output": 0}})
    assert prices.worst_case("x/y", 1, 0) == 1


@pytest.mark.parametrize(
    "row", [{"input": 1}, {"input": 1, "output": -1}, {"input": "x", "output": 1}, {"input": 1, "output": 1, "in": 1}]
)
def test_an_override_that_cannot_be_used_is_a_config_error(row: dict[str, str | float]) -> None:
    with pytest.raises(ConfigError):
        GenaiPrices({"x/y": row})


def test_genai_prices_is_imported_only_when_a_price_is_asked_for() -> None:
    code = "import sys, seedbed.ports.models.prices as p; p.GenaiPrices(); assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
