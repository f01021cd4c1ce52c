"""All receipts of a stage read again with today's reader, shape and checks. No call is made.

An answer and the verdict on it are two things: a better reader or a tighter check costs nothing. A
reading that holds less text than the accepted one never replaces it by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.engine.projects.binding import BoundStage, with_shape_of
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import RereadReport
from seedbed.engine.work.reader import UNFINISHED, Reading, read_answer, read_reply
from seedbed.engine.work.rounds import Scope
from seedbed.ports.receipts import REDACTED, Purchase, ReceiptStore
from seedbed.ports.state import State
from seedbed.records import Item, Outcome, cell
from seedbed.stage import Fills

EXAMPLES = 20
ARCHIVED = "receipts.archived"
"""The note of what was moved elsewhere: by writer and stage, how many answers."""
PAGE = 500


@dataclass
class _Verdicts:
    counts: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    changed: list[Outcome] = field(default_factory=list)

    def add(self, verdict: str, key: str, words: str) -> None:
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        if verdict != "same" and len(self.examples) < EXAMPLES:
            self.examples.append((verdict, key, words))


def reread_stage(
    project: Project, stage: BoundStage, receipts: ReceiptStore, state: State, scope: Scope, *, dry_run: bool
) -> RereadReport:
    """Compare each item's accepted reading with today's; put better ones in place unless ``dry_run``."""
    if stage.prompt is None:
        return RereadReport(stage.name, 0, {}, 0, (), skipped=_count(receipts, stage.name), dry_run=dry_run)
    readings: dict[tuple[str, str], list[tuple[str, Reading]]] = {}
    read = 0
    here: set[str] = set()
    for purchase in receipts.purchases(stage=stage.name):
        here.add(purchase.writer)
        if purchase.receipt is None or purchase.receipt.format == REDACTED:
            continue
        read += 1
        for item, reading in _readings(project, stage, purchase):
            if _meant(scope, item):
                readings.setdefault((purchase.intent.round, item.key), []).append((purchase.intent.call, reading))
    verdicts = _Verdicts()
    for outcome, found in _with_outcomes(state, stage, readings):
        _judge(stage, outcome, found, verdicts)
    if not dry_run and verdicts.changed:
        state.reread(verdicts.changed)
    applied = 0 if dry_run else len(verdicts.changed)
    moved = {writer: counts for writer, counts in (state.note(ARCHIVED) or {}).items() if writer not in here}
    archived = sum(counts.get(stage.name, 0) for counts in moved.values())
    examples = tuple(verdicts.examples)
    return RereadReport(stage.name, read, verdicts.counts, applied, examples, dry_run=dry_run, archived=archived)


def _count(receipts: ReceiptStore, stage: str) -> int:
    return sum(purchase.receipt is not None for purchase in receipts.purchases(stage=stage))


def _meant(scope: Scope, item: Item) -> bool:
    return (scope.ids is None or item.key in scope.ids) and scope.part.holds(item.key)


def _readings(project: Project, stage: BoundStage, purchase: Purchase) -> Iterator[tuple[Item, Reading]]:
    intent, receipt = purchase.intent, purchase.receipt
    if receipt is None:
        return
    project.completer(intent.model.partition("/")[0])
    reply, broken = read_reply(project.completers, intent, receipt)
    bound = stage if intent.recipe == stage.recipe else with_shape_of(stage, intent.request, intent.recipe)
    found = [Reading(findings=(broken,))] * len(intent.items) if reply is None else None
    yield from zip(intent.items, found or read_answer(bound, intent.items, reply), strict=True)  # type: ignore[arg-type]  # a reply where nothing is broken


def _with_outcomes(
    state: State, stage: BoundStage, readings: dict[tuple[str, str], list[tuple[str, Reading]]]
) -> Iterator[tuple[Outcome, list[tuple[str, Reading]]]]:
    """The current outcome of each item that was read, where it came from the same round."""
    keys = sorted({key for _, key in readings})
    for start in range(0, len(keys), PAGE):
        for key, outcome in state.current(stage.name, keys[start : start + PAGE]).items():
            found = readings.get((outcome.round, key))
            if found and outcome.state in ("accepted", "rejected", "failed"):
                yield outcome, found


def _judge(stage: BoundStage, outcome: Outcome, found: Sequence[tuple[str, Reading]], verdicts: _Verdicts) -> None:
    if outcome.state == "accepted":
        own = [reading for call, reading in found if not outcome.calls or call == outcome.calls[-1]]
        if own:
            _judge_accepted(stage, outcome, own[-1], verdicts)
        return
    good = [reading for _, reading in found if reading.accepted]
    if not good:
        verdicts.add("still declined", outcome.key, _why(found[-1][1]))
        return
    verdicts.add("mended", outcome.key, _short(good[-1].output))
    verdicts.changed.append(_read_as(outcome, good[-1], "accepted"))


def _judge_accepted(stage: BoundStage, outcome: Outcome, reading: Reading, verdicts: _Verdicts) -> None:
    if not reading.accepted:
        verdicts.add("declined", outcome.key, _why(reading))
        state = "failed" if any(f.code in UNFINISHED for f in reading.findings) else "rejected"
        verdicts.changed.append(replace(outcome, state=state, findings=reading.findings, made=0))  # type: ignore[arg-type]  # one of two states
        return
    if reading.output == outcome.output:
        verdicts.add("same", outcome.key, "")
        return
    before, now = _text(outcome.output), _text(reading.output)
    verdict = "longer" if len(now) > len(before) else "shorter" if len(now) < len(before) else "other"
    verdicts.add(verdict, outcome.key, f"{_short(outcome.output)} → {_short(reading.output)}")
    if verdict == "longer":
        relation = stage.stage.relation
        held = outcome.output if isinstance(outcome.output, dict) else {}
        cells = {name: cell(held.get(name)) for name in relation.outputs} if isinstance(relation, Fills) else {}
        verdicts.changed.append(replace(_read_as(outcome, reading, "accepted"), before=cells or outcome.before))


def _read_as(outcome: Outcome, reading: Reading, state: Any) -> Outcome:
    return replace(outcome, state=state, output=reading.output, findings=reading.findings, made=reading.made)


def _text(value: Any) -> str:
    """All text of a value, without the signs that hold it together."""
    if isinstance(value, dict):
        return "".join(_text(part) for part in value.values())
    if isinstance(value, list):
        return "".join(map(_text, value))
    return "" if value is None else str(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"


def _why(reading: Reading) -> str:
    return next((f"{f.code}: {f.message}"[:120] for f in reading.findings if f.severity == "error"), "declined")
