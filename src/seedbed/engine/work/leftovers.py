"""Settle first: whatever was received and has no outcome yet is read before anything is selected.

An intent that ended with its process is in doubt: it stays counted as paid at its reservation and
its call is asked once more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from seedbed.crashing import point
from seedbed.engine.projects.binding import BoundStage, with_shape_of
from seedbed.engine.work.orders import Bought, Order, Spent
from seedbed.engine.work.reader import Reader
from seedbed.ports.receipts import Mark, Purchase, ReceiptStore
from seedbed.ports.state import State, TillEntry
from seedbed.records import Item


@dataclass
class Leftovers:
    """What settle-first found. ``orders`` go on where an answer was declined or a call is in doubt."""

    read: int = 0
    doubtful: int = 0
    corrupt: list[str] = field(default_factory=list)
    orders: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    replay: dict[str, list[Purchase]] = field(default_factory=lambda: defaultdict(list))
    items: dict[str, dict[str, Item]] = field(default_factory=lambda: defaultdict(dict))


def unsettled(receipts: ReceiptStore, state: State, stage: str) -> list[Purchase]:
    """Purchases of a stage beyond the settled marks that have no outcome for one of their items."""
    found = list(receipts.purchases(state.marks(stage), stage=stage))
    by_round: dict[str, list[Purchase]] = defaultdict(list)
    for purchase in found:
        by_round[purchase.intent.round].append(purchase)
    out: list[Purchase] = []
    for round_id, purchases in by_round.items():
        keys = sorted({item.key for p in purchases for item in p.intent.items})
        settled = state.settled_in_round(round_id, stage, keys)
        out.extend(p for p in purchases if any(item.key not in settled for item in p.intent.items))
    return out


def settle_first(stage: BoundStage, purchases: Sequence[Purchase], reader: Reader, state: State) -> Leftovers:
    """Read all receipts of earlier processes; say which orders go on."""
    left = Leftovers()
    doubts: dict[str, int] = defaultdict(int)
    received: list[Purchase] = []
    entries: list[TillEntry] = []
    for purchase in purchases:
        if purchase.corrupt:
            left.corrupt.append(purchase.intent.id)
            continue
        for item in purchase.intent.items:
            left.items[purchase.intent.round].setdefault(item.key, item)
        left.replay[purchase.intent.call].append(purchase)
        if purchase.receipt is not None:
            received.append(purchase)
        elif purchase.ending is None or purchase.ending.kind == "doubt":
            doubts[purchase.intent.call] += 1
            left.doubtful += 1
            entries.append(_doubt(purchase))
    if entries:
        state.settle((), entries)
        reader.desk.till.booked(())
    if stage.stage.prompt is not None:
        _read_all(stage, received, doubts, reader, left)
        _ask_doubtful(stage, purchases, doubts, left)
    return left


def _read_all(
    stage: BoundStage, received: Iterable[Purchase], doubts: dict[str, int], reader: Reader, left: Leftovers
) -> None:
    """Receipts in the order of their attempts, so that what an earlier one cost travels on."""
    again: dict[str, Order] = {}

    def note(orders: Sequence[Order]) -> None:
        again.update((order.call, order) for order in orders)
        reader.flow.leave(len(orders))  # they enter anew with the round that goes on

    asked, reader.ask_again = reader.ask_again, note
    try:
        for purchase in sorted(received, key=lambda p: (p.intent.attempt, p.writer, p.number)):
            intent = purchase.intent
            order = again.pop(intent.call, None)
            bought = _order(stage, purchase)
            order = replace(bought, spent=order.spent) if order else bought
            reader.flow.enter(len(order.items))
            reader.settle([Bought(order, ((intent, purchase.ending),), receipt=purchase.receipt)])
            left.read += 1
            point("while settling first")
    finally:
        reader.ask_again = asked
    for order in again.values():
        if order.stage.recipe == stage.recipe:
            left.orders[order.round].append(replace(order, stage=stage, doubts=doubts.get(order.call, 0)))
            left.held[order.round].update(item.key for item in order.items)


def _ask_doubtful(stage: BoundStage, purchases: Iterable[Purchase], doubts: dict[str, int], left: Leftovers) -> None:
    """Calls that ended in doubt and have no receipt: the same question again."""
    answered = {p.intent.call for p in purchases if p.receipt is not None}
    seen: set[str] = set()
    for purchase in purchases:
        intent = purchase.intent
        if intent.call in answered or intent.call not in doubts or intent.call in seen:
            continue
        seen.add(intent.call)
        keys = {item.key for item in intent.items}
        if intent.recipe != stage.recipe or keys & left.held[intent.round]:
            continue
        left.orders[intent.round].append(_order(stage, purchase, doubts=doubts[intent.call]))
        left.held[intent.round].update(keys)


def _order(stage: BoundStage, purchase: Purchase, *, doubts: int = 0) -> Order:
    intent = purchase.intent
    if intent.recipe != stage.recipe:
        stage = with_shape_of(stage, intent.request, intent.recipe)
    return Order(
        stage=stage,
        round=intent.round,
        name=intent.name,
        attempt=intent.attempt,
        items=intent.items,
        request=intent.request,
        digest=intent.request_digest,
        call=intent.call,
        doubts=doubts,
        spent=tuple(Spent() for _ in intent.items),
    )


def _doubt(purchase: Purchase) -> TillEntry:
    intent = purchase.intent
    return TillEntry(
        intent.id, "doubt", intent.reserved, intent.stage, intent.run, intent.model, intent.at, account=intent.account
    )


def settled_marks(receipts: ReceiptStore, state: State, stage: str, own: str) -> Mark:
    """How far the files of other writers are settled for a stage by now."""
    marks: dict[str, int] = {}
    waiting = {p.intent.id for p in unsettled(receipts, state, stage)}
    blocked: set[str] = set()
    for purchase in receipts.purchases(state.marks(stage), stage=stage):
        if purchase.writer == own or purchase.writer in blocked:
            continue
        if purchase.intent.id in waiting:
            blocked.add(purchase.writer)
            continue
        marks[purchase.writer] = purchase.number
    return marks
