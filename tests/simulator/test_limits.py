from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.simulator.limits import Limiter, TokenBucket, Usage, Window, duration, retry_after

from .conftest import Caller

Until = Callable[[Callable[[], bool]], None]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


steps = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=60)


@given(st.floats(1, 100_000), steps)
def test_a_bucket_never_grants_more_than_burst_and_rate(per_minute: float, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket = TokenBucket(per_minute, clock)
    granted, debt = 0.0, 0.0
    for pause, cost in steps:
        clock.now += pause
        if bucket.wait(cost) == 0:
            bucket.take(cost)
            granted += cost
            debt = max(0.0, cost - bucket.burst)
        assert granted - debt <= bucket.burst + per_minute / 60 * clock.now + 1e-6


@given(st.floats(1, 10_000), st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_after_the_stated_wait_a_request_is_let_in(rpm: float, costs: list[int]) -> None:
    clock = Clock()
    limiter = Limiter(rpm, rpm * 10, clock)
    for cost in costs:
        wait = limiter.admit(cost)
        if wait:
            clock.now += wait
            assert limiter.admit(cost) == 0


def test_a_refused_request_takes_nothing() -> None:
    clock = Clock()
    limiter = Limiter(6000, 60, clock)
    assert limiter.admit(1) == 0
    assert limiter.requests is not None
    before = limiter.requests.level()
    assert limiter.admit(1) == pytest.approx(1.0)
    assert limiter.requests.level() == before


def test_headers_say_what_is_left() -> None:
    limiter = Limiter(600, 6000, Clock())
    assert limiter.admit(30) == 0
    assert limiter.headers() == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "70",
        "x-ratelimit-reset-tokens": "300ms",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (0.0201, "21ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (60, "1m0s"),
        (86.4, "1m26.4s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (5025.5, "1h23m45.5s"),
    ],
)
def test_durations_are_written_as_the_provider_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("both", {"retry-after": "2", "retry-after-ms": "1500"}),
        ("seconds", {"retry-after": "2"}),
        ("ms", {"retry-after-ms": "1500"}),
        ("none", {}),
        ("nonsense", {"retry-after": "soon"}),
        ("huge", {"retry-after": "1000000000"}),
        ("date", {"retry-after": "Thu, 01 Jan 1970 00:00:12 GMT"}),
    ],
)
def test_retry_after_has_many_forms(form: str, headers: dict[str, str]) -> None:
    assert retry_after(1.5, form, lambda: 10.0) == headers


def test_a_window_opens_again_at_its_reset() -> None:
    clock = Clock()
    usage = Usage(Window(2, 100), clock)
    first = usage.take()
    usage.take()
    assert usage.wait() == 100
    usage.give_back(first)
    assert usage.wait() == 0
    usage.take()
    clock.now = 99
    assert usage.wait() == 1
    clock.now = 100
    assert usage.wait() == 0
    usage.give_back(first)
    usage.take()
    usage.take()
    assert usage.wait() == 100


def test_the_server_keeps_its_limit_and_says_so(caller: Caller) -> None:
    caller.model.configure(rpm=60)
    assert caller.ask().headers["x-ratelimit-remaining-requests"] == "0"
    refused = caller.ask()
    assert refused.status == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after"] == "1"
    assert 0 < int(refused.headers["retry-after-ms"]) <= 1000
    assert refused.headers["x-ratelimit-limit-requests"] == "60"


def test_the_tokens_of_an_answer_are_charged(caller: Caller) -> None:
    caller.model.configure(tpm=1200)
    assert caller.ask().status == 200
    assert caller.ask().status == 429


@pytest.mark.parametrize("kind", ["insufficient_quota", "usage_limit_reached"])
def test_a_closed_window_says_which_kind_it_is(caller: Caller, kind: str) -> None:
    caller.model.configure(windows=[{"capacity": 2, "seconds": 900, "kind": kind}])
    assert [caller.ask().status for _ in range(2)] == [200, 200]
    refused = caller.ask()
    error = refused.json()["error"]
    assert (refused.status, error["code"]) == (429, kind)
    assert ("resets_in_seconds" in error) == (kind == "usage_limit_reached")
    assert ("retry-after" in refused.headers) == (kind == "usage_limit_reached")


def test_only_complete_answers_fill_a_window(caller: Caller) -> None:
    caller.model.configure(windows=[Window(1, 900)], faults=[{"fault": "cut", "times": 2}])
    for _ in range(2):
        with pytest.raises(ConnectionError):
            caller.ask()
    assert [caller.ask().status, caller.ask().status] == [200, 429]


def test_too_many_at_once_are_refused(caller: Caller, until: Until) -> None:
    caller.model.configure(concurrency_limit=1, faults=[{"fault": "hang"}])
    hanging = caller.request()
    try:
        until(lambda: caller.model.summary()["in_flight"] == 1)
        assert caller.ask().status == 429
    finally:
        hanging.close()


def test_a_fixed_window_lets_all_of_it_through_at_once(caller: Caller) -> None:
    caller.model.configure(rpm=3, rate_style="fixed")
    statuses = [caller.ask().status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    headers = caller.ask().headers
    assert headers["x-ratelimit-remaining-requests"] == "0" and headers["x-ratelimit-limit-requests"] == "3"


def test_a_key_can_have_a_limit_of_its_own_be_dead_or_empty(caller: Caller) -> None:
    caller.model.configure(key_limits={"sk-a": {"rpm": 60}}, dead_keys=["sk-b"], empty_keys=["sk-c"])
    assert [caller.ask(key="sk-a").status for _ in range(2)] == [200, 429]
    assert caller.ask(key="sk-d").status == caller.ask().status == 200
    assert caller.ask(key="sk-b").status == 401
    assert caller.ask(key="sk-c").json()["error"]["code"] == "insufficient_quota"
    limits = caller.model.summary()["limits"]
    assert (limits["all"]["granted"], [limits[name]["refused"] for name in limits if name != "all"]) == (2, [1])


@pytest.mark.parametrize("style", ["anthropic", "gemini", "none", "nonsense"])
def test_limits_are_told_in_the_style_that_was_asked_for(caller: Caller, style: str) -> None:
    caller.model.configure(rpm=60, header_style=style)
    caller.ask()
    refused = caller.ask()
    openai = [name for name in refused.headers if name.startswith("x-ratelimit")]
    assert refused.status == 429 and bool(openai) == (style == "nonsense")
    assert ("anthropic-ratelimit-requests-reset" in refused.headers) == (style == "anthropic")
    assert (b"retryDelay" in refused.body, "retry-after" in refused.headers) == (style == "gemini", style != "gemini")


def test_the_ledger_counts_what_was_granted_and_which_share_that_is() -> None:
    clock = Clock()
    limiter = Limiter(600, None, clock)
    for _ in range(31):
        clock.now += 0.1
        assert limiter.admit(5) == 0
    for _ in range(9):
        limiter.admit(5)
    limiter.admit(5)
    books = limiter.account()
    assert (books["granted"], books["refused"], books["tokens"]) == (40, 1, 200)
    assert books["use_of_requests"] == pytest.approx(39 / 30, abs=1e-3)


def test_a_date_is_readable(caller: Caller) -> None:
    caller.model.configure(retry_after_format="date", faults=[{"fault": "rate_limit", "seconds": 30}])
    refused = caller.ask()
    wait = parsedate_to_datetime(refused.headers["retry-after"]) - parsedate_to_datetime(refused.headers["date"])
    assert 29 <= wait.total_seconds() <= 32
