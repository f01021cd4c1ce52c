from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import AuthError, ConfigError, LimitReached
from seedbed.policy.headers import retry_after
from seedbed.policy.retry import Again, Decision, Ended, GiveUp, History, Patience, Stop, back_off, decide

SENT = 1_795_161_600
DATE = {"date": formatdate(SENT, usegmt=True)}


def error(message: str = "", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


FRESH = History()


def after(event: Ended, history: History = FRESH, share: float = 1.0) -> Decision:
    return decide(event, history, random=lambda: share)


def status(number: int, body: bytes = b"", **headers: str) -> Ended:
    return Ended(status=number, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


# ------------------------------------------------------------------------------------- retry_after


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"retry-after": "2"}, b"", 2.0),
        ({"retry-after": "0.25"}, b"", 0.25),
        ({"retry-after": " 1.5 "}, b"", 1.5),
        ({"retry-after": formatdate(SENT + 90, usegmt=True), **DATE}, b"", 90.0),
        ({"retry-after": "2026-11-20T08:00:05Z", "date": "Fri, 20 Nov 2026 08:00:00 GMT"}, b"", 5.0),
        ({"retry-after": "1000000000"}, b"", 1e9),
        ({"retry-after": "5", "retry-after-ms": "250"}, b"", 0.25),
        ({"x-ratelimit-reset-requests": "6m0s"}, b"", 360.0),
        ({"x-ratelimit-reset-tokens": "20ms"}, b"", 0.02),
        ({"x-ratelimit-reset-requests": "1h0m8.64s"}, b"", 3608.64),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "3s"}, b"", 3.0),
        (
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "9s",
                "x-ratelimit-remaining-tokens": "50",
            },
            b"",
            1.0,
        ),
        ({"x-ratelimit-reset": str(SENT + 7), **DATE}, b"", 7.0),
        ({"x-ratelimit-reset": str((SENT + 7) * 1000), **DATE}, b"", 7.0),
        ({"anthropic-ratelimit-requests-reset": "2026-11-20T08:01:00+00:00", "date": "Fri, 20 Nov 2026 08:00:00 GMT"},
         b"", 60.0),
        ({}, error("Rate limit reached. Please try again in 1.5s."), 1.5),
        ({}, error("Please try again in 6m0s. Visit"), 360.0),
        ({}, error("try again in 20ms"), 0.02),
        ({}, error("Please retry after 3 seconds"), 3.0),
        ({}, b"try again in 2 minutes.", 120.0),
        ({}, error("", resets_in_seconds=12.5), 12.5),
        (DATE, error("", resets_at=SENT + 30), 30.0),
        ({"x-ratelimit-reset-requests": "9s"}, error("try again in 1s"), 1.0),
    ],
)  # fmt: skip
def test_each_way_to_state_a_wait_is_understood(headers: dict[str, str], body: bytes, expected: float) -> None:
    assert retry_after(headers, body) == pytest.approx(expected)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "soon"},
        {"retry-after": ""},
        {"retry-after": "-1"},
        {"retry-after": "0"},
        {"retry-after": "nan"},
        {"retry-after": "1e9"},
        {"retry-after": "1_0"},
        {"retry-after": "٣"},
        {"retry-after": formatdate(SENT + 90, usegmt=True)},  # our own clock says nothing
        {"retry-after": formatdate(SENT - 90, usegmt=True), **DATE},
        {"retry-after": "Thu, 99 Foo 2026 99:99:99 GMT", **DATE},
        {"x-ratelimit-reset-requests": "-1"},
        {"x-ratelimit-reset-requests": "0s"},
        {"x-ratelimit-reset-requests": "5x"},
        {"x-ratelimit-reset": str(SENT + 7)},
        {"x-ratelimit-remaining-requests": "0"},
    ],
)
def test_what_makes_no_sense_is_unknown(headers: dict[str, str]) -> None:
    assert retry_after(headers) is None


NAMES = ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset", "x-ratelimit-reset-tokens"]
NAMES += ["x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests", "anthropic-ratelimit-tokens-reset"]
PARTS = st.sampled_from(["1", "0", "-1", "9" * 30, "s", "ms", "m", ".", "e", "T", "Z", ":", "+", "GMT", "2026-11-20"])
VALUES = st.text(max_size=12) | st.lists(PARTS, max_size=8).map("".join) | st.integers().map(str)
VALUES |= st.datetimes().map(str) | st.integers(-(10**11), 10**11).map(lambda at: formatdate(at % 10**10, usegmt=True))
FIGURES = st.none() | st.booleans() | st.integers() | st.floats() | VALUES | st.lists(st.integers(), max_size=2)
ERRORS = st.dictionaries(
    st.sampled_from(["message", "code", "type", "resets_at", "resets_in_seconds", "retry_after", "error"]), FIGURES
).map(lambda found: json.dumps({"error": found}).encode())
BODIES = st.binary(max_size=60) | ERRORS | VALUES.map(lambda text: f"try again in {text}".encode(errors="replace"))


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), VALUES, max_size=5), BODIES)
def test_the_wait_is_a_positive_number_or_unknown_for_any_headers(headers: dict[str, str], body: bytes) -> None:
    wait = retry_after(headers, body)
    assert wait is None or 0 < wait < float("inf")


@given(
    st.builds(
        Ended,
        trouble=st.sampled_from([None, None, None, "connect", "timeout", "cut"]),
        message=st.text(max_size=20),
        status=st.integers(0, 999),
        headers=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
        body=BODIES,
    ),
    st.builds(History, st.integers(0, 9), st.integers(0, 3), st.integers(0, 10**6)),
)
def test_every_end_leads_to_a_decision(event: Ended, history: History) -> None:
    found = after(event, history)
    if isinstance(found, Again):
        assert 0 <= found.after <= 900
        assert found.limited or history.then(found) != history


# ----------------------------------------------------------------------------------------- decide


def test_back_off_doubles_with_full_jitter_up_to_its_cap() -> None:
    assert [back_off(n, lambda: 1.0) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert back_off(3, lambda: 0.0) == 0 and back_off(10**9, lambda: 1.0) == 30


def test_what_was_never_sent_is_tried_six_times_and_costs_nothing() -> None:
    history, waits = History(), []
    while isinstance(found := after(Ended("connect", "refused"), history), Again):
        assert not found.charged and not found.doubt
        waits.append(found.after)
        history = history.then(found)
    assert waits == [0.5, 1, 2, 4, 8]
    assert isinstance(found, GiveUp) and found.state == "failed" and found.finding.code == "connect"


@pytest.mark.parametrize("kind", ["timeout", "cut"])
def test_what_may_have_been_paid_is_asked_once_more_and_then_failed(kind: Any) -> None:
    first = after(Ended(kind, "gone"))
    assert isinstance(first, Again) and first.doubt and first.charged
    second = after(Ended(kind), History().then(first))
    assert isinstance(second, GiveUp) and second.finding.code == "in_doubt_twice" and second.charged


@pytest.mark.parametrize("number", [408, 409, 500, 502, 503, 529])
def test_a_fault_of_the_server_is_tried_again_and_costs_nothing(number: int) -> None:
    first = after(status(number))
    assert isinstance(first, Again) and first.after == 0.5 and not first.charged and first.counts
    stated = after(status(number, retry_after="3"))
    assert isinstance(stated, Again) and stated.after == 3
    last = after(status(number, error("sorry")), History(tries=5))
    assert isinstance(last, GiveUp) and "sorry" in last.finding.message


def test_a_rate_limit_never_uses_up_a_try() -> None:
    history = History(tries=5)
    for _ in range(100):
        found = after(status(429, error("slow down"), retry_after="2"), history)
        assert isinstance(found, Again) and found.after == 2 and found.limited and not found.counts
        history = history.then(found)
    assert history.tries == 5


def test_a_rate_limit_without_a_time_backs_off_a_little_more_each_time() -> None:
    found = [after(status(429, retry_after="soon"), History(limited=n)) for n in (0, 1, 20)]
    assert [each.after for each in found if isinstance(each, Again)] == [0.5, 1, 30]


@pytest.mark.parametrize("number", [429, 503])
def test_a_wait_over_the_longest_is_a_pause_that_names_the_time(number: int) -> None:
    found = after(Ended(status=number, headers={**DATE, "retry-after": "3600"}))
    assert isinstance(found, Stop) and isinstance(found.error, LimitReached) and found.after == 3600
    assert "2026-11-20 09:00:00 UTC" in str(found.error)
    dateless = after(status(number, retry_after="1000000000"))
    assert isinstance(dateless, Stop) and " h " in str(dateless.error)
    patient = decide(
        status(number, retry_after="3600"), History(), random=lambda: 0, patience=Patience(longest_wait=1e4)
    )
    assert isinstance(patient, Again) and patient.after == 3600


@pytest.mark.parametrize(
    "event",
    [
        status(402),
        status(429, error("You exceeded your current quota", code="insufficient_quota"), retry_after="1"),
        status(403, error("", code="billing_hard_limit_reached")),
        status(400, error("Your credit balance is too low to access the API", type="invalid_request_error")),
    ],
)
def test_no_credit_stops_the_run_as_a_pause(event: Ended) -> None:
    found = after(event)
    assert isinstance(found, Stop) and isinstance(found.error, LimitReached) and "credit" in found.error.what


def test_a_used_up_window_is_a_pause_until_its_reset() -> None:
    body = error("The usage limit has been reached", type="usage_limit_reached", resets_at=SENT + 60)
    found = after(Ended(status=429, headers=DATE, body=body))
    assert isinstance(found, Stop) and isinstance(found.error, LimitReached) and found.after == 60
    assert "08:01:00 UTC" in found.error.what


@pytest.mark.parametrize("number", [401, 403, 407])
def test_a_refused_key_stops_the_run_and_is_never_shown(number: int) -> None:
    key = "sk-proj-AbCd1234567890efgh"
    for shown in (key, "sk-ab**********gh", "abcdefghijklmnopqrstuvwxyz0123456789"):
        found = after(status(number, error(f"Incorrect API key provided: {shown}. Find it there.")))
        assert isinstance(found, Stop) and isinstance(found.error, AuthError)
        assert shown not in str(found.error) and "Incorrect API key" in str(found.error)


def test_a_model_that_is_not_there_is_a_config_error() -> None:
    found = after(status(404, error("The model 'x' does not exist")))
    assert isinstance(found, Stop) and isinstance(found.error, ConfigError) and "'x'" in str(found.error)


def test_a_redirect_is_a_config_error() -> None:
    found = after(status(307))
    assert isinstance(found, Stop) and isinstance(found.error, ConfigError)


@pytest.mark.parametrize("number", [400, 413, 422, 418])
def test_a_bad_request_fails_its_item_with_the_providers_words(number: int) -> None:
    found = after(status(number, error("bad\x00\x1b[31m " + "x y " * 200)))
    assert isinstance(found, GiveUp) and found.finding.code == "bad_request"
    words = found.finding.message
    assert words.startswith("bad [31m x y") and len(words) <= 200 and words.isprintable()


@pytest.mark.parametrize(
    "event",
    [
        status(400, error("This model's maximum context length is 8192 tokens", code="context_length_exceeded")),
        status(400, error("prompt is too long: 210000 tokens > 200000 maximum")),
        status(429, error("Request too large for gpt-4o on tokens per min: Limit 30000, Requested 90000")),
    ],
)
def test_a_request_that_can_never_fit_is_too_long(event: Ended) -> None:
    found = after(event)
    assert isinstance(found, GiveUp) and found.finding.code == "too_long"


@pytest.mark.parametrize("number", [400, 403])
def test_a_filter_refuses_the_item_and_not_the_key(number: int) -> None:
    found = after(status(number, error("flagged", code="content_policy_violation")))
    assert isinstance(found, GiveUp) and found.state == "refused"


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b'{"error":"plain"}', b'[{"error":{"message":"list"}}]',
                                  b'{"error":{"message":"cut off in the mid'])  # fmt: skip
def test_error_bodies_of_any_build_are_read(body: bytes) -> None:
    found = after(status(400, body))
    assert isinstance(found, GiveUp)
    expected = {"<": "busy", '{"error":"p': "plain", "[": "list", '{"error":{': "cut off in the mid"}
    for start, words in expected.items():
        if body.decode().startswith(start):
            assert words in found.finding.message
