"""What passes between the threads of a run: orders, what was bought for them, and how work is counted.

The feeder makes orders from the worklist, the buyer (event loop) buys, the reader settles. Nothing
here blocks the event loop; the feeder alone waits for room.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from seedbed.engine.projects.binding import BoundStage
from seedbed.errors import SeedbedError
from seedbed.ports.receipts import Ending, Intent, Receipt
from seedbed.records import NO_USAGE, Finding, Item, Outcome, Request, Usage, call_id

ANSWER = "answer"
"""The name of the one call of a stage with a prompt."""
ADOPTED = "adopted"
"""Name and lane of a call whose answer was bought elsewhere: it is read like any other and never asked again."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an item's calls have cost so far. ``cost`` is None once a price is unknown."""

    usage: Usage = NO_USAGE
    cost: int | None = 0
    calls: tuple[str, ...] = ()
    model: str = ""
    served: str = ""

    def plus(self, usage: Usage, cost: int | None, call: str, model: str, served: str) -> Spent:
        return Spent(
            self.usage + usage,
            None if self.cost is None or cost is None else self.cost + cost,
            (*self.calls, call),
            model or self.model,
            served or self.served,
        )


_NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Order:
    """A question to buy an answer for. ``doubts`` counts earlier intents of the call that ended in doubt."""

    stage: BoundStage
    round: str
    name: str
    attempt: int
    items: tuple[Item, ...]
    request: Request
    digest: str
    call: str
    doubts: int = 0
    spent: tuple[Spent, ...] = ()
    waiter: Future[Bought] | None = field(default=None, compare=False)


def order_for(
    stage: BoundStage,
    round_id: str,
    items: Sequence[Item],
    *,
    attempt: int = 1,
    feedback: str = "",
    room: int = 1,
    doubts: int = 0,
    spent: tuple[Spent, ...] = (),
) -> Order:
    """The order of a stage with a prompt, for one item or a group."""
    request = stage.request(items, attempt, feedback, room)
    return Order(
        stage=stage,
        round=round_id,
        name=ANSWER,
        attempt=attempt,
        items=tuple(items),
        request=request,
        digest=request.digest(),
        call=call_id(round_id, [item.key for item in items], ANSWER, attempt),
        doubts=doubts,
        spent=spent or (_NOTHING,) * len(items),
    )


@dataclass(frozen=True, slots=True)
class Bought:
    """What buying came to: a receipt, or a finding that gives the call up, or neither (stopped)."""

    order: Order
    intents: tuple[tuple[Intent, Ending | None], ...] = ()
    receipt: Receipt | None = None
    gave_up: Finding | None = None
    state: str = "failed"

    @property
    def intent(self) -> Intent | None:
        return self.intents[-1][0] if self.intents else None


@dataclass(frozen=True, slots=True)
class Settled:
    """An item of an ``ask`` stage that has come to its outcome, with the intents that it used."""

    outcome: Outcome | None
    bought: tuple[Bought, ...]
    items: int = 1


class Marks:
    """Which intents of this writer are not settled yet, by stage; the mark is just below the lowest."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self._lock = threading.Lock()
        self._open: dict[str, set[int]] = {}
        self._top: dict[str, int] = {}

    def opened(self, stage: str, intent: str) -> None:
        number = int(intent.rpartition("-")[2])
        with self._lock:
            self._open.setdefault(stage, set()).add(number)
            self._top[stage] = max(number, self._top.get(stage, 0))

    def settled(self, stage: str, intents: Sequence[str]) -> None:
        with self._lock:
            pending = self._open.setdefault(stage, set())
            for intent in intents:
                writer, _, number = intent.rpartition("-")
                if writer == self.writer:
                    pending.discard(int(number))

    def now(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return {
                (self.writer, stage): (min(pending) - 1) if pending else self._top.get(stage, 0)
                for stage, pending in self._open.items()
            }


class Flow:
    """Counts the items that are on their way. Done when the feeder has ended and none is left."""

    def __init__(self, on_done: Callable[[], None]) -> None:
        self._on_done = on_done
        self._lock = threading.Condition()
        self._inside = 0
        self._fed = False
        self.error: BaseException | None = None
        self.stopping = threading.Event()
        self._done = threading.Event()
        self.reader_gone = threading.Event()

    def enter(self, items: int) -> None:
        with self._lock:
            self._inside += items

    def leave(self, items: int) -> None:
        with self._lock:
            self._inside -= items
            done = self._fed and self._inside <= 0
            if self._inside <= 0:
                self._lock.notify_all()
        if done:
            self._finish()

    def fed(self) -> None:
        with self._lock:
            self._fed = True
            done = self._inside <= 0
        if done:
            self._finish()

    def stop(self, error: BaseException) -> None:
        """No new send from now on; the first error is the one that is told."""
        with self._lock:
            if self.error is None or (isinstance(self.error, SeedbedError) and not isinstance(error, SeedbedError)):
                self.error = error
            self.stopping.set()
            self._lock.notify_all()
        self._on_done()

    def wait_until_empty(self) -> bool:
        """Blocks until nothing is on its way; False when the run stops first."""
        with self._lock:
            self._lock.wait_for(lambda: self._inside <= 0 or self.stopping.is_set())
        return not self.stopping.is_set()

    def finish_early(self) -> None:
        """The buyer has ended: nobody waits for what did not come."""
        self._finish()

    def wait_until_done(self) -> None:
        """Blocks until every item has left, or the buyer has ended."""
        self._done.wait()

    def _finish(self) -> None:
        self._done.set()
        self._on_done()


class Intake:
    """Orders on their way to the buyer. Offered from any thread, taken on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, high: int) -> None:
        self._loop = loop
        self._high = high
        self._orders: deque[Order] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._room = threading.Condition()
        self._backlog = 0
        self._finished = False

    def offer(self, orders: Sequence[Order], *, first: bool = False) -> None:
        with self._room:
            self._backlog += len(orders)
        self._on_loop(self._add, orders, first)

    def wait_for_room(self, stopping: threading.Event) -> bool:
        """Blocks the calling thread while the buyer has enough to do; False when the run stops."""
        with self._room:
            self._room.wait_for(lambda: self._backlog < self._high or stopping.is_set() or self._finished)
        return not (stopping.is_set() or self._finished)

    def finish(self) -> None:
        """No more orders: takers get None, waiting offers are let go."""
        with self._room:
            self._finished = True
            self._room.notify_all()
        self._on_loop(self._wake_all)

    def _on_loop(self, function: Callable[..., None], *values: object) -> None:
        # A loop that has closed takes nothing more: its run is over.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *values)

    def _add(self, orders: Sequence[Order], first: bool) -> None:
        if first:
            self._orders.extendleft(reversed(orders))
        else:
            self._orders.extend(orders)
        for _ in range(min(len(orders), len(self._takers))):
            self._wake()

    def _wake(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._takers:
            self._wake()

    async def take(self) -> Order | None:
        while not self._orders or self._finished:
            if self._finished:
                return None
            taker: asyncio.Future[None] = self._loop.create_future()
            self._takers.append(taker)
            await taker
        order = self._orders.popleft()
        with self._room:
            self._backlog -= 1
            if self._backlog == self._high // 2 or self._backlog == 0:
                self._room.notify_all()
        return order
