"""A pilot, its review, and the signature: the verbs by which a person lets the bulk go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import options
from seedbed.cli.asking import agreed, on_terminal
from seedbed.cli.render import after_error, document, ending_lines, equation_lines, out, plan_line, safe, tell

if TYPE_CHECKING:
    from seedbed.engine.pilot import Measured, PilotReport
    from seedbed.engine.reviewing import Scorecard, Sight
    from seedbed.engine.signing import Signed
    from seedbed.ports.state.gates import SignatureRow

Across = Annotated[
    str,
    typer.Option(
        "--across", metavar="COLUMNS", help="Columns whose values are categories.", rich_help_panel=options.SELECTION
    ),
]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept with it.")]
SHOWN = 5


def register(app: typer.Typer) -> None:
    for name, verb in (("pilot", pilot), ("review", review), ("approve", approve), ("revoke", revoke)):
        app.command(name)(verb)


def pilot(
    target: options.Target = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", metavar="N", help="Items to draw; 34 the first time.", rich_help_panel=options.SELECTION
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", help="Another seed draws others.", rich_help_panel=options.SELECTION),
    ] = None,
    across: Across = "",
    where: options.Where = "",
    budget: options.Budget = "",
    concurrency: options.Concurrency = None,
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    timeout: options.Timeout = None,
    settings: options.Setting = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Buy a small sample that says how it was chosen, and tell what the bulk will cost.

    The same command again goes on with it or shows it; after a change of the prompt it asks the same
    items again. Another sample is drawn with another --seed.
    """
    import seedbed
    from seedbed.engine.looks.selecting import selected

    project = options.project_at(
        place,
        overrides=options.overrides_of(model, base_url, timeout),
        recipe_settings=options.recipe_settings_of(settings),
    )
    scope = selected(project, target, options.scope_of(where))
    columns = tuple(name.strip() for name in across.split(",") if name.strip())
    said: dict[str, Any] = {"size": sample, "seed": seed, "across": columns}
    if dry_run or (not yes and on_terminal()):
        looked = seedbed.pilot(project, target, scope, dry_run=True, **said)
        if dry_run:
            return _shown(looked, json)
        if looked.asked and looked.plan is not None and looked.plan.cost_high != 0:
            cap = project.settings.get("budget", "run")
            agreed([safe(f"{looked.stage}: {plan_line(looked.plan, cap)}")], "Start?")
    from seedbed.cli.screen import watching

    with watching(project):
        report = seedbed.pilot(project, target, scope, options.spend_of(budget, concurrency), **said)
    return _shown(report, json)


def _shown(report: PilotReport, json: bool) -> int:
    error = report.error
    code = error.exit_code if error is not None else 0
    following = [after_error(error)] if error is not None else _after_pilot(report)
    if error is not None:
        tell(ending_lines(error))
    if json:
        document("pilot", report, code=code, error=error, next_=following)
    else:
        out([*pilot_lines(report), *_next(following)])
    return code


def _after_pilot(report: PilotReport) -> list[str]:
    if report.dry_run:
        return [f"seedbed pilot {report.stage}"]
    if report.accepted == 0:
        return [f"seedbed bad {report.stage}"]
    if report.card is not None and not report.card.open:
        return [f"seedbed approve {report.stage} --as NAME"]
    return [f"seedbed review {report.stage}"]


def review(
    target: options.Target = None,
    decisions: Annotated[
        str,
        typer.Option("--decisions", metavar="FILE|-", help="Decisions, one a line, or JSON lines."),
    ] = "",
    who: As = "",
    ids: options.Ids = "",
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            min=1,
            help="N of all accepted answers, not the pilot's.",
            rich_help_panel=options.SELECTION,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="S", help="The sample can be drawn again.", rich_help_panel=options.SELECTION),
    ] = 1,
    base_url: options.BaseUrl = "",
    settings: options.Setting = None,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Look at the pilot's answers one by one and say yes or no; every decision is kept at once.

    A no sets the item aside with your reason: it is not uploaded, and taken back if it was. Without a
    terminal decisions are read as lines: a (accept), x REASON: NOTE (reject), s (skip), u (undo), q (quit),
    or JSON objects with key, decision, reason, note, scores.
    """
    import seedbed
    from seedbed.cli.reviewer import Keys, Session, lines_of

    project = options.project_at(
        place, overrides=options.overrides_of("", base_url), recipe_settings=options.recipe_settings_of(settings)
    )
    keys = options.keys_of(ids) if ids else None
    with seedbed.review(project, target, reviewer=who, sample=sample, seed=seed, ids=keys) as sitting:
        by_key = not decisions and not json and on_terminal()
        asker = Keys(sitting.stage.stage.scores) if by_key else lines_of(decisions or "-")
        session = Session(sitting, asker, quiet=json)
        try:
            session.run()
        finally:
            sights, card, stage = sitting.sights(), sitting.scorecard(), sitting.stage.name
    following = _after_review(stage, card, in_pilot=not ids and sample is None)
    if json:
        value = {"stage": stage, "items": [sight_json(sight) for sight in sights], "decided": session.done}
        document("review", {**value, "card": card_json(card)}, next_=following)
    else:
        out([*card_lines(card), *_next(following)])
    return 0


def _after_review(stage: str, card: Scorecard, *, in_pilot: bool) -> list[str]:
    if not in_pilot:
        return [f"seedbed bad {stage}"] if card.no else [f"seedbed status {stage}"]
    if card.open:
        return [f"seedbed review {stage}"]
    again = [f"seedbed pilot {stage}   after a change of the prompt"] if card.no or card.declined else []
    return [f"seedbed approve {stage} --as NAME", *again]


def approve(
    target: options.Target = None,
    who: As = "",
    items: Annotated[
        int | None,
        typer.Option("--items", metavar="N", min=0, help="At most N more items; else what is missing."),
    ] = None,
    money: Annotated[str, typer.Option("--money", metavar="USD", help="At most so much more, such as 20usd.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="To the end of that day, UTC.")] = "",
    models: Annotated[
        str, typer.Option("--models", metavar="LIST", help="Models that may be asked; those of today without.")
    ] = "",
    note: Note = "",
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    settings: options.Setting = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Sign a stage after its pilot: this recipe, this selection, these models, up to a ceiling.

    New rows under the ceiling need no new signature; a changed recipe or selection, another model, or more
    than the ceiling does. Nothing else signs: no option of another command, and not --yes.
    """
    import seedbed
    from seedbed.engine.signing import parse_until
    from seedbed.records import parse_money

    project = options.project_at(
        place,
        overrides=options.overrides_of(model, base_url),
        recipe_settings=options.recipe_settings_of(settings),
    )
    signed = seedbed.approve(
        project,
        target,
        who,
        items=items,
        money=parse_money(money) if money else None,
        until=parse_until(until) if until else None,
        models=tuple(name.strip() for name in models.split(",") if name.strip()),
        note=note,
        dry_run=dry_run,
    )
    stage = signed.signature.stage
    again = " --stale" if signed.stale and not signed.missing else ""
    following = [f"seedbed approve {stage} --as NAME" if dry_run else f"seedbed run {stage}{again}"]
    if json:
        value = {"signature": signature_json(signed.signature), "missing": signed.missing, "stale": signed.stale}
        document("approve", {**value, "card": card_json(signed.card), "dry_run": dry_run}, next_=following)
    else:
        out([*signed_lines(signed), *_next(following)])
    return 0


def revoke(
    target: options.Target = None,
    who: As = "",
    note: Note = "",
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Take a stage's signature back. A run that works under it stops, with everything saved."""
    import seedbed

    row = seedbed.revoke(options.project_at(place), target, who, note=note, dry_run=dry_run)
    following = [f"seedbed approve {row.stage} --as NAME"]
    if json:
        document("revoke", {"signature": signature_json(row), "dry_run": dry_run}, next_=following)
    else:
        verb = "would be" if dry_run else "is"
        out([f"{row.stage}: the signature {verb} revoked by {safe(row.name)}", *_next(following)])
    return 0


# -------------------------------------------------------------------------------------------- as text


def pilot_lines(report: PilotReport) -> list[str]:
    how = ", ".join(f"{count:,} {kind}" for kind, count in report.counts.items())
    columns = f" ({safe(', '.join(report.columns), 60)})" if report.columns else ""
    verb = "drawn before" if report.drawn_before else "drawn" if not report.dry_run else "would be drawn"
    lines = [
        f"{report.stage}: {len(report.chosen):,} of {report.population:,} {verb}: {how}{columns}   seed {report.seed}"
    ]
    if report.short:
        lines.append(f"  {report.size:,} were asked for; there are no more, so all of them are in it")
    if report.dry_run:
        lines += [f"  {safe(key, 40)}  {safe(why, 60)}" for key, why in report.chosen]
        if report.plan is not None:
            lines.append(f"{report.asked:,} would be asked: {plan_line(report.plan, None)}")
        return [*lines, "Nothing was sent."]
    lines += equation_lines(report.equations)
    if not report.asked and report.error is None:
        lines.append("All of them were asked before; nothing was sent. Others are drawn with --seed.")
    states = ", ".join(f"{count:,} {state}" for state, count in report.states.items())
    if report.settled:
        lines.append(f"{states}: {_share(report.states.get('accepted', 0), report.settled, report.low, report.high)}")
        lines.append(f"spent {_usd(report.spent)}, the sample cost {_usd(report.cost)}")
        lines.append(f"the rest: {_forecast(report.bulk)}")
        if report.stale.items:
            lines.append(f"made by older recipes: {_forecast(report.stale)}, with --stale")
    return lines


def _forecast(found: Measured) -> str:
    if not found.items:
        return "nothing is missing"
    if found.cost is None:
        return f"{found.items:,} items, price unknown"
    return (
        f"{found.items:,} items, about {_usd(found.cost)} ({_usd(found.cost_low)} to {_usd(found.cost_high)}, measured)"
    )


def _usd(nano: int | None) -> str:
    from seedbed.records import usd

    return usd(nano)


def _share(yes: int, seen: int, low: float, high: float) -> str:
    return f"{100 * yes / seen:.0f} %; with {seen:,} seen, likely {100 * low:.0f} to {100 * high:.0f} %"


def card_lines(card: Scorecard) -> list[str]:
    declined = sum(card.declined.values())
    parts = [f"{card.yes:,} yes", f"{card.no:,} no"]
    if declined:
        parts.append(f"{declined:,} not accepted by the checks or the model")
    share = f". {_share(card.yes, card.looked_at, card.low, card.high)}" if card.looked_at else ""
    lines = [f"{card.looked_at:,} of {card.items:,} looked at: {', '.join(parts)}{share}"]
    if card.open:
        lines.append(f"{card.open:,} are still to be looked at")
    lines += [f"  no, {safe(reason)}: {count:,}, for example {safe(key, 60)}" for reason, count, key in card.reasons]
    lines += [f"  {safe(name)}: {mean:.1f} of 5 on the average" for name, mean in card.scores.items()]
    return lines


def signed_lines(signed: Signed) -> list[str]:
    row = signed.signature
    verb = "would be signed" if signed.dry_run else "signed"
    money = f", {_usd(row.money)}" if row.money is not None else ", no ceiling of money"
    until = f", until {_utc(row.until)}" if row.until is not None else ""
    lines = [
        f"{row.stage}: {verb} by {safe(row.name)} for {row.items or 0:,} items{money}{until}",
        f"  models {safe(', '.join(row.models)) or 'none'}; recipe {row.recipe[:12]}",
        f"  {signed.missing:,} items are missing now" + (f", {signed.stale:,} are stale" if signed.stale else ""),
    ]
    lines += [f"  {line.strip()}" for line in card_lines(signed.card)]
    if not signed.gated:
        lines.append(f'  {row.stage} has no gate, so nothing waits for it. One is: gate = "pilot"')
    return lines


def _utc(ms: int) -> str:
    from seedbed.engine.projects.project import utc_text

    return utc_text(ms)


def _next(commands: Sequence[str]) -> list[str]:
    return [f"{'Next:' if n == 0 else '     '}  {command}" for n, command in enumerate(commands)]


# -------------------------------------------------------------------------------------------- as JSON


def signature_json(row: SignatureRow) -> dict[str, Any]:
    from seedbed.engine.work.gate import signature_facts

    return signature_facts(row)


def card_json(card: Scorecard) -> dict[str, Any]:
    from seedbed.cli.render import as_json

    found: dict[str, Any] = as_json(card)
    return {**found, "looked_at": card.looked_at, "acceptance": card.acceptance}


def sight_json(sight: Sight) -> Mapping[str, Any]:
    from seedbed.cli.render import as_json

    decision = sight.decision
    return {
        "key": sight.key,
        "why": sight.why,
        "state": sight.state,
        "source": as_json(dict(sight.source)),
        "result": as_json(sight.result),
        "differences": {
            name: {"from": source, "parts": [list(part) for part in parts]}
            for name, (source, parts) in sight.marks.items()
        },
        "findings": [finding.as_json() for finding in sight.findings],
        "decision": None if decision is None else as_json(decision),
    }
