"""When a call may be sent: rates, calls in flight, closings, and a breaker.

    Limits   what a user states of an account or a model
    Rate     so many requests or tokens a minute, spread evenly; put right by what the provider states
    Flight   calls in flight: a ramp at the start, halved by a refusal, and a climb back
    Lane     all of these for one key, or one model on a key: may a call go, and what its end teaches
    Estimate the tokens of a call before it is sent, learned from the answers so far
    Breaker  says when a provider that gives nothing but trouble counts as down

Pure: moments come in, in monotonic seconds. A provider's headers are corrections and never errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from seedbed.policy.headers import Stated, What
from seedbed.policy.retry import Closes

AHEAD = 0.5
"""Seconds of its rate that a lane may catch up at once after a delay. Servers that keep a limit by the second let
one second through; what is left of it is for the unevenness of the network."""
APART = 0.01
"""Seconds added between single requests where the rate is too low for any catching up."""
BEHIND = 0.25
"""Seconds of its rate that a lane lets pass after a refusal, so that the server has something in hand again."""
EASED = 0.9
"""What is left of a known rate after refusals that follow each other within ``SOON`` seconds: others use it too."""
SOON = 5.0
EASY = 20.0
"""Seconds in which an eased rate comes back."""
RECOVERY = 60.0
"""Seconds in which calls in flight climb back after a refusal."""
AT_ONCE = 64
"""Calls that may start at once where no rate is known."""
RAMP = 500.0
"""Further calls in flight for each second after that, until the first answer says more."""
FREELY = 4000.0
"""The same once an answer came that states no limit."""
NOTICED = 1.0
"""Seconds between two looks at a reset, to tell a fixed window from a bucket that refills."""
UNBOUNDED = 4096.0
"""Tokens that an answer without a maximum is taken for before there were any."""
LEARN = 1 / 16
"""Weight of a new answer in an estimate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is stated of an account or a model; None is not stated."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    requests_per_day: float | None = None
    tokens_per_day: float | None = None
    concurrency: int | None = None

    @property
    def any(self) -> bool:
        return any(getattr(self, each.name) is not None for each in fields(self))


class Cost(NamedTuple):
    """What one call takes of each kind of limit; tokens are an estimate until its answer came."""

    requests: float
    tokens: float
    input: float
    output: float

    @classmethod
    def of(cls, tokens_in: float, tokens_out: float) -> Cost:
        return cls(1.0, tokens_in + tokens_out, tokens_in, tokens_out)


ONE = Cost(1.0, 0.0, 0.0, 0.0)
NOTHING = Cost(0.0, 0.0, 0.0, 0.0)


class Rate:
    """So many a minute, spread evenly, with ``AHEAD`` seconds to catch up.

    ``given`` is the user's figure, ``stated`` the provider's; the lower counts. ``share`` is this process's part.
    What costs more than the catch-up is let in when nothing is owed, and is then paid off before the next.
    """

    def __init__(self, what: What, given: float | None, now: float) -> None:
        self.what = what
        self.given = given
        self.stated: float | None = None
        self.share = 1.0
        self.ends: float | None = None
        self.left = math.inf
        self._ease = 1.0
        self._eased = now
        self._seen: tuple[float, float, float] | None = None
        self._at = now
        self._tune()
        self.level = min(1.0, self.burst) if what == "requests" else self.burst

    @property
    def per_minute(self) -> float | None:
        """The whole limit, of all processes; None while it is unknown."""
        known = [figure for figure in (self.given, self.stated) if figure is not None]
        return min(known) if known else None

    def _tune(self) -> None:
        figure = self.per_minute
        rate = math.inf if figure is None else figure / 60 * self.share * self._ease
        if self.what == "requests" and 0 < rate < 1.2:
            rate = 1 / (1 / rate + APART)
        self.rate = rate
        self.burst = math.inf if figure is None else max(rate * AHEAD, 1.0 if self.what == "requests" else 0.0)

    def _refill(self, now: float) -> None:
        passed = now - self._at
        if passed <= 0:
            return
        self._at = now
        if self._ease < 1.0:
            self._ease = min(1.0, self._ease + (now - self._eased) * (1.0 - EASED) / EASY)
            self._eased = now
            self._tune()
        self.level = min(self.burst, self.level + passed * self.rate)
        if self.ends is not None and now >= self.ends:
            self.ends, self.left = None, math.inf

    def wait(self, now: float, cost: float) -> float:
        """Seconds until it may be sent; infinite with no share."""
        if self.per_minute is None:
            return 0.0
        if not self.share:
            return math.inf
        self._refill(now)
        owed = min(cost, self.burst) - self.level
        wait = 0.0
        if owed > 1e-9:
            wait = owed / self.rate
        if self.ends is not None and self.left < min(cost, (self.per_minute or 0.0) * self.share):
            wait = max(wait, self.ends - now)
        return wait

    def take(self, now: float, cost: float) -> None:
        if self.per_minute is not None:
            self._refill(now)
            self.level -= cost
            self.left -= cost

    def give(self, amount: float) -> None:
        """Puts right what a call was thought to take; a negative amount takes more."""
        if self.per_minute is not None:
            self.level = min(self.burst, self.level + amount)
            self.left += amount

    def spread(self, share: float) -> None:
        """Another part of the limit is this process's from now on."""
        if share != self.share:
            self.share = share
            self._tune()
            self.level = min(self.level, self.burst)

    def empty(self) -> None:
        """What was saved up is gone, and a little more: after a closing the start is spread."""
        if self.per_minute is not None:
            self.level = min(self.level, -self.rate * BEHIND)

    def ease(self, now: float) -> None:
        """The provider refused although the rate was kept: others use it too, or it is lower."""
        self._refill(now)
        self._ease *= EASED
        self._eased = now
        self._tune()

    def correct(self, now: float, said: Stated, unseen: float) -> None:
        """Takes the provider's word. ``unseen`` is what was sent since the request that brought it."""
        if said.limit is not None and said.limit != self.stated:
            self._learn(now, said.limit)
        if self.per_minute is None or said.remaining is None:
            return
        self._refill(now)
        mine = said.remaining * self.share
        if said.reset is not None:
            self._look_for_a_window(now, now + said.reset, said.remaining)
        if self.ends is not None:
            self.left = mine - unseen
        else:
            self.level = min(self.level, mine + 1)  # what is left is stated rounded down

    def _learn(self, now: float, limit: float) -> None:
        first = self.per_minute is None
        self.stated = limit
        self._tune()
        if first:
            self._at, self.level = now, 0.0
        self.level = min(self.level, self.burst)

    def _look_for_a_window(self, now: float, end: float, remaining: float) -> None:
        """A fixed window's end stands still while its rest shrinks; a bucket's end moves on as it is used."""
        if self.ends is not None and abs(end - self.ends) < 0.25 * NOTICED:
            return
        if self._seen is None or now - self._seen[0] > 60 * NOTICED:
            self._seen = (now, end, remaining)
            return
        before, its_end, had = self._seen
        if now - before < NOTICED:
            return
        if remaining <= had and abs(end - its_end) < 0.25 * (now - before):
            self.ends = end
        self._seen = (now, end, remaining)


class Flight:
    """Calls in flight: up to ``own`` of this process and its part of what all may have (``common``).

    A ramp at the start; a refusal halves what flies, and it climbs back in a minute.
    """

    def __init__(self, own: float, common: float, *, ramp: bool = True) -> None:
        self.own = own
        self.common = common
        self.share = 1.0
        self.flying = 0
        self._base = float(AT_ONCE) if ramp else math.inf
        self._slope = RAMP
        self._since = math.inf  # until the first call goes

    @property
    def most(self) -> float:
        """At least one, so that each process that shares a limit comes on."""
        shared = self.common if self.common == math.inf else math.floor(self.common * self.share + 1e-9)
        return max(1.0, min(self.own, shared))

    def allowed(self, now: float) -> float:
        return max(1.0, min(self.most, self._base + max(0.0, now - self._since) * self._slope))

    def wait(self, now: float) -> float:
        """Seconds until one more may go; infinite when one has to end first."""
        if self.flying + 1 <= self.allowed(now):
            return 0.0
        if self.flying + 1 > self.most:
            return math.inf
        return max(0.001, self._since + (self.flying + 1 - self._base) / self._slope - now)

    def begin(self, now: float) -> None:
        """A call goes; with the first of them the ramp begins."""
        self.flying += 1
        if self._since == math.inf:
            self._since = now

    def cut(self, now: float, opens: float) -> None:
        """Half of what was in flight; the climb begins when the lane opens again."""
        self._base = max(1.0, min(self.allowed(now), self.flying + 1.0) / 2)
        self._slope = max(0.2, (self.most if self.most < math.inf else 60.0) / RECOVERY)
        self._since = opens

    def answered(self, now: float) -> None:
        """The provider lets us in: the rest of the ramp is steeper."""
        if self._slope == RAMP and self._base < math.inf:
            self._base, self._since, self._slope = self.allowed(now), now, FREELY

    def without_ramp(self, now: float) -> None:
        """A rate that is known spreads the start better."""
        self._base, self._since = math.inf, now


@dataclass
class Quota:
    """So many a day. ``granted`` is what this process may use, a little ahead of what it has ``taken``.

    Whoever keeps the day's books grants more, and says ``over`` when nothing is left of today.
    """

    what: What
    most: int
    granted: float = 0.0
    taken: float = 0.0
    over: bool = False

    @property
    def left(self) -> float:
        return self.granted - self.taken

    @property
    def ahead(self) -> int:
        """What is granted at once: a hundredth of the day."""
        return max(1, self.most // 100)


@dataclass(slots=True)
class Ticket:
    """A place that a call holds: when it was given, what it took, and how much had been sent then."""

    at: float
    cost: Cost
    sent: Cost


KINDS: tuple[What, ...] = ("requests", "tokens", "input", "output")


class Lane:
    """All that one key, or one model on a key, is bound by. ``name`` is for people and holds no key."""

    def __init__(self, name: str, limits: Limits, now: float, *, own: float = math.inf) -> None:
        self.name = name
        self.limits = limits
        per_minute = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self.rates = tuple(Rate(what, per_minute.get(what), now) for what in KINDS)
        common = math.inf if limits.concurrency is None else float(limits.concurrency)
        known = limits.requests_per_minute is not None or limits.tokens_per_minute is not None
        self.flight = Flight(own, common, ramp=not known)
        self.closed_until = -math.inf
        self.refusals = 0
        self.strikes = 0
        self._struck = -math.inf
        self._counts = [0.0, 0.0, 0.0, 0.0]
        self.known: list[tuple[int, Rate]] = []
        per_day: dict[What, float | None] = {"requests": limits.requests_per_day, "tokens": limits.tokens_per_day}
        self.quotas = [
            (at, Quota(what, int(most))) for at, what in enumerate(KINDS) if (most := per_day.get(what)) is not None
        ]
        self._list()

    def _list(self) -> None:
        self.known = [(at, rate) for at, rate in enumerate(self.rates) if rate.per_minute is not None]
        self.counts_tokens = any(at for at, _ in (*self.known, *self.quotas))

    # ---- may it go

    def wait(self, now: float, cost: Cost) -> float:
        """Seconds until a call may go: 0 for now, infinite until another one ends."""
        wait = self.flight.wait(now)
        if self.closed_until > now:
            wait = max(wait, self.closed_until - now)
        for at, rate in self.known:
            wait = max(wait, rate.wait(now, cost[at]))
        for at, quota in self.quotas:
            if quota.left < min(cost[at], 1.0):  # the last call of a day may take a little of tomorrow's tokens
                return math.inf
        return wait

    def binding(self, now: float, cost: Cost) -> str:
        """In words, what the wait is for; blank when there is none."""
        if self.closed_until > now:
            return f"a rate limit of {self.name}"
        for at, quota in self.quotas:
            if quota.left < min(cost[at], 1.0):
                return f"{quota.most:,} {quota.what} a day ({self.name})"
        waits = [(rate.wait(now, cost[at]), rate) for at, rate in self.known]
        longest, rate = max(waits, key=lambda each: each[0], default=(0.0, None))
        if rate is not None and longest > 0:
            kind = rate.what if rate.what in ("requests", "tokens") else f"{rate.what} tokens"
            return f"{rate.per_minute:,.0f} {kind} a minute ({self.name})"
        return f"{int(self.flight.allowed(now))} calls at once ({self.name})" if self.flight.wait(now) else ""

    def take(self, now: float, cost: Cost) -> Ticket:
        self.flight.begin(now)
        ticket = Ticket(now, cost, Cost(*self._counts) if self.known else NOTHING)
        for at, rate in self.known:
            rate.take(now, cost[at])
            self._counts[at] += cost[at]
        for at, quota in self.quotas:
            quota.taken += cost[at]
        return ticket

    def back(self) -> None:
        """The call is no longer in flight."""
        self.flight.flying -= 1

    def unsent(self, ticket: Ticket) -> None:
        """The place was not used."""
        self.back()
        for at, rate in self.known:
            rate.give(ticket.cost[at])
        for at, quota in self.quotas:
            quota.taken -= ticket.cost[at]

    def settle(self, ticket: Ticket, actual: Cost) -> None:
        """The tokens that the call took in truth; those of a call that was refused are 0."""
        for at, rate in self.known:
            if at:
                rate.give(ticket.cost[at] - actual[at])
        for at, quota in self.quotas:
            if at:
                quota.taken -= ticket.cost[at] - actual[at]

    # ---- what its end teaches

    def worked(self, now: float, ticket: Ticket) -> None:
        """A whole answer came."""
        if ticket.at >= self._struck:
            self.strikes = 0
        self.flight.answered(now)

    def correct(self, now: float, ticket: Ticket, stated: Iterable[Stated]) -> None:
        """What the provider says of its limits, in any answer."""
        known = len(self.known)
        for said in stated:
            at = KINDS.index(said.what)
            if _of_a_day(said):
                if said.remaining == 0 and said.reset is not None:
                    self.close(now, said.reset)
                continue
            self.rates[at].correct(now, said, self._counts[at] - ticket.sent[at] - ticket.cost[at])
            if self.rates[at].per_minute is not None and (at, self.rates[at]) not in self.known:
                self._list()
        if not known and self.known:
            self.flight.without_ramp(now)
            self._struck = now  # what was sent in ignorance teaches nothing

    def close(self, now: float, seconds: float) -> None:
        """Nothing goes until then; a later closing never opens it earlier."""
        self.closed_until = max(self.closed_until, now + seconds)

    def refused(self, now: float, ticket: Ticket, seconds: float, stated: Sequence[Stated] = ()) -> None:
        """The provider said slow down. Calls that were out together teach this only once."""
        self.refusals += 1
        self.close(now, seconds)
        for _, rate in self.known:
            rate.empty()
        if ticket.at <= self._struck:
            return
        soon = now - self._struck < SOON
        self._struck = now
        self.strikes += 1
        spent = any(
            said.remaining is not None and said.remaining < max(1.0, ticket.cost[KINDS.index(said.what)])
            for said in stated
        )
        if self.known and soon and (spent or not stated):
            for _, rate in self.known:
                rate.ease(now)
        if not (self.known and spent):
            self.flight.cut(now, self.closed_until)

    # ---- shared by processes

    @property
    def limited(self) -> bool:
        """Whether there is a limit that processes could share."""
        return bool(self.known) or self.flight.common < math.inf

    @property
    def over(self) -> Quota | None:
        """The quota of which nothing is left today."""
        return next((quota for _, quota in self.quotas if quota.over and quota.left < 1), None)

    @property
    def sent(self) -> Cost:
        """What was sent so far."""
        return Cost(*self._counts)

    def used(self, before: Sequence[float], seconds: float) -> float:
        """The share of the whole limit that was used since then, of the kind that was used most."""
        parts = [self.flight.flying / self.flight.common]
        if seconds > 0:
            parts += [
                (self._counts[at] - before[at]) / (rate.per_minute / 60 * seconds)
                for at, rate in self.known
                if rate.per_minute
            ]
        return max(parts)

    def spread(self, share: float) -> None:
        """This process's part of all that is limited here."""
        self.flight.share = share
        for rate in self.rates:
            rate.spread(share)


def _of_a_day(said: Stated) -> bool:
    """Whether the limit is of a day: its name says so, or what is gone takes hours to come back."""
    if said.period is not None:
        return said.period == "day"
    if said.limit is None or said.remaining is None or said.reset is None:
        return False
    gone = said.limit - said.remaining
    return gone > 0 and said.reset * said.limit / gone > 3600 * 12


class Estimate:
    """Tokens of a call before it is sent, from its bytes and items; pessimistic until the first answers came."""

    def __init__(self) -> None:
        self._per_byte: float | None = None
        self._per_item: float | None = None

    def of(self, input_bytes: int, items: int, max_output: int | None) -> Cost:
        per_byte = 0.3 if self._per_byte is None else self._per_byte
        most = UNBOUNDED if max_output is None else float(max_output)
        out = most if self._per_item is None else min(most, self._per_item * items)
        return Cost.of(input_bytes * per_byte, out)

    def learn(self, input_bytes: int, items: int, tokens_in: int, tokens_out: int) -> None:
        if input_bytes > 0 and tokens_in > 0:
            self._per_byte = _mean(self._per_byte, tokens_in / input_bytes)
        self._per_item = _mean(self._per_item, tokens_out / max(1, items))


def _mean(before: float | None, new: float) -> float:
    return new if before is None else before + (new - before) * LEARN


# -------------------------------------------------------------------------------- what will bind


@dataclass(frozen=True, slots=True)
class Bound:
    """What decides how long work takes: in words, and the seconds."""

    limit: str
    seconds: float


def bound_by(
    limits: Sequence[Limits],
    *,
    calls: int,
    tokens: int,
    concurrency: int,
    seconds_a_call: float,
    keys: int = 1,
) -> Bound:
    """The limit that binds, and the time that so many calls take under it.

    ``limits`` of the account and of the model, each for one of ``keys``; ``tokens`` of all calls, in and out.
    A day's limit lets the rest wait for the days that follow, so that its time is a number of whole days.
    """
    most = concurrency
    found: list[Bound] = []
    for each in limits:
        if each.concurrency is not None:
            most = min(most, each.concurrency * keys)
        for amount, figure, words in (
            (calls, each.requests_per_minute, "requests a minute"),
            (tokens, each.tokens_per_minute, "tokens a minute"),
        ):
            if figure:
                found.append(Bound(f"{figure * keys:,.0f} {words}", amount * 60 / (figure * keys)))
        for amount, figure, words in (
            (calls, each.requests_per_day, "requests a day"),
            (tokens, each.tokens_per_day, "tokens a day"),
        ):
            if figure and amount > figure * keys:
                found.append(
                    Bound(f"{figure * keys:,.0f} {words}", (math.ceil(amount / (figure * keys)) - 1) * 86400.0)
                )
    found.insert(0, Bound(f"{most:,} calls at once", math.ceil(calls / max(1, most)) * seconds_a_call))
    return max(found, key=lambda each: each.seconds)


# -------------------------------------------------------------------------------- keys


@dataclass
class Key:
    """One key of an account, by the name of its variable. ``closed`` says why it is set aside, if it is."""

    account: str
    name: str
    lanes: dict[str, Lane] = field(default_factory=dict)
    closed: Closes | None = None
    until: float | None = None
    calls: int = 0

    def usable(self, now: float) -> bool:
        """A closing with a time ends by itself."""
        if self.closed is not None and self.until is not None and now >= self.until:
            self.closed = self.until = None
        return self.closed is None


# -------------------------------------------------------------------------------- down or not


@dataclass
class Breaker:
    """Says when a provider that gives nothing but trouble counts as down.

    ``patience`` seconds once it has worked, ``first`` before it ever did (a wrong address), and at
    least ``least`` failures in a row.
    """

    patience: float = 60.0
    first: float = 5.0
    least: int = 5
    failures: int = 0
    since: float | None = None

    def failed(self, now: float, *, worked_before: bool) -> bool:
        """Note a failure; True when the provider counts as down."""
        self.failures += 1
        if self.since is None:
            self.since = now
        return self.failures >= self.least and now - self.since >= (self.patience if worked_before else self.first)

    def worked(self) -> None:
        self.failures = 0
        self.since = None
