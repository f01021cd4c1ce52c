"""How things stand: counts per stage, who works, when it will be done, what needs a person, what comes next.

What is counted how, so that the figures are exact and a look stays cheap (promise 6):

- *settled* (``done``) comes from counts that the state keeps in the very transactions that change outcomes;
  ``audit`` counts the same from the outcomes themselves.
- *missing* is an anti-join: the eligible rows of the corpus, page by page, without those that have an outcome. It
  is never a subtraction. The figure is remembered, and taken again without a look at the rows, as long as
  neither the corpus' files nor the set of settled items have changed since.
- ``total`` = settled + missing: all items that the stage ever had to do, as far as they are known now.
- *spent* is the till's, from sums that it keeps; None where the price of a call is unknown.
- *corrupt* are the receipts that the last ``receipts verify`` named, and those among the receipts not settled yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seedbed.engine.looks.books import unbounded
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.looks.windows import windows_now
from seedbed.engine.missing import Counted, mark_of, recalled, remember
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.reports import StageStatus, StatusReport
from seedbed.engine.work.gate import GateStatus, gate_status, signature_facts
from seedbed.engine.work.rounds import Derivation, Scope
from seedbed.errors import AuthError, ConfigError
from seedbed.ports.state import RunRow, Spending, Tally
from seedbed.records import Request, usd
from seedbed.stage import Stage

BETWEEN_LOOKS = 1.0
"""Seconds from one look of ``watch`` to the next, at least."""
SHARE_OF_TIME = 10
"""A look that took long is followed by a rest so many times as long."""
RECENT_MS, LONGER_MS, ENOUGH = 60_000, 600_000, 20
"""The rate is that of the last minute, or of ten where the last one settled fewer than 20."""
CORRUPT = "receipts.corrupt"
"""The note in which ``receipts verify`` leaves the names of what is damaged."""


def status(project: Project, target: str | None = None) -> StatusReport:
    """How a stage, or each stage of the project, stands at this moment (000.22).

    Of stages that are worked by name only, those are among them that were begun.
    """
    with looking(project) as look:
        stages = project.stages(target)
        counts: dict[str, Counted] = {}
        with look.state.snapshot():
            standing, money = look.state.standing(), look.state.money()
            if target is None or target == project.pipeline.name:
                stages += [stage for stage in project.pipeline.stages if stage.by_name and stage.name in standing]
            for stage in stages:
                settled = standing.get(stage.name, Tally()).settled
                calls = money[stage.name].calls if stage.name in money else 0
                counts[stage.name] = count_missing(look, stage, settled, calls)
            report = _report(look, target, stages, counts, standing, money)
        for stage in stages:
            remember(project, look.state, stage, counts[stage.name])
        return report


def _report(
    look: Look,
    target: str | None,
    stages: Sequence[Stage],
    counts: Mapping[str, Counted],
    standing: Mapping[str, Tally],
    money: Mapping[str, Spending],
) -> StatusReport:
    each = [
        replace(
            _stage(stage, counts[stage.name], standing.get(stage.name, Tally()), money.get(stage.name)),
            windows=windows_now(look.project, look.state, stage, counts[stage.name].missing),
        )
        for stage in stages
    ]
    gates = _gates(look, stages)
    newest = look.state.runs(limit=1)
    per_minute = _per_minute(look)
    cap = look.project.settings.get("budget", "project")
    report = StatusReport(
        project=look.project.name,
        at=utc_text(),
        stages=each,
        spent=sum(spending.nano for spending in money.values()),
        doubtful=sum(spending.doubtful for spending in money.values()),
        unknown_prices=sum(spending.unknown for spending in money.values()),
        cap=None if cap is None else int(cap),
        corrupt=len(_corrupt(look, stages)),
        running=_running(look),
        eta_seconds=_eta(look, each, per_minute),
        per_minute=per_minute,
        needs=(),
        next=(),
        last=_run(newest[0]) if newest else None,
        unbounded=unbounded(look.project, [look.project.model_for(stage) for stage in stages]),
        signatures=[signature_facts(gate.signature) for gate in gates.values() if gate.signature is not None],
    )
    waiting = [gate for name, gate in gates.items() if not gate.open and counts[name].missing]
    needs = (*(f"{gate.why} Next: {gate.next}" for gate in waiting), *_needs(look.project, stages, standing, report))
    return replace(report, needs=needs, next=tuple(_next(look.project, report, target, waiting)))


def _gates(look: Look, stages: Sequence[Stage]) -> dict[str, GateStatus]:
    """How the gates of gated stages stand, and the signatures of others that have one."""
    found = {}
    for stage in stages:
        if stage.gate or look.state.signature(stage.name) is not None:
            gate = gate_status(look.bound(stage), look.project.model_for(stage), look.state, now_ms())
            found[stage.name] = gate if stage.gate else replace(gate, open=True)
    return found


def watch(
    project: Project, target: str | None = None, *, wait: Callable[[float], None] = time.sleep
) -> Iterator[StatusReport]:
    """The status, again and again until nothing runs; the last one tells how it ended. Rests in between."""
    while True:
        began = time.monotonic()
        report = status(project, target)
        yield report
        if not report.running:
            return
        wait(max(BETWEEN_LOOKS, SHARE_OF_TIME * (time.monotonic() - began)))


# ---------------------------------------------------------------------------------------- a stage


def _stage(stage: Stage, counted: Counted, tally: Tally, money: Spending | None) -> StageStatus:
    done = tally.settled - counted.again
    return StageStatus(
        stage=stage.name,
        total=done + counted.missing,
        done=done,
        missing=counted.missing,
        states=dict(tally.states),
        waiting_upload=tally.uploaded.get("waiting", 0),
        spent=0 if money is None else None if money.unknown else money.nano,
    )


def count_missing(look: Look, stage: Stage, settled: int, calls: int = 0) -> Counted:
    """The missing items of a stage, of which ``settled`` items are settled and ``calls`` calls were bought."""
    mark = mark_of(look.project, stage, settled, calls)
    if known := recalled(look.state, stage, mark):
        return known
    bound = look.bound(stage)
    model = look.project.model_for(stage)
    derivation = Derivation(look.corpus, look.state, bound, Scope(), model, bare=True)
    twice = stage.on_change == "redo" or (derivation.real and look.state.has_stand_ins(stage.name))
    fresh = 0
    again: set[str] = set()
    for found in derivation.pages():
        taken = look.state.settled(stage.name, [item.key for item in found.items]) if twice else set()
        fresh += len(found.items) - len(taken)
        again |= taken
    still = mark and mark == mark_of(look.project, stage, settled, calls)
    return Counted(fresh + len(again), len(again), mark if still else "")


def _corrupt(look: Look, stages: Sequence[Stage]) -> set[str]:
    if not look.project.started:
        return set()
    found = set(look.state.note(CORRUPT) or ())
    for stage in stages:
        for purchase in look.receipts.purchases(look.state.marks(stage.name), stage=stage.name):
            if purchase.corrupt:
                intent = purchase.intent
                keys = [item.key for item in intent.items]
                if not keys or set(keys) - look.state.settled_in_round(intent.round, stage.name, keys):
                    found.add(intent.id)
    return found


# ------------------------------------------------------------------------------------- who works


def _running(look: Look) -> list[dict[str, Any]]:
    """Runs that are under way and the locks that are held, by process."""
    if not look.project.started:
        return []
    locks: dict[tuple[Any, Any], list[str]] = {}
    owners: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    for held in look.project.locks().held():
        who = (held.get("pid"), held.get("host"))
        locks.setdefault(who, []).append(str(held["lock"]))
        owners[who] = held
    out = []
    for row in reversed(look.state.runs(limit=1000, status="running")):
        mine = locks.pop((row.pid, row.host), [])
        out.append({**_who(row), "locks": mine})
    for who, names in locks.items():
        owner = owners[who]
        out.append(
            {"run": None, "command": owner.get("command"), "target": None, "pid": who[0], "host": who[1],
             "since": owner.get("since"), "locks": names}
        )  # fmt: skip
    return out


def _who(row: RunRow) -> dict[str, Any]:
    return {
        "run": row.id,
        "command": row.command,
        "target": row.target,
        "pid": row.pid,
        "host": row.host,
        "since": utc_text(row.started),
    }


def _run(row: RunRow) -> dict[str, Any]:
    return {
        **_who(row),
        "status": row.status,
        "finished": utc_text(row.finished) if row.finished else None,
        "exit_code": row.exit_code,
        "message": row.message,
        "page": row.page or None,
    }


def _per_minute(look: Look) -> float | None:
    """Items that the running runs settle a minute, at their rate of late."""
    rate = 60 * sum(_rate(look, row.id) for row in look.state.runs(limit=1000, status="running"))
    return round(rate, 1 if rate >= 10 else 3) or None


def _eta(look: Look, stages: Sequence[StageStatus], per_minute: float | None) -> float | None:
    """Seconds until what is missing in the stages of the running runs is settled, at their rate of late."""
    if not per_minute:
        return None
    targets = {row.target for row in look.state.runs(limit=1000, status="running")}
    names = {stage.name for target in targets for stage in _stages_of(look.project, target)}
    left = sum(stage.missing for stage in stages if stage.stage in names)
    return round(60 * left / per_minute, 1)


def _stages_of(project: Project, target: str) -> list[Stage]:
    try:
        return project.stages(target)
    except ConfigError:  # a run of a stage that is no longer defined
        return []


def _rate(look: Look, run: str) -> float:
    """Items a second."""
    now = now_ms()
    for window in (RECENT_MS, LONGER_MS):
        count, first = look.state.pace(run, now - window)
        if count >= ENOUGH or (count and window == LONGER_MS):
            return count * 1000 / max(1, now - first)
    return 0.0


# ------------------------------------------------------------------------- what to do about it


def _needs(
    project: Project, stages: Sequence[Stage], standing: Mapping[str, Tally], report: StatusReport
) -> Iterator[str]:
    """What only a person can do something about, each a sentence with its command."""
    if report.corrupt:
        yield f"{report.corrupt:,} receipts are damaged. See them with: seedbed receipts verify"
    if report.cap is not None and report.spent >= report.cap:
        yield f"The project has spent {usd(report.spent)} of its cap of {usd(report.cap)}. Raise [budget] project."
    if report.unknown_prices:
        yield f"The price of {report.unknown_prices:,} calls is unknown. Name it in [prices]; see: seedbed cost"
    if report.doubtful:
        yield f"{usd(report.doubtful)} are held for calls that may have been paid. See: seedbed cost"
    if not report.running and report.last and report.last["status"] == "failed":
        yield f"The last run failed: {report.last['message']} See: seedbed report"
    missing = {each.stage for each in report.stages if each.missing}
    yield from dict.fromkeys(problem for s in stages if s.name in missing for problem in _no_key(project, s))
    for stage in stages:
        fates = standing.get(stage.name, Tally()).uploaded
        if left := sum(fates.get(fate, 0) for fate in ("drifted", "vanished", "refused")):
            yield f"{left:,} answers of {stage.name} were not written. See: seedbed records {stage.name}"


def _no_key(project: Project, stage: Stage) -> list[str]:
    if not stage.calls_model:
        return []
    try:
        project.target_for(project.model_of(Request(stage.tier, (), model=stage.model)))
    except (AuthError, ConfigError) as error:
        return [f"{error.what} {error.hint}".strip()]
    return []


def _next(project: Project, report: StatusReport, target: str | None, waiting: Sequence[GateStatus] = ()) -> list[str]:
    name = f" {target}" if target else ""
    bad = sum(count for each in report.stages for state, count in each.states.items() if state != "accepted")
    if report.running:
        return ["seedbed watch"]
    if report.corrupt:
        return ["seedbed receipts verify"]
    found = []
    found += [gate.next for gate in waiting]
    shut = {gate.stage for gate in waiting}
    worked = {stage.name for stage in project.stages(target)}
    if any(each.missing for each in report.stages if each.stage in worked - shut):
        if report.last is None:
            found.append(f"seedbed plan{name}")
        found.append(f"seedbed run{name}")
    found += [f"seedbed upload {each.stage}" for each in report.stages if each.waiting_upload]
    if bad:
        found.append(f"seedbed bad{name}")
    return found or ["seedbed report"]
