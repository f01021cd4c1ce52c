"""The models that tiers mean today, and those that one may choose, with price and what they do not take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.engine.projects.programs import programs
from seedbed.engine.projects.project import STAND_IN, TIERS, Project
from seedbed.errors import UsageError, nearest
from seedbed.ports.models.prices import listed
from seedbed.ports.models.registry import PROVIDERS, forbidden, provider
from seedbed.stage import Stage


@dataclass(frozen=True)
class TierLine:
    """A tier: the model it means, who said so, and the stages that ask it. Prices as of the price list."""

    tier: str
    model: str | None
    origin: str
    price: Mapping[str, Any] | None
    stages: Sequence[str]


@dataclass(frozen=True)
class ModelLine:
    """A model that can be chosen. ``forbids`` are what its adapter never sends to it."""

    provider: str
    model: str
    price: Mapping[str, Any]
    forbids: Sequence[str]


def tiers(project: Project) -> list[TierLine]:
    """Each tier with its model of this moment."""
    found = []
    for tier in TIERS:
        model = project.tier_now(tier)
        stages = [stage.name for stage in project.pipeline.stages if stage.calls_model and _asks(stage, tier)]
        price = project.prices.row(model) if model else None
        found.append(TierLine(tier, model, project.tier_origin(tier), price, stages))
    return found


def _asks(stage: Stage, tier: str) -> bool:
    return stage.model is None and stage.tier == tier


def models(project: Project) -> Iterator[ModelLine]:
    """All that have a price: of the project file, the stand-in, and of the price list for each provider there is.

    A program of the user's own takes any name; those that the project file has a price for are listed.
    """
    known = {*PROVIDERS, *programs(project.settings)}
    names = [*project.settings.table("prices"), STAND_IN]
    names += [f"{name}/{model}" for name in PROVIDERS for model in listed(name)]
    for name in dict.fromkeys(names):
        first, _, model = name.partition("/")
        price = project.prices.row(name)
        if price is not None and first in known:
            yield ModelLine(first, model, price, forbidden(first, model) if first in PROVIDERS else ())


def choose(project: Project, tier: str, model: str | None, *, dry_run: bool = False) -> None:
    """Set what a tier means, or take that back with None, also for runs under way. Raises UsageError, ConfigError."""
    if tier not in TIERS:
        raise UsageError(f"there is no tier {tier}", hint=nearest(tier, TIERS))
    if model is not None:
        name, slash, own = model.partition("/")
        if not slash or not own:
            raise UsageError(f'"{model}" is not a model', hint="Write it as provider/name, such as openai/gpt-5-mini.")
        if name not in programs(project.settings):
            provider(name)
    if not dry_run:
        project.prepare()
        project.chosen.choose(tier, model)
