"""The reader: receipts → readings → outcomes, on a thread of its own.

A reading is a repeatable function of receipt and context: parse, shape, checks. The reader owns the
state while a stage works, and commits as soon as it is idle.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from seedbed.crashing import point
from seedbed.engine.projects.binding import BoundStage, label, makes_rows
from seedbed.engine.work.orders import ADOPTED, Bought, Flow, Marks, Order, Settled, Spent, order_for
from seedbed.errors import ConfigError, DiskFails, GateError, NotReadable, Pause
from seedbed.events import Event, ItemsSettled, Meter, Notice
from seedbed.policy.budget import Till, share
from seedbed.policy.edits import Repaired
from seedbed.policy.replies import read_group
from seedbed.ports.models import Completer
from seedbed.ports.receipts import REDACTED, Intent, Receipt
from seedbed.ports.state import State, TillEntry, TillKind
from seedbed.records import NO_USAGE, Finding, Item, Outcome, OutcomeState, Reply, Usage
from seedbed.stage import Fills

BATCH = 400
GATHER = 0.01
"""Seconds that answers are gathered before they are settled together."""
UNFINISHED = {"length", "empty", "no_answer"}
"""Reasons that end in *failed* rather than *rejected*: there was no complete answer."""


class Pricing(Protocol):
    def cost(self, model: str, usage: Usage) -> int | None: ...
    def row(self, model: str) -> Mapping[str, Any] | None: ...
    def stamp(self, model: str) -> str:
        """A hash of the row; "" where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What one item's part of an answer came to: an output, or findings that decline it."""

    output: Any = None
    findings: tuple[Finding, ...] = ()
    refused: bool = False
    made: int = 0

    @property
    def accepted(self) -> bool:
        return not self.refused and not any(f.severity == "error" for f in self.findings)


class UserCodeError(ConfigError):
    """A function of the stage raised; what was bought is safe."""

    name = "user_code"

    @classmethod
    def at(cls, error: Exception, what: str, key: str) -> UserCodeError:
        """The error with its place in the user's file."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        return cls(
            f"{what} raised {type(error).__name__}: {error}",
            why=f"at {place.filename}:{place.lineno}, for the item {key}",
            hint="Mend it and run the same command again; answers that were received are not bought again.",
        )


# ------------------------------------------------------------------------------------ pure readings


def read_answer(stage: BoundStage, items: Sequence[Item], reply: Reply) -> list[Reading]:
    """One reading per item, in their order."""
    declined = _declined(reply)
    if declined is not None:
        return [declined] * len(items)
    try:
        if len(items) > 1:
            return _group(stage, items, reply.text)
        if stage.reader is None:
            return [check(stage, items[0], reply.text)]
        return [_alone(stage, items[0], stage.reader.repaired(reply.text))]
    except NotReadable as error:
        return [_unreadable(error)] * len(items)


def _alone(stage: BoundStage, item: Item, repaired: Repaired) -> Reading:
    """The reading of one item's answer; what was mended is told, and a doubtful mending is none."""
    if repaired.doubtful:
        return Reading(findings=(Finding("doubtful", "; ".join(repaired.doubtful)),))
    reading = check(stage, item, repaired.value)
    if not repaired.edits:
        return reading
    kinds = ", ".join(dict.fromkeys(edit.kind for edit in repaired.edits))
    mended = Finding("repaired", f"{len(repaired.edits)} edits: {kinds}", severity="info")
    return replace(reading, findings=(*reading.findings, mended))


def _declined(reply: Reply) -> Reading | None:
    if reply.finish == "refusal":
        words = reply.refusal or "the provider declined to answer"
        return Reading(findings=(Finding("refused", words[:300]),), refused=True)
    if reply.finish == "length":
        return Reading(findings=(Finding("length", "the answer was cut off at its output maximum"),))
    if reply.finish == "empty":
        return Reading(findings=(Finding("empty", "the answer holds no text"),))
    return None


def _group(stage: BoundStage, items: Sequence[Item], text: str) -> list[Reading]:
    """Each item's part of an answer for several; what is left out or wrong declines that item alone."""
    if stage.reader is None:
        raise ConfigError(f"stage {stage.name} asks {len(items)} items at once and needs a shape for that")
    labels = [label(n) for n in range(len(items))]
    group = read_group(text, labels, stage.reader)
    readings = []
    for name, item in zip(labels, items, strict=True):
        if name in group.values:
            readings.append(check(stage, item, group.values[name]))
        elif (error := group.declined.get(name)) is not None:
            readings.append(_unreadable(error))
        else:
            code = "doubled" if name in group.split.doubled else "left_out"
            readings.append(Reading(findings=(Finding(code, "the answer for several items lacks this one"),)))
    return readings


def _unreadable(error: NotReadable) -> Reading:
    return Reading(findings=(Finding(error.code, str(error), error.field),))


def check(stage: BoundStage, item: Item, output: Any) -> Reading:
    """Run the stage's checks, and for rows that are made, the function that makes them."""
    findings: list[Finding] = []
    for function in stage.stage.checks:
        findings.extend(_theirs(stage, item, getattr(function, "__name__", "check"), function, item, output))
    made = 0
    rows = makes_rows(stage.stage)
    if rows is not None and not any(f.severity == "error" for f in findings):
        # As at upload: the row and the output are all that the rows may depend on.
        bare = Item(item.key, item.row, item.fingerprint)
        made = len(_theirs(stage, item, "rows", rows.rows, bare, output))
    return Reading(output, tuple(findings), made=made)


def _theirs(stage: BoundStage, item: Item, what: str, function: Callable[..., Any], *values: Any) -> list[Any]:
    """Call a function of the user's; what it raises is told with its place, not as our failure."""
    try:
        return list(function(*values) or ())
    except NotReadable:
        raise
    except Exception as error:
        raise UserCodeError.at(error, f"{what} of stage {stage.name}", item.key) from error


def feedback(findings: Sequence[Finding]) -> str:
    """What the model is told about its last answer."""
    lines = [f"- {f.field + ': ' if f.field else ''}{f.message}" for f in findings if f.severity == "error"]
    return "\n".join(["Your previous answer was not accepted:", *lines[:8], "Answer again and mend this."])


# ------------------------------------------------------------------------------------- the thread


@dataclass
class Desk:
    """What the reader needs besides the stage. ``settled`` is called after each batch; it may raise GateError."""

    state: State
    completers: Mapping[str, Completer]
    prices: Pricing
    till: Till
    meter: Meter
    emit: Callable[[Event], None]
    now: Callable[[], int]
    run: str
    settled: Callable[[State], None] = lambda _: None
    used: Callable[[str, Usage | None], None] = lambda _intent, _usage: None
    """Told what the call of an intent used, where that is known, so that limits are settled."""
    foretell: Callable[[str, Sequence[tuple[Item | None, Outcome]]], None] | None = None


class Reader:
    """Settles what was bought; asks again, within the attempts, what an answer lacked."""

    def __init__(
        self,
        stage: BoundStage,
        desk: Desk,
        flow: Flow,
        marks: Marks,
        ask_again: Callable[[Sequence[Order]], None],
        freed: Callable[[], None],
        capacity: int,
    ) -> None:
        self.stage = stage
        self.desk = desk
        self.flow = flow
        self.marks = marks
        self.ask_again = ask_again
        self.freed = freed
        self.capacity = capacity
        self._waiting: deque[Bought | Settled] = deque()
        self._arrived = threading.Event()
        self._closed = threading.Event()
        self._stamps: set[str] = {""}

    # called from the loops

    def deliver(self, result: Bought | Settled) -> None:
        self._waiting.append(result)
        if not self._arrived.is_set():
            self._arrived.set()

    def has_room(self) -> bool:
        return len(self._waiting) < self.capacity

    def close(self) -> None:
        self._closed.set()
        self._arrived.set()

    # the thread

    def work(self) -> None:
        """Until closed and empty. An error stops the run; what is waiting then stays as receipts."""
        while self._next():
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            try:
                self.settle(batch)
            except BaseException as error:
                self.flow.stop(error)
                self.freed()
                return

    def _next(self) -> bool:
        """Wait for work, then a moment for more of it: a commit for each answer would cost more than all else.

        Nothing is at stake in that moment, since receipts are durable before they come here.
        """
        while not self._waiting:
            if self._closed.is_set():
                return False
            self._arrived.wait()
            self._arrived.clear()
        if len(self._waiting) < BATCH:
            self._closed.wait(GATHER)
        return True

    def settle(self, batch: Sequence[Bought | Settled]) -> None:
        """Read a batch, commit its outcomes and money, then ask again what needs it."""
        ledger = _Page()
        for result in batch:
            if isinstance(result, Settled):
                self._asked(result, ledger)
            elif result.order.waiter is not None:
                self._book(result, ledger)
                result.order.waiter.set_result(result)
            else:
                self._answered(result, ledger)
        self.marks.settled(self.stage.name, ledger.intents)
        self._commit(ledger)
        self.desk.till.booked([entry.intent for entry in ledger.entries])
        self.tell(ledger.outcomes)
        if self.desk.foretell is not None and ledger.done:
            self.desk.foretell(self.stage.name, ledger.done)
        if ledger.again and not self.flow.stopping.is_set():
            self.ask_again(ledger.again)
        left = ledger.left + (len(ledger.again) if self.flow.stopping.is_set() else 0)
        if left:
            self.flow.leave(left)
        self._may_go_on()
        self.freed()

    def _may_go_on(self) -> None:
        """A gate that has shut meanwhile ends the run; what was bought is read to its end all the same."""
        try:
            self.desk.settled(self.desk.state)
        except GateError as error:
            self.flow.stop(error)

    def _commit(self, page: _Page) -> None:
        """With the state busy or down the reader waits; receipts are safe. A disk that is full ends the run."""
        told = False
        while page.outcomes or page.entries or page.intents:
            try:
                point("before outcomes")
                self.desk.state.settle(page.outcomes, page.entries, self.marks.now())
                point("after outcomes")
                return
            except Pause as error:
                if self.flow.stopping.is_set() or isinstance(error, DiskFails):
                    raise
                if not told:
                    self.desk.emit(Notice(f"Waiting for the state: {error.what}"))
                    told = True
                self.flow.stopping.wait(0.5)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Let listeners know what was settled."""
        meter = self.desk.meter
        for outcome in outcomes:
            meter.settled += 1
            meter.states[outcome.state] = meter.states.get(outcome.state, 0) + 1
        meter.spent = self.desk.till.spent
        meter.reserved = self.desk.till.reserved
        if outcomes:
            self.desk.emit(ItemsSettled(self.stage.name, tuple(outcomes)))

    # one result

    def _asked(self, settled: Settled, page: _Page) -> None:
        for bought in settled.bought:
            if bought.order.waiter is None:  # replayed from its receipt: not booked by this process yet
                self._book(bought, page)
            page.intents.extend(intent.id for intent, _ in bought.intents)
        if settled.outcome is not None:
            page.outcomes.append(settled.outcome)
            page.done.append((None, settled.outcome))
        page.left += settled.items

    def _answered(self, bought: Bought, page: _Page) -> None:
        order = bought.order
        page.intents.extend(intent.id for intent, _ in bought.intents)
        usage, cost, served, readings = self._book(bought, page)
        if readings is None:
            if bought.gave_up is None:  # stopped before an answer came: the items stay missing
                page.left += len(order.items)
                return
            readings = [Reading(findings=(bought.gave_up,), refused=bought.state == "refused")] * len(order.items)
        spent = _shares(order, bought.intent, usage, cost, served)
        for item, reading, paid in zip(order.items, readings, spent, strict=True):
            self._item(order, item, reading, paid, page, no_answer=bought.gave_up is not None)

    def _book(self, bought: Bought, page: _Page) -> tuple[Usage, int | None, str, list[Reading] | None]:
        """Money of all intents of a call; the readings of its receipt, if it has one."""
        order = bought.order
        for intent, ending in bought.intents:
            if ending is not None and ending.kind == "doubt":
                page.entries.append(self._entry(intent, "doubt", intent.reserved, NO_USAGE, ""))
        paid, receipt = bought.intent, bought.receipt
        if paid is None or receipt is None:
            return NO_USAGE, 0, "", None
        reply, broken = read_reply(self.desk.completers, paid, receipt)
        usage, served = (reply.usage, reply.model) if reply else (None, "")
        adopted = paid.lane == ADOPTED
        cost = paid.reserved if usage is None or adopted else self.desk.prices.cost(paid.model, usage)
        if cost is None:
            self.desk.meter.price_unknown = True
        self.desk.till.settle(paid.id, cost)
        self.desk.used(paid.id, usage)
        saved = self._saved(paid.model, usage) if usage else 0
        page.entries.append(self._entry(paid, "adopt" if adopted else "settle", cost, usage or NO_USAGE, served, saved))
        if order.waiter is not None or order.stage.prompt is None:
            return usage or NO_USAGE, cost, served, None
        if reply is None:
            return NO_USAGE, cost, served, [Reading(findings=(broken,))] * len(order.items)
        return usage or NO_USAGE, cost, served, read_answer(order.stage, order.items, reply)

    def _saved(self, model: str, usage: Usage) -> int:
        """What the provider's prompt cache saved: cached tokens at the full price less at theirs."""
        if not usage.cached:
            return 0
        full = self.desk.prices.cost(model, Usage(input=usage.cached))
        cached = self.desk.prices.cost(model, Usage(cached=usage.cached))
        return 0 if full is None or cached is None else max(0, full - cached)

    def _entry(
        self, intent: Intent, kind: TillKind, nano: int | None, usage: Usage, served: str, saved: int = 0
    ) -> TillEntry:
        price = self._stamp(intent.model) if kind != "doubt" else ""
        return TillEntry(
            intent.id, kind, nano, intent.stage, intent.run, intent.model, intent.at, usage, served, saved,
            intent.account, price,
        )  # fmt: skip

    def _stamp(self, model: str) -> str:
        """The price row of now, stored where it is new."""
        stamp = self.desk.prices.stamp(model)
        if stamp not in self._stamps:
            self.desk.state.price(stamp, self.desk.prices.row(model))
            self._stamps.add(stamp)
        return stamp

    def _item(self, order: Order, item: Item, reading: Reading, paid: Spent, page: _Page, *, no_answer: bool) -> None:
        state = "accepted" if reading.accepted else self._declined(order, reading, no_answer=no_answer)
        if state is None:
            page.again.append(self._again(order, item, reading, paid))
            return
        page.left += 1
        outcome = outcome_of(order.stage, item, order.round, reading, state, paid, order.attempt, self.desk)
        page.outcomes.append(outcome)
        page.done.append((item, outcome))

    def _declined(self, order: Order, reading: Reading, *, no_answer: bool) -> OutcomeState | None:
        """What an item comes to whose answer is not accepted; None where it is asked again."""
        alone = len(order.items) == 1
        if no_answer and alone:
            return "refused" if reading.refused else "failed"
        last = order.attempt >= order.stage.stage.attempts or order.name == ADOPTED
        if last or (reading.refused and alone) or any(f.code == REDACTED for f in reading.findings):
            return "refused" if reading.refused else self._lost(reading)
        return None

    def _lost(self, reading: Reading) -> OutcomeState:
        return "failed" if any(f.code in UNFINISHED for f in reading.findings) else "rejected"

    def _again(self, order: Order, item: Item, reading: Reading, paid: Spent) -> Order:
        cut = any(f.code == "length" for f in reading.findings)
        words = "" if cut or reading.refused or len(order.items) > 1 else feedback(reading.findings)
        return order_for(
            order.stage,
            order.round,
            [item],
            attempt=order.attempt + 1,
            feedback=words,
            room=2 ** (order.attempt if cut else 0),
            spent=(paid,),
        )


class _Page:
    """What one batch adds up to."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.done: list[tuple[Item | None, Outcome]] = []
        self.entries: list[TillEntry] = []
        self.intents: list[str] = []
        self.again: list[Order] = []
        self.left = 0


def read_reply(completers: Mapping[str, Completer], intent: Intent, receipt: Receipt) -> tuple[Reply | None, Finding]:
    """The reply in a body, or the finding that says why there is none."""
    if receipt.format == REDACTED:
        return None, Finding(REDACTED, "the answer was taken out on record")
    completer = completers.get(intent.model.partition("/")[0])
    if completer is None:
        return None, Finding("no_answer", f"there is no adapter for {intent.model} here")
    try:
        return completer.read(receipt.format, receipt.status, receipt.body), _NONE
    except NotReadable as error:
        return None, Finding(error.code, str(error))


_NONE = Finding("", "", severity="info")


def outcome_of(
    stage: BoundStage,
    item: Item,
    round_id: str,
    reading: Reading,
    state: OutcomeState,
    paid: Spent,
    attempts: int,
    desk: Desk,
) -> Outcome:
    fills = isinstance(stage.stage.relation, Fills)
    return Outcome(
        stage=stage.name,
        key=item.key,
        round=round_id,
        state=state,
        fingerprint=item.fingerprint,
        recipe=stage.recipe,
        output=reading.output,
        before=item.before if fills else {},
        findings=reading.findings,
        usage=paid.usage,
        cost=paid.cost,
        calls=paid.calls,
        attempts=attempts,
        model=paid.model,
        served=paid.served,
        run=desk.run,
        at=desk.now(),
        made=reading.made if state == "accepted" else 0,
        row={} if fills else item.row,
    )


def _shares(order: Order, intent: Intent | None, usage: Usage, cost: int | None, served: str) -> list[Spent]:
    """Each item's share of its call; the shares add up exactly."""
    if intent is None:
        return list(order.spent)
    count = len(order.items)
    if count == 1:
        return [order.spent[0].plus(usage, cost, order.call, intent.model, served)]
    costs: Sequence[int | None] = [None] * count if cost is None else share(cost, count)
    parts = zip(
        share(usage.input, count),
        share(usage.cached, count),
        share(usage.output, count),
        share(usage.reasoning, count),
        strict=True,
    )
    return [
        before.plus(Usage(*part), paid, order.call, intent.model, served)
        for before, part, paid in zip(order.spent, parts, costs, strict=True)
    ]
