"""Items one by one: what they came to, one record whole, and those that were not accepted, by reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seedbed import conditions
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.looks.selecting import typed_key
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.work.leftovers import unsettled
from seedbed.engine.work.rounds import Derivation, Scope
from seedbed.errors import EmptySelection, UsageError, nearest
from seedbed.ports.receipts import REDACTED, Purchase, Receipt
from seedbed.ports.state import TillEntry
from seedbed.ports.state.gates import DecisionRow
from seedbed.records import OUTCOME_STATES, Finding, Outcome, OutcomeState, Usage, key_text, key_values, parse_key
from seedbed.stage import Gathers

MISSING = "missing"
NOT_ACCEPTED: tuple[OutcomeState, ...] = tuple(state for state in OUTCOME_STATES if state != "accepted")


@dataclass(frozen=True)
class Entry:
    """An item and what it came to. ``state`` is ``missing`` where it has no outcome; ``fate`` is upload's word."""

    key: str
    state: str
    reason: str = ""
    output: Any = None
    findings: tuple[Finding, ...] = ()
    attempts: int = 0
    cost: int | None = None
    at: str | None = None
    fate: str = ""
    release: str = ""


@dataclass(frozen=True)
class Entries:
    stage: str
    entries: Sequence[Entry]
    more: bool


@dataclass(frozen=True)
class Attempt:
    """One intent of an item and what came back.

    ``ending`` is received, closed (not charged), in doubt (possibly paid), corrupt (its checksum fails) or open
    (it ended with its process, or is under way). ``shared`` counts the items of its request; money and tokens are
    those of the whole call.
    """

    intent: str
    call: str
    name: str
    number: int
    run: str
    at: str
    request: Sequence[tuple[str, str]]
    shape: Mapping[str, Any] | None
    asked: str
    served: str
    ending: str
    why: str
    status: int | None
    answer: str | None
    usage: Usage | None
    cost: int | None
    shared: int


@dataclass(frozen=True)
class Settlement:
    """An outcome of the item in one round, what upload did with it, and who stood for it.

    ``approved`` names those under whose signature it was bought or uploaded; ``decision`` is the reviewer's that holds.
    """

    outcome: Outcome
    fate: str
    fate_reason: str
    release: str
    approved: tuple[str, ...] = ()
    decision: DecisionRow | None = None


@dataclass(frozen=True)
class Record:
    """One record whole. ``row`` is the source row as it is now (None: it is gone or was never there)."""

    stage: str
    key: str
    state: str
    row: Mapping[str, Any] | None
    settlements: Sequence[Settlement]
    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class Group:
    """Items of a stage that were declined for one reason, with one of them as an example."""

    stage: str
    state: str
    reason: str
    count: int
    example: str
    message: str


@dataclass(frozen=True)
class Bad:
    """``left_alone`` counts, per stage and fate, accepted answers that upload did not write."""

    groups: Sequence[Group]
    total: int
    left_alone: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------- records


def records(
    project: Project,
    name: str | None = None,
    *,
    where: str = "",
    states: Sequence[str] = (),
    limit: int | None = 20,
) -> Entries:
    """Items with their outcomes in key order. ``where`` speaks of the row's columns and of ``outcome.…``."""
    wanted = checked_states(states, with_missing=True)
    condition = conditions.parse(where)
    stage = project.stage(name)
    with looking(project) as look:
        bound = look.bound(stage)
        found: list[Entry] = []
        for entry in _entries(look, bound, condition, wanted):
            if limit is not None and len(found) == limit:
                return Entries(stage.name, found, True)
            found.append(entry)
        return Entries(stage.name, found, False)


def checked_states(states: Sequence[str], *, with_missing: bool = False) -> tuple[str, ...]:
    """The states as they are written; ``set-aside`` may stand for ``set aside``. Raises UsageError."""
    known = [*OUTCOME_STATES, *([MISSING] if with_missing else [])]
    out = []
    for given in states:
        for state in given.split(","):
            plain = state.strip().lower().replace("-", " ").replace("_", " ")
            if plain not in known:
                raise UsageError(f"{state.strip()!r} is not a state", hint=nearest(plain, known))
            out.append(plain)
    return tuple(out)


def _entries(
    look: Look, stage: BoundStage, condition: conditions.Condition, wanted: tuple[str, ...]
) -> Iterator[Entry]:
    settled = tuple(state for state in OUTCOME_STATES if state in wanted)
    if settled or not wanted:
        for page in _outcomes(look, stage.name, settled or None):
            rows = _rows(look, stage, page)
            fates = look.state.upload_fate(stage.name, [outcome.key for outcome in page])
            for outcome in page:
                if _holds(condition, rows.get(outcome.key, {}), outcome):
                    fate, release = fates.get(outcome.key, ("", ""))
                    yield entry_of(outcome, fate, release)
    if MISSING in wanted:
        model = look.project.model_for(stage.stage)
        for found in Derivation(look.corpus, look.state, stage, Scope(), model, bare=True).pages():
            yield from (Entry(i.key, MISSING) for i in found.items if _holds(condition, i.row, None))


def _outcomes(look: Look, stage: str, states: Sequence[OutcomeState] | None) -> Iterator[list[Outcome]]:
    after: str | None = None
    while page := look.state.outcomes(stage, states=states, after=after, limit=500):
        after = page[-1].key
        yield page


def _rows(look: Look, stage: BoundStage, outcomes: Sequence[Outcome]) -> dict[str, Mapping[str, Any]]:
    """The source rows as they are now; for rows that are gone, or gathered, as they were."""
    rows: dict[str, Mapping[str, Any]] = {outcome.key: outcome.row for outcome in outcomes}
    if not isinstance(stage.stage.relation, Gathers):
        keys = [key_values(outcome.key) for outcome in outcomes]
        for row in look.corpus.fetch(stage.source.name, stage.key, keys):
            rows[key_text([row[name] for name in stage.key])] = row
    return rows


def _holds(condition: conditions.Condition, row: Mapping[str, Any], outcome: Outcome | None) -> bool:
    of_outcome = {
        "outcome.state": outcome.state if outcome else MISSING,
        "outcome.reason": reason_of(outcome) if outcome else "",
        "outcome.attempts": outcome.attempts if outcome else 0,
        "outcome.cost": outcome.cost if outcome else None,
    }
    return conditions.holds(condition, {**row, **of_outcome})


def reason_of(outcome: Outcome) -> str:
    """The code of the first error finding; empty where there is none."""
    return next((finding.code for finding in outcome.findings if finding.severity == "error"), "")


def entry_of(outcome: Outcome, fate: str = "", release: str = "") -> Entry:
    return Entry(
        key=outcome.key,
        state=outcome.state,
        reason=reason_of(outcome),
        output=outcome.output,
        findings=outcome.findings,
        attempts=outcome.attempts,
        cost=outcome.cost,
        at=utc_text(outcome.at),
        fate=fate,
        release=release,
    )


# ---------------------------------------------------------------------------------------- one record


def record(project: Project, name: str | None, key: str) -> Record:
    """One item whole: its row, each attempt as it was asked and answered, each outcome, its release."""
    stage = project.stage(name)
    key = parse_key(key)
    with looking(project) as look:
        bound = look.bound(stage)
        if not isinstance(stage.relation, Gathers):
            key = key_text(typed_key(bound, key))
        decisions = {row.round: row for row in look.state.decisions(stage.name) if row.key == key}
        settlements = [
            Settlement(
                outcome,
                uploaded.fate,
                uploaded.reason,
                release,
                _approved(look, outcome, release),
                None if (held := decisions.get(outcome.round)) is None or held.verdict == "undo" else held,
            )
            for outcome, uploaded, release in look.state.history(stage.name, key)
        ]
        row = _row_now(look, bound, key)
        purchases = _purchases(look, stage.name, key, settlements)
        if row is None and not settlements and not purchases:
            raise EmptySelection(
                f"{stage.name} has no record with the key {key}.", hint=f"See some with: seedbed records {stage.name}"
            )
        entries = look.state.entries([purchase.intent.id for purchase in purchases])
        return Record(
            stage=stage.name,
            key=key,
            state=settlements[-1].outcome.state if settlements else MISSING,
            row=row if row is not None or not settlements else (settlements[-1].outcome.row or None),
            settlements=settlements,
            attempts=[_attempt(purchase, entries.get(purchase.intent.id)) for purchase in purchases],
        )


def _approved(look: Look, outcome: Outcome, release: str) -> tuple[str, ...]:
    """Who had signed what the outcome's run, or that of its upload, worked under."""
    of_release = next((row.run for row in look.state.releases() if release and row.id == release), "")
    runs = dict.fromkeys(run for run in (outcome.run, of_release) if run)
    rows = [row for run in runs for row in look.state.worked_under(run) if row.stage == outcome.stage]
    return tuple(dict.fromkeys(row.name for row in rows))


def _row_now(look: Look, stage: BoundStage, key: str) -> Mapping[str, Any] | None:
    if isinstance(stage.stage.relation, Gathers) or len(key_values(key)) != len(stage.key):
        return None
    rows = look.corpus.fetch(stage.source.name, stage.key, [key_values(key)])
    return rows[0] if rows else None


def _purchases(look: Look, stage: str, key: str, settlements: Sequence[Settlement]) -> list[Purchase]:
    """What was bought for the item: by the calls of its outcomes, and what is not settled yet."""
    calls = list(dict.fromkeys(call for each in settlements for call in each.outcome.calls))
    found = {p.intent.id: p for p in look.receipts.of_calls(calls)}
    for purchase in unsettled(look.receipts, look.state, stage):
        if any(item.key == key for item in purchase.intent.items):
            found.setdefault(purchase.intent.id, purchase)
    return sorted(found.values(), key=lambda p: (p.intent.at, p.writer, p.number))


def _attempt(purchase: Purchase, entry: TillEntry | None) -> Attempt:
    intent, receipt = purchase.intent, purchase.receipt
    return Attempt(
        intent=intent.id,
        call=intent.call,
        name=intent.name,
        number=intent.attempt,
        run=intent.run,
        at=utc_text(intent.at),
        request=[(message.role, message.text) for message in intent.request.messages],
        shape=intent.request.shape,
        asked=intent.model,
        served=entry.served if entry else "",
        ending=ending_of(purchase),
        why=purchase.ending.reason if purchase.ending else "",
        status=receipt.status if receipt else None,
        answer=_said(receipt) if receipt else None,
        usage=entry.usage if entry and entry.kind == "settle" else None,
        cost=entry.nano if entry else None,
        shared=len(intent.items),
    )


def _said(receipt: Receipt) -> str:
    if receipt.format == REDACTED:
        return f"[redacted sha256:{receipt.sha256}]"
    return receipt.body.decode("utf-8", "replace")


Ended = Literal["received", "closed", "in doubt", "corrupt", "open"]


def ending_of(purchase: Purchase) -> Ended:
    if purchase.corrupt:
        return "corrupt"
    if purchase.receipt is not None:
        return "received"
    if purchase.ending is None:
        return "open"
    return "closed" if purchase.ending.kind == "closed" else "in doubt"


# ----------------------------------------------------------------------------------------------- bad


def bad(project: Project, name: str | None = None, *, states: Sequence[str] = (), reason: str | None = None) -> Bad:
    """What was not accepted, by stage, state and reason, the biggest group first, with an example of each."""
    wanted = checked_states(states)
    names = {stage.name for stage in project.stages(name)}
    with looking(project) as look:
        groups = []
        for stage, state, code, count, example in look.state.reasons():
            if stage in names and (not wanted or state in wanted) and (reason is None or code == reason):
                groups.append(Group(stage, state, code, count, example, _message(look, stage, example)))
        standing = look.state.standing()
        left = {stage: _left_alone(standing[stage].uploaded) for stage in sorted(names & standing.keys())}
        return Bad(groups, sum(group.count for group in groups), {stage: by for stage, by in left.items() if by})


def _message(look: Look, stage: str, key: str) -> str:
    outcome = look.state.current(stage, [key]).get(key)
    return next((f.message for f in outcome.findings if f.severity == "error"), "") if outcome else ""


def _left_alone(fates: Mapping[str, int]) -> dict[str, int]:
    return {fate: count for fate, count in fates.items() if fate not in ("applied", "waiting")}


def bad_keys(
    project: Project, name: str | None = None, *, states: Sequence[str] = (), reason: str | None = None
) -> Iterator[str]:
    """Keys of what was not accepted, in the order of stages and keys."""
    wanted = checked_states(states)
    chosen = tuple(state for state in NOT_ACCEPTED if not wanted or state in wanted)
    if not chosen:
        return
    with looking(project) as look:
        for stage in project.stages(name):
            for page in _outcomes(look, stage.name, chosen):
                yield from (o.key for o in page if reason is None or reason_of(o) == reason)
