"""Verbs that recipes bring: ``import`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedbed.cli import experiments, options
from seedbed.cli.adopting import import_outcomes
from seedbed.cli.render import SHOWN, document, out, safe

if TYPE_CHECKING:
    from seedbed.recipes.facts.importing import ImportReport


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    imports = typer.Typer(
        help="Bring in records of an older system, or answers that were paid for elsewhere.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    imports.command("facts", cls=_verb())(import_facts)
    imports.command("outcomes", cls=_verb())(import_outcomes)
    imports.command("experiments", cls=_verb())(experiments.import_experiments)
    app.add_typer(imports, name="import")


def _verb() -> type:
    from seedbed.cli import Verb

    return Verb


def import_facts(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="CSV, JSONL, XLSX or DOCX files of entries.")],
    stats: Annotated[bool, typer.Option("--stats", help="Count the entries by topic afterwards.")] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Entries of the facts recipe from files; importing a file twice adds nothing.

    What to seed, in which order, and what it costs: docs/how-to/seeding-strategy-and-cost-control.md. What the files
    look like: src/seedbed/recipes/facts/README.md, section "Begin".
    """
    from seedbed.engine.projects.project import new_id
    from seedbed.recipes.facts import importing

    project = options.project_at(place)
    corpus = project.corpus()
    try:
        report = importing.import_facts(corpus, files, dry_run=dry_run, release=new_id("import"))
        topics = importing.stats(corpus) if stats else None
    finally:
        corpus.close()
    follow = "seedbed plan" if not dry_run else "the same command without --dry-run"
    if json:
        document("import", report, next_=[follow], stats=topics)
    else:
        out([*_lines(report, topics), f"Next:  {follow}"])
    return 0


def _lines(report: ImportReport, topics: dict[str, int] | None) -> list[str]:
    verb = "would be " if report.dry_run else ""
    lines = [
        f"{report.read:,} rows read = {report.new:,} {verb}new + {report.already:,} already + {len(report.bad):,} bad"
    ]
    lines += [f"  {safe(bad)}" for bad in report.bad[:SHOWN]]
    if len(report.bad) > SHOWN:
        lines.append(f"  and {len(report.bad) - SHOWN:,} more")
    lines += [f"  no topic {safe(name)!r}: {count:,} rows kept without one" for name, count in report.unmapped.items()]
    for topic, count in (topics or {}).items():
        lines.append(f"  {safe(topic or 'without a topic')}: {count:,}")
    return lines


def demo(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where; seedbed-demo here without it.")] = None,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill -9 a run half way, go on, and let the simulator's ledger tell.")
    ] = False,
    countries: Annotated[
        int | None, typer.Option("--countries", metavar="N", min=1, max=190, help="So many countries; 12 at first.")
    ] = None,
    cities: Annotated[
        int | None, typer.Option("--cities", metavar="M", min=0, max=100, help="Biggest cities of each; 4 at first.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove what a demo made here, and start over.")] = False,
    latency: Annotated[float, typer.Option("--latency", metavar="MS", min=0, hidden=True)] = 500.0,
    json: options.Json = False,
) -> int:
    """The whole way in half a minute, with no key and no cost: real places become facts and quiz challenges.

    Kill it when you like and start it again: it goes on, and nothing received is asked again.
    """
    from seedbed.cli.demo import Wanted, show

    return show(Wanted(folder, kill, countries, cities, fresh, latency, json))
