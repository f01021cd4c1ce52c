"""``ask`` stages: the user's ``async`` function on a loop of its own, with ``call`` as its only door.

After a kill the function runs again from its start; calls that were bought are replayed by name
from their receipts. A replayed question that differs from the one that was bought is *diverged*:
the item is held, and nothing is asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from seedbed.crashing import point
from seedbed.engine.projects.binding import BoundStage, reader_for
from seedbed.engine.projects.prompts import cached_prompt
from seedbed.engine.work.orders import Bought, Flow, Intake, Order, Settled, Spent
from seedbed.engine.work.reader import Desk, Reading, UserCodeError, check, feedback, outcome_of, read_reply
from seedbed.errors import NotReadable, SeedbedError
from seedbed.policy.replies import ShapeReader
from seedbed.ports.receipts import Purchase, Receipt
from seedbed.records import NO_USAGE, Finding, Item, Message, OutcomeState, Request, call_id
from seedbed.stage import Shape

PATIENCE = 5.0
"""Seconds that a function of the user's has to end when it is cancelled."""
BoughtBefore = Callable[[Sequence[str]], list[Purchase]]


class _Declined(Exception):
    """A call came to no acceptable answer; the item ends with these findings."""

    def __init__(self, findings: tuple[Finding, ...], state: OutcomeState) -> None:
        super().__init__(state)
        self.findings = findings
        self.state = state


class _Held(Exception):
    """The item stays as it is: the run stops, or its replay diverged."""


@dataclass
class Session:
    """One item's way through an ``ask`` function."""

    stage: BoundStage
    round: str
    item: Item
    intake: Intake
    flow: Flow
    desk: Desk
    replay: Mapping[str, list[Purchase]]
    redo_diverged: bool = False
    spent: Spent = field(default_factory=Spent)
    bought: list[Bought] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    async def run(self) -> Settled:
        """The item's outcome; None where it is held."""
        ask = self.stage.stage.ask
        if ask is None:
            raise AssertionError("only a stage with an ask function has sessions")
        try:
            output = await ask(self.item, self.call)
            reading = check(self.stage, self.item, output)
            state: OutcomeState = "accepted" if reading.accepted else "rejected"
        except _Declined as declined:
            reading, state = Reading(findings=declined.findings), declined.state
        except _Held:
            return Settled(None, tuple(self.bought))
        except SeedbedError:
            raise
        except Exception as error:
            raise UserCodeError.at(error, f"the function of stage {self.stage.name}", self.item.key) from error
        outcome = outcome_of(
            self.stage, self.item, self.round, reading, state, self.spent, len(self.spent.calls), self.desk
        )
        return Settled(outcome, tuple(self.bought))

    async def call(
        self, name: str, prompt: str, shape: Shape = None, *, tier: str | None = None, **variables: Any
    ) -> Any:
        """See :class:`seedbed.stage.Call`."""
        if name in self.names:
            raise UserCodeError(
                f"stage {self.stage.name} makes two calls named {name} for one item",
                hint="Each call of an item needs a name of its own: it is replayed by it.",
            )
        self.names.add(name)
        reader = reader_for(shape, self.stage.places)
        findings: tuple[Finding, ...] = ()
        unfinished = True
        for attempt in range(1, self.stage.stage.attempts + 1):
            request = self._request(prompt, reader, tier, variables, findings)
            bought = await self._buy(name, attempt, request)
            if bought.receipt is None or bought.intent is None:
                if bought.gave_up is None:
                    raise _Held
                raise _Declined((bought.gave_up,), "refused" if bought.state == "refused" else "failed")
            value, findings = self._read(bought, bought.receipt, reader)
            if not findings:
                return value
            unfinished = all(f.code in ("length", "empty", "no_answer") for f in findings)
            if any(f.code == "refused" for f in findings):
                raise _Declined(findings, "refused")
        raise _Declined(findings, "failed" if unfinished else "rejected")

    def _request(
        self,
        prompt: str,
        reader: ShapeReader | None,
        tier: str | None,
        variables: Mapping[str, Any],
        findings: tuple[Finding, ...],
    ) -> Request:
        messages = cached_prompt(prompt, self.stage.places).messages(variables, variables)
        if findings:
            *head, last = messages
            messages = (*head, Message(last.role, f"{feedback(findings)}\n\n{last.text}"))
        stage = self.stage.stage
        return Request(
            role=tier or stage.tier,
            messages=messages,
            shape=reader.schema if reader else None,
            parameters=self.stage.parameters(1),
            model=None if tier else stage.model,
        )

    async def _buy(self, name: str, attempt: int, request: Request) -> Bought:
        call = call_id(self.round, [self.item.key], name, attempt)
        digest = request.digest()
        doubts = 0
        for purchase in self.replay.get(call, ()):
            if purchase.intent.request_digest != digest:
                self._diverge(name, purchase)
                continue
            if purchase.receipt is not None:
                order = self._order(call, name, attempt, request, digest, doubts)
                bought = Bought(order, ((purchase.intent, purchase.ending),), receipt=purchase.receipt)
                self.bought.append(bought)
                point("while bought calls are replayed")
                return bought
            if purchase.ending is None or purchase.ending.kind == "doubt":
                doubts += 1
        waiter: Future[Bought] = Future()
        order = self._order(call, name, attempt, request, digest, doubts, waiter)
        self.intake.offer([order])
        bought = await self._answer(waiter)
        self.bought.append(bought)
        return bought

    def _diverge(self, name: str, purchase: Purchase) -> None:
        self.diverged.append(name)
        if not self.redo_diverged:
            raise _Held

    async def _answer(self, waiter: Future[Bought]) -> Bought:
        wrapped = asyncio.wrap_future(waiter)
        while True:
            done, _ = await asyncio.wait([wrapped], timeout=0.5)
            if done:
                return wrapped.result()
            if self.flow.stopping.is_set() and self.flow.reader_gone.is_set():
                raise _Held

    def _order(
        self,
        call: str,
        name: str,
        attempt: int,
        request: Request,
        digest: str,
        doubts: int,
        waiter: Future[Bought] | None = None,
    ) -> Order:
        return Order(
            self.stage, self.round, name, attempt, (self.item,), request, digest, call, doubts, (self.spent,), waiter
        )

    def _read(self, bought: Bought, receipt: Receipt, reader: ShapeReader | None) -> tuple[Any, tuple[Finding, ...]]:
        intent = bought.intent
        if intent is None:
            raise AssertionError("a receipt has an intent")
        reply, broken = read_reply(self.desk.completers, intent, receipt)
        usage = reply.usage if reply else None
        cost = intent.reserved if usage is None else self.desk.prices.cost(intent.model, usage)
        served = reply.model if reply else ""
        self.spent = self.spent.plus(usage or NO_USAGE, cost, bought.order.call, intent.model, served)
        if reply is None:
            return None, (broken,)
        if reply.finish == "refusal":
            return None, (Finding("refused", reply.refusal[:300] or "the provider declined to answer"),)
        if reply.finish in ("length", "empty"):
            return None, (Finding(reply.finish, "there is no complete answer"),)
        try:
            return (reader.read(reply.text) if reader else reply.text), ()
        except NotReadable as error:
            return None, (Finding(error.code, str(error), error.field),)


class AskLoop:
    """Runs sessions on a loop in a thread of its own, at most ``width`` at once."""

    def __init__(self, flow: Flow, deliver: Callable[[Settled], None], width: int) -> None:
        self.flow = flow
        self.deliver = deliver
        self._room = threading.BoundedSemaphore(width)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="seedbed-ask", daemon=True)
        self._thread.start()
        self.diverged: list[str] = []

    def start(self, session: Session) -> bool:
        """Blocks until there is room; False when the run stops first."""
        while not self._room.acquire(timeout=0.2):
            if self.flow.stopping.is_set():
                return False
        asyncio.run_coroutine_threadsafe(self._one(session), self._loop)
        return True

    async def _one(self, session: Session) -> None:
        try:
            settled = await session.run()
        except asyncio.CancelledError:
            settled = Settled(None, tuple(session.bought))
        except BaseException as error:
            self.flow.stop(error)
            settled = Settled(None, tuple(session.bought))
        finally:
            self._room.release()
        if session.diverged:
            self.diverged.append(session.item.key)
        self.deliver(settled)

    def close(self) -> None:
        """Ends what still waits, where the run stopped."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting, timeout=PATIENCE)
