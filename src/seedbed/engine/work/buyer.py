"""The buyer: a place under the limits, money from the till, intent, send, whole body, receipt.

Its event loop holds nothing else. Reading happens elsewhere; a full reader holds back new sends
and never a call in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from seedbed.crashing import point
from seedbed.engine.work.orders import Bought, Flow, Intake, Marks, Order
from seedbed.engine.work.places import Place, Places
from seedbed.errors import BudgetReached, ConfigError, DiskFull, PriceUnknown, ProviderDown, SeedbedError
from seedbed.events import Draining, Event, Meter, Notice
from seedbed.policy.budget import Short, Till
from seedbed.policy.limits import Breaker
from seedbed.policy.retry import PATIENCE, Again, Ended, GiveUp, History, Patience, Stop, decide
from seedbed.ports.models import Answer, Completer, Target, Trouble, Wire
from seedbed.ports.receipts import Ending, EndKind, Intent, Receipt, ReceiptWriter
from seedbed.records import Request, usd

SAME_TROUBLE = 5
"""Requests declined as wrong, with none answered, after which the run and not the item is at fault.

So many programs that fail one after the other end a run as well.
"""

RELEARNED = 5
"""How often one call is made anew because the endpoint declined a capability."""

_NO_CONNECTION = Patience(max_tries=1_000_000)


class WorstCase(Protocol):
    def worst_case(self, model: str, input_bytes: int, max_output: int | None) -> int | None: ...
    def guaranteed(self, model: str, max_output: int | None) -> bool: ...


@dataclass
class Market:
    """All that buying needs from the world, chosen by the project."""

    completers: Mapping[str, Completer]
    target: Callable[[Request], Target]
    prices: WorstCase
    till: Till
    writer: ReceiptWriter
    clock: Callable[[], float]
    now: Callable[[], int]
    random: Callable[[], float]
    run: str
    meter: Meter
    emit: Callable[[Event], None]
    places: Places
    breaker: Breaker = field(default_factory=Breaker)
    grace: float = 20.0
    cheaper: str = ""
    """The model that is asked where the day's cap has no room for the one that a stage's tier names."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A request as one model would get it. ``worst`` is None where nothing bounds what it costs."""

    target: Target
    wire: Wire
    worst: int | None


class Buyer:
    """Buys what the intake holds with ``concurrency`` workers and hands each result to ``deliver``."""

    def __init__(
        self,
        market: Market,
        intake: Intake,
        flow: Flow,
        marks: Marks,
        deliver: Callable[[Bought], None],
        has_room: Callable[[], bool],
    ) -> None:
        self.market = market
        self.intake = intake
        self.flow = flow
        self.marks = marks
        self.deliver = deliver
        self.has_room = has_room
        self._freed = asyncio.Event()
        self._storing: set[asyncio.Future[None]] = set()
        self._worked = False
        self._given_up = 0
        self._failed = 0
        self._spent_days: set[str] = set()
        self._told_cheaper = False

    def freed(self) -> None:
        """Room in the reader or money in the till came free. Called on the loop."""
        self._freed.set()

    async def run(self, concurrency: int) -> None:
        """Until the intake has ended. After a stop, calls in flight get ``grace`` seconds to come back."""
        for completer in self.market.completers.values():
            await completer.open(concurrency)
        workers = {asyncio.create_task(self._work()) for _ in range(concurrency)}
        try:
            await self._until_done(workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self._storing:
                await asyncio.wait(self._storing)
            for completer in self.market.completers.values():
                await completer.close()

    async def _until_done(self, workers: set[asyncio.Task[None]]) -> None:
        pending = workers
        while pending:
            done, pending = await asyncio.wait(pending, timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if (error := task.exception()) is not None:
                    self.flow.stop(error)
            if self.flow.stopping.is_set():
                break
        if pending:
            self.freed()
            self.market.places.end()
            flying = self.market.meter.in_flight
            if flying:
                self.market.emit(Draining(str(self.flow.error), flying))
            await asyncio.wait(pending, timeout=self.market.grace)

    async def _work(self) -> None:
        while True:
            while not self.has_room() and not self.flow.stopping.is_set():
                self._freed.clear()
                if not self.has_room():
                    await self._freed.wait()
            order = await self.intake.take()
            if order is None:
                return
            bought = await self._buy(order)
            if bought is not None:
                self.deliver(bought)

    # ----------------------------------------------------------------------------------- one call

    async def _buy(self, order: Order) -> Bought | None:
        """What the call came to; None where that is a receipt, which is delivered once it is durable."""
        intents: list[tuple[Intent, Ending | None]] = []
        history = History(doubts=order.doubts)
        places = self.market.places
        relearned = 0
        while not self.flow.stopping.is_set():
            try:
                intent, place, wire = await self._intend(order, intents)
                answer, trouble = await self._send(wire, place)
                if answer is not None and answer.status == 200:
                    places.answered(place, intent.id, answer.headers)
                    self._receive(order, intent, answer, intents)
                    return None
                decision = self._decide(answer, trouble, replace(history, limited=place.strikes))
                self._leave(place, answer, trouble, decision)
                await self._no_answer(answer, trouble, intents)
                self._note_failure(trouble, place.target.provider)
            except _Halted:
                break
            except (SeedbedError, OSError) as error:
                self.flow.stop(error)
                break
            if answer is not None and relearned < RELEARNED and self._relearn(order, answer):
                relearned += 1
                continue
            self.market.meter.retries += 1
            if isinstance(decision, Stop):
                if places.close_key(place, decision):
                    continue
                self.flow.stop(decision.error)
                break
            if isinstance(decision, GiveUp):
                self._note_give_up(decision)
                return Bought(order, tuple(intents), gave_up=decision.finding, state=decision.state)
            history = history.then(decision)
            if not await self._wait(decision):
                break
        return Bought(order, tuple(intents))

    def _decide(self, answer: Answer | None, trouble: Trouble | None, history: History) -> Again | GiveUp | Stop:
        # No connection says nothing about the item: the breaker, not a count of tries, ends that.
        patience = _NO_CONNECTION if trouble is not None and not trouble.sent else PATIENCE
        return decide(_ended(answer, trouble), history, random=self.market.random, patience=patience)

    def _leave(
        self, place: Place, answer: Answer | None, trouble: Trouble | None, decision: Again | GiveUp | Stop
    ) -> None:
        """The place is free again; a rate limit closes it for all before anybody else goes."""
        places = self.market.places
        if answer is None:
            places.failed(place, sent=trouble is None or trouble.sent)
            return
        wait = decision.after if isinstance(decision, Again) and decision.limited else None
        places.declined(place, answer.headers, answer.body, wait)

    def _note_give_up(self, decision: GiveUp) -> None:
        """A request that is wrong for every item ends the run with one message, not one for each."""
        if self._worked or decision.finding.code != "bad_request":
            return
        self._given_up += 1
        if self._given_up >= SAME_TROUBLE:
            self.flow.stop(
                ConfigError(
                    f"The endpoint declines every request: {decision.finding.message}",
                    hint="See one request with: seedbed generate STAGE --dry-run",
                )
            )

    def _note_failure(self, trouble: Trouble | None, provider: str) -> None:
        """Programs that fail one after the other: no more items are spent on that. Raises what ends the run."""
        if trouble is None or trouble.kind != "failed":
            return
        self._failed += 1
        if self._failed < SAME_TROUBLE:
            return
        what = f"The program of {provider} failed {self._failed} times in a row: {trouble}"
        if self._worked:
            raise ProviderDown(what, hint="Everything received is saved. Run the same command again later.")
        raise ConfigError(
            what,
            hint="See what is run with: seedbed generate STAGE --dry-run. Where these are words of a limit or a login,"
            f" name them: [providers.{provider}] session_limit, rate_limit, login_expired.",
        )

    async def _intend(self, order: Order, intents: list[tuple[Intent, Ending | None]]) -> tuple[Intent, Place, Wire]:
        """Money from the till, a place under the limits, and an intent that is durable."""
        market = self.market
        offer = self._offer(order, order.request)
        intent = self._intent(order, offer)
        self.marks.opened(order.stage.name, intent.id)
        offer, intent = await self._reserve(order, offer, intent)
        place = await market.places.take(order.stage.name, offer.target.name, order.request, len(order.items))
        if place is None:
            market.till.refund(intent.id)
            raise _Halted
        if place.target.account != intent.account:
            intent = replace(intent, account=place.target.account)
        intents.append((intent, None))
        point("before an intent")
        await self._durable(market.writer.intend, intent)
        point("after an intent")
        if self.flow.stopping.is_set() or getattr(market.writer, "low_on_space", False):
            market.places.unsent(place)
            await self._end(intents, "closed", "never sent")
            if not self.flow.stopping.is_set():
                raise DiskFull(
                    "The disk is full; what was in flight is stored.", hint="Make room, then run the same command."
                )
            raise _Halted
        return intent, place, offer.wire

    async def _send(self, wire: Wire, place: Place) -> tuple[Answer | None, Trouble | None]:
        target, meter = place.target, self.market.meter
        meter.in_flight += 1
        meter.calls += 1
        meter.peak_in_flight = max(meter.peak_in_flight, meter.in_flight)
        try:
            return await self.market.completers[target.provider].send(wire, target), None
        except Trouble as trouble:
            return None, trouble
        except BaseException:
            self.market.places.failed(place, sent=True)
            raise
        finally:
            meter.in_flight -= 1

    async def _no_answer(
        self, answer: Answer | None, trouble: Trouble | None, intents: list[tuple[Intent, Ending | None]]
    ) -> None:
        """The intent ends without a receipt."""
        if trouble is not None:
            await self._end(intents, "doubt" if trouble.sent else "closed", f"{trouble.kind}: {trouble}")
        elif answer is not None:
            words = answer.body[:300].decode("utf-8", "replace")
            said = words if answer.format == "stdout" else f"HTTP {answer.status} {words}"
            await self._end(intents, "closed", said)

    def _offer(self, order: Order, request: Request) -> _Offer:
        market = self.market
        target = market.target(request)
        completer = market.completers[target.provider]
        wire = completer.wire(order.request, target, stream=order.stage.stage.stream)
        most = order.request.parameters.get("max_output")
        bound = None if most is None or not getattr(completer, "bounded", True) else int(most)
        worst = market.prices.worst_case(target.name, len(wire.body), bound)
        if worst is not None and not market.prices.guaranteed(target.name, bound):
            market.meter.unbounded.add(target.name)
        return _Offer(target, wire, worst)

    def _intent(self, order: Order, offer: _Offer) -> Intent:
        market, target = self.market, offer.target
        return Intent(
            id=market.writer.next_id(),
            call=order.call,
            stage=order.stage.name,
            round=order.round,
            name=order.name,
            attempt=order.attempt,
            items=order.items,
            recipe=order.stage.recipe,
            request=order.request,
            request_digest=order.digest,
            model=target.name,
            account=target.account,
            reserved=offer.worst,
            run=market.run,
            at=market.now(),
        )

    def _receive(
        self, order: Order, intent: Intent, answer: Answer, intents: list[tuple[Intent, Ending | None]]
    ) -> None:
        """Store the answer. Its worker goes on meanwhile: the next intent is stored behind it, or with it."""
        point("after a whole answer")
        receipt = Receipt(
            intent=intent.id,
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            format=answer.format,
            sha256=sha256(answer.body).hexdigest(),
            at=self.market.now(),
        )
        bought = Bought(order, tuple(intents), receipt=receipt)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stored.add_done_callback(partial(self._received, bought))
        self.market.writer.receive(receipt, stored)
        self._storing.add(stored)

    def _received(self, bought: Bought, stored: asyncio.Future[None]) -> None:
        self._storing.discard(stored)
        error = stored.exception()
        if error is not None:
            self.flow.stop(error)
            self.deliver(replace(bought, receipt=None))
            return
        point("after a receipt")
        self.market.breaker.worked()
        self._worked = True
        self._failed = 0
        self.deliver(bought)

    async def _end(self, intents: list[tuple[Intent, Ending | None]], kind: EndKind, reason: str) -> None:
        intent = intents[-1][0]
        ending = Ending(intent.id, kind, reason, self.market.now())
        await self._durable(self.market.writer.end, ending)
        intents[-1] = (intent, ending)
        if kind == "closed":
            self.market.till.refund(intent.id)
        else:
            self.market.till.settle(intent.id, intent.reserved)
        self.freed()

    async def _durable(self, append: Callable[[Any, Any], None], record: Any) -> None:
        """Wait until a record's commit has returned."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        append(record, waiting)
        await waiting

    # ------------------------------------------------------------------------------ money and waits

    async def _reserve(self, order: Order, offer: _Offer, intent: Intent) -> tuple[_Offer, Intent]:
        """Money for the call. Where the day's cap has no room, the cheaper model's offer may take the place."""
        market = self.market
        if market.cheaper and self._day_is_spent(intent):
            offer, intent = self._cheaper(order, offer, intent)
        while (said := self._said(offer, intent)) != "yes":
            if said == "never":
                short = market.till.short_of(offer.worst or 0, intent.stage, intent.at)
                if short is None:
                    continue  # room came free meanwhile
                falls_back = short.day and market.cheaper and not order.request.model
                if not falls_back or offer.target.name == market.cheaper:
                    raise _out_of_money(short, offer.worst or 0)
                self._spent_days.add(short.day)
                offer, intent = self._cheaper(order, offer, intent)
                continue
            self._freed.clear()
            await self._freed.wait()
            if self.flow.stopping.is_set():
                raise _Halted
            intent = replace(intent, at=market.now())  # a call counts under the day in which it is sent
        return offer, intent

    def _said(self, offer: _Offer, intent: Intent) -> str:
        till = self.market.till
        if offer.worst is None and till.capped:
            provider = offer.target.provider
            if not getattr(self.market.completers[provider], "bounded", True):
                raise PriceUnknown(
                    f"Nothing bounds what a call to {intent.model} may cost, so a cap cannot be kept.",
                    hint=f'Say what one call costs at most: [providers.{provider}] ceiling = "0.05usd", or "0usd" under'
                    " a flat rate; or run without a cap.",
                )
            raise PriceUnknown(
                f"What a call to {intent.model} may cost is unknown, so a cap cannot be kept.",
                why="Its price is not known, or it has no output maximum.",
                hint=f'Give the price in the project file: [prices."{intent.model}"] input = 0.4, output = 1.6'
                ' (USD per million tokens), or ceiling = "0.05usd" for each call; or run without a cap.',
            )
        return till.reserve(intent.id, offer.worst or 0, intent.stage, intent.at)

    def _day_is_spent(self, intent: Intent) -> bool:
        purses = self.market.till.purses.of(intent.stage, intent.at)
        return any(purse.id in self._spent_days for purse in purses if purse.of_a_day) and not intent.request.model

    def _cheaper(self, order: Order, offer: _Offer, intent: Intent) -> tuple[_Offer, Intent]:
        market = self.market
        if not self._told_cheaper:
            self._told_cheaper = True
            market.emit(Notice(f"The day's cap has no room for {offer.target.name}; {market.cheaper} is asked."))
        found = self._offer(order, replace(order.request, model=market.cheaper))
        target = found.target
        return found, replace(intent, model=target.name, account=target.account, reserved=found.worst)

    async def _wait(self, decision: Again) -> bool:
        """Wait as decided; False when the provider counts as down or the run stops."""
        market = self.market
        if decision.limited:  # the line for the next place is the wait
            return not self.flow.stopping.is_set()
        if market.breaker.failed(market.clock(), worked_before=self._worked):
            self.flow.stop(
                ProviderDown(
                    f"The provider gave no answer {market.breaker.failures} times in a row.",
                    why=decision.reason,
                    hint="Everything received is saved. Run the same command again later.",
                )
            )
            return False
        await self._sleep(decision.after)
        return not self.flow.stopping.is_set()

    async def _sleep(self, seconds: float) -> None:
        """Sleep that a stop ends within a fraction of a second."""
        until = self.market.clock() + seconds
        while (left := until - self.market.clock()) > 0 and not self.flow.stopping.is_set():  # noqa: ASYNC110 - a stop
            await asyncio.sleep(min(left, 0.25))  # comes from other threads, and clocks may be false

    def _relearn(self, order: Order, answer: Answer) -> bool:
        if answer.status not in (400, 404, 415, 422):
            return False
        target = self.market.target(order.request)
        return self.market.completers[target.provider].learn(target, answer.status, answer.body)


def _out_of_money(short: Short, worst: int) -> SeedbedError:
    if short.error is not None:
        return short.error
    if short.unit == "calls":
        return BudgetReached(
            f"The cap of {short.most:,} calls is reached.",
            hint="Everything received is saved. Go on with a higher --max-calls.",
        )
    held = f" {usd(short.stuck)} are held for a process that ended; see: seedbed till." if short.stuck else ""
    return BudgetReached(
        f"The {short.name} of {usd(short.most)} is reached: spent {usd(short.used)},"
        f" and the next call may cost up to {usd(worst)}.",
        why=held.strip(),
        hint="Everything received is saved. Go on with a higher "
        + ("--budget." if short.name == "cap of this run" else "cap in [budget]."),
    )


class _Halted(Exception):
    """The run stops; this call was not sent."""


def _ended(answer: Answer | None, trouble: Trouble | None) -> Ended:
    if trouble is not None:
        return Ended(trouble=trouble.kind, message=str(trouble))
    if answer is None:
        raise AssertionError("a call ends with an answer or with trouble")
    return Ended(status=answer.status, headers=answer.headers, body=answer.body)


def on_commit(tokens: list[Any], error: BaseException | None) -> None:
    """What a receipt writer calls after a commit: one hop to the loop for all that it made durable."""
    waiting = [token for token in tokens if isinstance(token, asyncio.Future)]
    if waiting:
        with suppress(RuntimeError):  # the loop has closed: the run is over, the record is durable
            waiting[0].get_loop().call_soon_threadsafe(_resolve, waiting, error)


def _resolve(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
