"""The pilot: a small sample that says how it was chosen, bought as a run of its own, and what the bulk will cost.

A sample is drawn once and remembered. The same command again goes on with it, or shows it; after a change of the
recipe it asks the same items again, and nothing that was accepted under an equal recipe.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.crashing import point
from seedbed.engine.auditing import plan_stage
from seedbed.engine.lifecycle import EVERYTHING, FREELY, Running, Spend, buy, running
from seedbed.engine.projects.binding import MEMBERS, BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, new_id
from seedbed.engine.reports import Equation, PlanReport
from seedbed.engine.reviewing import Scorecard, scorecard
from seedbed.engine.work.rounds import Derivation, Scope
from seedbed.errors import EmptySelection, SeedbedError, UsageError
from seedbed.policy.forecast import Forecast, forecast
from seedbed.policy.intervals import wilson
from seedbed.policy.strata import Candidate, counted, doubt_of, draw
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import State
from seedbed.ports.state.gates import PilotRow
from seedbed.records import Item, Outcome, key_text, key_values
from seedbed.stage import Gathers

SIZE, SEED = 34, 1
MOST = 1000
LEVEL = 0.95
"""Of the interval of what the rest costs, as of that of the share that was accepted."""
"""A pilot is what a person can look at; more than that is the bulk, which is signed for."""


@dataclass(frozen=True)
class Measured:
    """What a sample says the rest will cost, in 10⁻⁹ USD with a 95 % interval; None where a price is unknown."""

    items: int
    cost_low: int | None
    cost: int | None
    cost_high: int | None


@dataclass(frozen=True)
class PilotReport:
    """What a pilot came to. ``chosen`` are (key, why); ``asked`` were asked in this command, the others before.

    ``states`` counts the whole sample. ``bulk`` is what is missing beyond it, ``stale`` what older recipes made.
    ``short`` says that fewer items were there than were asked for.
    """

    stage: str
    pilot: str
    seed: int
    size: int
    population: int
    chosen: Sequence[tuple[str, str]]
    counts: Mapping[str, int]
    columns: Sequence[str]
    drawn_before: bool
    asked: int
    states: Mapping[str, int]
    low: float
    high: float
    calls: int
    spent: int | None
    cost: int | None
    bulk: Measured
    stale: Measured
    card: Scorecard | None
    equations: Sequence[Equation] = ()
    seconds: float = 0.0
    plan: PlanReport | None = None
    error: SeedbedError | None = None
    dry_run: bool = False

    @property
    def short(self) -> bool:
        return len(self.chosen) < self.size

    @property
    def accepted(self) -> int:
        return self.states.get("accepted", 0) + self.states.get("set aside", 0) + self.states.get("withdrawn", 0)

    @property
    def settled(self) -> int:
        return sum(self.states.values())


def pilot(
    project: Project,
    name: str | None = None,
    scope: Scope = EVERYTHING,
    spend: Spend = FREELY,
    *,
    size: int | None = None,
    seed: int | None = None,
    across: Sequence[str] = (),
    dry_run: bool = False,
) -> PilotReport:
    """Draw a sample and buy it. ``across`` names the columns whose values are categories.

    What is not said is as in the newest pilot of the stage, else 34 items and seed 1. Raises EmptySelection where
    there is nothing to draw from, UsageError for a sample that nobody could look at.
    """
    if size is not None and not 1 <= size <= MOST:
        raise UsageError(
            f"A pilot has from 1 to {MOST:,} items, not {size:,}: a person looks at each.",
            hint="Buy more with: seedbed run",
        )
    stage = project.stage(name)
    wish = _Wish(size, seed, tuple(across), scope.where)
    if dry_run:
        return _dry(project, stage.name, wish, scope)
    began = time.monotonic()
    with running(project, "pilot", stage.name, spend, scope) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        row, before = _pilot_row(project, bound, frame.corpus, frame.state, wish)
        bought = _Bought()
        while todo := _todo(project, bound, frame.state, row):
            if bought.keys == todo:  # nothing came of it: what is left cannot be asked now
                break
            bought.keys = todo
            for part in _scopes(todo, scope):
                bought.add(buy(project, frame, bound, part, for_pilot=True))
                if frame.error is not None:
                    break
            if frame.error is not None:
                break
        return _report(project, frame, bound, row, before, bought, time.monotonic() - began)


@dataclass(frozen=True)
class _Wish:
    """What was said of the sample on the command line; None and blanks are as before."""

    size: int | None
    seed: int | None
    across: tuple[str, ...]
    where: str

    def meets(self, row: PilotRow) -> bool:
        return (
            self.size in (None, row.size)
            and self.seed in (None, row.seed)
            and (not self.across or self.across == row.columns)
            and (not self.where or self.where == row.where)
        )


@dataclass
class _Bought:
    keys: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    asked: int = 0
    calls: int = 0
    equations: list[Equation] = field(default_factory=list)

    def add(self, report: Any) -> None:
        self.asked += report.settled
        self.calls += report.calls
        known = {equation.round for equation in report.equations}
        self.equations = [e for e in self.equations if e.round not in known] + list(report.equations)


# -------------------------------------------------------------------------------------- the sample


def _pilot_row(
    project: Project, stage: BoundStage, corpus: Corpus, state: State, wish: _Wish, *, keep: bool = True
) -> tuple[PilotRow, bool]:
    """The newest pilot where it is what is wished for, else a new one; and whether it was drawn before."""
    newest = state.pilot(stage.name)
    if newest is not None and wish.meets(newest):
        if newest.recipe == stage.recipe:
            return newest, True
        row = replace(newest, id=new_id("pilot"), recipe=stage.recipe, at=now_ms())
        before = True
    else:
        row, before = _drawn(project, stage, corpus, state, wish), False
    if keep:
        state.add_pilot(row)
        point("after a pilot was drawn")
    return row, before


def _drawn(project: Project, stage: BoundStage, corpus: Corpus, state: State, wish: _Wish) -> PilotRow:
    for column in wish.across:
        if column not in stage.columns:
            raise UsageError(f"{stage.source.name} has no column {column}", hint=f"It has {', '.join(stage.columns)}.")
    newest = state.pilot(stage.name)
    size = wish.size or (newest.size if newest is not None else SIZE)
    seed = wish.seed if wish.seed is not None else newest.seed if newest is not None else SEED
    found = draw(_candidates(stage, _missing(project, stage, corpus, state, wish.where)), size, seed, wish.across)
    if not found.population:  # all is done: by an older recipe, perhaps
        again = Derivation.of(project, stage, corpus, state, Scope(where=wish.where, stale=True), bare=True)
        items = (item for page in again.pages() for item in page.items)
        found = draw(_candidates(stage, items), size, seed, wish.across)
    if not found.population:
        raise EmptySelection(
            f"Nothing is missing in {stage.name}, so there is nothing to pilot.", hint="See: seedbed status"
        )
    return PilotRow(
        id=new_id("pilot"),
        stage=stage.name,
        recipe=stage.recipe,
        seed=seed,
        size=size,
        where=wish.where,
        columns=found.columns,
        items=tuple((chosen.key, chosen.why) for chosen in found.chosen),
        population=found.population,
        at=now_ms(),
    )


def _missing(project: Project, stage: BoundStage, corpus: Corpus, state: State, where: str = "") -> Iterator[Item]:
    derivation = Derivation.of(project, stage, corpus, state, Scope(where=where), bare=True)
    return (item for page in derivation.pages() for item in page.items)


def _candidates(stage: BoundStage, items: Iterator[Item]) -> Iterator[Candidate]:
    hidden = {*stage.key, *stage.stage.outputs, MEMBERS}
    for item in items:
        traits = {name: _value(value) for name, value in item.row.items() if name not in hidden}
        shown = stage.shown(item)
        yield Candidate(
            item.key, _size(stage, item), traits, doubt_of({k: v for k, v in shown.items() if k != MEMBERS})
        )


def _value(value: Any) -> str:
    return "(empty)" if value is None or value == "" else str(value)


def _size(stage: BoundStage, item: Item) -> int:
    """Bytes of what the prompt shows of an item, about."""
    shown = stage.shown(item)
    if isinstance(stage.stage.relation, Gathers):
        rows = [{name: member.get(name) for name in stage.inputs} for member in item.row.get(MEMBERS, ())]
        return sum(_bytes(value) for row in rows for value in row.values())
    return sum(_bytes(value) for value in shown.values())


def _bytes(value: Any) -> int:
    return len(str(value).encode("utf-8", "replace")) if value is not None else 0


# ------------------------------------------------------------------------------------------ buying


def _todo(
    project: Project, stage: BoundStage, state: State, row: PilotRow
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Keys of the sample to ask: those without an outcome, and those that an older recipe answered."""
    keys = [key for key, _ in row.items]
    current = state.current(stage.name, keys)
    model = project.model_for(stage.stage)
    made_up = state.stand_ins(stage.name, keys) if model and not model.startswith("offline/") else set()
    stale = tuple(key for key in keys if key in current and current[key].recipe != stage.recipe)
    fresh = tuple(key for key in keys if key not in current or (key in made_up and key not in stale))
    return (fresh, stale) if fresh or stale else None


def _scopes(todo: tuple[tuple[str, ...], tuple[str, ...]], scope: Scope) -> Iterator[Scope]:
    fresh, stale = todo
    if stale:
        yield Scope(ids=stale, stale=True, redo_diverged=scope.redo_diverged)
    if fresh:
        yield Scope(ids=fresh, redo_diverged=scope.redo_diverged)


# ----------------------------------------------------------------------------------------- telling


def _report(
    project: Project,
    frame: Running,
    stage: BoundStage,
    row: PilotRow,
    before: bool,
    bought: _Bought,
    seconds: float,
) -> PilotReport:
    state = frame.state
    outcomes = _outcomes(state, stage, row)
    booked = next(iter(state.spending(run=frame.shift.run)), None)
    spent = 0 if booked is None else None if booked.unknown else booked.nano
    costs = [outcome.cost for outcome in outcomes]
    states = _states(outcomes)
    low, high = wilson(states.get("accepted", 0), len(outcomes))
    bulk, stale = _measured(project, frame.corpus, state, stage, row, outcomes)
    return PilotReport(
        stage=stage.name,
        pilot=row.id,
        seed=row.seed,
        size=row.size,
        population=row.population,
        chosen=row.items,
        counts=counted(why for _, why in row.items),
        columns=row.columns,
        drawn_before=before,
        asked=bought.asked,
        states=states,
        low=low,
        high=high,
        calls=bought.calls,
        spent=spent,
        cost=None if None in costs else sum(cost or 0 for cost in costs),
        bulk=bulk,
        stale=stale,
        card=scorecard(state, stage, row),
        equations=tuple(bought.equations),
        seconds=seconds,
        error=frame.error,
    )


def _outcomes(state: State, stage: BoundStage, row: PilotRow) -> list[Outcome]:
    current = state.current(stage.name, [key for key, _ in row.items])
    return [outcome for outcome in current.values() if outcome.recipe == stage.recipe]


def _states(outcomes: Sequence[Outcome]) -> dict[str, int]:
    states: dict[str, int] = {}
    for outcome in outcomes:
        states[outcome.state] = states.get(outcome.state, 0) + 1
    return states


def _measured(
    project: Project, corpus: Corpus, state: State, stage: BoundStage, row: PilotRow, outcomes: Sequence[Outcome]
) -> tuple[Measured, Measured]:
    """What the sample says of the missing items, by their sizes, and of those that an older recipe made."""
    chosen = {key for key, _ in row.items}
    sizes = {key: float(_size(stage, item)) for key, item in _items_of(corpus, stage, outcomes).items()}
    paid = [(sizes[o.key], o.cost) for o in outcomes if o.cost is not None and o.key in sizes]
    unknown = any(outcome.cost is None for outcome in outcomes)
    count, weight = 0, 0
    for item in _missing(project, stage, corpus, state):
        if item.key not in chosen:
            count += 1
            weight += _size(stage, item)
    stale = state.tally(stage.name, stage.recipe).stale
    return (
        _as_measured(count, None if unknown else forecast(paid, count, weight / max(1, count), level=LEVEL)),
        _as_measured(stale, None if unknown else forecast(paid, stale, level=LEVEL)),
    )


def _as_measured(items: int, found: Forecast | None) -> Measured:
    if not items:
        return Measured(0, 0, 0, 0)
    return Measured(items, None, None, None) if found is None else Measured(items, found.low, found.mean, found.high)


def _items_of(corpus: Corpus, stage: BoundStage, outcomes: Sequence[Outcome]) -> dict[str, Item]:
    """The rows of the sample as they are now; as they were for rows that are gone, or gathered."""
    items = {outcome.key: Item(outcome.key, outcome.row) for outcome in outcomes}
    if not isinstance(stage.stage.relation, Gathers):
        keys = [key_values(key) for key in items]
        for row in corpus.fetch(stage.source.name, stage.key, keys):
            key = key_text([row[name] for name in stage.key])
            items[key] = Item(key, row)
    return {key: item for key, item in items.items() if item.row}


def _dry(project: Project, name: str, wish: _Wish, scope: Scope) -> PilotReport:
    """The sample as it would be drawn, and what it may cost. Nothing is kept, nothing is sent."""
    with ExitStack() as stack:
        state = project.remembered()
        stack.callback(state.close)
        corpus = project.corpus()
        stack.callback(corpus.close)
        stage = project.bound(project.stage(name), corpus, state)
        row, before = _pilot_row(project, stage, corpus, state, wish, keep=False)
        todo = _todo(project, stage, state, row) or ((), ())
        plan = plan_stage(project, stage, corpus, state, Scope(ids=todo[0])) if todo[0] else None
        outcomes = _outcomes(state, stage, row)
        low, high = wilson(_states(outcomes).get("accepted", 0), len(outcomes))
        nothing = Measured(0, 0, 0, 0)
        return PilotReport(
            stage=stage.name,
            pilot=row.id if before else "",
            seed=row.seed,
            size=row.size,
            population=row.population,
            chosen=row.items,
            counts=counted(why for _, why in row.items),
            columns=row.columns,
            drawn_before=before,
            asked=sum(len(keys) for keys in todo),
            states=_states(outcomes),
            low=low,
            high=high,
            calls=0,
            spent=0,
            cost=0,
            bulk=nothing,
            stale=nothing,
            card=None,
            plan=plan,
            dry_run=True,
        )
