"""The caps of a project: what its settings and a command say about money, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from seedbed.engine.projects.project import Project
from seedbed.errors import ConfigError, PriceUnknown, nearest
from seedbed.policy.budget import Cap
from seedbed.policy.purses import Purse, Purses
from seedbed.ports.state import State

CEILING = "signed ceiling"


@dataclass(frozen=True)
class Caps:
    """``own`` bind one run, ``purses`` all processes. ``cheaper`` is the model asked when the day's cap has no room."""

    own: tuple[Cap, ...]
    purses: Purses
    cheaper: str = ""


def caps_of(
    project: Project, budget: int | None, calls: int | None = None, signed: Mapping[str, Purse] | None = None
) -> Caps:
    """The caps of a run. Raises ConfigError for an unreadable zone, an unknown stage, or a fallback without a cap."""
    own = [Cap("cap of this run", budget)] if budget is not None else []
    if calls is not None:
        own.append(Cap("cap of this run", calls, "calls"))
    return Caps(tuple(own), replace(purses_of(project), signed=signed or {}), _cheaper(project))


def purses_of(project: Project) -> Purses:
    stages = dict(project.settings.get("budget", "stages") or {})
    known = [stage.name for stage in project.pipeline.stages]
    for name in stages:
        if name not in known:
            raise ConfigError(f"[budget.stages] names {name}, which is no stage here", hint=nearest(name, known))
    return Purses(
        project=project.settings.get("budget", "project"),
        day=project.settings.get("budget", "day"),
        zone=zone_of(project),
        stages=stages,
    )


def signed_purses(project: Project, state: State) -> dict[str, Purse]:
    """By stage, the ceilings of money that people signed; they hold over all processes, like any cap.

    What the stage had cost before the signature counts in the purse as in the state's sums: it is in its cap too.
    """
    found = {}
    for stage in project.pipeline.stages:
        row = state.signature(stage.name) if stage.gate else None
        if row is not None and row.kind == "approve" and row.money is not None:
            spent = state.money()
            before = (spent[stage.name].nano if stage.name in spent else 0) - row.used_money
            label = f"{CEILING} of {row.name}"
            found[stage.name] = Purse(f"signature {row.number}", label, before + row.money, stage=stage.name)
    return found


def zone_of(project: Project) -> tzinfo:
    """The zone whose midnight ends a day of money. Raises ConfigError."""
    name = str(project.settings.get("budget", "zone"))
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise _no_zone(name) from error
    except KeyError as error:
        raise _no_zone(name) from error


def _no_zone(name: str) -> ConfigError:
    return ConfigError(f'budget.zone: "{name}" is no time zone', hint=nearest(name, available_timezones() or ["UTC"]))


def _cheaper(project: Project) -> str:
    said = str(project.settings.get("budget", "when_day_is_spent"))
    if said == "pause":
        return ""
    if project.settings.get("budget", "day") is None:
        raise ConfigError(
            "budget.when_day_is_spent needs a cap of the day.", hint='Add day = "5usd" to [budget], or take it out.'
        )
    kind, colon, name = said.partition(":")
    if kind != "tier" or not colon:
        raise ConfigError(
            f'budget.when_day_is_spent is "{said}"', hint='Write "pause", or "tier:cheap" with [tiers] cheap = "…".'
        )
    model = project.model_of_tier(name)
    if project.prices.row(model) is None:
        raise PriceUnknown(
            f"The price of {model}, to be asked when the day's cap is used up, is unknown.", hint=price_hint(model)
        )
    return model


def price_hint(model: str) -> str:
    return f'Give it in the project file: [prices."{model}"] input = 0.4, output = 1.6 (USD per million tokens).'
