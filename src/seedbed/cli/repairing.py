"""``seedbed repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedbed.cli import options
from seedbed.cli.render import document, out, repair_lines


def register(app: typer.Typer) -> None:
    app.command("repair")(repair)


def repair(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file, or JSON Lines: line by line.")],
    schema: Annotated[Path | None, typer.Option(metavar="S", help="A JSON Schema: with it more can be mended.")] = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="PATH", help="The result file.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write into the file itself; a backup is kept.")] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> int:
    """Mend broken JSON by edits that keep every character of the text; what is not certain is refused.

    Nothing is guessed: where text is lost or two readings compete, the document is left as it is.
    """
    from seedbed.engine.keeping.repairing import repair_file

    report = repair_file(file, schema=schema, out=to, in_place=in_place, dry_run=dry_run)
    code = 3 if report.declined else 0
    if json:
        document("repair", report, code=code)
    else:
        out(repair_lines(report))
    return code
