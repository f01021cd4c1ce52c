"""``seedbed import outcomes``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedbed.cli import options
from seedbed.cli.render import SHOWN, document, out, safe

if TYPE_CHECKING:
    from seedbed.engine.keeping.adopting import AdoptReport


def import_outcomes(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The stage that the answers are for.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, or a provider's batch output; .gz too.")],
    key: Annotated[str, typer.Option("--key", metavar="FIELD", help="Field with the key; found without it.")] = "",
    answer: Annotated[
        str, typer.Option("--answer", metavar="FIELD", help="Field with the answer; answer, output or text without it.")
    ] = "",
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="What stands before the key, as task- in task-12.")
    ] = "",
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Answers that were paid for elsewhere become receipts of a stage, checked like any other, at no cost.

    A line is {"key": …, "answer": …}, or a line of a batch output, joined by its custom_id. What cannot be joined is
    listed and exits 3; a second import adds nothing. No call is made.
    """
    from seedbed.engine.keeping.adopting import Form, adopt

    project = options.project_at(place)
    report = adopt(project, stage, file, Form(key, answer, prefix), dry_run=dry_run)
    code = 3 if report.not_joined else 0
    follow = f"seedbed upload {report.stage}" if not dry_run else "the same command without --dry-run"
    if json:
        document("import outcomes", report, code=code, next_=[follow])
    else:
        out([*_lines(report), f"Next:  {follow}"])
    return code


def _lines(report: AdoptReport) -> list[str]:
    verb = "would be adopted" if report.dry_run else "adopted"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.states.items()))
    lines = [
        f"{report.lines:,} lines = {report.adopted:,} {verb} + {report.already:,} already settled"
        f" + {len(report.not_joined):,} not joined"
    ]
    if states:
        lines.append(f"  {states}; $0.00 here")
    lines += [f"  declined {safe(key)}: {safe(why)}" for key, why in report.declined[:SHOWN]]
    if len(report.declined) > SHOWN:
        lines.append(f"  and {len(report.declined) - SHOWN:,} more (seedbed bad {report.stage})")
    lines += [f"  line {one.line} {safe(one.key)}: {safe(one.reason)}" for one in report.not_joined[:SHOWN]]
    if len(report.not_joined) > SHOWN:
        lines.append(f"  and {len(report.not_joined) - SHOWN:,} more (--json lists all)")
    return lines
