"""What providers say of their limits, in all their formats. (reliability 43, 45)"""

from __future__ import annotations

import json
import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.headers import Stated, moment, retry_after, stated_limits

SENT = 1_795_161_600
DATE = {"date": formatdate(SENT, usegmt=True)}
NAMES = [
    *(f"x-ratelimit-{part}{what}{span}" for part in ("limit", "remaining", "reset")
      for what in ("", "-requests", "-tokens") for span in ("", "-minute", "-day")),
    *(f"anthropic-ratelimit-{what}-{part}" for what in ("requests", "tokens", "input-tokens", "output-tokens")
      for part in ("limit", "remaining", "reset")),
    "retry-after", "retry-after-ms", "date", "x-ratelimit-nothing",
]  # fmt: skip
WORDS = [
    "-1", "0", "1", "1000000000", "1e999", "nan", "inf", "soon", "", " ", "6m0s", "20ms", "1h2m3.5s", "-5s",
    "2026-11-20T08:00:05Z", "9999-12-31T23:59:59Z", "Fri, 20 Nov 2026 08:00:00 GMT", "١٢", "1.5", "0x10", "²",
]  # fmt: skip
anything = st.dictionaries(st.sampled_from(NAMES), st.one_of(st.sampled_from(WORDS), st.text(max_size=40)), max_size=12)
bodies = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.sampled_from(WORDS), st.text(max_size=10)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["error", "details", "violations", "quotaId", "quotaValue", "retryDelay", "message"]),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(anything, bodies)
def test_whatever_comes_nothing_is_raised_and_every_figure_makes_sense(headers: dict[str, str], body: bytes) -> None:
    wait = retry_after(headers, body)
    assert wait is None or 0 < wait < math.inf
    for said in stated_limits(headers, body):
        assert said.limit is None or 1 <= said.limit < math.inf
        assert said.remaining is None or 0 <= said.remaining < math.inf
        assert said.reset is None or 0 < said.reset < math.inf


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (
            {
                "x-ratelimit-limit-requests": "6000",
                "x-ratelimit-remaining-requests": "5999",
                "x-ratelimit-reset-requests": "20ms",
            },
            b"",
            [Stated("requests", None, 6000, 5999, 0.02)],
        ),
        (
            {"x-ratelimit-remaining-tokens-minute": "12", "x-ratelimit-reset-tokens-minute": "6m0s"},
            b"",
            [Stated("tokens", "minute", None, 12, 360)],
        ),
        ({"x-ratelimit-limit-requests-day": "14400"}, b"", [Stated("requests", "day", 14400)]),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "40000",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-20T08:00:30Z",
                "date": "Fri, 20 Nov 2026 08:00:00 GMT",
            },
            b"",
            [Stated("input", None, 40000, 0, 30)],
        ),
        ({"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "many"}, b"", []),
        ({"x-ratelimit-limit-tokens": "0", "x-ratelimit-remaining-tokens": "0"}, b"", [Stated("tokens", remaining=0)]),
        ({"anthropic-ratelimit-requests-reset": "2026-11-20T08:00:30Z"}, b"", []),  # an instant, but no Date
        (
            {},
            json.dumps(
                [
                    {
                        "error": {
                            "code": 429,
                            "details": [
                                {
                                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                                    "violations": [
                                        {
                                            "quotaMetric": "x/generate_content_free_tier_requests",
                                            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                                            "quotaValue": "50",
                                        },
                                        {"quotaId": "GenerateContentInputTokensPerModelPerMinute"},
                                    ],
                                }
                            ],
                        }
                    }
                ]
            ).encode(),
            [Stated("requests", "day", 50, 0), Stated("input", "minute", None, 0)],
        ),
    ],
)  # fmt: skip
def test_each_provider_is_read_in_its_own_format(headers: dict[str, str], body: bytes, expected: list[Stated]) -> None:
    assert stated_limits(headers, body) == expected


def test_the_wait_of_googles_kind_stands_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}]
    body = json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}).encode()
    assert retry_after({}, body) == pytest.approx(34.074824224)


def test_instants_are_read_against_the_answers_own_date() -> None:
    ahead = {"date": formatdate(SENT + 86_400, usegmt=True)}
    reset = {"anthropic-ratelimit-requests-reset": "2026-11-21T08:00:10Z"}
    sent = moment(ahead["date"])
    assert sent is not None
    then = moment(reset["anthropic-ratelimit-requests-reset"])
    assert then is not None
    (said,) = stated_limits({**ahead, **reset})
    assert said.reset == (then - sent).total_seconds()
