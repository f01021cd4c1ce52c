"""The ids of the archive's own authors, against values that were computed by hand."""

from __future__ import annotations

import hashlib

import pytest

from seedbed.recipes.experiments.identity import attempt_of_row, document_id, hashed, logical_key
from seedbed.recipes.experiments.moments import moment, written


def by_hand(*parts: str) -> str:
    """The rule of the original in other words: long division on the hex text."""
    number = int(hashlib.sha256(("|".join(parts) + "|").encode()).hexdigest()[:24], 16)
    out = ""
    for place in range(20, -1, -1):
        digit, number = divmod(number, 36**place)
        out += "0123456789abcdefghijklmnopqrstuvwxyz"[digit]
    stripped = out.lstrip("0")
    return (stripped if len(stripped) >= 16 else stripped.zfill(16))[:16]


def test_keys_are_those_of_the_original() -> None:
    """(003.16) Golden values, computed by the program that the archive was first made with."""
    assert logical_key("draft", "combo-1", "t1", "m1") == "2et85j29j6xi26eh"
    assert logical_key("essay", "2et85j29j6xi26eh", "t1", "m1") == "4azf7hgjk5fsjbm5"
    assert document_id("2et85j29j6xi26eh", "run-1", "draft_generation_results.csv:0:2025-08-01T10:00:00") == (
        "73iz0ybh3mn5acqq"
    )


@pytest.mark.parametrize("number", range(300))
def test_the_rule_holds_for_any_parts(number: int) -> None:
    """(003.16) Among them such whose number is short and is filled up with zeros."""
    parts = ("essay", f"parent-{number}", "vörlage", "модель")
    assert hashed(*parts) == by_hand(*parts)
    assert len(hashed(*parts)) == 16


def test_an_attempt_is_named_by_table_row_and_time_as_it_stands() -> None:
    """(003.23)"""
    assert attempt_of_row("evaluation_results.csv", 7, "2025-08-01T10:00:00Z") == (
        "evaluation_results.csv:7:2025-08-01T10:00:00Z"
    )


@pytest.mark.parametrize(
    "text",
    ["2025-08-01T10:00:00", "2025-08-01T10:00:00Z", "2025-08-01T10:00:00.000000", "2025-08-01 10:00:00.0Z",
     " 2025-08-01T12:00:00+02:00 ", "2025-08-01T10:00:00z"],
)  # fmt: skip
def test_one_moment_may_be_written_in_many_ways(text: str) -> None:
    """(003.12)"""
    at = moment(text)
    assert at == 1754042400000000
    assert written(at) == "2025-08-01T10:00:00.000000Z"


def test_a_fraction_counts() -> None:
    """(003.12)"""
    early, late = moment("2025-08-01T10:00:00Z"), moment("2025-08-01T10:00:00.000001")
    assert early is not None and late is not None and early < late


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01T00:00:00", "10:00", "9" * 400])
def test_what_is_no_time_is_none(text: str) -> None:
    assert moment(text) is None
