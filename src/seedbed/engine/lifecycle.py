"""The phases, once, as functions over a stage: audit export generate upload validate recover; run performs them.

Each can be interrupted and repeated; doing it twice equals doing it once.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seedbed.crashing import point
from seedbed.engine.auditing import audit_stage, equation_of, equations_of, plan_stage, wrong_rows
from seedbed.engine.endings import finish_killed_runs
from seedbed.engine.exporting import write_lines
from seedbed.engine.forecasting import foretold
from seedbed.engine.garbage import seldom_collected
from seedbed.engine.logs import write_page
from seedbed.engine.missing import Counted, mark_now, remember
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.caps import CEILING, caps_of, signed_purses
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, new_id, this_host
from seedbed.engine.reports import (
    AuditReport,
    Equation,
    ExportReport,
    GenerateReport,
    PlanReport,
    Preview,
    RereadReport,
    RollbackReport,
    RunReport,
    StageRun,
    UploadReport,
    ValidateReport,
)
from seedbed.engine.rereading import reread_stage
from seedbed.engine.uploading import preview_upload, tables_of, upload_stage
from seedbed.engine.work.drawing import drawn, require_one_stage
from seedbed.engine.work.gate import Gate
from seedbed.engine.work.reader import UserCodeError
from seedbed.engine.work.rounds import Derivation, OpenRound, Scope, worklist_path
from seedbed.engine.work.working import Shift, export_only, work
from seedbed.engine.work.worklist import Worklist
from seedbed.errors import (
    BudgetReached,
    CeilingReached,
    EmptySelection,
    GateError,
    NotSigned,
    SeedbedError,
    UsageError,
    of_the_system,
)
from seedbed.events import Meter, PhaseEnded, RunEnded, RunStarted
from seedbed.policy.budget import Till
from seedbed.ports.corpus import Corpus
from seedbed.ports.models import Target
from seedbed.ports.refusals import of_sqlite
from seedbed.ports.state import Release, RunRow, RunStatus, Spending, State
from seedbed.records import NO_USAGE, Finding, Item, Outcome, key_text, key_values, usd
from seedbed.stage import Fills, Stage

PREVIEWS = 3
SAMPLE = 20
LEASED = 16
"""Calls that a slice of a common cap does for, at least."""


@dataclass(frozen=True)
class Spend:
    """How a run may spend. ``budget`` in 10⁻⁹ USD caps this run; None takes the project's setting.

    ``calls`` caps the requests that are paid or may be: one that was turned down without charge does not count.
    """

    budget: int | None = None
    concurrency: int | None = None
    allow_stand_in: bool = False
    allow_empty: bool = False
    calls: int | None = None


EVERYTHING = Scope()
FREELY = Spend()


# ------------------------------------------------------------------------------------- one run's frame


@dataclass
class Running:
    """A run that is under way: its shift and what its phases took."""

    shift: Shift
    corpus: Corpus
    target: str
    started: float
    passes: list[StageRun] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    cap: int | None = None
    error: SeedbedError | None = None

    @property
    def state(self) -> State:
        return self.shift.state

    @contextmanager
    def phase(self, stage: str, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self.phases[name] = self.phases.get(name, 0.0) + seconds
            self.shift.project.emit(PhaseEnded(stage, name, seconds))


@contextmanager
def running(project: Project, command: str, target: str, spend: Spend, scope: Scope = EVERYTHING) -> Iterator[Running]:
    """Open a run, close it with its status and page whatever happens inside."""
    try:
        with _opened(project, command, target, spend, scope) as frame:
            yield frame
    except OSError as error:
        raise of_the_system(error) or error from error
    except sqlite3.DatabaseError as error:
        raise of_sqlite(error, project.folder) or error from error


@contextmanager
def _opened(project: Project, command: str, target: str, spend: Spend, scope: Scope) -> Iterator[Running]:
    with ExitStack() as stack:
        stack.enter_context(seldom_collected())
        state = project.state()
        stack.callback(state.close)
        finish_killed_runs(project, state)
        corpus = project.corpus()
        stack.callback(corpus.close)
        cap = spend.budget if spend.budget is not None else project.settings.get("budget", "run")
        signed = signed_purses(project, state) if command != "pilot" else {}
        caps = caps_of(project, cap, spend.calls, signed)
        concurrency = spend.concurrency or int(project.settings.get("run", "concurrency"))
        identity = new_id("run")
        stack.enter_context(project.locks().working(identity))
        run = _open_run(project, state, identity, command, target, cap, scope)
        shift = Shift(
            project=project,
            run=run.id,
            state=state,
            receipts=project.receipts(),
            till=Till(caps.own, caps.purses, ahead=max(LEASED, concurrency)),
            meter=Meter(),
            locks=project.locks(),
            concurrency=concurrency,
            cheaper=caps.cheaper,
        )
        shift.meter.cap = run.cap
        stack.callback(shift.close)
        frame = Running(shift, corpus, target, time.monotonic(), cap=run.cap)
        project.meter = shift.meter
        project.emit(RunStarted(run.id, command, target))
        try:
            yield frame
        except BaseException as error:
            _close_run(project, frame, error)
            raise
        _close_run(project, frame, frame.error)


def _open_run(
    project: Project, state: State, identity: str, command: str, target: str, cap: int | None, scope: Scope
) -> RunRow:
    tiers = project.tiers_now()
    run = RunRow(
        id=identity,
        command=command,
        target=target,
        started=now_ms(),
        status="running",
        settings={
            "tiers": tiers,
            "corpus": project.corpus_place(),
            "command": project.command,
            "selection": scope.said(),
        },
        pid=os.getpid(),
        host=this_host(),
        cap=cap,
    )
    state.open_run(run)
    return run


def _close_run(project: Project, frame: Running, error: BaseException | None) -> None:
    code, message, status = _ending(error)
    frame.state.close_run(frame.shift.run, status, code, message, now_ms())
    row = frame.state.run(frame.shift.run)
    if row is not None:
        point("before the log page")
        path = write_page(project, frame.state, row, frame.phases, frame.shift.meter.refused)
        point("after the log page")
        frame.state.set_page(row.id, str(path.relative_to(project.root)))
    project.emit(RunEnded(frame.shift.run, status, code, message))


def _ending(error: BaseException | None) -> tuple[int, str, RunStatus]:
    if isinstance(error, OSError):
        error = of_the_system(error) or error
    if error is None:
        return 0, "", "completed"
    if isinstance(error, SeedbedError):
        going_on = error.exit_code in (4, 75, 130, 143)
        return error.exit_code, error.what, "partial" if going_on else "failed"
    if isinstance(error, KeyboardInterrupt):
        return 130, "Stopped.", "partial"
    return 1, f"{type(error).__name__}: {error}", "failed"


# -------------------------------------------------------------------------------------- looking phases


def audit(project: Project, name: str | None = None, scope: Scope = EVERYTHING) -> list[AuditReport]:
    """How a stage (or each stage of the pipeline) stands. Sends nothing, writes nothing of the user's."""
    with _looking(project) as (corpus, state):
        stages = [project.stage(name)] if name and name != project.pipeline.name else project.stages()
        require_one_stage(stages, scope)
        return [audit_stage(project, project.bound(stage, corpus, state), corpus, state, scope) for stage in stages]


def plan(project: Project, name: str | None = None, scope: Scope = EVERYTHING) -> list[PlanReport]:
    """Calls, tokens and money of what is missing, as a range."""
    with _looking(project) as (corpus, state):
        stages = [stage for stage in project.stages(name) if stage.calls_model]
        require_one_stage(stages, scope)
        return [plan_stage(project, project.bound(stage, corpus, state), corpus, state, scope) for stage in stages]


@contextmanager
def _looking(project: Project) -> Iterator[tuple[Corpus, State]]:
    with ExitStack() as stack:
        stack.enter_context(seldom_collected())
        state = project.remembered()
        stack.callback(state.close)
        finish_killed_runs(project, state)
        corpus = project.corpus()
        stack.callback(corpus.close)
        yield corpus, state


# ------------------------------------------------------------------------------------ the phases


def export(
    project: Project,
    name: str | None = None,
    scope: Scope = EVERYTHING,
    *,
    dry_run: bool = False,
    out: Path | None = None,
) -> ExportReport:
    """Derive what is missing into a round's worklist, and into the file ``out`` as JSON lines. Sends nothing."""
    stage = project.stage(name)
    if dry_run:
        with _looking(project) as (corpus, state):
            bound = project.bound(stage, corpus, state)
            scope, sample = drawn(project, bound, corpus, state, scope)
            items = [item.key for item in _items(project, bound, corpus, state, scope)]
            return ExportReport(stage.name, "", len(items), True, tuple(items[:SAMPLE]), True, sample)
    with running(project, "export", stage.name, FREELY, scope) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        scope, sample = drawn(project, bound, frame.corpus, frame.state, scope)
        with frame.shift.locks.generating(stage.name, scope.part), frame.phase(stage.name, "export"):
            rounds = export_only(frame.shift, bound, scope)
    worklists = [work.worklist for work in rounds if work.worklist]
    if out is not None:
        write_lines(bound, worklists, out)
    shown = [key for worklist in worklists for key in next(worklist.key_pages(size=SAMPLE), [])][:SAMPLE]
    count = sum(worklist.count() for worklist in worklists)
    place = "" if out is None else str(out)
    return ExportReport(
        stage.name, rounds[0].id if rounds else "", count, bool(rounds), tuple(shown), drawn=sample, out=place
    )


def generate(
    project: Project, name: str | None = None, scope: Scope = EVERYTHING, spend: Spend = FREELY
) -> GenerateReport:
    """Buy and read what is missing. Ends with a Pause or Stopped when it could not finish; all is saved."""
    stage = project.stage(name)
    with running(project, "generate", stage.name, spend, scope) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        scope, _ = drawn(project, bound, frame.corpus, frame.state, scope)
        return buy(project, frame, bound, scope)


def buy(
    project: Project, frame: Running, stage: BoundStage, scope: Scope, *, for_pilot: bool = False
) -> GenerateReport:
    """Generate within a run. A stage with a gate works under its signature; its pilot needs none."""
    shift = frame.shift
    gate = None if for_pilot else _gate(project, frame, stage)
    before = _Counts.of(shift.meter)
    began = time.monotonic()
    records = project.corpus_stamp()
    lock, phase = shift.locks.generating(stage.name, scope.part), frame.phase(stage.name, "generate")
    with lock, phase:
        result = work(shift, stage, scope, gate)
    result.error = _of_ceiling(result.error, frame.state, stage.name)
    if result.error is not None and not isinstance(result.error, SeedbedError):
        raise result.error
    frame.error = result.error
    equations = equations_of(frame.state, result.rounds)
    booked = next((row for row in frame.state.spending(["stage"], run=shift.run) if row.group == (stage.name,)), None)
    report = GenerateReport(
        stage=stage.name,
        states=before.states_since(shift.meter),
        calls=shift.meter.calls - before.calls,
        retries=shift.meter.retries - before.retries,
        refused=shift.meter.refused - before.refused,
        spent=_spent(booked),
        usage=booked.usage if booked else NO_USAGE,
        peak_in_flight=shift.meter.peak_in_flight,
        equations=equations,
        read_first=result.leftovers.read,
        doubtful=result.leftovers.doubtful,
        corrupt=tuple(result.leftovers.corrupt),
        diverged=tuple(result.diverged),
        seconds=time.monotonic() - began,
        error=result.error,
    )
    for work_round in result.rounds:
        if work_round.worklist is not None:
            work_round.worklist.close()
    for equation in equations:
        equation.require()
    if scope == EVERYTHING and report.error is None and records is not None and _all_settled(stage, report):
        mark = mark_now(project, frame.state, stage.stage)
        if records == project.corpus_stamp():
            remember(project, frame.state, stage.stage, Counted(0, mark=mark))
    return report


def _all_settled(stage: BoundStage, report: GenerateReport) -> bool:
    """Whether what was derived is all that was missing, and is settled now."""
    bounded = stage.stage.bounded_rounds and report.equations
    return not bounded and all(equation.closed and not equation.missing for equation in report.equations)


def _gate(project: Project, frame: Running, stage: BoundStage) -> Gate | None:
    """The gate of a stage that has one; the signature that the run works under is put down."""
    if not stage.stage.gate:
        return None
    gate = Gate(stage, project.model_for(stage.stage), now_ms, frame.shift.run, frame.shift.locks.is_working)
    with suppress(GateError):
        frame.state.work_under(frame.shift.run, stage.name, gate.check(frame.state).number)
    return gate


def _of_ceiling(error: BaseException | None, state: State, stage: str) -> BaseException | None:
    """A signature's money that is used up is for a person to mend, not for a later time."""
    row = state.signature(stage)
    if row is None or not isinstance(error, BudgetReached) or CEILING not in error.what:
        return error
    return CeilingReached(
        f"{row.name} signed {usd(row.money)} for {stage}: {usd(row.used_money)} are spent; a call has no room.",
        why=error.why,
        hint=f"Sign for more with: seedbed approve {stage} --as NAME --money 5usd",
    )


@dataclass(frozen=True)
class _Counts:
    calls: int
    retries: int
    refused: int
    states: Mapping[str, int]

    @classmethod
    def of(cls, meter: Meter) -> _Counts:
        return cls(meter.calls, meter.retries, meter.refused, dict(meter.states))

    def states_since(self, meter: Meter) -> dict[str, int]:
        since = {state: count - self.states.get(state, 0) for state, count in meter.states.items()}
        return {state: count for state, count in since.items() if count}


def _spent(booked: Spending | None) -> int | None:
    """What the till has booked; None where a price is unknown."""
    if booked is None:
        return 0
    return None if booked.unknown else booked.nano


def preview(project: Project, name: str | None = None, scope: Scope = EVERYTHING) -> GenerateReport:
    """The dry run of a paid phase: the first requests byte for byte, and how many items there are."""
    stage = project.stage(name)
    with _looking(project) as (corpus, state):
        bound = project.bound(stage, corpus, state)
        scope, sample = drawn(project, bound, corpus, state, scope)
        count = 0
        previews: list[Preview] = []
        for item in _items(project, bound, corpus, state, scope):
            count += 1
            if len(previews) < PREVIEWS:
                previews.append(_preview(project, bound, item))
        return GenerateReport(
            stage.name, {}, 0, 0, 0, NO_USAGE, 0, (), previews=tuple(previews), counted=count, sample=sample,
            wrong_rows=wrong_rows(project),
        )  # fmt: skip


def _preview(project: Project, stage: BoundStage, item: Item) -> Preview:
    relation = stage.stage.relation
    if isinstance(relation, Fills):
        writes = f"{', '.join(relation.outputs)} of {relation.table}"
    else:
        writes = f"rows of {', '.join(relation.into)}"
    if stage.stage.prompt is None:
        kind = (
            "a function of yours, no model" if stage.stage.compute else "an async function; its calls depend on answers"
        )
        return Preview(item.key, kind, writes)
    if stage.grouped:
        writes += f"; asked alone here, up to {stage.stage.per_call} in one request when it is sent"
    request = stage.request([item], 1)
    model = project.model_of(request)
    provider_name, _, model_name = model.partition("/")
    target = Target(provider_name, model_name, "", "")
    wire = project.completer(provider_name).wire(request, target, stream=stage.stage.stream)
    return Preview(item.key, wire.body.decode("utf-8", "replace"), writes)


def _items(project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> Iterator[Item]:
    """What a new round would hold, without opening one."""
    left = scope.limit
    for found in Derivation.of(project, stage, corpus, state, scope).pages():
        for item in found.items:
            if left is not None and left <= 0:
                return
            yield item
            left = None if left is None else left - 1


def upload(
    project: Project,
    name: str | None = None,
    scope: Scope = EVERYTHING,
    spend: Spend = FREELY,
    *,
    dry_run: bool = False,
) -> UploadReport:
    """Apply accepted outputs as one release; rows that a person changed since export are left alone."""
    stage = project.stage(name)
    if dry_run:
        with _looking(project) as (corpus, state):
            return preview_upload(project.bound(stage, corpus, state), corpus, state, scope)
    with running(project, "upload", stage.name, spend, scope) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        with frame.phase(stage.name, "upload"):
            return _upload(project, frame, bound, scope, spend)


def _upload(project: Project, frame: Running, stage: BoundStage, scope: Scope, spend: Spend) -> UploadReport:
    with ExitStack() as held:
        for table in tables_of(stage):
            held.enter_context(frame.shift.locks.uploading(table))
        allow = spend.allow_stand_in or project.demo
        return upload_stage(project, stage, frame.corpus, frame.state, frame.shift.run, scope, allow_stand_in=allow)


def validate(
    project: Project, name: str | None = None, scope: Scope = EVERYTHING, *, sample: int = SAMPLE, seed: int = 1
) -> ValidateReport:
    """The audit again over the corpus as it is now, the checks over accepted outputs, a sample for a person."""
    stage = project.stage(name)
    with _looking(project) as (corpus, state):
        bound = project.bound(stage, corpus, state)
        report = audit_stage(project, bound, corpus, state, scope)
        checked = 0
        counts: dict[str, int] = {}
        examples: list[tuple[str, str, str]] = []
        pool: list[tuple[str, Any]] = []
        chooser = random.Random(seed)
        for outcome, findings in _checked(project, bound, corpus, state):
            checked += 1
            for finding in findings:
                counts[finding.code] = counts.get(finding.code, 0) + 1
                if counts[finding.code] <= PREVIEWS:
                    examples.append((finding.code, outcome.key, finding.message))
            _reservoir(pool, (outcome.key, outcome.output), checked, sample, chooser)
        return ValidateReport(report, checked, counts, tuple(examples), tuple(pool), seed)


def reread(
    project: Project, name: str | None = None, scope: Scope = EVERYTHING, *, dry_run: bool = False
) -> RereadReport:
    """Read all receipts of a stage again with today's reader and checks; better readings take their place."""
    stage = project.stage(name)
    if dry_run:
        with _looking(project) as (corpus, state):
            bound = project.bound(stage, corpus, state)
            return reread_stage(project, bound, project.receipts(), state, scope, dry_run=True)
    with running(project, "validate", stage.name, FREELY) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        with frame.shift.locks.generating(stage.name, scope.part), frame.phase(stage.name, "reread"):
            return reread_stage(project, bound, frame.shift.receipts, frame.state, scope, dry_run=False)


def _reservoir(pool: list[Any], value: Any, seen: int, size: int, chooser: random.Random) -> None:
    """Keep a uniform sample of ``size`` of all that was seen (reservoir sampling, algorithm R)."""
    if len(pool) < size:
        pool.append(value)
    elif (place := chooser.randrange(seen)) < size:
        pool[place] = value


def _checked(
    project: Project, stage: BoundStage, corpus: Corpus, state: State
) -> Iterator[tuple[Outcome, list[Finding]]]:
    """Accepted outcomes with what the checks say now: over the row as it is, and the context that was shown."""
    with ExitStack() as stack:
        shown = _Shown(project, stage, corpus, stack)
        after: str | None = None
        while page := state.outcomes(stage.name, states=("accepted",), after=after, limit=1000):
            after = page[-1].key
            rows: dict[str, Any] = {}
            if stage.stage.outputs:
                keys = [key_values(outcome.key) for outcome in page]
                fetched = corpus.fetch(stage.source.name, stage.key, keys)
                rows = {_key_of(stage, row): row for row in fetched}
            for outcome in page:
                item = Item(outcome.key, rows.get(outcome.key, outcome.row), outcome.fingerprint, outcome.before)
                if stage.stage.checks and stage.stage.context:
                    item = replace(item, context=shown.context(outcome, item))
                yield outcome, _findings(stage, item, outcome.output)


def _findings(stage: BoundStage, item: Item, output: Any) -> list[Finding]:
    try:
        return [finding for check in stage.stage.checks for finding in check(item, output)]
    except Exception as error:
        raise UserCodeError.at(error, f"a check of stage {stage.name}", item.key) from error


@dataclass
class _Shown:
    """The context that was shown with an item: of its round's worklist, or looked up anew where that is lost."""

    project: Project
    stage: BoundStage
    corpus: Corpus
    stack: ExitStack
    worklists: dict[str, Worklist | None] = field(default_factory=dict)

    def context(self, outcome: Outcome, item: Item) -> Mapping[str, Any]:
        if outcome.round not in self.worklists:
            path = worklist_path(self.project.worklists, outcome.round)
            self.worklists[outcome.round] = Worklist(path) if path.exists() else None
            if (opened := self.worklists[outcome.round]) is not None:
                self.stack.callback(opened.close)
        worklist = self.worklists[outcome.round]
        frozen = worklist.item(outcome.key) if worklist is not None else None
        if frozen is not None:
            return frozen.context
        lookup = self.corpus.lookup()
        return {name: make(lookup, item) for name, make in self.stage.stage.context.items()}


def _key_of(stage: BoundStage, row: Mapping[str, Any]) -> str:
    return key_text([row[name] for name in stage.key])


def recover(
    project: Project,
    name: str | None = None,
    scope: Scope = EVERYTHING,
    spend: Spend = FREELY,
    *,
    dry_run: bool = False,
) -> GenerateReport:
    """A round with fresh attempts over what was settled without an acceptable answer, or is stale.

    Rejected and failed items are taken; what is named, by key or by ``outcome.…``, is taken whatever it came to.
    """
    scope = scope.taken_again()
    if dry_run:
        return preview(project, name, scope)
    return generate(project, name, scope, spend)


def roll_back(project: Project, release: str | None = None, *, dry_run: bool = False) -> RollbackReport:
    """Undo a release (the newest without a name) where the cells still hold what it wrote."""
    with ExitStack() as stack:
        state = project.state()
        stack.callback(state.close)
        corpus = project.corpus()
        stack.callback(corpus.close)
        found = _release(state, release)
        undone = corpus.roll_back(found.id, dry_run=dry_run)
        keys = list(undone.items) or ([] if undone.left else state.items_of_release(found.id))
        if not dry_run:
            point("after what was undone, before its note")
            state.set_state(found.stage, keys, "withdrawn")
            state.withdraw_made(found.id)
            if project.source is not None:
                project.write_file()
            point("before a release ends")
            state.close_release(found.id, "partly rolled back" if undone.left else "rolled back", now_ms())
        return RollbackReport(found.id, found.stage, undone.restored, undone.deleted, undone.left, len(keys), dry_run)


def _release(state: State, name: str | None) -> Release:
    releases = [r for r in state.releases() if r.status in ("applied", "applying", "partly rolled back")]
    if name is None:
        if not releases:
            raise EmptySelection("There is no release to roll back.", hint="See them with: seedbed report --releases")
        return releases[-1]
    for release in state.releases():
        if release.id == name:
            return release
    raise UsageError(
        f"There is no release {name}.", hint=f"The newest: {', '.join(r.id for r in releases[-3:]) or 'none'}"
    )


# ------------------------------------------------------------------------------------------ run


def run(
    project: Project,
    target: str | None = None,
    scope: Scope = EVERYTHING,
    spend: Spend = FREELY,
    *,
    with_upload: bool = True,
) -> RunReport:
    """All phases of a stage, or of the whole pipeline pass after pass until a full pass finds nothing."""
    stages = project.stages(target)
    began = time.monotonic()
    require_one_stage(stages, scope)
    with running(project, "run", target or project.pipeline.name, spend, scope) as frame:
        _passes(project, frame, stages, scope, spend, with_upload)
        report = _report(frame, began)
    return replace(report, page=_page_of(project, frame.shift.run))


def _passes(
    project: Project, frame: Running, stages: Sequence[Stage], scope: Scope, spend: Spend, with_upload: bool
) -> None:
    if scope.sample is not None:  # once for all passes: rows that are made on the way are not drawn
        scope, _ = drawn(project, project.bound(stages[0], frame.corpus, frame.state), frame.corpus, frame.state, scope)
    left = scope.limit
    while True:
        worked = 0
        for stage in stages:
            bound = project.bound(stage, frame.corpus, frame.state)
            generated = buy(project, frame, bound, replace(scope, limit=left))
            unsigned = isinstance(frame.error, NotSigned)  # nobody stands for what waits there
            uploaded = _upload_of_run(project, frame, bound, scope, spend) if with_upload and not unsigned else None
            if generated.settled or generated.diverged or (uploaded and (uploaded.fates or uploaded.made)):
                frame.passes.append(StageRun(generated, uploaded))
            if frame.error is not None:
                return
            worked += generated.settled
            left = None if left is None else max(0, left - generated.settled)
        if not worked or not with_upload or left == 0 or scope.again:  # what is asked again is asked once a run
            return


def _upload_of_run(
    project: Project, frame: Running, stage: BoundStage, scope: Scope, spend: Spend
) -> UploadReport | None:
    """What was accepted is uploaded after a pause too; an upload that fails ends the run with its reason."""
    try:
        with frame.phase(stage.name, "upload"):
            return _upload(project, frame, stage, Scope(part=scope.part), spend)
    except SeedbedError as error:
        frame.error = frame.error or error
        return None


def _report(frame: Running, began: float) -> RunReport:
    booked = next(iter(frame.state.spending(run=frame.shift.run)), None)
    return RunReport(
        run=frame.shift.run,
        target=frame.target,
        status=_ending(frame.error)[2],
        seconds=time.monotonic() - began,
        passes=tuple(frame.passes),
        equations=_touched(frame),
        spent=_spent(booked),
        cap=frame.cap,
        calls=frame.shift.meter.calls,
        usage=booked.usage if booked else NO_USAGE,
        phases=dict(frame.phases),
        error=frame.error,
        wrong_rows=wrong_rows(frame.shift.project),
        unbounded=tuple(sorted(frame.shift.meter.unbounded)),
        forecasts=tuple(foretold(frame.state, frame.shift.run)),
    )


def _touched(frame: Running) -> tuple[Equation, ...]:
    """The books of every round of the run, as they are at its end."""
    folder = frame.shift.project.worklists
    found = []
    for row in frame.state.rounds_of_run(frame.shift.run):
        path = worklist_path(folder, row.id)
        work = OpenRound(row, Worklist(path) if path.exists() else None)
        equation = equation_of(frame.state, work)
        if work.worklist is not None:
            work.worklist.close()
        equation.require()
        found.append(equation)
    return tuple(found)


def _page_of(project: Project, run_id: str) -> str:
    state = project.state()
    try:
        row = state.run(run_id)
        return row.page if row else ""
    finally:
        state.close()
