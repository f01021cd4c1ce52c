"""Rates, calls in flight, closings and the breaker, with a clock of the test's own."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.policy.headers import Stated, retry_after, stated_limits
from seedbed.policy.limits import ONE, Bound, Breaker, Cost, Estimate, Lane, Limits, bound_by
from seedbed.simulator.limits import Limiter
from seedbed.simulator.limits import retry_after as stated_wait

# -------------------------------------------------------------------------- a lane against a server


@dataclass
class World:
    """A lane that sends to the simulator's own limiter, in a time of the test's own; the server is the witness.

    A call arrives up to ``unevenness`` seconds after it was let go, and its answer comes ``latency`` later.
    """

    server: Limiter
    lane: Lane
    clock: list[float]
    latency: float
    unevenness: float
    random: Random = field(default_factory=lambda: Random(7))
    style: str = "openai"
    stall: tuple[float, float] = (math.inf, 0.0)

    def run(self, costs: list[tuple[int, int]], estimate: Estimate | None = None) -> None:
        """Sends all, each until it is let in. A cost is (tokens in, tokens out)."""
        waiting = list(reversed(costs))
        events: list[tuple[float, int, str, object]] = []
        number = 0
        while waiting or events:
            now = self.clock[0]
            sent = False
            if waiting and not self.stall[0] <= now < sum(self.stall):
                tokens = waiting[-1]
                cost = estimate.of(tokens[0] * 4, 1, 400) if estimate else ONE
                wait = self.lane.wait(now, cost)
                if wait <= 0:
                    waiting.pop()
                    number += 1
                    ticket = self.lane.take(now, cost)
                    arrives = now + self.random.random() * self.unevenness
                    heapq.heappush(events, (arrives, number, "arrives", (tokens, ticket)))
                    sent = True
                elif wait < math.inf:
                    number += 1
                    heapq.heappush(events, (now + max(wait, 1e-6), number, "look", None))
            elif waiting:
                number += 1
                heapq.heappush(events, (sum(self.stall), number, "look", None))
            if sent or not events:
                continue
            at, _, kind, what = heapq.heappop(events)
            self.clock[0] = max(now, at)
            if kind == "look":
                events = [each for each in events if each[2] != "look"]
                heapq.heapify(events)
                continue
            number += 1
            self._event(kind, what, events, number, waiting, estimate)

    def _event(self, kind, what, events, number, waiting, estimate) -> None:  # type: ignore[no-untyped-def]
        now = self.clock[0]
        tokens, ticket = what
        if kind == "arrives":
            wait = self.server.admit(tokens[0])
            if not wait:
                self.server.charge(tokens[1])
                heapq.heappush(events, (now + self.latency, number, "answers", what))
                return
            headers = {**self.server.headers(self.style), **stated_wait(wait, "both", lambda: 0.0)}
            self.lane.back()
            self.lane.settle(ticket, Cost(0, 0, 0, 0))
            stated = stated_limits(headers)
            self.lane.correct(now, ticket, stated)
            self.lane.refused(now, ticket, retry_after(headers) or 1.0, stated)
            waiting.append(tokens)
            return
        self.lane.back()
        self.lane.worked(now, ticket)
        self.lane.correct(now, ticket, stated_limits(self.server.headers(self.style)))
        self.lane.settle(ticket, Cost.of(*tokens))
        if estimate:
            estimate.learn(tokens[0] * 4, 1, *tokens)


def world(limits: Limits, *, rpm: float | None = None, tpm: float | None = None, fixed: float | None = None,
          latency: float = 0.1, unevenness: float = 0.05, style: str = "openai") -> World:  # fmt: skip
    clock = [1000.0]
    how = {"style": "fixed", "seconds": fixed} if fixed else {}
    server = Limiter(rpm, tpm, lambda: clock[0], **how)  # type: ignore[arg-type]
    return World(server, Lane("k", limits, clock[0], own=500), clock, latency, unevenness, style=style)


@given(st.floats(120, 12_000), st.floats(0.001, 5.0), st.floats(0, 0.2))
@settings(max_examples=30, deadline=None)
def test_a_known_rate_is_used_whole_and_never_refused(rpm: float, latency: float, unevenness: float) -> None:
    made = world(Limits(requests_per_minute=rpm), rpm=rpm, latency=latency, unevenness=unevenness)
    made.lane.flight.own = math.inf
    made.run([(1, 1)] * max(300, round(rpm / 60 * 15)))
    books = made.server.account()
    assert books["refused"] == 0
    assert (books["use_of_requests"] or 1.0) >= 0.99


def test_sixty_a_minute_is_kept_without_a_refusal_though_the_server_has_no_burst() -> None:
    made = world(Limits(requests_per_minute=60), rpm=60, unevenness=0.009)
    made.run([(1, 1)] * 200)
    books = made.server.account()
    assert books["refused"] == 0 and (books["use_of_requests"] or 0) >= 0.985


def test_what_a_stall_cost_is_caught_up_without_a_refusal() -> None:
    made = world(Limits(requests_per_minute=6000), rpm=6000)
    made.stall = (1005.0, 0.45)
    made.run([(1, 1)] * 3000)
    books = made.server.account()
    assert books["refused"] == 0 and (books["use_of_requests"] or 0) >= 0.99


@pytest.mark.parametrize("style", ["openai", "anthropic"])
def test_a_rate_that_nobody_told_is_read_from_the_answers(style: str) -> None:
    made = world(Limits(), rpm=6000, style=style)
    made.run([(1, 1)] * 6000)
    books = made.server.account()
    assert made.lane.rates[0].per_minute == 6000
    assert (books["refused"] or 0) < 100  # only what was sent before the first answer
    assert (books["use_of_requests"] or 0) >= 0.97


def test_without_any_word_of_a_limit_the_refusals_alone_find_it() -> None:
    made = world(Limits(), rpm=6000, style="none")
    made.run([(1, 1)] * 6000)
    books = made.server.account()
    assert (books["use_of_requests"] or 0) >= 0.9
    assert (books["refused"] or 0) <= 0.2 * 6000


def test_a_fixed_window_is_used_and_never_overrun() -> None:
    """DESIGN 11: at least 97 % and at most 0.1 % refused."""
    made = world(Limits(requests_per_minute=6000), rpm=6000, fixed=10.0)
    made.stall = (1009.7, 0.4)
    made.run([(1, 1)] * 6000)
    books = made.server.account()
    assert (books["refused"] or 0) <= 6 and (books["use_of_requests"] or 0) >= 0.97


def test_a_fixed_window_that_others_use_too_is_waited_out() -> None:
    made = world(Limits(requests_per_minute=6000), rpm=6000, fixed=10.0)
    assert made.server.requests is not None
    made.server.requests.take(500)  # half of the first window is gone
    made.run([(1, 1)] * 3000)
    assert (made.server.account()["refused"] or 0) <= 3


def test_a_tight_token_limit_is_used_whole_by_uneven_items() -> None:
    """(000.74)"""
    random = Random(3)
    costs = [(random.randint(10, 900), random.randint(5, 200)) for _ in range(1500)]
    made = world(Limits(tokens_per_minute=300_000), tpm=300_000)
    made.run(costs, Estimate())
    books = made.server.account()
    assert (books["use_of_tokens"] or 0) >= 0.99
    assert books["refused"] == 0


def test_an_item_that_costs_more_than_a_second_of_the_limit_is_let_in_and_paid_off() -> None:
    made = world(Limits(tokens_per_minute=60_000), tpm=60_000)
    made.run([(3000, 100), *[(50, 10)] * 40, (3000, 100)], Estimate())
    assert made.server.account()["granted"] == 42


# ------------------------------------------------------------------------------------------ a lane


def lane(limits: Limits | None = None, **more: float) -> Lane:
    return Lane("k", limits or Limits(), 0.0, **more)


def test_nothing_goes_before_a_stated_wait_is_over() -> None:
    one = lane()
    ticket = one.take(10.0, ONE)
    one.refused(10.0, ticket, 8.0)
    one.back()
    assert [one.wait(now, ONE) for now in (10.0, 15.0, 18.0)] == [8.0, 3.0, 0.0]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1), st.floats(0, 1e6))
def test_a_later_closing_never_opens_a_lane_earlier(said: list[tuple[float, float]], now: float) -> None:
    one = lane()
    for at, seconds in said:
        before = one.closed_until
        one.close(at, seconds)
        assert one.closed_until >= max(before, at + seconds)
    assert one.wait(now, ONE) >= 0.0


def test_calls_that_were_out_together_count_as_one_refusal() -> None:
    one = lane()
    tickets = [one.take(1.0, ONE) for _ in range(40)]
    for ticket in tickets:
        one.refused(2.0, ticket, 1.0)
        one.back()
    assert (one.refusals, one.strikes) == (40, 1)


def test_a_refusal_halves_what_flies_and_it_climbs_back() -> None:
    one = lane(own=64)
    tickets = [one.take(1.0, ONE) for _ in range(64)]
    one.refused(2.0, tickets[0], 1.0)
    assert one.flight.allowed(3.0) == 32
    assert 32 < one.flight.allowed(10.0) < one.flight.allowed(20.0) < 64
    assert one.flight.allowed(100.0) == 64


def test_a_start_without_a_known_rate_is_a_ramp() -> None:
    one = lane(own=5000)
    one.take(10.0, ONE)
    assert one.flight.allowed(10.0) == 64 < one.flight.allowed(10.5) < one.flight.allowed(11.0) < 5000


def test_a_stated_limit_lowers_what_the_user_said_and_never_raises_it() -> None:
    one = lane(Limits(requests_per_minute=100))
    ticket = one.take(0.0, ONE)
    one.correct(0.0, ticket, [Stated("requests", limit=9000)])
    assert one.rates[0].per_minute == 100
    one.correct(0.0, ticket, [Stated("requests", limit=50)])
    assert one.rates[0].per_minute == 50


def test_a_limit_that_takes_hours_to_come_back_is_one_of_a_day() -> None:
    one = lane()
    one.correct(0.0, one.take(0.0, ONE), [Stated("requests", limit=10_000, remaining=9_999, reset=8.64)])
    assert one.rates[0].per_minute is None


def test_an_estimate_is_pessimistic_until_it_has_learned() -> None:
    one = Estimate()
    assert one.of(1000, 2, 500) == Cost.of(300, 500)
    assert one.of(1000, 1, None).output > 1000
    for _ in range(100):
        one.learn(1000, 2, 250, 80)
    assert one.of(2000, 3, 500) == Cost(1, 620, 500, 120)
    assert one.of(2000, 30, 500).output == 500


def test_a_part_of_a_limit_is_that_part() -> None:
    one = lane(Limits(requests_per_minute=6000, concurrency=10))
    one.spread(0.25)
    assert one.rates[0].rate == 25 and one.flight.most == 2
    one.spread(0.0)
    assert one.wait(100.0, ONE) == math.inf


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4000), st.integers(0, 4000), st.booleans()), max_size=80))
def test_tokens_that_were_reserved_are_settled_to_the_token(steps: list[tuple[float, int, int, bool]]) -> None:
    one = lane(Limits(tokens_per_minute=60_000))
    rate, now, spent = one.rates[1], 0.0, 0.0
    for pause, reserved, actual, _ in steps:
        now += pause
        ticket = one.take(now, Cost.of(reserved, 0))
        one.settle(ticket, Cost.of(actual, 0))
        one.back()
        spent += actual
    assert rate.level <= rate.burst
    assert rate.level >= rate.burst - spent - 1e-6


# ------------------------------------------------------------------------------------ what will bind


@pytest.mark.parametrize(
    ("limits", "more", "expected"),
    [
        ([], {}, Bound("10 calls at once", 200.0)),
        ([Limits(requests_per_minute=60)], {}, Bound("60 requests a minute", 1000.0)),
        ([Limits(requests_per_minute=60)], {"keys": 2}, Bound("120 requests a minute", 500.0)),
        ([Limits(requests_per_minute=60, tokens_per_minute=1000)], {}, Bound("1,000 tokens a minute", 6000.0)),
        ([Limits(requests_per_minute=6000), Limits(concurrency=1)], {}, Bound("1 calls at once", 2000.0)),
        ([Limits(requests_per_day=300)], {}, Bound("300 requests a day", 3 * 86400.0)),
        ([Limits(requests_per_day=1000)], {}, Bound("10 calls at once", 200.0)),
    ],
)
def test_a_plan_names_the_limit_that_binds(limits: list[Limits], more: dict[str, int], expected: Bound) -> None:
    found = bound_by(limits, calls=1000, tokens=100_000, concurrency=10, seconds_a_call=2.0, **more)
    assert found == expected


# ----------------------------------------------------------------------------------------- breaker


def first_down(breaker: Breaker, times: list[float], *, worked_before: bool) -> float | None:
    """When failures at these times make the provider count as down."""
    return next((now for now in times if breaker.failed(now, worked_before=worked_before)), None)


def test_a_provider_that_worked_counts_as_down_after_its_patience() -> None:
    assert first_down(Breaker(), [float(n) for n in range(100, 300)], worked_before=True) == 160.0


def test_an_address_that_never_worked_counts_as_down_soon() -> None:
    assert first_down(Breaker(), [float(n) for n in range(100, 300)], worked_before=False) == 105.0


def test_few_failures_are_no_outage_however_long_apart() -> None:
    assert first_down(Breaker(), [0.0, 100.0, 200.0, 300.0], worked_before=True) is None


def test_many_failures_at_once_are_no_outage() -> None:
    assert first_down(Breaker(), [5.0] * 1000, worked_before=True) is None


def test_the_least_failures_over_the_patience_are_an_outage() -> None:
    assert first_down(Breaker(), [0.0, 1.0, 2.0, 3.0, 60.0], worked_before=True) == 60.0


def test_one_answer_begins_the_count_anew() -> None:
    breaker = Breaker()
    first_down(breaker, [float(n) for n in range(50)], worked_before=True)
    breaker.worked()
    assert first_down(breaker, [60.0, 61.0, 62.0, 63.0, 119.0], worked_before=True) is None


@pytest.mark.parametrize(("patience", "down"), [(10.0, 10.0), (200.0, 200.0)])
def test_the_patience_is_the_users(patience: float, down: float) -> None:
    assert first_down(Breaker(patience=patience), [float(n) for n in range(300)], worked_before=True) == down


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.integers(1, 10), st.floats(0, 100))
def test_a_provider_is_down_exactly_after_enough_failures_over_enough_time(
    pauses: list[float], least: int, patience: float
) -> None:
    breaker, now = Breaker(patience=patience, least=least), 0.0
    for count, pause in enumerate(pauses, 1):
        now += pause
        down = breaker.failed(now, worked_before=True)
        assert down is (count >= least and now - pauses[0] >= patience)
