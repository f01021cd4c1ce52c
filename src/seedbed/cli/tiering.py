"""``seedbed tiers``: which model each tier means, what one may choose, and choosing while a run works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli.options import DryRun, Json, Place, project_at

if TYPE_CHECKING:
    from seedbed.engine.looks.models import ModelLine, TierLine

PANEL = "Look"
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[set TIER MODEL | unset TIER]", help="Another model for a tier, or the file's again."),
]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(tiers)


def tiers(
    words: Words = None,
    models: Annotated[
        bool, typer.Option("--models", help="The models that one may choose, with their prices.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
    place: Place = None,
) -> None:
    """Which model each tier means now. Setting one counts at once, also for runs that work.

    A stage names a tier (default, mid, high, cheap), and the project file says which model that is. With
    "seedbed tiers set default openai/gpt-5-nano" another one is asked from the next call on, within seconds and
    without a restart, until "seedbed tiers unset default". What --model says stands over it. A stage with a gate asks
    no model that nobody signed for.
    """
    from seedbed.cli.render import document, out
    from seedbed.cli.tables import next_lines
    from seedbed.engine.looks import models as look

    project = project_at(place)
    if models:
        found = list(look.models(project))
        if json:
            document("models", {"models": [model_json(line) for line in found]}, next_=["seedbed tiers"])
        else:
            out([*model_lines(found), *next_lines(["seedbed tiers set default PROVIDER/NAME"])])
        return
    if words:
        tier, model = _choice(words)
        look.choose(project, tier, model, dry_run=dry_run)
    lines = look.tiers(project)
    if json:
        document("tiers", {"tiers": [tier_json(line) for line in lines]}, next_=["seedbed tiers --models"])
    else:
        out([*tier_lines(lines), *next_lines(["seedbed tiers --models"])])


def _choice(words: Sequence[str]) -> tuple[str, str | None]:
    from seedbed.errors import UsageError

    if words[0] == "set" and len(words) == 3:
        return words[1], words[2]
    if words[0] == "unset" and len(words) == 2:
        return words[1], None
    raise UsageError(
        f"seedbed tiers {' '.join(words)} is not understood",
        hint="Write: seedbed tiers set default openai/gpt-5-mini   or: seedbed tiers unset default",
    )


def tier_json(line: TierLine) -> dict[str, Any]:
    from seedbed.cli.render import as_json
    from seedbed.cli.tables import price_json

    return {**as_json(line), "price": price_json(line.price)}


def model_json(line: ModelLine) -> dict[str, Any]:
    from seedbed.cli.render import as_json
    from seedbed.cli.tables import price_json

    return {**as_json(line), "price": price_json(line.price)}


def tier_lines(lines: Sequence[TierLine]) -> list[str]:
    from seedbed.cli.tables import table

    rows = [
        (line.tier, line.model or "none", line.origin, *_prices(line.price), ", ".join(line.stages)) for line in lines
    ]
    return table(("tier", "model", "from", "in $/M", "out $/M", "asked by"), rows, left=(0, 1, 2, 5))


def model_lines(lines: Sequence[ModelLine]) -> list[str]:
    from seedbed.cli.tables import table

    rows = [(f"{line.provider}/{line.model}", *_prices(line.price), ", ".join(line.forbids)) for line in lines]
    return table(("model", "in $/M", "out $/M", "is never sent"), rows, left=(0, 3))


def _prices(price: Mapping[str, Any] | None) -> tuple[str, str]:
    from seedbed.cli.tables import price_json

    shown = price_json(price)
    return ("unknown", "unknown") if shown is None else (str(shown["input"]), str(shown["output"]))
