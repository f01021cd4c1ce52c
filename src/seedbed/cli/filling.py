"""``seedbed fill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import options
from seedbed.cli.asking import agreed, on_terminal
from seedbed.cli.render import after_error, document, ending_lines, out, plan_line, preview_lines, run_lines, safe, tell

if TYPE_CHECKING:
    from seedbed.engine.lifecycle import Spend
    from seedbed.engine.reports import PlanReport, RunReport
    from seedbed.recipes.fill import Filling


def register(app: typer.Typer) -> None:
    app.command("fill")(fill)


def fill(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A CSV, JSONL or Parquet file, or sqlite:///x.db with --table.")
    ],
    fields: Annotated[
        list[str],
        typer.Argument(metavar="FIELD...", help='"summary: one sentence", "year (int): …", "topic: one of a, b, c".'),
    ],
    table: Annotated[str | None, typer.Option(metavar="T", help="The table of a database.")] = None,
    key: Annotated[str | None, typer.Option(metavar="COL", help="A column that tells the rows apart.")] = None,
    prompt: Annotated[
        str, typer.Option(metavar="TEXT|@FILE", help="What the model is told; {{ column }} shows a cell.")
    ] = "",
    where: options.Where = "",
    ids: options.Ids = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    sample: options.Sample = None,
    seed: options.Seed = 1,
    stale: options.Stale = False,
    stale_model: options.StaleModel = "",
    recover: Annotated[
        bool,
        typer.Option("--recover", help="Ask again what was rejected or failed.", rich_help_panel=options.SELECTION),
    ] = False,
    allow_empty: options.AllowEmpty = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Fill cells that hold something too.")] = False,
    model: options.Model = "",
    base_url: options.BaseUrl = "",
    concurrency: options.Concurrency = None,
    timeout: options.Timeout = None,
    budget: options.Budget = "",
    max_calls: options.MaxCalls = None,
    allow_stand_in: options.AllowStandIn = False,
    yes: options.Yes = False,
    no_upload: Annotated[bool, typer.Option("--no-upload", help="Ask and keep the answers; write no cell.")] = False,
    to: Annotated[Path | None, typer.Option("--out", metavar="PATH", help="The result file.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write into the file itself; a backup is kept.")] = False,
    spreadsheet_safe: Annotated[
        bool, typer.Option("--spreadsheet-safe", help="Cells of a CSV that a spreadsheet would run begin with '.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> int:
    """Fill the empty cells of a table: asks a model for each row, once.

    Doing it again goes on where it was; new rows are what is new. Nothing is paid twice.
    """
    from seedbed.engine.looks.selecting import selected
    from seedbed.recipes.fill import Asked, filling

    ready = filling(
        Asked(
            source=source,
            fields=fields,
            table=table,
            key=key,
            prompt=options.text_of(prompt, "--prompt"),
            out=to,
            in_place=in_place,
            spreadsheet_safe=spreadsheet_safe,
            overwrite=overwrite,
            overrides=options.overrides_of(model, base_url, timeout),
            command=options.command_line(),
        )
    )
    spend = options.spend_of(budget, concurrency, allow_stand_in, allow_empty, max_calls)
    said = options.scope_of(where, ids, limit, part, sample, seed, stale, stale_model)
    scope = selected(ready.project, None, said, allow_empty=allow_empty)
    if recover:
        scope = ready.again(scope)
    if dry_run:
        return _preview(ready, scope, json)
    plan = ready.estimate(scope, spend, upload=not no_upload)
    _ask(ready, plan, spend, yes)
    from seedbed.cli.screen import watching

    with watching(ready.project):
        report = ready.run(scope, spend, upload=not no_upload)
    return _show(ready, report, json, kept=no_upload)


def _preview(ready: Filling, scope: Any, json: bool) -> int:
    report = ready.preview(scope)
    writes = f"{', '.join(field.name for field in ready.fields)} of {ready.place}"
    follow = ["the same command without --dry-run"]
    if json:
        document("fill", report, next_=follow, writes=writes, new_columns=ready.new_columns)
    else:
        out([*preview_lines(report, writes=writes), "Next:  the same command without --dry-run"])
    return 0


def _ask(ready: Filling, plan: PlanReport, spend: Spend, yes: bool) -> None:
    """Nothing is spent and no column is added unasked."""
    if yes or not plan.items or (plan.cost_high == 0 and not ready.new_columns):
        return
    from seedbed.errors import UsageError

    cap = spend.budget if spend.budget is not None else ready.project.settings.get("budget", "run")
    lines = [f"{ready.stage.name}: {plan_line(plan, cap)}"]
    if ready.new_columns:
        lines.append(f"  new columns of {ready.place}: {', '.join(ready.new_columns)}")
    if not on_terminal():
        raise UsageError("Say --yes to spend off a terminal.", why=" ".join(line.strip() for line in lines))
    agreed([safe(line) for line in lines], "Start?")


def _show(ready: Filling, report: RunReport, json: bool, *, kept: bool) -> int:
    code = report.error.exit_code if report.error is not None else 0
    follow = "the same command without --no-upload writes them" if kept and code == 0 else _next(ready, report)
    if report.error is not None:
        tell(ending_lines(report.error))
    if json:
        document("fill", report, code=code, error=report.error, next_=[follow], place=ready.place)
        return code
    lines = run_lines(report)
    if not kept and not any(each.uploaded and each.uploaded.out for each in report.passes) and code == 0:
        lines.append(f"  the result is in {safe(ready.place)}")
    out([*lines, f"Next:  {follow}"])
    return code


def _next(ready: Filling, report: RunReport) -> str:
    if report.error is not None:
        return after_error(report.error)
    states = [state for equation in report.equations for state in equation.states if state not in ("accepted",)]
    if states:
        return "the same command with --recover asks again what was not accepted"
    return f"open {safe(ready.place)}"
