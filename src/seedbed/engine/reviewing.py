"""Review: a person looks at answers one by one and says yes or no; each decision is stored before the next one.

A no sets the item aside with its reason: it is not uploaded, not asked again by itself, and taken back where it had
been uploaded. A corrected prompt makes it stale, so that the next pilot asks it again.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.crashing import point
from seedbed.engine.projects.binding import MEMBERS, BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, this_host
from seedbed.engine.uploading import tables_of
from seedbed.errors import EmptySelection, UsageError, nearest
from seedbed.policy.differences import Parts, nearest_source
from seedbed.policy.intervals import wilson
from seedbed.policy.sampling import draw
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import State
from seedbed.ports.state.gates import DecisionRow, PilotRow, Verdict
from seedbed.records import Finding, Outcome, key_values
from seedbed.stage import Gathers

REASONS: Mapping[str, str] = {
    "invented": "says what the source does not say",
    "lost_text": "leaves something out",
    "wrong_field": "right, but in the wrong place",
    "style": "right, but badly said",
    "other": "another reason; a note says which",
}
"""Why a person declines an answer. A reason of their own may stand in place of these."""
JUDGED = ("accepted", "withdrawn", "set aside")
"""States of an answer that a person can judge."""
LONGEST_REASON = 60
LONGEST_NOTE = 2000
SCORES = range(1, 6)


@dataclass(frozen=True)
class Sight:
    """An answer as a person looks at it. ``marks`` say, per output field, where it differs from its source text."""

    key: str
    why: str
    source: Mapping[str, Any]
    result: Any
    marks: Mapping[str, tuple[str, Parts]]
    findings: tuple[Finding, ...]
    state: str
    fate: str
    decision: DecisionRow | None
    outcome: Outcome

    @property
    def open(self) -> bool:
        return self.decision is None


@dataclass(frozen=True)
class Scorecard:
    """What people said about the items of a pilot or another set. Acceptance with its Wilson interval at 95 %.

    ``declined`` counts the items that no person has to look at, since a check or the provider declined them; they are
    in ``acceptance`` as not acceptable. ``reasons`` are (reason, count, example key), biggest first.
    """

    items: int
    yes: int
    no: int
    open: int
    declined: Mapping[str, int]
    low: float
    high: float
    reasons: tuple[tuple[str, int, str], ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()

    @property
    def looked_at(self) -> int:
        """Items with a verdict, of a person or of a check."""
        return self.yes + self.no + sum(self.declined.values())

    @property
    def acceptance(self) -> float | None:
        return self.yes / self.looked_at if self.looked_at else None

    def as_told(self) -> dict[str, Any]:
        """Plain values, to be kept with a signature."""
        return {
            "items": self.items,
            "yes": self.yes,
            "no": self.no,
            "open": self.open,
            "declined": dict(self.declined),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "reasons": [list(reason) for reason in self.reasons],
        }


@dataclass(frozen=True)
class Decided:
    """What a decision did. ``restored`` rows were taken back; ``left`` could not be: (key, why)."""

    key: str
    verdict: Verdict
    state: str
    reason: str = ""
    restored: int = 0
    left: tuple[tuple[str, str], ...] = ()


@dataclass
class Sitting:
    """One sitting of a reviewer over a set of answers. Every decision is durable when its method returns."""

    project: Project
    stage: BoundStage
    state: State
    corpus: Corpus
    pilot: PilotRow | None
    why: Mapping[str, str]
    reviewer: str

    @property
    def set_name(self) -> str:
        return self.pilot.id if self.pilot is not None else ""

    def sights(self) -> list[Sight]:
        """The answers to look at, those with findings and doubts first; decided ones too."""
        return sorted(
            (self._sight(outcome, decision) for outcome, decision in self._answered()),
            key=lambda sight: (_urgency(sight), list(self.why).index(sight.key)),
        )

    def sight(self, key: str) -> Sight:
        """One of the set. Raises UsageError for a key that is none of it."""
        for outcome, decision in self._answered(key):
            return self._sight(outcome, decision)
        raise UsageError(f"{key} is none of the answers of this review.", hint=nearest(key, self.why))

    def accept(self, key: str, *, note: str = "", scores: Mapping[str, int] | None = None) -> Decided:
        return self._decide(self.sight(key), "accept", "", note, scores or {})

    def reject(self, key: str, reason: str, *, note: str = "", scores: Mapping[str, int] | None = None) -> Decided:
        """Set the item aside; what was uploaded of it is taken back where it still stands as it was written."""
        reason = " ".join(reason.split())
        if not reason or len(reason) > LONGEST_REASON:
            raise UsageError(
                "A no needs its reason, in a few words.", hint=f"One of {', '.join(REASONS)}, or your own."
            )
        return self._decide(self.sight(key), "reject", reason, note, scores or {})

    def undo(self, key: str | None = None) -> Decided:
        """Take a decision back: of the key, or the last one of this set. What was taken back is not uploaded again."""
        done = {sight.key: sight for sight in self.sights() if sight.decision is not None}
        if key is None:
            last = max(done.values(), key=lambda s: s.decision.number if s.decision else 0, default=None)
            if last is None:
                raise UsageError("There is no decision to undo.")
            key = last.key
        if key not in done:
            raise UsageError(f"{key} has no decision to undo.")
        return self._decide(done[key], "undo", "", "", {})

    def scorecard(self) -> Scorecard:
        return _scorecard(self.state, self.stage, list(self.why), self.set_name)

    # ------------------------------------------------------------------------------------- one answer

    def _answered(self, key: str | None = None) -> Iterator[tuple[Outcome, DecisionRow | None]]:
        keys = list(self.why) if key is None else [k for k in (key,) if k in self.why]
        yield from _answered(self.state, self.stage, keys)

    def _sight(self, outcome: Outcome, decision: DecisionRow | None) -> Sight:
        source = self._source(outcome)
        texts = {name: value for name, value in source.items() if isinstance(value, str)}
        output = outcome.output if isinstance(outcome.output, Mapping) else {"": outcome.output}
        marks = {}
        for name, value in output.items():
            found = nearest_source(value, texts) if isinstance(value, str) else None
            if found is not None:
                marks[str(name)] = found
        fate, _ = self.state.upload_fate(self.stage.name, [outcome.key]).get(outcome.key, ("", ""))
        return Sight(
            key=outcome.key,
            why=self.why[outcome.key],
            source=source,
            result=outcome.output,
            marks=marks,
            findings=tuple(f for f in outcome.findings if f.severity != "error"),
            state=outcome.state,
            fate=fate,
            decision=decision,
            outcome=outcome,
        )

    def _source(self, outcome: Outcome) -> dict[str, Any]:
        """What the prompt was shown of the row, and what stood in the cells before."""
        relation = self.stage.stage.relation
        if isinstance(relation, Gathers):
            row: Mapping[str, Any] = {k: v for k, v in outcome.row.items() if k != MEMBERS}
            members = outcome.row.get(MEMBERS, ())
            return {**row, **{f"{n}": _short(member) for n, member in enumerate(members, 1)}}
        rows = self.corpus.fetch(self.stage.source.name, self.stage.key, [key_values(outcome.key)])
        row = rows[0] if rows else outcome.row
        shown = {name: row.get(name) for name in self.stage.columns if name in self.stage.inputs}
        before = {
            name: value for name, value in outcome.before.items() if value not in (None, "") and name not in shown
        }
        return {**shown, **before}

    def _decide(self, sight: Sight, verdict: Verdict, reason: str, note: str, scores: Mapping[str, int]) -> Decided:
        decision = DecisionRow(
            stage=self.stage.name,
            key=sight.key,
            round=sight.outcome.round,
            verdict=verdict,
            reviewer=self.reviewer,
            at=now_ms(),
            reason=reason,
            note=note.strip()[:LONGEST_NOTE],
            scores=_scores_of(self.stage, scores),
            pilot=self.set_name,
        )
        after = _after(sight, decision)
        with self._no_upload() if verdict == "reject" else nullcontext():
            point("before a decision")
            if not self.state.decide(decision, sight.outcome, after):
                raise UsageError(f"{sight.key} has changed since it was shown; look at it again.")
            point("after a decision")
            restored, left = self._take_back(sight.key) if verdict == "reject" else (0, ())
        return Decided(sight.key, verdict, after.state, reason, restored, left)

    @contextmanager
    def _no_upload(self) -> Iterator[None]:
        """While a no is stored no upload is under way, which may have read the answer already."""
        locks = self.project.locks()
        with ExitStack() as held:
            for table in tables_of(self.stage):
                held.enter_context(locks.uploading(table))
            yield

    def _take_back(self, key: str) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Undo what the releases wrote for one item; nothing where it was not uploaded. The caller holds the lock."""
        fate, release = self.state.upload_fate(self.stage.name, [key]).get(key, ("", ""))
        if fate != "applied" or not release:
            return 0, ()
        undone = self.corpus.roll_back(release, items=frozenset((key,)))
        point("after an item was taken back, before its note")
        if not undone.left:
            current = self.state.current(self.stage.name, [key])[key]
            self.state.take_back(self.stage.name, key, current.round)
        if self.project.source is not None:
            self.project.write_file()
        return undone.restored + undone.deleted, undone.left

    def finish(self) -> int:
        """What a kill between a no and its taking back has left: taken back now. The number of rows."""
        rows = 0
        for sight in self.sights():
            if sight.state == "set aside" and sight.fate == "applied":
                with self._no_upload():
                    rows += self._take_back(sight.key)[0]
        return rows


@contextmanager
def review(
    project: Project,
    name: str | None = None,
    *,
    reviewer: str = "",
    sample: int | None = None,
    seed: int = 1,
    ids: Sequence[str] | None = None,
) -> Iterator[Sitting]:
    """Open a review: of the newest pilot, of named items, or of a sample of all accepted answers.

    Raises UsageError where there is no pilot of the recipe of now, EmptySelection where nothing was answered.
    """
    stage = project.stage(name)
    with ExitStack() as stack:
        state = project.state()
        stack.callback(state.close)
        corpus = project.corpus()
        stack.callback(corpus.close)
        bound = project.bound(stage, corpus, state)
        pilot = None
        if ids is not None:
            why = dict.fromkeys(ids, "named")
        elif sample is not None:
            why = dict.fromkeys(_drawn(state, bound, sample, seed), f"at random, seed {seed}")
        else:
            pilot = pilot_to_review(state, bound)
            why = dict(pilot.items)
        found = Sitting(project, bound, state, corpus, pilot, why, reviewer.strip() or _who())
        if not why or next(iter(_answered(state, bound, list(why))), None) is None:
            raise EmptySelection(
                f"{stage.name} has no accepted answer to look at here.", hint=f"See: seedbed records {stage.name}"
            )
        found.finish()
        yield found


def pilot_to_review(state: State, stage: BoundStage) -> PilotRow:
    """The newest pilot. Raises UsageError where there is none of this recipe."""
    pilot = state.pilot(stage.name)
    if pilot is None:
        raise UsageError(
            f"No pilot of {stage.name} was run, so there is nothing to review.",
            hint=f"Start with: seedbed pilot {stage.name}",
        )
    if pilot.recipe != stage.recipe:
        raise UsageError(
            f"The recipe of {stage.name} has changed since its pilot.", hint=f"Run it anew: seedbed pilot {stage.name}"
        )
    return pilot


def scorecard(state: State, stage: BoundStage, pilot: PilotRow) -> Scorecard:
    """What was said about a pilot so far."""
    return _scorecard(state, stage, [key for key, _ in pilot.items], pilot.id)


# ------------------------------------------------------------------------------------------- their parts


def _answered(state: State, stage: BoundStage, keys: Sequence[str]) -> Iterator[tuple[Outcome, DecisionRow | None]]:
    """Answers of the recipe of now that a person can judge, with the decision that holds."""
    decisions = _holding(state, stage.name)
    current = state.current(stage.name, keys)
    for key in keys:
        outcome = current.get(key)
        if outcome is None or outcome.recipe != stage.recipe or outcome.state not in JUDGED:
            continue
        decision = decisions.get((key, outcome.round))
        if outcome.state != "set aside" or decision is not None:
            yield outcome, decision


def _holding(state: State, stage: str) -> dict[tuple[str, str], DecisionRow]:
    """The decision that holds for each (key, round): the last one, if it was not undone."""
    found: dict[tuple[str, str], DecisionRow] = {}
    for decision in state.decisions(stage):
        if decision.verdict == "undo":
            found.pop((decision.key, decision.round), None)
        else:
            found[decision.key, decision.round] = decision
    return found


def _scorecard(state: State, stage: BoundStage, keys: Sequence[str], name: str) -> Scorecard:
    decisions = _holding(state, stage.name)
    yes = no = waiting = 0
    declined: dict[str, int] = {}
    reasons: dict[str, list[str]] = {}
    scores: dict[str, list[int]] = {}
    reviewers: dict[str, None] = {}
    for key, outcome in state.current(stage.name, keys).items():
        if outcome.recipe != stage.recipe:
            continue
        decision = decisions.get((key, outcome.round))
        if decision is None and outcome.state not in ("accepted", "withdrawn"):
            declined[outcome.state] = declined.get(outcome.state, 0) + 1
        elif decision is None:
            waiting += 1
        else:
            yes += decision.verdict == "accept"
            no += decision.verdict == "reject"
            reviewers[decision.reviewer] = None
            if decision.verdict == "reject":
                reasons.setdefault(decision.reason, []).append(key)
            for each, score in decision.scores.items():
                scores.setdefault(each, []).append(score)
    low, high = wilson(yes, yes + no + sum(declined.values()))
    grouped = sorted(((reason, len(found), found[0]) for reason, found in reasons.items()), key=lambda r: (-r[1], r[0]))
    means = {each: sum(found) / len(found) for each, found in scores.items()}
    items = yes + no + waiting + sum(declined.values())
    return Scorecard(items, yes, no, waiting, declined, low, high, tuple(grouped), means, tuple(reviewers))


def _after(sight: Sight, decision: DecisionRow) -> Outcome:
    """The outcome as a decision leaves it. A person's finding goes when its decision is undone or taken again.

    An answer that was uploaded and taken back is withdrawn, like one of a release: uploaded again only by name.
    """
    outcome, held = sight.outcome, sight.decision
    findings = outcome.findings
    if held is not None and held.verdict == "reject":
        findings = tuple(f for f in findings if f.severity != "error")
    if decision.verdict != "reject":
        taken_back = outcome.state == "withdrawn" or sight.fate == "withdrawn"
        return replace(outcome, state="withdrawn" if taken_back else "accepted", findings=findings)
    said = f"{decision.reviewer}: {decision.note}" if decision.note else f"{decision.reviewer} said no"
    return replace(outcome, state="set aside", findings=(*findings, Finding(decision.reason, said)))


def _scores_of(stage: BoundStage, scores: Mapping[str, int]) -> dict[str, int]:
    for name, score in scores.items():
        if name not in stage.stage.scores:
            raise UsageError(f"{stage.name} knows no score {name}", hint=nearest(name, stage.stage.scores))
        if isinstance(score, bool) or score not in SCORES:
            raise UsageError(f"A score is a whole number from 1 to 5, not {score!r}.")
    return dict(scores)


def _urgency(sight: Sight) -> int:
    """What to look at first: answers with findings, then odd rows, then the ends, then the others."""
    if sight.findings:
        return 0
    kinds = ("doubtful", "rare", "longest", "shortest")
    return next((place for place, kind in enumerate(kinds, 1) if sight.why.startswith(kind)), len(kinds) + 1)


def _drawn(state: State, stage: BoundStage, size: int, seed: int) -> list[str]:
    """Accepted answers of this recipe, drawn by hash: memory for the sample only."""
    return draw(_accepted(state, stage), size, seed)


def _accepted(state: State, stage: BoundStage) -> Iterator[str]:
    after: str | None = None
    while page := state.outcomes(stage.name, states=("accepted",), after=after, limit=1000):
        after = page[-1].key
        yield from (outcome.key for outcome in page if outcome.recipe == stage.recipe)


def _short(member: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in member.items() if value is not None)


def _who() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return this_host()
