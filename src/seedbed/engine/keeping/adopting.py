"""Adoption: answers that were paid for elsewhere become receipts, joined by key and checked like any other."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Condition
from typing import Any, Literal

from seedbed.crashing import point
from seedbed.engine.lifecycle import FREELY, Running, running
from seedbed.engine.looks.look import looking
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, new_id
from seedbed.engine.work.leftovers import settle_first, unsettled
from seedbed.engine.work.orders import ADOPTED, Flow, Marks
from seedbed.engine.work.reader import Desk, Reader, read_answer
from seedbed.engine.work.rounds import Derivation, Scope
from seedbed.errors import NotReadable, SeedbedError, UsageError
from seedbed.ports.corpus import Corpus
from seedbed.ports.models.adopted import PROVIDER, Adopted
from seedbed.ports.receipts import Intent, Purchase, Receipt, ReceiptWriter
from seedbed.ports.state import RoundRow, State
from seedbed.records import Finding, Item, LogicalType, Outcome, Request, call_id, key_text, key_values
from seedbed.stage import Gathers

PAGE = 1000
"""Lines that are joined, stored and read together."""
_ANSWERS = ("answer", "output", "text")


@dataclass(frozen=True)
class Form:
    """Which fields of a line hold the key and the answer; empty finds them. ``prefix`` stands before keys in ids."""

    key: str = ""
    answer: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class NotJoined:
    """A line that became no receipt, and why. ``key`` as the line has it."""

    line: int
    key: str
    reason: str


@dataclass
class AdoptReport:
    """``lines`` = adopted + already + not joined. ``states`` counts what the adopted came to."""

    stage: str
    file: str
    lines: int = 0
    adopted: int = 0
    already: int = 0
    states: dict[str, int] = field(default_factory=dict)
    not_joined: list[NotJoined] = field(default_factory=list)
    declined: list[tuple[str, str]] = field(default_factory=list)
    dry_run: bool = False

    def count(self, state: str, key: str, findings: Sequence[Finding]) -> None:
        self.states[state] = self.states.get(state, 0) + 1
        if state != "accepted":
            why = next((f"{each.code}: {each.message}" for each in findings if each.severity == "error"), "")
            self.declined.append((key, why))


@dataclass(frozen=True)
class _Line:
    number: int
    key: str
    body: bytes
    format: Literal["stdout", "batch"]
    model: str


def adopt(
    project: Project, name: str | None, path: Path, form: Form | None = None, *, dry_run: bool = False
) -> AdoptReport:
    """Take answers from a file of JSON lines into a stage that lacks them. A second time adds nothing.

    A line holds a key and an answer, or is a line of a batch output (OpenAI, Anthropic), whose ``custom_id`` is the
    key. An answer that is declined is *rejected*, and asked again by ``recover`` alone. Raises UsageError for a file
    that cannot be read and for stages whose items are not answered by one call.
    """
    stage = project.stage(name)
    if stage.prompt is None or isinstance(stage.relation, Gathers):
        raise UsageError(
            f"{stage.name} takes no answers from elsewhere",
            why="only an item that is answered by one prompt can be joined with one answer",
        )
    report = AdoptReport(stage.name, str(path), dry_run=dry_run)
    form = form or Form()
    if dry_run:
        with looking(project) as look:
            bound = look.bound(stage)
            for page in _Lines(path, form, bound, report).pages():
                _try(bound, _joined(project, bound, look.corpus, look.state, page, report), report)
        return report
    with running(project, "import outcomes", stage.name, FREELY) as frame:
        bound = project.bound(stage, frame.corpus, frame.state)
        with frame.shift.locks.generating(stage.name):
            _Adoption(project, frame, bound, report).take(_Lines(path, form, bound, report))
    return report


# ------------------------------------------------------------------------------------------- the file


@dataclass
class _Lines:
    """The lines of a file: those with a key and an answer in pages, the others listed in the report."""

    path: Path
    form: Form
    stage: BoundStage
    report: AdoptReport
    _page: dict[str, int] = field(default_factory=dict)

    def pages(self) -> Iterator[list[_Line]]:
        found = self._found()
        while page := list(islice(found, PAGE)):
            yield page
            self._page.clear()  # an earlier page's keys are settled by now

    def _found(self) -> Iterator[_Line]:
        try:
            with gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    if not raw.strip():
                        continue
                    self.report.lines += 1
                    line = self._read(raw.removeprefix(b"\xef\xbb\xbf"), number)
                    if isinstance(line, _Line):
                        yield line
                    else:
                        self.report.not_joined.append(line)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}") from error

    def _read(self, raw: bytes, number: int) -> _Line | NotJoined:
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return NotJoined(number, "", f"not JSON: {error}")
        if not isinstance(value, dict):
            return NotJoined(number, "", "not a JSON object")
        try:
            key = self._key(self._given_key(value))
        except (SeedbedError, ValueError, TypeError) as error:
            return NotJoined(number, "", f"no key: {getattr(error, 'what', None) or error}")
        if key in self._page:
            return NotJoined(number, key, f"line {self._page[key]} holds an answer for it already")
        batch = "custom_id" in value and ("response" in value or "result" in value)
        line = _of_batch(raw.strip(), number, key) if batch else self._plain(value, number, key)
        if isinstance(line, _Line):
            self._page[key] = number
        return line

    def _plain(self, value: Mapping[str, Any], number: int, key: str) -> _Line | NotJoined:
        name = self.form.answer or next((name for name in _ANSWERS if name in value), "")
        answer = value.get(name)
        if answer is None:
            return NotJoined(number, key, f"no answer: the line has no {self.form.answer or ' or '.join(_ANSWERS)}")
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        model = value.get("model")
        return _Line(number, key, text.encode("utf-8", "surrogatepass"), "stdout", str(model or ""))

    def _given_key(self, value: Mapping[str, Any]) -> Any:
        """The key as the line has it: one value, a list, or under the names of the key columns."""
        if self.form.key:
            if self.form.key not in value:
                raise ValueError(f"the line has no {self.form.key}")
            return value[self.form.key]
        for name in ("custom_id", "key"):
            if name in value:
                return value[name]
        columns = self.stage.key
        if any(name not in value for name in columns):
            raise ValueError(f"the line has no custom_id, no key and no {', '.join(columns)}")
        return [value[name] for name in columns]

    def _key(self, given: Any) -> str:
        """The key's text, each value with the type of its column."""
        if isinstance(given, str) and self.form.prefix:
            if not given.startswith(self.form.prefix):
                raise ValueError(f"{given} does not begin with {self.form.prefix}")
            given = given.removeprefix(self.form.prefix)
        if isinstance(given, str) and given.startswith("["):
            given = _list_or(given)
        values = given if isinstance(given, list) else [given]
        columns = self.stage.key
        if len(values) != len(columns):
            raise ValueError(f"{given} is not a key of {', '.join(columns)}")
        return key_text(
            [_typed(value, self.stage.types.get(name)) for name, value in zip(columns, values, strict=True)]
        )


def _of_batch(line: bytes, number: int, key: str) -> _Line | NotJoined:
    try:
        reply = Adopted().read("batch", 200, line)
    except NotReadable as error:
        return NotJoined(number, key, str(error))
    return _Line(number, key, line, "batch", reply.model)


def _list_or(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list) else text


def _typed(value: Any, kind: LogicalType | None) -> Any:
    """A key's value with the type of its column: ids in files are often texts of whole numbers, and the reverse."""
    if kind == "int" and isinstance(value, str):
        return int(value)
    if kind == "text" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


# --------------------------------------------------------------------------------------------- joining


def _joined(
    project: Project, stage: BoundStage, corpus: Corpus, state: State, lines: Sequence[_Line], report: AdoptReport
) -> list[tuple[_Line, Item]]:
    """Lines whose item is missing now; the others are counted or listed."""
    if not lines:
        return []
    scope = Scope(ids=tuple(line.key for line in lines))
    derivation = Derivation(corpus, state, stage, scope, project.model_for(stage.stage))
    items = {item.key: item for page in derivation.pages() for item in page.items}
    rest = [line for line in lines if line.key not in items]
    settled = state.settled(stage.name, [line.key for line in rest])
    report.already += len(settled)
    strange = [line for line in rest if line.key not in settled]
    rows = corpus.fetch(stage.source.name, stage.key, [key_values(line.key) for line in strange])
    there = {key_text([row[name] for name in stage.key]) for row in rows}
    for line in strange:
        reason = (
            f"the stage does not take this row of {stage.source.name}: its cells are full, or its condition fails"
            if line.key in there
            else f"{stage.source.name} has no such row"
        )
        report.not_joined.append(NotJoined(line.number, line.key, reason))
    return [(line, items[line.key]) for line in lines if line.key in items]


def _try(stage: BoundStage, joined: Sequence[tuple[_Line, Item]], report: AdoptReport) -> None:
    """What the answers would come to; nothing is stored."""
    for line, item in joined:
        reading = read_answer(stage, [item], Adopted().read(line.format, 200, line.body))[0]
        report.adopted += 1
        report.count("accepted" if reading.accepted else "rejected", item.key, reading.findings)


# ------------------------------------------------------------------------------- receipts and outcomes


@dataclass
class _Adoption:
    project: Project
    frame: Running
    stage: BoundStage
    report: AdoptReport

    def take(self, lines: _Lines) -> None:
        state, shift = self.frame.state, self.frame.shift
        state.recipe(self.stage.recipe, self.stage.recipe_body)
        if not self.stage.stage.inputs:
            state.note(f"inputs.{self.stage.name}", list(self.stage.inputs))
        waiting = [one for one in unsettled(shift.receipts, state, self.stage.name) if one.intent.lane == ADOPTED]
        self._settle(waiting, Marks(""))  # of an import that was killed
        durable = _Durable()
        writer = shift.receipts.writer(durable.committed)
        marks = Marks(writer.name)
        try:
            for page in lines.pages():
                joined = _joined(self.project, self.stage, self.frame.corpus, state, page, self.report)
                bought = self._store(joined, writer, durable, marks)
                point("after adopted receipts")
                for outcome in self._settle(bought, marks):
                    self.report.adopted += 1
                    self.report.count(outcome.state, outcome.key, outcome.findings)
        finally:
            writer.close()

    def _store(
        self, joined: Sequence[tuple[_Line, Item]], writer: ReceiptWriter, durable: _Durable, marks: Marks
    ) -> list[Purchase]:
        """Intents and receipts of a page, durable when this returns. Each page is a round of its own."""
        if not joined:
            return []
        round_id = new_id("round")
        bought = []
        for line, item in joined:
            intent = self._intent(writer.next_id(), round_id, line, item)
            sha256 = hashlib.sha256(line.body).hexdigest()
            receipt = Receipt(intent.id, 200, {}, line.body, line.format, sha256, intent.at)
            durable.expect(2)
            writer.intend(intent, intent.id)
            writer.receive(receipt, intent.id)
            marks.opened(self.stage.name, intent.id)
            bought.append(Purchase(intent, int(intent.id.rpartition("-")[2]), writer.name, receipt))
        durable.wait()
        return bought

    def _intent(self, intent_id: str, round_id: str, line: _Line, item: Item) -> Intent:
        # What was asked elsewhere is not known: the request holds the shape that the answer is read by, no message.
        request = Request(self.stage.stage.tier, (), self.stage.request([item], 1).shape)
        return Intent(
            id=intent_id,
            call=call_id(round_id, [item.key], ADOPTED, 1),
            stage=self.stage.name,
            round=round_id,
            name=ADOPTED,
            attempt=1,
            items=(item,),
            recipe=self.stage.recipe,
            request=request,
            request_digest=request.digest(),
            model=f"{PROVIDER}/{line.model or 'unknown'}",
            account="",
            reserved=0,
            run=self.frame.shift.run,
            at=now_ms(),
            lane=ADOPTED,
        )

    def _settle(self, purchases: Sequence[Purchase], marks: Marks) -> list[Outcome]:
        """Outcomes of what was stored, by the door that every answer goes through."""
        if not purchases:
            return []
        state, shift = self.frame.state, self.frame.shift
        known = {row.id for row in state.rounds(stage=self.stage.name)}
        rounds = sorted({one.intent.round for one in purchases})
        for round_id in set(rounds) - known:
            # Superseded, not open: a run has nothing to ask in it, and reads it again after a kill.
            row = RoundRow(
                round_id, 0, self.stage.name, "1/1", self.stage.recipe, "superseded", shift.run, now_ms()
            )  # fmt: skip
            state.open_round(row)
        point("between adopted receipts and outcomes")
        desk = Desk(
            state, self.project.completers, self.project.prices, shift.till, shift.meter, self.project.emit,
            now_ms, shift.run,
        )  # fmt: skip
        reader = Reader(self.stage, desk, Flow(lambda: None), marks, lambda _: None, lambda: None, 1)
        settle_first(self.stage, purchases, reader, state)
        for round_id in rounds:
            state.close_round(round_id, "closed", now_ms())
        keys = [item.key for one in purchases for item in one.intent.items]
        return list(state.current(self.stage.name, keys).values())


class _Durable:
    """Counts records until each is on the disk."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._open = 0
        self._error: BaseException | None = None

    def expect(self, records: int) -> None:
        with self._changed:
            self._open += records

    def committed(self, tokens: list[Any], error: BaseException | None) -> None:
        with self._changed:
            self._open -= len(tokens)
            self._error = self._error or error
            self._changed.notify_all()

    def wait(self) -> None:
        """Raises what the writer met."""
        with self._changed:
            self._changed.wait_for(lambda: self._open <= 0 or self._error is not None)
            if self._error is not None:
                raise self._error
