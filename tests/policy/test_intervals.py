"""Intervals of a share: the published values."""

from __future__ import annotations

import pytest

from seedbed.policy.intervals import wilson


@pytest.mark.parametrize(
    ("yes", "seen", "low", "high"),
    [
        (31, 34, 0.7704, 0.9695),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # the textbook example of R. G. Newcombe, Statistics in Medicine 17 (1998), 857
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_wilson_has_the_published_values(yes: int, seen: int, low: float, high: float) -> None:
    assert wilson(yes, seen) == pytest.approx((low, high), abs=5e-5)


def test_with_nothing_seen_everything_is_likely() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
