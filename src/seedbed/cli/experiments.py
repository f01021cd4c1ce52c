"""``import experiments`` and what the recipe brings beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedbed.cli import options
from seedbed.cli.render import SHOWN, document, out, safe

if TYPE_CHECKING:
    from seedbed.recipes.experiments.importing import ImportReport

RECIPE = "experiments"
COUNTERS = (
    "draft_ok", "draft_missing_response", "essay_parent_resolved", "essay_unresolved_parent", "eval_resolved",
    "eval_unresolved_target", "bad_generations",
)  # fmt: skip

RunId = Annotated[
    str,
    typer.Option("--run-id", metavar="R", help="Names the import; the same id again adds nothing.", show_default=False),
]


def import_experiments(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The archive: the folder in which data/ lies.")],
    run_id: RunId,
    strict: Annotated[
        bool,
        typer.Option("--strict/--skip-bad", help="End at the first bad row (this is so at first), or list such rows."),
    ] = True,
    pack: Annotated[bool, typer.Option("--pack", help="Keep the texts in the index, not in folders.")] = False,
    to: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where data/docs goes; DIR without it.")
    ] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Historic drafts, essays and evaluations into the index: a row and a folder for each, parents resolved.

    The tables of DIR/data/7_cross_experiment say what there is, the files that they name hold the texts; no file name
    is read for what it may mean, and no input is changed. The index is the corpus of the project that DIR is or that
    you are in, where that is one of this recipe; else DIR/data/db/documents.sqlite. A killed import goes on with the
    same command.
    """
    from seedbed.recipes.experiments.importing import Wanted
    from seedbed.recipes.experiments.importing import import_experiments as take

    index = index_of_project(folder, place)
    report = take(folder, Wanted(run_id, strict, dry_run, pack), out=to, index=index)
    follow = _follow(report, folder)
    if json:
        document("import", report, next_=[follow])
    else:
        out([*_lines(report), f"Next:  {follow}"])
    return 0


def index_of_project(folder: Path, place: Path | None) -> Path | None:
    """The database of the project that is meant; None where there is none of this recipe."""
    from seedbed.engine.projects.project import find_root
    from seedbed.engine.projects.settings import FILE
    from seedbed.errors import UsageError

    inside = folder if (folder / FILE).is_file() else Path.cwd()
    if place is None and find_root(inside.resolve()) is None:
        return None
    project = options.project_at(place or inside)
    if str(project.settings.get("project", "recipe")) != RECIPE:
        if place is None:
            return None
        raise UsageError(
            f"the project in {place} is not one of the recipe experiments",
            hint="Start one with: seedbed init DIR --recipe experiments",
        )
    prefix = "sqlite:///"
    if project.source is not None or not project.corpus_url.startswith(prefix):
        raise UsageError(
            "the index of documents lies in SQLite", hint='Write corpus = "sqlite:///data/db/documents.sqlite".'
        )
    return Path(project.corpus_url.removeprefix(prefix))


def _follow(report: ImportReport, folder: Path) -> str:
    if report.dry_run:
        return "the same command without --dry-run"
    if report.bad_generations:
        return f"mend what {safe(report.bad_list)} names, then the same command"
    return f"seedbed import experiments {safe(folder)} --run-id {safe(report.run_id)}, when rows have come"


def _lines(report: ImportReport) -> list[str]:
    would = "would be " if report.dry_run else ""
    taken = report.draft_ok + report.essay_parent_resolved + report.eval_resolved
    more = [f"{getattr(report, name):,} {name.replace('_', ' ')}" for name in ("repaired", "set_aside")]
    parts = [
        f"{taken:,} taken",
        *(part for part in more if not part.startswith("0 ")),
        f"{report.bad_generations:,} bad",
    ]
    lines = [f"{report.rows_read:,} rows read = {' + '.join(parts)}"]
    lines.append(f"{report.new + report.already:,} documents = {report.new:,} {would}new + {report.already:,} already")
    width = max(map(len, COUNTERS))
    lines += [f"  {name:<{width}}  {getattr(report, name):>9,}" for name in COUNTERS]
    lines += [f"  no table {name}" for name, count in report.tables.items() if count is None]
    lines += _counted("links", report.links) + _counted("findings", report.findings)
    lines += [f"  {safe(bad)}" for bad in report.bad[:SHOWN]]
    if report.bad_generations > SHOWN:
        lines.append(f"  and {report.bad_generations - SHOWN:,} more")
    if report.bad_generations and not report.dry_run:
        lines.append(f"bad rows   {safe(report.bad_list)}")
    if not report.dry_run:
        lines.append(f"index      {safe(report.index)}")
        if not report.packed:
            lines.append(f"documents  {safe(report.docs)}")
    return lines


def _counted(what: str, counts: Mapping[str, int]) -> list[str]:
    return [f"  {what}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}"] if counts else []
