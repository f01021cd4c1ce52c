"""The books: what was spent on what, what each run came to, and the releases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from seedbed.engine.logs import page_facts
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.projects.caps import zone_of
from seedbed.engine.projects.project import Project, utc_text
from seedbed.errors import UsageError, nearest
from seedbed.policy.purses import day_of
from seedbed.ports.state import Release, RunRow, Spending
from seedbed.ports.state.leases import QUARTER
from seedbed.records import Usage

FIELDS = ("stage", "step", "model", "served", "key", "state", "run", "day", "kind")
FREE = ": no model"
"""The step of a stage that works without one."""
ELSEWHERE = "archived or not here"
"""Money of calls whose receipts are not in the project: nobody here can say which step they were."""
NO_OUTCOME = "no outcome"
"""Money of calls that no outcome counts: in doubt, or of items that are still asked."""
NOTHING = Spending((), 0, 0, 0, 0, Usage())


@dataclass(frozen=True)
class Cost:
    """Money by one field. ``cap`` is the project's over all runs, None where it has none.

    ``unbounded`` are the models that were asked of whose calls nothing but a ceiling bounds the price.
    """

    by: str
    rows: Sequence[Spending]
    total: Spending
    cap: int | None
    unbounded: Sequence[str] = ()


@dataclass(frozen=True)
class ReleaseFacts:
    release: Release
    counts: Mapping[str, int]


@dataclass(frozen=True)
class RunLine:
    """A run in the log. ``spent`` is None where a price is unknown."""

    run: RunRow
    calls: int
    spent: int | None


@dataclass(frozen=True)
class Log:
    """The newest runs, newest first. ``index`` is the month's page, "" where there is none yet."""

    runs: Sequence[RunLine]
    index: str


def cost(project: Project, by: str = "stage") -> Cost:
    """What was spent, from the till: each call once, those in doubt at what was reserved for them."""
    if by not in FIELDS:
        raise UsageError(f"money cannot be grouped by {by!r}", hint=nearest(by, FIELDS))
    with looking(project) as look:
        total = look.state.spending()
        cap = project.settings.get("budget", "project")
        found = _rows(project, look, by, total[0] if total else NOTHING)
        rows = [row for row in found if row.calls or row.nano or row.group[0].endswith(FREE)]
        asked = [row.group[0] for row in look.state.spending(["model"])]
        sums = total[0] if total else NOTHING
        return Cost(by, rows, sums, None if cap is None else int(cap), unbounded(project, asked))


def unbounded(project: Project, models: Iterable[str]) -> tuple[str, ...]:
    """The models for which a cap is *not guaranteed*: a person named a ceiling, and nothing else bounds a call."""
    prices = project.prices
    return tuple(sorted({m for m in models if prices.ceiling(m) is not None and not prices.guaranteed(m, 1)}))


def _rows(project: Project, look: Look, by: str, total: Spending) -> list[Spending]:
    if by == "day":
        return _days(look, zone_of(project))
    if by == "state":
        return _states(look, total)
    if by == "step":
        return _steps(look, total)
    return look.state.spending(["account" if by == "key" else by])


def _days(look: Look, zone: tzinfo) -> list[Spending]:
    """By the days that a cap of the day counts."""
    days: dict[str, list[Spending]] = {}
    for row in look.state.spending(["quarter"]):
        days.setdefault(str(day_of(int(row.group[0]) * QUARTER, zone)), []).append(row)
    return [_sum(day, rows) for day, rows in sorted(days.items())]


def _states(look: Look, total: Spending) -> list[Spending]:
    """What the items of each state cost. What remains of all money is of calls that no outcome counts."""
    rows = look.state.cost_of_states()
    known = _sum("", rows)
    tokens = zip(_tokens(total.usage), _tokens(known.usage), strict=True)
    rest = Spending(
        (NO_OUTCOME,), total.nano - known.nano, total.doubtful, max(0, total.unknown - known.unknown), 0,
        Usage(*(max(0, all_ - some) for all_, some in tokens)),
    )  # fmt: skip
    return [*rows, rest]


def _steps(look: Look, total: Spending) -> list[Spending]:
    """By the calls that a stage makes, by their names; those of a stage with one prompt are its answers."""
    steps: dict[str, Spending] = {}
    for page in look.receipts.names() if look.project.started else ():
        named = {intent: f"{stage}: {name}" for intent, stage, name in page}
        for row in look.state.spending(["intent"], intents=list(named)):
            name = named[row.group[0]]
            steps[name] = _sum(name, [steps.get(name, NOTHING), row])
    for stage, tally in look.state.standing().items():
        if tally.settled and stage in {each.name for each in look.project.pipeline.stages if not each.calls_model}:
            steps[stage + FREE] = _sum(stage + FREE, [])
    known = _sum("", list(steps.values()))
    rest = Spending(
        (ELSEWHERE,), total.nano - known.nano, total.doubtful - known.doubtful, total.unknown - known.unknown,
        total.calls - known.calls,
        Usage(*(all_ - some for all_, some in zip(_tokens(total.usage), _tokens(known.usage), strict=True))),
        total.saved - known.saved,
    )  # fmt: skip
    return [*(row for _, row in sorted(steps.items())), rest]


def _sum(name: str, rows: Sequence[Spending]) -> Spending:
    return Spending(
        (name,),
        sum(row.nano for row in rows),
        sum(row.doubtful for row in rows),
        sum(row.unknown for row in rows),
        sum(row.calls for row in rows),
        sum((row.usage for row in rows), Usage()),
        sum(row.saved for row in rows),
    )


def _tokens(usage: Usage) -> tuple[int, ...]:
    return usage.input, usage.cached, usage.output, usage.reasoning


# --------------------------------------------------------------------------------------- runs


def run_page(project: Project, run: str | None = None) -> Mapping[str, Any] | None:
    """What the page of a run says (the newest without a name); None where nothing was run yet (000.69).

    A run that has ended is told as its page was written; one that is under way as it is now.
    """
    with looking(project) as look:
        row = _run(look, run)
        if row is None:
            return None
        written = _written(project, row)
        if written is None:
            written = page_facts(project, look.state, row, {})
            if row.status == "running":
                written["status"] = "running"
        return {**written, "page": row.page or None}


def _run(look: Look, name: str | None) -> RunRow | None:
    if name is None:
        newest = look.state.runs(limit=1)
        return newest[0] if newest else None
    row = look.state.run(name)
    if row is None:
        known = [each.id for each in look.state.runs(limit=50)]
        raise UsageError(f"there is no run {name}", hint=nearest(name, known[:5]))
    return row


def _written(project: Project, row: RunRow) -> dict[str, Any] | None:
    if not row.page or row.status == "running":
        return None
    try:
        facts = json.loads((project.root / row.page).with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.get("run") == row.id else None


def log(project: Project, limit: int = 20) -> Log:
    """The newest runs with calls and money (000.67)."""
    with looking(project) as look:
        rows = look.state.runs(limit=limit)
        money = {row.group[0]: row for row in look.state.spending(["run"])} if rows else {}
        lines = [_line(row, money.get(row.id, NOTHING)) for row in rows]
        index = ""
        if rows:
            path = project.logs / utc_text(rows[0].started)[:7] / "index.md"
            index = str(path.relative_to(project.root)) if path.exists() else ""
        return Log(lines, index)


def _line(row: RunRow, money: Spending) -> RunLine:
    return RunLine(row, money.calls, None if money.unknown else money.nano)


# ----------------------------------------------------------------------------------- releases


def releases(project: Project) -> list[ReleaseFacts]:
    """Each release with what it did, oldest first."""
    with looking(project) as look:
        counts = look.state.release_counts()
        return [ReleaseFacts(release, counts.get(release.id, {})) for release in look.state.releases()]
