"""How the usage windows of a stage's account stand: what was used of them, by the books, and what may still be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.programs import is_program
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.reports import PlanReport, WindowReport
from seedbed.errors import ConfigError
from seedbed.policy.windows import (
    Span,
    Unit,
    Use,
    Window,
    done_at,
    learned_capacity,
    next_fires,
    parse_window,
    windows_needed,
)
from seedbed.ports.state import State
from seedbed.stage import Stage

KEPT = 30
"""So many closings are remembered."""


@dataclass(frozen=True)
class WindowStanding:
    """One window at a moment. Times are Unix seconds; amounts are in its unit, money in 10⁻⁹ USD.

    ``allowed`` is the share of the capacity, None where nothing but the provider bounds it; ``expected`` is what is
    likely to be used of a window, None while no capacity is known. ``closed_until``: the provider closed
    it, or it is switched off or quiet until then (``closed`` says which).
    """

    window: Window
    span: Span
    used: int
    capacity: int | None
    learned: bool
    share: float
    allowed: int | None
    expected: int | None
    closed: str = ""
    closed_until: float | None = None
    probe: bool = False
    """The provider closed it before this span: whether it is open again is asked with one item first."""

    @property
    def room(self) -> int | None:
        return None if self.allowed is None else max(0, self.allowed - self.used)

    def next_fire(self, now: float) -> float | None:
        """When a wave can go on: at a fire with room, after what closes it. None for one that is off."""
        if not self.window.on:
            return None
        earliest = max(now, self.closed_until or now)
        if self.room == 0 or self.closed == "closed":
            earliest = max(earliest, self.span.end or now)
        return next(fire for fire in next_fires(self.window, earliest - 1) if fire >= earliest)


def windows_of(project: Project, stage: Stage) -> list[Window]:
    """The windows of the account that the stage's model goes through. Raises ConfigError for one that is wrong."""
    every = [parse_window(name, table) for name, table in sorted(project.settings.table("windows").items())]
    names = accounts_of(project, project.model_for(stage))
    mine = [window for window in every if window.account in names]
    if is_program(project.settings, names[0]) and (counting := [w for w in mine if w.unit == "tokens"]):
        raise ConfigError(
            f"[windows.{counting[0].name}] is in tokens, and {names[0]} is a program, which counts no tokens.",
            hint="State the capacity in items or calls.",
        )
    return mine


def accounts_of(project: Project, model: str) -> tuple[str, ...]:
    """Names by which a window may mean a model: its provider's, and that of the account it goes through."""
    name = model.partition("/")[0]
    try:
        return (name, project.account(name).name)
    except ConfigError:  # a model of earlier days, whose provider is not known any more
        return (name,)


def standing_of(
    project: Project, state: State, window: Window, now: float, share: float | None = None
) -> WindowStanding:
    """How a window stands at ``now``; ``share`` in place of its own."""
    kept = remembered(state, window)
    span = window.span(now, kept.get("begun"))
    share = window.share if share is None else share
    learned = learned_capacity([each["used"] for each in kept["closings"] if each["unit"] == window.unit])
    capacity = window.capacity if window.capacity is not None else learned
    found = WindowStanding(
        window, span, use_of(project, state, window, span, now).of(window.unit), capacity,
        window.capacity is None and learned is not None, share, window.allowed(share, learned),
        window.expected(share, learned),
    )  # fmt: skip
    if not window.on:
        return replace(found, closed="off")
    if (quiet := window.quiet_until(now)) is not None:
        return replace(found, closed="quiet", closed_until=quiet)
    last = kept["closings"][-1] if kept["closings"] else None
    if last is None or last["open_again"]:
        return found
    until = last["until"] or last["end"]
    if until is not None and now < until:
        return replace(found, closed="closed", closed_until=until)
    return replace(found, probe=True)


def use_of(project: Project, state: State, window: Window, span: Span, now: float) -> Use:
    """By the books, over all runs and waves: whatever was asked of the account's models since the span began."""
    if span.end is None:
        return Use()
    found = Use()
    for each in state.used_between(round(span.start * 1000), round(max(now + 1, span.end) * 1000)):
        if window.account in accounts_of(project, each.model):
            found = Use(
                found.items + each.items, found.calls + each.calls, found.tokens + each.tokens, found.money + each.nano
            )
    return found


# ------------------------------------------------------------------------------------- what is kept


def remembered(state: State, window: Window) -> dict[str, Any]:
    """When the window of a period began, and each time the provider closed it."""
    kept: Mapping[str, Any] = state.note(f"window.{window.name}") or {}
    return {"begun": kept.get("begun"), "closings": list(kept.get("closings", ()))}


def begin(state: State, window: Window, now: float) -> None:
    """The first call of a ``period`` opens a window."""
    kept = remembered(state, window)
    if window.period is not None and window.span(now, kept["begun"]).end is None:
        state.note(f"window.{window.name}", {**kept, "begun": now})


def note_closing(state: State, standing: WindowStanding, used: int, now: float, after: float | None) -> None:
    """The provider closed it when so much had been used. Within one span the largest figure counts."""
    window, span = standing.window, standing.span
    kept = remembered(state, window)
    earlier = [each for each in kept["closings"] if each["start"] == span.start]
    closing = {
        "start": span.start,
        "end": span.end,
        "at": now,
        "until": None if after is None else now + after,
        "used": max([used, *(each["used"] for each in earlier)]),
        "unit": window.unit,
        "open_again": False,
    }
    others = [each for each in kept["closings"] if each["start"] != span.start]
    state.note(f"window.{window.name}", {**kept, "closings": [*others, closing][-KEPT:]})


def note_open(state: State, window: Window) -> None:
    """An answer came after a closing: the window is open."""
    kept = remembered(state, window)
    if kept["closings"] and not kept["closings"][-1]["open_again"]:
        kept["closings"][-1]["open_again"] = True
        state.note(f"window.{window.name}", kept)


# ------------------------------------------------------------------------------------------ the rest


@dataclass(frozen=True)
class Outlook:
    """How many more windows and waves it takes, and until when. None where that is not known yet."""

    windows: int | None
    done_by: float | None
    next_wave: float | None


def outlook(standing: WindowStanding, left: int, per_item: float | None, now: float) -> Outlook:
    """``left`` items that use ``per_item`` of the window's unit each, where that is known."""
    expected = standing.expected
    if expected is None or per_item is None or left == 0:
        return Outlook(0 if left == 0 else None, None, standing.next_fire(now) if left else None)
    first = 0 if standing.closed else max(0, expected - standing.used)
    windows = windows_needed(math.ceil(left * per_item) - first, expected) or 0
    windows += 1 if first else 0
    coming = standing.next_fire(now)
    if coming is None:
        return Outlook(windows, None, None)
    return Outlook(windows, done_at(standing.window, coming - 1, windows), coming)


def per_item(state: State, models: Sequence[str], unit: Unit) -> float | None:
    """How much of a unit an item has used so far, over all that was asked of the models; None where nothing was."""
    if unit == "items":
        return 1.0
    uses = [each for each in state.used_between(0, 1 << 62) if each.model in models]
    items = sum(each.items for each in uses)
    total = sum(Use(each.items, each.calls, each.tokens, each.nano).of(unit) for each in uses)
    return total / items if items else None


def report_of(standing: WindowStanding, rest: Outlook) -> WindowReport:
    return WindowReport(
        name=standing.window.name,
        unit=standing.window.unit,
        capacity=standing.capacity,
        learned=standing.learned,
        share=standing.share,
        allowed=standing.allowed,
        used=standing.used,
        ends=utc_moment(standing.span.end),
        closed=standing.closed,
        closed_until=utc_moment(standing.closed_until),
        waves_left=rest.windows,
        done_by=utc_moment(rest.done_by),
        next_wave=utc_moment(rest.next_wave),
    )


def windows_now(project: Project, state: State, stage: Stage, left: int) -> tuple[WindowReport, ...]:
    """The windows of a stage with ``left`` missing items, as they stand."""
    windows = windows_of(project, stage) if stage.calls_model else []
    now = now_ms() / 1000
    found = []
    for window in windows:
        standing = standing_of(project, state, window, now)
        use = per_item(state, [project.model_for(stage)], window.unit)
        found.append(report_of(standing, outlook(standing, left, use, now)))
    return tuple(found)


def windows_planned(project: Project, state: State, stage: Stage, plan: PlanReport) -> int | None:
    """How many windows a plan takes, the present one included; None where none is set or its capacity not known."""
    if not stage.calls_model or not plan.items:
        return None
    now = now_ms() / 1000
    planned = {"items": plan.items, "calls": plan.calls, "tokens": plan.tokens_in + plan.tokens_out_high,
               "money": plan.cost_high}  # fmt: skip
    needed = []
    for window in windows_of(project, stage):
        amount = planned[window.unit]
        use = None if amount is None else amount / plan.items
        needed.append(outlook(standing_of(project, state, window, now), plan.items, use, now).windows)
    known = [each for each in needed if each is not None]
    return max(known) if known else None


def utc_moment(moment: float | None) -> str | None:
    return None if moment is None else utc_text(round(moment * 1000))
