"""``import experiments`` and what the recipe brings beside it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import options
from seedbed.cli.render import SHOWN, document, out, safe

if TYPE_CHECKING:
    from seedbed.recipes.experiments.importing import ImportReport
    from seedbed.recipes.experiments.reading import Documents
    from seedbed.recipes.experiments.repairing import RepairReport

RECIPE = "experiments"
COUNTERS = (
    "draft_ok", "draft_missing_response", "essay_parent_resolved", "essay_unresolved_parent", "eval_resolved",
    "eval_unresolved_target", "bad_generations",
)  # fmt: skip

RunId = Annotated[
    str,
    typer.Option("--run-id", metavar="R", help="Names the import; the same id again adds nothing.", show_default=False),
]


def register(app: typer.Typer) -> None:
    from seedbed.cli import Verb

    app.command("repair-bad")(repair_bad)
    documents = typer.Typer(
        help="The index of an archive: the latest documents, what is missing, doubled, broken or never used.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    documents.command("latest", cls=Verb)(latest)
    documents.command("consistency", cls=Verb)(consistency)
    documents.command("duplicates", cls=Verb)(duplicates)
    documents.command("chains", cls=Verb)(chains)
    documents.command("templates", cls=Verb)(templates)
    documents.command("links", cls=Verb)(links)
    documents.command("scores", cls=Verb)(scores)
    documents.command("write", cls=Verb)(write)
    app.add_typer(documents, name="documents")


# ------------------------------------------------------------------------------------------ import


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
    follow = _follow(report, folder, to)
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


def _follow(report: ImportReport, folder: Path, to: Path | None) -> str:
    if report.dry_run:
        return "the same command without --dry-run"
    if report.bad_generations:
        where = f" --out {shlex.quote(str(to))}" if to else ""
        run = shlex.quote(report.run_id)
        return f"seedbed repair-bad {shlex.quote(str(folder))} --run-id {run}{where} --dry-run"
    return f"seedbed documents consistency {shlex.quote(str(to or folder))}"


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


# ------------------------------------------------------------------------------------------ repair

Folder = Annotated[
    Path, typer.Argument(metavar="[DIR]", help="The archive: the folder in which data/ lies; here without it.")
]


def repair_bad(
    folder: Folder = Path(),
    run_id: Annotated[
        str, typer.Option("--run-id", metavar="R", help="The import whose bad rows are meant, where there are several.")
    ] = "",
    decisions: Annotated[
        Path | None, typer.Option("--decisions", metavar="FILE", help="What a person decided, instead of heuristics.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the import put data/docs.")] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Take rows of the bad list after all: by heuristics, or by a person's decisions. Each is recorded as such.

    A heuristic takes a row only where it finds one answer and no other: a model under another name, a parent whose
    text stands in the stored prompt, a file or a task whose name is spelt otherwise. Decisions are lines of the bad
    list with the columns decision (parent, file, parentless, set_aside), value and note; they are carried out all or
    none. Rows that were taken or set aside leave the list.
    """
    from seedbed.recipes.experiments.repairing import repair_bad as repair

    report = repair(folder, run_id, decisions=decisions, out=to, index=index_of_project(folder, place), dry_run=dry_run)
    follow = "the same command without --dry-run" if dry_run else _after_repair(report, folder)
    if json:
        document("repair-bad", report, next_=[follow])
    else:
        out([*_repaired_lines(report), f"Next:  {follow}"])
    return 0


def _after_repair(report: RepairReport, folder: Path) -> str:
    if report.left:
        return f"decide on what is left, then seedbed repair-bad {shlex.quote(str(folder))} --decisions FILE"
    return f"seedbed documents links {shlex.quote(str(folder))}"


def _repaired_lines(report: RepairReport) -> list[str]:
    would = "would be " if report.dry_run else ""
    parts = f"{report.taken:,} {would}taken + {report.set_aside:,} {would}set aside + {report.left:,} left"
    lines = [f"{report.listed:,} bad rows of {safe(report.run_id)} = {parts}", *_counted("by rule", report.rules)]
    lines += [f"  {safe(line)}" for line in report.done[:SHOWN]]
    if report.taken + report.set_aside > SHOWN:
        lines.append(f"  and {report.taken + report.set_aside - SHOWN:,} more")
    lines += [f"  left {safe(line)}" for line in report.remaining[:SHOWN]]
    if report.left > SHOWN:
        lines.append(f"  and {report.left - SHOWN:,} more in {safe(report.bad_list)}")
    return lines


# ----------------------------------------------------------------------------------------- reports

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Rows that are shown; all are counted.")]
ROWS = 20


def latest(
    folder: Folder = Path(), limit: Limit = ROWS, json: options.Json = False, place: options.Place = None
) -> int:
    """The newest good attempt of each logical key."""
    return _report("latest", folder, limit, json, place)


def consistency(
    folder: Folder = Path(),
    verify: Annotated[bool, typer.Option("--verify", help="Read each text, and compare its hash.")] = False,
    limit: Limit = ROWS,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Documents of which a file or the parent is missing, and folders that no row names; exit code 3 if any."""
    from seedbed.recipes.experiments import looking

    def rows(documents: Documents) -> Iterator[dict[str, Any]]:
        return looking.consistency(documents, verify=verify)

    return _report("consistency", folder, limit, json, place, rows)


def duplicates(
    folder: Folder = Path(), limit: Limit = ROWS, json: options.Json = False, place: options.Place = None
) -> int:
    """Equal texts under several documents."""
    return _report("duplicates", folder, limit, json, place)


def chains(
    folder: Folder = Path(), limit: Limit = ROWS, json: options.Json = False, place: options.Place = None
) -> int:
    """Documents without a parent, or with one that their stored prompt speaks against; exit code 3 if any."""
    return _report("chains", folder, limit, json, place)


def templates(
    folder: Folder = Path(), limit: Limit = ROWS, json: options.Json = False, place: options.Place = None
) -> int:
    """Templates of the archive that no document used."""
    return _report("templates", folder, limit, json, place)


def links(folder: Folder = Path(), limit: Limit = ROWS, json: options.Json = False, place: options.Place = None) -> int:
    """How parents were found, and how sure that is."""
    return _report("links", folder, limit, json, place)


def scores(
    folder: Folder = Path(),
    rule: Annotated[
        str,
        typer.Option(
            "--rule", metavar="R", help="last-three-lines (0 to 9, so at first) or last-thirty-lines (0 to 10)."
        ),
    ] = "last-three-lines",
    limit: Limit = ROWS,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """The score of each evaluation, parsed by a rule that you name; a dash where it finds none."""
    from seedbed.recipes.experiments import looking

    def rows(documents: Documents) -> Iterator[dict[str, Any]]:
        return looking.scores(documents, rule=rule)

    return _report("scores", folder, limit, json, place, rows)


def _report(name: str, folder: Path, limit: int, json: bool, place: Path | None, rows: Any = None) -> int:
    from seedbed.recipes.experiments.looking import REPORTS, shown
    from seedbed.recipes.experiments.reading import Documents

    report = REPORTS[name]
    kept: list[dict[str, Any]] = []
    count = 0
    with Documents(index_at(folder, place)) as documents:
        for row in (rows or report.rows)(documents):
            count += 1
            if len(kept) < limit:
                kept.append(row)
    code = 3 if report.faults and count else 0
    if json:
        document(f"documents-{name}", {"count": count, "rows": kept}, code=code)
        return code
    lines = [f"{count:,}: {report.what}"]
    lines += _table(report.columns, [shown(report.columns, row) for row in kept])
    if count > len(kept):
        lines.append(f"and {count - len(kept):,} more; --limit shows more of them")
    out(lines)
    return code


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    cells = [[safe(cell, 48) for cell in row] for row in [list(columns), *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def index_at(folder: Path, place: Path | None) -> Path:
    """The index of the project that is meant, else the one in the folder of an archive."""
    found = index_of_project(folder, place)
    inside = folder if (folder / "db/documents.sqlite").is_file() else folder / "data"
    return found or inside / "db/documents.sqlite"


def write(
    folder: Folder = Path(),
    legacy: Annotated[
        bool, typer.Option("--legacy", help="What stages have made also in the layout of old, data/3_generation.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Folders for documents whose texts lie in the index only: packed ones, and those that stages have made."""
    from seedbed.recipes.experiments.writing import write_documents

    data = folder / "data" if (folder / "data").is_dir() or not (folder / "db").is_dir() else folder
    report = write_documents(index_at(folder, place), data, legacy=legacy, dry_run=dry_run)
    follow = (
        "the same command without --dry-run" if dry_run else f"seedbed documents consistency {shlex.quote(str(folder))}"
    )
    if json:
        document("documents-write", report, next_=[follow])
    else:
        would = "would be " if dry_run else ""
        old = f", {report.legacy:,} files {would}written in the layout of old" if legacy else ""
        out([
            f"{report.folders:,} folders {would}written, {report.there:,} there already{old}   {safe(report.docs)}",
            f"Next:  {follow}",
        ])  # fmt: skip
    return 0
