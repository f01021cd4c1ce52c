"""Audit and plan: how a stage stands and what the rest would cost. Looks only; no key, no request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.conditions import is_empty
from seedbed.engine.forecasting import measured, seconds_a_call, size_of
from seedbed.engine.looks.windows import windows_planned
from seedbed.engine.missing import Counted, mark_now, remember
from seedbed.engine.projects.accounts import find_keys, limits_of_model
from seedbed.engine.projects.binding import MEMBERS, BoundStage
from seedbed.engine.projects.caps import purses_of
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import AuditReport, Equation, PlanReport, WrongRows
from seedbed.engine.work.drawing import drawn
from seedbed.engine.work.rounds import Derivation, OpenRound, Scope, continued, missing_of_round
from seedbed.policy.limits import Bound, bound_by
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import RoundRow, State, Tally
from seedbed.ports.state.leases import Wanted
from seedbed.records import Item, Usage, key_text, unpack_all, usd
from seedbed.stage import Fills, Gathers

SAMPLE = 50
BYTES_PER_TOKEN = 3.5
"""Measured over Markdown prompts; the books use what the provider reports."""
EARLY_OUTPUT = 0.15
"""Share of the output maximum taken as the low end before anything was measured."""
LISTED = 20
MEASURED_WHOLE = 10_000
"""Items up to which each one's size is measured, for the mean size of what is left."""
STRIDE = 25
"""Of so many items beyond, one is."""
FREE = "offline/"


def audit_stage(project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> AuditReport:
    tally = state.tally(stage.name, stage.recipe)
    mark = mark_now(project, state, stage.stage) if scope == Scope() else ""
    plan = plan_stage(project, stage, corpus, state, scope)
    if mark and mark == mark_now(project, state, stage.stage) and not state.has_stand_ins(stage.name):
        remember(project, state, stage.stage, Counted(plan.items, mark=mark))
    drift = _drift(stage, corpus, state)
    mean = _mean_cost(state, stage.name, tally.settled)
    model = project.model_for(stage.stage)
    others = _other_models(project, stage, tally)
    return AuditReport(
        stage=stage.name,
        table=stage.source.name,
        rows=corpus.count(stage.source.name, stage.stage.source.condition()),
        eligible=corpus.count(stage.source.name, stage.stage.condition()),
        missing=plan.items,
        settled=tally.states,
        uploaded=tally.uploaded,
        changed=drift.changed,
        stale=tally.stale,
        cleared=tuple(drift.cleared[:LISTED]),
        vanished=drift.vanished,
        made=tally.made,
        spent=tally.cost,
        calls=plan.calls,
        cost_low=plan.cost_low,
        cost_high=plan.cost_high,
        changed_cost=None if mean is None else mean * drift.changed,
        stale_cost=None if mean is None else mean * tally.stale,
        model=model,
        recipe=stage.recipe,
        equations=equations_of(state, _rounds(project, stage, corpus, state)),
        other_models=others,
        other_models_cost=None if mean is None else mean * sum(others.values()),
        sample=plan.sample,
        wrong_rows=wrong_rows(project),
    )


def wrong_rows(project: Project) -> WrongRows | None:
    """Rows of the file that is the corpus which are no rows of its table; None where there are none."""
    if project.source is None:
        return None
    staged = project.source.stage(project.folder)
    return WrongRows(project.source.path.name, staged.wrong_rows, staged.wrong) if staged.wrong_rows else None


def _other_models(project: Project, stage: BoundStage, tally: Tally) -> dict[str, int]:
    today = project.models_for(stage.stage)
    found: dict[str, int] = {}
    for (asked, served), count in tally.models.items():
        if asked and asked not in today:
            name = served or asked
            found[name] = found.get(name, 0) + count
    return found


def _rounds(project: Project, stage: BoundStage, corpus: Corpus, state: State) -> Iterator[OpenRound]:
    derivation = Derivation(corpus, state, stage, Scope())
    for row in state.rounds(stage=stage.name):
        yield continued(row, project.worklists, derivation)


def equations_of(state: State, rounds: Iterator[OpenRound] | Sequence[OpenRound]) -> tuple[Equation, ...]:
    return tuple(equation_of(state, work) for work in rounds)


def equation_of(state: State, work: OpenRound) -> Equation:
    """The books of one round, each figure counted from its own records."""
    row: RoundRow = next((r for r in state.rounds(stage=work.row.stage) if r.id == work.id), work.row)
    items = work.worklist.count() if work.worklist is not None else row.items
    sums = state.sums_of_round(row.id)
    if work.worklist is None:  # a lost worklist: what had no outcome was derived again elsewhere
        items = sum(sums.states.values())
    return Equation(
        stage=row.stage,
        round=row.id,
        closed=row.status == "closed",
        items=items,
        states=sums.states,
        missing=len(missing_of_round(state, work)),
        made=sums.made,
        fates=state.made_of_round(row.id),
        waiting=sums.waiting,
    )


# ----------------------------------------------------------------------------------------- drift


@dataclass
class _Drift:
    """Settled rows that are not what they were: inputs changed, output emptied, row gone."""

    changed: int = 0
    vanished: int = 0
    cleared: list[str] = field(default_factory=list)


def _drift(stage: BoundStage, corpus: Corpus, state: State) -> _Drift:
    drift = _Drift()
    if isinstance(stage.stage.relation, Gathers):
        return drift
    columns = stage.source.columns
    outputs = stage.stage.relation.outputs if isinstance(stage.stage.relation, Fills) else ()
    shown = [name for name in outputs if name in columns]
    after: str | None = None
    while page := state.prints(stage.name, after=after):
        after = page[-1][0]
        keys = unpack_all([key for key, _, _ in page])  # key texts are JSON
        found = corpus.fetch(stage.source.name, stage.key, keys)
        rows = {key_text([row[name] for name in stage.key]): row for row in found}
        empty: dict[str, dict[str, Any]] = {}
        for key, fingerprint, fate in page:
            row = rows.get(key)
            if row is None:
                drift.vanished += not stage.source.view
                continue
            if stage.fingerprint(row) != fingerprint:
                drift.changed += 1
            if fate == "applied":
                for name in shown:
                    if is_empty(row[name]):
                        empty[key] = row
                        break
        if empty:
            current = state.current(stage.name, list(empty))
            drift.cleared += [key for key in empty if _cleared(outputs, empty[key], current[key].output)]
    return drift


def _cleared(outputs: Sequence[str], row: dict[str, Any], output: Any) -> bool:
    """Whether a cell that was uploaded is empty now though the output was not."""
    if not isinstance(output, dict):
        return False
    return any(is_empty(row[name]) and not is_empty(output.get(name)) for name in outputs if name in row)


def _mean_cost(state: State, stage: str, settled: int) -> int | None:
    for spending in state.spending(["stage"]):
        if spending.group == (stage,) and settled and not spending.unknown:
            return round(spending.nano / settled)
    return None


# ------------------------------------------------------------------------------------------ plan


def plan_stage(project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> PlanReport:
    """Calls, tokens and money of the missing items: input from rendered samples, output from what was measured."""
    scope, sample_drawn = drawn(project, stage, corpus, state, scope)
    derivation = Derivation.of(project, stage, corpus, state, scope)
    count = 0
    sample: list[Item] = []
    total_size = 0.0
    examples: list[str] = []
    for found in derivation.pages():
        room = None if scope.limit is None else scope.limit - count
        items = found.items if room is None else found.items[:room]
        count += len(items)
        total_size += _size(stage, items, 1 if count <= MEASURED_WHOLE else STRIDE)
        sample.extend(items[: SAMPLE - len(sample)])
        examples.extend(item.key for item in items[: LISTED - len(examples)])
        if room is not None and len(items) >= room:
            break
    if not stage.stage.calls_model:
        return PlanReport(stage.name, count, 0, "", 0, 0, 0, 0, 0, None, tuple(examples), sample=sample_drawn)
    priced = _priced(project, stage, state, count, sample, examples)
    found_cost = measured(project, stage, corpus, state, count, total_size / count if count else None)
    if found_cost is not None and priced.cost_low is not None and not project.model_for(stage.stage).startswith(FREE):
        priced = replace(priced, cost_low=found_cost.low, cost_high=found_cost.high, measured=found_cost.measured)
    bound = _bound(project, state, stage, priced)
    return replace(
        priced,
        sample=sample_drawn,
        windows=windows_planned(project, state, stage.stage, priced),
        seconds=None if bound is None else bound.seconds,
        pace="" if bound is None else bound.limit,
        binds=_binds(project, state, stage, priced),
        guaranteed=project.prices.guaranteed(priced.model, stage.stage.max_output),
    )


def _size(stage: BoundStage, items: Sequence[Item], stride: int) -> float:
    """Of the items together, from each ``stride``-th of them."""
    some = items[::stride]
    return sum(size_of(stage, item.row) for item in some) / len(some) * len(items) if some else 0.0


def _bound(project: Project, state: State, stage: BoundStage, plan: PlanReport) -> Bound | None:
    """The limit that sets the pace, and how long that takes. None before a call of the stage was timed."""
    each = seconds_a_call(project.receipts(), state, stage, plan.model)
    if each is None or not plan.calls:
        return None
    account = project.account(plan.model.partition("/")[0])
    return bound_by(
        (account.limits, limits_of_model(project.settings, plan.model)),
        calls=plan.calls,
        tokens=plan.tokens_in + plan.tokens_out_high,
        concurrency=int(project.settings.get("run", "concurrency")),
        seconds_a_call=each,
        keys=1 if account.shared else max(1, len(find_keys(account, project.secrets).found)),
    )


def _binds(project: Project, state: State, stage: BoundStage, plan: PlanReport) -> str:
    """The cap that has the least left, where the plan may need more than that."""
    left = {}
    run = project.settings.get("budget", "run")
    if run is not None:
        left["cap of each run"] = int(run)
    leases = state.leases()
    for purse in purses_of(project).of(stage.name, now_ms()):
        wanted = Wanted(purse.id, purse.cap, 0, 0, 0, purse.stage, purse.since, purse.until)
        held = sum(lease.held for lease in leases if lease.purse == purse.id)
        left[purse.label] = max(0, purse.cap - state.spent_of(wanted)[0] - held)
    least = min(left, key=lambda name: left[name], default=None)
    if least is None or not plan.items or (plan.cost_high is not None and plan.cost_high <= left[least]):
        return ""
    return f"{least}: {usd(left[least])} left"


def _priced(
    project: Project, stage: BoundStage, state: State, count: int, sample: list[Item], examples: list[str]
) -> PlanReport:
    model = project.model_for(stage.stage)
    calls = -(-count // stage.stage.per_call)
    tokens_in = round(_mean_input(stage, sample) * calls)
    low, high = _output_range(state, stage, calls)
    price, ceiling = project.prices.row(model), project.prices.ceiling(model)
    if price is None:  # tokens say nothing: each call counts as what it costs at most
        cost_low = cost_high = None if ceiling is None else ceiling * calls
    else:
        cost_low = project.prices.cost(model, Usage(input=tokens_in, output=low))
        cost_high = project.prices.cost(model, Usage(input=tokens_in, output=high))
    return PlanReport(
        stage=stage.name,
        items=count,
        calls=calls,
        model=model,
        tokens_in=tokens_in,
        tokens_out_low=low,
        tokens_out_high=high,
        cost_low=cost_low if calls else 0,
        cost_high=cost_high if calls else 0,
        price=price,
        examples=tuple(examples),
    )


def _mean_input(stage: BoundStage, sample: list[Item]) -> float:
    """Tokens of a request, from up to 50 that are rendered."""
    if not sample:
        return 0.0
    if stage.prompt is None:
        sizes = [len(str(dict(item.row))) + sum(len(m) for m in map(str, item.row.get(MEMBERS, ()))) for item in sample]
        return sum(sizes) / len(sizes) / BYTES_PER_TOKEN
    per_call = stage.stage.per_call
    groups = [sample[n : n + per_call] for n in range(0, len(sample), per_call)]
    texts = [sum(len(m.text.encode("utf-8", "replace")) for m in stage.request(g, 1).messages) for g in groups]
    return sum(texts) / len(texts) / BYTES_PER_TOKEN


def _output_range(state: State, stage: BoundStage, calls: int) -> tuple[int, int]:
    most = stage.stage.max_output * stage.stage.per_call
    for spending in state.spending(["stage"]):
        if spending.group == (stage.name,) and spending.calls and spending.usage.output:
            mean = spending.usage.output / spending.calls
            return round(mean * calls * 0.9), round(mean * calls * 1.1)
    return round(most * EARLY_OUTPUT * calls), most * calls
