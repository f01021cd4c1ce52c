"""A wave: a run that uses no more than a share of a usage window, and ends with the time of the next one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from seedbed.engine.lifecycle import EVERYTHING, FREELY, Running, Spend, buy, running, upload, validate
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.looks.windows import (
    WindowStanding,
    accounts_of,
    begin,
    note_closing,
    note_open,
    outlook,
    per_item,
    report_of,
    standing_of,
    utc_moment,
    windows_of,
)
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import GenerateReport, UploadReport, ValidateReport, WindowReport
from seedbed.engine.work.rounds import Derivation, Scope
from seedbed.errors import GateError, LimitReached, Pause, SeedbedError, UsageError, WindowUsed
from seedbed.policy.windows import Window, parse_share
from seedbed.ports.state import State
from seedbed.stage import Stage

CAUTION = 2
"""Where items differ in what they use, a wave asks for half of what seems to fit, again and again."""


@dataclass
class WaveReport:
    """``state``: *prepared* (a dry run), *paused* (something is left), *complete* (nothing is).

    ``items`` and ``batches`` are what the wave would ask; ``left`` is missing when it ended.
    """

    stage: str
    state: str
    items: int = 0
    batches: int = 0
    left: int = 0
    windows: tuple[WindowReport, ...] = ()
    next_wave: str | None = None
    generated: list[GenerateReport] = field(default_factory=list)
    uploaded: UploadReport | None = None
    validated: ValidateReport | None = None
    error: SeedbedError | None = None

    @property
    def settled(self) -> int:
        return sum(each.settled for each in self.generated)


def wave(
    project: Project,
    name: str | None = None,
    scope: Scope = EVERYTHING,
    spend: Spend = FREELY,
    *,
    share: str = "",
    dry_run: bool = False,
) -> WaveReport:
    """Ask for what is missing within the share of the account's windows; upload and check it once nothing is left.

    ``share`` as ``75%`` in place of the window's own. What keeps it from going on is in ``error``: a WindowUsed or
    another Pause with the time of the next wave. Raises GateError for a window that is switched off, UsageError for a
    share without a window, Locked while another wave of the stage or the window runs.
    """
    stage = project.stage(name)
    windows = windows_of(project, stage)
    wanted = parse_share(share, "--window") if share else None
    if wanted is not None and not windows:
        account = accounts_of(project, project.model_for(stage))[0]
        raise UsageError(
            f"No window is set for the account {account}, so it has no share.",
            hint="Set [windows.night] with account, reset and capacity, or say --limit N.",
        )
    with ExitStack() as held:
        if not dry_run:
            for window in windows:
                held.enter_context(project.locks().in_window(window.name))
        work = _Wave(project, stage, windows, scope, spend, wanted)
        return work.prepared() if dry_run else work.run()


@dataclass
class _Wave:
    project: Project
    stage: Stage
    windows: Sequence[Window]
    scope: Scope
    spend: Spend
    share: float | None

    def prepared(self) -> WaveReport:
        """How many items and batches a wave would ask, or that nothing is left. Sends and writes nothing."""
        with looking(self.project) as look:
            missing = self._missing(look)
            standings = self._standings(look.state)
            fits = self._fits(look.state, standings)
        items = _least(missing, fits, self.scope.limit) or 0
        report = WaveReport(
            self.stage.name, "prepared" if missing else "complete", items, self._batches(items), missing
        )
        return self._told(report, standings, missing)

    def run(self) -> WaveReport:
        with looking(self.project) as look:
            missing = self._missing(look)
            standings = self._standings(look.state)
        for each in standings:
            if each.closed == "off":
                raise GateError(
                    f"The window {each.window.name} is switched off, so no wave runs in it.",
                    hint=f"Set [windows.{each.window.name}] on = true, or by hand: seedbed run {self.stage.name}",
                )
        report = WaveReport(self.stage.name, "paused", left=missing)
        if missing:
            report.error = self._closed(standings)
            if report.error is None:
                self._work(report)
            with looking(self.project) as look:
                missing = report.left = self._missing(look)
                standings = self._standings(look.state)
        self._told(report, standings, missing)
        if not missing and report.error is None:
            report.state = "complete"
            self._complete(report)
        elif missing and (report.error is None or isinstance(report.error, LimitReached)):
            report.error = self._pause(report, standings)
        return report

    # ------------------------------------------------------------------------------ before it starts

    def _missing(self, look: Look) -> int:
        bound = look.bound(self.stage)
        model = self.project.model_for(self.stage)
        scope = replace(self.scope, limit=None)
        derivation = Derivation(look.corpus, look.state, bound, scope, model, bare=True)
        return sum(len(found.items) for found in derivation.pages())

    def _standings(self, state: State) -> list[WindowStanding]:
        now = now_ms() / 1000
        return [standing_of(self.project, state, window, now, self.share) for window in self.windows]

    def _closed(self, standings: Sequence[WindowStanding]) -> SeedbedError | None:
        """Why nothing is sent at all."""
        for each in standings:
            if each.closed == "quiet":
                return WindowUsed(
                    f"The window {each.window.name} has its quiet hours until {utc_moment(each.closed_until)}."
                )
            if each.closed == "closed":
                return WindowUsed(
                    f"The provider has closed the window {each.window.name} until {utc_moment(each.closed_until)}.",
                    why="Nothing was sent.",
                )
            if each.room == 0:
                return WindowUsed(
                    f"{each.used:,} of {each.allowed:,} {each.window.unit} of the window {each.window.name} are used"
                    f" ({each.share:.0%} of {each.capacity:,}).",
                    why="Nothing was sent.",
                )
        return None

    def _batches(self, items: int) -> int:
        return -(-items // self.stage.per_call)

    # ----------------------------------------------------------------------------------- at work

    def _work(self, report: WaveReport) -> None:
        """Slices of items until the room of each window, the limit, or what is missing is used up."""
        with running(self.project, "wave", self.stage.name, self.spend) as frame:
            bound = self.project.bound(self.stage, frame.corpus, frame.state)
            while (count := self._slice(report, frame.state)) != 0:
                before = self._standings(frame.state)
                for each in before:
                    begin(frame.state, each.window, now_ms() / 1000)
                one = buy(self.project, frame, bound, replace(self.scope, limit=count))
                report.generated.append(one)
                self._note(frame, bound, before, one)
                if one.error is not None:
                    report.error = one.error
                    return
                if not one.settled:
                    return

    def _slice(self, report: WaveReport, state: State) -> int | None:
        """How many items to ask for next; None without bound."""
        left = None if self.scope.limit is None else max(0, self.scope.limit - report.settled)
        standings = self._standings(state)
        fits = self._fits(state, standings)
        if fits and any(each.window.unit != "items" for each in standings):
            fits = max(1, fits // CAUTION)
        if any(each.probe for each in standings):
            fits = 1 if fits is None else min(1, fits)
        return _least(left, fits)

    def _fits(self, state: State, standings: Sequence[WindowStanding]) -> int | None:
        """Items for which each window has room, at what an item has used so far; one, where that is not known."""
        model = self.project.model_for(self.stage)
        rooms = []
        for each in standings:
            if each.room is not None:
                use = per_item(state, [model], each.window.unit)
                rooms.append(int(each.room / use) if use else min(1, each.room))
        return _least(*rooms)

    def _note(self, frame: Running, bound: BoundStage, before: Sequence[WindowStanding], one: GenerateReport) -> None:
        """What the provider's answers say of its windows."""
        error = one.error
        closed = isinstance(error, LimitReached) and error.window
        for earlier, now in zip(before, self._standings(frame.state), strict=True):
            if closed:
                after = error.after if isinstance(error, LimitReached) else None
                note_closing(frame.state, earlier, now.used, now_ms() / 1000, after)
            elif one.calls and one.settled:
                note_open(frame.state, earlier.window)

    # ------------------------------------------------------------------------------------- at its end

    def _complete(self, report: WaveReport) -> None:
        report.uploaded = upload(self.project, self.stage.name, Scope(part=self.scope.part), self.spend)
        report.validated = validate(self.project, self.stage.name)

    def _told(self, report: WaveReport, standings: Sequence[WindowStanding], missing: int) -> WaveReport:
        now = now_ms() / 1000
        model = self.project.model_for(self.stage)
        found, coming = [], []
        with looking(self.project) as look:
            for each in standings:
                rest = outlook(each, missing, per_item(look.state, [model], each.window.unit), now)
                if rest.next_wave is not None:
                    coming.append(rest.next_wave)
                found.append(report_of(each, rest))
        report.windows = tuple(found)
        report.next_wave = utc_moment(max(coming)) if coming and missing else None
        return report

    def _pause(self, report: WaveReport, standings: Sequence[WindowStanding]) -> Pause:
        """The wave has done its part; the rest waits for the next one."""
        earlier = report.error
        words = (
            f"{report.left:,} items are left after {report.settled:,} of this wave."
            if earlier is None
            else earlier.what
        )
        at = f"The next wave can start at {report.next_wave}." if report.next_wave else ""
        said = earlier.why if earlier else ""
        why = " ".join(part for part in (said if said.endswith((".", "!")) or not said else f"{said}.", at) if part)
        hint = f"Nothing is to be done by hand where it is scheduled: seedbed schedule show {self.stage.name}"
        return WindowUsed(words, why=why, hint=hint)


def _least(*bounds: int | None) -> int | None:
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known else None
