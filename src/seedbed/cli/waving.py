"""``seedbed wave`` and ``seedbed schedule``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedbed.cli import options
from seedbed.cli.render import document, ending_lines, out, safe, tell, window_line

if TYPE_CHECKING:
    from seedbed.engine.schedule import ScheduleReport, Way
    from seedbed.engine.waves import WaveReport

At = Annotated[
    list[str] | None, typer.Option("--at", metavar="TIME", help="A time in UTC, such as 23:20; may be repeated.")
]
Waves = Annotated[int, typer.Option("--waves", metavar="N", min=1, help="Waves after each reset.")]
Systemd = Annotated[bool, typer.Option("--systemd", help="A timer of systemd instead of lines of a crontab.")]
OneStage = Annotated[str | None, typer.Argument(metavar="[STAGE]", help="A stage; the only one without it.")]


def register(app: typer.Typer) -> None:
    app.command("wave")(wave)
    schedule = type(app)(
        help="Waves while nobody watches: by the system's own scheduler.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    schedule.command("show")(schedule_show)
    schedule.command("install")(schedule_install)
    schedule.command("remove")(schedule_remove)
    app.add_typer(schedule, name="schedule")


# ---------------------------------------------------------------------------------------------- wave


def wave(
    stage: OneStage = None,
    window: Annotated[
        str, typer.Option("--window", metavar="SHARE", help="How much of the window may be used, such as 75%.")
    ] = "",
    where: options.Where = "",
    limit: options.Limit = None,
    part: options.PartOf = "",
    budget: options.Budget = "",
    concurrency: options.Concurrency = None,
    allow_stand_in: options.AllowStandIn = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Do as much as a share of the usage window allows, and end with the time of the next wave (exit 75).

    The share is of the window, over all waves and runs of the account. When nothing is left it uploads, checks, and
    says complete (exit 0); further waves then cost nothing. --dry-run says what a wave would ask.
    """
    from seedbed.cli.screen import watching
    from seedbed.engine import waves

    project = options.project_at(place)
    scope = options.scope_of(where, "", limit, part)
    spend = options.spend_of(budget, concurrency, allow_stand_in)

    with watching(project) if not dry_run else nullcontext():
        report = waves.wave(project, stage, scope, spend, share=window, dry_run=dry_run)
    code = report.error.exit_code if report.error is not None else 0
    follow = [f"seedbed wave {report.stage}"] if report.state == "prepared" else ["seedbed status"]
    if report.error is not None:
        tell(ending_lines(report.error))
    if json:
        document("wave", _json(report), code=code, next_=follow, error=report.error)
    else:
        out([*_lines(report), f"Next:  {follow[0]}"])
    return code


def _json(report: WaveReport) -> dict[str, Any]:
    return {
        "stage": report.stage,
        "state": report.state,
        "items": report.items,
        "batches": report.batches,
        "settled": report.settled,
        "left": report.left,
        "windows": report.windows,
        "next_wave": report.next_wave,
        "generated": report.generated,
        "uploaded": report.uploaded,
        "validated": report.validated,
    }


def _lines(report: WaveReport) -> Iterator[str]:
    if report.state == "prepared":
        yield f"{report.stage}: prepared, {report.items:,} of {report.left:,} items in {report.batches:,} calls"
    elif report.state == "complete":
        yield f"{report.stage}: complete"
    else:
        yield f"{report.stage}: {report.settled:,} items in this wave, {report.left:,} left"
    for each in report.windows:
        yield f"  {window_line(each)}"
    if report.uploaded is not None and report.uploaded.fates:
        yield "  uploaded " + ", ".join(f"{count:,} {fate}" for fate, count in sorted(report.uploaded.fates.items()))
    if report.left and report.next_wave:
        yield f"  next wave from {report.next_wave}"


# ------------------------------------------------------------------------------------------ schedule


def schedule_show(
    stage: OneStage = None,
    at: At = None,
    waves: Waves = 2,
    systemd: Systemd = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """The times and lines that fit the stage's window; nothing is installed.

    Two waves after each reset: the first does the work, the second what the first was kept from.
    """
    from seedbed.engine import schedule

    report = schedule.show(options.project_at(place), stage, at=at or (), waves=waves, way=_way(systemd))
    return _shown("schedule show", report, json, "seedbed schedule install")


def schedule_install(
    stage: OneStage = None,
    at: At = None,
    waves: Waves = 2,
    systemd: Systemd = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Put the lines beside those of others, in place of earlier ones of the same stage."""
    from seedbed.engine import schedule

    project = options.project_at(place)
    report = schedule.install(project, stage, at=at or (), waves=waves, way=_way(systemd), dry_run=dry_run)
    return _shown("schedule install", report, json, "seedbed status")


def schedule_remove(
    stage: OneStage = None,
    systemd: Systemd = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    place: options.Place = None,
) -> int:
    """Take the stage's own lines out; no line of anybody else is touched."""
    from seedbed.engine import schedule

    gone = schedule.remove(options.project_at(place), stage, way=_way(systemd), dry_run=dry_run)
    if json:
        document("schedule remove", {"removed": gone, "dry_run": dry_run})
    else:
        verb = "would be removed" if dry_run else "removed"
        out([f"{len(gone)} {'lines' if len(gone) != 1 else 'line'} {verb}", *(f"  {safe(line)}" for line in gone)])
    return 0


def _way(systemd: bool) -> Way:
    return "systemd" if systemd else "cron"


def _shown(name: str, report: ScheduleReport, json: bool, follow: str) -> int:
    if json:
        document(name, report, next_=[follow])
        return 0
    lines = [f"{report.stage}: {', '.join(report.utc)} UTC = {', '.join(report.local)} {report.zone}"]
    if report.way == "systemd":
        for unit, text in report.units.items():
            lines += [f"# {unit}", *text.splitlines(), ""]
    else:
        lines += list(report.lines)
    lines += [f"note: {safe(note)}" for note in report.notes]
    lines.append("installed" if report.installed else "not installed")
    out([*lines, f"Next:  {follow}"])
    return 0
