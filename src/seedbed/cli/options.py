"""The options that verbs share: the same words everywhere, and how they become a scope, a spend, and overrides."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from seedbed.engine.lifecycle import Spend
    from seedbed.engine.projects.project import Project
    from seedbed.engine.work.rounds import Scope

SELECTION, _LIMITS, _OUTPUT = "Which items", "Limits", "Output and place"

Where = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Rows that hold: status = 'new' and score >= 0.5.",
        rich_help_panel=SELECTION,
    ),
]
Ids = Annotated[
    str,
    typer.Option(
        "--ids", metavar="LIST|@FILE|-", help="Keys: a,b or @FILE or - with one a line.", rich_help_panel=SELECTION
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=0, help="At most N items, in key order.", rich_help_panel=SELECTION),
]
PartOf = Annotated[
    str, typer.Option("--part", metavar="I/M", help="The I-th of M stable parts.", rich_help_panel=SELECTION)
]
Sample = Annotated[
    int | None,
    typer.Option("--sample", metavar="N", min=1, help="N items, drawn the same each time.", rich_help_panel=SELECTION),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="S", help="Another seed draws another sample.", rich_help_panel=SELECTION)
]
Stale = Annotated[
    bool, typer.Option("--stale", help="Settled items of an older recipe, again.", rich_help_panel=SELECTION)
]
StaleModel = Annotated[
    str,
    typer.Option(
        "--stale-model",
        metavar="NAME|other",
        help="Accepted answers of that model, or of any but today's, again.",
        rich_help_panel=SELECTION,
    ),
]
RedoDiverged = Annotated[
    bool,
    typer.Option("--redo-diverged", help="Items whose own function asks otherwise now.", rich_help_panel=SELECTION),
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="A selection that matches nothing is fine.", rich_help_panel=SELECTION)
]
Budget = Annotated[
    str, typer.Option("--budget", metavar="USD", help="Cap of this run, such as 5usd.", rich_help_panel=_LIMITS)
]
MaxCalls = Annotated[
    int | None,
    typer.Option("--max-calls", metavar="N", min=0, help="Cap of this run in calls.", rich_help_panel=_LIMITS),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", metavar="N", min=1, max=10_000, help="Calls in flight at most.", rich_help_panel=_LIMITS
    ),
]
Model = Annotated[
    str, typer.Option("--model", metavar="PROVIDER/NAME", help="Model of the default tier.", rich_help_panel=_LIMITS)
]
BaseUrl = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="Endpoint of that model's provider.", rich_help_panel=_LIMITS)
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="S", min=0.001, help="Seconds an answer may take.", rich_help_panel=_LIMITS),
]
AllowStandIn = Annotated[
    bool,
    typer.Option("--allow-stand-in", help="Answers of the stand-in may be written.", rich_help_panel=_LIMITS),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.", rich_help_panel=_LIMITS)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Send nothing, write nothing, show what would be.", rich_help_panel=_OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=_OUTPUT)]
Place = Annotated[
    Path | None,
    typer.Option("-C", "--project", metavar="DIR", help="The project's folder.", rich_help_panel=_OUTPUT),
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting: section.name=value, or the recipe's.", rich_help_panel=_LIMITS
    ),
]
Styles = Annotated[
    str, typer.Option("--styles", metavar="LIST", help="Styles, for recipes that know them.", rich_help_panel=_LIMITS)
]
Difficulty = Annotated[
    int | None,
    typer.Option("--difficulty", metavar="N", help="A level, for recipes that know one.", rich_help_panel=_LIMITS),
]
Target = Annotated[str | None, typer.Argument(metavar="[STAGE]", help="A stage, or the pipeline by its name.")]


# ----------------------------------------------------------------------------- what they turn into


def scope_of(
    where: str = "",
    ids: str = "",
    limit: int | None = None,
    part: str = "",
    sample: int | None = None,
    seed: int = 1,
    stale: bool = False,
    stale_model: str = "",
    redo_diverged: bool = False,
) -> Scope:
    """Raises UsageError for what cannot be read."""
    from seedbed import conditions
    from seedbed.engine.work.rounds import Scope
    from seedbed.records import WHOLE, Part

    conditions.parse(where)
    return Scope(
        where=where,
        ids=keys_of(ids) if ids else None,
        limit=limit,
        part=Part.parse(part) if part else WHOLE,
        stale=stale,
        redo_diverged=redo_diverged,
        sample=sample,
        seed=seed,
        stale_model=stale_model,
    )


def keys_of(text: str) -> tuple[str, ...]:
    """Keys of ``--ids``: ``a,b``, ``@FILE`` or ``-``, there one a line; a JSON array is one key."""
    from seedbed.errors import UsageError
    from seedbed.records import parse_key

    if text == "-":
        found: Sequence[str] = sys.stdin.read().splitlines()
    elif text.startswith("@"):
        found = read_text(text[1:], "--ids").splitlines()
    else:
        found = [text] if text.lstrip().startswith("[") else text.split(",")
    keys = tuple(dict.fromkeys(parse_key(each) for each in found if each.strip()))
    if not keys:
        raise UsageError("--ids names no key", hint="Write --ids a,b or --ids @FILE with one a line.")
    return keys


def read_text(name: str, option: str) -> str:
    """The text of an ``@FILE``. Raises UsageError."""
    from seedbed.errors import UsageError

    try:
        return Path(name).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{option} @{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} @{name} is not UTF-8 text (byte {error.start})") from error


def spend_of(
    budget: str = "",
    concurrency: int | None = None,
    allow_stand_in: bool = False,
    allow_empty: bool = False,
    calls: int | None = None,
) -> Spend:
    from seedbed.engine.lifecycle import Spend
    from seedbed.records import parse_money

    cap = parse_money(budget) if budget else None
    return Spend(cap, concurrency, allow_stand_in=allow_stand_in, allow_empty=allow_empty, calls=calls)


def overrides_of(
    model: str = "", base_url: str = "", timeout: float | None = None, settings: Sequence[str] | None = None
) -> dict[str, Any]:
    """Settings of the project file by dotted name, checked. ``settings`` are those of ``--set``."""
    from seedbed.engine.projects.settings import checked

    overrides: dict[str, Any] = {name: checked(name, value) for name, value in _said(settings) if _of_the_file(name)}
    if model:
        overrides["tiers.default"] = model
    if base_url:
        overrides["providers.default.base_url"] = base_url
    if timeout is not None:
        overrides["run.timeout"] = timeout
    return overrides


def recipe_settings_of(
    settings: Sequence[str] | None, styles: str = "", difficulty: int | None = None
) -> dict[str, Any]:
    """``--set name=value`` of the recipe, as values of TOML where they are such, else as text."""
    chosen: dict[str, Any] = {}
    for name, value in _said(settings):
        if not _of_the_file(name):
            chosen[name] = value
    if styles:
        chosen["styles"] = styles
    if difficulty is not None:
        chosen["difficulty"] = difficulty
    return chosen


def _said(settings: Sequence[str] | None) -> Iterator[tuple[str, Any]]:
    from seedbed.errors import UsageError

    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"--set {setting} is no setting", hint="Write it as --set depth=3 or --set budget.run=5usd."
            )
        yield name.strip(), _value(value.strip())


def _of_the_file(name: str) -> bool:
    """Whether a name is one of the project file's, as ``budget.run``; else it is the recipe's."""
    from seedbed.engine.projects.settings import NAMED, SECTIONS

    return name.partition(".")[0] in (*SECTIONS, *NAMED) and "." in name


def _value(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def project_with(place: Path | None, settings: Sequence[str] | None) -> Project:
    """The project as ``--set`` makes it."""
    return project_at(
        place, overrides=overrides_of(settings=settings), recipe_settings=recipe_settings_of(settings) or None
    )


def project_at(
    place: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    recipe_settings: Mapping[str, Any] | None = None,
) -> Project:
    from seedbed.engine.projects.project import open_project

    return open_project(place, overrides=overrides, recipe_settings=recipe_settings, command=command_line())


def command_line() -> str:
    """The command as it was typed, for locks and run pages."""
    import shlex

    return " ".join(["seedbed", *(shlex.quote(word) for word in sys.argv[1:])])


def text_of(text: str, option: str) -> str | None:
    """The text itself, or of ``@FILE``; None where nothing was said."""
    return (read_text(text[1:], option) if text.startswith("@") else text) or None
