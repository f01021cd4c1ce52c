"""A draw depends on seed and keys alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seedbed.policy.sampling import draw

KEYS = [f"[{n}]" for n in range(1000)]

keys = st.lists(st.text(max_size=5), max_size=40, unique=True)


@given(keys, st.integers(1, 50), st.integers(0, 3), st.randoms())
def test_order_and_doublets_do_not_matter(names: list[str], size: int, seed: int, random: object) -> None:
    shuffled = list(names) * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw(shuffled, size, seed) == draw(names, size, seed)
    assert len(draw(names, size, seed)) == min(size, len(names))


@given(keys, keys, st.integers(1, 20))
def test_a_draw_of_draws_is_the_draw_of_all(some: list[str], others: list[str], size: int) -> None:
    parts = draw(some, size, 7) + draw(others, size, 7)
    assert draw(parts, size, 7) == draw(some + others, size, 7)


def test_a_smaller_sample_is_the_head_of_a_larger_one() -> None:
    assert draw(KEYS, 100, 3)[:10] == draw(KEYS, 10, 3)


def test_seeds_draw_different_samples_and_each_key_as_often() -> None:
    seen = Counter(key for seed in range(300) for key in draw(KEYS, 100, seed))
    assert len(seen) == len(KEYS)
    assert max(seen.values()) < 30 + 6 * 27**0.5
    assert min(seen.values()) > 30 - 6 * 27**0.5


def test_a_draw_is_the_same_in_each_version() -> None:
    """What was drawn once has to be found again by a newer program."""
    assert draw(KEYS, 3, 1) == ["[328]", "[237]", "[75]"]
