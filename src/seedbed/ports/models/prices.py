"""Prices out of the snapshot inside genai-prices, and those that the project file states."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from seedbed.errors import ConfigError, nearest
from seedbed.records import NANO, Usage, canonical_json, digest

FREE_PROVIDERS = frozenset(("offline",))
_MILLION = 1_000_000
CEILING = "ceiling"
_KINDS = ("input", "cached_input", "output")
_NAMES_THERE = {"gemini": "google"}
_ONE = 'Say what one call costs at most: ceiling = "0.05usd".'
_FRESH_SECONDS = 600.0
"""Some prices change with the date or the hour: a row is looked up again after this time."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """Nano-USD per million tokens, by the input tokens of the call: the last step that is exceeded counts for all."""

    base: int
    steps: tuple[tuple[int, int], ...] = ()

    def at(self, tokens: int) -> int:
        price = self.base
        for start, above in self.steps:
            if tokens > start:
                price = above
        return price

    def dearest(self) -> int:
        return max(self.base, *(price for _, price in self.steps)) if self.steps else self.base


@dataclass(frozen=True, slots=True)
class _Row:
    input: _Steps
    cached: _Steps
    output: _Steps
    call: int  # nano-USD for the call itself
    source: str
    tiered: bool

    def cost(self, usage: Usage) -> int:
        tokens = usage.input + usage.cached if self.tiered else 0
        total = (
            usage.input * self.input.at(tokens)
            + usage.cached * self.cached.at(tokens)
            + usage.output * self.output.at(tokens)
        )
        return (total + _MILLION // 2) // _MILLION + self.call


class GenaiPrices:
    """``Prices`` in nano-USD. ``overrides``: model → USD per million tokens of ``input``, ``cached_input``, ``output``.

    An override without ``cached_input`` charges cached tokens as input. Models are named ``provider/model``.
    ``ceiling`` (in 10⁻⁹ USD) is what a person says one call costs at most, where nothing else bounds it.
    ``programs`` are providers that count no tokens, each with the ceiling of its calls or None.
    """

    def __init__(
        self,
        overrides: Mapping[str, Mapping[str, str | float]] | None = None,
        programs: Mapping[str, int | None] | None = None,
    ) -> None:
        self._programs = programs or {}
        self._ceilings: dict[str, int] = {}
        self._own: dict[str, _Row] = {}
        for model, prices in (overrides or {}).items():
            said = dict(prices)
            if (ceiling := said.pop(CEILING, None)) is not None:
                self._ceilings[model] = int(ceiling)
            if said or ceiling is None:
                if model.partition("/")[0] in self._programs:
                    raise ConfigError(f"the price of {model} is by tokens, which a program does not count", hint=_ONE)
                self._own[model] = _own_row(model, said)
        self._rows: dict[str, tuple[float, _Row | None]] = {}
        self._stamps: dict[str, tuple[_Row, str]] = {}

    def ceiling(self, model: str) -> int | None:
        """What a person says one call costs at most; None where nobody did."""
        named = self._ceilings.get(model)
        return self._programs.get(model.partition("/")[0]) if named is None else named

    def cost(self, model: str, usage: Usage) -> int | None:
        """What a call came to; where only a ceiling is known, that."""
        row = self._row(model)
        return self.ceiling(model) if row is None else row.cost(usage)

    def worst_case(self, model: str, input_bytes: int, max_output: int | None) -> int | None:
        """An upper bound: a token for each byte at the dearest input price, and the whole output maximum.

        Without an output maximum, or without a price, it is the ceiling that a person named; None where there is none.
        """
        row = self._row(model)
        if row is None or max_output is None:
            return self.ceiling(model)
        dearest = max(row.input.dearest(), row.cached.dearest())
        total = input_bytes * dearest + max_output * row.output.dearest()
        return -(-total // _MILLION) + row.call

    def guaranteed(self, model: str, max_output: int | None) -> bool:
        """Whether the worst case is a bound, and not what somebody expects."""
        return max_output is not None and self._row(model) is not None

    def stamp(self, model: str) -> str:
        """A hash of the row, cheap to ask for again and again; "" where the price is unknown."""
        row = self._row(model)
        if row is None:
            return ""
        known = self._stamps.get(model)
        if known is None or known[0] is not row:
            known = self._stamps[model] = row, digest("price", canonical_json(self.row(model)))[:16]
        return known[1]

    def row(self, model: str) -> Mapping[str, Any] | None:
        row = self._row(model)
        if row is None:
            return None
        shown: dict[str, Any] = {
            "model": model,
            "input": row.input.base,
            "cached_input": row.cached.base,
            "output": row.output.base,
            "source": row.source,
        }
        if row.call:
            shown["call"] = row.call
        if row.tiered:
            kinds = zip(_KINDS, (row.input, row.cached, row.output), strict=True)
            shown["tiers"] = {kind: [list(step) for step in steps.steps] for kind, steps in kinds if steps.steps}
        return shown

    def _row(self, model: str) -> _Row | None:
        own = self._own.get(model)
        if own is not None:
            return own
        known = self._rows.get(model)
        now = time.monotonic()
        if known is not None and now - known[0] < _FRESH_SECONDS:
            return known[1]
        row = _snapshot_row(model)
        self._rows[model] = (now, row)
        return row


def _own_row(model: str, prices: Mapping[str, str | float]) -> _Row:
    for name in prices:
        if name not in _KINDS:
            raise ConfigError(f'the price of {model} has no "{name}"', hint=nearest(name, _KINDS))
    if "input" not in prices or "output" not in prices:
        raise ConfigError(f"the price of {model} needs input and output", hint="In USD per million tokens.")
    made = {name: _Steps(_nano(model, name, value)) for name, value in prices.items()}
    return _Row(made["input"], made.get("cached_input", made["input"]), made["output"], 0, "project file", False)


def _nano(model: str, name: str, value: object) -> int:
    try:
        amount = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"the price of {model}, {name}, is {value!r}: no amount of USD per million tokens")
    return _up(amount * NANO)


def _up(amount: Decimal) -> int:
    whole = int(amount)
    return whole if whole == amount else whole + 1


_FREE = _Row(_Steps(0), _Steps(0), _Steps(0), 0, "free", False)


def _snapshot_row(model: str) -> _Row | None:
    provider, slash, name = model.partition("/")
    if provider in FREE_PROVIDERS:
        return _FREE
    if not slash or not name:
        return None
    import genai_prices  # 170 ms: only where a price is asked for

    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1),
            model_ref=name,
            provider_id=_NAMES_THERE.get(provider, provider),
        )
    except (LookupError, ValueError):
        return None
    price = found.model_price
    asked, made = _steps(price.input_mtok), _steps(price.output_mtok)
    if asked is None and made is None:
        return None
    asked, made = asked or _Steps(0), made or _Steps(0)
    cached = _steps(price.cache_read_mtok) or asked
    by_call = price.requests_kcount
    call = _up(Decimal(by_call) * NANO / 1000) if isinstance(by_call, Decimal) else 0
    tiered = bool(asked.steps or cached.steps or made.steps)
    return _Row(asked, cached, made, call, f"genai-prices {_version()}", tiered)


def listed(provider: str) -> list[str]:
    """Names of a provider's models that answer in text at a price per token, as the price list has them."""
    from genai_prices import data

    name = _NAMES_THERE.get(provider, provider)
    return [
        model.id
        for each in data.providers
        if each.id == name
        for model in each.models
        if _steps(_any_price(model).input_mtok) and _steps(_any_price(model).output_mtok)
    ]


def _any_price(model: Any) -> Any:
    """Of a model whose price changes with time, the last one that was listed."""
    prices = model.prices
    return prices[-1].prices if isinstance(prices, list) else prices


def _steps(price: Any) -> _Steps | None:
    if price is None:
        return None
    if isinstance(price, Decimal):
        return _Steps(_up(price * NANO))
    return _Steps(_up(price.base * NANO), tuple((int(tier.start), _up(tier.price * NANO)) for tier in price.tiers))


def _version() -> str:
    from importlib.metadata import version

    return version("genai-prices")
