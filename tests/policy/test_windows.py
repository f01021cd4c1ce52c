"""Windows: when they begin and end, what may be used of them, when waves start, and what contradicts itself."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.errors import ConfigError, UsageError
from seedbed.policy.windows import (
    Reset,
    Window,
    done_at,
    fires,
    learned_capacity,
    next_fires,
    parse_window,
    windows_needed,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def window(**table: Any) -> Window:
    return parse_window("night", {"account": "openai", "reset": ["23:00"], **table})


def test_a_window_lasts_from_reset_to_reset() -> None:
    """(001.19)"""
    before, after = (window().span(moment(text)) for text in ("2026-11-20T22:59", "2026-11-20T23:01"))

    assert (before.start, before.end) == (moment("2026-11-19T23:00"), moment("2026-11-20T23:00"))
    assert (after.start, after.end) == (moment("2026-11-20T23:00"), moment("2026-11-21T23:00"))


def test_a_weekly_reset_makes_windows_of_a_week() -> None:
    span = window(reset=["Mon 08:00"]).span(moment("2026-11-20T12:00"))

    assert (span.start, span.end) == (moment("2026-11-16T08:00"), moment("2026-11-23T08:00"))


def test_a_period_begins_with_the_first_call() -> None:
    five = parse_window("five", {"account": "openai", "period": "5h"})

    assert five.span(1000.0).end is None
    assert five.span(1000.0 + 3600, 1000.0).end == 1000.0 + 5 * 3600
    assert five.span(1000.0 + 5 * 3600, 1000.0).end is None


@given(
    now=st.floats(1.7e9, 1.9e9),
    zone=st.sampled_from(ZONES),
    resets=st.lists(st.tuples(st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=3),
)
def test_each_moment_lies_in_one_window_whatever_the_clocks_do(
    now: float, zone: str, resets: list[tuple[int, int]]
) -> None:
    found = window(zone=zone, reset=[f"{hour:02}:{minute:02}" for hour, minute in resets])
    span = found.span(now)

    assert span.end is not None
    assert span.start <= now < span.end
    assert span.end - span.start <= 26 * 3600
    assert found.span(span.end).start == span.end
    assert found.span(span.start) == span


def test_quiet_hours_may_pass_midnight() -> None:
    """(001.19)"""
    quiet = window(quiet=["22:00-06:00"])

    assert quiet.quiet_until(moment("2026-11-20T21:59")) is None
    assert quiet.quiet_until(moment("2026-11-20T22:00")) == moment("2026-11-21T06:00")
    assert quiet.quiet_until(moment("2026-11-21T05:59")) == moment("2026-11-21T06:00")
    assert quiet.quiet_until(moment("2026-11-21T06:00")) is None


def test_a_share_of_950_is_712_items() -> None:
    """(001.04)"""
    assert window(capacity="950 items").allowed(0.75, None) == 712


def test_what_is_not_known_bounds_nothing_until_it_is_learned() -> None:
    assert window().allowed(0.75, None) is None
    assert window().allowed(0.75, 950) == 712


def test_the_capacity_is_the_median_of_the_last_closings() -> None:
    assert learned_capacity([]) is None
    assert learned_capacity([948, 3, 952]) == 948
    assert learned_capacity([100, 100, 100, 950, 951, 949, 950, 952]) == 950


def test_a_corpus_of_9541_items_takes_14_windows_of_712() -> None:
    """(001.32)"""
    assert windows_needed(9541, 712) == 14
    assert windows_needed(6467, 700) == 10  # (001.20)
    assert windows_needed(0, 700) == 0
    assert windows_needed(5, None) is None


def test_two_waves_follow_a_reset_at_23() -> None:
    """(001.01)"""
    assert fires(window()) == [Reset(23, 20), Reset(0, 50)]
    assert fires(window(reset=["Sun 23:00"])) == [Reset(23, 20, 6), Reset(0, 50, 0)]
    assert fires(window(quiet=["00:00-08:00"])) == [Reset(23, 20)]


def test_coming_fires_are_told_in_order() -> None:
    coming = list(islice(next_fires(window(), moment("2026-11-20T23:30")), 3))

    assert coming == [moment(text) for text in ("2026-11-21T00:50", "2026-11-21T23:20", "2026-11-22T00:50")]


def test_each_fire_comes_once_on_the_days_when_the_clocks_change() -> None:
    """(fault 41)"""
    berlin = window(reset=["01:50"], zone="Europe/Berlin")  # fires at 02:10 and 03:40
    for day, count in (("2026-03-28T12:00", 2), ("2026-10-24T12:00", 2)):
        first = moment(day)
        coming = [fire for fire in islice(next_fires(berlin, first), 6) if fire < first + 86400]
        assert len(coming) == count
        assert len(set(coming)) == count


def test_the_day_of_completion_counts_windows_from_the_next_wave() -> None:
    now = moment("2026-11-20T12:00")

    assert done_at(window(), now, 10) == moment("2026-11-29T23:20")
    assert done_at(window(), now, 1) == moment("2026-11-20T23:20")
    assert done_at(window(), now, None) is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"period": "5h"}, "contradict"),
        ({"reset": []}, "neither"),
        ({"reset": ["25:00"]}, "no time of the day"),
        ({"zone": "Mars/Olympus"}, "no time zone"),
        ({"account": ""}, "no account"),
        ({"capacity": "0"}, "no whole number from 1"),
        ({"capacity": "many"}, "no amount"),
        ({"capacity": "20usd", "unit": "calls"}, "in money"),
        ({"capacity": "9 items", "unit": "calls"}, "in items"),
        ({"unit": "stars"}, "none of"),
        ({"quiet": ["8-18"]}, "no span of hours"),
        ({"quiet": ["00:00-12:00", "12:00-00:00"]}, "no hour of the day"),
        ({"reset": [], "period": "soon"}, "no length of time"),
    ],
)
def test_a_window_that_contradicts_itself_is_told_in_one_line(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        window(**table)
    assert "\n" not in caught.value.what


@pytest.mark.parametrize("share", ["0%", "101%", "all", "-1", "nan"])
def test_a_share_lies_above_0_and_up_to_100_percent(share: str) -> None:
    with pytest.raises(UsageError, match="no share"):
        window(share=share)
