"""Waves by the system's scheduler: which times, which lines, and installing them beside those of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from seedbed.engine.looks.windows import windows_of
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.origins import configuration
from seedbed.engine.projects.project import Project, utc_text
from seedbed.errors import UsageError
from seedbed.policy.schedules import Fire, command_line, cron_lines, is_ours, systemd_units, with_lines
from seedbed.policy.windows import HOURLY, Reset, Window, fires, parse_reset
from seedbed.ports.schedulers import read_crontab, read_units, remove_units, write_crontab, write_units
from seedbed.records import digest
from seedbed.stage import Stage

Way = Literal["cron", "systemd"]
DAILY = Reset(3, 0)
"""When a stage without a window runs, in UTC: an hour at which few are awake in Europe and America."""
LOG = "schedule.log"


@dataclass(frozen=True)
class ScheduleReport:
    """Times in UTC and in the zone of this machine; ``lines`` are those of a crontab, ``units`` those of systemd."""

    stage: str
    utc: Sequence[str]
    local: Sequence[str]
    zone: str
    command: str
    lines: Sequence[str]
    units: dict[str, str]
    fires: Sequence[str]
    installed: bool
    way: str
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True)
class _Plan:
    stage: Stage
    tag: str
    unit: str
    utc: Sequence[Fire]
    local: Sequence[Fire]
    command: str

    @property
    def lines(self) -> list[str]:
        return cron_lines(self.local, self.command, self.tag)

    @property
    def units(self) -> dict[str, str]:
        return systemd_units(self.unit, self.utc, self.command, f"seedbed: {self.stage.name}")


def show(
    project: Project, name: str | None = None, *, at: Sequence[str] = (), waves: int = 2, way: Way = "cron"
) -> ScheduleReport:
    """The times and lines that would be installed. ``at`` in UTC in place of what the stage's windows propose."""
    plan = _plan(project, name, at, waves)
    return _report(project, plan, way, installed=_installed(plan, way))


def install(
    project: Project,
    name: str | None = None,
    *,
    at: Sequence[str] = (),
    waves: int = 2,
    way: Way = "cron",
    dry_run: bool = False,
) -> ScheduleReport:
    """Put our lines beside those of others, in place of earlier ones of the same stage."""
    plan = _plan(project, name, at, waves)
    if not dry_run:
        project.prepare()
        if way == "systemd":
            write_units(plan.units)
        else:
            write_crontab(with_lines(read_crontab(), plan.tag, plan.lines))
    return _report(project, plan, way, installed=not dry_run)


def remove(project: Project, name: str | None = None, *, way: Way = "cron", dry_run: bool = False) -> list[str]:
    """Take our lines of this stage out; no other line is touched. What was (or would be) taken out."""
    plan = _plan(project, name, (), 2)
    if way == "systemd":
        return sorted(read_units(plan.unit)) if dry_run else remove_units(plan.unit)
    table = read_crontab()
    ours = [line for line in table.splitlines() if is_ours(line, plan.tag)]
    if ours and not dry_run:
        write_crontab(with_lines(table, plan.tag, ()))
    return ours


def _plan(project: Project, name: str | None, at: Sequence[str], waves: int) -> _Plan:
    stage = project.stage(name)
    windows = windows_of(project, stage)
    proposed = _at(at) if at else _proposed(windows, waves)
    zone = windows[0].place if windows and not at else ZoneInfo("UTC")
    verb = ["wave", stage.name] if windows else ["run", stage.name, "--yes"]
    command = command_line(
        str(project.root), [sys.executable, "-m", "seedbed", *verb], str(project.folder.relative_to(project.root) / LOG)
    )
    mark = digest("schedule", str(project.root), stage.name)[:8]
    return _Plan(
        stage,
        f"{mark} {stage.name}",
        f"seedbed-{mark}",
        [_moved(fire, zone, UTC) for fire in proposed],
        [_moved(fire, zone, None) for fire in proposed],
        command,
    )


def _at(texts: Sequence[str]) -> list[Fire]:
    times = [parse_reset(text, "--at") for text in texts]
    return [Fire(each.minute, each.hour, each.weekday) for each in times]


def _proposed(windows: Sequence[Window], waves: int) -> list[Fire]:
    """Waves after each reset of the first window that has one; each hour where a window begins with its first call."""
    if waves < 1:
        raise UsageError("--waves begins at 1")
    if not windows:
        return [Fire(DAILY.minute, DAILY.hour)]
    for window in windows:
        if found := fires(window, waves):
            return [Fire(each.minute, each.hour, each.weekday) for each in found]
    return [Fire(HOURLY)]


def _moved(fire: Fire, zone: ZoneInfo, to: tzinfo | None) -> Fire:
    """The same moment on another clock, as it is these days; None is the clock of this machine."""
    if fire.hour is None:
        return fire
    today = datetime.fromtimestamp(now_ms() / 1000, zone)
    days = 0 if fire.weekday is None else (fire.weekday - today.weekday()) % 7
    moment = today.replace(hour=fire.hour, minute=fire.minute, second=0, microsecond=0) + timedelta(days=days)
    there = moment.astimezone(to)
    return Fire(there.minute, there.hour, None if fire.weekday is None else there.weekday())


def _installed(plan: _Plan, way: Way) -> bool:
    if way == "systemd":
        return read_units(plan.unit) == plan.units
    try:
        table = read_crontab()
    except UsageError:
        return False
    return [line for line in table.splitlines() if is_ours(line, plan.tag)] == plan.lines


def _report(project: Project, plan: _Plan, way: Way, *, installed: bool) -> ScheduleReport:
    return ScheduleReport(
        stage=plan.stage.name,
        utc=[_words(fire) for fire in plan.utc],
        local=[_words(fire) for fire in plan.local],
        zone=datetime.fromtimestamp(now_ms() / 1000).astimezone().tzname() or "local",
        command=plan.command,
        lines=plan.lines,
        units=plan.units,
        fires=[utc_text(moment) for moment in islice(_coming(plan.utc), 4)],
        installed=installed,
        way=way,
        notes=list(_notes(project, plan)),
    )


def _words(fire: Fire) -> str:
    if fire.hour is None:
        return f"each hour at minute {fire.minute}"
    return str(Reset(fire.hour, fire.minute, fire.weekday))


def _coming(utc: Sequence[Fire]) -> Iterator[int]:
    """Unix milliseconds of the coming fires."""
    now = datetime.fromtimestamp(now_ms() / 1000, UTC)
    moment = now.replace(second=0, microsecond=0)
    for _ in range(15 * 24 * 60):
        moment += timedelta(minutes=1)
        if any(
            fire.minute == moment.minute
            and fire.hour in (None, moment.hour)
            and fire.weekday in (None, moment.weekday())
            for fire in utc
        ):
            yield round(moment.timestamp() * 1000)


def _notes(project: Project, plan: _Plan) -> Iterator[str]:
    """What would keep a scheduled wave from working, found now and not at night."""
    stage = plan.stage
    if not stage.calls_model:
        return
    provider = project.model_for(stage).partition("/")[0]
    for key in configuration(project).keys:
        if key.provider == provider and key.found == "the environment":
            yield f"The key {key.variable} is only in this shell, and a scheduler has none. Write it into .env.local."
