"""Which common caps a call counts under; a day is a day of its zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.purses import Purses, day_purse

BERLIN = ZoneInfo("Europe/Berlin")
QUARTER = 900_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_call_counts_under_the_project_its_stage_and_its_day() -> None:
    purses = Purses(project=10, day=5, stages={"q.summary": 3})
    found = [purse.id for purse in purses.of("q.summary", at("2026-11-20T08:00:00Z"))]
    assert found == ["project", "stage q.summary", "day 2026-11-20 UTC"]


def test_a_stage_without_a_cap_of_its_own_counts_under_the_others() -> None:
    purses = Purses(project=10, stages={"q.summary": 3})
    assert [purse.id for purse in purses.of("other", 0)] == ["project"]


def test_a_purse_of_a_stage_counts_its_calls_alone() -> None:
    (project, summary) = Purses(project=10, stages={"q.summary": 3}).of("q.summary", 0)
    assert [purse.counts("q.summary", 5) for purse in (project, summary)] == [True, True]
    assert [purse.counts("other", 5) for purse in (project, summary)] == [True, False]


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-20T22:59:59.999Z", "2026-11-20"),
        ("2026-11-20T23:00:00Z", "2026-11-21"),
        ("2026-07-01T21:59:59Z", "2026-07-01"),
        ("2026-07-01T22:00:00Z", "2026-07-02"),
    ],
)
def test_a_day_begins_at_midnight_of_its_zone(moment: str, day: str) -> None:
    assert Purses(day=5, zone=BERLIN).of("q", at(moment))[0].id == f"day {day} Europe/Berlin"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-20", 24)])
def test_a_day_has_the_hours_that_its_zone_gives_it(day: str, hours: int) -> None:
    purse = day_purse(at(f"{day}T12:00:00Z"), BERLIN, 5)
    assert purse.since is not None and purse.until is not None
    assert (purse.until - purse.since) / 3_600_000 == hours


zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"])


@given(st.integers(at("2000-01-01T00:00:00Z"), at("2100-01-01T00:00:00Z")), zones)
def test_each_moment_lies_in_its_day_and_days_meet_at_a_quarter_of_an_hour(moment: int, zone: str) -> None:
    purse = day_purse(moment, ZoneInfo(zone), 5)
    assert purse.since is not None and purse.until is not None
    assert purse.since <= moment < purse.until
    assert (purse.since % QUARTER, purse.until % QUARTER) == (0, 0)
    assert day_purse(purse.until, ZoneInfo(zone), 5).since == purse.until


def test_the_day_is_another_one_after_midnight_in_the_same_process() -> None:
    purses = Purses(day=5, zone=UTC)
    days = [purses.of("q", at(f"2026-11-{day}T00:00:00Z"))[0].id for day in ("20", "21", "20")]
    assert days == ["day 2026-11-20 UTC", "day 2026-11-21 UTC", "day 2026-11-20 UTC"]
