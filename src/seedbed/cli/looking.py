"""The looking verbs. They send nothing, need no key, and write nothing of the user's."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli.options import (
    DryRun,
    Ids,
    Json,
    Limit,
    PartOf,
    Place,
    Sample,
    Seed,
    Setting,
    Stale,
    StaleModel,
    Target,
    Where,
    Yes,
    project_at,
    project_with,
    scope_of,
)

if TYPE_CHECKING:
    from seedbed.engine.reports import StatusReport

PANEL = "Look"
SHOWN = 20

States = Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help="accepted, rejected, … or missing.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only this reason.")]


def register(app: typer.Typer) -> None:
    """Add the looking verbs to an app."""
    for function in (status, watch, audit, plan, records, bad, cost, till, report, logs, config):
        app.command(rich_help_panel=PANEL)(function)
    receipts = type(app)(
        help="What was bought: check it, carry it, keep it for years.", no_args_is_help=True, rich_markup_mode=None
    )
    receipts.command("verify")(receipts_verify)
    receipts.command("export")(receipts_export)
    receipts.command("import")(receipts_import)
    receipts.command("size")(receipts_size)
    receipts.command("compact")(receipts_compact)
    receipts.command("archive")(receipts_archive)
    receipts.command("redact")(receipts_redact)
    app.add_typer(receipts, name="receipts", rich_help_panel=PANEL)


def _say(lines: Iterable[str], following: Sequence[str] = ()) -> None:
    from seedbed.cli.render import out
    from seedbed.cli.tables import next_lines

    out([*lines, *next_lines(following)])


# ---------------------------------------------------------------------------------- how things stand


def status(target: Target = None, settings: Setting = None, json: Json = False, place: Place = None) -> None:
    """How things stand and what needs a person."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks.standing import status as found

    report = found(project_with(place, settings), target)
    if json:
        document("status", tables.status_json(report))
    else:
        _say(tables.status_lines(report), report.next)


def watch(target: Target = None, json: Json = False, place: Place = None) -> None:
    """Follow a run that is going, until nothing runs any more. Costs nothing of a usage window.

    With --json the document is how it ended, and under "while_running" the rate and the rest of the last look at it.
    """
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks.standing import watch as reports

    last: StatusReport | None = None
    first: StatusReport | None = None
    moving: StatusReport | None = None
    with _drawing(quiet=json) as draw:
        for last in reports(project_at(place), target):
            first = first or last
            if last.running:
                moving = last
                draw(last)
    if last is None or first is None:
        return
    if json:
        document("watch", {**tables.status_json(last), "while_running": tables.pace_json(moving)})
        return
    ended = "Nothing runs any more." if first.running else "Nothing is running."
    _say([*tables.status_lines(last), ended], last.next)


@contextmanager
def _drawing(*, quiet: bool) -> Iterator[Any]:
    """How each report is shown: a screen on a terminal; off it a line when something changed, or each minute."""
    if quiet:
        yield lambda report: None
        return
    if sys.stdout.isatty():
        with _screen() as draw:
            yield draw
        return
    yield _Lines().show


class _Lines:
    """A line where something changed, and at least one a minute."""

    EVERY = 60.0

    def __init__(self) -> None:
        self._shown: Any = None
        self._at = 0.0

    def show(self, report: StatusReport) -> None:
        import time

        from seedbed.cli import tables

        changed = (report.stages, report.spent)
        if changed != self._shown or time.monotonic() - self._at >= self.EVERY:
            self._shown, self._at = changed, time.monotonic()
            _say([tables.watch_line(report)])


@contextmanager
def _screen() -> Iterator[Any]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from seedbed.cli import tables

    console = Console(markup=False, highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda report: live.update(Text("\n".join(tables.status_lines(report))), refresh=True)


# ------------------------------------------------------------------------------------- what is to do


def audit(
    target: Target = None,
    where: Where = "",
    ids: Ids = "",
    limit: Limit = None,
    part: PartOf = "",
    sample: Sample = None,
    seed: Seed = 1,
    stale: Stale = False,
    stale_model: StaleModel = "",
    settings: Setting = None,
    json: Json = False,
    place: Place = None,
) -> None:
    """What there is, what is missing, what changed, and what the rest would cost."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks.audits import audit as look

    found = look(
        project_with(place, settings), target, scope_of(where, ids, limit, part, sample, seed, stale, stale_model)
    )
    following = ["seedbed plan" + (f" {target}" if target else "")]
    if json:
        code = found.error.exit_code if found.error else 0
        document("audit", tables.audit_json(found), code=code, error=found.error, next_=following)
        if found.error:
            raise typer.Exit(code)
        return
    _say(tables.audit_lines(found), () if found.error else following)
    if found.error:
        raise found.error


def plan(
    target: Target = None,
    where: Where = "",
    ids: Ids = "",
    limit: Limit = None,
    part: PartOf = "",
    sample: Sample = None,
    seed: Seed = 1,
    stale: Stale = False,
    stale_model: StaleModel = "",
    settings: Setting = None,
    json: Json = False,
    place: Place = None,
) -> None:
    """Calls, tokens and money of what is missing. Nothing is sent."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.lifecycle import plan as look

    project = project_with(place, settings)
    reports = look(project, target, scope_of(where, ids, limit, part, sample, seed, stale, stale_model))
    cap = project.settings.get("budget", "run")
    following = ["seedbed run" + (f" {target}" if target else "")]
    if json:
        document("plan", {"stages": tables.plan_json(reports), "cap": cap}, next_=following)
    else:
        _say(tables.plan_lines(reports, cap), following)


# -------------------------------------------------------------------------------------- item by item


def records(
    target: Target = None,
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="One record whole.")] = "",
    where: Where = "",
    state: States = None,
    limit: Limit = SHOWN,
    json: Json = False,
    place: Place = None,
) -> None:
    """Items with what they came to; with --key one record whole."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks import entries

    project = project_at(place)
    if key:
        one = entries.record(project, target, key)
        if json:
            document("record", tables.record_json(one), next_=[f"seedbed records {one.stage}"])
        else:
            _say(tables.record_lines(one), [f"seedbed records {one.stage}"])
        return
    found = entries.records(project, target, where=where, states=state or (), limit=limit)
    following = [f"seedbed records {found.stage} --key KEY"]
    if json:
        document("records", tables.entries_json(found), next_=following)
    else:
        _say(tables.entries_lines(found), following)


def bad(
    target: Target = None,
    keys: Annotated[bool, typer.Option("--keys", help="Bare keys one a line, for --ids -.")] = False,
    state: States = None,
    reason: Reason = None,
    json: Json = False,
    place: Place = None,
) -> None:
    """What was not accepted, by reason, biggest first."""
    from seedbed.cli import tables
    from seedbed.cli.render import document, out
    from seedbed.engine.looks import entries

    project = project_at(place)
    if keys:
        found_keys = entries.bad_keys(project, target, states=state or (), reason=reason)
        if json:
            document("bad-keys", {"keys": list(found_keys)})
        else:
            for found_key in found_keys:
                out([tables.key_line(found_key)])
        return
    found = entries.bad(project, target, states=state or (), reason=reason)
    name = f" {target}" if target else ""
    following = [f"seedbed status{name}"]
    if found.groups:
        following = [f"seedbed bad{name} --keys", f"seedbed recover {found.groups[0].stage}"]
    if json:
        document("bad", found, next_=following)
    else:
        _say(tables.bad_lines(found), following)


# ---------------------------------------------------------------------------------------- the books


def cost(
    by: Annotated[
        str, typer.Option("--by", metavar="FIELD", help="stage, step, model, served, key, state, run, day or kind.")
    ] = "stage",
    json: Json = False,
    place: Place = None,
) -> None:
    """Money and tokens, by stage, step, model, key, state, run or day (of the zone that caps of a day go by).

    A step is a call of a stage by its name: a stage with several calls for an item has several.
    """
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks.books import cost as look

    found = look(project_at(place), by)
    if json:
        document("cost", tables.cost_json(found), next_=["seedbed status"])
    else:
        _say(tables.cost_lines(found), ["seedbed status"])


def till(
    release: Annotated[
        str, typer.Option("--release", metavar="NAME", help="Give free what a process that ended holds.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    place: Place = None,
) -> None:
    """The caps over all processes: spent, held by whom, and left.

    A process that was killed here is reckoned from its receipts by the next run. One on another machine keeps what
    it took until you say that it is gone: --release NAME.
    """
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks import till as look

    project = project_at(place)
    if release:
        line = look.release(project, release, dry_run=True)
        if not (dry_run or yes):
            _ask_release(tables.holder_lines([line]))
        if not dry_run:
            look.release(project, release)
        if json:
            document("till-release", tables.holder_json(line), next_=["seedbed till"], dry_run=dry_run)
        else:
            verb = "would be" if dry_run else "was"
            _say([*tables.holder_lines([line]), f"It {verb} given free."], ["seedbed till"])
        return
    found = look.till(project)
    if json:
        document("till", tables.till_json(found), next_=["seedbed cost"])
    else:
        _say(tables.till_lines(found), ["seedbed cost"])


def _ask_release(lines: Sequence[str]) -> None:
    from seedbed.cli.asking import agreed, on_terminal
    from seedbed.errors import UsageError

    if not on_terminal():
        raise UsageError("Say --yes to release off a terminal.", why=" ".join(line.strip() for line in lines))
    agreed(lines, "If it still works somewhere, a cap may be passed by that much. Give it free?")


def report(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; without one the newest.")] = None,
    releases: Annotated[bool, typer.Option("--releases", help="The releases instead.")] = False,
    json: Json = False,
    place: Place = None,
) -> None:
    """What a run came to."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks import books

    project = project_at(place)
    if releases:
        found = books.releases(project)
        if json:
            document("releases", {"releases": tables.releases_json(found)}, next_=["seedbed rollback --dry-run"])
        else:
            _say(tables.releases_lines(found), ["seedbed rollback --dry-run"] if found else ["seedbed status"])
        return
    facts = books.run_page(project, run)
    if json:
        document("report", dict(facts) if facts else {"run": None}, next_=["seedbed status"])
    else:
        _say(tables.page_lines(facts) if facts else [tables.NEVER], ["seedbed status"])


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="A line per settled item while a run works.")] = False,
    limit: Limit = None,
    json: Json = False,
    place: Place = None,
) -> None:
    """The runs of late; with --follow item by item."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.looks.books import log

    project = project_at(place)
    if follow:
        _follow(project, limit, json)
        return
    found = log(project, SHOWN if limit is None else limit)
    if json:
        document("logs", tables.log_json(found), next_=["seedbed report"])
    else:
        _say(tables.log_lines(found), ["seedbed report"] if found.runs else ["seedbed status"])


def _follow(project: Any, limit: int | None, json: bool) -> None:
    from seedbed.cli import tables
    from seedbed.cli.render import document, out
    from seedbed.engine.looks.following import follow

    lines, rested = [], False
    for line in follow(project, limit=limit):
        rested = rested or line is None
        if line is None:
            continue
        if json:
            lines.append(tables.followed_json(line))
        else:
            out([tables.followed_line(line)])
    if json:
        document("followed", {"items": lines}, next_=["seedbed report"])
    else:
        _say(["The run has ended." if rested else "Nothing is running."], ["seedbed report"])


# ------------------------------------------------------------------------------ settings and receipts


def config(
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of seedbed.toml.")] = False,
    origin: Annotated[bool, typer.Option("--origin", help="Where each value came from (shown always).")] = False,
    json: Json = False,
    place: Place = None,
) -> None:
    """The settings as they were loaded, with their origin; keys by name only."""
    from seedbed.cli import tables
    from seedbed.cli.render import document, out

    if schema:
        from json import dumps

        from seedbed.engine.projects.settings import json_schema

        out([dumps(json_schema(), indent=2, ensure_ascii=False)])
        return
    from seedbed.engine.projects.origins import configuration

    found = configuration(project_at(place))
    if json:
        document("config", tables.config_json(found), next_=["seedbed config --schema"])
    else:
        _say(tables.config_lines(found), ["seedbed config --schema"])


def receipts_verify(json: Json = False, place: Place = None) -> None:
    """Check every checksum; name what is damaged."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import verify

    found = verify(project_at(place))
    code = 8 if found.damaged else 0
    following = ["seedbed receipts export receipts.jsonl"]
    if json:
        document("receipts-verify", tables.checked_json(found), code=code, next_=following)
    else:
        _say(tables.checked_lines(found), following)
    if code:
        raise typer.Exit(code)


def receipts_export(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines; - is stdout.")],
    json: Json = False,
    place: Place = None,
) -> None:
    """Write all receipts as JSON lines."""
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import export_file, export_lines

    project = project_at(place)
    if file == "-":
        sys.stdout.writelines(export_lines(project))
        sys.stdout.flush()
        return
    count = export_file(project, Path(file))
    following = [f"seedbed receipts import {file}"]
    if json:
        document("receipts-export", {"file": file, "lines": count}, next_=following)
    else:
        _say([f"{count:,} lines written to {file}"], following)


def receipts_import(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines; - is stdin.")],
    json: Json = False,
    place: Place = None,
) -> None:
    """Take in exported receipts. Twice adds nothing."""
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import import_file, take_in

    project = project_at(place)
    taken = take_in(project, sys.stdin.buffer) if file == "-" else import_file(project, Path(file))
    if json:
        document("receipts-import", taken, next_=["seedbed run"])
        return
    torn = ["The last line was torn and was left out."] if taken.torn else []
    _say([f"{taken.new:,} new, {taken.known:,} were there already", *torn], ["seedbed run"])


def receipts_size(json: Json = False, place: Place = None) -> None:
    """What the receipts take on the disk."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import size

    found = size(project_at(place))
    if json:
        document("receipts-size", found, next_=["seedbed receipts verify"])
    else:
        _say(tables.size_lines(found), ["seedbed receipts verify"])


def receipts_compact(json: Json = False, place: Place = None) -> None:
    """Merge the files of processes that have ended into one. Nothing in them changes."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import compact_files

    found = compact_files(project_at(place))
    if json:
        document("receipts-compact", found, next_=["seedbed receipts verify"])
    else:
        _say(tables.compacted_lines(found), ["seedbed receipts verify"])


def receipts_archive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the file goes.")],
    before: Annotated[str, typer.Option("--before", metavar="DATE", help="Bought before this day (UTC): 2026-01-31.")],
    json: Json = False,
    place: Place = None,
) -> None:
    """Move old, settled purchases to a file elsewhere. The books stay; import brings them back."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.keeping.carrying import archive

    found = archive(project_at(place), before, folder)
    following = [f"seedbed receipts import {found.file}"] if found.file else ["seedbed receipts size"]
    if json:
        document("receipts-archive", found, next_=following)
    else:
        _say(tables.archived_lines(found), following)


def receipts_redact(
    text: Annotated[str, typer.Option("--text", metavar="TEXT|-", help="A text, wherever it stands; - is stdin.")] = "",
    item: Annotated[
        tuple[str, str] | None, typer.Option("--item", metavar="STAGE KEY", help="All that belongs to one item.")
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="WORDS", help="The reason, for the record.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    place: Place = None,
) -> None:
    """Put a hash in place of a text, or of what belongs to an item, for ever and on record."""
    from seedbed.cli import tables
    from seedbed.cli.render import document
    from seedbed.engine.keeping.redacting import redact_kept

    wanted = _wanted(text, item)
    project = project_at(place)
    if not (dry_run or yes):
        _ask_redaction(tables.redaction_lines(redact_kept(project, wanted, why=why, dry_run=True)))
    found = redact_kept(project, wanted, why=why, dry_run=dry_run)
    code = 8 if found.left else 0
    if json:
        document("receipts-redact", found, code=code, next_=["seedbed receipts verify"])
    else:
        _say(tables.redaction_lines(found), ["seedbed receipts verify"])
    if code:
        raise typer.Exit(code)


def _wanted(text: str, item: tuple[str, str] | None) -> Any:
    from seedbed.engine.keeping.redacting import Wanted
    from seedbed.records import parse_key

    said = sys.stdin.read().removesuffix("\n") if text == "-" else text
    stage, key = item or ("", "")
    return Wanted(said, stage, parse_key(key) if key else "")


def _ask_redaction(lines: Sequence[str]) -> None:
    from seedbed.cli.asking import agreed, on_terminal
    from seedbed.errors import UsageError

    if not on_terminal():
        raise UsageError("Say --yes to redact off a terminal.", why=" ".join(line.strip() for line in lines))
    agreed(lines, "It cannot be taken back. Redact?")
