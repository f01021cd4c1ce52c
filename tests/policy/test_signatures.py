"""What a signature covers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seedbed.policy.signatures import Doing, Ground, Terms, objection

SIGNED = Terms("recipe", "rows", ("openai/a", "openai/b"), items=10, money=1000, until=5000)
DOING = Doing("recipe", "rows", ["openai/a"], items=9, money=999, now=4999)


def test_what_was_signed_is_covered() -> None:
    assert objection(SIGNED, DOING) is None
    assert objection(SIGNED, replace(DOING, models=["openai/b"])) is None
    assert objection(SIGNED, replace(DOING, models=[])) is None


@pytest.mark.parametrize(
    ("change", "ground"),
    [
        ({"recipe": "another"}, "recipe"),
        ({"selection": "others"}, "selection"),
        ({"models": ["openai/a", "openai/c"]}, "model"),
        ({"now": 5000}, "until"),
        ({"money": 1000}, "money"),
        ({"items": 10}, "items"),
    ],
)
def test_what_was_not_signed_is_not_covered(change: dict[str, object], ground: Ground) -> None:
    assert objection(SIGNED, replace(DOING, **change)) == ground  # type: ignore[arg-type]  # one field each


def test_no_ceiling_is_no_ceiling() -> None:
    free = replace(SIGNED, items=None, money=None, until=None)
    assert objection(free, replace(DOING, items=10**9, money=10**18, now=10**15)) is None
