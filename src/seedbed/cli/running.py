"""The verbs that work: run, and its phases one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import options
from seedbed.cli.asking import agreed, on_terminal
from seedbed.cli.render import (
    after_error,
    document,
    ending_lines,
    export_lines,
    generate_lines,
    out,
    plan_line,
    preview_lines,
    reread_lines,
    rollback_lines,
    run_lines,
    safe,
    tell,
    upload_lines,
    validate_lines,
)

if TYPE_CHECKING:
    from seedbed.engine.lifecycle import Spend
    from seedbed.engine.projects.project import Project
    from seedbed.engine.work.rounds import Scope
    from seedbed.errors import SeedbedError


def register(app: typer.Typer) -> None:
    for name, verb in (
        ("run", run),
        ("export", export),
        ("generate", generate),
        ("upload", upload),
        ("validate", validate),
        ("recover", recover),
        ("rollback", rollback),
    ):
        app.command(name)(verb)


def run(
    target: options.Target = None,
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    sample: options.Sample = None,
    seed: options.Seed = 1,
    stale: options.Stale = False,
    stale_model: options.StaleModel = "",
    redo_diverged: options.RedoDiverged = False,
    allow_empty: options.AllowEmpty = False,
    budget: options.Budget = "",
    max_calls: options.MaxCalls = None,
    concurrency: options.Concurrency = None,
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    timeout: options.Timeout = None,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    allow_stand_in: options.AllowStandIn = False,
    yes: options.Yes = False,
    no_upload: Annotated[bool, typer.Option("--no-upload", help="Ask and keep the answers; write nothing.")] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Do what is missing: all phases of a stage, or of the whole pipeline until nothing is left.

    It is also what goes on after any stop.
    """
    import seedbed

    project = _project(place, model, base_url, timeout, settings, styles, difficulty)
    spend = options.spend_of(budget, concurrency, allow_stand_in, allow_empty, max_calls)
    scope = _scope(
        project,
        target,
        options.scope_of(where, ids, limit, part, sample, seed, stale, stale_model, redo_diverged),
        allow_empty,
    )
    if dry_run:
        return _previews(project, target, scope, "run", json)
    _ask(project, target, scope, spend, yes)
    report = _watched(project, lambda: seedbed.run(project, target, scope, spend, with_upload=not no_upload))
    follow = after_error(report.error) if report.error is not None else "seedbed status"
    return _end("run", report, run_lines(report), report.error, follow, json)


def generate(
    target: options.Target = None,
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    sample: options.Sample = None,
    seed: options.Seed = 1,
    stale: options.Stale = False,
    stale_model: options.StaleModel = "",
    redo_diverged: options.RedoDiverged = False,
    allow_empty: options.AllowEmpty = False,
    budget: options.Budget = "",
    max_calls: options.MaxCalls = None,
    concurrency: options.Concurrency = None,
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    timeout: options.Timeout = None,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Buy and read what is missing; nothing is written into your records."""
    import seedbed

    project = _project(place, model, base_url, timeout, settings, styles, difficulty)
    spend = options.spend_of(budget, concurrency, allow_empty=allow_empty, calls=max_calls)
    scope = _scope(
        project,
        target,
        options.scope_of(where, ids, limit, part, sample, seed, stale, stale_model, redo_diverged),
        allow_empty,
    )
    if dry_run:
        return _previews(project, target, scope, "generate", json)
    _ask(project, target, scope, spend, yes)
    report = _watched(project, lambda: seedbed.generate(project, target, scope, spend))
    follow = after_error(report.error) if report.error is not None else f"seedbed upload {report.stage} --dry-run"
    return _end("generate", report, generate_lines(report), report.error, follow, json)


def recover(
    target: options.Target = None,
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    sample: options.Sample = None,
    seed: options.Seed = 1,
    stale: options.Stale = False,
    stale_model: options.StaleModel = "",
    redo_diverged: options.RedoDiverged = False,
    allow_empty: options.AllowEmpty = False,
    budget: options.Budget = "",
    max_calls: options.MaxCalls = None,
    concurrency: options.Concurrency = None,
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    timeout: options.Timeout = None,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Ask again, with fresh attempts, what was rejected or failed; with --stale what an older recipe made."""
    import seedbed

    project = _project(place, model, base_url, timeout, settings, styles, difficulty)
    spend = options.spend_of(budget, concurrency, allow_empty=allow_empty, calls=max_calls)
    scope = _scope(
        project,
        target,
        options.scope_of(where, ids, limit, part, sample, seed, stale, stale_model, redo_diverged),
        allow_empty,
    )
    scope = scope.taken_again()
    if dry_run:
        return _previews(project, target, scope, "recover", json)
    _ask(project, target, scope, spend, yes)
    report = _watched(project, lambda: seedbed.recover(project, target, scope, spend))
    follow = after_error(report.error) if report.error is not None else f"seedbed upload {report.stage} --dry-run"
    return _end("recover", report, generate_lines(report), report.error, follow, json)


def export(
    target: options.Target = None,
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    sample: options.Sample = None,
    seed: options.Seed = 1,
    allow_empty: options.AllowEmpty = False,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also as JSON lines, to look at.")] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Derive what is missing into a round. Sends nothing."""
    import seedbed

    project = _project(place, "", "", None, settings, styles, difficulty)
    scope = _scope(project, target, options.scope_of(where, ids, limit, part, sample, seed), allow_empty)
    report = seedbed.export(project, target, scope, dry_run=dry_run, out=to)
    lines = export_lines(report)
    follow = f"seedbed generate {report.stage}" if report.items else "seedbed status"
    return _end("export", report, lines, None, follow, json)


def upload(
    target: options.Target = None,
    ids: options.Ids = "",
    part: options.PartOf = "",
    allow_empty: options.AllowEmpty = False,
    allow_stand_in: options.AllowStandIn = False,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Write accepted answers into your records as one release; what a person changed since is left alone."""
    import seedbed

    project = _project(place, "", "", None, settings, styles, difficulty)
    spend = options.spend_of(allow_stand_in=allow_stand_in, allow_empty=allow_empty)
    scope = _scope(project, target, options.scope_of(ids=ids, part=part), allow_empty)
    report = seedbed.upload(project, target, scope, spend, dry_run=dry_run)
    lines = upload_lines(report, report.stage) or [f"{report.stage}: nothing waits for an upload."]
    if dry_run:
        follow = f"seedbed upload {report.stage}" if report.fates or report.made else "seedbed status"
        lines.append("Nothing was written.")
    else:
        follow = f"seedbed rollback {report.release}   takes it back" if report.release else "seedbed status"
    return _end("upload", report, lines, None, follow, json)


def validate(
    target: options.Target = None,
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    allow_empty: options.AllowEmpty = False,
    settings: options.Setting = None,
    styles: options.Styles = "",
    difficulty: options.Difficulty = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=0, help="Accepted answers to show.")] = 20,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The sample can be drawn again.")] = 1,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read all receipts again with today's reader, shape and checks: free.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Audit the records as they are now, run the checks again, draw a sample. Sends nothing, writes nothing.

    With --reread the answers that were bought are read again and better readings take the place of
    what was declined or shorter; they wait for an upload.
    """
    import seedbed

    project = _project(place, "", "", None, settings, styles, difficulty)
    scope = _scope(project, target, options.scope_of(where, ids, limit), allow_empty)
    if reread:
        read = seedbed.reread(project, target, scope, dry_run=dry_run)
        then = f"seedbed validate {read.stage} --reread" if dry_run else f"seedbed upload {read.stage} --dry-run"
        return _end("reread", read, reread_lines(read), None, then, json)
    report = seedbed.validate(project, target, scope, sample=sample, seed=seed)
    follow = f"seedbed recover {report.audit.stage} --dry-run" if report.findings else "seedbed status"
    return _end("validate", report, validate_lines(report), None, follow, json)


def rollback(
    release: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="The newest without a name.")] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Take a release back where the cells still hold what it wrote."""
    import seedbed

    project = _project(place)
    report = seedbed.roll_back(project, release, dry_run=dry_run)
    lines = rollback_lines(report)
    if dry_run:
        lines.append("Nothing was written.")
    follow = f"seedbed rollback {report.release}" if dry_run else "seedbed status"
    return _end("rollback", report, lines, None, follow, json)


# ------------------------------------------------------------------------------- what they share


def _project(
    place: Any,
    model: str = "",
    base_url: str = "",
    timeout: float | None = None,
    settings: Sequence[str] | None = None,
    styles: str = "",
    difficulty: int | None = None,
) -> Project:
    return options.project_at(
        place,
        overrides=options.overrides_of(model, base_url, timeout, settings),
        recipe_settings=options.recipe_settings_of(settings, styles, difficulty),
    )


def _scope(project: Project, target: str | None, scope: Scope, allow_empty: bool) -> Scope:
    from seedbed.engine.looks.selecting import selected

    return selected(project, target, scope, allow_empty=allow_empty)


def _ask(project: Project, target: str | None, scope: Scope, spend: Spend, yes: bool) -> None:
    """On a terminal one question with the figures, where something may be spent."""
    if yes or not on_terminal():
        return
    import seedbed
    from seedbed.engine.signing import shut

    if shut(project, target) is not None:
        return  # nothing will be spent; the run says why
    cap = spend.budget if spend.budget is not None else project.settings.get("budget", "run")
    plans = [plan for plan in seedbed.plan(project, target, scope) if plan.items and plan.cost_high != 0]
    if plans:
        agreed([safe(f"{plan.stage}: {plan_line(plan, cap)}") for plan in plans], "Start?")


def _watched(project: Project, work: Callable[[], Any]) -> Any:
    from seedbed.cli.screen import watching

    with watching(project):
        return work()


def _previews(project: Project, target: str | None, scope: Scope, verb: str, json: bool) -> int:
    """The dry run of a paid verb: each stage's first requests."""
    import seedbed

    reports = [seedbed.preview(project, stage.name, scope) for stage in project.stages(target)]
    follow = f"seedbed {verb}" + (f" {target}" if target else "")
    if json:
        document(verb, {"dry_run": True, "stages": reports}, next_=[follow])
    else:
        for report in reports:
            out(preview_lines(report)[:-2])
        out(["", "Nothing was sent.", f"Next:  {follow}"])
    return 0


def _end(verb: str, report: Any, lines: Sequence[str], error: SeedbedError | None, follow: str, json: bool) -> int:
    code = error.exit_code if error is not None else 0
    if error is not None:
        tell(ending_lines(error))
    if json:
        document(verb, report, code=code, error=error, next_=[follow])
    else:
        out([*lines, f"Next:  {follow}"])
    return code
