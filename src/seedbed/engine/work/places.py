"""Places under the limits: which key a call goes out on, and when. Waiters stand in line here, on the event loop.

Of an account's keys the one that is free first is taken. Stages and models that share a limit take turns by
what they use of it, so that large items do not starve small ones; within a stage the first come is served first.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seedbed.engine.projects.accounts import Account
from seedbed.errors import LimitReached
from seedbed.events import Event, KeyClosed, Meter, Waiting
from seedbed.policy.headers import stated_limits
from seedbed.policy.limits import NOTHING, ONE, Cost, Estimate, Key, Lane, Limits, Ticket
from seedbed.policy.retry import Stop
from seedbed.ports.models import Target
from seedbed.records import Request, Usage

LONG_WAIT = 3.0
"""Seconds from which a wait is told."""
DAY = 86_400
LOOK = 0.05
"""Seconds between two looks at the limits that answers state."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One key on which a model can be asked: its lanes, the widest first, and where the request goes."""

    key: Key
    lanes: tuple[Lane, ...]
    target: Target


@dataclass
class Lanes:
    """The lanes of one run, by account, key and model. They outlive its stages, and so does what they learned."""

    account: Callable[[str], Account]
    targets: Callable[[str], Sequence[Target]]
    limits: Callable[[str], Limits]
    clock: Callable[[], float]
    concurrency: float = math.inf
    share: float = 1.0
    """What a new lane may use before its part is known: 0 where other processes may have the rest."""
    keys: dict[str, list[Key]] = field(default_factory=dict)
    _offers: dict[str, tuple[Offer, ...]] = field(default_factory=dict)
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def offers(self, model: str) -> tuple[Offer, ...]:
        """Each key on which the model can be asked. Raises AuthError or ConfigError where there is none."""
        found = self._offers.get(model)
        if found is None:
            account = self.account(model.partition("/")[0])
            found = self._offers[model] = tuple(self._offer(account, model, each) for each in self.targets(model))
        return found

    def _offer(self, account: Account, model: str, target: Target) -> Offer:
        keys = self.keys.setdefault(account.name, [])
        key = next((each for each in keys if each.name == target.account), None)
        if key is None:
            key = Key(account.name, target.account)
            keys.append(key)
        owner = account.name if account.shared else key.name
        own = self._lane(f"{owner}/{model.partition('/')[2]}", self.limits(model))
        lanes = (self._lane(owner, account.limits), own) if account.limits.any else (own,)
        return Offer(key, lanes, target)

    def _lane(self, name: str, limits: Limits) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(name, limits, self.clock(), own=self.concurrency)
            if self._lanes[name].limited:
                self._lanes[name].spread(self.share)
        return self._lanes[name]

    def all(self) -> Iterator[Offer]:
        """Each key with each model that was asked for so far."""
        for offers in list(self._offers.values()):
            yield from offers

    def widest(self) -> Mapping[str, list[Lane]]:
        """The lanes that processes share, by the name of the widest: a key's, or a model's where the key has none."""
        found: dict[str, list[Lane]] = {}
        for offer in self.all():
            lanes = found.setdefault(offer.lanes[0].name, [])
            lanes.extend(lane for lane in offer.lanes if lane not in lanes)
        return found


@dataclass(slots=True)
class Place:
    """A call's place: the key it goes out on, and what it holds of each limit."""

    offer: Offer
    tickets: tuple[Ticket, ...]
    cost: Cost
    asked: _Asked

    @property
    def target(self) -> Target:
        return self.offer.target

    @property
    def strikes(self) -> int:
        """Refusals in a row on this lane, of which calls that were out together count as one."""
        return self.offer.lanes[0].strikes

    def pairs(self) -> Iterator[tuple[Lane, Ticket]]:
        return zip(self.offer.lanes, self.tickets, strict=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a place is wanted for. ``turn`` names who takes turns: a stage on a model."""

    turn: tuple[str, str]
    request: Request
    items: int
    input_bytes: int = 0


@dataclass(slots=True)
class _Waiter:
    asked: _Asked
    future: asyncio.Future[Place | None]


class _Line:
    """Those who wait for one account, by turn. ``used`` is what each took of the limit, in seconds of it."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], deque[_Waiter]] = {}
        self.used: dict[tuple[str, str], float] = {}
        self.timer: asyncio.TimerHandle | None = None

    def add(self, waiter: _Waiter) -> None:
        turn = waiter.asked.turn
        line = self.waiting.get(turn)
        if not line:
            line = self.waiting.setdefault(turn, deque())
            others = [self.used.get(each, 0.0) for each, waiters in self.waiting.items() if waiters and each != turn]
            self.used[turn] = max(self.used.get(turn, 0.0), min(others, default=0.0))  # nobody saves turns up
        line.append(waiter)

    def heads(self) -> list[_Waiter]:
        """The first of each turn, who used least first."""
        found = []
        for turn in list(self.waiting):
            line = self.waiting[turn]
            while line and line[0].future.done():
                line.popleft()
            if line:
                found.append(line[0])
            else:
                del self.waiting[turn]
        if len(found) > 1:
            found.sort(key=lambda waiter: self.used.get(waiter.asked.turn, 0.0))
        return found


class Places:
    """Hands out places on one event loop. Everything but ``used`` is called on it."""

    def __init__(
        self,
        lanes: Lanes,
        meter: Meter,
        emit: Callable[[Event], None],
        stop: Callable[[BaseException], None],
        starved: Callable[[str, bool], None] = lambda _name, _dry: None,
    ) -> None:
        self.lanes = lanes
        self.meter = meter
        self.emit = emit
        self.stop = stop
        self.starved = starved
        self.clock = lanes.clock
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, _Line] = {}
        self._estimates: dict[tuple[str, str], Estimate] = {}
        self._pending: dict[str, Place] = {}
        self._answered: deque[tuple[str, Usage | None]] = deque()
        self._hopping = False
        self._looked: dict[str, float] = {}
        self._told = -math.inf
        self._ended = False

    # ---- asking for a place

    async def take(self, stage: str, model: str, request: Request, items: int) -> Place | None:
        """A place; None when the run stops first."""
        if self._ended:
            return None
        offers = self.lanes.offers(model)
        asked = _Asked((stage, model), request, items)
        for offer in offers:
            for lane in offer.lanes:
                if lane.counts_tokens and not asked.input_bytes:
                    asked = _Asked(asked.turn, request, items, sum(len(message.text) for message in request.messages))
        account = offers[0].key.account
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line()
        if not line.waiting:
            now, cost = self.clock(), self._cost(asked)
            wait, best, _ = self._best(offers, now, cost, ())
            if best is not None and wait <= 0.0:
                place = self._give(best, asked, cost, now)
                if asked.input_bytes:
                    line.used[asked.turn] = line.used.get(asked.turn, 0.0) + _use(place, cost)
                return place
        waiter = _Waiter(asked, self._loop.create_future())
        line.add(waiter)
        if line.timer is None:
            self._pump(line)
        return await waiter.future

    def _estimate(self, asked: _Asked) -> Estimate:
        return self._estimates.setdefault(asked.turn, Estimate())

    def _cost(self, asked: _Asked) -> Cost:
        """As well as it is known now."""
        if not asked.input_bytes:
            return ONE
        return self._estimate(asked).of(asked.input_bytes, asked.items, asked.request.parameters.get("max_output"))

    def _best(
        self, offers: Sequence[Offer], now: float, cost: Cost, taken: Sequence[Lane]
    ) -> tuple[float, Offer | None, list[Lane]]:
        """(seconds, the key that is free first, the lanes that are waited for). Lanes in ``taken`` are another's."""
        best: tuple[float, int] = (math.inf, 0)
        chosen: Offer | None = None
        waited: list[Lane] = []
        for offer in offers:
            if offer.key.closed is not None and not offer.key.usable(now):
                continue
            longest = 0.0
            for lane in offer.lanes:
                wait = math.inf if lane in taken else lane.wait(now, cost)
                if wait > 0.0:
                    waited.append(lane)
                    longest = max(longest, wait)
            if chosen is None or (longest, offer.key.calls) < best:
                best, chosen = (longest, offer.key.calls), offer
        return best[0], chosen, waited

    def _give(self, offer: Offer, asked: _Asked, cost: Cost, now: float) -> Place:
        offer.key.calls += 1
        return Place(offer, tuple([lane.take(now, cost) for lane in offer.lanes]), cost, asked)

    # ---- the line

    def _pump(self, line: _Line) -> None:
        """Lets in whoever can go now, and sets the clock for who comes next."""
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        soonest = math.inf
        going = True
        while going:
            going = False
            soonest = math.inf
            now = self.clock()
            taken: list[Lane] = []
            for waiter in line.heads():
                cost, offers = self._cost(waiter.asked), self.lanes.offers(waiter.asked.turn[1])
                wait, offer, waited = self._best(offers, now, cost, taken)
                if offer is not None and wait <= 0.0:
                    self._serve(line, waiter, self._give(offer, waiter.asked, cost, now))
                    going = True
                    break
                if wait < soonest or soonest == math.inf:
                    soonest = wait
                    self._tell(offers, wait, waited, cost, now)
                taken.extend(waited)  # nobody overtakes on the lane that an earlier one waits for
        if not line.waiting:
            self.meter.held_by = ""
        if soonest < math.inf:
            line.timer = self._loop.call_later(max(0.0, soonest), self._due, line)

    def _due(self, line: _Line) -> None:
        line.timer = None
        self._pump(line)

    def _serve(self, line: _Line, waiter: _Waiter, place: Place) -> None:
        turn = waiter.asked.turn
        line.waiting[turn].popleft()
        line.used[turn] = line.used.get(turn, 0.0) + _use(place, place.cost)
        waiter.future.set_result(place)

    def _tell(self, offers: Sequence[Offer], wait: float, waited: Sequence[Lane], cost: Cost, now: float) -> None:
        """Shows what is waited for; in words where it is long."""
        if not waited:
            return
        lane = max(waited, key=lambda each: each.wait(now, cost))
        self.meter.held_by = lane.binding(now, cost)
        for offer in offers:
            if any(each in waited for each in offer.lanes):
                self.starved(offer.lanes[0].name, any(q.left < 1 for each in offer.lanes for _, q in each.quotas))
        if LONG_WAIT <= wait < math.inf and now + wait > self._told + 1.0:
            self._told = now + wait
            self.emit(Waiting(self.meter.held_by, wait))

    def _again(self, place: Place) -> None:
        line = self._lines.get(place.offer.key.account)
        if line is not None and line.waiting:
            self._pump(line)

    def spread(self, shares: Mapping[str, float]) -> None:
        """This process's parts of the limits that it shares with others; and whose day is over."""
        self._close_spent()
        for name, lanes in self.lanes.widest().items():
            if name in shares:
                for lane in lanes:
                    lane.spread(shares[name])
        self.wake()

    def _close_spent(self) -> None:
        for offer in self.lanes.all():
            spent = next((quota for lane in offer.lanes if (quota := lane.over) is not None), None)
            if spent is None or offer.key.closed is not None:
                continue
            seconds = float(DAY - time.time() % DAY)
            what = (
                f"The {spent.most:,} {spent.what} a day of {offer.key.name} are used; the next day begins at 00:00 UTC."
            )
            error = LimitReached(what, hint="The same command goes on then.")
            if not self._close(offer.key, Stop(error, seconds, "usage limit")):
                self.stop(error)

    def wake(self) -> None:
        """Somebody may go now who could not before."""
        for line in self._lines.values():
            if line.waiting:
                self._pump(line)

    def end(self) -> None:
        """The run stops: who waits gets no place."""
        self._ended = True
        for line in self._lines.values():
            if line.timer is not None:
                line.timer.cancel()
                line.timer = None
            for waiters in line.waiting.values():
                for waiter in waiters:
                    if not waiter.future.done():
                        waiter.future.set_result(None)
            line.waiting.clear()

    # ---- what becomes of a place

    def unsent(self, place: Place) -> None:
        """The call was not sent: the place is free for another."""
        place.offer.key.calls -= 1
        for lane, ticket in place.pairs():
            lane.unsent(ticket)
        self._again(place)

    def failed(self, place: Place, *, sent: bool) -> None:
        """No whole answer came; of what was sent, the tokens may have been used."""
        for lane, ticket in place.pairs():
            lane.back()
            if not sent:
                lane.settle(ticket, NOTHING)
        self._again(place)

    def answered(self, place: Place, intent: str, headers: Mapping[str, str]) -> None:
        """A whole answer came. Its tokens are settled when it has been read."""
        now = self.clock()
        for lane, ticket in place.pairs():
            lane.back()
            lane.worked(now, ticket)
        own = place.offer.lanes[-1]
        if now - self._looked.get(own.name, -math.inf) >= LOOK:
            self._looked[own.name] = now
            own.correct(now, place.tickets[-1], stated_limits(headers))
        if place.asked.input_bytes:
            self._pending[intent] = place
        self._again(place)

    def declined(self, place: Place, headers: Mapping[str, str], body: bytes, wait: float | None = None) -> None:
        """An answer that is none: it used no tokens. ``wait``: slow down, all that share the widest limit."""
        now = self.clock()
        stated = stated_limits(headers, body)
        for lane, ticket in place.pairs():
            lane.back()
            lane.settle(ticket, NOTHING)
        place.offer.lanes[-1].correct(now, place.tickets[-1], stated)
        if wait is not None:
            self.meter.refused += 1
            place.offer.lanes[0].refused(now, place.tickets[0], wait, stated)
        self._again(place)

    def close_key(self, place: Place, stop: Stop) -> bool:
        """Sets a key aside, with one message; False when the account has no other that can be used."""
        if stop.closes is None:
            return False
        first = place.offer.key.closed is None
        others = self._close(place.offer.key, stop)
        if first:
            self._again(place)
        return others

    def _close(self, key: Key, stop: Stop) -> bool:
        now = self.clock()
        others = [each.name for each in self.lanes.keys[key.account] if each is not key and each.usable(now)]
        if key.closed is None and stop.closes is not None:
            key.closed = stop.closes
            key.until = None if stop.after is None else now + stop.after
            self.emit(KeyClosed(key.account, key.name, stop.closes, stop.after, stop.error.what, tuple(others)))
        return bool(others)

    # ---- tokens, told by the reader's thread

    def used(self, intent: str, usage: Usage | None) -> None:
        """The tokens of an answer; None where it does not say. From any thread."""
        if intent not in self._pending:
            return
        self._answered.append((intent, usage))
        if not self._hopping:
            self._hopping = True
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._hopping = False
        while self._answered:
            intent, usage = self._answered.popleft()
            place = self._pending.pop(intent, None)
            if place is None or usage is None:  # what was estimated counts
                continue
            tokens_in = usage.input + usage.cached
            actual = Cost.of(tokens_in, usage.output)
            for lane, ticket in place.pairs():
                lane.settle(ticket, actual)
            asked = place.asked
            used = self._lines[place.offer.key.account].used
            if asked.turn in used:
                used[asked.turn] += _use(place, actual) - _use(place, place.cost)
            self._estimate(asked).learn(asked.input_bytes, asked.items, tokens_in, usage.output)
        self.wake()


def _use(place: Place, cost: Cost) -> float:
    """What a call takes of the limit that it takes most of, in seconds of it."""
    parts = [cost[at] / rate.rate for lane in place.offer.lanes for at, rate in lane.known if rate.rate > 0]
    return max(parts, default=0.001)
